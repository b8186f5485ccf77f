/* Listeners of a session: asked for, answered, taken back, over links that are lost and frames that overtake each other. */
#include "sessions.h"

static const struct addr port = {.family = ADDR_V4, .port = 8888};
static const struct addr nowhere = {.family = ADDR_NONE};

static uint64_t listen_at(struct pair *pair)
{
    uint64_t number;

    assert_int_equal(session_listen(pair->ends[CLIENT], &port, &number), ERR_NONE);
    return number;
}

static size_t n_listeners(const struct pair *pair, int end)
{
    struct session_stats stats;

    session_stats(pair->ends[end], &stats);
    return (size_t)stats.n_listeners;
}

/* One that the server has bound, as both know. */
static uint64_t listener(struct pair *pair, uint64_t link)
{
    uint64_t number = listen_at(pair);

    carry_all(pair, link);
    assert_int_equal(expect(pair, SERVER, SESSION_LISTEN).listener, number);
    session_listening(pair->ends[SERVER], number, LISTENER_BOUND, &port);
    carry_all(pair, link);
    assert_int_equal(expect(pair, CLIENT, SESSION_LISTENING).code, LISTENER_BOUND);
    return number;
}

static struct stream_request accepted_by(uint64_t number)
{
    return (struct stream_request){.kind = STREAM_ACCEPTED,
                                   .of = number,
                                   .has_target = true,
                                   .target = {.addr = port},
                                   .source = {.family = ADDR_V4, .ip = {192, 0, 2, 9}, .port = 7}};
}

static void wait_for_acks(struct pair *pair, uint64_t link)
{
    pair->now_us += 30000;
    session_advance(pair->ends[CLIENT], pair->now_us);
    session_advance(pair->ends[SERVER], pair->now_us);
    carry_all(pair, link);
}

static void what_is_asked_for_is_told_and_answered(void **state)
{
    struct pair *pair = *state;
    uint64_t number = listen_at(pair);

    assert_int_equal(number, 1);
    carry_all(pair, 0);
    struct session_event event = expect(pair, SERVER, SESSION_LISTEN);
    assert_int_equal(event.listener, 1);
    assert_int_equal(event.code, LISTENER_CONNECTIONS);
    assert_true(addr_equal(&event.addr, &port, true));
    session_listening(pair->ends[SERVER], 1, LISTENER_BOUND, &event.addr);
    carry_all(pair, 0);
    event = expect(pair, CLIENT, SESSION_LISTENING);
    assert_int_equal(event.listener, 1);
    assert_int_equal(event.code, LISTENER_BOUND);
    assert_true(addr_equal(&event.addr, &port, true));
    expect_nothing(pair, CLIENT);
    expect_nothing(pair, SERVER);
}

static void a_connection_opens_to_the_client_and_bytes_go_both_ways(void **state)
{
    struct pair *pair = *state;
    struct stream_request request = accepted_by(listener(pair, 0));
    struct stream *far, *near;
    uint8_t bytes[8];
    size_t n;

    assert_int_equal(session_open(pair->ends[SERVER], &request, &far), ERR_NONE);
    assert_int_equal(stream_write(far, "ask", 3, &n), ERR_NONE);
    carry_all(pair, 0);
    near = expect(pair, CLIENT, STREAM_INCOMING).stream;
    assert_int_equal(stream_id(near), 3);
    assert_int_equal(stream_request(near)->kind, STREAM_ACCEPTED);
    assert_int_equal(stream_request(near)->of, 1);
    assert_true(addr_equal(&stream_request(near)->source, &request.source, true));
    assert_int_equal(read_all(near, bytes, sizeof bytes, &n), ERR_AGAIN);
    assert_memory_equal(bytes, "ask", 3);

    assert_int_equal(stream_answer(near, 0, &nowhere), ERR_NONE);
    assert_int_equal(stream_write(near, "answer", 6, &n), ERR_NONE);
    carry_all(pair, 0);
    assert_ptr_equal(expect(pair, SERVER, STREAM_ANSWERED).stream, far);
    assert_int_equal(read_all(far, bytes, sizeof bytes, &n), ERR_AGAIN);
    assert_int_equal(n, 6);
}

