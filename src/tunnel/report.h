/* What is known of a worker's sessions, as plain structs that outlive them: for whoever shows it. */
#ifndef SOCKEYE_TUNNEL_REPORT_H
#define SOCKEYE_TUNNEL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "session/session.h"

#define TUNNEL_REPORT_NAME_BYTES 64
#define TUNNEL_REPORT_USER_BYTES 256 /* whole, as it is what users are told apart by */
#define TUNNEL_REPORT_LINKS 16
#define TUNNEL_REPORT_LISTENERS 16
#define TUNNEL_REPORT_STREAMS 16

struct tunnel_env;

struct tunnel_link_report {
    uint64_t number; /* which of its session's it is */
    struct addr remote;
    uint64_t rtt_us, min_rtt_us; /* smoothed, and the least; 0: unknown */
    uint64_t rate;               /* of our bytes, a second, as they were acknowledged; 0: unknown */
    uint64_t n_unacked_bytes;    /* of streams */
    uint64_t retransmits;        /* segments that its TCP connection has sent again */
    uint64_t sent_bytes, received_bytes; /* on the wire */
};

/* What the far end listens on for the near end. */
struct tunnel_listener_report {
    struct addr at;
    char inbound[TUNNEL_REPORT_NAME_BYTES]; /* near: that takes its connections; far: "" */
    const char *is; /* "listening", "asked for", "denied", "in use", "failed"; static */
};

struct tunnel_session_report {
    char name[TUNNEL_REPORT_NAME_BYTES]; /* of the inbound or outbound, cut where it is longer */
    char user[TUNNEL_REPORT_USER_BYTES]; /* far: whose it is; "": the tunnel has no users */
    bool is_near;
    size_t worker;
    uint64_t serial; /* of this worker's: another session has another */
    uint64_t streams_now, streams_total;
    uint64_t sent_bytes, received_bytes, resent_bytes; /* of streams */
    uint64_t held_bytes;                               /* in memory, both ways */
    uint64_t links_cut; /* that have stood, and ended without a word of either end */
    /* n_listeners in all, of which the first are described; and likewise those links whose handshake has succeeded. */
    size_t n_listeners;
    struct tunnel_listener_report listeners[TUNNEL_REPORT_LISTENERS];
    size_t n_links;
    struct tunnel_link_report links[TUNNEL_REPORT_LINKS];
    /* The oldest of streams_now. */
    size_t n_streams;
    struct session_stream_stats streams[TUNNEL_REPORT_STREAMS];
};

/* One for each session of the worker; *out is returned owned (free()), NULL where there is none. ERR_MEMORY. */
NODISCARD enum err tunnel_report(struct tunnel_env *env, struct tunnel_session_report **out,
                                 size_t *n);

/* For host_ops.report_listeners: one of them. `inbound` may be NULL. */
void tunnel_report_listener(struct tunnel_session_report *report, const struct addr *at,
                            const char *inbound, const char *is);

#endif
