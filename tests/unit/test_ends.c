/* Flows through both ends of a tunnel: what comes out, what is answered, and what carriers that die change: nothing. */
#include "ends.h"

#include <signal.h>

#include "tunnel/datagrams.h"

static void begin(void **state)
{
    flows_begin(backend_of(state), &inbound_relay, (struct flow_limits){.connect_ms = 20000});
    flows_set(state);
    assert_int_equal(target_parse(&flows.inbound.target, "example.test:80", 15), ERR_NONE);
    ends_begin();
}

/* The origin's end is gone already, or is closed here. */
static void finish(int far)
{
    far_close(far);
    if (flows.origin >= 0)
        far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

static int open_one(void)
{
    int far = flows_client();
    FLOWS_UNTIL(flows.origin >= 0);
    return far;
}

static void bytes_go_both_ways_and_each_fin_by_itself(void **state)
{
    begin(state);
    int far = flows_client();
    far_send_all(far, "early", 5);
    FLOWS_UNTIL(flows.origin >= 0);
    assert_string_equal(flows.asked, "example.test:80");
    flows_expect(flows.origin, "early", 5);
    far_send_all(flows.origin, "answer", 6);
    flows_expect(far, "answer", 6);
    far_shutdown(far);
    flows_expect_end(flows.origin, 0);
    far_send_all(flows.origin, "more", 4);
    flows_expect(far, "more", 4);
    far_shutdown(flows.origin);
    flows_expect_end(far, 0);
    finish(far);
}

static void a_reset_comes_out_as_a_reset(void **state)
{
    for (int of_origin = 0; of_origin < 2; of_origin++) {
        begin(state);
        int far = open_one();
        far_send_all(far, "x", 1);
        flows_expect(flows.origin, "x", 1);
        if (of_origin) {
            far_reset(flows.origin);
            flows.origin = -1;
            flows_expect_end(far, ECONNRESET);
        } else {
            far_reset(far);
            flows_expect_end(flows.origin, ECONNRESET);
            far = flows.origin;
            flows.origin = -1;
        }
        finish(far);
    }
}

/* ---- answers ---- */

static void begin_socks(void **state)
{
    begin(state);
    flows.inbound.protocol = &inbound_socks;
}

/* Asks for example.test:80, and expects this reply. */
static int ask(uint8_t code, const char *bound)
{
    static const char request[] = "\5\1\0\5\1\0\3\14example.test\0\120";
    char expected[12] = {5, 0, 5, (char)code, 0, 1};
    int far = flows_client();
    far_send_all(far, request, sizeof request - 1);
    if (code == 0) {
        struct addr addr = tcp_addr(bound, 999);
        memcpy(expected + 6, addr.ip, 4);
        expected[10] = 999 >> 8;
        expected[11] = (char)(999 & 0xff);
    }
    flows_expect(far, expected, sizeof expected);
    return far;
}

static void the_reply_is_the_far_ends_own(void **state)
{
    static const struct {
        enum err err;
        uint8_t code;
    } cases[] = {{ERR_NONE, 0},         {ERR_DENIED, 2}, {ERR_NET_UNREACH, 3},
                 {ERR_HOST_UNREACH, 4}, {ERR_LOOKUP, 4}, {ERR_REFUSED, 5},
                 {ERR_TIMEOUT, 4},      {ERR_MEMORY, 1}, {ERR_ADDRESS_TYPE, 8},
                 {ERR_COMMAND, 7}};
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        begin_socks(state);
        flows.answer = cases[i].err;
        int far = ask(cases[i].code, "192.0.2.9");
        if (cases[i].err != ERR_NONE)
            flows_expect_end(far, 0);
        finish(far);
    }
}

static void a_limit_of_the_far_ends_is_answered(void **state)
{
    for (int per_client = 0; per_client < 2; per_client++) {
        begin_socks(state);
        ends.far.max_connections = per_client ? 0 : 1;
        ends.far.max_per_client = per_client ? 1 : 0;
        int first = ask(0, "192.0.2.9"), second = ask(1, NULL);
        flows_expect_end(second, 0);
        far_close(second);
        finish(first);
    }
}

static struct host *host_of(bool is_near)
{
    struct host *found = NULL;
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (host->is_near == is_near)
            found = host;
    }
    assert_non_null(found);
    return found;
}

static size_t n_hosts(void)
{
    size_t n = 0;
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next)
        n++;
    return n;
}

