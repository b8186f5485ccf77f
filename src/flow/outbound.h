/*
 * What every outbound is to a flow: it opens an endpoint towards a target, or says why it cannot.
 */
#ifndef SOCKEYE_FLOW_OUTBOUND_H
#define SOCKEYE_FLOW_OUTBOUND_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/err.h"
#include "io/endpoint.h"

struct flow_env;
struct inbound;
struct outbound;

/* One attempt to open; embedded in whoever asks, who waits for `done`. */
struct opening {
    struct flow_env *env;
    const struct inbound *inbound; /* whose rules hold */
    struct target target;
    /* Called once, from the loop, never from inside open(). On ERR_NONE the results are set. */
    void (*done)(struct opening *, enum err);

    struct endpoint *endpoint; /* result: owned by who asked; nothing is wanted of it yet */
    struct addr bound;         /* our own address, family NONE where it is unknown */
    struct addr dialled;       /* the address finally reached; family NONE: none */

    void *state; /* the outbound's own while it works */
};

struct outbound_ops {
    /* ERR_AGAIN: `done` will be called. ERR_NONE: opened at once, results set. Else: why not. */
    NODISCARD enum err (*open)(struct outbound *, struct opening *);
    /* Gives up what is under way; `done` is not called. */
    void (*cancel)(struct outbound *, struct opening *);
};

struct outbound {
    const struct outbound_ops *ops;
    const char *name;
};

#endif
