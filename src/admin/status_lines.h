/*
 * The status as lines for `sockeye top`, which asks once a second: what moves, and no more. Words are parted by tabs; both
 * ends are of one version, so a reader that finds anything else gives up.
 *
 *     sockeye VERSION PID UPTIME_MS FLOWS_NOW FLOWS_TOTAL BYTES_UP BYTES_DOWN REFUSED
 *     session WORKER SERIAL near|far NAME USER STREAMS_NOW STREAMS_TOTAL SENT RECEIVED RESENT LINKS LINKS_CUT
 *     link REMOTE NUMBER RTT_US SENT RECEIVED RETRANSMITS          below its session
 *     end
 */
#ifndef SOCKEYE_ADMIN_STATUS_LINES_H
#define SOCKEYE_ADMIN_STATUS_LINES_H

#include <stdio.h>

#include "daemon/status.h"

#define STATUS_LINES_REMOTE_BYTES 64

/* Prints them; `sum` is what the workers' counters add up to. Errors are the stream's. */
void admin_print_lines(FILE *out, const struct status *status, const struct counters *sum);

/* Likewise, as they are read. */
struct status_lines_link {
    char remote[STATUS_LINES_REMOTE_BYTES];
    uint64_t number; /* of the session's */
    uint64_t rtt_us, sent, received, retransmits;
};

struct status_lines_session {
    uint64_t worker, serial;
    bool is_near;
    char name[TUNNEL_REPORT_NAME_BYTES], user[TUNNEL_REPORT_USER_BYTES]; /* "": none */
    uint64_t streams_now, streams_total, sent, received, resent, n_links, links_cut;
    size_t first_link, n_links_told; /* of `links` below */
};

struct status_lines {
    char version[32];
    uint64_t pid, uptime_ms, flows_now, flows_total, bytes_up, bytes_down, refused;
    struct status_lines_session *sessions; /* owned, and so are links */
    struct status_lines_link *links;
    size_t n_sessions, n_links;
};

/* Reads n bytes of them; *out is to be freed by status_lines_free(). ERR_BAD: they are none, or cut off. ERR_MEMORY. */
NODISCARD enum err status_lines_read(struct status_lines *out, const char *text, size_t n);
void status_lines_free(struct status_lines *lines);

#endif
