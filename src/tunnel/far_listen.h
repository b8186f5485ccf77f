/*
 * Reverse, at the far end: addresses that a session's client has us listen on (`allow_reverse`). Each connection that comes is a
 * flow of the tunnel inbound whose client is a socket and whose target a stream of the session, which the near end takes in.
 *
 *     LISTEN --allowed, claimed (tunnel/claims.h)--> listening --accept--> flow --reverse outbound--> OPEN of kind 2
 *
 * They live as long as the session, whether it has a link or not.
 */
#ifndef SOCKEYE_TUNNEL_FAR_LISTEN_H
#define SOCKEYE_TUNNEL_FAR_LISTEN_H

#include "session/session.h"

struct far_host;
struct tunnel_session_report;
struct outbound_ops;
struct tunnel_env;

/* As host_ops.on_listener. */
void far_listen_event(struct far_host *host, const struct session_event *event);
/* Other rules: what they do not allow any more is listened on no more. */
void far_listen_review(struct far_host *host);
/* Some address may have been lost to another session. */
void far_listen_yield(struct far_host *host);
/* None listens any more. */
void far_listen_stop_all(struct far_host *host);
/* There is room for connections again, for all of the worker's that had none. */
void far_listen_wake_all(struct tunnel_env *env);
/* The program ends: no further connection is taken. */
void far_listen_end_all(struct tunnel_env *env);

/* As host_ops.report_listeners. */
void far_listen_report(const struct far_host *host, struct tunnel_session_report *report);

/* The client of a connection that was taken, by its stream (NULL: none), for its datagrams; NULL: it is gone. */
struct endpoint *far_listen_client(const struct stream *stream);

/* What its connections are opened by, and their datagrams relayed: one such outbound belongs to each specification. */
extern const struct outbound_ops far_listen_outbound;

#endif
