/*
 * One reading of the configuration in the form that flows use. It never changes: a reload makes
 * another one, and whoever was admitted by this one goes on by it.
 *
 *     the daemon ---+
 *     each worker --+--> ruleset --> inbounds (--> ruleset), outbounds, routes
 *     each flow ----+
 *
 * A flow holds it from accept to close, the daemon and each worker until they have turned to the
 * next one; the last to let go frees it, on whatever thread that is.
 */
#ifndef SOCKEYE_FLOW_RULESET_H
#define SOCKEYE_FLOW_RULESET_H

#include <stdatomic.h>
#include <stddef.h>

struct addr;
struct inbound;
struct outbound;
struct route_table;

struct ruleset {
    atomic_size_t n_holders;
    struct inbound *inbounds;
    size_t n_inbounds;
    struct outbound **outbounds; /* the first is the default */
    size_t n_outbounds;
    struct route_table *routes;   /* NULL: none */
    const struct addr *listening; /* every address and port we listen on */
    size_t n_listening;
    void (*free)(struct ruleset *); /* nobody holds it any more */
};

/* Held once, by who makes it. */
static inline void ruleset_init(struct ruleset *ruleset, void (*free)(struct ruleset *))
{
    *ruleset = (struct ruleset){.n_holders = 1, .free = free};
}

static inline void ruleset_hold(struct ruleset *ruleset)
{
    atomic_fetch_add_explicit(&ruleset->n_holders, 1, memory_order_relaxed);
}

static inline void ruleset_release(struct ruleset *ruleset)
{
    /* Whoever frees it must see all that the others have done with it. */
    if (atomic_fetch_sub_explicit(&ruleset->n_holders, 1, memory_order_acq_rel) == 1)
        ruleset->free(ruleset);
}

#endif
