/*
 * A stream as an endpoint, at either end. It lends what its bytes are kept in (io/endpoint.h: reserve and commit, peek and consume), has no
 * descriptor, and is told of readiness by its session's events.
 */
#ifndef SOCKEYE_TUNNEL_STREAM_H
#define SOCKEYE_TUNNEL_STREAM_H

#include "io/endpoint.h"
#include "io/loop.h"
#include "session/session.h"

struct host;
struct opening;

struct tunnel_stream {
    struct endpoint ep;
    struct watch watch;
    struct host *host;       /* NULL: it is gone */
    struct stream *stream;   /* NULL: released */
    struct opening *opening; /* near: whose answer is awaited; NULL: none */
    bool is_dead, is_finished;
    struct deferred freeing;
};

/* Takes the stream. Nothing is wanted of it yet. ERR_MEMORY: the stream is the caller's still. */
NODISCARD enum err tunnel_stream_new(struct tunnel_stream **out, struct host *host,
                                     struct stream *stream);
struct tunnel_stream *tunnel_stream_of(struct endpoint *ep);

/* STREAM_READABLE, STREAM_WRITABLE and STREAM_DEAD, for the host to tell. */
void tunnel_stream_tell(struct tunnel_stream *stream, enum session_event_kind kind);

#endif
