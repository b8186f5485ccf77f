/* Streams of datagrams: doc/protocol.md, section 7, "Datagrams". */
#include "sessions.h"
#include "wire/socks5.h"

static uint8_t record[SESSION_RECORD_MAX_BYTES];

static struct target target_of(const char *text)
{
    struct target target;

    assert_int_equal(target_parse(&target, text, strlen(text)), ERR_NONE);
    return target;
}

static const struct stream_request association = {.kind = STREAM_ASSOCIATION};

/* One that is open at both ends, whose openings are acknowledged. */
static void associate(struct pair *pair, struct stream *streams[2])
{
    const struct addr bound = {.family = ADDR_NONE};

    assert_int_equal(session_open(pair->ends[CLIENT], &association, &streams[CLIENT]), ERR_NONE);
    carry(pair, CLIENT, 0);
    streams[SERVER] = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_int_equal(stream_request(streams[SERVER])->kind, STREAM_ASSOCIATION);
    assert_int_equal(stream_answer(streams[SERVER], 0, &bound), ERR_NONE);
    carry_all(pair, 0);
    expect(pair, CLIENT, STREAM_ANSWERED);
    pair->now_us += 30000;
    for (int i = 0; i < 2; i++)
        session_advance(pair->ends[i], pair->now_us);
    carry_all(pair, 0);
}

static void release(struct pair *pair, struct stream *streams[2])
{
    for (int i = 0; i < 2; i++) {
        stream_reset(streams[i], STREAM_RESET_APPLICATION);
        stream_release(streams[i]);
        session_settle(pair->ends[i]);
    }
}

static void send(struct pair *pair, struct stream *stream, const char *to, const char *text)
{
    struct target target = target_of(to);

    stream_send_datagram(stream, &target, (const uint8_t *)text, strlen(text), pair->now_us);
}

/* One of so many bytes, that begins with its number. */
static void send_number(struct pair *pair, struct stream *stream, uint32_t number, size_t n)
{
    static uint8_t bytes[65536];
    struct target target = target_of("192.0.2.1:7");

    memcpy(bytes, &number, sizeof number);
    stream_send_datagram(stream, &target, bytes, n, pair->now_us);
}

static void assert_comes(struct stream *stream, const char *from, const char *text)
{
    struct target target, expected = target_of(from);
    uint8_t *bytes;
    size_t n;

    assert_int_equal(stream_take_datagram(stream, &target, &bytes, &n), ERR_NONE);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(bytes, text, n);
    assert_string_equal(target.name, expected.name);
    assert_int_equal(target.name_bytes, expected.name_bytes);
    assert_true(addr_equal(&target.addr, &expected.addr, true));
}

static uint32_t number_that_comes(struct stream *stream, size_t *n)
{
    struct target target;
    uint8_t *bytes;
    uint32_t number;

    assert_int_equal(stream_take_datagram(stream, &target, &bytes, n), ERR_NONE);
    memcpy(&number, bytes, sizeof number);
    return number;
}

static void assert_nothing_comes(struct stream *stream, enum err why)
{
    struct target target;
    uint8_t *bytes;
    size_t n;

    assert_int_equal(stream_take_datagram(stream, &target, &bytes, &n), why);
}

static void each_arrives_once_with_its_address(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    associate(pair, streams);
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    send(pair, streams[CLIENT], "192.0.2.1:53", "to IPv4");
    send(pair, streams[CLIENT], "[2001:db8::1]:53", "to IPv6");
    send(pair, streams[CLIENT], "example.com:53", "to a name");
    send(pair, streams[CLIENT], "192.0.2.1:53", "");
    carry(pair, CLIENT, 0);
    expect(pair, SERVER, STREAM_READABLE);
    assert_comes(streams[SERVER], "192.0.2.1:53", "to IPv4");
    assert_comes(streams[SERVER], "[2001:db8::1]:53", "to IPv6");
    assert_comes(streams[SERVER], "example.com:53", "to a name");
    assert_comes(streams[SERVER], "192.0.2.1:53", "");
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    send(pair, streams[SERVER], "[2001:db8::1]:53", "back");
    carry(pair, SERVER, 0);
    assert_comes(streams[CLIENT], "[2001:db8::1]:53", "back");
    assert_nothing_comes(streams[CLIENT], ERR_AGAIN);
    release(pair, streams);
}

