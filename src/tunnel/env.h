/*
 * What the tunnels of one worker have around them, at both ends. All of it is of the worker's thread.
 *
 * Peers do not call back (peer/peer.h). Whoever does something to one *touches* its keeper, and when the turn is over, before
 * the loop waits, each that was touched is settled once: its events are told, what its links have to send is written, its timer
 * is set. So what many flows write in one turn leaves in few large records.
 *
 *     carriers' and streams' handlers --touch--> tunnel_env.touched --tunnel_env_settle()--> events, writes, timers
 */
#ifndef SOCKEYE_TUNNEL_ENV_H
#define SOCKEYE_TUNNEL_ENV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/rng.h"
#include "flow/env.h"
#include "io/slab.h"
#include "peer/peer.h"
#include "tunnel/pool.h"
#include "tunnel/strangers.h"

struct ruleset;
struct tunnels;

struct tunnel_env {
    struct flow_env *flow; /* its loop, mailbox, resolver and log */
    struct pool pool;
    struct rng *rng;
    struct slab streams, datagrams, carriers;
    struct list touched;
    struct list hosts; /* every host of this worker */
    uint64_t n_hosts;  /* ever */
    struct list fars;  /* and every far end (tunnel/far.h) */
    struct list
        resting; /* listeners of sessions' (tunnel/far_listen.h) for which there was no room */
    struct strangers strangers;
    struct tunnels *tunnels;  /* of the process */
    size_t index;             /* of the worker, among them */
    struct ruleset *in_force; /* held by the worker */
    bool owes_listening;  /* there was no memory to ask for all that far ends are to listen on */
    bool ends_now;        /* the same, and no session waits for its last stream */
    bool awaits_riders;   /* but for some, whose streams carry others of them */
    bool is_draining;     /* the program ends: no session takes further streams */
    struct peer_time now; /* as of the loop's turn with this number */
    uint64_t turn;
    uint64_t clocks_us;    /* when its boot_ms and wall_ms were read */
    int64_t boot_ahead_ms; /* by so much the machine has slept, as far as was noticed */
    /* The last host has gone. NULL: nobody wants to know. */
    void (*on_empty)(struct tunnel_env *);
};

/* Something that is settled in each turn in which it was touched; embedded in a host or a gate. */
struct tended {
    struct list link; /* in env->touched */
    struct tunnel_env *env;
    void (*settle)(struct tended *, const struct peer_time *now);
};

/* The worker with this index among those of the process. */
void tunnel_env_init(struct tunnel_env *env, struct tunnels *tunnels, size_t index,
                     struct flow_env *flow, struct rng *rng);
void tunnel_env_deinit(struct tunnel_env *env); /* no host and no far end is left */
/* The turn is over. What is touched meanwhile is settled too. */
void tunnel_env_settle(struct tunnel_env *env);

/* The program takes no more: each session's other end is told so, which has so many seconds for the streams that are there. */
void tunnel_env_drain(struct tunnel_env *env, uint64_t seconds);
/* The program ends: every session is ended with its last stream, or now, and says so where it can. True: there is none, and need not
 * be waited for; else on_empty() follows. */
bool tunnel_env_end(struct tunnel_env *env, bool is_now);
/* The same at once, without a word. */
void tunnel_env_cut(struct tunnel_env *env);

/* The time of this turn, by all clocks. The first of them stands still while the process is stopped, as it does while the machine
 * sleeps: nobody is to be thought slow for that. */
struct peer_time tunnel_now(struct tunnel_env *env);

void tended_init(struct tended *tended, struct tunnel_env *env,
                 void (*settle)(struct tended *, const struct peer_time *now));
void tended_touch(struct tended *tended);
void tended_forget(struct tended *tended); /* it is not settled any more */

#endif
