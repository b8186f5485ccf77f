/*
 * What a session holds is bounded by what it has been sent and what it is to send, whatever the order, the sizes and the pace in
 * which the other end brings, acknowledges or loses it.
 */
#include "sessions.h"

#include "session/state.h"

enum { MANY = 200, PART = 60000 };

static uint64_t held(const struct pair *pair, int end)
{
    struct session_stats stats;

    session_stats(pair->ends[end], &stats);
    return stats.n_held_bytes;
}

/* Beyond what may be held without a look at it, here a megabyte, each has as much. */
static void assert_holds(const struct pair *pair, int end, uint64_t each)
{
    assert_in_range(held(pair, end), 0, pair->ends[end]->store.free_bytes + MANY * each);
}

static uint8_t byte_at(size_t stream, size_t offset)
{
    return (uint8_t)(stream * 31 + offset * 7 + offset / 251);
}

/* As much of the stream's bytes from an offset on, and all of them are taken. */
static void write_bytes(struct stream *stream, size_t number, size_t offset, size_t n)
{
    static uint8_t bytes[PART];
    size_t n_taken;

    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(number, offset + i);
    assert_int_equal(stream_write(stream, bytes, n, &n_taken), ERR_NONE);
    assert_int_equal(n_taken, n);
}

/* The bytes from an offset on, up to so many, are those. */
static void read_bytes(struct stream *stream, size_t number, size_t offset, size_t n)
{
    static uint8_t bytes[PART];
    size_t n_read;

    (void)read_all(stream, bytes, n, &n_read);
    assert_int_equal(n_read, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(bytes[i], byte_at(number, offset + i));
}

/* Streams that are open at both ends, without anything under way. */
static void open_many(struct pair *pair, struct stream *streams[][2])
{
    for (size_t i = 0; i < MANY; i++)
        open_stream(pair, 0, streams[i]);
    pair->now_us += 30000;
    for (int end = 0; end < 2; end++)
        session_advance(pair->ends[end], pair->now_us);
    carry_all(pair, 0);
}

/* Records of one end that are under way. */
static struct flight {
    uint8_t *records[4096];
    size_t sizes[4096];
    size_t n;
} flight;

static void launch(struct pair *pair, int from)
{
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    flight.n = 0;
    for (size_t n; (n = take(pair, from, 0, record)) > 0; flight.n++) {
        assert_true(flight.n < N_ITEMS(flight.records));
        flight.records[flight.n] = malloc(n);
        assert_non_null(flight.records[flight.n]);
        memcpy(flight.records[flight.n], record, n);
        flight.sizes[flight.n] = n;
    }
}

static void land(struct pair *pair, int to)
{
    for (size_t i = 0; i < flight.n; i++) {
        assert_int_equal(give(pair, to, 0, flight.records[i], flight.sizes[i]), ERR_NONE);
        session_settle(pair->ends[to]);
        free(flight.records[i]);
    }
}

/* ---- what has come ---- */

static void what_is_left_of_much_that_was_not_read_takes_little(void **state)
{
    struct pair *pair = *state;
    static struct stream *streams[MANY][2];

    open_many(pair, streams);
    for (size_t i = 0; i < MANY; i++) {
        write_bytes(streams[i][CLIENT], i, 0, PART);
        stream_finish(streams[i][CLIENT]);
        carry_all(pair, 0);
        session_settle(pair->ends[SERVER]);
        read_bytes(streams[i][SERVER], i, 0, PART - 1);
        assert_holds(pair, SERVER, BUFFER_SMALL_BYTES);
    }
    for (size_t i = 0; i < MANY; i++)
        read_bytes(streams[i][SERVER], i, PART - 1, 1);
    assert_int_equal(held(pair, SERVER), 0);
}

static void each_pace_of_reading_holds_a_few_times_what_is_not_read(void **state)
{
    struct pair *pair = *state;
    static struct stream *streams[MANY][2];
    size_t n_read = 0;

    open_many(pair, streams);
    for (size_t i = 0; i < MANY; i++) {
        write_bytes(streams[i][CLIENT], i, 0, PART);
        carry_all(pair, 0);
        session_settle(pair->ends[SERVER]);
    }
    for (size_t step = 1; n_read < PART; n_read += step, step = n_read / 8 + 1) {
        if (step > PART - n_read)
            step = PART - n_read;
        for (size_t i = 0; i < MANY; i++)
            read_bytes(streams[i][SERVER], i, n_read, step);
        size_t rest = PART - n_read - step;
        assert_holds(pair, SERVER, BUFFER_WASTE * rest + BUFFER_SMALL_BYTES);
    }
    assert_int_equal(held(pair, SERVER), 0);
}

static struct chunk *get_nothing(struct chunk_source *source, size_t n)
{
    (void)source;
    (void)n;
    return NULL;
}

static void what_finds_no_memory_to_move_to_stays_whole(void **state)
{
    struct pair *pair = *state;
    static struct stream *streams[MANY][2];

    open_many(pair, streams);
    for (size_t i = 0; i < MANY; i++) {
        write_bytes(streams[i][CLIENT], i, 0, PART);
        carry_all(pair, 0);
        session_settle(pair->ends[SERVER]);
    }
    pair->heap.source.get = get_nothing;
    for (size_t i = 0; i < MANY; i++)
        read_bytes(streams[i][SERVER], i, 0, PART - 2);
    assert_true(held(pair, SERVER) > 2 * MIB + MANY * BUFFER_SMALL_BYTES);
    pair->heap.source.get = heap_get;
    for (size_t i = 0; i < MANY; i++)
        read_bytes(streams[i][SERVER], i, PART - 2, 1);
    assert_holds(pair, SERVER, BUFFER_SMALL_BYTES);
    for (size_t i = 0; i < MANY; i++)
        read_bytes(streams[i][SERVER], i, PART - 1, 1);
}

static void a_byte_before_its_turn_takes_little(void **state)
{
    struct pair *pair = *state;
    static struct stream *streams[MANY][2];
    uint8_t record[64];

    open_many(pair, streams);
    for (size_t i = 0; i < MANY; i++) {
        uint8_t *end =
            frame_write_data(record, false, stream_id(streams[i][CLIENT]), 60000 - i * 17, 1);
        *end++ = 'x';
        assert_int_equal(give(pair, SERVER, 0, record, (size_t)(end - record)), ERR_NONE);
        session_settle(pair->ends[SERVER]);
    }
    assert_in_range(held(pair, SERVER), 1, MANY * 1024);
}

static void nothing_is_kept_behind_a_gap_that_was_filled(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    uint8_t record[64];

    open_stream(pair, 0, streams);
    for (uint64_t offset = 2; offset-- > 0;) {
        uint8_t *end = frame_write_data(record, false, stream_id(streams[CLIENT]), offset, 1);
        *end++ = byte_at(0, offset);
        assert_int_equal(give(pair, SERVER, 0, record, (size_t)(end - record)), ERR_NONE);
    }
    session_settle(pair->ends[SERVER]);
    read_bytes(streams[SERVER], 0, 0, 2);
    assert_int_equal(held(pair, SERVER), 0);
}

/* ---- what goes ---- */

/* All that the server's stream has sent is read and acknowledged. */
static void drain(struct pair *pair, struct stream *streams[2])
{
    static uint8_t bytes[262144];
    size_t n;

    while (streams[SERVER]->out.base < streams[SERVER]->out.end) {
        carry_all(pair, 0);
        (void)read_all(streams[CLIENT], bytes, sizeof bytes, &n);
        pair->now_us += 30000;
        session_advance(pair->ends[CLIENT], pair->now_us);
        session_settle(pair->ends[CLIENT]);
    }
}

/* The server's streams send until what they take at once is as much as it can be. */
static void warm_up(struct pair *pair, struct stream *streams[][2])
{
    for (size_t i = 0; i < MANY; i++)
        while (streams[i][SERVER]->out.part_bytes < 262144) {
            uint8_t *room;
            size_t n;
            assert_int_equal(stream_reserve(streams[i][SERVER], &room, &n), ERR_NONE);
            memset(room, 0, n);
            stream_commit(streams[i][SERVER], n);
            drain(pair, streams[i]);
        }
    assert_int_equal(held(pair, SERVER), 0);
}

static void a_byte_that_is_sent_behind_bulk_takes_little(void **state)
{
    struct pair *pair = *state;
    static struct stream *streams[MANY][2];

    open_many(pair, streams);
    warm_up(pair, streams);
    for (size_t i = 0; i < MANY; i++) {
        uint8_t *room;
        size_t n;
        assert_int_equal(stream_reserve(streams[i][SERVER], &room, &n), ERR_NONE);
        *room = byte_at(i, 0);
        stream_commit(streams[i][SERVER], 1);
        assert_holds(pair, SERVER, BUFFER_SMALL_BYTES);
    }
    carry_all(pair, 0);
    for (size_t i = 0; i < MANY; i++)
        read_bytes(streams[i][CLIENT], i, 0, 1);
}

static void what_is_left_of_much_that_was_acknowledged_takes_little(void **state)
{
    struct pair *pair = *state;
    static struct stream *streams[MANY][2];

    open_many(pair, streams);
    for (size_t i = 0; i < MANY; i++)
        write_bytes(streams[i][SERVER], i, 0, PART);
    launch(pair, SERVER);
    for (size_t i = 0; i < MANY; i++)
        write_bytes(streams[i][SERVER], i, PART, 1);
    land(pair, CLIENT);
    (void)carry(pair, CLIENT, 0);
    pair->now_us += 30000;
    session_advance(pair->ends[CLIENT], pair->now_us);
    (void)carry(pair, CLIENT, 0);
    assert_holds(pair, SERVER, BUFFER_SMALL_BYTES);
    carry_all(pair, 0);
    for (size_t i = 0; i < MANY; i++)
        read_bytes(streams[i][CLIENT], i, 0, PART);
    for (size_t i = 0; i < MANY; i++)
        read_bytes(streams[i][CLIENT], i, PART, 1);
}

/* The other end acknowledges nothing. */
static void beyond_the_window_each_stream_keeps_a_little(void **state)
{
    struct pair *pair = *state;
    static struct stream *streams[MANY][2];
    uint64_t window = pair->ends[SERVER]->options.window_bytes;

    open_many(pair, streams);
    warm_up(pair, streams);
    for (size_t i = 0; i < MANY; i++) {
        uint8_t *room;
        size_t n;
        while (stream_reserve(streams[i][SERVER], &room, &n) == ERR_NONE) {
            stream_commit(streams[i][SERVER], n);
            (void)carry(pair, SERVER, 0);
        }
    }
    assert_in_range(pair->ends[SERVER]->n_outgoing_bytes, window,
                    window + 262144 + (uint64_t)MANY * 4096);
}

/* ---- what is known of what goes ---- */

static void a_ring_shrinks_with_what_is_in_it(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    struct session_link *link = link_find(pair->ends[SERVER], 0);

    open_stream(pair, 0, streams);
    pair->room = SESSION_ROOM_MIN_BYTES;
    for (size_t i = 0; i < 3000; i++) {
        static uint8_t record[SESSION_RECORD_MAX_BYTES];
        write_bytes(streams[SERVER], 0, i, 1);
        assert_true(take(pair, SERVER, 0, record) > 0);
    }
    assert_true(link->cap >= 3000);
    uint64_t n_asked = link->n_acked + 2999;
    for (uint64_t count = link->n_acked; count <= n_asked; count += 100) {
        uint8_t record[64];
        uint8_t *end = frame_write_ack(record, 0, count, 0);
        assert_int_equal(give(pair, SERVER, 0, record, (size_t)(end - record)), ERR_NONE);
        uint32_t n = link->tail - link->head;
        assert_true(n > 0);
        assert_in_range(link->cap, n, n * 8 > 1024 ? n * 8 : 1024);
    }
}

static void a_set_of_offsets_shrinks_with_what_is_in_it(void **state)
{
    struct ranges ranges = {.all = NULL};
    (void)state;

    for (uint64_t i = 0; i < 10000; i++)
        assert_int_equal(ranges_add(&ranges, 3 * i, 3 * i + 1), ERR_NONE);
    for (uint64_t i = 0; i < 10000; i += 7) {
        assert_in_range(ranges.cap, 10000 - i, (10000 - i) * 8 > 64 ? (10000 - i) * 8 : 64);
        assert_int_equal(ranges_lowest(&ranges).from, 3 * i);
        ranges_remove_below(&ranges, 3 * (i + 7));
    }
    assert_true(ranges_is_empty(&ranges));
    assert_int_equal(ranges.cap, 0);
}

/* What is acknowledged with a gap behind each byte, of streams that go on so, is not kept without bound. */
static void of_gaps_all_sets_together_have_only_so_many(void **state)
{
    struct ranges sets[2] = {{.all = NULL}};
    size_t n = 0;
    (void)state;

    sets[0].n_in_all = sets[1].n_in_all = &n;
    for (uint64_t i = 0; i < RANGES_MAX; i++)
        assert_int_equal(ranges_add(&sets[i % 2], 3 * i, 3 * i + 1), ERR_NONE);
    assert_int_equal(n, RANGES_MAX);
    assert_int_equal(ranges_add(&sets[0], 3 * RANGES_MAX, 3 * RANGES_MAX + 1), ERR_MEMORY);
    ranges_remove_below(&sets[0], 1);
    assert_int_equal(ranges_remove(&sets[1], 3, 4), ERR_NONE);
    assert_int_equal(n, RANGES_MAX - 2);
    ranges_free(&sets[0]);
    assert_int_equal(n, RANGES_MAX / 2 - 1);
    ranges_free(&sets[1]);
    assert_int_equal(n, 0);
}

/* A stream's offsets in records of a byte go by two links in turn; one of them is acknowledged, and then all. */
static void gaps_are_counted_while_there_are_any(void **state)
{
    enum { BYTES = 200 };
    struct pair *pair = *state;
    struct stream *streams[2];
    struct session *server = pair->ends[SERVER];
    struct stream *stream;

    open_stream(pair, 0, streams);
    stream = streams[SERVER];
    write_bytes(stream, 0, 0, BYTES);
    for (uint64_t i = 0; i < BYTES; i++)
        outgoing_sent(stream, i, i + 1, false);
    for (uint64_t i = 1; i < BYTES; i += 2)
        outgoing_acked(stream, i, i + 1);
    assert_int_equal(server->n_ranges, BYTES / 2);
    for (uint64_t i = 0; i < BYTES; i += 2)
        outgoing_lost(stream, i, i + 1);
    assert_int_equal(server->n_ranges, BYTES);
    for (uint64_t i = 0; i < BYTES / 2; i += 2)
        outgoing_acked(stream, i, i + 1);
    assert_int_equal(server->n_ranges, BYTES / 2);
    stream_reset(stream, STREAM_RESET_APPLICATION);
    assert_int_equal(server->n_ranges, 0);
}

static int begin(void **state)
{
    (void)pair_begin(state);
    struct pair *pair = *state;
    for (int end = 0; end < 2; end++)
        pair->ends[end]->store.free_bytes = MIB;
    return 0;
}

static int begin_small(void **state)
{
    static struct pair pair;

    pair_init(&pair, MIB, MIB);
    pair_link(&pair, 0);
    *state = &pair;
    return 0;
}

#define HELD_TEST(name) cmocka_unit_test_setup_teardown(name, begin, pair_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HELD_TEST(what_is_left_of_much_that_was_not_read_takes_little),
        HELD_TEST(each_pace_of_reading_holds_a_few_times_what_is_not_read),
        HELD_TEST(what_finds_no_memory_to_move_to_stays_whole),
        HELD_TEST(a_byte_before_its_turn_takes_little),
        HELD_TEST(nothing_is_kept_behind_a_gap_that_was_filled),
        HELD_TEST(a_byte_that_is_sent_behind_bulk_takes_little),
        HELD_TEST(what_is_left_of_much_that_was_acknowledged_takes_little),
        cmocka_unit_test_setup_teardown(beyond_the_window_each_stream_keeps_a_little, begin_small,
                                        pair_end),
        HELD_TEST(a_ring_shrinks_with_what_is_in_it),
        cmocka_unit_test(a_set_of_offsets_shrinks_with_what_is_in_it),
        cmocka_unit_test(of_gaps_all_sets_together_have_only_so_many),
        HELD_TEST(gaps_are_counted_while_there_are_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
