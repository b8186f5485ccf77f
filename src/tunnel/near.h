/*
 * The near end: one session of a tunnel outbound. It belongs to one worker and lives over reloads as long as the outbound's
 * settings stay the same; what has changed takes no new streams and ends when its last one has.
 *
 *     opening --near_open()--> a stream of the session, at once, with what the client has said already
 *     session --PEER_WANTS_CARRIER--> dialling, a server's addresses one after the other --> a carrier
 *     session --STREAM_ANSWERED--> opening->done(), with the far end's own reply code
 */
#ifndef SOCKEYE_TUNNEL_NEAR_H
#define SOCKEYE_TUNNEL_NEAR_H

#include "flow/outbound.h"
#include "tunnel/host.h"
#include "tunnel/tunnels.h"

struct ruleset;

struct near {
    struct host host;
    struct tunnel_spec *spec; /* held */
    size_t session;           /* which of the outbound's */
    /* By whose rules, which are held, it reaches its server: those in force, or the last that knew it. */
    const struct inbound *inbound;
    struct outbound *via; /* of those rules; NULL: it dials */
    struct list dials;
    struct list listeners; /* tunnel/near_listen.h */
    struct timer asking;   /* for those that were refused */
    uint64_t began_ms, listen_from_ms;
    size_t next_server;
    uint16_t last_port;      /* that was dialled; 0: none yet */
    uint64_t complain_at_ms; /* when it may be said again that the server is out of reach */
    struct deferred freeing;
};

struct near_options;

/* What a peer of this specification is made with. */
void near_fill_options(struct near_options *options, const struct tunnel_spec *spec,
                       struct tunnel_env *env);

/* As outbound_ops.open, on the worker whose session it is; `via` and the opening's inbound are of the same rules. */
NODISCARD enum err near_open(struct tunnel_spec *spec, size_t session, struct outbound *via,
                             struct opening *opening);
/* As outbound_ops.relay: by the session that the client has come by. */
NODISCARD enum err near_relay(struct opening *opening);
/* As outbound_ops.is_suspended. */
bool near_is_suspended(const struct opening *opening);

/* The worker goes by these rules now; all workers are there. */
void near_turn_all(struct tunnel_env *env, const struct ruleset *ruleset);
/* The program ends: nothing is listened for by a far end any more. */
void near_stop_listening(struct tunnel_env *env);
/* The network has changed: what would be tried later is tried at once, and what is under way anew. */
void near_wake_all(struct tunnel_env *env);
/* The machine has slept: the same, and other links take the place of all that there are, before anybody finds out whether they live. */
void near_renew_all(struct tunnel_env *env);

#endif
