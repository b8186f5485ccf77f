/* UDP sockets: batches, order, queues and their bounds, errors that end nothing. */
#include "io/datagram.h"

#include "io/socket.h"
#include "loops.h"
#include "udp.h"

#define MAX_DATAGRAM 65507

/* One socket under test, which answers what it gets by `answer`, and somebody outside. */
static struct {
    struct loop *loop;
    struct datagram_pool pool;
    _Atomic(uint64_t) n_held;
    uint64_t max_held;
    struct datagram_sock sock;
    struct addr at; /* the socket's */
    int peer;
    struct addr peer_at;
    void (*answer)(const struct addr *from, uint8_t *bytes, size_t n);
    unsigned n_received;
    uint8_t last[65536];
    size_t n_last;
    struct addr last_from;
} test;

static void on_datagram(struct datagram_sock *sock, const struct addr *from, uint8_t *bytes,
                        size_t n)
{
    assert_ptr_equal(sock, &test.sock);
    assert_true(n <= sizeof test.last);
    test.n_received++;
    memcpy(test.last, bytes, n);
    test.n_last = n;
    test.last_from = *from;
    memset(bytes - DATAGRAM_HEADROOM, 0xee, DATAGRAM_HEADROOM); /* which may be overwritten */
    if (test.answer != NULL)
        test.answer(from, bytes, n);
}

static void begin_with(enum loop_backend backend)
{
    memset(&test, 0, sizeof test);
    test.loop = loop_new(backend);
    assert_non_null(test.loop);
    datagram_pool_init(&test.pool, test.loop, &test.n_held, &test.max_held);
}

static void open_both(const char *ip)
{
    test.at = tcp_addr(ip, 0);
    test.peer_at = tcp_addr(ip, 0);
    if (!udp_try_open(&test.peer, &test.peer_at))
        skip();
    assert_int_equal(datagram_open_at(&test.sock, &test.pool, &test.at, 0, 0, on_datagram),
                     ERR_NONE);
    assert_true(test.at.port != 0);
}

static void begin(void **state)
{
    begin_with(backend_of(state));
    open_both("127.0.0.1");
}

static void end(void)
{
    datagram_close(&test.sock);
    datagram_close(&test.sock); /* harmless */
    assert_false(datagram_is_open(&test.sock));
    assert_int_equal(test.n_held, 0);
    assert_int_equal(loop_n_watches(test.loop), 0);
    loop_run_deferred(test.loop);
    datagram_pool_deinit(&test.pool);
    loop_free(test.loop);
    close(test.peer);
}

/* The peer gets exactly this next. */
static void expect(const void *bytes, size_t n)
{
    static uint8_t got[65536];
    struct addr from;
    ssize_t n_got = -1;
    TURN_UNTIL(test.loop, (n_got = udp_receive(test.peer, got, sizeof got, &from)) >= 0);
    assert_int_equal(n_got, n);
    assert_memory_equal(got, bytes, n);
    assert_true(addr_equal(&from, &test.at, true));
}

static void echo(const struct addr *from, uint8_t *bytes, size_t n)
{
    datagram_send(&test.sock, from, bytes, n);
}

static void nothing_is_mapped_before_the_first_datagram(void **state)
{
    begin(state);
    turn_at_once(test.loop, 3);
    assert_null(test.pool.batch);
    udp_send(test.peer, &test.at, "x", 1);
    TURN_UNTIL(test.loop, test.n_received == 1);
    assert_non_null(test.pool.batch);
    end();
}

