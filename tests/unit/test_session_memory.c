/* Each allocation of a session's may fail: it says so or goes on, and nothing is left behind. */
#include "sessions.h"

#include "allocator.h"
#include "session/state.h"

struct play {
    struct heap_chunks heap;
    struct session *ends[2];
    struct session_fill fill;
    uint8_t record[SESSION_RECORD_MAX_BYTES];
    uint64_t now_us;
    bool is_broken[2][2]; /* by sender and link: a record is missing, so nothing behind it comes */
};

static bool carry_one(struct play *play, int from, uint64_t link, bool is_lost)
{
    size_t n = session_pull(play->ends[from], link, 4096, play->now_us, &play->fill), at = 0;

    for (size_t i = 0; n > 0 && i < play->fill.n_pieces; i++) {
        memcpy(play->record + at, play->fill.pieces[i].bytes, play->fill.pieces[i].n);
        at += play->fill.pieces[i].n;
    }
    bool *is_broken = &play->is_broken[from][link];
    struct chunk *chunk = n == 0 || is_lost || *is_broken ? NULL : chunk_get(&play->heap.source, n);
    *is_broken = *is_broken || (n > 0 && chunk == NULL);
    if (chunk != NULL) {
        memcpy(chunk->bytes, play->record, n);
        /* Where a hole could not be mended, the session has ended itself. */
        enum err err =
            session_receive(play->ends[!from], link, chunk, chunk->bytes, n, play->now_us);
        assert_true(err == ERR_NONE || err == ERR_MEMORY);
        chunk_release(chunk);
    }
    return chunk != NULL;
}

static void carry_some(struct play *play, uint64_t link)
{
    for (int i = 0; i < 40; i++) {
        bool has_moved = carry_one(play, CLIENT, link, false);
        if (!carry_one(play, SERVER, link, false) && !has_moved)
            break;
    }
}

/* As much as it takes, of nothing in particular. */
static void write_some(struct stream *stream, size_t given)
{
    static uint8_t bytes[30000];
    size_t n;
    enum err err = stream_write(stream, bytes, given, &n);

    assert_true(err == ERR_NONE || err == ERR_AGAIN || err == ERR_MEMORY || err == ERR_RESET);
}

static const struct stream_request association = {.kind = STREAM_ASSOCIATION};

/* Bytes, or a few datagrams. */
static void send_some(struct stream *stream, size_t n)
{
    static const uint8_t bytes[3000];
    const struct target to = {.addr = {.family = ADDR_V4, .port = 7}};

    if (!stream_has_datagrams(stream)) {
        write_some(stream, n);
        return;
    }
    for (size_t i = 0; i < 4; i++)
        stream_send_datagram(stream, &to, bytes, i * 1000, 1);
}

static void take_datagrams(struct stream *stream)
{
    struct target from;
    uint8_t *bytes;
    size_t n;

    while (stream_take_datagram(stream, &from, &bytes, &n) == ERR_NONE)
        assert_int_equal(n % 1000, 0);
}

static void application(struct play *play, int end)
{
    const struct addr bound = {.family = ADDR_NONE};
    struct session_event event;
    const uint8_t *bytes;
    size_t n;

    while (session_next_event(play->ends[end], &event)) {
        if (event.kind <= STREAM_READABLE && stream_has_datagrams(event.stream))
            take_datagrams(event.stream);
        if (event.kind == STREAM_INCOMING && stream_answer(event.stream, 0, &bound) == ERR_NONE)
            send_some(event.stream, 7);
        if (event.kind == STREAM_READABLE && !stream_has_datagrams(event.stream) &&
            stream_peek(event.stream, &bytes, &n) == ERR_NONE)
            stream_consume(event.stream, n / 2);
        if (event.kind == STREAM_DEAD) {
            struct stream **kept = stream_owner(event.stream);
            if (kept != NULL)
                *kept = NULL;
            stream_release(event.stream);
        }
    }
    session_settle(play->ends[end]);
}

