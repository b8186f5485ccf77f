#include "tunnel/stream.h"

#include <string.h>

#include "flow/env.h"
#include "tunnel/host.h"

/* Bulk is sealed while it is still in the processor's cache; what is less waits for what others have to send. */
#define EAGER_BYTES ((size_t)64 * 1024)

struct tunnel_stream *tunnel_stream_of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct tunnel_stream, ep);
}

static void on_event(struct watch *watch, unsigned events)
{
    struct tunnel_stream *stream = CONTAINER_OF(watch, struct tunnel_stream, watch);
    stream->ep.on_ready(&stream->ep, events);
}

bool tunnel_stream_met_limit(const struct tunnel_stream *stream)
{
    return stream->stream != NULL && stream_reset_code(stream->stream) == STREAM_RESET_LIMIT;
}

/* ERR_AGAIN is what the session remembers to tell the end of. */
static enum err look_at(struct tunnel_stream *stream, unsigned event, enum err err)
{
    if (err == ERR_AGAIN)
        loop_used_up(&stream->watch, event);
    return err == ERR_RESET && tunnel_stream_met_limit(stream) ? ERR_LIMIT : err;
}

static enum err stream_ep_peek(struct endpoint *ep, const uint8_t **bytes, size_t *n)
{
    struct tunnel_stream *stream = tunnel_stream_of(ep);
    if (stream->stream == NULL)
        return ERR_RESET;
    return look_at(stream, LOOP_READ, stream_peek(stream->stream, bytes, n));
}

/* What is consumed may become credit for the other end. */
static void stream_ep_consume(struct endpoint *ep, size_t n)
{
    struct tunnel_stream *stream = tunnel_stream_of(ep);
    stream_consume(stream->stream, n);
    if (n > 0)
        host_touch(stream->host);
}

static enum err stream_ep_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    const uint8_t *bytes;
    size_t n_there = 0;
    enum err err = stream_ep_peek(ep, &bytes, &n_there);
    if (err != ERR_NONE)
        return err;
    *n = n_there < cap ? n_there : cap;
    memcpy(buf, bytes, *n);
    stream_ep_consume(ep, *n);
    return ERR_NONE;
}

static enum err stream_ep_reserve(struct endpoint *ep, uint8_t **room, size_t *cap)
{
    struct tunnel_stream *stream = tunnel_stream_of(ep);
    if (stream->stream == NULL)
        return ERR_RESET;
    return look_at(stream, LOOP_WRITE, stream_reserve(stream->stream, room, cap));
}

static void stream_ep_commit(struct endpoint *ep, size_t n)
{
    struct tunnel_stream *stream = tunnel_stream_of(ep);
    stream_commit(stream->stream, n);
    if (n >= EAGER_BYTES)
        host_write(stream->host);
    else if (n > 0)
        host_touch(stream->host);
}

static enum err stream_ep_write(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    struct tunnel_stream *stream = tunnel_stream_of(ep);
    if (stream->stream == NULL)
        return ERR_RESET;
    enum err err = look_at(stream, LOOP_WRITE, stream_write(stream->stream, buf, given, n));
    if (err == ERR_NONE)
        host_touch(stream->host);
    return err;
}

enum err tunnel_stream_shutdown(struct endpoint *ep)
{
    struct tunnel_stream *stream = tunnel_stream_of(ep);
    if (stream->stream == NULL)
        return ERR_RESET;
    stream->is_finished = true;
    stream_finish(stream->stream);
    host_touch(stream->host);
    return ERR_NONE;
}

static void free_stream(struct deferred *deferred)
{
    struct tunnel_stream *stream = CONTAINER_OF(deferred, struct tunnel_stream, freeing);
    slab_put(stream->slab, stream);
}

void tunnel_stream_close(struct endpoint *ep, bool reset)
{
    struct tunnel_stream *stream = tunnel_stream_of(ep);
    struct loop *loop = stream->watch.loop;
    if (stream->stream != NULL) {
        if (reset)
            stream_reset(stream->stream, STREAM_RESET_APPLICATION);
        else if (!stream->is_finished)
            stream_finish(stream->stream);
        stream_release(stream->stream);
        host_touch(stream->host);
    }
    list_remove(&stream->link);
    loop_remove(&stream->watch);
    loop_defer(loop, &stream->freeing, free_stream);
}

