/*
 * A stream of datagrams as a way for them (flow/packets.h), at either end. It is an endpoint too, without bytes: reading it
 * gives what has come to packets.on_packet() and says when it has ended.
 *
 *     packets.send() --a copy--> the session's queue for the stream, which drops the oldest
 *     packets.on_packet() <-- reading the endpoint <-- where they lie in a record
 */
#ifndef SOCKEYE_TUNNEL_DATAGRAMS_H
#define SOCKEYE_TUNNEL_DATAGRAMS_H

#include "flow/packets.h"
#include "tunnel/stream.h"

struct tunnel_datagrams {
    struct tunnel_stream stream; /* first: it is what is freed */
    struct packets packets;
    struct flow_env *env; /* which outlives its session */
    bool is_closed;
};

/* As tunnel_stream_new(). */
NODISCARD enum err tunnel_datagrams_new(struct tunnel_datagrams **out, struct host *host,
                                        struct stream *stream);
/* The one or the other, by what the stream is for. */
NODISCARD enum err tunnel_endpoint_new(struct tunnel_stream **out, struct host *host,
                                       struct stream *stream);
struct tunnel_datagrams *tunnel_datagrams_of(struct tunnel_stream *stream);

/* It is read by itself from now on; its end is told by packets.on_broken(). */
void tunnel_datagrams_begin(struct tunnel_datagrams *datagrams);

#endif
