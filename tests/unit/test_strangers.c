/* Connections of whom nobody knows whether they have the key: silence, and room for the others. */
#include "flows.h"

#include "tunnel/strangers.h"

static struct strangers strangers;
static unsigned n_evicted;

static void fill(struct rng *rng, void *bytes, size_t n)
{
    static uint64_t seed = 7;
    (void)rng;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)random_below(&seed, 256);
}

static void begin(void **state)
{
    static struct rng rng = {.fill = fill};
    flows_begin(backend_of(state), &inbound_relay, (struct flow_limits){.idle_ms = 10});
    flows.shared.max_by_descriptors = 1000;
    strangers_init(&strangers, &flows.env, &rng, 1);
    n_evicted = 0;
}

static void end(void)
{
    strangers_close_all(&strangers);
    assert_int_equal(flows.shared.n_silent, 0);
    turn_at_once(flows.env.loop, 2);
    strangers_deinit(&strangers);
    flows_end();
}

static struct endpoint *connect_one(int *far)
{
    int fds[2];
    struct sock *sock;
    tcp_pair(fds);
    *far = fds[1];
    assert_int_equal(sock_new(&sock, flows.env.loop, &flows.env.socks, fds[0], 0, NULL, NULL),
                     ERR_NONE);
    return &sock->ep;
}

static void on_evicted(struct stranger *stranger)
{
    n_evicted++;
    endpoint_close(stranger->owner, false);
    stranger_leave(stranger);
}

static struct stranger *come(int *far)
{
    struct endpoint *ep = connect_one(far);
    struct stranger *stranger = strangers_admit(&strangers, on_evicted, ep);
    assert_non_null(stranger);
    return stranger;
}

static int come_and_fall_silent(void)
{
    int far;
    struct stranger *stranger = come(&far);
    stranger_silence(stranger, stranger->owner);
    return far;
}

static void who_is_silent_is_read_and_told_nothing_until_the_fin(void **state)
{
    static const size_t sizes[] = {0, 1, 103, 4096, 64 * 1024, 64 * 1024 + 1, 1 << 20};
    for (size_t i = 0; i < N_ITEMS(sizes); i++) {
        begin(state);
        int far = come_and_fall_silent();
        uint64_t give_up = now_ms() + PATIENCE_MS;
        static const char bytes[16 * 1024];
        for (size_t n = 0; n < sizes[i];) {
            size_t left = sizes[i] - n;
            ssize_t sent =
                send(far, bytes, left < sizeof bytes ? left : sizeof bytes, MSG_NOSIGNAL);
            n += sent > 0 ? (size_t)sent : 0;
            flows_pass(100);
            assert_true(now_ms() < give_up);
        }
        flows_pass(1000000000);
        assert_true(flows_is_silent(far));
        assert_int_equal(strangers.n, 1);
        shutdown(far, SHUT_WR);
        flows_pass(100);
        flows_expect_end(far, 0);
        assert_int_equal(strangers.n, 0);
        close(far);
        end();
    }
}

/* Else who sends more than others would be known by the time that its end takes. */
static void a_fin_is_met_at_once_behind_less_than_a_turns_share(void **state)
{
    begin(state);
    int far = come_and_fall_silent();
    char bytes[60000] = {0};
    tcp_send(far, bytes, sizeof bytes);
    shutdown(far, SHUT_WR);
    flows_expect_end(far, 0);
    close(far);
    end();
}

static void who_sends_much_is_read_a_piece_at_a_time(void **state)
{
    static const char bytes[400 * 1024];
    begin(state);
    int far = come_and_fall_silent(), room = 2 * sizeof bytes;
    setsockopt(far, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    tcp_send(far, bytes, sizeof bytes);
    shutdown(far, SHUT_WR);
    unsigned n_rests = 0;
    for (; flows_is_silent(far); n_rests++) {
        assert_true(n_rests < 100);
        turn_for(flows.env.loop, 5);
        assert_true(flows_is_silent(far) || n_rests >= 4);
        flows_pass(100);
    }
    flows_expect_end(far, 0);
    close(far);
    end();
}

static void a_reset_ends_it(void **state)
{
    begin(state);
    int far = come_and_fall_silent();
    tcp_reset(far);
    FLOWS_UNTIL(strangers.n == 0);
    end();
}

static void beyond_their_share_one_of_them_goes_for_each_that_comes(void **state)
{
    begin(state);
    flows.shared.max_by_descriptors = 20;
    int silent[10], at_gate[10];
    for (size_t i = 0; i < 5; i++) {
        silent[i] = come_and_fall_silent();
        (void)come(&at_gate[i]);
    }
    assert_int_equal(strangers.n, 10);
    assert_int_equal(flows.env.counters.strangers_evicted, 0);
    for (size_t i = 5; i < 10; i++) {
        silent[i] = come_and_fall_silent();
        (void)come(&at_gate[i]);
        assert_int_equal(strangers.n, 10);
    }
    assert_int_equal(flows.env.counters.strangers_evicted, 10);
    /* By chance: of both kinds, and not the oldest only. */
    assert_in_range(n_evicted, 1, 9);
    flows_settle();
    unsigned n_silent = 0;
    for (size_t i = 0; i < 10; i++) {
        n_silent += flows_is_silent(silent[i]);
        close(silent[i]);
        close(at_gate[i]);
    }
    assert_int_equal(n_silent, n_evicted);
    for (size_t i = 0; i < 10 && strangers.n > 0; i++)
        flows_pass(100);
    end();
}

static void
where_all_descriptors_are_used_a_few_come_and_one_of_them_goes_for_each_further(void **state)
{
    int far[6];
    begin(state);
    flows.shared.n_connections = 1000;
    assert_false(strangers_evict(&strangers));
    for (size_t i = 0; i < 6; i++) {
        far[i] = come_and_fall_silent();
        assert_int_equal(strangers.n, i < 4 ? i + 1 : 4);
    }
    flows.shared.n_connections = 0;
    for (size_t i = 0; i < 6; i++)
        close(far[i]);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(who_is_silent_is_read_and_told_nothing_until_the_fin),
        ON_BOTH(a_fin_is_met_at_once_behind_less_than_a_turns_share),
        ON_BOTH(who_sends_much_is_read_a_piece_at_a_time),
        ON_BOTH(a_reset_ends_it),
        ON_BOTH(beyond_their_share_one_of_them_goes_for_each_that_comes),
        ON_BOTH(where_all_descriptors_are_used_a_few_come_and_one_of_them_goes_for_each_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
