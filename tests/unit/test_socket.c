/* TCP sockets as endpoints: connecting, what reading and writing say, and how they end. */
#include "loops.h"

#include <stdlib.h>

#include "io/socket.h"
#include "tcp.h"

struct ours {
    struct loop *loop;
    struct slab slab;
    struct sock *sock;
    int theirs;
    unsigned events; /* that were told */
    enum err connected;
};

static void on_ready(struct endpoint *ep, unsigned events)
{
    struct ours *ours = ep->owner;
    ours->events |= events;
}

static void begin_loop(struct ours *ours, void **state)
{
    *ours = (struct ours){.loop = loop_new(backend_of(state)), .theirs = -1};
    assert_non_null(ours->loop);
    slab_init(&ours->slab, sizeof(struct sock));
}

/* A socket of ours connected to one of theirs. */
static void begin(struct ours *ours, void **state)
{
    int fds[2];
    begin_loop(ours, state);
    tcp_pair(fds);
    ours->theirs = fds[1];
    assert_int_equal(sock_new(&ours->sock, ours->loop, &ours->slab, fds[0], LOOP_READ | LOOP_WRITE,
                              on_ready, ours),
                     ERR_NONE);
}

static void end_loop(struct ours *ours)
{
    turn_at_once(ours->loop, 1);
    assert_int_equal(ours->slab.n_used, 0);
    assert_int_equal(loop_n_watches(ours->loop), 0);
    slab_deinit(&ours->slab);
    loop_free(ours->loop);
    if (ours->theirs >= 0)
        close(ours->theirs);
}

static void end(struct ours *ours)
{
    endpoint_close(&ours->sock->ep, false);
    end_loop(ours);
}

/* ---- connecting ---- */

static void on_connecting(struct endpoint *ep, unsigned events)
{
    struct ours *ours = ep->owner;
    ours->connected = sock_connect_result(sock_of(ep), events);
    if (ours->connected != ERR_AGAIN)
        endpoint_want(ep, 0);
}

static enum err connect_to(struct ours *ours, const struct addr *addr)
{
    ours->connected = ERR_AGAIN;
    enum err err =
        sock_connect(&ours->sock, ours->loop, &ours->slab, addr, NULL, on_connecting, ours);
    if (err != ERR_NONE)
        return err;
    TURN_UNTIL(ours->loop, ours->connected != ERR_AGAIN);
    return ours->connected;
}

static void connecting_tells_when_it_is_done_and_from_where(void **state)
{
    struct ours ours;
    struct addr addr = tcp_addr("127.0.0.1", 0), bound;
    begin_loop(&ours, state);
    int listen_fd = tcp_listen(&addr);
    assert_int_equal(connect_to(&ours, &addr), ERR_NONE);
    ours.theirs = tcp_accept(listen_fd);
    struct sockaddr_in peer;
    socklen_t n = sizeof peer;
    assert_int_equal(getpeername(ours.theirs, (struct sockaddr *)&peer, &n), 0);
    assert_int_equal(sock_local_addr(ours.sock, &bound), ERR_NONE);
    assert_int_equal(bound.port, ntohs(peer.sin_port));
    assert_true(addr_is_loopback(&bound));
    close(listen_fd);
    end(&ours);
}

static void connecting_tells_why_not(void **state)
{
    struct ours ours;
    struct addr addr = tcp_addr("127.0.0.1", 0);
    begin_loop(&ours, state);
    close(tcp_listen(&addr));
    assert_int_equal(connect_to(&ours, &addr), ERR_REFUSED);
    endpoint_close(&ours.sock->ep, false);
    /* Of class E, which no Linux sends to. */
    struct addr nowhere = tcp_addr("255.255.255.255", 80);
    assert_int_equal(connect_to(&ours, &nowhere), ERR_NET_UNREACH);
    end_loop(&ours);
}

/* A SYN that may have waited for bytes is seen off after a moment, by a call that is told of the reset
 * in place of whoever reads. */
static void a_reset_is_told_although_a_syn_was_seen_off(void **state)
{
    static const struct sock_options options = {.fast_open = true};
    struct ours ours;
    struct addr addr = tcp_addr("127.0.0.1", 0);
    uint8_t byte;
    size_t n;
    begin_loop(&ours, state);
    int listen_fd = tcp_listen(&addr);
    ours.connected = ERR_AGAIN;
    assert_int_equal(
        sock_connect(&ours.sock, ours.loop, &ours.slab, &addr, &options, on_connecting, &ours),
        ERR_NONE);
    TURN_UNTIL(ours.loop, ours.connected == ERR_NONE);
    ours.sock->ep.on_ready = on_ready;
    tcp_reset(tcp_accept(listen_fd));
    TURN_UNTIL(ours.loop, !timer_is_set(&ours.sock->hello));
    turn_at_once(ours.loop, 2);
    assert_true(ours.events & LOOP_ERROR);
    assert_true(endpoint_is_broken(&ours.sock->ep));
    enum err err = endpoint_read(&ours.sock->ep, &byte, 1, &n);
    assert_true(err != ERR_NONE && err != ERR_EOF && err != ERR_AGAIN);
    close(listen_fd);
    end(&ours);
}