static bool begin_play(struct play *play)
{
    *play = (struct play){.heap.source = {.get = heap_get, .put = heap_put}, .now_us = 1};
    for (int i = 0; i < 2; i++) {
        const struct session_options options = {.is_client = i == CLIENT,
                                                .window_bytes = MIB,
                                                .stream_window_bytes = MIB,
                                                .chunks = &play->heap.source};
        if (session_new(&play->ends[i], &options) != ERR_NONE)
            return false;
    }
    for (int i = 0; i < 2; i++) {
        for (uint64_t link = 0; link < 2; link++) {
            if (session_add_link(play->ends[i], link, play->now_us) != ERR_NONE)
                return false;
            session_link_stands(play->ends[i], link);
        }
    }
    return true;
}

/* Opens, writes, loses records and a link, reads slowly, resets. */
static void play_all(struct play *play)
{
    struct stream *streams[10] = {NULL};

    for (size_t i = 0; i < N_ITEMS(streams); i++) {
        const struct stream_request *request = i % 4 == 3 ? &association : some_request();
        if (session_open(play->ends[CLIENT], request, &streams[i]) != ERR_NONE)
            continue;
        stream_set_owner(streams[i], &streams[i]);
        send_some(streams[i], 30000);
    }
    carry_some(play, 0);
    application(play, SERVER);
    application(play, CLIENT);
    for (size_t i = 0; i < N_ITEMS(streams); i++) {
        if (streams[i] != NULL && i % 4 != 1)
            send_some(streams[i], 30000);
        (void)carry_one(play, CLIENT, 0, i > 4);
        (void)carry_one(play, CLIENT, 1, false);
    }
    for (int end = 0; end < 2; end++)
        session_lose_link(play->ends[end], 0, play->now_us);
    play->now_us += 30000;
    for (int end = 0; end < 2; end++)
        session_advance(play->ends[end], play->now_us);
    carry_some(play, 1);
    application(play, SERVER);
    carry_some(play, 1);
    session_end(play->ends[SERVER], 0, play->now_us);
    carry_some(play, 1);
}

static void any_allocation_may_fail(void **state)
{
    static struct play play;
    (void)state;
    (void)some_request();
    int64_t n_before = n_blocks;

    for (uint64_t nth = 1;; nth++) {
        allocator_fail(nth);
        if (begin_play(&play))
            play_all(&play);
        bool was_reached = n_allocations >= nth;
        allocator_fail(0);
        for (int i = 0; i < 2; i++)
            session_free(play.ends[i]);
        assert_int_equal(play.heap.n_chunks, 0);
        assert_int_equal(n_blocks, n_before);
        if (!was_reached) {
            assert_true(nth > 100);
            return;
        }
    }
}

/* ---- what is given back by a smaller allocation ---- */

static void a_set_of_offsets_that_cannot_shrink_is_whole(void **state)
{
    struct ranges ranges = {.all = NULL};
    (void)state;

    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(ranges_add(&ranges, 3 * i, 3 * i + 1), ERR_NONE);
    uint32_t cap = ranges.cap;
    allocator_fail(1);
    ranges_remove_below(&ranges, 3 * 990);
    assert_true(n_allocations > 0);
    allocator_fail(0);
    assert_int_equal(ranges.cap, cap);
    for (uint64_t i = 990; i < 1000; i++) {
        assert_int_equal(ranges_lowest(&ranges).from, 3 * i);
        assert_int_equal(ranges_lowest(&ranges).to, 3 * i + 1);
        ranges_remove_below(&ranges, 3 * i + 1);
    }
    assert_true(ranges_is_empty(&ranges));
}

/* The server writes a byte a record; nobody has acknowledged them. */
static void send_bytes(struct play *play, struct stream *stream, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        write_some(stream, 1);
        assert_true(session_pull(play->ends[SERVER], 0, 4096, play->now_us, &play->fill) > 0);
    }
}