static void an_opening_that_crosses_unlisten_is_refused(void **state)
{
    struct pair *pair = *state;
    struct stream_request request = accepted_by(listener(pair, 0));
    struct stream *far;
    struct addr bound;

    assert_int_equal(session_open(pair->ends[SERVER], &request, &far), ERR_NONE);
    session_unlisten(pair->ends[CLIENT], 1);
    carry(pair, SERVER, 0);
    expect_nothing(pair, CLIENT);
    carry_all(pair, 0);
    assert_int_equal(expect(pair, SERVER, SESSION_UNLISTEN).listener, 1);
    assert_ptr_equal(expect(pair, SERVER, STREAM_ANSWERED).stream, far);
    assert_int_equal(stream_code(far, &bound), 1);
    stream_release(far);
    assert_int_equal(n_listeners(pair, CLIENT) + n_listeners(pair, SERVER), 0);
}

static void one_that_is_refused_is_gone_and_its_number_not_used_again(void **state)
{
    struct pair *pair = *state;

    listen_at(pair);
    carry_all(pair, 0);
    expect(pair, SERVER, SESSION_LISTEN);
    session_listening(pair->ends[SERVER], 1, LISTENER_DENIED, &nowhere);
    carry_all(pair, 0);
    assert_int_equal(expect(pair, CLIENT, SESSION_LISTENING).code, LISTENER_DENIED);
    assert_int_equal(n_listeners(pair, CLIENT) + n_listeners(pair, SERVER), 0);
    assert_int_equal(listen_at(pair), 2);
}

static void an_answer_may_be_taken_back(void **state)
{
    struct pair *pair = *state;

    listener(pair, 0);
    session_listening(pair->ends[SERVER], 1, LISTENER_IN_USE, &nowhere);
    carry_all(pair, 0);
    assert_int_equal(expect(pair, CLIENT, SESSION_LISTENING).code, LISTENER_IN_USE);
    session_unlisten(pair->ends[CLIENT], 1); /* harmless */
    wait_for_acks(pair, 0);
    expect_nothing(pair, SERVER);
}

/* As where settings are taken away and brought back before the server has heard of either. */
static void one_that_is_not_wanted_any_more_makes_room_before_another_is_told_of(void **state)
{
    struct pair *pair = *state;
    uint64_t number = listener(pair, 0);

    wait_for_acks(pair, 0);
    session_unlisten(pair->ends[CLIENT], number);
    uint64_t again = listen_at(pair);
    assert_int_equal(carry(pair, CLIENT, 0), 1);
    assert_int_equal(expect(pair, SERVER, SESSION_UNLISTEN).listener, number);
    assert_int_equal(expect(pair, SERVER, SESSION_LISTEN).listener, again);
}

static void unlisten_does_not_overtake_listen(void **state)
{
    struct pair *pair = *state;
    uint8_t record[512], late[512];

    pair->room = sizeof record;
    pair_link(pair, 1);
    listen_at(pair);
    size_t n = take(pair, CLIENT, 0, late);
    session_unlisten(pair->ends[CLIENT], 1);
    assert_int_equal(take(pair, CLIENT, 1, record), 0);
    assert_int_equal(give(pair, SERVER, 0, late, n), ERR_NONE);
    wait_for_acks(pair, 0);
    expect_nothing(pair, SERVER); /* nobody had been told of it */
    assert_int_equal(n_listeners(pair, SERVER), 0);
}

static void what_a_lost_link_had_is_said_by_another(void **state)
{
    struct pair *pair = *state;
    uint8_t record[512];

    pair->room = sizeof record;
    pair_link(pair, 1);
    listen_at(pair);
    assert_true(take(pair, CLIENT, 0, record) > 0);
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    carry_all(pair, 1);
    assert_int_equal(expect(pair, SERVER, SESSION_LISTEN).listener, 1);

    pair_link(pair, 2);
    session_listening(pair->ends[SERVER], 1, LISTENER_BOUND, &port);
    assert_true(take(pair, SERVER, 1, record) > 0);
    session_lose_link(pair->ends[SERVER], 1, pair->now_us);
    carry_all(pair, 2);
    struct session_event event;
    unsigned n_told = 0;
    while (session_next_event(pair->ends[CLIENT], &event)) {
        if (event.kind != SESSION_LISTENING)
            continue;
        assert_int_equal(event.code, LISTENER_BOUND);
        n_told++;
    }
    assert_int_equal(n_told, 1);
    assert_int_equal(n_listeners(pair, CLIENT), 1);
    assert_int_equal(n_listeners(pair, SERVER), 1);
}