static void the_end_goes_behind_them(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    struct session_stats stats;

    associate(pair, streams);
    send(pair, streams[CLIENT], "192.0.2.1:53", "last");
    stream_finish(streams[CLIENT]);
    send(pair, streams[CLIENT], "192.0.2.1:53", "too late");
    assert_int_equal(stream_dropped_datagrams(streams[CLIENT]), 1);
    assert_int_equal(stream_dropped_datagrams(streams[CLIENT]), 0);
    carry_all(pair, 0);
    assert_comes(streams[SERVER], "192.0.2.1:53", "last");
    assert_nothing_comes(streams[SERVER], ERR_EOF);
    stream_finish(streams[SERVER]);
    stream_release(streams[SERVER]);
    stream_release(streams[CLIENT]);
    carry_all(pair, 0);
    pair->now_us += 30000;
    for (int i = 0; i < 2; i++)
        session_advance(pair->ends[i], pair->now_us);
    carry_all(pair, 0);
    for (int i = 0; i < 2; i++) {
        session_stats(pair->ends[i], &stats);
        assert_int_equal(stats.n_streams, 0);
        assert_int_equal(stats.n_granted_bytes, 0);
        session_settle(pair->ends[i]);
    }
    assert_int_equal(pair->heap.n_chunks, 0);
}

static void one_for_nobody_is_dropped_and_ends_nothing(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2], *bytes_only[2];
    static const uint64_t ids[] = {2, 3, 4, 998, 999};

    associate(pair, streams);
    open_stream(pair, 0, bytes_only);
    assert_int_equal(stream_id(bytes_only[SERVER]), 4);
    release(pair, streams);
    for (size_t i = 0; i < N_ITEMS(ids); i++) {
        uint8_t frame[16] = {FRAME_DATAGRAM};
        size_t n = (size_t)(frame_write_datagram_id(frame, ids[i]) - frame);
        const uint8_t rest[] = {1, 1, 192, 0, 2, 1, 0, 7, 'x'};
        memcpy(frame + n, rest, sizeof rest);
        assert_int_equal(give(pair, SERVER, 0, frame, n + sizeof rest), ERR_NONE);
    }
    expect_nothing(pair, SERVER);
    release(pair, bytes_only);
}

static void credit_for_datagrams_is_out_of_range(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 4; what++) {
        struct pair pair;
        pair_init(&pair, MIB, MIB);
        pair_link(&pair, 0);
        struct stream_request request = {.kind = what < 2 ? STREAM_ASSOCIATION : STREAM_RELAYED};
        uint8_t *end = frame_write_open(record, 2, what % 2, 1 - what % 2, &request);
        assert_int_equal(give(&pair, SERVER, 0, record, (size_t)(end - record)), ERR_BAD);
        pair_deinit(&pair);
    }
}

static void bytes_on_such_a_stream_end_the_session(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    associate(pair, streams);
    uint8_t *at = frame_write_data(record, false, stream_id(streams[SERVER]), 0, 1);
    *at++ = 'x';
    assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record)), ERR_BAD);
    release(pair, streams);
}

static void a_server_opens_no_association(void **state)
{
    struct pair *pair = *state;
    uint8_t *end = frame_write_open(record, 3, 0, 0, &association);
    struct frame frame;
    size_t used;

    assert_int_equal(give(pair, CLIENT, 0, record, (size_t)(end - record)), ERR_NONE);
    size_t n = take(pair, CLIENT, 0, record);
    assert_int_equal(frame_parse(record, n, &frame, &used), ERR_NONE);
    assert_int_equal(frame.type, FRAME_OPENED);
    assert_int_equal(frame.code, 7);
}

