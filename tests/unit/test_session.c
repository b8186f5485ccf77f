/* A session on one link: opening, bytes, ends, acknowledgements. */
#include "sessions.h"

static void a_stream_opens_with_its_first_bytes_and_is_answered(void **state)
{
    struct pair *pair = *state;
    struct stream *near, *far;
    struct addr bound;
    uint8_t bytes[16];
    size_t n;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &near), ERR_NONE);
    assert_int_equal(stream_write(near, "hello", 5, &n), ERR_NONE);
    assert_int_equal(n, 5);
    assert_int_equal(carry(pair, CLIENT, 0), 1);

    far = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_int_equal(stream_id(far), 2);
    assert_int_equal(stream_id(near), 2);
    assert_string_equal(stream_request(far)->target.name, "example.com");
    assert_int_equal(stream_request(far)->target.addr.port, 443);
    assert_true(addr_equal(&stream_request(far)->source, &some_request()->source, true));
    assert_int_equal(read_all(far, bytes, sizeof bytes, &n), ERR_AGAIN);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "hello", 5);

    const struct addr ours = {.family = ADDR_V6, .ip = {[15] = 1}, .port = 7};
    assert_int_equal(stream_answer(far, 0, &ours), ERR_NONE);
    carry_all(pair, 0);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_ANSWERED).stream, near);
    assert_int_equal(stream_code(near, &bound), 0);
    assert_true(addr_equal(&bound, &ours, true));
}

static void both_directions_end_by_fins_and_nothing_is_left(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    struct session_stats stats;
    const uint8_t *bytes;
    size_t n;

    open_stream(pair, 0, streams);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stream_write(streams[i], "bye", 3, &n), ERR_NONE);
        stream_finish(streams[i]);
    }
    carry_all(pair, 0);
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(expect(pair, i, STREAM_READABLE).stream, streams[i]);
        assert_int_equal(stream_peek(streams[i], &bytes, &n), ERR_NONE);
        assert_int_equal(n, 3);
        stream_consume(streams[i], 3);
        assert_int_equal(stream_peek(streams[i], &bytes, &n), ERR_EOF);
        stream_release(streams[i]);
    }
    pair->now_us += 25000;
    for (int i = 0; i < 2; i++)
        session_advance(pair->ends[i], pair->now_us);
    carry_all(pair, 0);
    for (int i = 0; i < 2; i++) {
        session_settle(pair->ends[i]);
        session_stats(pair->ends[i], &stats);
        assert_int_equal(stats.n_streams, 0);
        assert_int_equal(stats.n_held_bytes, 0);
        assert_int_equal(stats.n_granted_bytes, 0);
        assert_true(session_deadline_us(pair->ends[i]) == UINT64_MAX);
        expect_nothing(pair, i);
    }
    assert_int_equal(pair->heap.n_chunks, 0);
}

static void bulk_arrives_whole_in_both_directions(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    uint64_t written[2] = {0}, read[2] = {0};
    static uint8_t bytes[100000];
    size_t n;

    open_stream(pair, 0, streams);
    while (read[0] < 8 * MIB || read[1] < 8 * MIB) {
        for (int i = 0; i < 2; i++) {
            for (size_t k = 0; k < sizeof bytes; k++)
                bytes[k] = (uint8_t)((written[i] + k) % 251);
            if (stream_write(streams[i], bytes, sizeof bytes, &n) == ERR_NONE)
                written[i] += n;
        }
        carry_all(pair, 0);
        for (int i = 0; i < 2; i++) {
            (void)read_all(streams[i], bytes, sizeof bytes, &n);
            for (size_t k = 0; k < n; k++)
                assert_int_equal(bytes[k], (read[i] + k) % 251);
            read[i] += n;
            session_settle(pair->ends[i]);
        }
        pair->now_us += 1000;
    }
    stream_reset(streams[CLIENT], STREAM_RESET_APPLICATION);
}

