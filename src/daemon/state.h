/* The running program, private to the files of daemon/ that run it. Of the first worker's thread. */
#ifndef SOCKEYE_DAEMON_STATE_H
#define SOCKEYE_DAEMON_STATE_H

#include "daemon/activation.h"
#include "daemon/collect.h"
#include "daemon/daemon.h"
#include "daemon/listening.h"
#include "daemon/logsink.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "daemon/runtime.h"
#include "daemon/statefolder.h"
#include "daemon/watchdog.h"
#include "daemon/worker.h"
#include "io/netwatch.h"

#define WORKERS_MAX 1024 /* as the configuration allows */
#define DAEMON_STATUS_BYTES 384

/* What is as it was at the start until the end, however often the configuration is read. */
struct daemon_fixed {
    unsigned workers;
    char *user, *state, *socket; /* as they were written; owned */
};

struct daemon {
    const struct daemon_options *options;
    uint64_t n_descriptors, n_own_descriptors; /* the limit, and what is not connections' */
    struct flow_shared shared;
    struct runtime *runtime; /* in force; held */
    struct listening listening;
    struct activation activation;
    struct logsink *sink;
    struct tunnels tunnels;
    struct tunnel_env *tunnel_workers[WORKERS_MAX]; /* those of the workers */
    struct worker *workers[WORKERS_MAX];
    size_t n_workers;
    size_t n_running, n_drained; /* of the workers */
    enum { RUNNING, DRAINING, ENDING_AT_ONCE } ending;
    bool is_stopped;       /* the loops have been ordered to end */
    struct reload *reload; /* under way; NULL: none */
    struct reload_history reloads;
    struct daemon_fixed fixed;
    char state_folder[PATHS_BYTES]; /* found at the start; "": there is none */
    struct collector collector;
    struct admin *admin;
    struct watch signals;
    struct netwatch netwatch;
    struct notify notify;
    struct timer notify_again; /* the manager had no room */
    char status[DAEMON_STATUS_BYTES];
    struct watchdog watchdog;
};

/* Gives an order to every worker that runs. */
static inline void daemon_order_all(struct daemon *daemon, void (*order)(struct worker *))
{
    for (size_t i = 0; i < daemon->n_running; i++)
        order(daemon->workers[i]);
}

/* Once the last worker has drained, and no reload waits for one, all loops end. */
static inline void daemon_stop_if_drained(struct daemon *daemon)
{
    if (daemon->is_stopped || daemon->n_drained < daemon->n_running ||
        reload_needs_workers(daemon->reload))
        return;
    daemon->is_stopped = true;
    daemon_order_all(daemon, worker_order_stop);
}

/* Found anew by a reload it could be another one: `state` may have changed, and root's is not that of
 * the user whom root has become. */
static inline void daemon_set_state_folder(struct daemon *daemon, struct config *config)
{
    if (daemon->state_folder[0] != '\0')
        config->state_folder = daemon->state_folder;
}

/* Goes on as the configuration's user. Returns an exit code: 0, or what was said to be wrong. */
int daemon_drop_privileges(struct daemon *daemon);

/* What the limit of descriptors means for connections, with the listeners that there are now. */
void daemon_count_descriptors(struct daemon *daemon);

/* Tells the service manager that all is well, and what to show. */
void daemon_notify_ready(struct daemon *daemon, const char *first_words);

#endif
