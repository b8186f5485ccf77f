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

struct stream_queue {
    uint8_t *bytes;
    size_t cap, from, n;
    bool is_ended; /* a fin is behind them */
};

struct stream {
    struct endpoint ep;
    struct watch watch;
    struct deferred waking, freeing;
    struct loop *loop;
    struct stream_queue in, out;
    unsigned number;
    unsigned waking_for; /* events that were denied, and are reported when the turn is over */
    size_t n_reserved, n_peeked; /* what is lent; 0: nothing */
    bool is_reset, is_near_closed, is_far_closed;
    /* Where it hesitates: reads and writes are now and then cut short, or put off though they could be. */
    uint64_t *random;
};

static struct stream *all_streams[STREAM_MAX];
static size_t n_streams; /* whose near end is open */

/* What a test that has failed has left. */
static inline void streams_forget(void)
{
    memset(all_streams, 0, sizeof all_streams);
    n_streams = 0;
}

static inline struct stream *stream_of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct stream, ep);
}

static inline void queue_init(struct stream_queue *queue, size_t cap)
{
    *queue = (struct stream_queue){.bytes = malloc(cap), .cap = cap};
    assert_non_null(queue->bytes);
}

/* Both return how many bytes went. */
static inline size_t queue_put(struct stream_queue *queue, const uint8_t *bytes, size_t n)
{
    size_t room = queue->cap - queue->n;
    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++)
        queue->bytes[(queue->from + queue->n + i) % queue->cap] = bytes[i];
    queue->n += n;
    return n;
}

static inline size_t queue_take(struct stream_queue *queue, uint8_t *bytes, size_t n, bool peeks)
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

static inline void stream_wake(struct deferred *waking)
{
    struct stream *stream = CONTAINER_OF(waking, struct stream, waking);
    unsigned events = stream->waking_for;
    stream->waking_for = 0;
    loop_report(&stream->watch, events);
}

/* Whether it is not done now, but a turn later. */
static inline bool stream_hesitates(struct stream *stream, unsigned events)
{
    if (stream->random == NULL || random_below(stream->random, 3) > 0)
        return false;
    loop_used_up(&stream->watch, events);
    if (stream->waking_for == 0)
        loop_defer(stream->loop, &stream->waking, stream_wake);
    stream->waking_for |= events;
    return true;
}

static inline size_t stream_cut_short(struct stream *stream, size_t n)
{
    bool is_whole = stream->random == NULL || n == 0 || random_below(stream->random, 2) == 0;
    return is_whole ? n : 1 + random_below(stream->random, (unsigned)n);
}

/* Whoever has borrowed must have given it back. */
static inline void stream_assert_lends_nothing(const struct stream *stream)
{
    assert_int_equal(stream->n_reserved, 0);
    assert_int_equal(stream->n_peeked, 0);
}

static inline enum err stream_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    struct stream *stream = stream_of(ep);
    struct stream_queue *in = &stream->in;
    assert_true(cap > 0);
    stream_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    if (stream_hesitates(stream, LOOP_READ))
        return ERR_AGAIN;
    *n = queue_take(in, buf, stream_cut_short(stream, cap), false);
    if (*n == 0)
        loop_used_up(&stream->watch, LOOP_READ | LOOP_HANGUP);
    else if (in->n == 0 && !in->is_ended)
        loop_used_up(&stream->watch, LOOP_READ);
    return *n > 0 ? ERR_NONE : in->is_ended ? ERR_EOF : ERR_AGAIN;
}

static inline size_t stream_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline enum err stream_peek(struct endpoint *ep, const uint8_t **bytes, size_t *n)
{
    struct stream *stream = stream_of(ep);
    struct stream_queue *in = &stream->in;
    stream_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    if (stream_hesitates(stream, LOOP_READ))
        return ERR_AGAIN;
    if (in->n == 0) {
        loop_used_up(&stream->watch, LOOP_READ | LOOP_HANGUP);
        return in->is_ended ? ERR_EOF : ERR_AGAIN;
    }
    *bytes = in->bytes + in->from;
    *n = stream_cut_short(stream, stream_least(in->n, in->cap - in->from));
    stream->n_peeked = *n;
    return ERR_NONE;
}

static inline void stream_consume(struct endpoint *ep, size_t n)
{
    struct stream *stream = stream_of(ep);
    struct stream_queue *in = &stream->in;
    assert_true(stream->n_peeked > 0 && n <= stream->n_peeked);
    stream->n_peeked = 0;
    in->from = (in->from + n) % in->cap;
    in->n -= n;
    if (in->n == 0 && !in->is_ended)
        loop_used_up(&stream->watch, LOOP_READ);
}

static inline enum err stream_write(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    struct stream *stream = stream_of(ep);
    struct stream_queue *out = &stream->out;
    assert_true(given > 0 && !out->is_ended);
    stream_assert_lends_nothing(stream);
    stream->is_reset |= stream->is_far_closed;
    if (stream->is_reset)
        return ERR_RESET;
    if (stream_hesitates(stream, LOOP_WRITE))
        return ERR_AGAIN;
    *n = queue_put(out, buf, stream_cut_short(stream, given));
    if (out->n == out->cap)
        loop_used_up(&stream->watch, LOOP_WRITE);
    return *n > 0 ? ERR_NONE : ERR_AGAIN;
}

static inline enum err stream_reserve(struct endpoint *ep, uint8_t **room, size_t *cap)
{
    struct stream *stream = stream_of(ep);
    struct stream_queue *out = &stream->out;
    assert_false(out->is_ended);
    stream_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    if (stream_hesitates(stream, LOOP_WRITE))
        return ERR_AGAIN;
    if (out->n == out->cap) {
        loop_used_up(&stream->watch, LOOP_WRITE);
        return ERR_AGAIN;
    }
    size_t at = (out->from + out->n) % out->cap;
    *room = out->bytes + at;
    *cap = stream_cut_short(stream, stream_least(out->cap - out->n, out->cap - at));
    stream->n_reserved = *cap;
    return ERR_NONE;
}

