/* Two sessions, records between them by hand: each is carried whole, or dropped, when the test says so. */
#ifndef SOCKEYE_TESTS_SESSIONS_H
#define SOCKEYE_TESTS_SESSIONS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "session/frame.h"
#include "session/session.h"

#define N_ITEMS(array) (sizeof(array) / sizeof((array)[0]))
#define MIB ((uint64_t)1024 * 1024)

/* Chunks of malloc's, counted. */
struct heap_chunks {
    struct chunk_source source;
    size_t n_chunks;
    uint64_t n_bytes;
};

static inline struct chunk *heap_get(struct chunk_source *source, size_t n)
{
    struct heap_chunks *heap = CONTAINER_OF(source, struct heap_chunks, source);
    struct chunk *chunk = malloc(sizeof *chunk + n);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){.source = source, .n_holders = 1, .cap = (uint32_t)n};
    heap->n_chunks++;
    heap->n_bytes += n;
    return chunk;
}

static inline void heap_put(struct chunk_source *source, struct chunk *chunk)
{
    struct heap_chunks *heap = CONTAINER_OF(source, struct heap_chunks, source);
    heap->n_chunks--;
    heap->n_bytes -= chunk->cap;
    free(chunk);
}

struct pair {
    struct heap_chunks heap, states; /* the second is for what the sessions know of streams */
    struct session *ends[2];         /* the client, the server */
    uint64_t now_us;
    size_t room; /* of a record */
    struct session_fill fill;
};

enum { CLIENT, SERVER };

static inline void pair_init(struct pair *pair, uint64_t window_bytes, uint64_t stream_window_bytes)
{
    *pair = (struct pair){
        .heap.source = {.get = heap_get, .put = heap_put, .unlimited = &pair->states.source},
        .states.source = {.get = heap_get, .put = heap_put},
        .now_us = UINT32_MAX - 1000, /* what is remembered of a frame's time wraps around soon */
        .room = 16384,
    };
    for (int i = 0; i < 2; i++) {
        const struct session_options options = {.is_client = i == CLIENT,
                                                .window_bytes = window_bytes,
                                                .stream_window_bytes = stream_window_bytes,
                                                .chunks = &pair->heap.source};
        assert_int_equal(session_new(&pair->ends[i], &options), ERR_NONE);
    }
}

static inline void pair_link(struct pair *pair, uint64_t link)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(session_add_link(pair->ends[i], link, pair->now_us), ERR_NONE);
        session_link_stands(pair->ends[i], link);
    }
}

static inline void pair_deinit(struct pair *pair)
{
    session_free(pair->ends[CLIENT]);
    session_free(pair->ends[SERVER]);
    assert_int_equal(pair->heap.n_chunks, 0);
    assert_int_equal(pair->states.n_chunks, 0);
}

/* What most tests begin with: windows as they are by default, and a link. */
static inline int pair_begin(void **state)
{
    static struct pair pair;

    pair_init(&pair, 64 * MIB, 16 * MIB);
    pair_link(&pair, 0);
    *state = &pair;
    return 0;
}

static inline int pair_end(void **state)
{
    pair_deinit(*state);
    return 0;
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

/* Gives bytes as a record; returns what the session says of it. */
static inline enum err give(struct pair *pair, int to, uint64_t link, const uint8_t *bytes,
                            size_t n)
{
    struct chunk *chunk = heap_get(&pair->heap.source, n + 1);
    if (chunk == NULL)
        return ERR_MEMORY;
    memcpy(chunk->bytes, bytes, n);
    enum err err = session_receive(pair->ends[to], link, chunk, chunk->bytes, n, pair->now_us);
    chunk_release(chunk);
    return err;
}

/* Takes the next record of a link; 0: there is none. */
static inline size_t take(struct pair *pair, int from, uint64_t link, uint8_t *out)
{
    size_t n = session_pull(pair->ends[from], link, pair->room, pair->now_us, &pair->fill), at = 0;
    assert_true(n <= pair->room);
    for (size_t i = 0; n > 0 && i < pair->fill.n_pieces; i++) {
        memcpy(out + at, pair->fill.pieces[i].bytes, pair->fill.pieces[i].n);
        at += pair->fill.pieces[i].n;
    }
    assert_int_equal(at, n);
    return n;
}

/* Carries what the link has to send from one end to the other; returns how many records that were. */
static inline size_t carry(struct pair *pair, int from, uint64_t link)
{
    static uint8_t record[SESSION_RECORD_MAX_BYTES];
    size_t n_records = 0, n;

    while ((n = take(pair, from, link, record)) > 0) {
        assert_int_equal(give(pair, !from, link, record, n), ERR_NONE);
        n_records++;
    }
    return n_records;
}

/* Both ways until nothing is left to be sent at this time. */
static inline void carry_all(struct pair *pair, uint64_t link)
{
    while (carry(pair, CLIENT, link) + carry(pair, SERVER, link) > 0)
        continue;
}

/* Takes the next event, which is of this kind. */
static inline struct session_event expect(struct pair *pair, int end, enum session_event_kind kind)
{
    struct session_event event = {.kind = SESSION_ENDED};

    assert_true(session_next_event(pair->ends[end], &event));
    assert_int_equal(event.kind, kind);
    return event;
}

static inline void expect_nothing(struct pair *pair, int end)
{
    struct session_event event;
    assert_false(session_next_event(pair->ends[end], &event));
}

static inline const struct stream_request *some_request(void)
{
    static struct stream_request request;

    request = (struct stream_request){.has_target = true};
    assert_int_equal(target_parse(&request.target, "example.com:443", 15), ERR_NONE);
    assert_int_equal(addr_parse(&request.source, "192.0.2.7:4242", 14), ERR_NONE);
    return &request;
}

/* A stream that is open at both ends, and answered. */
static inline void open_stream(struct pair *pair, uint64_t link, struct stream *streams[2])
{
    const struct addr bound = {.family = ADDR_V4, .ip = {192, 0, 2, 1}, .port = 99};

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &streams[CLIENT]), ERR_NONE);
    carry(pair, CLIENT, link);
    streams[SERVER] = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_int_equal(stream_answer(streams[SERVER], 0, &bound), ERR_NONE);
    carry_all(pair, link);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_ANSWERED).stream, streams[CLIENT]);
}

/* Reads what is there up to `cap`; returns the error that ended it where the room did not. */
static inline enum err read_all(struct stream *stream, uint8_t *out, size_t cap, size_t *n)
{
    const uint8_t *bytes;
    size_t n_there;
    enum err err = ERR_NONE;

    *n = 0;
    while (*n < cap && (err = stream_peek(stream, &bytes, &n_there)) == ERR_NONE) {
        if (n_there > cap - *n)
            n_there = cap - *n;
        memcpy(out + *n, bytes, n_there);
        stream_consume(stream, n_there);
        *n += n_there;
    }
    return err;
}

#endif
