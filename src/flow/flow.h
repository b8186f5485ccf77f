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
 * Instead of RELAYING a flow may be EXCHANGING (an inbound's protocol moves messages, perhaps to one
 * target after the other: EXCHANGING --> OPENING --> EXCHANGING, or RELAYING in the end) or
 * ASSOCIATED (datagrams). In OPENING it may move to another worker once (flow/moving.h), and goes on there.
 *
 * A stream of a tunnel begins in OPENING; idle_ms and half_closed_ms are then for the near end to count, until the fin that goes
 * there has gone: from then on idle_ms holds here, too.
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
    FLOW_EXCHANGING,
    FLOW_ASSOCIATED,
    FLOW_LINGERING,
    FLOW_MOVED,
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
    struct outbound *outbound;               /* that the request was given to; NULL: none yet */
    struct opening *opening;                 /* while OPENING */
    struct login *login;                     /* while a login is judged; NULL otherwise */
    void *exchange;                          /* the protocol's own; NULL: none */
    struct association *association;         /* while ASSOCIATED; NULL: none */
    struct direction up, down;               /* up->held has the client's bytes not used up yet */
    uint64_t began_ms;
    struct addr from;    /* where the client is, by its own account or a tunnel's near end's */
    struct addr carrier; /* where its connection comes from, or its tunnel's: what limits count */
    struct addr dialled;
    char *to;         /* the target's text for the log line, owned; NULL: no request yet */
    const char *user; /* borrowed from the inbound's users */
    const struct user_rights *rights; /* likewise; NULL: the inbound's alone */
    uint8_t state;                    /* enum flow_state, set by one function only */
    uint8_t end;                      /* enum flow_end, for LINGERING */
    uint8_t phase;                    /* the protocol's own */
    uint8_t command;                  /* enum request_command, of the request that is served */
    bool is_last;                     /* the request that is served is the last */
    bool has_logged;                  /* a target that it is through with has had its line */
    bool has_more;                    /* bytes of the client's behind the login that is judged */
    bool is_cut_off;      /* an answer could not be given: the client is gone, or memory is */
    bool has_stood_still; /* while OPENING: nothing moved when its time was over */
};

/*
 * Takes in a client's connection: admission by the inbound's rules and limits, then the
 * handshake. Takes `fd` in any case; what is not admitted is closed.
 */
void flow_accept(struct flow_env *env, struct inbound *inbound, int fd, const struct addr *from);

/* The same with an endpoint that is there already and belongs to env's loop. ERR_NONE: it is taken; `admitted`, if not NULL, was called
 * before anything was done with it. ERR_DENIED: it may not come in, and is the caller's still. */
NODISCARD enum err flow_accept_endpoint(struct flow_env *env, struct inbound *inbound,
                                        struct endpoint *client, const struct addr *from,
                                        void (*admitted)(struct endpoint *client));

/*
 * Takes in a stream of a tunnel, an endpoint that has its request with it: admission by the inbound's limits
 * for the carrier's address, then OPENING. `from` is the client's address as the near end says.
 * ERR_NONE: the endpoint is taken, and the protocol's reply() answers. Else it is the caller's still, to be refused:
 * ERR_LIMIT, ERR_MEMORY. The user is one of the inbound's, NULL: nobody.
 */
NODISCARD enum err flow_accept_request(struct flow_env *env, struct inbound *inbound,
                                       const struct flow_user *user, struct endpoint *client,
                                       const struct addr *carrier, const struct addr *from,
                                       const struct request *request);

/* Ends every flow of the worker, as the program's end, and each that comes from another worker afterwards. */
void flow_end_all(struct flow_env *env);

/* No flow that other rules than these have admitted takes a further request: exchanges end with the
 * answer that is under way, and at once between two. NULL, for the program's end: none does. */
void flow_end_exchanges(struct flow_env *env, const struct ruleset *in_force);

/* Bytes of flows that still run, which the counters of ended ones lack. */
void flow_count_live(const struct flow_env *env, struct counters *counters);

/* What env's idle queues call. */
void flow_on_expired(struct idle_wait *wait);
void flow_on_settled(struct idle_wait *settling);

/* For inbound protocols. */

/* Sends an answer to the client; what it does not take at once is kept and sent first. Where that
 * is not possible the flow ends when the inbound returns. */
void flow_answer(struct flow *flow, const void *bytes, size_t n);
/*
 * Checks name and password against the inbound's users; remembers who it is, or logs the failed
 * login by `method`. With LOGIN_WAIT it takes its time: the protocol returns INBOUND_WAIT and asks
 * again, the same, when it is called next; in an exchange that is on_ready() of the client with LOOP_READ.
 */
enum flow_login { LOGIN_RIGHT, LOGIN_WRONG, LOGIN_WAIT };
NODISCARD enum flow_login flow_login(struct flow *flow, const char *user, size_t n_user,
                                     const char *password, size_t n_password, const char *method);

/* For protocols that exchange messages. Each is the last that the caller does with the flow. */

/* Gives a further request to its outbound; what came before is over, and logged so. The protocol's
 * begin() follows, or its reply() and the flow's end. */
void flow_open(struct flow *flow, const struct request *request);
/* From now on the two are relayed. flow->up and flow->down may hold bytes. */
void flow_relay(struct flow *flow);
/* What was to be answered is; nothing more will be done. */
void flow_refuse(struct flow *flow, enum err why);
/* Something is broken: both sides see a reset. ERR_EOF: all is well and over, both are closed. */
void flow_break(struct flow *flow, enum err why);

/* This target is done with: its line is logged, and its endpoint, where it is open still, closed. */
void flow_end_target(struct flow *flow, enum flow_end end);

#endif