static void a_session_that_is_drained_goes_on_and_new_connections_go_by_another(void **state)
{
    begin(state);
    int old_origin, old = open_one();
    old_origin = flows.origin;
    flows.origin = -1;
    host_drain(host_of(false), 1000);
    FLOWS_UNTIL(strstr(flows.lines, "is=drained s=1000") != NULL);
    int new = open_one();
    assert_int_equal(n_hosts(), 4);
    far_send_all(new, "new", 3);
    flows_expect(flows.origin, "new", 3);
    far_send_all(old, "up", 2);
    flows_expect(old_origin, "up", 2);
    far_send_all(old_origin, "down", 4);
    flows_expect(old, "down", 4);
    far_shutdown(old);
    flows_expect_end(old_origin, 0);
    far_send_all(old_origin, "last", 4);
    flows_expect(old, "last", 4);
    far_shutdown(old_origin);
    flows_expect_end(old, 0);
    far_close(old);
    far_close(old_origin);
    FLOWS_UNTIL(n_hosts() == 2);
    finish(new);
}

static void take_at_once(struct opening *opening, enum err err)
{
    assert_int_equal(err, ERR_NONE);
    endpoint_close(opening->endpoint, true);
    opening->endpoint = NULL;
    opening->state = opening;
}

/* In the turn in which the near end hears of it. */
static void nothing_is_opened_in_a_session_that_has_just_been_drained(void **state)
{
    begin(state);
    int far = open_one(), old_origin = flows.origin;
    flows.origin = -1;
    struct host *near = host_of(true);
    struct opening opening = {.env = &flows.env,
                              .inbound = &flows.inbound,
                              .target = flows.inbound.target,
                              .done = take_at_once};
    host_drain(host_of(false), 1000);
    FLOWS_UNTIL(session_is_drained(peer_session(near->peer)));
    assert_false(near->is_drained);
    assert_int_equal(ends.outbound->ops->open(ends.outbound, &opening), ERR_AGAIN);
    FLOWS_UNTIL(opening.state == &opening);
    assert_true(near->is_drained);
    far_close(old_origin);
    finish(far);
}

/* Never by an end that looks like one. */
static void what_is_not_over_when_a_drained_session_ends_is_reset(void **state)
{
    for (int of_near = 0; of_near < 2; of_near++) {
        begin(state);
        int far = open_one();
        far_send_all(far, "x", 1);
        flows_expect(flows.origin, "x", 1);
        host_drain(host_of(of_near), 0);
        flows_expect_end(far, ECONNRESET);
        flows_expect_end(flows.origin, ECONNRESET);
        finish(far);
    }
}

static void without_a_target_the_far_ends_own_is_taken_or_the_request_denied(void **state)
{
    for (int has_target = 0; has_target < 2; has_target++) {
        begin(state);
        flows.inbound.target = ends.far.target = (struct target){0};
        if (has_target)
            assert_int_equal(target_parse(&ends.far.target, "home.test:22", 12), ERR_NONE);
        int far = flows_client();
        if (has_target) {
            FLOWS_UNTIL(flows.origin >= 0);
            assert_string_equal(flows.asked, "home.test:22");
        } else {
            flows_expect_end(far, ECONNRESET);
            assert_int_equal(flows.n_asked, 0);
        }
        finish(far);
    }
}

static void the_far_ends_log_line_has_the_clients_address_and_limits_the_carriers(void **state)
{
    begin(state);
    int far = open_one();
    far_send_all(far, "x", 1);
    flows_expect(flows.origin, "x", 1);
    assert_int_equal(ends.counts.n_connections, 1);
    finish(far);
    assert_non_null(strstr(flows.lines, "flow in=far out=out from=192.0.2.7:4242 "
                                        "to=example.test:80 up=1 down=0 "));
}

/* ---- bulk ---- */

static uint8_t byte_at(size_t i, unsigned salt)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16) + salt);
}

struct bulk {
    size_t n, n_sent, n_received;
    unsigned salt;
};

static void send_some(struct bulk *bulk, int far)
{
    static uint8_t bytes[32 * 1024];
    size_t n = bulk->n - bulk->n_sent < sizeof bytes ? bulk->n - bulk->n_sent : sizeof bytes;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(bulk->n_sent + i, bulk->salt);
    ssize_t sent = n == 0 ? 0 : far_send(far, bytes, n);
    assert_true(sent >= 0 || errno == EAGAIN);
    bulk->n_sent += sent > 0 ? (size_t)sent : 0;
}