static void an_answer_that_comes_behind_the_one_that_takes_it_back_is_ignored(void **state)
{
    struct pair *pair = *state;
    uint8_t late[512];

    pair->room = sizeof late;
    pair_link(pair, 1);
    listen_at(pair);
    carry(pair, CLIENT, 0);
    expect(pair, SERVER, SESSION_LISTEN);
    session_listening(pair->ends[SERVER], 1, LISTENER_BOUND, &port);
    size_t n = take(pair, SERVER, 0, late);
    session_listening(pair->ends[SERVER], 1, LISTENER_IN_USE, &nowhere);
    carry_all(pair, 1);
    assert_int_equal(expect(pair, CLIENT, SESSION_LISTENING).code, LISTENER_IN_USE);
    assert_int_equal(give(pair, CLIENT, 0, late, n), ERR_NONE);
    expect_nothing(pair, CLIENT);
}

static void there_are_64_at_once(void **state)
{
    struct pair *pair = *state;
    uint64_t number;

    for (size_t i = 0; i < SESSION_MAX_LISTENERS; i++)
        listener(pair, 0);
    assert_int_equal(session_listen(pair->ends[CLIENT], &port, &number), ERR_LIMIT);
    session_unlisten(pair->ends[CLIENT], 7);
    carry_all(pair, 0);
    wait_for_acks(pair, 0);
    assert_int_equal(listen_at(pair), SESSION_MAX_LISTENERS + 1);
    carry_all(pair, 0);
    assert_int_equal(n_listeners(pair, SERVER), SESSION_MAX_LISTENERS);
}

static void one_more_than_64_ends_the_session(void **state)
{
    struct pair *pair = *state;
    uint8_t record[32], *at;

    for (uint64_t i = 1; i <= SESSION_MAX_LISTENERS; i++) {
        at = frame_write_listener(record, FRAME_LISTEN, i, LISTENER_CONNECTIONS, &port);
        assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record)), ERR_NONE);
    }
    at = frame_write_listener(record, FRAME_LISTEN, 2, LISTENER_CONNECTIONS, &port);
    assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record)), ERR_NONE);
    at = frame_write_listener(record, FRAME_LISTEN, 65, LISTENER_CONNECTIONS, &port);
    assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record)), ERR_LIMIT);
}

static void whoever_is_refused_without_end_is_ended(void **state)
{
    struct pair *pair = *state;
    uint8_t record[32];
    enum err err = ERR_NONE;
    uint64_t i;

    for (i = 1; err == ERR_NONE && i < 5000; i++) {
        struct session_event event;
        uint8_t *at = frame_write_listener(record, FRAME_LISTEN, i, LISTENER_CONNECTIONS, &port);
        err = give(pair, SERVER, 0, record, (size_t)(at - record));
        while (session_next_event(pair->ends[SERVER], &event))
            session_listening(pair->ends[SERVER], event.listener, LISTENER_DENIED, &nowhere);
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_true(i > 1000);
}

/* A client whose UNLISTEN crosses the refusal. */
static void unlisten_of_one_that_is_refused_changes_nothing(void **state)
{
    struct pair *pair = *state;
    uint8_t record[32];

    listen_at(pair);
    carry_all(pair, 0);
    expect(pair, SERVER, SESSION_LISTEN);
    session_listening(pair->ends[SERVER], 1, LISTENER_DENIED, &nowhere);
    for (int i = 0; i < 2; i++) {
        uint8_t *at = frame_write_unlisten(record, 1);
        assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record)), ERR_NONE);
    }
    expect_nothing(pair, SERVER);
    assert_int_equal(n_listeners(pair, SERVER), 0);
    uint8_t *at = frame_write_listener(record, FRAME_LISTEN, 2, LISTENER_CONNECTIONS, &port);
    assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record)), ERR_NONE);
    assert_int_equal(expect(pair, SERVER, SESSION_LISTEN).listener, 2);
    expect_nothing(pair, SERVER);
}

static void a_session_that_is_not_sure_of_its_client_tells_later(void **state)
{
    struct pair *pair = *state;

    session_hold_listens(pair->ends[SERVER], true);
    listen_at(pair);
    carry_all(pair, 0);
    expect_nothing(pair, SERVER);
    session_hold_listens(pair->ends[SERVER], false);
    assert_int_equal(expect(pair, SERVER, SESSION_LISTEN).listener, 1);
}

