/* A flow's life: admission, time limits, both directions' ends, and what is said of it in the log. */
#include "flows.h"

#define REQUEST4 "\x04\x01\x00\x50\xcb\x00\x71\x05\0"
#define N_REQUEST4 9
#define BOUND4 "\x00\x5a\x03\xe7\xc0\x00\x02\x09"
#define NO4 "\x00\x5b\x00\x00\x00\x00\x00\x00"

static const struct flow_limits limits = {
    .connect_ms = 8000,
    .handshake_ms = 10000,
    .idle_ms = 80000,
    .half_closed_ms = 40000,
    .keepalive_s = 60,
};

static void begin(void **state)
{
    flows_begin(backend_of(state), &inbound_socks, limits);
    flows_set(state);
}

/* A client that is being relayed. */
static int relayed(void)
{
    int client = flows_client();
    flows_send(client, REQUEST4, N_REQUEST4, false);
    flows_expect(client, BOUND4, 8);
    return client;
}

/* A client whose opening is under way. */
static int opening(void)
{
    flows.answer = ERR_AGAIN;
    int client = flows_client();
    flows_send(client, REQUEST4, N_REQUEST4, false);
    FLOWS_UNTIL(flows.pending != NULL);
    return client;
}

static void close_origin(void)
{
    far_close(flows.origin);
    flows.origin = -1;
}

static bool has_line(const char *part)
{
    return strstr(flows.lines, part) != NULL;
}

/* ---- admission ---- */

static bool is_admitted(int client)
{
    flows_settle();
    return flows_is_silent(client);
}

static void acc_50_beyond_the_limits_of_connections_clients_are_closed(void **state)
{
    for (int of_inbound = 0; of_inbound < 2; of_inbound++) {
        begin(state);
        *(of_inbound ? &flows.inbound.max_connections : &flows.env.limits.max_connections) = 2;
        int first = flows_client(), second = flows_client(), third = flows_client();
        assert_true(is_admitted(first) && is_admitted(second));
        flows_expect_end(third, 0);
        assert_int_equal(flows.env.counters.refused[REFUSAL_CONNECTIONS], 1);
        far_close(first);
        FLOWS_UNTIL(flows.n_ended == 1);
        int fourth = flows_client();
        assert_true(is_admitted(fourth));
        assert_int_equal(flows.env.counters.accepted, 4);
        far_close(second);
        far_close(third);
        far_close(fourth);
        FLOWS_UNTIL(list_empty(&flows.env.live));
        flows_end();
    }
}

