/*
 * What a session's bookkeeping costs without a cipher: two sessions back to back in one process, streams that send in bulk,
 * records handed over by a copy, as the cipher would make one; with `heads` only the frames' heads are copied.
 *
 *     session [STREAMS [GIB [RECORD_BYTES [heads]]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/list.h"
#include "session/session.h"

enum { MAX_STREAMS = 1024, BATCH = 16, POOL = 64 };

/* Chunks of two sizes, kept when they are let go of. */
struct pool {
    struct chunk_source source;
    struct chunk *spare[2][POOL];
    size_t n_spare[2];
};

static const size_t sizes[2] = {4096, 65536 * 4};

static struct chunk *get(struct chunk_source *source, size_t n)
{
    struct pool *pool = CONTAINER_OF(source, struct pool, source);
    size_t kind = n > sizes[0], cap = kind == 1 && n <= 65536 ? 65536 : sizes[kind];
    kind = cap == 65536 ? 1 : kind;
    struct chunk *chunk = pool->n_spare[kind] > 0 ? pool->spare[kind][--pool->n_spare[kind]]
                                                  : malloc(sizeof *chunk + sizes[kind]);
    if (chunk == NULL)
        abort();
    *chunk = (struct chunk){.source = source, .n_holders = 1, .cap = (uint32_t)cap};
    return chunk;
}

static void put(struct chunk_source *source, struct chunk *chunk)
{
    struct pool *pool = CONTAINER_OF(source, struct pool, source);
    size_t kind = chunk->cap > sizes[0];
    if (pool->n_spare[kind] < POOL)
        pool->spare[kind][pool->n_spare[kind]++] = chunk;
    else
        free(chunk);
}

static struct pool pool = {.source = {.get = get, .put = put}};
static uint64_t n_records;
static bool copies_bytes = true;

/* Of processor time, which is the sessions' clock too: others on the machine make no difference. */
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t now_us(void)
{
    return (uint64_t)(seconds() * 1e6);
}

/* One turn of an event loop: some records are sealed into a chunk, and opened from there. */
static size_t carry(struct session *from, struct session *to, size_t room)
{
    struct chunk *chunk = chunk_get(&pool.source, BATCH * room);
    struct session_fill fill;
    size_t ends[BATCH + 1] = {0}, n = 0;
    uint64_t now = now_us();

    while (n < BATCH && session_pull(from, 0, room, now, &fill) > 0) {
        uint8_t *at = chunk->bytes + ends[n];
        for (size_t i = 0; i < fill.n_pieces; i++) {
            const uint8_t *bytes = fill.pieces[i].bytes;
            bool is_head = bytes >= fill.heads && bytes < fill.heads + sizeof fill.heads;
            if (is_head || copies_bytes)
                memcpy(at, bytes, fill.pieces[i].n);
            at += fill.pieces[i].n;
        }
        n++;
        ends[n] = (size_t)(at - chunk->bytes);
    }
    for (size_t i = 0; i < n; i++) {
        if (session_receive(to, 0, chunk, chunk->bytes + ends[i], ends[i + 1] - ends[i], now) !=
            ERR_NONE)
            abort();
    }
    chunk_release(chunk);
    n_records += n;
    return n;
}

static struct session *new_session(bool is_client)
{
    const struct session_options options = {.is_client = is_client,
                                            .window_bytes = 64U << 20,
                                            .stream_window_bytes = 16U << 20,
                                            .chunks = &pool.source};
    struct session *session;
    if (session_new(&session, &options) != ERR_NONE ||
        session_add_link(session, 0, now_us()) != ERR_NONE)
        abort();
    return session;
}

static void read_stream(struct stream *stream, uint64_t *n_read)
{
    const uint8_t *bytes;
    size_t n;
    while (stream_peek(stream, &bytes, &n) == ERR_NONE) {
        *n_read += n;
        stream_consume(stream, n);
    }
}

static uint64_t events(struct session *session, struct stream **incoming, size_t *n_incoming)
{
    struct session_event event;
    uint64_t n_read = 0;
    while (session_next_event(session, &event)) {
        if (event.kind == STREAM_INCOMING) {
            const struct addr bound = {.family = ADDR_NONE};
            if (stream_answer(event.stream, 0, &bound) != ERR_NONE)
                abort();
            incoming[(*n_incoming)++] = event.stream;
        } else if (event.kind == STREAM_READABLE) {
            read_stream(event.stream, &n_read);
        }
    }
    return n_read;
}

int main(int argc, char **argv)
{
    static struct stream *streams[MAX_STREAMS], *incoming[MAX_STREAMS];
    size_t n_streams = argc > 1 ? strtoul(argv[1], NULL, 10) : 1, n_incoming = 0;
    uint64_t total = (uint64_t)(argc > 2 ? strtod(argv[2], NULL) * (1 << 30) : 4.0 * (1 << 30));
    size_t room = argc > 3 ? strtoul(argv[3], NULL, 10) : 16384;
    copies_bytes = argc <= 4;
    struct session *near = new_session(true), *far = new_session(false);
    const struct stream_request request = {.has_target = false};

    if (n_streams == 0 || n_streams > MAX_STREAMS || room < 64 || room > 65536)
        return 64;
    for (size_t i = 0; i < n_streams; i++) {
        if (session_open(near, &request, &streams[i]) != ERR_NONE)
            abort();
    }
    uint64_t n_read = 0;
    double began = seconds();
    while (n_read < total) {
        for (size_t i = 0; i < n_streams; i++) {
            uint8_t *bytes;
            size_t n;
            if (stream_reserve(streams[i], &bytes, &n) == ERR_NONE)
                stream_commit(streams[i], n);
        }
        while (carry(near, far, room) > 0) {
            n_read += events(far, incoming, &n_incoming);
            session_settle(far);
            session_advance(far, now_us());
            (void)carry(far, near, room);
            (void)events(near, incoming, &n_incoming);
            session_settle(near);
        }
    }
    double took = seconds() - began;
    printf("%zu streams: %.2f GB/s, %.0f ns a record, both ends\n", n_streams,
           (double)n_read / took / 1e9, took * 1e9 / (double)n_records);
    session_free(near);
    session_free(far);
    return 0;
}