static void connecting_that_fails_anywhere_leaves_nothing(void **state)
{
    struct ours ours;
    struct addr addr = tcp_addr("127.0.0.1", 0);
    begin_loop(&ours, state);
    int listen_fd = tcp_listen(&addr);
    size_t n_fds = count_fds();
    /* Room among the slots and in the slab is made once. */
    assert_int_equal(connect_to(&ours, &addr), ERR_NONE);
    close(tcp_accept(listen_fd));
    endpoint_close(&ours.sock->ep, false);
    unsigned n_failed = 0;
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        sys_fault_set(SYS_FAULT_FAIL, n);
        enum err err =
            sock_connect(&ours.sock, ours.loop, &ours.slab, &addr, NULL, on_connecting, &ours);
        was_hit = sys_fault_hit() != NULL;
        sys_fault_set(SYS_FAULT_NONE, 0);
        if (err == ERR_NONE) {
            endpoint_close(&ours.sock->ep, false);
            close(tcp_accept(listen_fd));
        }
        n_failed += err != ERR_NONE;
        turn_at_once(ours.loop, 1);
        assert_int_equal(count_fds(), n_fds);
        assert_int_equal(ours.slab.n_used, 0);
    }
    assert_in_range(n_failed, 2, 4);
    close(listen_fd);
    end_loop(&ours);
}

/* ---- reading and writing ---- */

static void reading_tells_data_nothing_and_the_end(void **state)
{
    struct ours ours;
    char bytes[16];
    size_t n = 0;
    begin(&ours, state);
    struct endpoint *ep = &ours.sock->ep;
    assert_int_equal(endpoint_read(ep, bytes, sizeof bytes, &n), ERR_AGAIN);
    tcp_send(ours.theirs, "hello", 5);
    TURN_UNTIL(ours.loop, ours.events & LOOP_READ);
    assert_int_equal(endpoint_read(ep, bytes, sizeof bytes, &n), ERR_NONE);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_false(endpoint_is_ready(ep, LOOP_READ));
    shutdown(ours.theirs, SHUT_WR);
    TURN_UNTIL(ours.loop, endpoint_is_ready(ep, LOOP_READ));
    assert_int_equal(endpoint_read(ep, bytes, sizeof bytes, &n), ERR_EOF);
    end(&ours);
}

static void a_fin_behind_a_short_read_is_met_without_another_event(void **state)
{
    struct ours ours;
    char bytes[16];
    size_t n = 0;
    begin(&ours, state);
    struct endpoint *ep = &ours.sock->ep;
    tcp_send(ours.theirs, "bye", 3);
    shutdown(ours.theirs, SHUT_WR);
    TURN_UNTIL(ours.loop, ours.events & LOOP_HANGUP);
    assert_int_equal(endpoint_read(ep, bytes, sizeof bytes, &n), ERR_NONE);
    assert_int_equal(n, 3);
    assert_true(endpoint_is_ready(ep, LOOP_READ));
    assert_int_equal(endpoint_read(ep, bytes, sizeof bytes, &n), ERR_EOF);
    end(&ours);
}