void tunnel_stream_want(struct endpoint *ep, unsigned events)
{
    loop_want(&tunnel_stream_of(ep)->watch, events);
}

void tunnel_stream_used_up(struct endpoint *ep, unsigned events)
{
    loop_used_up(&tunnel_stream_of(ep)->watch, events);
}

bool tunnel_stream_is_broken(struct endpoint *ep)
{
    return tunnel_stream_of(ep)->is_dead;
}

void tunnel_stream_keep_alive(struct endpoint *ep, unsigned seconds)
{
    (void)ep; /* its session's links have keepalives */
    (void)seconds;
}

bool tunnel_stream_is_ready(struct endpoint *ep, unsigned events)
{
    return (tunnel_stream_of(ep)->watch.ready & events) != 0;
}

bool tunnel_stream_is_suspended(struct endpoint *ep)
{
    const struct tunnel_stream *stream = tunnel_stream_of(ep);
    return stream->stream != NULL && host_is_suspended(stream->host);
}

static const struct endpoint_ops stream_ops = {
    .read = stream_ep_read,
    .write = stream_ep_write,
    .shutdown = tunnel_stream_shutdown,
    .close = tunnel_stream_close,
    .want = tunnel_stream_want,
    .used_up = tunnel_stream_used_up,
    .is_broken = tunnel_stream_is_broken,
    .keep_alive = tunnel_stream_keep_alive,
    .is_ready = tunnel_stream_is_ready,
    .is_suspended = tunnel_stream_is_suspended,
    .reserve = stream_ep_reserve,
    .commit = stream_ep_commit,
    .peek = stream_ep_peek,
    .consume = stream_ep_consume,
};

void tunnel_stream_init(struct tunnel_stream *stream, struct slab *slab, struct host *host,
                        struct stream *session_stream, const struct endpoint_ops *ops)
{
    stream->ep = (struct endpoint){.ops = ops, .fd = -1};
    stream->host = host;
    stream->stream = session_stream;
    stream->slab = slab;
    stream_set_owner(session_stream, stream);
    loop_add_source(host->tended.env->flow->loop, &stream->watch, 0, on_event);
    /* Whoever finds nothing there is told when there is. */
    loop_report(&stream->watch, LOOP_READ | LOOP_WRITE);
    list_append(&host->streams, &stream->link);
}

enum err tunnel_stream_new(struct tunnel_stream **out, struct host *host,
                           struct stream *session_stream)
{
    struct slab *slab = &host->tended.env->streams;
    struct tunnel_stream *stream = slab_get(slab);
    if (stream == NULL)
        return ERR_MEMORY;
    tunnel_stream_init(stream, slab, host, session_stream, &stream_ops);
    *out = stream;
    return ERR_NONE;
}

/* Between turns whoever waits can be told at once, and what it moves still leaves with this one. */
static void tell(struct tunnel_stream *stream, unsigned events)
{
    loop_report(&stream->watch, events);
    unsigned wanted = events & (stream->watch.want | LOOP_ERROR);
    if (wanted != 0 && stream->ep.on_ready != NULL) {
        stream->watch.ready &= (uint8_t)~LOOP_ERROR;
        stream->ep.on_ready(&stream->ep, wanted);
    }
}

void tunnel_stream_tell(struct tunnel_stream *stream, enum session_event_kind kind)
{
    if (kind == STREAM_READABLE) {
        tell(stream, LOOP_READ);
    } else if (kind == STREAM_WRITABLE) {
        tell(stream, LOOP_WRITE);
    } else if (kind == STREAM_DEAD) {
        stream->is_dead = true;
        tell(stream, LOOP_READ | LOOP_WRITE | LOOP_ERROR);
    }
}

void tunnel_stream_orphan(struct tunnel_stream *stream)
{
    stream->stream = NULL;
    stream->host = NULL;
    list_remove(&stream->link);
    tunnel_stream_tell(stream, STREAM_DEAD);
}