static void receive_some(struct bulk *bulk, int far, size_t most)
{
    static uint8_t bytes[64 * 1024];
    ssize_t got = far_receive(far, bytes, most < sizeof bytes ? most : sizeof bytes);
    assert_true(got > 0 || (got < 0 && errno == EAGAIN));
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] != byte_at(bulk->n_received + (size_t)i, bulk->salt))
            fail_msg("byte %zu is wrong", bulk->n_received + (size_t)i);
    bulk->n_received += got > 0 ? (size_t)got : 0;
}

/* Both ways at once; `cuts` carriers die on the way, each in another manner. */
static void carry(int far, size_t n, unsigned cuts, size_t read_most)
{
    struct bulk up = {.n = n, .salt = 1}, down = {.n = n, .salt = 77};
    unsigned n_cut = 0;
    uint64_t give_up = now_ms() + 3 * PATIENCE_MS;
    while (up.n_received < n || down.n_received < n) {
        if (now_ms() > give_up)
            fail_msg("stuck: up %zu of %zu, down %zu of %zu; %zu carriers", up.n_received,
                     up.n_sent, down.n_received, down.n_sent, tap.n_conns);
        send_some(&up, far);
        send_some(&down, flows.origin);
        turn_at_once(flows.env.loop, 1);
        receive_some(&up, flows.origin, read_most);
        receive_some(&down, far, read_most);
        size_t n_done = up.n_received + down.n_received;
        if (n_cut < cuts && n_done > (n_cut + 1) * (2 * n / (cuts + 1))) {
            tap_cut_all(n_cut % 2 == 0);
            n_cut++;
        }
    }
    assert_int_equal(n_cut, cuts);
}

static void bulk_comes_through_both_ways_at_once(void **state)
{
    begin(state);
    int far = open_one();
    carry(far, 8 << 20, 0, SIZE_MAX);
    finish(far);
}

static void a_reader_that_is_slow_holds_the_writer_up_and_loses_nothing(void **state)
{
    begin(state);
    int far = open_one();
    carry(far, 256 << 10, 0, 700);
    finish(far);
}

static void carriers_that_die_change_no_byte(void **state)
{
    begin(state);
    int far = open_one();
    carry(far, 4 << 20, 8, SIZE_MAX);
    assert_in_range(tap.n_conns, 9, TAP_MAX);
    far_shutdown(far);
    flows_expect_end(flows.origin, 0);
    finish(far);
    assert_non_null(strstr(flows.lines, "warn link in=far from=127.0.0.1:"));
}

/* Its acknowledgements are what gives memory back. */
static void a_link_speaks_on_when_streams_have_used_up_the_memory(void **state)
{
    struct chunk *held[8192];
    size_t n = 0;
    begin(state);
    int far = open_one();
    flows.env.limits.max_held_bytes = 1 << 20;
    struct chunk_source *streams = &ends.env.pool.streams;
    while (n < N_ITEMS(held) && (held[n] = chunk_get(streams, 200)) != NULL)
        n++;
    assert_in_range(n, 100, N_ITEMS(held) - 1);
    for (unsigned i = 0; i < 3; i++) {
        struct session_link_stats before, after;
        struct host *host = host_of(true);
        struct session *session = peer_session(host->peer);
        struct peer_time now = tunnel_now(&ends.env);
        assert_true(session_link_stats(session, 0, &before));
        session_ping(session, 0, now.now_us);
        host_touch(host);
        FLOWS_UNTIL(session_link_stats(session, 0, &after) &&
                    after.n_accepted_records > before.n_accepted_records);
    }
    while (n > 0)
        chunk_release(held[--n]);
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    finish(far);
}

/* As the far end's session does where it has no memory. */
static void a_stream_for_which_there_is_no_memory_ends_by_a_limit_at_both_ends(void **state)
{
    begin(state);
    int far = open_one();
    struct host *host = host_of(false);
    struct tunnel_stream *stream = CONTAINER_OF(host->streams.next, struct tunnel_stream, link);
    stream_reset(stream->stream, STREAM_RESET_LIMIT);
    tunnel_stream_tell(stream, STREAM_DEAD);
    host_touch(host);
    flows_expect_end(far, ECONNRESET);
    finish(far);
    const char *end = strstr(flows.lines, "end=limit");
    assert_non_null(end);
    assert_non_null(strstr(end + 1, "end=limit"));
}

