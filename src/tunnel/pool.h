/*
 * Where the chunks of a worker's tunnels come from (base/chunk.h): classes of sizes, each from a slab, and the
 * largest straight from the system, with a few kept so that a busy link does not ask for each. What is in use
 * counts among what all flows hold, so memory_mb bounds it: beyond it there is none.
 */
#ifndef SOCKEYE_TUNNEL_POOL_H
#define SOCKEYE_TUNNEL_POOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chunk.h"
#include "io/slab.h"

#define POOL_CLASSES 5
#define POOL_SPARE_MAX 16

struct flow_env;

struct pool {
    struct chunk_source source;
    struct flow_env *flow; /* whose limit holds, and which counts */
    struct slab slabs[POOL_CLASSES];
    struct chunk *spare[POOL_SPARE_MAX]; /* of the largest class */
    size_t n_spare;
    size_t n_used_bytes;
};

void pool_init(struct pool *pool, struct flow_env *flow);
void pool_deinit(struct pool *pool); /* every chunk was given back */

#endif
