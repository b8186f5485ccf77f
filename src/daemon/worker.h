/*
 * A worker: a thread with its own loop, listeners, resolver, pools and flows. Others reach it
 * through its mailbox only.
 */
#ifndef SOCKEYE_DAEMON_WORKER_H
#define SOCKEYE_DAEMON_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "daemon/listening.h"
#include "daemon/logsink.h"
#include "daemon/runtime.h"
#include "flow/env.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/mailbox.h"

struct worker;

/* A listener that knows whom its connections are for. */
struct worker_listener {
    struct listener listener;
    struct worker *worker;
    struct inbound *inbound;
};

struct worker {
    struct runtime *runtime; /* held */
    size_t index;
    pthread_t thread; /* of all but the first, which runs in the main thread */
    struct loop *loop;
    struct mailbox mailbox;
    struct logsink_port *port;
    struct worker_listener *listeners;
    size_t n_listeners;
    struct worker_orders {
        struct mail drain, end, refresh, stop;
        atomic_bool is_refreshing; /* that order is under way: one is enough */
    } orders;
    bool is_draining;
    struct timer drained_by; /* drain_s is over */
    /* Draining, and no flow is left. Called once, on the worker's thread; the loop runs on until it
     * is ordered to stop. */
    void (*on_drained)(struct worker *);
    struct mail drained; /* for on_drained to send */
    void *owner;
    struct flow_env env;
};

/* Makes a worker and takes its sockets over. Returns owned. */
NODISCARD enum err worker_new(struct worker **out, struct runtime *runtime,
                              struct listening *listening, size_t index, struct logsink *sink,
                              enum loop_backend backend);
/* After its loop has ended; NULL is fine. */
void worker_free(struct worker *worker);

/* Orders, to be given from any thread. None needs memory, so none can fail. Each but the refresh is
 * given once at most. */

/* Accepts no more, and calls on_drained when the last flow has ended, at the latest after drain_s. */
void worker_order_drain(struct worker *worker);
/* Ends what is left at once; ordered to drain before. */
void worker_order_end(struct worker *worker);
/* The network has changed: names are asked anew. */
void worker_order_refresh(struct worker *worker);
/* Its loop ends. */
void worker_order_stop(struct worker *worker);

#endif