/* By a clock that counts while the machine sleeps and one that does not. */
static void after_a_sleep_nothing_waits_for_a_pause_from_before(void **state)
{
    begin(state);
    int far = flows_client();
    FLOWS_UNTIL(flows.origin >= 0);
    close(tap.listening);
    tap.listening = -1;
    tap_cut_all(true);
    FLOWS_UNTIL(flows.shared.n_carriers == 0);
    struct host *host = host_of(true);
    struct peer_time now = tunnel_now(&ends.env);
    /* Each behind the pause that the one before it has made. */
    for (unsigned i = 0; i < 10; i++, now.now_us += 60 * 1000000)
        peer_dial_failed(host->peer, &now);
    tap.listening = tcp_listen(&tap.addr);
    uint64_t before_ms = now_ms();
    ends.env.boot_ahead_ms -= 3600000;
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    assert_in_range(now_ms() - before_ms, 0, 14000); /* the pause had half of 30 s at least */
    finish(far);
}

static void ignore_end(struct packets *packets, enum err err)
{
    (void)packets;
    (void)err;
}

/* A way for datagrams through the session that is there. */
static struct tunnel_datagrams *open_datagrams(struct host *host)
{
    const struct stream_request request = {.kind = STREAM_ASSOCIATION};
    struct stream *stream;
    struct tunnel_datagrams *datagrams;
    assert_int_equal(session_open(peer_session(host->peer), &request, &stream), ERR_NONE);
    assert_int_equal(tunnel_datagrams_new(&datagrams, host, stream), ERR_NONE);
    datagrams->packets.on_broken = ignore_end;
    tunnel_datagrams_begin(datagrams);
    return datagrams;
}

static void send_question(struct tunnel_datagrams *datagrams)
{
    const struct target to = {.addr = {.family = ADDR_V4, .port = 53}};
    uint8_t bytes[] = "question";
    datagrams->packets.ops->send(&datagrams->packets, &to, bytes, sizeof bytes);
}

static void expect_another_link(int far)
{
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    FLOWS_UNTIL(tap.n_conns == 2 && tap.conns[0].client < 0);
    assert_non_null(strstr(flows.lines, "is=closed why=\"another link took its place\""));
}

/* Whose age is by the clock that the session has. */
static void expect_a_datagram(void)
{
    struct host *host = host_of(true);
    struct tunnel_datagrams *datagrams = open_datagrams(host);
    struct session_stats stats;
    send_question(datagrams);
    turn_for(flows.env.loop, 100);
    session_stats(peer_session(host->peer), &stats);
    assert_int_equal(stats.n_sent_datagrams, 1);
    datagrams->packets.ops->close(&datagrams->packets);
}

/* Nobody has found out that it is dead, and here it is not. */
static void after_a_sleep_another_link_takes_the_place_of_the_one_there_is(void **state)
{
    begin(state);
    int far = open_one();
    ends.env.boot_ahead_ms -= 10000;
    expect_another_link(far);
    finish(far);
}

/* Which no clock of the machine's tells. */
static void a_process_that_was_stopped_has_slept(void **state)
{
    begin(state);
    int far = open_one();
    uint64_t before_us = tunnel_now(&ends.env).now_us;
    turn_stopped_for(flows.env.loop, 2500);
    expect_another_link(far);
    assert_in_range(tunnel_now(&ends.env).now_us - before_us, 0, 2400000);
    expect_a_datagram();
    finish(far);
}

/* However long its turns take. */
static void a_process_that_is_busy_has_not(void **state)
{
    begin(state);
    int far = open_one();
    for (int i = 0; i < 4; i++) {
        usleep(1000000);
        turn_for(flows.env.loop, 20);
    }
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    turn_for(flows.env.loop, 200);
    assert_int_equal(tap.n_conns, 1);
    finish(far);
}

/* The session that the first ends is still there when the second brings the tunnel back. */
static void two_reloads_that_take_a_tunnel_away_and_back_leave_no_gap(void **state)
{
    begin(state);
    int far = open_one();
    far_close(far);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
    tap.is_frozen = true;
    flows.ruleset.n_outbounds = 0;
    near_turn_all(&ends.env, &flows.ruleset);
    turn_at_once(flows.env.loop, 2);
    flows.ruleset.n_outbounds = 1;
    near_turn_all(&ends.env, &flows.ruleset);
    far = flows_client();
    turn_at_once(flows.env.loop, 2);
    tap.is_frozen = false;
    FLOWS_UNTIL(flows.origin >= 0);
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    finish(far);
}

/* By rules that a connection has brought along from before a reload. */
static void a_session_of_a_tunnel_that_is_there_no_more_ends_with_its_last_stream(void **state)
{
    begin(state);
    flows.ruleset.n_outbounds = 0;
    near_turn_all(&ends.env, &flows.ruleset);
    int far = open_one();
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    far_close(far);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&ends.env.hosts));
    flows.ruleset.n_outbounds = 1;
    near_turn_all(&ends.env, &flows.ruleset);
    finish(open_one());
}