/* What is not for the receiver to get, or outside its range. */
static void frames_against_the_rules_end_the_session(void **state)
{
    static const struct {
        int to;
        uint8_t bytes[12];
        size_t n;
    } cases[] = {
        {CLIENT, {0x10, 1, 0, 1, 127, 0, 0, 1, 0x22, 0xb8}, 10}, /* LISTEN to the client */
        {CLIENT, {0x12, 1}, 2},
        {SERVER, {0x11, 1, 0, 0}, 4},                            /* LISTENING to the server */
        {SERVER, {0x10, 0, 0, 1, 127, 0, 0, 1, 0x22, 0xb8}, 10}, /* number 0 */
        {SERVER, {0x10, 1, 0, 0}, 4},                            /* no address */
        {SERVER, {0x10, 1, 0, 1, 127, 0, 0, 1, 0, 0}, 10},       /* no port */
        {SERVER, {0x10, 1, 9, 1, 127, 0, 0, 1, 0, 0}, 10},       /* nor of another kind */
        {SERVER, {0x10, 1, 0, 3, 1, 'x', 0, 80}, 8},             /* a name */
        {SERVER, {0x10, 1, 0, 1, 127, 0, 0, 1, 0x22}, 9},        /* cut off */
        {CLIENT, {0x11, 1, 4, 0}, 4},                            /* no such code */
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        struct pair pair;
        pair_init(&pair, 64 * MIB, 16 * MIB);
        pair_link(&pair, 0);
        assert_int_equal(give(&pair, cases[i].to, 0, cases[i].bytes, cases[i].n), ERR_BAD);
        pair_deinit(&pair);
    }
}

static void what_kinds_of_listeners_there_are_is_for_the_server_to_say(void **state)
{
    static const uint8_t unknown[] = {0x10, 1, 9, 1, 127, 0, 0, 1, 0x22, 0xb8};
    struct pair *pair = *state;

    assert_int_equal(give(pair, SERVER, 0, unknown, sizeof unknown), ERR_NONE);
    struct session_event event = expect(pair, SERVER, SESSION_LISTEN);
    assert_int_equal(event.listener, 1);
    assert_int_equal(event.code, 9);
}

/* ---- datagrams of who has come by one ---- */

/* A connection that is there at both ends. */
static void connect_both(struct pair *pair, struct stream *streams[2])
{
    static const struct addr unknown = {.family = ADDR_NONE};
    struct stream_request request = accepted_by(listener(pair, 0));

    assert_int_equal(session_open(pair->ends[SERVER], &request, &streams[SERVER]), ERR_NONE);
    carry_all(pair, 0);
    streams[CLIENT] = expect(pair, CLIENT, STREAM_INCOMING).stream;
    assert_int_equal(stream_answer(streams[CLIENT], 0, &unknown), ERR_NONE);
    carry_all(pair, 0);
    expect(pair, SERVER, STREAM_ANSWERED);
}

static struct stream *relay(struct pair *pair, uint64_t of)
{
    const struct stream_request request = {
        .kind = STREAM_RELAYED, .of = of, .has_target = true, .target = {.addr = port}};
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[CLIENT], &request, &stream), ERR_NONE);
    carry_all(pair, 0);
    return stream;
}

static void datagrams_belong_to_a_connection_and_go_both_ways(void **state)
{
    struct pair *pair = *state;
    struct stream *connection[2], *relayed[2];
    struct target from = {.addr = port}, address;
    uint8_t *bytes;
    struct addr bound;
    size_t n;

    connect_both(pair, connection);
    relayed[CLIENT] = relay(pair, stream_id(connection[CLIENT]));
    relayed[SERVER] = expect(pair, SERVER, STREAM_INCOMING).stream;
    const struct stream_request *asked = stream_request(relayed[SERVER]);
    assert_int_equal(asked->kind, STREAM_RELAYED);
    assert_true(addr_equal(&asked->target.addr, &port, true));
    assert_ptr_equal(session_accepted(pair->ends[SERVER], asked->of), connection[SERVER]);
    assert_int_equal(stream_answer(relayed[SERVER], 0, &port), ERR_NONE);
    carry_all(pair, 0);
    expect(pair, CLIENT, STREAM_ANSWERED);
    assert_int_equal(stream_code(relayed[CLIENT], &bound), 0);
    assert_true(addr_equal(&bound, &port, true));
    for (int end = 0; end < 2; end++) {
        assert_int_equal(stream_take_datagram(relayed[1 - end], &address, &bytes, &n), ERR_AGAIN);
        stream_send_datagram(relayed[end], &from, (const uint8_t *)"who?", 4, pair->now_us);
        while (carry(pair, end, 0))
            ;
        assert_int_equal(stream_take_datagram(relayed[1 - end], &address, &bytes, &n), ERR_NONE);
        assert_int_equal(n, 4);
        assert_memory_equal(bytes, "who?", 4);
        assert_true(addr_equal(&address.addr, &port, true));
    }
}