static void a_name_that_nobody_could_look_up_is_dropped(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static const char *const names[] = {"a b", "::1", "127.0.0.1"};

    associate(pair, streams);
    for (size_t i = 0; i < N_ITEMS(names); i++) {
        uint8_t *at = frame_write_datagram_id(record, stream_id(streams[SERVER]));
        size_t n = strlen(names[i]);
        *at++ = 1;
        *at++ = 3;
        *at++ = (uint8_t)n;
        memcpy(at, names[i], n);
        memcpy(at + n, "\0\x35x", 3);
        assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record) + n + 3), ERR_NONE);
    }
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    assert_int_equal(stream_dropped_datagrams(streams[SERVER]), N_ITEMS(names));
    release(pair, streams);
}

static void few_wait_and_the_oldest_go(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    const uint32_t n_sent = 10000;
    uint64_t n_held = 0;
    size_t n;

    associate(pair, streams);
    for (uint32_t i = 0; i < n_sent; i++) {
        send_number(pair, streams[CLIENT], i, 1200);
        if (pair->heap.n_bytes > n_held)
            n_held = pair->heap.n_bytes;
    }
    assert_true(n_held < 5 * MIB / 4);
    uint64_t n_dropped = stream_dropped_datagrams(streams[CLIENT]);
    assert_in_range(n_dropped, 1, n_sent - 800);
    carry(pair, CLIENT, 0);
    for (uint32_t i = (uint32_t)n_dropped; i < n_sent; i++)
        assert_int_equal(number_that_comes(streams[SERVER], &n), i);
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    for (int i = 0; i < 2; i++)
        session_settle(pair->ends[i]);
    assert_int_equal(pair->heap.n_chunks, 0);
    release(pair, streams);
}

static void all_of_a_session_together_have_a_bound_too(void **state)
{
    (void)state;
    struct pair pair;
    struct stream *streams[8][2];

    pair_init(&pair, 8 * MIB, MIB);
    pair_link(&pair, 0);
    for (size_t i = 0; i < N_ITEMS(streams); i++)
        associate(&pair, streams[i]);
    for (size_t i = 0; i < N_ITEMS(streams); i++) {
        for (uint32_t k = 0; k < 2000; k++)
            send_number(&pair, streams[i][CLIENT], k, 1000);
    }
    assert_true(pair.heap.n_bytes < 3 * MIB);
    for (size_t i = 0; i < N_ITEMS(streams); i++)
        release(&pair, streams[i]);
    pair_deinit(&pair);
}

static void of_many_the_late_are_dropped(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    size_t n;

    associate(pair, streams);
    for (uint32_t i = 0; i < 100; i++)
        send_number(pair, streams[CLIENT], i, 1000);
    pair->now_us += 400000;
    for (uint32_t i = 100; i < 120; i++)
        send_number(pair, streams[CLIENT], i, 1000);
    assert_int_equal(stream_dropped_datagrams(streams[CLIENT]), 100);
    carry(pair, CLIENT, 0);
    assert_int_equal(number_that_comes(streams[SERVER], &n), 100);
    release(pair, streams);
}

static void a_few_may_wait_for_a_link(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    associate(pair, streams);
    send(pair, streams[CLIENT], "192.0.2.1:53", "a question");
    pair->now_us += 3000000;
    carry(pair, CLIENT, 0);
    assert_comes(streams[SERVER], "192.0.2.1:53", "a question");
    send(pair, streams[CLIENT], "192.0.2.1:53", "one that nobody waits for any more");
    pair->now_us += 6000000;
    carry(pair, CLIENT, 0);
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    assert_int_equal(stream_dropped_datagrams(streams[CLIENT]), 1);
    release(pair, streams);
}

