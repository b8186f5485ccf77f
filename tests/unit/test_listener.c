/* Listening sockets: who gets a port, what is inherited, and what happens when descriptors run out. */
#include "loops.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "io/listener.h"
#include "io/sys.h"
#include "tcp.h"

static const struct listener_options plain = {0}, for_workers = {.for_own = true},
                                     shared = {.shares_port = true};

/* ---- opening ---- */

static int open_at(const char *ip, uint16_t *port, const struct listener_options *options,
                   enum err *err)
{
    struct addr addr = tcp_addr(ip, *port);
    int fd = -1;
    *err = listener_open(&fd, &addr, options);
    if (*err == ERR_NONE)
        *port = addr.port;
    return fd;
}

/* Another process that has a port, by these options. */
static int hold_port(uint16_t *port, bool reuse_port)
{
    int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void port_0_becomes_the_port_chosen(void **state)
{
    (void)state;
    uint16_t port = 0;
    enum err err;
    int fd = open_at("127.0.0.1", &port, &plain, &err);
    assert_int_equal(err, ERR_NONE);
    assert_int_not_equal(port, 0);
    struct addr addr = tcp_addr("127.0.0.1", port);
    int client = tcp_connect(&addr);
    close(tcp_accept(fd));
    close(client);
    close(fd);
}

static void acc_57_the_port_of_another_process_is_refused_though_it_would_share_it(void **state)
{
    (void)state;
    static const struct listener_options *const refused[] = {&plain, &for_workers};
    uint16_t port;
    enum err err;
    for (int shares = 0; shares < 2; shares++) {
        int held = hold_port(&port, shares);
        for (size_t i = 0; i < N_ITEMS(refused); i++) {
            open_at("127.0.0.1", &port, refused[i], &err);
            assert_int_equal(err, ERR_IN_USE);
        }
        close(held);
    }
}

static void acc_57_a_port_is_shared_with_other_processes_where_that_is_asked_for(void **state)
{
    (void)state;
    uint16_t port;
    enum err err;
    int held = hold_port(&port, true);
    int fd = open_at("127.0.0.1", &port, &shared, &err);
    assert_int_equal(err, ERR_NONE);
    close(fd);
    close(held);
    held = hold_port(&port, false);
    open_at("127.0.0.1", &port, &shared, &err);
    assert_int_equal(err, ERR_IN_USE);
    close(held);
}

static void acc_57_further_sockets_of_our_own_are_let_in(void **state)
{
    (void)state;
    uint16_t port = 0;
    enum err err;
    int first = open_at("127.0.0.1", &port, &for_workers, &err);
    assert_int_equal(err, ERR_NONE);
    int second = open_at("127.0.0.1", &port, &shared, &err);
    assert_int_equal(err, ERR_NONE);
    /* One by one both are served. */
    struct addr addr = tcp_addr("127.0.0.1", port);
    bool was_served[2] = {false, false};
    for (int i = 0; i < 200 && !(was_served[0] && was_served[1]); i++) {
        int client = tcp_connect(&addr);
        struct pollfd fds[] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
        assert_true(poll(fds, 2, PATIENCE_MS) > 0);
        for (size_t k = 0; k < 2; k++) {
            if (fds[k].revents == 0)
                continue;
            was_served[k] = true;
            close(tcp_accept(fds[k].fd));
        }
        close(client);
    }
    assert_true(was_served[0] && was_served[1]);
    close(first);
    close(second);
}

static void acc_72_both_families_listen_on_one_port(void **state)
{
    (void)state;
    uint16_t port = 0;
    enum err err;
    int v6 = open_at("::", &port, &plain, &err);
    if (err == ERR_NET_UNREACH || err == ERR_HOST_UNREACH)
        skip();
    assert_int_equal(err, ERR_NONE);
    int v4 = open_at("0.0.0.0", &port, &plain, &err);
    assert_int_equal(err, ERR_NONE);
    close(v4);
    close(v6);
}

static void an_address_that_is_not_ours_is_told(void **state)
{
    (void)state;
    uint16_t port = 0;
    enum err err;
    open_at("192.0.2.1", &port, &plain, &err);
    assert_int_equal(err, ERR_HOST_UNREACH);
}

static void a_port_below_1024_without_the_right_is_told(void **state)
{
    (void)state;
    unsigned first = 1024;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    if (file != NULL) {
        assert_int_equal(fscanf(file, "%u", &first), 1);
        fclose(file);
    }
    if (first < 1024)
        skip();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(1);
        struct addr addr = tcp_addr("127.0.0.1", 81);
        int fd;
        _exit(listener_open(&fd, &addr, &plain) == ERR_PERMITTED ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void opening_that_fails_anywhere_leaves_no_descriptor(void **state)
{
    (void)state;
    size_t n_fds = count_fds();
    enum err err = ERR_SYSTEM;
    uint64_t n;
    for (n = 1; err != ERR_NONE; n++) {
        uint16_t port = 0;
        sys_fault_set(SYS_FAULT_FAIL, n);
        int fd = open_at("::1", &port, &for_workers, &err);
        sys_fault_set(SYS_FAULT_NONE, 0);
        if (err == ERR_NONE)
            close(fd);
        assert_int_equal(count_fds(), n_fds);
    }
    assert_true(n > 8);
}

/* ---- accepting ---- */

struct served {
    struct listener listener;
    struct loop *loop;
    struct addr addr;
    bool is_full;
    int fds[256];
    struct addr from;
    size_t n, n_short, n_left;
    enum err why_short;
};

static bool has_room(struct listener *listener)
{
    return !CONTAINER_OF(listener, struct served, listener)->is_full;
}

static void on_accept(struct listener *listener, int fd, const struct addr *from)
{
    struct served *served = CONTAINER_OF(listener, struct served, listener);
    assert_true(served->n < N_ITEMS(served->fds));
    served->fds[served->n++] = fd;
    served->from = *from;
}

static void on_shortage(struct listener *listener, enum err err)
{
    struct served *served = CONTAINER_OF(listener, struct served, listener);
    served->n_short++;
    served->why_short = err;
}

static void on_left(struct listener *listener)
{
    struct served *served = CONTAINER_OF(listener, struct served, listener);
    assert_null(listener->watch.loop);
    served->n_left++;
}

static void begin(struct served *served, void **state)
{
    int fd;
    *served = (struct served){.loop = loop_new(backend_of(state)),
                              .addr = tcp_addr("127.0.0.1", 0),
                              .listener = {.has_room = has_room,
                                           .on_accept = on_accept,
                                           .on_shortage = on_shortage,
                                           .on_left = on_left}};
    assert_non_null(served->loop);
    assert_int_equal(listener_open(&fd, &served->addr, &plain), ERR_NONE);
    assert_int_equal(listener_start(&served->listener, served->loop, fd), ERR_NONE);
}

static void end(struct served *served)
{
    for (size_t i = 0; i < served->n; i++)
        close(served->fds[i]);
    listener_stop(&served->listener);
    listener_stop(&served->listener);
    assert_int_equal(loop_n_watches(served->loop), 0);
    assert_true(timer_heap_next(loop_timers(served->loop)) == UINT64_MAX);
    loop_free(served->loop);
}

static int option_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t n = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
    return value;
}

static void a_connection_comes_with_its_address_and_the_options_it_needs(void **state)
{
    struct served served;
    begin(&served, state);
    int client = tcp_connect(&served.addr);
    TURN_UNTIL(served.loop, served.n == 1);
    struct sockaddr_in local;
    socklen_t n = sizeof local;
    assert_int_equal(getsockname(client, (struct sockaddr *)&local, &n), 0);
    struct addr expected = tcp_addr("127.0.0.1", ntohs(local.sin_port));
    assert_true(addr_equal(&served.from, &expected, true));
    int fd = served.fds[0];
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(option_of(fd, IPPROTO_TCP, TCP_NODELAY));
    assert_true(option_of(fd, SOL_SOCKET, SO_OOBINLINE));
    close(client);
    end(&served);
}

static void a_flood_of_connections_is_served_without_keeping_the_loop(void **state)
{
    enum { N = 150 };
    struct served served;
    int clients[N];
    begin(&served, state);
    for (size_t i = 0; i < N; i++)
        clients[i] = tcp_connect(&served.addr);
    assert_true(loop_turn(served.loop, PATIENCE_MS));
    assert_true(served.n > 0 && served.n < N);
    TURN_UNTIL(served.loop, served.n == N);
    for (size_t i = 0; i < N; i++)
        close(clients[i]);
    end(&served);
}

static void a_connection_reset_in_the_backlog_harms_nobody(void **state)
{
    struct served served;
    begin(&served, state);
    tcp_reset(tcp_connect(&served.addr));
    int client = tcp_connect(&served.addr);
    TURN_UNTIL(served.loop, served.n > 0 && served.from.port != 0);
    assert_int_equal(served.n_short, 0);
    close(client);
    end(&served);
}

/* Leaves the process so many descriptors; returns the limit to put back. */
static struct rlimit leave_descriptors(unsigned n)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    struct rlimit few = {.rlim_cur = (rlim_t)next + n, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    return before;
}

static void acc_66_without_descriptors_it_rests_and_serves_as_soon_as_it_is_woken(void **state)
{
    struct served served;
    begin(&served, state);
    int client = tcp_connect(&served.addr);
    struct rlimit before = leave_descriptors(0);
    TURN_UNTIL(served.loop, served.n_short == 1);
    assert_int_equal(served.why_short, ERR_DESCRIPTORS);
    /* It does not spin: but for its own timer the loop sleeps. */
    uint64_t n_turns = loop_n_turns(served.loop), begin_ms = now_ms();
    while (now_ms() - begin_ms < 350)
        assert_true(loop_turn(served.loop, 350));
    assert_true(loop_n_turns(served.loop) - n_turns <= 10);
    assert_int_equal(served.n_short, 1);
    assert_int_equal(served.n, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    listener_wake(&served.listener);
    turn_at_once(served.loop, 1);
    assert_int_equal(served.n, 1);
    close(client);
    end(&served);
}

static void acc_66_a_shortage_that_nobody_tells_of_the_end_of_passes_too(void **state)
{
    struct served served;
    begin(&served, state);
    for (size_t n = 1; n <= 2; n++) {
        int client = tcp_connect(&served.addr);
        struct rlimit before = leave_descriptors(0);
        TURN_UNTIL(served.loop, served.n_short == n); /* a new shortage is a new word */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        TURN_UNTIL(served.loop, served.n == n);
        assert_true(timer_heap_next(loop_timers(served.loop)) == UINT64_MAX);
        close(client);
    }
    end(&served);
}

/* Which the system says of the next, whether there is one or not. */
static void acc_66_no_shortage_is_told_of_where_the_last_descriptor_was_enough(void **state)
{
    struct served served;
    begin(&served, state);
    int client = tcp_connect(&served.addr);
    struct rlimit before = leave_descriptors(1);
    TURN_UNTIL(served.loop, served.n == 1);
    turn_at_once(served.loop, 3);
    assert_int_equal(served.n_short, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    int next = tcp_connect(&served.addr);
    TURN_UNTIL(served.loop, served.n == 2);
    close(client);
    close(next);
    end(&served);
}

static void where_there_is_no_room_connections_wait(void **state)
{
    struct served served;
    begin(&served, state);
    served.is_full = true;
    int client = tcp_connect(&served.addr);
    TURN_UNTIL(served.loop, served.n_short == 1);
    turn_at_once(served.loop, 3);
    assert_int_equal(served.n, 0);
    served.is_full = false;
    listener_wake(&served.listener);
    turn_at_once(served.loop, 1);
    assert_int_equal(served.n, 1);
    listener_wake(&served.listener);
    close(client);
    end(&served);
}

static void a_listener_stopped_while_it_rests_is_gone(void **state)
{
    struct served served;
    begin(&served, state);
    served.is_full = true;
    int client = tcp_connect(&served.addr);
    TURN_UNTIL(served.loop, served.n_short == 1);
    listener_stop(&served.listener);
    served.is_full = false;
    listener_wake(&served.listener);
    turn_for(served.loop, 150);
    assert_int_equal(served.n, 0);
    close(client);
    end(&served);
}

static bool is_listened_on(const struct addr *addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_taken = connect(fd, (struct sockaddr *)&sa, n) == 0;
    close(fd);
    return is_taken;
}

static void one_that_is_paused_accepts_when_it_is_woken(void **state)
{
    struct served served;
    begin(&served, state);
    listener_pause(&served.listener);
    int client = tcp_connect(&served.addr);
    turn_for(served.loop, 20);
    assert_int_equal(served.n, 0);
    listener_wake(&served.listener);
    TURN_UNTIL(served.loop, served.n == 1);
    close(client);
    end(&served);
}

static void one_that_leaves_serves_who_waits_and_closes(void **state)
{
    for (size_t n_waiting = 0; n_waiting < 200; n_waiting = n_waiting * 4 + 1) {
        struct served served;
        int clients[200];
        begin(&served, state);
        turn_at_once(served.loop, 2);
        for (size_t i = 0; i < n_waiting; i++)
            clients[i] = tcp_connect(&served.addr);
        listener_leave(&served.listener);
        assert_int_equal(served.n_left, 0);
        TURN_UNTIL(served.loop, served.n_left == 1);
        assert_int_equal(served.n, n_waiting);
        assert_false(is_listened_on(&served.addr));
        for (size_t i = 0; i < n_waiting; i++)
            close(clients[i]);
        end(&served);
    }
}

static void one_that_leaves_without_room_serves_who_waits_when_there_is_some(void **state)
{
    struct served served;
    begin(&served, state);
    served.is_full = true;
    int client = tcp_connect(&served.addr);
    TURN_UNTIL(served.loop, served.n_short == 1);
    listener_leave(&served.listener);
    turn_for(served.loop, 20);
    assert_int_equal(served.n_left, 0);
    served.is_full = false;
    listener_wake(&served.listener);
    TURN_UNTIL(served.loop, served.n_left == 1);
    assert_int_equal(served.n, 1);
    close(client);
    end(&served);
}

/* By two descriptors of one socket, in two loops. */
static void a_shared_socket_serves_by_either_loop_and_is_left_by_one_alone(void **state)
{
    struct served first, second;
    begin(&first, state);
    int fd = fcntl(first.listener.watch.fd, F_DUPFD_CLOEXEC, 0);
    int other_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct addr addr = first.addr;
    end(&first);
    first = second = (struct served){.addr = addr,
                                     .listener = {.has_room = has_room,
                                                  .on_accept = on_accept,
                                                  .on_shortage = on_shortage,
                                                  .on_left = on_left,
                                                  .is_shared = true}};
    first.loop = loop_new(backend_of(state));
    second.loop = loop_new(backend_of(state));
    assert_int_equal(listener_start(&first.listener, first.loop, fd), ERR_NONE);
    assert_int_equal(listener_start(&second.listener, second.loop, other_fd), ERR_NONE);
    int clients[20];
    for (size_t i = 0; i < N_ITEMS(clients); i++) {
        clients[i] = tcp_connect(&addr);
        struct served *waiting = i % 2 ? &first : &second;
        turn_at_once(waiting->loop, 2);
    }
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (first.n + second.n < N_ITEMS(clients)) {
        assert_true(now_ms() < give_up);
        turn_at_once(first.loop, 1);
        turn_at_once(second.loop, 1);
    }
    listener_leave(&first.listener);
    TURN_UNTIL(first.loop, first.n_left == 1);
    int late = tcp_connect(&addr);
    TURN_UNTIL(second.loop, first.n + second.n == N_ITEMS(clients) + 1);
    for (size_t i = 0; i < N_ITEMS(clients); i++)
        close(clients[i]);
    close(late);
    end(&first);
    end(&second);
}

/* As a tunnel's far end does, when the same peer's next session has the address: its descriptor may have the number of one before. */
static void a_socket_that_is_released_is_watched_again_by_the_same_number(void **state)
{
    struct served served;
    begin(&served, state);
    struct loop *loop = served.loop;
    int fd = served.listener.watch.fd, kept = dup(fd);
    listener_release(&served.listener);
    close(fd);
    assert_int_equal(fcntl(kept, F_DUPFD, fd), fd);
    assert_int_equal(listener_start(&served.listener, loop, fd), ERR_NONE);
    int client = tcp_connect(&served.addr);
    TURN_UNTIL(loop, served.n == 1);
    close(client);
    close(kept);
    end(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_becomes_the_port_chosen),
        cmocka_unit_test(acc_57_the_port_of_another_process_is_refused_though_it_would_share_it),
        cmocka_unit_test(acc_57_a_port_is_shared_with_other_processes_where_that_is_asked_for),
        cmocka_unit_test(acc_57_further_sockets_of_our_own_are_let_in),
        cmocka_unit_test(acc_72_both_families_listen_on_one_port),
        cmocka_unit_test(an_address_that_is_not_ours_is_told),
        cmocka_unit_test(a_port_below_1024_without_the_right_is_told),
        cmocka_unit_test(opening_that_fails_anywhere_leaves_no_descriptor),
        ON_BOTH(a_connection_comes_with_its_address_and_the_options_it_needs),
        ON_BOTH(a_flood_of_connections_is_served_without_keeping_the_loop),
        ON_BOTH(a_connection_reset_in_the_backlog_harms_nobody),
        ON_BOTH(acc_66_without_descriptors_it_rests_and_serves_as_soon_as_it_is_woken),
        ON_BOTH(acc_66_a_shortage_that_nobody_tells_of_the_end_of_passes_too),
        ON_BOTH(acc_66_no_shortage_is_told_of_where_the_last_descriptor_was_enough),
        ON_BOTH(where_there_is_no_room_connections_wait),
        ON_BOTH(a_listener_stopped_while_it_rests_is_gone),
        ON_BOTH(one_that_is_paused_accepts_when_it_is_woken),
        ON_BOTH(one_that_leaves_serves_who_waits_and_closes),
        ON_BOTH(one_that_leaves_without_room_serves_who_waits_when_there_is_some),
        ON_BOTH(a_shared_socket_serves_by_either_loop_and_is_left_by_one_alone),
        ON_BOTH(a_socket_that_is_released_is_watched_again_by_the_same_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
