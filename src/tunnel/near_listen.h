/*
 * Reverse, at the near end: the addresses that inbounds with `listen_via` want the far end to listen on, and the connections
 * that come of them, which are flows of those inbounds as if they had been accepted here.
 *
 *     in force --near_listen_turn()--> wanted --LISTEN--> asked --LISTENING 0--> bound
 *                                        ^                  |
 *                                        '-- a while later -'-- LISTENING with another code, in whatever state
 *
 * A session that is lost takes its listeners with it: in the next they are asked for anew.
 */
#ifndef SOCKEYE_TUNNEL_NEAR_LISTEN_H
#define SOCKEYE_TUNNEL_NEAR_LISTEN_H

#include "session/session.h"
#include "tunnel/near.h"

struct ruleset;

void near_listen_init(struct near *near);
void near_listen_deinit(struct near *near);
/* Whether an inbound of these rules wants anything of this outbound. */
bool near_listen_is_wanted(const struct ruleset *ruleset, const struct outbound *outbound);
/* What inbounds of these rules want of this outbound, and no more; NULL: nothing. */
void near_listen_turn(struct near *near, const struct ruleset *ruleset,
                      const struct outbound *outbound);
/* As host_ops.on_begun, on_listener and on_incoming. */
void near_listen_renew(struct near *near);
void near_listen_event(struct near *near, const struct session_event *event);
void near_listen_incoming(struct near *near, struct stream *stream);

/* As host_ops.report_listeners. */
void near_listen_report(const struct near *near, struct tunnel_session_report *report);

#endif