static void without_memory_for_slots_what_comes_is_dropped(void **state)
{
    const char *hit = "";
    for (uint64_t n = 1; strcmp(hit, "map") != 0; n++) {
        begin(state);
        udp_send(test.peer, &test.at, "x", 1);
        sys_fault_set(SYS_FAULT_FAIL, n);
        (void)loop_turn(test.loop, 1000);
        hit = sys_fault_hit();
        assert_non_null(hit);
        if (strcmp(hit, "map") == 0) {
            sys_fault_set(SYS_FAULT_NONE, 0);
            assert_int_equal(test.pool.n_full, 1);
            turn_at_once(test.loop, 3);
            assert_null(test.pool.batch); /* nobody has woken it again */
            udp_send(test.peer, &test.at, "y", 1);
            TURN_UNTIL(test.loop, test.n_received == 1);
            assert_memory_equal(test.last, "y", 1);
        }
        sys_fault_set(SYS_FAULT_NONE, 0);
        end();
    }
}

static void datagrams_of_any_size_come_and_go(void **state)
{
    static const size_t sizes[] = {0, 1, 1472, 1473, 9000, MAX_DATAGRAM};
    static const char *const ips[] = {"127.0.0.1", "::1"};
    static uint8_t bytes[MAX_DATAGRAM];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i % 251);
    for (size_t k = 0; k < N_ITEMS(ips); k++) {
        begin_with(backend_of(state));
        open_both(ips[k]);
        test.answer = echo;
        for (unsigned i = 0; i < N_ITEMS(sizes); i++) {
            udp_send(test.peer, &test.at, bytes, sizes[i]);
            expect(bytes, sizes[i]);
            assert_int_equal(test.n_received, i + 1);
            assert_int_equal(test.n_last, sizes[i]);
            assert_true(addr_equal(&test.last_from, &test.peer_at, true));
        }
        end();
    }
}

/* Of every size that makes runs begin, go on and end. */
static size_t size_of(unsigned i)
{
    static const size_t sizes[] = {1200, 1200, 1200, 400, 1200, 0, 0, 1200, 1200, 1201, 2000, 2000};
    return sizes[i % N_ITEMS(sizes)];
}

static void a_burst_keeps_its_order_and_its_bytes(void **state)
{
    enum { N = 100 };
    uint8_t bytes[2048];
    begin(state);
    test.answer = echo;
    for (unsigned i = 0; i < N; i++) {
        memset(bytes, (int)i, sizeof bytes);
        udp_send(test.peer, &test.at, bytes, size_of(i));
    }
    for (unsigned i = 0; i < N; i++) {
        memset(bytes, (int)i, sizeof bytes);
        expect(bytes, size_of(i));
    }
    assert_int_equal(test.pool.n_unsent + test.pool.n_full, 0);
    end();
}

static struct addr third_at;

static void send_to_both(const struct addr *from, uint8_t *bytes, size_t n)
{
    datagram_send(&test.sock, from, bytes, n);
    datagram_send(&test.sock, &third_at, bytes, n);
}

static void each_target_gets_its_own(void **state)
{
    char bytes[16];
    struct addr from;
    begin(state);
    third_at = tcp_addr("127.0.0.1", 0);
    int third = udp_open(&third_at);
    test.answer = send_to_both;
    for (int i = 0; i < 20; i++)
        udp_send(test.peer, &test.at, &(char){(char)i}, 1);
    for (int i = 0; i < 20; i++)
        expect(&(char){(char)i}, 1);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(udp_receive(third, bytes, sizeof bytes, &from), 1);
        assert_int_equal(bytes[0], i);
    }
    close(third);
    end();
}

/* The system call after this, which sends what is gathered, fails. */
static void echo_before_a_fault(const struct addr *from, uint8_t *bytes, size_t n)
{
    sys_fault_set(SYS_FAULT_FAIL, 1);
    echo(from, bytes, n);
}

static void a_system_that_takes_no_runs_gets_them_one_by_one(void **state)
{
    static const uint8_t bytes[100] = {7};
    begin(state);
    test.answer = echo_before_a_fault;
    for (int i = 0; i < 5; i++)
        udp_send(test.peer, &test.at, bytes, sizeof bytes);
    TURN_UNTIL(test.loop, test.n_received == 5);
    assert_string_equal(sys_fault_hit(), "sendmmsg");
    sys_fault_set(SYS_FAULT_NONE, 0);
    assert_true(test.sock.is_plain);
    for (int i = 0; i < 5; i++)
        expect(bytes, sizeof bytes);
    assert_int_equal(test.pool.n_unsent, 0);
    end();
}

