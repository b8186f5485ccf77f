/* Flows that begin with a request, as streams of a tunnel do: admission, the answer, and how they end. */
#include "flows.h"

#include <signal.h>

static struct {
    unsigned n;
    enum err err;
    struct addr bound;
} replied;

static void on_reply(struct flow *flow, enum err err, const struct addr *bound)
{
    (void)flow;
    replied.n++;
    replied.err = err;
    replied.bound = bound != NULL ? *bound : (struct addr){0};
}

static const struct inbound_protocol protocol = {
    .name = "streams", .is_tunnel = true, .reply = on_reply};

static void begin(void **state)
{
    flows_begin(
        backend_of(state), &protocol,
        (struct flow_limits){
            .idle_ms = 1000, .half_closed_ms = 500, .connect_ms = 300, .handshake_ms = 100});
    flows_set(state);
    memset(&replied, 0, sizeof replied);
}

static const struct flow_user *user; /* whose stream the next is; NULL: nobody's */

static struct endpoint *new_stream(int *far)
{
    return memory_new(flows.env.loop, flows.client_kind, far);
}

static enum err give(struct endpoint *client, const char *carrier)
{
    struct addr by = tcp_addr(carrier, 7777), from = tcp_addr("192.0.2.7", 4242);
    struct request request = {.command = REQUEST_CONNECT};
    assert_int_equal(target_parse(&request.target, "example.test:80", 15), ERR_NONE);
    return flow_accept_request(&flows.env, &flows.inbound, user, client, &by, &from, &request);
}

static int come(void)
{
    int far;
    assert_int_equal(give(new_stream(&far), "198.51.100.1"), ERR_NONE);
    return far;
}

static int come_and_open(void)
{
    int far = come();
    assert_int_equal(replied.n, 1);
    assert_int_equal(replied.err, ERR_NONE);
    return far;
}

static void it_is_opened_answered_and_relayed(void **state)
{
    begin(state);
    flows.answer = ERR_AGAIN;
    int far = come();
    assert_string_equal(flows.asked, "example.test:80");
    far_send_all(far, "early", 5);
    flows_settle();
    assert_int_equal(replied.n, 0);
    flows_open(ERR_NONE);
    assert_int_equal(replied.n, 1);
    assert_int_equal(replied.err, ERR_NONE);
    assert_true(addr_equal(&replied.bound, &flows.bound, true));
    flows_expect(flows.origin, "early", 5);
    far_send_all(flows.origin, "answer", 6);
    flows_expect(far, "answer", 6);
    far_shutdown(far);
    flows_expect_end(flows.origin, 0);
    far_send_all(flows.origin, "more", 4);
    flows_expect(far, "more", 4);
    far_shutdown(flows.origin);
    flows_expect_end(far, 0);
    far_close(far);
    flows_settle();
    assert_non_null(strstr(flows.lines, "in=in out=out from=192.0.2.7:4242 to=example.test:80 "
                                        "up=5 down=10 ms=0 end=closed\n"));
    flows_end();
}

static void a_refusal_is_answered_and_ends_the_stream(void **state)
{
    static const enum err errs[] = {ERR_DENIED, ERR_REFUSED, ERR_LOOKUP, ERR_MEMORY};
    for (size_t i = 0; i < N_ITEMS(errs); i++)
        for (int later = 0; later < 2; later++) {
            begin(state);
            flows.answer = later ? ERR_AGAIN : errs[i];
            int far = come();
            if (later)
                flows_open(errs[i]);
            assert_int_equal(replied.n, 1);
            assert_int_equal(replied.err, errs[i]);
            assert_true(list_empty(&flows.env.live));
            flows_settle();
            far_close(far);
            flows_end();
        }
}

static void connect_ms_is_kept(void **state)
{
    begin(state);
    flows.answer = ERR_AGAIN;
    int far = come();
    flows_pass(200); /* beyond handshake_ms, which is another thing */
    assert_int_equal(replied.n, 0);
    flows_pass(200);
    assert_int_equal(replied.n, 1);
    assert_int_equal(replied.err, ERR_TIMEOUT);
    assert_int_equal(flows.n_cancelled, 1);
    far_close(far);
    flows_end();
}

