/*
 * The far end: a tunnel inbound on one worker. It has a gate (peer/gate.h), where carriers stand until their first
 * flight was judged, and the sessions that came of it.
 *
 *     far_accept() --> READING at the gate --+--> a new session, or one that it joins (tunnel/far_host.h)
 *                        |                   +--> by mail to the worker whose session it joins
 *                        +--> silence (tunnel/strangers.h): wrong bytes, a wrong time, an address that may not come
 *
 * It is made when the first connection for its specification comes, and lives over reloads as long as an inbound with
 * the same settings is in force; its sessions then go by the new rules, and those whose key or user is not in force any more are
 * ended. Where an inbound of its name has other settings its sessions are drained, as far as their clients would be let in by those.
 */
#ifndef SOCKEYE_TUNNEL_FAR_H
#define SOCKEYE_TUNNEL_FAR_H

#include "flow/inbound.h"
#include "peer/gate.h"
#include "tunnel/env.h"
#include "tunnel/far_spec.h"

struct carrier;

#define FAR_FAULTS (FLIGHT_MEMORY + 1)

/* Users are of so many crowds, by their keys' tags. */
#define FAR_CROWDS 256

struct far {
    struct tended tended;
    struct list link;        /* in env->fars */
    struct far_spec *spec;   /* held */
    struct inbound *inbound; /* by whose rules; its ruleset is held */
    struct gate *gate;
    struct list hosts, carriers; /* its sessions, and those that stand at the gate */
    struct list
        unlinked[FAR_CROWDS]; /* of users' sessions those without a carrier, the longest so first */
    bool is_leaving;          /* the configuration knows it no more ... */
    bool has_heir;            /* ... but another in its place, by whose rules it ends */
    struct deferred freeing;
    struct flow_complaint faults[FAR_FAULTS], unwelcome, bad_links, too_many;
};

/* Takes a connection that came for a tunnel inbound, in any case. */
void far_accept(struct tunnel_env *env, struct inbound *inbound, int fd, const struct addr *from);

/* The worker goes by these rules now. */
void far_turn_all(struct tunnel_env *env, struct ruleset *ruleset);
/* Nothing of them is left, without a word. */
void far_free_all(struct tunnel_env *env);

/* For its sessions. Says it at the first time, then at most once a minute with how often. The user may be NULL: nobody knows. */
void far_complain(struct far *far, struct flow_complaint *complaint, const char *user,
                  const struct addr *from, const char *why);
/* The carrier has no right to an answer any more, and its link is gone already: its endpoint is read to its end. */
void far_silence(struct far *far, struct carrier *carrier);

/* The protocol of tunnel inbounds: their flows come with a request, and are answered through their stream. */
extern const struct inbound_protocol inbound_tunnel;

#endif
