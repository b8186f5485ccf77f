/*
 * An inbound of the near end's that the far end listens for, beside ends.h: flows.inbound as it is, whose flows go out by another
 * outbound. Include it once, after ends.h.
 */
#ifndef SOCKEYE_TESTS_REVERSE_H
#define SOCKEYE_TESTS_REVERSE_H

#include <fcntl.h>

static struct {
    struct inbound inbounds[2]; /* the far end's, and what it listens for */
    struct inbound_listen listens[1];
    struct target_rule allowed[1];
} reverse;

/* After ends_begin(). */
static inline void reverse_begin(struct outbound *outbound)
{
    struct addr addr = tcp_addr("127.0.0.1", 0);

    close(tcp_listen(&addr)); /* a port that is free */
    reverse.listens[0] = (struct inbound_listen){.addr = addr};
    reverse.allowed[0] = (struct target_rule){.port_to = UINT16_MAX, .has_port = true};
    ends.far.allow_reverse = (struct target_rule_list){reverse.allowed, 1};
    reverse.inbounds[0] = ends.far;
    reverse.inbounds[1] = flows.inbound;
    reverse.inbounds[1].outbound = outbound;
    reverse.inbounds[1].listen_via = ends.outbound;
    reverse.inbounds[1].listens = reverse.listens;
    reverse.inbounds[1].n_listens = 1;
    flows.ruleset.inbounds = reverse.inbounds;
    flows.ruleset.n_inbounds = 2;
    far_turn_all(&ends.env, &flows.ruleset);
    near_turn_all(&ends.env, &flows.ruleset);
}

/* Connects once the far end listens. */
static inline int reverse_client(void)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    int fd = -1;

    while (fd < 0 && now_ms() < give_up) {
        struct sockaddr_storage sa;
        socklen_t n = sys_addr_to_sockaddr(&reverse.listens[0].addr, &sa);
        (void)loop_turn(flows.env.loop, 0);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&sa, n) == 0)
            break; /* it waits in the backlog */
        close(fd);
        fd = -1;
    }
    assert_true(fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

#endif