/* ---- a long line ---- */

enum { LINE_BYTES_PER_MS = 25000, LINE_DELAY_MS = 50, LINE_SLOTS = 4096 };

struct flight {
    uint64_t at_us;
    size_t n;
    uint8_t *bytes;
};

/* One direction of a line of 200 Mbit/s with 100 ms for a round trip. */
struct line {
    struct flight flying[LINE_SLOTS];
    size_t head, tail;
    int64_t budget;
};

static void line_turn(struct pair *pair, struct line *line, int from)
{
    static uint8_t bytes[SESSION_RECORD_MAX_BYTES];
    size_t n;

    line->budget = line->budget > 0 ? LINE_BYTES_PER_MS : line->budget + LINE_BYTES_PER_MS;
    while (line->budget > 0 && (n = take(pair, from, 0, bytes)) > 0) {
        struct flight *flight = &line->flying[line->tail++ % LINE_SLOTS];
        assert_true(line->tail - line->head <= LINE_SLOTS);
        *flight = (struct flight){pair->now_us + LINE_DELAY_MS * 1000, n, malloc(n)};
        assert_non_null(flight->bytes);
        memcpy(flight->bytes, bytes, n);
        line->budget -= (int64_t)n;
    }
    while (line->head < line->tail && line->flying[line->head % LINE_SLOTS].at_us <= pair->now_us) {
        struct flight *flight = &line->flying[line->head++ % LINE_SLOTS];
        assert_int_equal(give(pair, !from, 0, flight->bytes, flight->n), ERR_NONE);
        free(flight->bytes);
    }
}

static void line_free(struct line *line)
{
    while (line->head < line->tail)
        free(line->flying[line->head++ % LINE_SLOTS].bytes);
}

/* Writes what is taken, reads what is there; returns how much that was. */
static uint64_t ends_turn(struct pair *pair, struct stream *writer, struct stream *reader)
{
    const uint8_t *bytes;
    uint8_t *room;
    size_t n;
    uint64_t n_read = 0;

    while (stream_reserve(writer, &room, &n) == ERR_NONE)
        stream_commit(writer, n);
    while (stream_peek(reader, &bytes, &n) == ERR_NONE) {
        stream_consume(reader, n);
        n_read += n;
    }
    for (int end = 0; end < 2; end++) {
        session_settle(pair->ends[end]);
        session_advance(pair->ends[end], pair->now_us);
    }
    return n_read;
}

static void one_stream_comes_to_fill_a_long_line(void **state)
{
    struct pair *pair = *state;
    static struct line lines[2];
    const struct addr bound = {.family = ADDR_NONE};
    struct stream *near, *far = NULL;
    struct session_event event;
    uint64_t n_late = 0;

    memset(lines, 0, sizeof lines);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &near), ERR_NONE);
    for (int ms = 0; ms < 4000; ms++) {
        pair->now_us += 1000;
        for (int from = 0; from < 2; from++)
            line_turn(pair, &lines[from], from);
        if (far == NULL && session_next_event(pair->ends[SERVER], &event)) {
            far = event.stream;
            assert_int_equal(stream_answer(far, 0, &bound), ERR_NONE);
        }
        if (far != NULL) {
            /* Down: the direction in which the reader has sent little to measure the line by. */
            uint64_t n = ends_turn(pair, far, near);
            n_late += ms >= 2000 ? n : 0;
        }
    }
    assert_true(n_late >= (uint64_t)2000 * LINE_BYTES_PER_MS * 9 / 10);
    for (int from = 0; from < 2; from++)
        line_free(&lines[from]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(a_stream_opens_with_its_first_bytes_and_is_answered),
        PAIR_TEST(both_directions_end_by_fins_and_nothing_is_left),
        PAIR_TEST(bulk_arrives_whole_in_both_directions),
        PAIR_TEST(one_stream_comes_to_fill_a_long_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
