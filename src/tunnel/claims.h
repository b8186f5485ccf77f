/*
 * Who has which address, among all sessions of all far ends of the process: what a peer may listen on was perhaps his
 * own a moment ago, in a session of another worker.
 *
 *     a session begins      whatever session the same peer had before is told to end
 *     it asks for an address -- nobody's -----------------------------> bound
 *                            |- of the same peer, or of a session without a link --> taken over with its socket, and the other is told
 *                            '- else --------------------------------> in use
 *
 * An address that changes hands keeps its listening socket, so there is no moment in which nobody has it; who has lost
 * it accepts nothing more from then on.
 */
#ifndef SOCKEYE_TUNNEL_CLAIMS_H
#define SOCKEYE_TUNNEL_CLAIMS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/list.h"
#include "io/mailbox.h"
#include "peer/peer.h"

#define CLAIMS_BUCKETS 4096

/* Of the process. Each new session takes the lock, so that what is done under it does not grow with their number. */
struct claims {
    pthread_mutex_t lock;
    struct list
        peers[CLAIMS_BUCKETS]; /* the session of each that is not replaced, by its first bytes */
    struct list ports[CLAIMS_BUCKETS]; /* claims */
};

void claims_init(struct claims *claims);
void claims_deinit(struct claims *claims); /* nobody claims anything */

/* A session. */
struct claimant {
    struct claims *claims;
    struct list link; /* once it has begun, until it is replaced */
    uint8_t who[PEER_WHO_BYTES];
    bool has_begun, is_linked;
    bool is_replaced;
    const void *place; /* the one replacing it has it then; NULL: none, or not for others */
    bool has_given_place;
    struct mailbox *mailbox;
    struct mail mail;
    bool is_told; /* the mail is under way */
    /* On its own worker: it is replaced, or has lost some of what it had (claim_is_lost()). NULL: it is gone. */
    void (*on_told)(struct claimant *, bool is_replaced);
    void *owner;
};

/* An address that it has; embedded in whoever listens there. */
struct claim {
    struct list link;
    struct claimant *by; /* NULL: nothing is claimed */
    struct addr addr;
    int fd; /* listens */
    atomic_bool is_lost;
};

/* Returned owned; NULL: out of memory. */
struct claimant *claimant_new(struct claims *claims, struct mailbox *mailbox,
                              void (*on_told)(struct claimant *, bool is_replaced), void *owner);
/* It has no claims any more. NULL is fine. */
void claimant_free(struct claimant *claimant);
/* From now on it is this peer's session, and no other is. True: it has the place of the one before, which is the one that it
 * wants. NULL: none. */
bool claimant_begin(struct claimant *claimant, const uint8_t who[static PEER_WHO_BYTES],
                    const void *wanted_place);
/* Where it counts among its user's sessions, which it may only once: whoever replaces it counts there in its stead. */
void claimant_set_place(struct claimant *claimant, const void *place);
/* From now on nobody gets its place. False: somebody has. */
bool claimant_keep_place(struct claimant *claimant);
void claimant_set_linked(struct claimant *claimant, bool is_linked);

/* Claims the address. Then claim->fd listens there, *is_taken_over if others have a descriptor of the same socket. ERR_IN_USE, and the
 * errors of listener_open(). */
NODISCARD enum err claim_take(struct claim *claim, struct claimant *by, const struct addr *addr,
                              bool *is_taken_over);
/* Closes claim->fd: whoever claims the address next finds it free, or listens there himself. Harmless when there is none. */
void claim_drop(struct claim *claim);
static inline bool claim_is_lost(const struct claim *claim)
{
    return atomic_load_explicit(&claim->is_lost, memory_order_relaxed);
}

#endif
