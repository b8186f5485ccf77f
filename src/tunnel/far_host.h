/*
 * The far half of a session in the program: its streams become flows (flow/flow.h), whose client is the stream.
 *
 *     STREAM_INCOMING --> flow_accept_request() --> the target is opened --> inbound_tunnel's reply --> OPENED
 */
#ifndef SOCKEYE_TUNNEL_FAR_HOST_H
#define SOCKEYE_TUNNEL_FAR_HOST_H

#include "tunnel/claims.h"
#include "tunnel/far.h"
#include "tunnel/host.h"

struct far_host {
    struct host host;
    struct list link; /* in far->hosts */
    struct far *far;
    struct addr remote; /* of the last carrier that it was given */
    uint64_t began_ms, n_streams;
    struct claimant *claimant; /* NULL: it has not begun, or there was no memory */
    struct list listeners;     /* tunnel/far_listen.h */
    bool is_linked;            /* as the claimant knows */
    uint64_t advised_ms, n_advised;
    struct far_signing *signing; /* under way; NULL: none */
    bool has_begun;              /* its client has taken it, and has shown who he is */
    char *user;                  /* his name, owned: he may be forgotten before it has ended */
    uint8_t user_id[USER_ID_BYTES];
    bool is_counted;         /* among his sessions ... */
    struct list in_unlinked; /* ... of which it has no carrier: of far->unlinked */
    const char *end_why;     /* it was ended by us for that; NULL: not so */
    struct deferred freeing;
};

/* Takes the peer. NULL: out of memory, the peer is the caller's still. */
struct far_host *far_host_new(struct far *far, struct peer *peer);
/* From when it has begun: has its claimant (tunnel/claims.h), made where there is none. False: out of memory. */
bool far_host_claims(struct far_host *host);
/* Without a word. */
void far_host_free(struct far_host *host);
/* The far end has other rules, and the host another name for its log lines; ends it where its user or key is not in force any more. */
void far_host_turn(struct far_host *host);
/* This link of its peer's is on the carrier, which stood at the gate. */
void far_host_adopt(struct far_host *host, struct carrier *carrier);
/* Of the user's sessions one that has no link ends: the one that has had none for the longest. False: there is none. */
bool far_host_end_unlinked(struct far *far, const uint8_t user_id[static USER_ID_BYTES]);
/* A signature is wanted on the link before it can be up. */
void far_host_sign(struct far_host *host, struct peer_link *link);

#endif