/* One of the client's own, one that never was, and one that is over. */
static void datagrams_of_no_such_connection_are_refused(void **state)
{
    struct pair *pair = *state;
    struct stream *connection[2], *own;
    struct addr bound;

    connect_both(pair, connection);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &own), ERR_NONE);
    carry_all(pair, 0);
    expect(pair, SERVER, STREAM_INCOMING);
    uint64_t over = stream_id(connection[CLIENT]);
    stream_reset(connection[SERVER], STREAM_RESET_APPLICATION);
    const uint64_t ids[] = {0, 1, stream_id(own), over + 2, over, UINT64_MAX >> 2};
    for (size_t i = 0; i < N_ITEMS(ids); i++) {
        struct stream *stream = relay(pair, ids[i]);
        struct session_event event;
        while (session_next_event(pair->ends[SERVER], &event))
            assert_int_not_equal(event.kind, STREAM_INCOMING);
        while (session_next_event(pair->ends[CLIENT], &event) && event.kind != STREAM_ANSWERED)
            ;
        assert_ptr_equal(event.stream, stream);
        assert_int_equal(stream_code(stream, &bound), 1);
        stream_release(stream);
    }
}

static void kinds_that_are_not_for_the_other_end_to_open_are_refused(void **state)
{
    struct pair *pair = *state;
    struct stream_request request = accepted_by(1);
    struct stream *stream;
    struct addr bound;

    assert_int_equal(session_open(pair->ends[CLIENT], &request, &stream), ERR_NONE);
    carry_all(pair, 0);
    expect_nothing(pair, SERVER);
    expect(pair, CLIENT, STREAM_ANSWERED);
    assert_int_equal(stream_code(stream, &bound), 7);
    stream_release(stream);

    assert_int_equal(session_open(pair->ends[SERVER], some_request(), &stream), ERR_NONE);
    carry_all(pair, 0);
    expect_nothing(pair, CLIENT);
    expect(pair, SERVER, STREAM_ANSWERED);
    assert_int_equal(stream_code(stream, &bound), 7);
    stream_release(stream);
}

static void listeners_end_with_their_session(void **state)
{
    struct pair *pair = *state;
    uint64_t number;

    listener(pair, 0);
    listen_at(pair);
    session_end(pair->ends[CLIENT], 0, pair->now_us);
    carry_all(pair, 0);
    assert_int_equal(expect(pair, SERVER, SESSION_ENDED).code, 0);
    expect_nothing(pair, SERVER);
    assert_int_equal(session_listen(pair->ends[CLIENT], &port, &number), ERR_EOF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(what_is_asked_for_is_told_and_answered),
        PAIR_TEST(a_connection_opens_to_the_client_and_bytes_go_both_ways),
        PAIR_TEST(an_opening_that_crosses_unlisten_is_refused),
        PAIR_TEST(one_that_is_refused_is_gone_and_its_number_not_used_again),
        PAIR_TEST(an_answer_may_be_taken_back),
        PAIR_TEST(one_that_is_not_wanted_any_more_makes_room_before_another_is_told_of),
        PAIR_TEST(unlisten_does_not_overtake_listen),
        PAIR_TEST(what_a_lost_link_had_is_said_by_another),
        PAIR_TEST(an_answer_that_comes_behind_the_one_that_takes_it_back_is_ignored),
        PAIR_TEST(there_are_64_at_once),
        PAIR_TEST(one_more_than_64_ends_the_session),
        PAIR_TEST(unlisten_of_one_that_is_refused_changes_nothing),
        PAIR_TEST(whoever_is_refused_without_end_is_ended),
        PAIR_TEST(a_session_that_is_not_sure_of_its_client_tells_later),
        cmocka_unit_test(frames_against_the_rules_end_the_session),
        PAIR_TEST(what_kinds_of_listeners_there_are_is_for_the_server_to_say),
        PAIR_TEST(datagrams_belong_to_a_connection_and_go_both_ways),
        PAIR_TEST(datagrams_of_no_such_connection_are_refused),
        PAIR_TEST(kinds_that_are_not_for_the_other_end_to_open_are_refused),
        PAIR_TEST(listeners_end_with_their_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
