/*
 * A stream as an endpoint, at either end. It lends what its bytes are kept in (io/endpoint.h: reserve and commit, peek and consume), has no
 * descriptor, and is told of readiness by its session's events.
 */
#ifndef SOCKEYE_TUNNEL_STREAM_H
#define SOCKEYE_TUNNEL_STREAM_H

#include "io/endpoint.h"
#include "io/loop.h"
#include "io/slab.h"
#include "session/session.h"

struct host;
struct opening;

struct tunnel_stream {
    struct list link; /* in its host's */
    struct endpoint ep;
    struct watch watch;
    struct host *host;       /* NULL: likewise */
    struct stream *stream;   /* NULL: it has gone with its session */
    struct opening *opening; /* near: whose answer is awaited; NULL: none */
    bool is_dead;            /* reset by the other end, or its session is over */
    bool is_finished;        /* our fin is said */
    struct slab *slab;       /* where it came from */
    struct deferred freeing;
};

/* Takes the stream. Nothing is wanted of it yet. ERR_MEMORY: the stream is the caller's still. */
NODISCARD enum err tunnel_stream_new(struct tunnel_stream **out, struct host *host,
                                     struct stream *stream);
struct tunnel_stream *tunnel_stream_of(struct endpoint *ep);

/* For tunnel/datagrams.h: one that is embedded at the beginning of what came from `slab`, by these ops, and what those may
 * have in common with other streams'. */
void tunnel_stream_init(struct tunnel_stream *stream, struct slab *slab, struct host *host,
                        struct stream *session_stream, const struct endpoint_ops *ops);
enum err tunnel_stream_shutdown(struct endpoint *ep);
void tunnel_stream_close(struct endpoint *ep, bool reset);
void tunnel_stream_want(struct endpoint *ep, unsigned events);
void tunnel_stream_used_up(struct endpoint *ep, unsigned events);
bool tunnel_stream_is_broken(struct endpoint *ep);
void tunnel_stream_keep_alive(struct endpoint *ep, unsigned seconds);
bool tunnel_stream_is_ready(struct endpoint *ep, unsigned events);
bool tunnel_stream_is_suspended(struct endpoint *ep);

/* STREAM_READABLE, STREAM_WRITABLE and STREAM_DEAD, for the host to tell. */
void tunnel_stream_tell(struct tunnel_stream *stream, enum session_event_kind kind);
/* Whether it is dead for want of memory, at either end: nobody has reset it then. */
bool tunnel_stream_met_limit(const struct tunnel_stream *stream);
/* Its session is about to be freed, and the stream with it: whoever has the endpoint is told that it is dead. */
void tunnel_stream_orphan(struct tunnel_stream *stream);

#endif
