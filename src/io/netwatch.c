#include "io/netwatch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "io/sys.h"

#define GROUPS \
    (RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)

#define MESSAGES_A_TURN 64

/* Without a message for so long the network has rested: to connect and shake hands seldom takes longer. */
#define REST_MS 4000
#define MAX_DOUBLINGS 6 /* of how long a call waits */

static bool is_change(struct nlmsghdr *message)
{
    switch (message->nlmsg_type) {
    case RTM_NEWLINK: {
        /* Wireless drivers tell of each scan and signal with a link message that changes nothing. */
        const struct ifinfomsg *link = NLMSG_DATA(message);
        return message->nlmsg_len < NLMSG_LENGTH(sizeof *link) || link->ifi_change != 0;
    }
    case RTM_DELLINK:
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return true;
    default:
        return false;
    }
}

static bool has_change(struct nlmsghdr *message, size_t n)
{
    for (; NLMSG_OK(message, n); message = NLMSG_NEXT(message, n))
        if (is_change(message))
            return true;
    return false;
}

static void on_settled(struct timer *timer)
{
    struct netwatch *netwatch = CONTAINER_OF(timer, struct netwatch, timer);
    netwatch->n_restless += netwatch->n_restless < MAX_DOUBLINGS;
    netwatch->changed(netwatch);
}

static void note_change(struct netwatch *netwatch)
{
    uint64_t now_ms = loop_now_ms(netwatch->loop);
    if (now_ms - netwatch->noted_ms >= REST_MS)
        netwatch->n_restless = 0;
    netwatch->noted_ms = now_ms;
    if (timer_is_set(&netwatch->timer))
        return;
    uint64_t at_ms = now_ms + ((uint64_t)NETWATCH_SETTLE_MS << netwatch->n_restless);
    if (timer_set(loop_timers(netwatch->loop), &netwatch->timer, at_ms) != ERR_NONE)
        netwatch->changed(netwatch); /* too early is better than never */
}

/* Reads one message; false: there is none. */
static bool read_message(struct netwatch *netwatch)
{
    union {
        struct nlmsghdr header; /* for its alignment */
        char bytes[8192];
    } buffer;
    struct sockaddr_nl from = {0};
    socklen_t n_from = sizeof from;
    /* MSG_TRUNC: the length is that of the whole message, even where the buffer is too short. */
    ssize_t got = sys_recvfrom(netwatch->fd, &buffer, sizeof buffer, MSG_TRUNC,
                               (struct sockaddr *)&from, &n_from);
    /* ENOBUFS: there were more messages than the system could keep for us. */
    if (got < 0 && errno != ENOBUFS)
        return false;
    bool is_whole = got >= 0 && (size_t)got <= sizeof buffer;
    if (!is_whole || (from.nl_pid == 0 && has_change(&buffer.header, (size_t)got)))
        note_change(netwatch);
    return true;
}

static void on_message(struct watch *watch, unsigned events)
{
    (void)events;
    struct netwatch *netwatch = CONTAINER_OF(watch, struct netwatch, watch);
    /* As many as a change of the network makes; if there are more, the next turn goes on. */
    for (int i = 0; i < MESSAGES_A_TURN; i++) {
        if (!read_message(netwatch)) {
            loop_used_up(watch, LOOP_READ);
            return;
        }
    }
}

enum err netwatch_init(struct netwatch *netwatch, struct loop *loop,
                       void (*changed)(struct netwatch *))
{
    *netwatch = (struct netwatch){.loop = loop, .fd = -1, .changed = changed};
    timer_init(&netwatch->timer, on_settled);
    int fd = sys_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (fd < 0)
        return sys_err(errno);
    struct sockaddr_nl here = {.nl_family = AF_NETLINK, .nl_groups = GROUPS};
    enum err err = ERR_NONE;
    if (sys_bind(fd, (const struct sockaddr *)&here, sizeof here) != 0)
        err = sys_err(errno);
    else
        err = loop_add(loop, &netwatch->watch, fd, LOOP_READ, on_message);
    if (err != ERR_NONE) {
        sys_close(fd);
        return err;
    }
    netwatch->fd = fd;
    return ERR_NONE;
}

void netwatch_deinit(struct netwatch *netwatch)
{
    if (netwatch->watch.loop == NULL)
        return;
    timer_clear(loop_timers(netwatch->loop), &netwatch->timer);
    loop_remove(&netwatch->watch);
    sys_close(netwatch->fd);
}