static void what_is_behind_an_urgent_byte_is_met_without_another_event(void **state)
{
    struct ours ours;
    char bytes[16], all[16] = "";
    size_t n = 0;
    begin(&ours, state);
    struct endpoint *ep = &ours.sock->ep;
    int on = 1;
    setsockopt(ep->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    tcp_send(ours.theirs, "ab", 2);
    assert_int_equal(send(ours.theirs, "!", 1, MSG_OOB), 1);
    tcp_send(ours.theirs, "cd", 2);
    TURN_UNTIL(ours.loop, ours.events & LOOP_URGENT);
    while (endpoint_is_ready(ep, LOOP_READ)) {
        enum err err = endpoint_read(ep, bytes, sizeof bytes, &n);
        if (err == ERR_AGAIN)
            break;
        assert_int_equal(err, ERR_NONE);
        strncat(all, bytes, n);
    }
    assert_string_equal(all, "ab!cd");
    end(&ours);
}

static void a_reset_is_told_as_such(void **state)
{
    struct ours ours;
    char bytes[16];
    size_t n;
    begin(&ours, state);
    tcp_reset(ours.theirs);
    ours.theirs = -1;
    TURN_UNTIL(ours.loop, ours.events & LOOP_ERROR);
    assert_int_equal(endpoint_read(&ours.sock->ep, bytes, sizeof bytes, &n), ERR_RESET);
    end(&ours);
}

static void writing_tells_when_there_is_no_more_room(void **state)
{
    static const char bytes[1 << 20];
    static char there[1 << 20];
    struct ours ours;
    size_t n = 0, n_written = 0, n_read = 0;
    begin(&ours, state);
    struct endpoint *ep = &ours.sock->ep;
    TURN_UNTIL(ours.loop, ours.events & LOOP_WRITE);
    enum err err;
    while ((err = endpoint_write(ep, bytes, sizeof bytes, &n)) == ERR_NONE)
        n_written += n;
    assert_int_equal(err, ERR_AGAIN);
    assert_false(endpoint_is_ready(ep, LOOP_WRITE));
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (n_read < n_written || !endpoint_is_ready(ep, LOOP_WRITE)) {
        assert_true(now_ms() < give_up);
        ssize_t got = tcp_receive(ours.theirs, there, sizeof there);
        n_read += got > 0 ? (size_t)got : 0;
        turn_at_once(ours.loop, 1);
    }
    assert_int_equal(n_read, n_written);
    end(&ours);
}

static void writing_to_who_is_gone_raises_no_signal(void **state)
{
    struct ours ours;
    size_t n;
    begin(&ours, state);
    tcp_reset(ours.theirs);
    ours.theirs = -1;
    TURN_UNTIL(ours.loop, ours.events & LOOP_ERROR);
    assert_int_equal(endpoint_write(&ours.sock->ep, "x", 1, &n), ERR_RESET);
    assert_int_equal(endpoint_write(&ours.sock->ep, "x", 1, &n), ERR_RESET);
    end(&ours);
}

/* ---- the end ---- */

static void shutting_down_sends_a_fin_and_reading_goes_on(void **state)
{
    struct ours ours;
    char bytes[16];
    size_t n;
    begin(&ours, state);
    assert_int_equal(endpoint_shutdown(&ours.sock->ep), ERR_NONE);
    tcp_await(ours.theirs);
    assert_int_equal(tcp_receive(ours.theirs, bytes, sizeof bytes), 0);
    tcp_send(ours.theirs, "late", 4);
    TURN_UNTIL(ours.loop, ours.events & LOOP_READ);
    assert_int_equal(endpoint_read(&ours.sock->ep, bytes, sizeof bytes, &n), ERR_NONE);
    assert_int_equal(n, 4);
    end(&ours);
}

static void closing_sends_a_fin_or_a_reset_as_asked(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct ours ours;
        char byte;
        begin(&ours, state);
        endpoint_close(&ours.sock->ep, reset);
        tcp_await(ours.theirs);
        ssize_t got = tcp_receive(ours.theirs, &byte, 1);
        assert_int_equal(got, reset ? -1 : 0);
        if (reset)
            assert_int_equal(errno, ECONNRESET);
        end_loop(&ours);
    }
    endpoint_close(NULL, false);
}

static void acc_82_keepalive_is_set_as_asked(void **state)
{
    struct ours ours;
    begin(&ours, state);
    int fd = ours.sock->ep.fd, value = 0;
    socklen_t n = sizeof value;
    endpoint_keep_alive(&ours.sock->ep, 77);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &n), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &n), 0);
    assert_int_equal(value, 77);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &value, &n), 0);
    assert_int_equal(value, 77);
    end(&ours);
}

static void our_own_addresses_are_known(void **state)
{
    (void)state;
    static const char *const mine[] = {"127.0.0.1", "127.9.8.7"};
    static const char *const others[] = {"192.0.2.1", "198.51.100.7"};
    for (size_t i = 0; i < N_ITEMS(mine); i++) {
        struct addr own = tcp_addr(mine[i], 80), other = tcp_addr(others[i], 80);
        assert_true(sock_addr_is_ours(&own));
        assert_false(sock_addr_is_ours(&other));
    }
    /* Who cannot find out must not say no. */
    struct addr other = tcp_addr("192.0.2.1", 80);
    size_t n_fds = count_fds();
    sys_fault_set(SYS_FAULT_FAIL, 1);
    assert_true(sock_addr_is_ours(&other));
    sys_fault_set(SYS_FAULT_NONE, 0);
    assert_int_equal(count_fds(), n_fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(connecting_tells_when_it_is_done_and_from_where),
        ON_BOTH(connecting_tells_why_not),
        ON_BOTH(a_reset_is_told_although_a_syn_was_seen_off),
        ON_BOTH(connecting_that_fails_anywhere_leaves_nothing),
        ON_BOTH(reading_tells_data_nothing_and_the_end),
        ON_BOTH(a_fin_behind_a_short_read_is_met_without_another_event),
        ON_BOTH(what_is_behind_an_urgent_byte_is_met_without_another_event),
        ON_BOTH(a_reset_is_told_as_such),
        ON_BOTH(writing_tells_when_there_is_no_more_room),
        ON_BOTH(writing_to_who_is_gone_raises_no_signal),
        ON_BOTH(shutting_down_sends_a_fin_and_reading_goes_on),
        ON_BOTH(closing_sends_a_fin_or_a_reset_as_asked),
        ON_BOTH(acc_82_keepalive_is_set_as_asked),
        cmocka_unit_test(our_own_addresses_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
