/*
 * A carrier in the program: an endpoint under one link of a peer, at either end. What comes is read into the room that the link
 * lends, what the link has to send is written from where it lies.
 *
 *     OPEN --carrier_close(by a fin)--> CLOSING: what the link has is written, then our fin --> LINGERING: the other's
 *      |                                   |      fin is waited for, as closing with unread bytes would be a reset
 *      +--its end, broken, carrier_close()-+--> gone(): the link has ended, the endpoint is closed
 *      +--carrier_release()--> the endpoint is the caller's (the silent path, another worker)
 *
 * One that a far end has accepted is a stranger's (tunnel/strangers.h) until carrier_is_known(), whoever keeps it meanwhile.
 */
#ifndef SOCKEYE_TUNNEL_CARRIER_H
#define SOCKEYE_TUNNEL_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "io/endpoint.h"
#include "io/timer.h"
#include "tunnel/env.h"

enum carrier_state {
    CARRIER_OPEN,
    CARRIER_CLOSING,
    CARRIER_LINGERING,
    CARRIER_CUTTING,
    CARRIER_GONE
};

struct stranger;

struct carrier {
    struct list link; /* in the list of whoever keeps it */
    struct tended *keeper;
    struct tunnel_env *env;
    struct peer_link *of;
    struct endpoint *endpoint;
    struct addr remote;
    uint8_t state;     /* enum carrier_state */
    bool is_full;      /* the endpoint takes nothing now */
    bool has_eof;      /* the other's fin has come, and not all is written */
    bool is_clean;     /* it is closed by our own will, or the other end has said BYE */
    bool has_stood;    /* its link was up */
    bool is_brief;     /* there are many such, one after the other */
    bool has_part;     /* of a record, when something came last */
    uint8_t n_late;    /* how often its rest was late by as much as acknowledgements are */
    bool is_chained;   /* it has no descriptor: it is a stream of another session */
    uint16_t server;   /* near: to which of the server's addresses it goes */
    const char *why;   /* it is closed, static; NULL: nothing (more) to say */
    uint64_t heard_us; /* when something came last */
    uint64_t n_received_bytes, n_sent_bytes; /* on the wire */
    /* It has ended, and is freed when the turn is over. `how` is ERR_EOF (the other's fin), ERR_NONE (ours), or what broke it. Called once; the link is gone. NULL: nobody cares. */
    void (*on_gone)(struct carrier *, enum err how);
    void *owner;
    struct stranger *stranger; /* whose it is, ended with it; NULL: it was none, or is known */
    struct timer resting;      /* as there was no memory */
    struct deferred freeing;
};

/* Takes the endpoint when it succeeds, and begins to read. The link's owner becomes the carrier. ERR_MEMORY. */
NODISCARD enum err carrier_new(struct carrier **out, struct tended *keeper,
                               struct endpoint *endpoint, struct peer_link *of,
                               const struct addr *remote,
                               void (*on_gone)(struct carrier *, enum err how), void *owner);
/* Bytes of the other end's that were read before. ERR_MEMORY: it is to be closed. */
NODISCARD enum err carrier_give(struct carrier *carrier, const uint8_t *bytes, size_t n);
/* Writes what its link has to send, as far as it goes now. For whoever settles the keeper, whenever the link may have some. */
void carrier_write(struct carrier *carrier, const struct peer_time *now);
/* Tells the gate's events and writes what the link has to say to somebody who stands there: a gate has many links, so neither does what
 * this one has to tell wait, nor does the gate look which of them has an answer. */
void carrier_settle_unknown(struct carrier *carrier);
/* Closes it: by a fin when all is written, or else at once by a reset. on_gone() follows, not from within. */
void carrier_close(struct carrier *carrier, bool by_fin);
/* At once, as its descriptor is wanted for another. */
void carrier_evict(struct carrier *carrier);
/* Its link is proved: it is no stranger's any more. */
void carrier_is_known(struct carrier *carrier);
/* Another keeper from now on: a link at the gate has become a peer's. */
void carrier_set_keeper(struct carrier *carrier, struct tended *keeper);
/* Gives up the endpoint, of which nothing is wanted any more; the link was forgotten by its peer already. The carrier is freed when the
 * turn is over, and on_gone() is not called. Its stranger has left; carrier_take_stranger() before keeps him. */
struct endpoint *carrier_release(struct carrier *carrier);
/* NULL: it is nobody's. */
struct stranger *carrier_take_stranger(struct carrier *carrier);

#endif
