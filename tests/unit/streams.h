/*
 * Endpoints in memory, as a tunnel's streams are: two bounded queues, no descriptor, lent or not. The
 * near end is an endpoint; the far end is the test's, like the other end of a socket pair.
 *
 *      endpoint_write --> out --> far_receive           far_send --> in --> endpoint_read
 *
 * A far end is a number: of a descriptor, or STREAM_FIRST and more of a stream. The far_...
 * functions do to either what the system's calls do to a socket, with the same errno, so that a
 * test can be about both.
 */
#ifndef SOCKEYE_TESTS_STREAMS_H
#define SOCKEYE_TESTS_STREAMS_H

#include <stdlib.h>

#include "io/endpoint.h"
#include "random.h"
#include "tcp.h"

enum { STREAM_FIRST = 1 << 20, STREAM_MAX = 256, STREAM_BYTES = 64 * 1024 };

struct memory_queue {
    uint8_t *bytes;
    size_t cap, from, n;
    bool is_ended; /* a fin is behind them */
};

struct memory_end {
    struct endpoint ep;
    struct watch watch;
    struct deferred waking, freeing;
    struct loop *loop;
    struct memory_queue in, out;
    unsigned number;
    unsigned waking_for; /* events that were denied, and are reported when the turn is over */
    size_t n_reserved, n_peeked; /* what is lent; 0: nothing */
    bool is_reset, is_near_closed, is_far_closed;
    /* Where it hesitates: reads and writes are now and then cut short, or put off though they could be. */
    uint64_t *random;
};

static struct memory_end *all_streams[STREAM_MAX];
static size_t n_streams; /* whose near end is open */

/* What a test that has failed has left. */
static inline void streams_forget(void)
{
    memset(all_streams, 0, sizeof all_streams);
    n_streams = 0;
}

static inline struct memory_end *memory_of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct memory_end, ep);
}

static inline void queue_init(struct memory_queue *queue, size_t cap)
{
    *queue = (struct memory_queue){.bytes = malloc(cap), .cap = cap};
    assert_non_null(queue->bytes);
}

/* Both return how many bytes went. */
static inline size_t queue_put(struct memory_queue *queue, const uint8_t *bytes, size_t n)
{
    size_t room = queue->cap - queue->n;
    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++)
        queue->bytes[(queue->from + queue->n + i) % queue->cap] = bytes[i];
    queue->n += n;
    return n;
}

static inline size_t queue_take(struct memory_queue *queue, uint8_t *bytes, size_t n, bool peeks)
{
    n = n < queue->n ? n : queue->n;
    for (size_t i = 0; i < n; i++)
        bytes[i] = queue->bytes[(queue->from + i) % queue->cap];
    if (!peeks) {
        queue->from = (queue->from + n) % queue->cap;
        queue->n -= n;
    }
    return n;
}

/* ---- the near end ---- */

static inline void memory_wake(struct deferred *waking)
{
    struct memory_end *stream = CONTAINER_OF(waking, struct memory_end, waking);
    unsigned events = stream->waking_for;
    stream->waking_for = 0;
    loop_report(&stream->watch, events);
}

/* Whether it is not done now, but a turn later. */
static inline bool memory_hesitates(struct memory_end *stream, unsigned events)
{
    if (stream->random == NULL || random_below(stream->random, 3) > 0)
        return false;
    loop_used_up(&stream->watch, events);
    if (stream->waking_for == 0)
        loop_defer(stream->loop, &stream->waking, memory_wake);
    stream->waking_for |= events;
    return true;
}

static inline size_t memory_cut_short(struct memory_end *stream, size_t n)
{
    bool is_whole = stream->random == NULL || n == 0 || random_below(stream->random, 2) == 0;
    return is_whole ? n : 1 + random_below(stream->random, (unsigned)n);
}

/* Whoever has borrowed must have given it back. */
static inline void memory_assert_lends_nothing(const struct memory_end *stream)
{
    assert_int_equal(stream->n_reserved, 0);
    assert_int_equal(stream->n_peeked, 0);
}

static inline enum err memory_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    struct memory_end *stream = memory_of(ep);
    struct memory_queue *in = &stream->in;
    assert_true(cap > 0);
    memory_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    if (memory_hesitates(stream, LOOP_READ))
        return ERR_AGAIN;
    *n = queue_take(in, buf, memory_cut_short(stream, cap), false);
    if (*n == 0)
        loop_used_up(&stream->watch, LOOP_READ | LOOP_HANGUP);
    else if (in->n == 0 && !in->is_ended)
        loop_used_up(&stream->watch, LOOP_READ);
    return *n > 0 ? ERR_NONE : in->is_ended ? ERR_EOF : ERR_AGAIN;
}

static inline size_t memory_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline enum err memory_peek(struct endpoint *ep, const uint8_t **bytes, size_t *n)
{
    struct memory_end *stream = memory_of(ep);
    struct memory_queue *in = &stream->in;
    memory_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    if (memory_hesitates(stream, LOOP_READ))
        return ERR_AGAIN;
    if (in->n == 0) {
        loop_used_up(&stream->watch, LOOP_READ | LOOP_HANGUP);
        return in->is_ended ? ERR_EOF : ERR_AGAIN;
    }
    *bytes = in->bytes + in->from;
    *n = memory_cut_short(stream, memory_least(in->n, in->cap - in->from));
    stream->n_peeked = *n;
    return ERR_NONE;
}