/* ---- naps ---- */

static void receive_one(void)
{
    unsigned n = test.n_received;
    udp_send(test.peer, &test.at, "x", 1);
    TURN_UNTIL(test.loop, test.n_received == n + 1);
}

/* One after the other, till they come densely enough; a busy machine needs several attempts. */
static void receive_until_it_naps(void)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (!test.sock.naps) {
        assert_true(now_ms() < give_up);
        receive_one();
    }
}

static void datagrams_that_come_densely_are_read_together(void **state)
{
    begin(state);
    receive_until_it_naps();
    unsigned n = test.n_received;
    uint64_t since_us = loop_now_us(test.loop);
    for (unsigned i = 0; i < 3; i++)
        udp_send(test.peer, &test.at, "x", 1);
    assert_true(loop_turn(test.loop, -1));
    assert_true(loop_now_us(test.loop) - since_us >= LOOP_NAP_US);
    assert_int_equal(test.n_received, n + 3);
    assert_true(test.sock.naps);
    end();
}

static void when_a_nap_brings_no_second_datagram_there_is_none_for_a_while(void **state)
{
    static const unsigned brought[] = {0, 1};
    for (size_t i = 0; i < N_ITEMS(brought); i++) {
        begin(state);
        receive_until_it_naps();
        if (brought[i] == 1)
            udp_send(test.peer, &test.at, "x", 1);
        TURN_UNTIL(test.loop, !test.sock.naps);
        uint64_t since_us = loop_now_us(test.loop);
        while (loop_now_us(test.loop) - since_us < 9000) {
            assert_false(test.sock.naps);
            receive_one(); /* it is woken for it */
        }
        end();
    }
}

static void datagrams_that_come_now_and_then_let_nobody_nap(void **state)
{
    begin(state);
    for (unsigned i = 0; i < 40; i++) {
        receive_one();
        assert_false(test.sock.naps);
        sys_pause(1);
    }
    end();
}

/* ---- queues ---- */

/* What the system does not take is said by a call that is late: that needs the poll backend. */
static void begin_blocked(void)
{
    begin_with(LOOP_POLL);
    open_both("127.0.0.1");
    assert_true(loop_turn(test.loop, 0));
}

static void send_blocked(const void *bytes, size_t n)
{
    sys_fault_set(SYS_FAULT_LATE, 0);
    datagram_send(&test.sock, &test.peer_at, (uint8_t *)(uintptr_t)bytes, n);
    sys_fault_set(SYS_FAULT_NONE, 0);
}

static void what_the_system_does_not_take_is_sent_later_in_order(void **state)
{
    (void)state;
    begin_blocked();
    send_blocked("one", 3);
    send_blocked("", 0);
    send_blocked("three", 5);
    /* This one could go, and must not overtake them. */
    datagram_send(&test.sock, &test.peer_at, (uint8_t *)(uintptr_t) "four", 4);
    assert_true(test.n_held > 12);
    expect("one", 3);
    expect("", 0);
    expect("three", 5);
    expect("four", 4);
    assert_int_equal(test.n_held, 0);
    assert_int_equal(test.sock.queued_bytes, 0);
    turn_at_once(test.loop, 3);
    assert_int_equal(test.sock.watch.want, LOOP_READ);
    end();
}

static void acc_75_a_queue_is_capped_and_what_is_beyond_is_counted(void **state)
{
    static const uint8_t bytes[1000];
    (void)state;
    begin_blocked();
    for (int i = 0; i < 1000; i++)
        send_blocked(bytes, sizeof bytes);
    assert_true(test.sock.queued_bytes <= DATAGRAM_QUEUE_BYTES);
    assert_true(test.sock.queued_bytes > DATAGRAM_QUEUE_BYTES / 2);
    assert_int_equal(test.n_held, test.sock.queued_bytes);
    uint64_t n_dropped = test.pool.n_full;
    assert_true(n_dropped > 500 && n_dropped < 1000);
    /* Empty ones take their place too. */
    for (int i = 0; i < 100000; i++)
        send_blocked("", 0);
    assert_true(test.sock.queued_bytes <= DATAGRAM_QUEUE_BYTES);
    end();
}