static void an_idle_session_makes_none_late(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    size_t n;

    associate(pair, streams);
    pair->now_us += 3600 * UINT64_C(1000000);
    for (uint32_t i = 0; i < 100; i++)
        send_number(pair, streams[CLIENT], i, 1000);
    carry(pair, CLIENT, 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(number_that_comes(streams[SERVER], &n), i);
    release(pair, streams);
}

/* Which frame the next record begins with; *n: its bytes. */
static uint8_t next_type(struct pair *pair, size_t *n)
{
    *n = take(pair, CLIENT, 0, record);
    assert_true(*n > 0);
    return record[0];
}

static void they_go_before_bulk_and_leave_it_its_part(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2], *bulk[2];
    size_t n, n_written, n_bulk = 0, n_datagrams = 0;
    static uint8_t bytes[65536];

    associate(pair, streams);
    open_stream(pair, 0, bulk);
    for (int i = 0; i < 400; i++) {
        for (uint32_t k = 0; k < 30; k++)
            send_number(pair, streams[CLIENT], k, 1000);
        /* Its credit is used up in the end, and given again. */
        enum err err = stream_write(bulk[CLIENT], bytes, sizeof bytes, &n_written);
        assert_true(err == ERR_NONE || err == ERR_AGAIN);
        if (next_type(pair, &n) == FRAME_DATAGRAM)
            n_datagrams++;
        else
            n_bulk++;
        assert_int_equal(give(pair, SERVER, 0, record, n), ERR_NONE);
        (void)read_all(bulk[SERVER], bytes, sizeof bytes, &n);
        session_settle(pair->ends[SERVER]);
        carry(pair, SERVER, 0);
    }
    assert_in_range(n_bulk, 15, 60);
    assert_in_range(n_datagrams, 340, 385);
    release(pair, streams);
    release(pair, bulk);
}

static void small_streams_and_datagrams_take_turns(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2], *small[40][2];
    size_t n, n_written, n_datagrams = 0;

    associate(pair, streams);
    for (size_t i = 0; i < N_ITEMS(small); i++)
        open_stream(pair, 0, small[i]);
    for (size_t i = 0; i < N_ITEMS(small); i++)
        assert_int_equal(stream_write(small[i][CLIENT], record, 4000, &n_written), ERR_NONE);
    for (uint32_t k = 0; k < 200; k++)
        send_number(pair, streams[CLIENT], k, 1000);
    for (int i = 0; i < 8; i++)
        n_datagrams += next_type(pair, &n) == FRAME_DATAGRAM;
    assert_int_equal(n_datagrams, 4);
    release(pair, streams);
    for (size_t i = 0; i < N_ITEMS(small); i++)
        release(pair, small[i]);
}

/* With some that have sent as large ones as there are, for a while. */
static void several_associations_take_turns(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[3][2];
    struct frame frame;
    size_t n, used, n_of[3] = {0};

    for (int i = 0; i < 3; i++)
        associate(pair, streams[i]);
    pair->room = SESSION_RECORD_MAX_BYTES;
    for (uint32_t k = 0; k < 50; k++) {
        for (int i = 1; i < 3; i++)
            send_number(pair, streams[i][CLIENT], k, 65000);
        assert_int_equal(carry(pair, CLIENT, 0), 2);
    }
    pair->room = 16384;
    for (int i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < 300; k++)
            send_number(pair, streams[i][CLIENT], k, 1000);
    }
    for (int i = 0; i < 12; i++) {
        n = take(pair, CLIENT, 0, record);
        for (size_t at = 0; at < n; at += used) {
            assert_int_equal(frame_parse(record + at, n - at, &frame, &used), ERR_NONE);
            if (frame.type == FRAME_DATAGRAM)
                n_of[frame.id / 2 - 1]++;
        }
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(n_of[i], 45, 85);
    for (int i = 0; i < 3; i++)
        release(pair, streams[i]);
}

static void a_large_one_says_what_room_it_needs_and_stops_nobody(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2], *others[2], *small[2];
    size_t n, n_written;

    associate(pair, streams);
    associate(pair, others);
    open_stream(pair, 0, small);
    assert_int_equal(session_room(pair->ends[CLIENT], 0, pair->now_us), 0);
    send_number(pair, streams[CLIENT], 1, 65000);
    send(pair, others[CLIENT], "192.0.2.1:53", "a small one");
    assert_int_equal(stream_write(small[CLIENT], "x", 1, &n_written), ERR_NONE);
    assert_true(session_room(pair->ends[CLIENT], 0, pair->now_us) >= 65000);
    assert_true(session_room(pair->ends[CLIENT], 0, pair->now_us) <= SESSION_RECORD_MAX_BYTES);
    pair->room = 4096;
    carry(pair, CLIENT, 0);
    assert_comes(others[SERVER], "192.0.2.1:53", "a small one");
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    assert_true(session_wants(pair->ends[CLIENT], 0));
    pair->room = session_room(pair->ends[CLIENT], 0, pair->now_us);
    assert_int_equal(carry(pair, CLIENT, 0), 1);
    assert_int_equal(number_that_comes(streams[SERVER], &n), 1);
    assert_int_equal(n, 65000);
    assert_false(session_wants(pair->ends[CLIENT], 0));
    send_number(pair, streams[CLIENT], 2, 65001);
    assert_int_equal(stream_dropped_datagrams(streams[CLIENT]), 1);
    release(pair, streams);
    release(pair, others);
    release(pair, small);
}