static enum err acknowledge(struct play *play, uint64_t count)
{
    uint8_t record[64];
    size_t n = (size_t)(frame_write_ack(record, 0, count, 0) - record);
    struct chunk *chunk = chunk_get(&play->heap.source, n);

    assert_non_null(chunk);
    memcpy(chunk->bytes, record, n);
    allocator_fail(1);
    enum err err = session_receive(play->ends[SERVER], 0, chunk, chunk->bytes, n, play->now_us);
    allocator_fail(0);
    chunk_release(chunk);
    session_settle(play->ends[SERVER]);
    return err;
}

static void a_ring_that_cannot_shrink_is_whole(void **state)
{
    static struct play play;
    static const struct addr bound = {.family = ADDR_NONE};
    struct session_event event;
    struct stream *stream;
    (void)state;

    assert_true(begin_play(&play));
    assert_int_equal(session_open(play.ends[CLIENT], some_request(), &stream), ERR_NONE);
    assert_true(carry_one(&play, CLIENT, 0, false));
    assert_true(session_next_event(play.ends[SERVER], &event));
    assert_int_equal(stream_answer(event.stream, 0, &bound), ERR_NONE);
    assert_true(carry_one(&play, SERVER, 0, false));
    session_settle(play.ends[SERVER]);
    const struct session_link *link = link_find(play.ends[SERVER], 0);
    send_bytes(&play, event.stream, 5000);
    uint32_t cap = link->cap;
    assert_true(cap > 5000);
    assert_int_equal(acknowledge(&play, link->n_sent - 2), ERR_NONE);
    assert_int_equal(link->cap, cap);
    assert_int_equal(event.stream->out.end - event.stream->out.base, 2);
    assert_int_equal(acknowledge(&play, link->n_sent - 1), ERR_NONE);
    assert_int_equal(event.stream->out.end - event.stream->out.base, 1);
    for (int i = 0; i < 2; i++)
        session_free(play.ends[i]);
}

/* Of openings that are acknowledged out of order note is taken in memory of its own; without it the session is over, and the stream that
 * nobody has any more is freed with it. */
static void an_opening_that_cannot_be_noted_ends_the_session(void **state)
{
    static struct play play;
    struct stream *streams[2];
    uint8_t ack[FRAME_HEAD_MAX_BYTES];
    (void)state;
    (void)some_request();
    assert_true(begin_play(&play));
    struct session *client = play.ends[CLIENT];
    for (uint64_t link = 0; link < 2; link++) {
        assert_int_equal(session_open(client, some_request(), &streams[link]), ERR_NONE);
        assert_true(session_pull(client, link, 4096, play.now_us, &play.fill) > 0);
    }
    stream_reset(streams[1], STREAM_RESET_APPLICATION);
    stream_release(streams[1]);
    size_t n = (size_t)(frame_write_ack(ack, 1, 1, 0) - ack);
    struct chunk *chunk = chunk_get(&play.heap.source, n);
    memcpy(chunk->bytes, ack, n);
    allocator_fail(2); /* the first is for the chunk, which is needed until the turn is over */
    enum err err = session_receive(client, 0, chunk, chunk->bytes, n, play.now_us);
    allocator_fail(0);
    assert_int_equal(err, ERR_NONE);
    chunk_release(chunk);
    struct session_event event;
    while (session_next_event(client, &event) && event.kind != SESSION_ENDED)
        continue;
    assert_int_equal(event.kind, SESSION_ENDED);
    for (int i = 0; i < 2; i++)
        session_free(play.ends[i]);
    assert_int_equal(play.heap.n_chunks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(an_opening_that_cannot_be_noted_ends_the_session),
        cmocka_unit_test(a_set_of_offsets_that_cannot_shrink_is_whole),
        cmocka_unit_test(a_ring_that_cannot_shrink_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