static inline void stream_commit(struct endpoint *ep, size_t n)
{
    struct stream *stream = stream_of(ep);
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
static inline void stream_tell_if_over(struct stream *stream)
{
    if (stream->in.is_ended && stream->out.is_ended)
        loop_report(&stream->watch, LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_ERROR);
}

static inline enum err stream_shutdown(struct endpoint *ep)
{
    struct stream *stream = stream_of(ep);
    assert_false(stream->out.is_ended);
    stream_assert_lends_nothing(stream);
    if (stream->is_reset)
        return ERR_RESET;
    stream->out.is_ended = true;
    stream_tell_if_over(stream);
    return ERR_NONE;
}

/* When both ends are done with it. */
static inline void stream_free(struct stream *stream)
{
    if (!stream->is_near_closed || !stream->is_far_closed)
        return;
    all_streams[stream->number] = NULL;
    free(stream->in.bytes);
    free(stream->out.bytes);
    free(stream);
}

static inline void stream_free_near(struct deferred *freeing)
{
    struct stream *stream = CONTAINER_OF(freeing, struct stream, freeing);
    stream->is_near_closed = true;
    n_streams--;
    stream_free(stream);
}

static inline void stream_close(struct endpoint *ep, bool reset)
{
    struct stream *stream = stream_of(ep);
    assert_non_null(stream->watch.loop);
    stream_assert_lends_nothing(stream);
    loop_remove(&stream->watch);
    stream->is_reset |= reset;
    stream->out.is_ended = true;
    /* What the far end will send now is for nobody. */
    stream->in.cap = 0;
    loop_defer(stream->loop, &stream->freeing, stream_free_near);
}

static inline void stream_want(struct endpoint *ep, unsigned events)
{
    loop_want(&stream_of(ep)->watch, events);
}

static inline void stream_used_up(struct endpoint *ep, unsigned events)
{
    loop_used_up(&stream_of(ep)->watch, events);
}

static inline bool stream_is_broken(struct endpoint *ep)
{
    return stream_of(ep)->is_reset;
}

static inline void stream_keep_alive(struct endpoint *ep, unsigned seconds)
{
    (void)ep;
    (void)seconds;
}

static inline bool stream_is_ready(struct endpoint *ep, unsigned events)
{
    return (stream_of(ep)->watch.ready & events) != 0;
}

static inline void stream_on_event(struct watch *watch, unsigned events)
{
    struct stream *stream = CONTAINER_OF(watch, struct stream, watch);
    stream->ep.on_ready(&stream->ep, events);
}

#define STREAM_OPS                                                           \
    .read = stream_read, .write = stream_write, .shutdown = stream_shutdown, \
    .close = stream_close, .want = stream_want, .used_up = stream_used_up,   \
    .is_broken = stream_is_broken, .keep_alive = stream_keep_alive, .is_ready = stream_is_ready

static inline const struct endpoint_ops *stream_ops(bool lends)
{
    static const struct endpoint_ops copying = {STREAM_OPS};
    static const struct endpoint_ops lending = {STREAM_OPS, .peek = stream_peek,
                                                .consume = stream_consume,
                                                .reserve = stream_reserve, .commit = stream_commit};
    return lends ? &lending : &copying;
}

struct stream_kind {
    size_t queue_bytes; /* what each queue holds */
    uint64_t *random;   /* NULL: it never hesitates */
    bool lends;
};

/* Returns the near end; *far is the other one. */
static inline struct endpoint *stream_new(struct loop *loop, struct stream_kind kind, int *far)
{
    unsigned number = 0;
    while (number < STREAM_MAX && all_streams[number] != NULL)
        number++;
    assert_true(number < STREAM_MAX);
    struct stream *stream = calloc(1, sizeof *stream);
    assert_non_null(stream);
    stream->ep = (struct endpoint){.ops = stream_ops(kind.lends), .fd = -1};
    stream->loop = loop;
    stream->number = number;
    stream->random = kind.random;
    queue_init(&stream->in, kind.queue_bytes);
    queue_init(&stream->out, kind.queue_bytes);
    loop_add_source(loop, &stream->watch, 0, stream_on_event);
    loop_report(&stream->watch, LOOP_WRITE);
    all_streams[number] = stream;
    n_streams++;
    *far = STREAM_FIRST + (int)number;
    return &stream->ep;
}

/* ---- the far end, of a stream or of a connection ---- */

static inline struct stream *far_stream(int far)
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
    struct stream *stream = far_stream(far);
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
    struct stream *stream = far_stream(far);
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
    struct stream *stream = far_stream(far);
    if (stream == NULL) {
        shutdown(far, SHUT_WR);
        return;
    }
    stream->in.is_ended = true;
    loop_report(&stream->watch, LOOP_READ | LOOP_HANGUP);
    stream_tell_if_over(stream);
}

static inline void far_reset(int far)
{
    struct stream *stream = far_stream(far);
    if (stream == NULL) {
        tcp_reset(far);
        return;
    }
    stream->is_reset = stream->is_far_closed = true;
    loop_report(&stream->watch, LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_ERROR);
    stream_free(stream);
}

static inline void far_close(int far)
{
    struct stream *stream = far_stream(far);
    if (stream == NULL) {
        close(far);
    } else if (stream->out.n > 0) {
        far_reset(far); /* as the system does where bytes are left unread */
    } else {
        far_shutdown(far);
        stream->is_far_closed = true;
        stream_free(stream);
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