static void what_is_too_old_does_not_say_what_room_is_needed(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    size_t n;

    associate(pair, streams);
    send(pair, streams[CLIENT], "192.0.2.1:53", "a small one");
    pair->now_us += 3000000;
    send_number(pair, streams[CLIENT], 1, 10000);
    pair->now_us += 2000001;
    pair->room = session_room(pair->ends[CLIENT], 0, pair->now_us);
    assert_int_equal(carry(pair, CLIENT, 0), 1);
    assert_int_equal(number_that_comes(streams[SERVER], &n), 1);
    assert_int_equal(n, 10000);
    release(pair, streams);
}

static void none_goes_by_a_link_that_does_not_stand(void **state)
{
    (void)state;
    struct pair pair;
    struct stream *stream;

    pair_init(&pair, MIB, MIB);
    assert_int_equal(session_add_link(pair.ends[CLIENT], 0, pair.now_us), ERR_NONE);
    assert_int_equal(session_open(pair.ends[CLIENT], &association, &stream), ERR_NONE);
    send(&pair, stream, "192.0.2.1:53", "it would be lost if this were refused");
    size_t n = take(&pair, CLIENT, 0, record);
    assert_int_equal(record[0], FRAME_OPEN);
    assert_false(session_wants(pair.ends[CLIENT], 0));
    session_link_stands(pair.ends[CLIENT], 0);
    assert_true(session_wants(pair.ends[CLIENT], 0));
    n = take(&pair, CLIENT, 0, record);
    assert_true(n > 0);
    assert_int_equal(record[0], FRAME_DATAGRAM);
    stream_release(stream);
    pair_deinit(&pair);
}

static void a_lost_link_loses_them_and_the_next_carries_what_waits(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    associate(pair, streams);
    send(pair, streams[CLIENT], "192.0.2.1:53", "lost");
    (void)take(pair, CLIENT, 0, record);
    for (int i = 0; i < 2; i++)
        session_lose_link(pair->ends[i], 0, pair->now_us);
    send(pair, streams[CLIENT], "192.0.2.1:53", "waits");
    pair_link(pair, 1);
    carry_all(pair, 1);
    assert_comes(streams[SERVER], "192.0.2.1:53", "waits");
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    release(pair, streams);
}

static void an_opening_that_is_lost_goes_again_before_them(void **state)
{
    struct pair *pair = *state;
    struct stream *stream, *incoming;

    assert_int_equal(session_open(pair->ends[CLIENT], &association, &stream), ERR_NONE);
    send(pair, stream, "192.0.2.1:53", "with the opening");
    (void)take(pair, CLIENT, 0, record);
    for (int i = 0; i < 2; i++)
        session_lose_link(pair->ends[i], 0, pair->now_us);
    send(pair, stream, "192.0.2.1:53", "behind it");
    pair_link(pair, 1);
    carry(pair, CLIENT, 1);
    incoming = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_comes(incoming, "192.0.2.1:53", "behind it");
    struct stream *streams[2] = {stream, incoming};
    release(pair, streams);
}

static void what_nobody_takes_is_dropped_when_the_turn_is_over(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    associate(pair, streams);
    for (uint32_t i = 0; i < 10; i++)
        send_number(pair, streams[CLIENT], i, 1000);
    carry(pair, CLIENT, 0);
    session_settle(pair->ends[SERVER]);
    assert_nothing_comes(streams[SERVER], ERR_AGAIN);
    assert_int_equal(stream_dropped_datagrams(streams[SERVER]), 10);
    for (int i = 0; i < 2; i++)
        session_settle(pair->ends[i]);
    assert_int_equal(pair->heap.n_chunks, 0);
    release(pair, streams);
}