static inline void memory_consume(struct endpoint *ep, size_t n)
{
    struct memory_end *stream = memory_of(ep);
    struct memory_queue *in = &stream->in;
    assert_true(stream->n_peeked > 0 && n <= stream->n_peeked);
    stream->n_peeked = 0;
    in->from = (in->from + n) % in->cap;
    in->n -= n;
    if (in->n == 0 && !in->is_ended)
        loop_used_up(&stream->watch, LOOP_READ);
}

static inline enum err memory_write(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    struct memory_end *stream = memory_of(ep);
    struct memory_queue *out = &stream->out;
    assert_true(given > 0 && !out->is_ended);
    memory_assert_lends_nothing(stream);
    stream->is_reset |= stream->is_far_closed;
    if (stream->is_reset)
        return ERR_RESET;
    if (memory_hesitates(stream, LOOP_WRITE))
        return ERR_AGAIN;
    *n = queue_put(out, buf, memory_cut_short(stream, given));
    if (out->n == out->cap)
        loop_used_up(&stream->watch, LOOP_WRITE);
    return *n > 0 ? ERR_NONE : ERR_AGAIN;
}

static inline enum err memory_reserve(struct endpoint *ep, uint8_t **room, size_t *cap)
{
    struct memory_end *stream = memory_of(ep);
    struct memory_queue *out = &stream->out;
    assert_false(out->is_ended);
    memory_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    if (memory_hesitates(stream, LOOP_WRITE))
        return ERR_AGAIN;
    if (out->n == out->cap) {
        loop_used_up(&stream->watch, LOOP_WRITE);
        return ERR_AGAIN;
    }
    size_t at = (out->from + out->n) % out->cap;
    *room = out->bytes + at;
    *cap = memory_cut_short(stream, memory_least(out->cap - out->n, out->cap - at));
    stream->n_reserved = *cap;
    return ERR_NONE;
}

static inline void memory_commit(struct endpoint *ep, size_t n)
{
    struct memory_end *stream = memory_of(ep);
    assert_true(stream->n_reserved > 0 && n <= stream->n_reserved);
    stream->n_reserved = 0;
    if (n > 0 && stream->is_far_closed) {
        stream->is_reset = true;
        loop_report(&stream->watch, LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_ERROR);
        return;
    }
    stream->out.n += n;
    if (stream->out.n == stream->out.cap)
        loop_used_up(&stream->watch, LOOP_WRITE);
}

/* As a socket tells it, when both directions have ended. */
static inline void memory_tell_if_over(struct memory_end *stream)
{
    if (stream->in.is_ended && stream->out.is_ended)
        loop_report(&stream->watch, LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_ERROR);
}

static inline enum err memory_shutdown(struct endpoint *ep)
{
    struct memory_end *stream = memory_of(ep);
    assert_false(stream->out.is_ended);
    memory_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    stream->out.is_ended = true;
    memory_tell_if_over(stream);
    return ERR_NONE;
}

/* When both ends are done with it. */
static inline void memory_free(struct memory_end *stream)
{
    if (!stream->is_near_closed || !stream->is_far_closed)
        return;
    all_streams[stream->number] = NULL;
    free(stream->in.bytes);
    free(stream->out.bytes);
    free(stream);
}

static inline void memory_free_near(struct deferred *freeing)
{
    struct memory_end *stream = CONTAINER_OF(freeing, struct memory_end, freeing);
    stream->is_near_closed = true;
    n_streams--;
    memory_free(stream);
}

static inline void memory_close(struct endpoint *ep, bool reset)
{
    struct memory_end *stream = memory_of(ep);
    assert_non_null(stream->watch.loop);
    memory_assert_lends_nothing(stream);
    loop_remove(&stream->watch);
    stream->is_reset |= reset;
    stream->out.is_ended = true;
    /* What the far end will send now is for nobody. */
    stream->in.cap = 0;
    loop_defer(stream->loop, &stream->freeing, memory_free_near);
}

static inline void memory_want(struct endpoint *ep, unsigned events)
{
    loop_want(&memory_of(ep)->watch, events);
}

static inline void memory_used_up(struct endpoint *ep, unsigned events)
{
    loop_used_up(&memory_of(ep)->watch, events);
}

static inline bool memory_is_broken(struct endpoint *ep)
{
    return memory_of(ep)->is_reset;
}

static inline void memory_keep_alive(struct endpoint *ep, unsigned seconds)
{
    (void)ep;
    (void)seconds;
}

static inline bool memory_is_ready(struct endpoint *ep, unsigned events)
{
    return (memory_of(ep)->watch.ready & events) != 0;
}

static inline void memory_on_event(struct watch *watch, unsigned events)
{
    struct memory_end *stream = CONTAINER_OF(watch, struct memory_end, watch);
    stream->ep.on_ready(&stream->ep, events);
}

