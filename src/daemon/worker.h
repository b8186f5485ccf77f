/*
 * A worker: a thread with its own loop, listeners, resolver, pools and flows. Others reach it
 * through its mailbox only.
 *
 * It turns to another reading of the configuration in two steps, of which only the first can fail:
 *
 *     prepare --ok--> turn      every worker could: new listeners accept, old ones empty their
 *        |                      backlogs by the old rules and close, kept ones go by the new rules
 *        +-----------> forget   some worker could not: all is as before
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
#include "tunnel/env.h"

struct worker;

/* A listener that knows whom its connections are for. */
struct worker_listener {
    struct listener listener;
    struct list link;
    struct deferred freeing;
    struct worker *worker;
    struct inbound *inbound; /* the worker holds its ruleset; one that leaves holds it itself */
    const struct listensock *socket;
};

struct worker {
    struct runtime *runtime; /* held */
    size_t index;
    pthread_t thread; /* of all but the first, which runs in the main thread */
    struct loop *loop;
    struct mailbox mailbox;
    struct logsink_port *port;
    struct list listeners; /* those that accept, and those that leave */
    struct worker_orders {
        struct mail drain, end, refresh, stop, ping;
        atomic_bool is_refreshing; /* that order is under way: one is enough */
    } orders;
    struct worker_turning {
        struct mail mail; /* to the worker, and for on_turned to send back */
        struct runtime *runtime;
        struct listening *listening;
        struct list listeners; /* new ones, prepared */
        enum err err;          /* of preparing */
    } turning;
    /* What was ordered of a turn has been done. On the worker's thread. */
    void (*on_turned)(struct worker *);
    /* A ping has come. Likewise. */
    void (*on_pinged)(struct worker *);
    bool is_draining;
    struct timer drained_by; /* drain_s is over */
    /* Draining, and no flow is left and no tunnel's session. Called once, on the worker's thread; the loop runs on until it
     * is ordered to stop. */
    void (*on_drained)(struct worker *);
    struct mail drained; /* for on_drained to send */
    void *owner;
    struct flow_env env;
    struct tunnel_env tunnels;
};

/* What its loop is made by. SOCKEYE_BACKEND=poll is for tests of the portable one; ordinary users have no reason to choose. */
enum loop_backend worker_backend(void);

/* Makes a worker and takes its sockets over. Returns owned. */
NODISCARD enum err worker_new(struct worker **out, struct runtime *runtime,
                              struct listening *listening, size_t index, struct logsink *sink,
                              enum loop_backend backend);
/* After its loop has ended; NULL is fine. */
void worker_free(struct worker *worker);

/* Orders, to be given from any thread. None needs memory, so none can fail. Drain, end and stop are
 * given once at most; those of a turn and the ping again when the one before has been answered. */

/* Accepts no more, and calls on_drained when the last flow has ended, at the latest after drain_s. */
void worker_order_drain(struct worker *worker);
/* Ends what is left at once; ordered to drain before. */
void worker_order_end(struct worker *worker);
/* The network has changed: names are asked anew, tunnels connect at once. */
void worker_order_refresh(struct worker *worker);
/* Prepares a turn; on_turned is called with turning.err set. What is given stays borrowed until
 * the turn has been made or forgotten. */
void worker_order_prepare(struct worker *worker, struct runtime *runtime,
                          struct listening *listening);
void worker_order_turn(struct worker *worker);
void worker_order_forget(struct worker *worker);
/* Its loop turns. */
void worker_order_ping(struct worker *worker);
/* Its loop ends. */
void worker_order_stop(struct worker *worker);

#endif