static void limits_count_by_the_carriers_address_and_leave_the_refused_to_the_caller(void **state)
{
    for (int by_client = 0; by_client < 2; by_client++) {
        begin(state);
        flows.inbound.max_per_client = by_client ? 1 : 0;
        flows.inbound.max_connections = by_client ? 0 : 1;
        int far = come_and_open(), refused, other;
        struct endpoint *ep = new_stream(&refused);
        assert_int_equal(give(ep, "198.51.100.1"), ERR_LIMIT);
        endpoint_close(ep, false);
        assert_int_equal(replied.n, 1);
        if (by_client) {
            flows.answer = ERR_REFUSED;
            assert_int_equal(give(new_stream(&other), "198.51.100.2"), ERR_NONE);
            flows.answer = ERR_NONE;
            far_close(other);
        }
        far_reset(far);
        flows_expect_end(flows.origin, ECONNRESET);
        far_close(flows.origin);
        flows.origin = -1;
        int again = come();
        far_reset(again);
        flows_settle();
        far_close(refused);
        flows_end();
    }
}

static void a_users_limit_counts_his_own_streams_only(void **state)
{
    static const struct user_rights rights = {.id = "ann", .per_client = 1};
    static const struct flow_user ann = {"ann", &rights}, bob = {"bob", NULL};
    begin(state);
    user = &ann;
    int far = come_and_open(), refused;
    struct endpoint *ep = new_stream(&refused);
    assert_int_equal(give(ep, "198.51.100.1"), ERR_LIMIT);
    endpoint_close(ep, false);
    flows.answer = ERR_REFUSED;
    int elsewhere, other;
    assert_int_equal(give(new_stream(&elsewhere), "198.51.100.2"), ERR_NONE);
    user = &bob;
    assert_int_equal(give(new_stream(&other), "198.51.100.1"), ERR_NONE);
    flows.answer = ERR_NONE;
    user = &ann;
    far_reset(far);
    flows_expect_end(flows.origin, ECONNRESET);
    far_close(flows.origin);
    flows.origin = -1;
    int again = come();
    far_reset(again);
    user = NULL;
    flows_settle();
    far_close(refused);
    far_close(elsewhere);
    far_close(other);
    flows_end();
}

static void idle_times_are_for_the_near_end_to_count(void **state)
{
    begin(state);
    int far = come_and_open();
    flows_pass(100000);
    far_shutdown(far);
    flows_expect_end(flows.origin, 0);
    flows_pass(100000);
    far_send_all(flows.origin, "late", 4);
    flows_expect(far, "late", 4);
    far_shutdown(flows.origin);
    flows_expect_end(far, 0);
    far_close(far);
    flows_end();
}

static void a_reset_is_a_reset_on_the_other_side(void **state)
{
    for (int of_origin = 0; of_origin < 2; of_origin++) {
        begin(state);
        int far = come_and_open();
        far_send_all(far, "x", 1);
        flows_expect(flows.origin, "x", 1);
        if (of_origin) {
            far_reset(flows.origin);
            flows.origin = -1;
            flows_expect_end(far, ECONNRESET);
            far_close(far);
        } else {
            far_reset(far);
            flows_expect_end(flows.origin, ECONNRESET);
        }
        flows_settle();
        assert_non_null(strstr(flows.lines, "end=reset\n"));
        flows_end();
    }
}

static void who_goes_while_it_is_opened_cancels_but_not_who_has_sent(void **state)
{
    for (int has_sent = 0; has_sent < 2; has_sent++) {
        begin(state);
        flows.answer = ERR_AGAIN;
        int far = come();
        if (has_sent)
            far_send_all(far, "hello", 5);
        far_shutdown(far);
        flows_settle();
        assert_int_equal(flows.n_cancelled, !has_sent);
        if (has_sent) {
            flows_open(ERR_NONE);
            flows_expect(flows.origin, "hello", 5);
            flows_expect_end(flows.origin, 0);
            far_shutdown(flows.origin);
            flows_expect_end(far, 0);
        }
        far_close(far);
        flows_end();
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define ON_STREAMS(test)                                                    \
    FLOWS_ON(test, "client in memory", LOOP_EPOLL, CLIENT_IN_MEMORY),       \
        FLOWS_ON(test, "client lends", LOOP_POLL, CLIENT_IN_MEMORY | LENT), \
        FLOWS_ON(test, "both lend", LOOP_EPOLL, BOTH_IN_MEMORY | LENT)
    const struct CMUnitTest tests[] = {
        ON_STREAMS(it_is_opened_answered_and_relayed),
        ON_STREAMS(a_refusal_is_answered_and_ends_the_stream),
        ON_STREAMS(connect_ms_is_kept),
        ON_STREAMS(limits_count_by_the_carriers_address_and_leave_the_refused_to_the_caller),
        ON_STREAMS(a_users_limit_counts_his_own_streams_only),
        ON_STREAMS(idle_times_are_for_the_near_end_to_count),
        ON_STREAMS(a_reset_is_a_reset_on_the_other_side),
        ON_STREAMS(who_goes_while_it_is_opened_cancels_but_not_who_has_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
