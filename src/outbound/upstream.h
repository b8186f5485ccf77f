/*
 * What the outbounds have in common that ask a proxy further on, an upstream, to connect; private
 * to outbound/.
 *
 *     REACHING the server, by `via` or by dialling
 *         --> reached: the protocol's first message is sent --> TALKING
 *     TALKING: an answer --> a further message, or done(ERR_NONE) with the endpoint and what came behind the answer
 *         --> the server does not speak the protocol, but perhaps another one --> REACHING, once
 *         --> refused, garbage, closed --> done(why)
 *
 * The time limit is the caller's. The protocol is a table of two or three functions over bytes, so
 * that whatever carries the bytes (a socket, another upstream, a stream) is the same to it.
 */
#ifndef SOCKEYE_OUTBOUND_UPSTREAM_H
#define SOCKEYE_OUTBOUND_UPSTREAM_H

#include "flow/env.h"
#include "flow/outbound.h"
#include "flow/relay.h"
#include "flow/request.h"
#include "outbound/outbounds.h"

struct upstream;

enum upstream_step {
    UPSTREAM_MORE,     /* the bytes are the beginning of an answer */
    UPSTREAM_NEXT,     /* an answer was used up: called again with what follows it */
    UPSTREAM_OPEN,     /* connected; what follows is the target's */
    UPSTREAM_MISMATCH, /* the server speaks another protocol, it seems */
    UPSTREAM_REFUSED,  /* *why says for what: ERR_AUTH for our login, ERR_BAD for nonsense */
};

struct upstream_protocol {
    /* The server is reached: sends the first message. */
    NODISCARD enum err (*begin)(struct upstream *);
    /* Looks at all bytes that have come and are not used up; sets *used where it used any. Called
     * only when everything was sent. */
    enum upstream_step (*advance)(struct upstream *, const uint8_t *bytes, size_t n, size_t *used,
                                  enum err *why);
    /* The server has closed, was silent for upstream->patience_ms, or speaks something else:
     * whether another way of asking is to be tried, by another connection. NULL: there is none. */
    bool (*turn)(struct upstream *);
    /* UDP ASSOCIATE is granted: makes opening->packets, which take the connection. ERR_BAD: what was granted is
     * nonsense. NULL: never asked for. */
    NODISCARD enum err (*carry)(struct upstream *);
};

/* Troubles that are an upstream's own, each said at most once a minute. */
enum upstream_trouble {
    TROUBLE_REACHING,
    TROUBLE_LOGIN,
    TROUBLE_NONSENSE,
    TROUBLE_CLOSED,
    N_TROUBLES
};

/* Shared by all workers. */
struct upstream_outbound {
    struct outbound outbound;
    const struct upstream_protocol *protocol;
    struct upstream_server server;
    _Atomic(uint8_t) dialect; /* the protocol's own: what it has learned of the server */
    struct upstream_complaint {
        _Atomic(uint64_t) next_at_ms; /* when it may be said again */
        _Atomic(uint64_t) n_since;
    } complaints[N_TROUBLES];
};

/* One request that is under way; its protocol's bytes go through it. */
struct upstream {
    struct opening *opening; /* of who asked; NULL: it has been given up */
    struct upstream_outbound *outbound;
    enum request_command command;
    struct opening server;     /* towards the server */
    struct endpoint *endpoint; /* once it is reached */
    struct direction out,
        in; /* what could not be sent at once; what has come and was not used up */
    struct timer patience;
    uint64_t
        patience_ms; /* set by begin(): how long to wait for the first byte; 0: as long as it takes */
    uint8_t phase, dialect; /* the protocol's own */
    bool is_guess;          /* the protocol's own: the server may speak something else */
    bool has_turned;
    struct deferred freeing;
};

/* As outbound_ops say. */
NODISCARD enum err upstream_open(struct outbound *outbound, struct opening *opening);
NODISCARD enum err upstream_bind(struct outbound *outbound, struct opening *opening);
NODISCARD enum err upstream_associate(struct outbound *outbound, struct opening *opening);
struct flow_env *upstream_home(struct outbound *outbound, const struct opening *opening,
                               size_t which);
bool upstream_is_suspended(struct outbound *outbound, const struct opening *opening);
void upstream_cancel(struct outbound *outbound, struct opening *opening);

/* Makes the outbound; returns owned, NULL: out of memory. */
struct outbound *upstream_new(const struct outbound_ops *ops,
                              const struct upstream_protocol *protocol, const char *name,
                              const struct upstream_server *server);

/* For protocols: sends bytes, or keeps them to be sent first. */
NODISCARD enum err upstream_send(struct upstream *upstream, const void *bytes, size_t n);

#endif
