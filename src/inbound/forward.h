/*
 * HTTP forwarding: the messages between a client of ours and the servers that it asks for, one
 * exchange after the other. It begins when flow->target is to be opened for the first request, which
 * is put into the server's form before that: a tunnel sends it along with its opening.
 *
 *        up:    IDLE ---a whole head---> BODY ---its end---> DONE
 *                ^ reads the client's     |                   |
 *                | next request           +--the server has---+--> BROKEN: nothing more is sent
 *                |                           gone away               to it, it may answer yet
 *                |
 *                +--- finish(): both are through, and everything is delivered ---+
 *                |                                                               |
 *        down:  IDLE ---a request---> HEAD ---final head---> BODY ---its end---> DONE
 *                 listens for the     ^  |
 *                 idle server's end   +--+ 1xx: passed on
 *
 *     IDLE, another target ------------------------> flow_open(), and begins again
 *     IDLE, CONNECT -------------------------------> flow_open(), and is over
 *     HEAD, 101 to a request that asked for it ----> flow_relay(), and is over
 *     DONE, either side wants no more after it ----> flow_refuse(): the rest and our fin
 *
 * A message is parsed where it was read to (env->scratch), put together for the other side in
 * env->made, and what that does not take at once is held in flow->up or flow->down; the source is
 * not read until it is gone. Bodies of a known length, of large chunks and those that end with the
 * connection move by direction_advance_within(), so in bulk by splice. So one direction holds at
 * most what one read brings, and nothing between exchanges.
 *
 * A server may close a connection that it has kept just when we use it again. A request without
 * side effects (RFC 9110 section 9.2.2) that is wholly at hand is kept until the first byte of
 * the answer, and taken anew when the end comes instead of that byte; then on a new connection,
 * so this happens once.
 *
 * What is cut on one side is cut on the other: an end where there should be more is a reset to
 * whoever got the beginning.
 */
#ifndef SOCKEYE_INBOUND_FORWARD_H
#define SOCKEYE_INBOUND_FORWARD_H

#include "flow/stash.h"
#include "inbound/http.h"
#include "wire/http1_body.h"

extern const struct exchange_ops forward_ops;

#define FORWARD_BAD_BODY "the request's body is malformed"

enum forward_up { UP_IDLE, UP_BODY, UP_DONE, UP_BROKEN };
enum forward_down { DOWN_IDLE, DOWN_HEAD, DOWN_BODY, DOWN_DONE };

/* One way of a message's body. */
struct forward_body {
    struct http1_body body;
    bool is_plain; /* it has no framing of its own: all of it can be moved unseen */
};

/* flow->exchange. Between exchanges it owns no memory. */
struct exchange {
    struct stash from_client; /* read and not used up; first the request that may be sent again */
    struct stash from_server; /* the beginning of a head */
    struct forward_body up_body, down_body;
    const char *user; /* for whom the target was opened */
    uint32_t n_kept;  /* of from_client's bytes, the request that may be sent again; 0: none */
    uint8_t up;       /* enum forward_up */
    uint8_t down;     /* enum forward_down */
    uint8_t minor;    /* the client speaks HTTP/1.minor */
    bool is_to_head;
    bool upgrades;       /* the client asks for another protocol */
    bool keeps_client;   /* its connection stays open after this exchange */
    bool keeps_target;   /* the server's does, if the request went through */
    bool has_extra;      /* the server has sent more than its answer */
    bool is_reused;      /* the target has answered a request before */
    bool is_judged;      /* the next request's login is being judged */
    bool is_half_closed; /* the client's fin has arrived, if not been read */
};

static inline struct exchange *exchange_of(const struct flow *flow)
{
    return flow->exchange;
}

/* Each that returns bool: false, the flow has ended or is somebody else's; do nothing more. */

/* forward_up.c */

/* As exchange_ops.prepare. ERR_BAD: the request's body is malformed, and `up` is BROKEN. */
NODISCARD enum err forward_prepare_request(struct flow *flow);
/* As exchange_ops.take_more. */
NODISCARD enum err forward_take_more(struct flow *flow);
/* flow->target is open for it. */
NODISCARD bool forward_begin_request(struct flow *flow);
/* A request is next: takes what has come of it, n bytes in env->scratch. */
NODISCARD bool forward_take_requests(struct flow *flow, size_t n);
/* The client has sent something, or the server takes something. */
NODISCARD bool forward_up(struct flow *flow);

/* forward_down.c */

/* The server has sent something, or the client takes something. */
NODISCARD bool forward_down(struct flow *flow);
/* Looks whether an idle server has ended, or says what nobody has asked for: then it is ended. */
void forward_hear_idle(struct flow *flow);

/* forward.c */

/* Begins a body of that framing. */
void forward_body_init(struct forward_body *body, enum http1_framing framing, uint64_t length,
                       enum http1_way way);
/* Takes what belongs to the body of n bytes and puts what of it goes on at out + *n_out, at most
 * HTTP1_TRAILER_NAME_MAX_BYTES more. */
NODISCARD enum err forward_body_take(struct forward_body *body, const uint8_t *bytes, size_t n,
                                     size_t *used, uint8_t *out, size_t *n_out);
/* Moves what of the body goes now. What is read beyond its end, *n_rest bytes, is at *rest. */
NODISCARD enum err forward_body_move(struct forward_body *body, struct direction *direction,
                                     struct flow_env *env, struct endpoint *source,
                                     struct endpoint *sink, const uint8_t **rest, size_t *n_rest);

/* The exchange has failed before the client has a byte of its answer: it is given ours, and the
 * target is ended. */
NODISCARD bool forward_fail(struct flow *flow, unsigned status, enum flow_end end,
                            const char *text);
/* The server's connection is no more; where its answer is not complete, what has to be is done. */
NODISCARD bool forward_lose_target(struct flow *flow, enum err err);
/* Ends the target, if there is one; its line names the user for whom it was opened. */
void forward_end_target(struct flow *flow, enum flow_end end);
/* The answer is through and delivered: on to the next request. */
NODISCARD bool forward_finish(struct flow *flow);
/* Gives up flow->exchange: the flow goes on without it. */
void forward_deinit(struct flow *flow);

#endif