static void a_turn_has_a_bound(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    struct target target;
    uint8_t *bytes, *at = record;
    size_t n, n_come = 0;

    associate(pair, streams);
    for (int i = 0; i < 4000; i++) {
        at = frame_write_datagram_id(at, stream_id(streams[SERVER]));
        memcpy(at, "\0\1\1\2\3\4\0\7", 8);
        at += 8;
    }
    for (int i = 0; i < 10; i++)
        assert_int_equal(give(pair, SERVER, 0, record, (size_t)(at - record)), ERR_NONE);
    while (stream_take_datagram(streams[SERVER], &target, &bytes, &n) == ERR_NONE)
        n_come++;
    assert_in_range(n_come, 1000, 8192);
    assert_int_equal(stream_dropped_datagrams(streams[SERVER]), 40000 - n_come);
    release(pair, streams);
}

/* A header of SOCKS5 is put in front of each while those before it are still needed. */
static void a_header_in_front_overwrites_no_other(void **state)
{
    static const char *const targets[] = {"192.0.2.1:53", "[2001:db8::1]:53", "a:53",
                                          "example.com:53"};
    struct pair *pair = *state;
    struct stream *streams[2];
    uint8_t *begins[64], *bytes;
    struct target target;
    size_t n;

    associate(pair, streams);
    for (uint32_t i = 0; i < N_ITEMS(begins); i++) {
        struct target to = target_of(targets[i % 4]);
        stream_send_datagram(streams[CLIENT], &to, (const uint8_t *)&i, sizeof i, pair->now_us);
    }
    carry(pair, CLIENT, 0);
    for (size_t i = 0; i < N_ITEMS(begins); i++) {
        assert_int_equal(stream_take_datagram(streams[SERVER], &target, &bytes, &n), ERR_NONE);
        begins[i] = socks5_put_udp_header(bytes, &target);
    }
    for (uint32_t i = 0; i < N_ITEMS(begins); i++) {
        struct socks5_datagram header;
        struct target to = target_of(targets[i % 4]);
        assert_int_equal(socks5_parse_datagram(begins[i], 300, &header, &n), ERR_NONE);
        assert_memory_equal(begins[i] + n, &i, sizeof i);
        assert_string_equal(header.target.name, to.name);
        assert_true(addr_equal(&header.target.addr, &to.addr, true));
    }
    release(pair, streams);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(each_arrives_once_with_its_address),
        PAIR_TEST(the_end_goes_behind_them),
        PAIR_TEST(one_for_nobody_is_dropped_and_ends_nothing),
        cmocka_unit_test(credit_for_datagrams_is_out_of_range),
        PAIR_TEST(bytes_on_such_a_stream_end_the_session),
        PAIR_TEST(a_server_opens_no_association),
        PAIR_TEST(a_name_that_nobody_could_look_up_is_dropped),
        PAIR_TEST(few_wait_and_the_oldest_go),
        cmocka_unit_test(all_of_a_session_together_have_a_bound_too),
        PAIR_TEST(of_many_the_late_are_dropped),
        PAIR_TEST(a_few_may_wait_for_a_link),
        PAIR_TEST(an_idle_session_makes_none_late),
        PAIR_TEST(they_go_before_bulk_and_leave_it_its_part),
        PAIR_TEST(small_streams_and_datagrams_take_turns),
        PAIR_TEST(several_associations_take_turns),
        PAIR_TEST(a_large_one_says_what_room_it_needs_and_stops_nobody),
        PAIR_TEST(what_is_too_old_does_not_say_what_room_is_needed),
        cmocka_unit_test(none_goes_by_a_link_that_does_not_stand),
        PAIR_TEST(a_lost_link_loses_them_and_the_next_carries_what_waits),
        PAIR_TEST(an_opening_that_is_lost_goes_again_before_them),
        PAIR_TEST(what_nobody_takes_is_dropped_when_the_turn_is_over),
        PAIR_TEST(a_turn_has_a_bound),
        PAIR_TEST(a_header_in_front_overwrites_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
