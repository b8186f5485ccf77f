/*
 * Connections at a tunnel inbound whose other end has not shown that it has the key, is alive and, where that is demanded, who it
 * is (doc/protocol.md, section 9): by a record behind the handshake.
 *
 *     strangers_admit() --> a carrier's, at the gate or of a session --+--> stranger_leave(): it is known, or gone
 *                                                                      +--> stranger_silence(): SILENT
 *     SILENT: what comes is thrown away, unseen and not too fast, until the other side's fin; then it is closed
 *
 * Nothing is ever written to a silent one, and no timer, amount or list closes it. But when descriptors run
 * short one of all strangers is chosen at random and closed, so that a crowd of them keeps nobody out: neither who is new, nor
 * those who are known, for whom a share of the descriptors is kept.
 */
#ifndef SOCKEYE_TUNNEL_STRANGERS_H
#define SOCKEYE_TUNNEL_STRANGERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/rng.h"
#include "flow/env.h"
#include "flow/idle.h"
#include "io/endpoint.h"
#include "io/slab.h"

struct stranger;

/* Those of one worker. */
struct strangers {
    struct flow_env *flow;
    struct rng *rng;
    struct stranger **all; /* n of them, in no order */
    size_t n, cap;
    size_t share; /* of the descriptors: one in so many may be theirs, of this worker */
    struct slab slab;
    struct idle_queue resting; /* silent ones that have had their turn */
};

struct stranger {
    struct strangers *among;
    size_t place;
    struct endpoint *endpoint; /* of a silent one; NULL: it is a carrier's */
    size_t n_discarded;        /* since it last rested */
    struct idle_wait rest;
    struct deferred freeing;
    /* It has to go, not being silent: the endpoint is closed, and stranger_leave() called. */
    void (*on_evicted)(struct stranger *);
    void *owner;
};

/* n_workers have as many descriptors each as this one. */
void strangers_init(struct strangers *strangers, struct flow_env *flow, struct rng *rng,
                    size_t n_workers);
/* Closes those that are left, all of them silent. */
void strangers_deinit(struct strangers *strangers);
void strangers_close_all(struct strangers *strangers);

/* The system has no descriptor left: one of the strangers goes. False: there is none. */
bool strangers_evict(struct strangers *strangers);

/* One more, for whom another goes where there is no room. NULL: out of memory. */
struct stranger *strangers_admit(struct strangers *strangers, void (*on_evicted)(struct stranger *),
                                 void *owner);
void stranger_leave(struct stranger *stranger);
/* Takes the endpoint, to be read to its end. */
void stranger_silence(struct stranger *stranger, struct endpoint *endpoint);

#endif