static void queues_keep_to_the_budget_of_all(void **state)
{
    static const uint8_t bytes[1000];
    (void)state;
    begin_blocked();
    test.max_held = 5000;
    for (int i = 0; i < 10; i++)
        send_blocked(bytes, sizeof bytes);
    assert_true(test.n_held <= 5000 && test.n_held >= 4000);
    assert_true(test.pool.n_full >= 6);
    end();
}

/* ---- errors ---- */

static void an_icmp_error_ends_nothing(void **state)
{
    begin(state);
    datagram_connect(&test.sock, &test.peer_at);
    assert_true(test.sock.is_connected);
    close(test.peer);
    for (int i = 0; i < 5; i++) {
        datagram_send(&test.sock, &test.peer_at, (uint8_t *)(uintptr_t) "lost", 4);
        turn_at_once(test.loop, 2);
    }
    assert_true(datagram_is_open(&test.sock));
    test.peer = udp_open(&test.peer_at);
    datagram_send(&test.sock, &test.peer_at, (uint8_t *)(uintptr_t) "again", 5);
    expect("again", 5);
    udp_send(test.peer, &test.at, "back", 4);
    TURN_UNTIL(test.loop, test.n_received == 1);
    end();
}

static void a_connected_socket_hears_only_its_peer(void **state)
{
    begin(state);
    third_at = tcp_addr("127.0.0.1", 0);
    int third = udp_open(&third_at);
    datagram_connect(&test.sock, &test.peer_at);
    udp_send(third, &test.at, "no", 2);
    udp_send(test.peer, &test.at, "yes", 3);
    TURN_UNTIL(test.loop, test.n_received == 1);
    turn_at_once(test.loop, 2);
    assert_int_equal(test.n_received, 1);
    assert_memory_equal(test.last, "yes", 3);
    close(third);
    end();
}

static void what_the_system_refuses_is_dropped_and_counted(void **state)
{
    static uint8_t too_large[65535];
    begin(state);
    datagram_send(&test.sock, &test.peer_at, too_large, sizeof too_large);
    assert_int_equal(test.pool.n_unsent, 1);
    datagram_send(&test.sock, &test.peer_at, (uint8_t *)(uintptr_t) "after", 5);
    expect("after", 5);
    end();
}

static void what_comes_faster_than_it_is_read_is_counted(void **state)
{
    static const uint8_t bytes[1200];
    begin(state);
    for (int i = 0; i < 3000; i++)
        udp_send(test.peer, &test.at, bytes, sizeof bytes);
    TURN_UNTIL(test.loop, test.n_received > 0);
    uint64_t n_received;
    do {
        n_received = test.n_received;
        turn_at_once(test.loop, 1);
    } while (test.n_received > n_received);
    assert_true(n_received < 3000);
    end();
    assert_int_equal(test.pool.n_overrun, 3000 - n_received);
}

static void on_closing(const struct addr *from, uint8_t *bytes, size_t n)
{
    datagram_send(&test.sock, from, bytes, n);
    datagram_close(&test.sock);
}

static void closing_in_the_middle_of_a_batch_sends_what_was_gathered(void **state)
{
    begin(state);
    test.answer = on_closing;
    for (int i = 0; i < 3; i++)
        udp_send(test.peer, &test.at, "last", 4);
    expect("last", 4);
    turn_at_once(test.loop, 2);
    assert_int_equal(test.n_received, 1);
    end();
}

/* ---- opening ---- */

