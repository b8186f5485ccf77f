/*
 * Moving bytes between two endpoints, each direction by itself:
 *
 *              read                  write
 *     source ---------> scratch ------------> sink       small exchanges
 *     source ---------> pipe ---------------> sink       bulk, by splice(2): bytes stay in the kernel
 *     source ---------------> room of the sink           into a stream (io/endpoint.h: reserve, commit)
 *     bytes of the source ------------------> sink       out of one (peek, consume)
 *                         |
 *                       what the sink did not take is held (scratch's rest is copied, a pipe is
 *                       kept) or stays in the source that lent it, and the source is not read until
 *                       the sink goes on
 *
 * So a direction holds at most FLOW_READ_BYTES in user space, and nothing at all while it waits.
 * A fin is passed on when everything before it is; a reset makes the flow's owner reset both.
 */
#ifndef SOCKEYE_FLOW_RELAY_H
#define SOCKEYE_FLOW_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/env.h"
#include "io/endpoint.h"

struct direction {
    uint64_t n_bytes; /* that the sink has taken */
    uint8_t *held;    /* owned; n_held bytes from held_from on wait for the sink */
    uint32_t held_from, n_held, held_cap; /* of held_cap bytes */
    uint32_t n_own;      /* of the held bytes the first are an answer of ours, and not counted */
    struct pipe *pipe;   /* NULL or with bytes in it */
    uint32_t n_stuck;    /* of them, as counted among what all flows hold */
    bool is_bulk;        /* moves by splice */
    bool is_sink_full;   /* nothing is held, and still the sink is waited for */
    bool is_at_end;      /* the source's fin has been read */
    bool is_finished;    /* and passed on */
    bool is_sink_broken; /* an error that was returned was the sink's, not the source's */
};

/* Keeps n bytes for the sink, after those it holds already. ERR_MEMORY: out of memory or beyond memory_mb. */
NODISCARD enum err direction_hold(struct direction *direction, struct flow_env *env,
                                  const void *bytes, size_t n);
/* Moves everything held into the beginning of env->scratch. */
void direction_take_held(struct direction *direction, struct flow_env *env);
/* The first n bytes of what is held have gone to the sink by another way. */
void direction_forget(struct direction *direction, struct flow_env *env, size_t n);
/* Gives back what it holds; what was not delivered is lost. */
void direction_deinit(struct direction *direction, struct flow_env *env);

/* Writes what is held. ERR_AGAIN: the sink has taken as much as it can, and some is left. Else the sink
 * may be tried again. */
NODISCARD enum err direction_flush(struct direction *direction, struct flow_env *env,
                                   struct endpoint *sink);

/* Writes n bytes that are at hand, after what is held; what the sink does not take now is held. */
NODISCARD enum err direction_send(struct direction *direction, struct flow_env *env,
                                  struct endpoint *sink, const uint8_t *bytes, size_t n);

/*
 * Moves as much as goes now, within a turn's budget. ERR_NONE or ERR_AGAIN: more may follow (see
 * direction_wants_*). ERR_EOF: the source has ended and everything is delivered: time for the fin. Else
 * one of the two is broken.
 */
NODISCARD enum err direction_advance(struct direction *direction, struct flow_env *env,
                                     struct endpoint *source, struct endpoint *sink);

/* The same, but at most `limit` bytes are read from the source, and no byte beyond; *n_taken says how
 * many were. */
NODISCARD enum err direction_advance_within(struct direction *direction, struct flow_env *env,
                                            struct endpoint *source, struct endpoint *sink,
                                            uint64_t limit, uint64_t *n_taken);

/* Whether the sink is waited for; pure functions of the state, from which interest follows. */
static inline bool direction_wants_write(const struct direction *direction)
{
    return direction->n_held > 0 || direction->pipe != NULL || direction->is_sink_full;
}

static inline bool direction_wants_read(const struct direction *direction)
{
    return !direction->is_at_end && !direction_wants_write(direction);
}

#endif
