/*
 * Where the chunks of a worker's tunnels come from (base/chunk.h): small ones from slabs, a few sizes of them; large ones
 * straight from the system, of which some are kept so that a busy link does not ask for each. What is in use
 * counts among what all flows hold, so memory_mb bounds it: beyond it there is none.
 */
#ifndef SOCKEYE_TUNNEL_POOL_H
#define SOCKEYE_TUNNEL_POOL_H

#include <stddef.h>

#include "base/chunk.h"
#include "io/slab.h"

#define POOL_SIZES 5
/* As many as two ends in turn fill a carrier's buffers with and empty them of: mapping that anew each time costs
 * as much as sealing it. Once nothing is in use a few are kept. */
#define POOL_SPARE_MAX 256
#define POOL_IDLE_SPARE_MAX 4

struct flow_env;

struct pool {
    struct chunk_source source;
    struct flow_env *flow; /* whose limit holds, and which counts */
    struct slab slabs[POOL_SIZES];
    struct chunk *spare[POOL_SPARE_MAX]; /* large ones that are kept */
    size_t n_spare;
    size_t n_large; /* large ones in use */
};

void pool_init(struct pool *pool, struct flow_env *flow);
void pool_deinit(struct pool *pool); /* every chunk was given back */

#endif
