/*
 * Openings that are streams of ours, at either end: the near end's for its clients, the far end's for those that its listeners have
 * taken. A stream is there at once, with what the client has said already; the other end's reply code becomes the opening's result.
 */
#ifndef SOCKEYE_TUNNEL_OPENING_H
#define SOCKEYE_TUNNEL_OPENING_H

#include "flow/outbound.h"
#include "tunnel/host.h"

/* As outbound_ops.open: opens a stream of the host's session. */
NODISCARD enum err tunnel_opening_begin(struct host *host, const struct stream_request *request,
                                        struct opening *opening);
/* As outbound_ops.ahead and cancel. */
void tunnel_opening_ahead(struct opening *opening, const uint8_t *bytes, size_t given, size_t *n);
void tunnel_opening_cancel(struct opening *opening);
/* As host_ops.on_answered. */
void tunnel_opening_answered(struct host *host, struct tunnel_stream *stream);

#endif