static void ports_are_those_that_were_named(void **state)
{
    enum { N = 3 };
    struct datagram_sock socks[N + 1];
    begin(state);
    uint16_t first = 0;
    /* Three ports in a row that are free now. */
    for (uint16_t from = 42000; first == 0; from += N) {
        bool are_free = true;
        for (uint16_t i = 0; i < N; i++) {
            int fd;
            struct addr at = tcp_addr("127.0.0.1", (uint16_t)(from + i));
            are_free &= udp_try_open(&fd, &at);
            if (are_free)
                close(fd);
        }
        if (are_free)
            first = from;
    }
    unsigned seen = 0;
    for (int i = 0; i < N; i++) {
        struct addr at = tcp_addr("127.0.0.1", 0);
        assert_int_equal(datagram_open_at(&socks[i], &test.pool, &at, first,
                                          (uint16_t)(first + N - 1), on_datagram),
                         ERR_NONE);
        assert_in_range(at.port, first, first + N - 1);
        seen |= 1u << (at.port - first);
    }
    assert_int_equal(seen, (1 << N) - 1);
    struct addr at = tcp_addr("127.0.0.1", 0);
    assert_int_equal(
        datagram_open_at(&socks[N], &test.pool, &at, first, (uint16_t)(first + N - 1), on_datagram),
        ERR_PORTS);
    for (int i = 0; i < N; i++)
        datagram_close(&socks[i]);
    end();
}

static void a_socket_towards_others_speaks_from_where_it_is_told(void **state)
{
    struct datagram_sock sock;
    struct addr from;
    char bytes[16];
    struct sock_options options = {.bind4 = tcp_addr("127.0.0.5", 0)};
    begin(state);
    assert_int_equal(datagram_open_towards(&sock, &test.pool, ADDR_V4, &options, on_datagram),
                     ERR_NONE);
    datagram_send(&sock, &test.peer_at, (uint8_t *)(uintptr_t) "x", 1);
    assert_int_equal(udp_receive(test.peer, bytes, sizeof bytes, &from), 1);
    options.bind4.port = from.port;
    assert_true(addr_equal(&from, &options.bind4, true));
    datagram_close(&sock);
    /* With an address for the one family the other is not spoken. */
    options.bind4.port = 0;
    size_t n_fds = count_fds();
    assert_int_equal(datagram_open_towards(&sock, &test.pool, ADDR_V6, &options, on_datagram),
                     ERR_NET_UNREACH);
    assert_int_equal(count_fds(), n_fds);
    end();
}

static int forget_faults(void **state)
{
    (void)state;
    sys_fault_set(SYS_FAULT_NONE, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(nothing_is_mapped_before_the_first_datagram),
        ON_BOTH(without_memory_for_slots_what_comes_is_dropped),
        ON_BOTH(datagrams_of_any_size_come_and_go),
        ON_BOTH(a_burst_keeps_its_order_and_its_bytes),
        ON_BOTH(each_target_gets_its_own),
        ON_BOTH(a_system_that_takes_no_runs_gets_them_one_by_one),
        ON_BOTH(datagrams_that_come_densely_are_read_together),
        ON_BOTH(when_a_nap_brings_no_second_datagram_there_is_none_for_a_while),
        ON_BOTH(datagrams_that_come_now_and_then_let_nobody_nap),
        cmocka_unit_test_teardown(what_the_system_does_not_take_is_sent_later_in_order,
                                  forget_faults),
        cmocka_unit_test_teardown(acc_75_a_queue_is_capped_and_what_is_beyond_is_counted,
                                  forget_faults),
        cmocka_unit_test_teardown(queues_keep_to_the_budget_of_all, forget_faults),
        ON_BOTH(an_icmp_error_ends_nothing),
        ON_BOTH(a_connected_socket_hears_only_its_peer),
        ON_BOTH(what_the_system_refuses_is_dropped_and_counted),
        ON_BOTH(what_comes_faster_than_it_is_read_is_counted),
        ON_BOTH(closing_in_the_middle_of_a_batch_sends_what_was_gathered),
        ON_BOTH(ports_are_those_that_were_named),
        ON_BOTH(a_socket_towards_others_speaks_from_where_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
