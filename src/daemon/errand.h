/*
 * One worker for one errand of the command line (ping, speedtest): the outbounds of a configuration without its inbounds, on the
 * caller's thread. It listens nowhere, reads and writes no state, and shows itself to servers as an installation of its own, so that the
 * sessions of a sockeye that runs by the same configuration stay as they are.
 *
 *     errand_begin() --> what the caller sets going on its loop --> errand_run() --errand_stop()--> errand_end()
 */
#ifndef SOCKEYE_DAEMON_ERRAND_H
#define SOCKEYE_DAEMON_ERRAND_H

#include "config/config.h"
#include "daemon/listening.h"
#include "daemon/logsink.h"
#include "daemon/worker.h"

struct errand {
    struct flow_shared shared;
    struct tunnels tunnels;
    struct tunnel_env *tunnel_worker;
    struct listening listening; /* nothing */
    struct logsink *sink;
    struct runtime *runtime;
    struct worker *worker;
    struct config_inbound inbound; /* whose rules outbounds go by: none that says no */
    struct watch signals;
    bool was_interrupted; /* by SIGINT or SIGTERM, which stop the loop */
};

/* Takes the configuration, whatever it returns. What is logged goes to stderr, from `level` on. On failure what is wrong is said there, and errand_end() is not to be
 * called; returns an exit code. */
NODISCARD int errand_begin(struct errand *errand, struct config *config, enum log_level level);
/* The outbound of this name; NULL for its name: the first that is a tunnel. NULL: there is none. */
struct outbound *errand_find_tunnel(const struct errand *errand, const char *name);
/* What openings want: by whose rules they go. */
const struct inbound *errand_inbound(const struct errand *errand);
/* Turns its loop until it is stopped, or interrupted. */
void errand_run(struct errand *errand);
void errand_stop(struct errand *errand);
/* Ends its sessions, telling their far ends, which takes three seconds at most, and frees all. */
void errand_end(struct errand *errand);

#endif