/* The session is over, and who has its way has not given that up yet. */
static void a_datagram_for_a_session_that_is_gone_is_dropped_and_counted(void **state)
{
    begin(state);
    int far = open_one();
    struct tunnel_datagrams *datagrams = open_datagrams(host_of(true));
    struct stream *stream = datagrams->stream.stream;
    tunnel_stream_orphan(&datagrams->stream);
    send_question(datagrams);
    assert_int_equal(flows.env.counters.dropped[DROP_UNSENT], 1);
    datagrams->packets.ops->close(&datagrams->packets);
    stream_reset(stream, STREAM_RESET_APPLICATION);
    stream_release(stream);
    finish(far);
}

static size_t n_lingering(void)
{
    size_t n = 0;
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next) {
        const struct host *host = CONTAINER_OF(at, struct host, link);
        for (struct list *in = host->carriers.next; in != &host->carriers; in = in->next)
            n += CONTAINER_OF(in, struct carrier, link)->state == CARRIER_LINGERING;
    }
    return n;
}

/* Up to half a minute; closed before, it would be answered by a reset. */
static void a_carrier_whose_link_has_left_waits_for_the_others_fin(void **state)
{
    flows_begin(backend_of(state), &inbound_relay, (struct flow_limits){.connect_ms = 20000});
    flows_set(state);
    assert_int_equal(target_parse(&flows.inbound.target, "example.test:80", 15), ERR_NONE);
    ends_prepare();
    ends.near_every_us = 1000000;
    ends_begin_with(ends_far_settings());
    int far = open_one();
    FLOWS_UNTIL(tap.n_conns == 2);
    tap.n_held = 1;
    FLOWS_UNTIL(n_lingering() > 0);
    turn_for(flows.env.loop, 6000);
    assert_in_range(n_lingering(), 1, 2); /* the others end as soon as they have left */
    assert_true(tap.conns[0].client >= 0);
    tap.n_held = 0;
    FLOWS_UNTIL(tap.conns[0].client < 0);
    assert_null(strstr(flows.lines, "is=cut"));
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    finish(far);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        ON_ALL(bytes_go_both_ways_and_each_fin_by_itself),
        ON_ALL(a_reset_comes_out_as_a_reset),
        ON_BOTH_AND_HESITANT(the_reply_is_the_far_ends_own),
        ON_BOTH_AND_HESITANT(a_limit_of_the_far_ends_is_answered),
        ON_BOTH_AND_HESITANT(a_session_that_is_drained_goes_on_and_new_connections_go_by_another),
        ON_BOTH_WITH_SOCKETS(nothing_is_opened_in_a_session_that_has_just_been_drained),
        ON_BOTH_AND_HESITANT(what_is_not_over_when_a_drained_session_ends_is_reset),
        ON_BOTH_AND_HESITANT(without_a_target_the_far_ends_own_is_taken_or_the_request_denied),
        ON_BOTH_AND_HESITANT(the_far_ends_log_line_has_the_clients_address_and_limits_the_carriers),
        ON_ALL(bulk_comes_through_both_ways_at_once),
        ON_ALL_AND_HESITANT(a_reader_that_is_slow_holds_the_writer_up_and_loses_nothing),
        ON_ALL(carriers_that_die_change_no_byte),
        ON_BOTH_WITH_SOCKETS(a_link_speaks_on_when_streams_have_used_up_the_memory),
        ON_ALL(a_stream_for_which_there_is_no_memory_ends_by_a_limit_at_both_ends),
        ON_BOTH_WITH_SOCKETS(two_reloads_that_take_a_tunnel_away_and_back_leave_no_gap),
        ON_BOTH_WITH_SOCKETS(a_session_of_a_tunnel_that_is_there_no_more_ends_with_its_last_stream),
        ON_BOTH_WITH_SOCKETS(a_datagram_for_a_session_that_is_gone_is_dropped_and_counted),
        FLOWS_ON(a_carrier_whose_link_has_left_waits_for_the_others_fin, "epoll", LOOP_EPOLL, 0),
        ON_BOTH_WITH_SOCKETS(after_a_sleep_nothing_waits_for_a_pause_from_before),
        ON_BOTH_WITH_SOCKETS(after_a_sleep_another_link_takes_the_place_of_the_one_there_is),
        FLOWS_ON(a_process_that_was_stopped_has_slept, "epoll", LOOP_EPOLL, 0),
        FLOWS_ON(a_process_that_is_busy_has_not, "epoll", LOOP_EPOLL, 0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