#define MEMORY_OPS                                                           \
    .read = memory_read, .write = memory_write, .shutdown = memory_shutdown, \
    .close = memory_close, .want = memory_want, .used_up = memory_used_up,   \
    .is_broken = memory_is_broken, .keep_alive = memory_keep_alive, .is_ready = memory_is_ready

static inline const struct endpoint_ops *memory_endpoint_ops(bool lends)
{
    static const struct endpoint_ops copying = {MEMORY_OPS};
    static const struct endpoint_ops lending = {MEMORY_OPS, .peek = memory_peek,
                                                .consume = memory_consume,
                                                .reserve = memory_reserve, .commit = memory_commit};
    return lends ? &lending : &copying;
}

struct memory_kind {
    size_t queue_bytes; /* what each queue holds */
    uint64_t *random;   /* NULL: it never hesitates */
    bool lends;
};

/* Returns the near end; *far is the other one. */
static inline struct endpoint *memory_new(struct loop *loop, struct memory_kind kind, int *far)
{
    unsigned number = 0;
    while (number < STREAM_MAX && all_streams[number] != NULL)
        number++;
    assert_true(number < STREAM_MAX);
    struct memory_end *stream = calloc(1, sizeof *stream);
    assert_non_null(stream);
    stream->ep = (struct endpoint){.ops = memory_endpoint_ops(kind.lends), .fd = -1};
    stream->loop = loop;
    stream->number = number;
    stream->random = kind.random;
    queue_init(&stream->in, kind.queue_bytes);
    queue_init(&stream->out, kind.queue_bytes);
    loop_add_source(loop, &stream->watch, 0, memory_on_event);
    loop_report(&stream->watch, LOOP_WRITE);
    all_streams[number] = stream;
    n_streams++;
    *far = STREAM_FIRST + (int)number;
    return &stream->ep;
}

/* ---- the far end, of a stream or of a connection ---- */

static inline struct memory_end *far_stream(int far)
{
    return far >= STREAM_FIRST ? all_streams[far - STREAM_FIRST] : NULL;
}

static inline ssize_t far_fail(int why)
{
    errno = why;
    return -1;
}

static inline ssize_t far_send(int far, const void *bytes, size_t n)
{
    struct memory_end *stream = far_stream(far);
    if (stream == NULL)
        return send(far, bytes, n, MSG_NOSIGNAL);
    if (stream->is_reset)
        return far_fail(ECONNRESET);
    if (stream->in.is_ended || stream->in.cap == 0)
        return far_fail(EPIPE);
    size_t sent = queue_put(&stream->in, bytes, n);
    if (sent == 0 && n > 0)
        return far_fail(EAGAIN);
    loop_report(&stream->watch, LOOP_READ);
    return (ssize_t)sent;
}

static inline ssize_t far_take(int far, void *bytes, size_t n, bool peeks)
{
    struct memory_end *stream = far_stream(far);
    if (stream == NULL)
        return recv(far, bytes, n, peeks ? MSG_PEEK : 0);
    if (stream->is_reset)
        return far_fail(ECONNRESET);
    if (stream->out.n == 0)
        return stream->out.is_ended ? 0 : far_fail(EAGAIN);
    if (!peeks)
        loop_report(&stream->watch, LOOP_WRITE);
    return (ssize_t)queue_take(&stream->out, bytes, n, peeks);
}

static inline ssize_t far_receive(int far, void *bytes, size_t n)
{
    return far_take(far, bytes, n, false);
}

static inline void far_shutdown(int far)
{
    struct memory_end *stream = far_stream(far);
    if (stream == NULL) {
        shutdown(far, SHUT_WR);
        return;
    }
    stream->in.is_ended = true;
    loop_report(&stream->watch, LOOP_READ | LOOP_HANGUP);
    memory_tell_if_over(stream);
}

static inline void far_reset(int far)
{
    struct memory_end *stream = far_stream(far);
    if (stream == NULL) {
        tcp_reset(far);
        return;
    }
    stream->is_reset = stream->is_far_closed = true;
    loop_report(&stream->watch, LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_ERROR);
    memory_free(stream);
}

static inline void far_close(int far)
{
    struct memory_end *stream = far_stream(far);
    if (stream == NULL) {
        close(far);
    } else if (stream->out.n > 0) {
        far_reset(far); /* as the system does where bytes are left unread */
    } else {
        far_shutdown(far);
        stream->is_far_closed = true;
        memory_free(stream);
    }
}

/* Sends all of it: there is room. */
static inline void far_send_all(int far, const void *bytes, size_t n)
{
    assert_int_equal(far_send(far, bytes, n), n);
}

/* Sends as much as goes. */
static inline size_t far_fill(int far)
{
    static const char bytes[16 * 1024];
    size_t n = 0;
    ssize_t sent;
    while ((sent = far_send(far, bytes, sizeof bytes)) > 0)
        n += (size_t)sent;
    assert_int_equal(errno, EAGAIN);
    return n;
}

#endif
