/*
 * A flow: one proxied connection, from accept to close.
 *
 *            request complete          opened, answered            both fins passed on
 *   HANDSHAKE ------------> OPENING -------------------> RELAYING --------------------> CLOSED
 *      |                       |                             |
 *      | refused               | could not be opened         | reset, idle, shutdown
 *      v                       v                             v
 *   LINGERING  <---------------+                           CLOSED
 *      |  our answer and fin are sent; the client's fin, or a moment, is waited for, since
 *      v  closing with unread bytes would let a reset overtake the answer
 *   CLOSED
 *
 * Times: handshake_ms and connect_ms are exact, idle_ms and half_closed_ms count from the last
 * byte. A flow belongs to its worker, and is freed when the turn in which it closed ends.
 */
#ifndef SOCKEYE_FLOW_FLOW_H
#define SOCKEYE_FLOW_FLOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "flow/counters.h"
#include "flow/env.h"
#include "flow/idle.h"
#include "flow/inbound.h"
#include "flow/outbound.h"
#include "flow/relay.h"

enum flow_state {
    FLOW_HANDSHAKE,
    FLOW_OPENING,
    FLOW_RELAYING,
    FLOW_LINGERING,
    FLOW_CLOSED,
    N_FLOW_STATES
};

struct flow {
    struct list link; /* in env->live */
    struct deferred freeing;
    struct idle_wait wait;
    struct idle_wait settling; /* since relaying began, until it has lasted */
    struct flow_env *env;
    struct inbound *inbound;
    const struct inbound_protocol *protocol; /* the inbound's, or what the first byte decided */
    struct endpoint *client, *target;        /* NULL: none */
    struct opening *opening;                 /* while OPENING */
    struct direction up, down;               /* up->held has the client's bytes not used up yet */
    uint64_t began_ms;
    struct addr from, dialled;
    char *to;         /* the target's text for the log line, owned; NULL: no request yet */
    const char *user; /* borrowed from the inbound's credentials */
    uint8_t state;    /* enum flow_state, set by one function only */
    uint8_t end;      /* enum flow_end, for LINGERING */
    uint8_t phase;    /* the protocol's own */
    bool is_cut_off;  /* an answer could not be given: the client is gone, or memory is */
};

/*
 * Takes in a client's connection: admission by the inbound's rules and limits, then the
 * handshake. Takes `fd` in any case; what is not admitted is closed.
 */
void flow_accept(struct flow_env *env, struct inbound *inbound, int fd, const struct addr *from);

/* Ends every flow of the worker, as the program's end. */
void flow_end_all(struct flow_env *env);

/* Bytes of flows that still run, which the counters of ended ones lack. */
void flow_count_live(const struct flow_env *env, struct counters *counters);

/* What env's idle queues call. */
void flow_on_expired(struct idle_wait *wait);
void flow_on_settled(struct idle_wait *settling);

/* For inbound protocols. */

/* Sends an answer to the client; what it does not take at once is kept and sent first. Where that
 * is not possible the flow ends when the inbound returns. */
void flow_answer(struct flow *flow, const void *bytes, size_t n);
/* Checks name and password against the inbound's users; remembers who it is, or logs the failed login by `method`. */
bool flow_login(struct flow *flow, const char *user, size_t n_user, const char *password,
                size_t n_password, const char *method);

#endif