static void beyond_per_client_an_address_is_closed_and_others_are_not(void **state)
{
    begin(state);
    flows.inbound.max_per_client = 1;
    int first = flows_client_from("192.0.2.7"), second = flows_client_from("::ffff:192.0.2.7"),
        other = flows_client_from("192.0.2.8");
    assert_true(is_admitted(first) && is_admitted(other));
    flows_expect_end(second, 0);
    assert_int_equal(flows.env.counters.refused[REFUSAL_PER_CLIENT], 1);
    far_close(first);
    far_close(second);
    far_close(other);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

static void acc_35_clients_that_are_not_allowed_are_closed_and_logged(void **state)
{
    static struct cidr allowed, denied;
    begin(state);
    assert_int_equal(cidr_parse(&allowed, "192.0.2.0/24", 12), ERR_NONE);
    assert_int_equal(cidr_parse(&denied, "192.0.2.66", 10), ERR_NONE);
    flows.inbound.allow = (struct cidr_list){&allowed, 1};
    flows.inbound.deny = (struct cidr_list){&denied, 1};
    int mapped = flows_client_from("::ffff:192.0.2.7"), wrong = flows_client_from("198.51.100.1"),
        bad = flows_client_from("192.0.2.66");
    assert_true(is_admitted(mapped));
    flows_expect_end(wrong, 0);
    flows_expect_end(bad, 0);
    assert_int_equal(flows.env.counters.refused[REFUSAL_CLIENT], 2);
    assert_true(has_line(" flow in=in from=198.51.100.1:4242 end=denied\n"));
    assert_true(has_line(" flow in=in from=192.0.2.66:4242 end=denied\n"));
    far_close(mapped);
    far_close(wrong);
    far_close(bad);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

static void a_refusal_that_comes_a_thousand_times_is_said_once_a_minute(void **state)
{
    begin(state);
    flows.env.limits.max_connections = 1;
    int first = flows_client();
    for (int i = 0; i < 100; i++)
        far_close(flows_client());
    assert_int_equal(flows.env.counters.refused[REFUSAL_CONNECTIONS], 100);
    assert_true(has_line(" warn refused in=in from=192.0.2.7:4242 why=connections n=1\n"));
    assert_ptr_equal(strchr(flows.lines, '\n'), strrchr(flows.lines, '\n'));
    flows.env.limits.handshake_ms = 0;
    far_close(first);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    first = flows_client();
    flows_pass(59999);
    far_close(first);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    first = flows_client();
    flows_pass(1);
    far_close(flows_client());
    assert_true(has_line("why=connections n=100\n"));
    far_close(first);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

/* ---- times ---- */

static void a_handshake_has_its_time_and_single_bytes_do_not_prolong_it(void **state)
{
    begin(state);
    int client = flows_client();
    for (int i = 0; i < 7; i++) {
        flows_pass(1400);
        flows_send(client, &REQUEST4[i], 1, false);
    }
    flows_pass(199);
    assert_true(flows_is_silent(client));
    flows_pass(1);
    flows_expect_end(client, 0);
    assert_true(has_line("end=timeout\n"));
    assert_int_equal(flows.env.counters.refused[REFUSAL_HANDSHAKE], 1);
    far_close(client);
    flows_end();
}

static void acc_50_opening_has_its_time_and_then_it_is_cancelled(void **state)
{
    begin(state);
    int client = opening();
    flows_pass(7999);
    assert_true(flows_is_silent(client));
    flows_pass(1);
    flows_expect(client, NO4, 8);
    flows_expect_end(client, 0);
    assert_int_equal(flows.n_cancelled, 1);
    far_close(client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    assert_true(has_line("end=timeout\n"));
    flows_end();
}

static void acc_50_an_idle_flow_ends_with_a_reset_after_idle_ms_and_a_quarter(void **state)
{
    begin(state);
    int client = relayed();
    /* Traffic in either direction keeps it. */
    for (int i = 0; i < 10; i++) {
        flows_pass(60000);
        far_send_all(i % 2 ? client : flows.origin, "x", 1);
        flows_expect(i % 2 ? flows.origin : client, "x", 1);
    }
    flows_pass(79999);
    assert_true(flows_is_silent(client));
    flows_pass(20001);
    flows_expect_end(client, ECONNRESET);
    flows_expect_end(flows.origin, ECONNRESET);
    assert_true(has_line("up=5 down=5 ms=700000 end=idle\n"));
    far_close(client);
    flows_end();
}

static void after_one_fin_half_closed_ms_holds(void **state)
{
    for (int from_client = 0; from_client < 2; from_client++) {
        begin(state);
        int client = relayed();
        int ends = from_client ? client : flows.origin, other = from_client ? flows.origin : client;
        far_shutdown(ends);
        flows_expect_end(other, 0);
        flows_pass(39000);
        far_send_all(other, "x", 1);
        flows_expect(ends, "x", 1);
        flows_pass(39999);
        assert_true(flows_is_silent(ends));
        flows_pass(10001);
        flows_expect_end(ends, ECONNRESET);
        assert_true(has_line("end=idle\n"));
        far_close(client);
        close_origin();
        flows_end();
    }
}

static void without_limits_nothing_ends_by_itself(void **state)
{
    flows_begin(backend_of(state), &inbound_socks, (struct flow_limits){0});
    flows_set(state);
    int silent = flows_client(), client = relayed();
    flows_pass(UINT64_C(365) * 86400 * 1000);
    assert_true(flows_is_silent(silent) && flows_is_silent(client));
    assert_true(timer_heap_next(loop_timers(flows.env.loop)) == UINT64_MAX);
    far_close(silent);
    far_close(client);
    close_origin();
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

static void acc_82_keepalive_is_set_on_both_sides_of_what_has_lasted(void **state)
{
    struct flow_limits with_keepalive = limits;
    with_keepalive.keepalive_s = 77;
    flows_begin(backend_of(state), &inbound_socks, with_keepalive);
    int client = relayed();
    struct flow *flow = CONTAINER_OF(flows.env.live.next, struct flow, link);
    for (int has_lasted = 0; has_lasted < 2; has_lasted++) {
        int fds[] = {flow->client->fd, flow->target->fd};
        for (size_t i = 0; i < 2; i++) {
            int value = -1;
            socklen_t n = sizeof value;
            assert_int_equal(getsockopt(fds[i], SOL_SOCKET, SO_KEEPALIVE, &value, &n), 0);
            assert_int_equal(value, has_lasted);
        }
        flows_pass(2000);
    }
    far_close(client);
    close_origin();
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

/* ---- ends ---- */

static void acc_53_all_four_closing_orders_deliver_everything(void **state)
{
    enum { CLIENT_FIRST, ORIGIN_FIRST, CLIENT_HALF, ORIGIN_HALF, N_ORDERS };
    for (int order = 0; order < N_ORDERS; order++) {
        begin(state);
        int client = relayed();
        int ends = order == CLIENT_FIRST || order == CLIENT_HALF ? client : flows.origin;
        int other = ends == client ? flows.origin : client;
        far_send_all(ends, "last words", 10);
        if (order >= CLIENT_HALF) {
            far_shutdown(ends);
            flows_expect(other, "last words", 10);
            flows_expect_end(other, 0);
            flows_settle();
            far_send_all(other, "answer", 6);
            far_close(other);
            flows_expect(ends, "answer", 6);
            flows_expect_end(ends, 0);
            far_close(ends);
        } else {
            far_close(ends);
            flows_expect(other, "last words", 10);
            flows_expect_end(other, 0);
            far_close(other);
        }
        flows.origin = -1;
        FLOWS_UNTIL(list_empty(&flows.env.live));
        assert_true(has_line("end=closed\n"));
        flows_end();
    }
}

static void a_reset_on_one_side_becomes_a_reset_on_the_other(void **state)
{
    for (int from_client = 0; from_client < 2; from_client++) {
        for (int half_closed = 0; half_closed < 2; half_closed++) {
            begin(state);
            int client = relayed(), origin = flows.origin;
            int breaks = from_client ? client : origin, other = from_client ? origin : client;
            if (half_closed) {
                far_shutdown(other);
                flows_expect_end(breaks, 0);
            }
            far_reset(breaks);
            flows_expect_end(other, ECONNRESET);
            flows.origin = -1;
            far_close(other);
            FLOWS_UNTIL(list_empty(&flows.env.live));
            assert_true(has_line("end=reset\n"));
            flows_end();
        }
    }
}

static void a_reset_is_noticed_though_the_other_side_takes_no_more(void **state)
{
    for (int from_client = 0; from_client < 2; from_client++) {
        begin(state);
        int client = relayed(), origin = flows.origin;
        int breaks = from_client ? client : origin, other = from_client ? origin : client;
        /* Until the flow holds bytes and reads no more. */
        for (int n_full = 0; n_full < 20;) {
            n_full = far_fill(breaks) == 0 ? n_full + 1 : 0;
            assert_true(loop_turn(flows.env.loop, 1));
        }
        far_reset(breaks);
        FLOWS_UNTIL(list_empty(&flows.env.live));
        assert_true(has_line("end=reset\n"));
        flows.origin = -1;
        far_close(other);
        flows_end();
    }
}

static void a_client_gone_while_opening_cancels_it(void **state)
{
    for (int resets = 0; resets < 2; resets++) {
        begin(state);
        int client = opening();
        if (resets)
            far_reset(client);
        else
            far_close(client);
        FLOWS_UNTIL(list_empty(&flows.env.live));
        assert_int_equal(flows.n_cancelled, 1);
        assert_true(has_line(" flow in=in out=out from=192.0.2.7:4242 to=203.0.113.5:80 "));
        assert_true(has_line("end=reset\n"));
        flows_end();
    }
}

static void a_client_that_has_sent_bytes_and_its_fin_while_opening_is_served(void **state)
{
    begin(state);
    int client = opening();
    flows_send(client, "question", 8, false);
    flows_settle();
    far_shutdown(client);
    flows_settle();
    assert_int_equal(flows.n_cancelled, 0);
    flows_open(ERR_NONE);
    flows_expect(client, BOUND4, 8);
    flows_expect(flows.origin, "question", 8);
    flows_expect_end(flows.origin, 0);
    far_send_all(flows.origin, "answer", 6);
    close_origin();
    flows_expect(client, "answer", 6);
    flows_expect_end(client, 0);
    far_close(client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    assert_true(has_line("up=8 down=6 "));
    flows_end();
}

static void what_a_client_sends_while_opening_waits_in_the_system(void **state)
{
    begin(state);
    int client = opening();
    size_t n = 0;
    for (int n_full = 0; n_full < 5;) {
        size_t sent = far_fill(client);
        n += sent;
        n_full = sent == 0 ? n_full + 1 : 0;
        assert_true(loop_turn(flows.env.loop, 1));
        assert_true(flows.shared.n_held_bytes <= 64 * 1024);
    }
    flows_open(ERR_NONE);
    flows_expect(client, BOUND4, 8);
    static char bytes[1 << 16];
    uint64_t give_up = now_ms() + PATIENCE_MS;
    for (size_t n_got = 0; n_got < n;) {
        assert_true(now_ms() < give_up);
        assert_true(loop_turn(flows.env.loop, 1));
        ssize_t got = far_receive(flows.origin, bytes, sizeof bytes);
        n_got += got > 0 ? (size_t)got : 0;
    }
    far_close(client);
    close_origin();
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

static void a_client_gone_in_its_handshake_leaves_nothing(void **state)
{
    for (size_t n = 0; n < N_REQUEST4; n++) {
        for (int resets = 0; resets < 2; resets++) {
            begin(state);
            int client = flows_client();
            flows_send(client, REQUEST4, n, false);
            flows_settle();
            if (resets)
                far_reset(client);
            else
                far_close(client);
            FLOWS_UNTIL(list_empty(&flows.env.live));
            assert_int_equal(flows.env.counters.refused[REFUSAL_HANDSHAKE], 1);
            flows_end();
        }
    }
}

static void a_refused_client_that_goes_on_sending_gets_its_answer_and_a_moment(void **state)
{
    begin(state);
    flows.answer = ERR_REFUSED;
    int client = flows_client();
    flows_send(client, REQUEST4, N_REQUEST4, false);
    flows_send(client, "more", 4, false);
    flows_settle();
    flows_send(client, "and more", 8, false);
    flows_expect(client, NO4, 8);
    flows_expect_end(client, 0);
    flows_pass(999);
    assert_false(list_empty(&flows.env.live));
    flows_pass(1);
    assert_true(list_empty(&flows.env.live));
    assert_true(has_line("end=refused\n"));
    far_close(client);
    flows_end();
}

static void at_the_programs_end_all_are_reset(void **state)
{
    begin(state);
    int in_handshake = flows_client(), in_relay = relayed(), in_opening = opening();
    flow_end_all(&flows.env);
    assert_int_equal(flows.n_cancelled, 1);
    assert_int_equal(flows.env.counters.ended[FLOW_END_SHUTDOWN], 3);
    flows_expect_end(in_handshake, ECONNRESET);
    flows_expect_end(in_opening, ECONNRESET);
    flows_expect_end(in_relay, ECONNRESET);
    flows_expect_end(flows.origin, ECONNRESET);
    far_close(in_handshake);
    far_close(in_opening);
    far_close(in_relay);
    flows_end();
}

static void the_log_line_has_all_that_is_known(void **state)
{
    begin(state);
    int client = relayed();
    far_send_all(client, "abc", 3);
    flows_expect(flows.origin, "abc", 3);
    far_send_all(flows.origin, "hello", 5);
    flows_expect(client, "hello", 5);
    struct counters live = {0};
    flow_count_live(&flows.env, &live);
    assert_int_equal(live.bytes_up, 3);
    assert_int_equal(live.bytes_down, 5);
    flows_pass(1234);
    far_close(client);
    close_origin();
    FLOWS_UNTIL(list_empty(&flows.env.live));
    assert_string_equal(flows.lines,
                        "1970-01-01T00:00:00.000Z info flow in=in out=out from=192.0.2.7:4242 "
                        "to=203.0.113.5:80 up=3 down=5 ms=1234 end=closed\n");
    assert_int_equal(flows.env.counters.ended[FLOW_END_CLOSED], 1);
    flows_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL_AND_HESITANT(acc_50_beyond_the_limits_of_connections_clients_are_closed),
        ON_ALL_AND_HESITANT(beyond_per_client_an_address_is_closed_and_others_are_not),
        ON_ALL_AND_HESITANT(acc_35_clients_that_are_not_allowed_are_closed_and_logged),
        ON_ALL_AND_HESITANT(a_refusal_that_comes_a_thousand_times_is_said_once_a_minute),
        ON_ALL_AND_HESITANT(a_handshake_has_its_time_and_single_bytes_do_not_prolong_it),
        ON_ALL_AND_HESITANT(acc_50_opening_has_its_time_and_then_it_is_cancelled),
        ON_ALL_AND_HESITANT(acc_50_an_idle_flow_ends_with_a_reset_after_idle_ms_and_a_quarter),
        ON_ALL_AND_HESITANT(after_one_fin_half_closed_ms_holds),
        ON_ALL_AND_HESITANT(without_limits_nothing_ends_by_itself),
        ON_BOTH(acc_82_keepalive_is_set_on_both_sides_of_what_has_lasted),
        ON_ALL_AND_HESITANT(acc_53_all_four_closing_orders_deliver_everything),
        ON_ALL_AND_HESITANT(a_reset_on_one_side_becomes_a_reset_on_the_other),
        ON_ALL_AND_HESITANT(a_reset_is_noticed_though_the_other_side_takes_no_more),
        ON_ALL_AND_HESITANT(a_client_gone_while_opening_cancels_it),
        ON_ALL_AND_HESITANT(a_client_that_has_sent_bytes_and_its_fin_while_opening_is_served),
        ON_ALL_AND_HESITANT(what_a_client_sends_while_opening_waits_in_the_system),
        ON_ALL_AND_HESITANT(a_client_gone_in_its_handshake_leaves_nothing),
        ON_ALL_AND_HESITANT(a_refused_client_that_goes_on_sending_gets_its_answer_and_a_moment),
        ON_ALL_AND_HESITANT(at_the_programs_end_all_are_reset),
        ON_ALL_AND_HESITANT(the_log_line_has_all_that_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
