/*
 * Where the chunks of a worker's tunnels come from (base/chunk.h): small ones from slabs, a few sizes of them; large ones
 * straight from the system, of which some are kept so that a busy link does not ask for each, until nobody has wanted them for a
 * while. What is in use counts among what all flows hold, so memory_mb bounds it: beyond it there is none. What sessions know of
 * their streams is not of that, until only the other end's acknowledgement is awaited.
 */
#ifndef SOCKEYE_TUNNEL_POOL_H
#define SOCKEYE_TUNNEL_POOL_H

#include <stddef.h>

#include "base/chunk.h"
#include "io/slab.h"
#include "io/timer.h"

#define POOL_SIZES 6
#define POOL_STEPS 16 /* of so many sizes large ones are kept */

struct flow_env;

struct spares { /* of one size, a stack */
    struct spare *first;
    size_t n;
    size_t n_least; /* the fewest since it was last looked: nobody has wanted them */
};

struct pool {
    struct chunk_source source, streams; /* the second is source.for_streams */
    struct chunk_source states;          /* their `unlimited` */
    struct flow_env *flow;               /* whose limit holds, and which counts */
    struct slab slabs[POOL_SIZES];
    struct spares spares[POOL_STEPS];
    struct timer trimming; /* set while any are kept */
};

void pool_init(struct pool *pool, struct flow_env *flow);
void pool_deinit(struct pool *pool); /* every chunk was given back */

#endif
