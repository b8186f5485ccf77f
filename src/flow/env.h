/*
 * What flows have around them: struct flow_env for each worker, owned by its thread, and one
 * struct flow_shared for the process.
 */
#ifndef SOCKEYE_FLOW_ENV_H
#define SOCKEYE_FLOW_ENV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "flow/clients.h"
#include "flow/counters.h"
#include "flow/counts.h"
#include "flow/idle.h"
#include "flow/verifier.h"
#include "io/datagram.h"
#include "io/loop.h"
#include "io/pipe.h"
#include "io/resolver.h"
#include "io/slab.h"

/* What is read in one go, and so the most that a direction of a flow holds in user space. */
#define FLOW_READ_BYTES ((size_t)32 * 1024)

/* A reload changes them: each worker has its own copy, which it changes itself. 0: no limit. */
/* Room for that with an HTTP head in another form. */
#define FLOW_MADE_BYTES (FLOW_READ_BYTES + (size_t)20 * 1024)

struct flow_limits {
    uint64_t connect_ms, handshake_ms, idle_ms, half_closed_ms;
    uint64_t udp_idle_ms;
    uint64_t max_connections;
    uint64_t max_held_bytes; /* what all flows together hold in buffers */
    uint64_t drain_s;        /* for what a tunnel carries that takes no more */
    unsigned keepalive_s;    /* 0: off */
    uint64_t penalty_ms;     /* how long a wrong login waits for its answer; 0: not at all */
};

/* What limits are measured by. */
struct flow_shared {
    _Atomic(uint64_t) n_connections, n_held_bytes;
    _Atomic(uint64_t) n_leaving;      /* listeners that are gone but for their backlogs */
    _Atomic(uint64_t) n_associations; /* of the connections; each takes as much again */
    _Atomic(uint64_t) n_carriers; /* connections under links of tunnels, or that may become such */
    _Atomic(uint64_t) n_silent;   /* and those that never will */
    _Atomic(uint64_t) n_listened; /* addresses that tunnels' clients have us listen on */
    _Atomic(uint64_t) max_by_descriptors; /* beyond it connections wait in the backlog */
    struct clients clients;
    struct counts counts;
    struct verifier *verifier; /* NULL: no inbound has users with hashes */
};

/* A trouble that comes thousands of times is said once in a while, with its count. */
struct flow_complaint {
    uint64_t said_at_ms;
    uint64_t n_since;
    bool was_said;
};

struct ruleset;
struct tunnel_env; /* tunnel/env.h */

enum dial_prefer { DIAL_AUTO, DIAL_V4_FIRST, DIAL_V6_FIRST, DIAL_V4_ONLY, DIAL_V6_ONLY };

struct flow_env {
    struct flow_shared *shared;
    struct loop *loop;
    struct mailbox *mailbox; /* where verdicts on passwords come in */
    struct resolver *resolver;
    struct log *log;
    struct flow_limits limits;
    enum dial_prefer prefer;
    struct pipe_pool pipes;
    struct datagram_pool datagrams;
    struct slab flows, socks, openings, dials, associations, ways, senders;
    struct tunnel_env *tunnels; /* what tunnel/ keeps for this worker; NULL: nothing */
    const struct ruleset
        *in_force; /* whose flows take further requests, once that is known; NULL: nobody's */
    bool in_force_is_known;
    bool is_over;     /* every flow has ended for the program's end: nothing begins any more */
    struct list live; /* every flow */
    struct list associated; /* every association, the longest unused first */
    struct idle_queue handshaking, connecting, binding, relaying, half_closed, lingering, settling,
        penalty, associating, ways_opening;
    struct flow_complaint complaints[N_REFUSALS];
    struct counters counters;
    /* A flow has ended, its descriptors are free again. */
    void (*on_ended)(struct flow_env *);
    void *owner;
    uint8_t scratch[FLOW_READ_BYTES]; /* what was read */
    uint8_t made[FLOW_MADE_BYTES];    /* what a protocol makes of it */
};

void flow_shared_init(struct flow_shared *shared);
/* What max_by_descriptors bounds. */
uint64_t flow_shared_n_used(const struct flow_shared *shared);
void flow_shared_deinit(struct flow_shared *shared); /* no flow and no ruleset is left */

/* Sets up what the flows of a worker share. The rest of the fields are the caller's to fill before. */
void flow_env_init(struct flow_env *env);
/* All flows have ended and the loop has run what was deferred. */
void flow_env_deinit(struct flow_env *env);

/* Other limits from now on, for the flows there are too: a time that is over by the new limit ends
 * them when the loop turns next. What has its keepalive already keeps it. */
void flow_env_set_limits(struct flow_env *env, const struct flow_limits *limits);

/* Adds `from`: a client's address, "unix" for one that has none, nothing for NULL. */
void flow_log_from(struct log_line *line, const struct addr *from);

/* Says why connections are refused, or have to wait: at the first time, then at most once a minute. */
void flow_env_complain(struct flow_env *env, enum refusal refusal, const char *inbound,
                       const struct addr *from);

/* Counts a refusal and says it likewise. */
void flow_env_refuse(struct flow_env *env, enum refusal refusal, const char *inbound,
                     const struct addr *from);

#endif
