/*
 * The gate: a server's door, where carriers stand until their first flight was judged (doc/protocol.md, sections 3.2, 3.3
 * and 9). There is one for each tunnel inbound and worker; what they share (keys, the replay set) is given by reference.
 *
 *     gate_accept -> link READING --+-- GATE_FRESH      a peer was made of it
 *                                   +-- GATE_JOINED     it is a link of a peer of this gate's now
 *                                   +-- GATE_ELSEWHERE  another worker owns the session: gate_detach(), and there gate_attach(), gate_go_on()
 *                                   +-- GATE_SILENT     read it to its end, write nothing
 */
#ifndef SOCKEYE_PEER_GATE_H
#define SOCKEYE_PEER_GATE_H

#include "link/handshake.h"
#include "peer/peer.h"

struct gate;

#define GATE_WORKER_BYTES 2

struct gate_options {
    struct handshake_ground
        ground; /* its keys and users; what it points to lives until gate_turn() */
    /* Whether the user may come by a carrier whose link has this owner: NULL, or why not. A function of NULL: all may. */
    const char *(*judge)(const struct link_user *user, const void *owner);
    bool is_key_public;                    /* made of the identity's public key: no early records */
    const struct sign_key *identity;       /* NULL: none */
    const struct verify_key *const *peers; /* whom to accept */
    size_t n_peers;                        /* 0: anyone who has the key */
    uint16_t worker;                       /* the first GATE_WORKER_BYTES of the ids it gives */
    uint64_t keep_s;
    enum gate_early { GATE_EARLY_NONE, GATE_EARLY_OPEN, GATE_EARLY_FULL } early;
    uint64_t window_bytes, stream_window_bytes;
    size_t
        max_unlinked; /* of sessions without a link: if there are more when another begins, those end that were left first, of whom has the most; 0: no limit */
    size_t max_links; /* of a session, which all are looked at with each record; 0: no limit */
    bool
        signs_apart; /* GATE_SIGN is told where a signature is wanted; else it is made within the call */
    struct chunk_source *chunks;
    struct rng *rng;
};

enum gate_event_kind {
    GATE_FRESH,
    GATE_JOINED,
    GATE_ELSEWHERE,
    GATE_SILENT, /* the link is freed when the next event is asked for, of the gate or of any of its peers */
    GATE_ENDED, /* of its own accord: the peer has PEER_ENDED to tell, nothing else happens to it. There is no link */
    GATE_SIGN, /* a signature is wanted off the loop: peer_sign_job(), peer_signed(). The peer is there; GATE_FRESH follows, or PEER_ENDED */
};

struct gate_event {
    enum gate_event_kind kind;
    struct peer_link *link;
    struct peer *peer;            /* of FRESH, JOINED and ENDED */
    uint16_t worker;              /* of ELSEWHERE */
    enum flight_fault fault;      /* of SILENT */
    const char *why;              /* the same in words, for the log */
    const struct link_user *user; /* of SILENT: whose flight it was, where that is known */
};

NODISCARD enum err gate_new(struct gate **out, const struct gate_options *options);
void gate_free(struct gate *gate); /* its peers are freed before */

/* A carrier that nobody knows yet; NULL: out of memory. peer_link_room() and so on hold for it. */
struct peer_link *gate_accept(struct gate *gate);
bool gate_next_event(struct gate *gate, struct gate_event *event);

/*
 * From now on these keys and users are good. What stands at the gate by others falls silent; sessions of others cannot be joined, and are
 * the owner's to end: gate_knows() is to be asked for each of its peers at once, as their users are those of `ground` from then on.
 */
void gate_turn(struct gate *gate, const struct handshake_ground *ground);
/* Whether the key by which the peer came, and its user's, are good still. */
bool gate_knows(struct peer *peer);
/* NULL: there are no users, or this one is not known any more. */
const struct link_user *gate_user_of(const struct peer *peer);

/* A flight that was judged, with the bytes behind it, on its way to another worker's gate; moves as a whole. */
struct gate_parcel;
struct gate_parcel *gate_detach(struct peer_link *link); /* the link is gone; NULL: out of memory */
void gate_attach(struct gate *gate, struct gate_parcel *parcel, struct peer_link **link);
/* Behind that, once the link has its owner. */
void gate_go_on(struct peer_link *link, const struct peer_time *time);
void gate_parcel_free(struct gate_parcel *parcel);

#endif
