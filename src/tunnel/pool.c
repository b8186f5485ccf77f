#include "tunnel/pool.h"

#include "flow/env.h"
#include "io/sys.h"

/* With a chunk's head. Each is about what fills a slab's 64 KiB with its number of objects. */
static const size_t sizes[POOL_SIZES] = {256, 1024, 4352, 9344, 21824};

/* Large chunks are whole pages; a spare one serves whoever needs no less than half of it. */
#define PAGE_BYTES ((size_t)4096)

static size_t large_bytes(size_t n)
{
    return (n + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* Which slab has room for so many bytes; POOL_SIZES: none. */
static size_t slab_for(size_t n)
{
    size_t i = 0;
    while (i < POOL_SIZES && sizes[i] < n)
        i++;
    return i;
}

static struct chunk *take_spare(struct pool *pool, size_t n)
{
    for (size_t i = pool->n_spare; i-- > 0;) {
        struct chunk *chunk = pool->spare[i];
        size_t has = sizeof *chunk + chunk->cap;
        if (has < n || has > 2 * n)
            continue;
        pool->spare[i] = pool->spare[--pool->n_spare];
        return chunk;
    }
    return NULL;
}

static struct chunk *get_large(struct pool *pool, size_t n)
{
    struct chunk *chunk = take_spare(pool, n);
    if (chunk == NULL) {
        chunk = sys_map(large_bytes(n));
        if (chunk == NULL)
            return NULL;
        chunk->cap = (uint32_t)(large_bytes(n) - sizeof *chunk);
    }
    pool->n_large++;
    return chunk;
}

static void keep_spare(struct pool *pool, size_t most)
{
    while (pool->n_spare > most) {
        struct chunk *chunk = pool->spare[--pool->n_spare];
        sys_unmap(chunk, sizeof *chunk + chunk->cap);
    }
}

static void put_large(struct pool *pool, struct chunk *chunk)
{
    if (pool->n_spare == POOL_SPARE_MAX)
        keep_spare(pool, POOL_SPARE_MAX - 1);
    pool->spare[pool->n_spare++] = chunk;
    if (--pool->n_large == 0)
        keep_spare(pool, POOL_IDLE_SPARE_MAX);
}

/* False: what all flows hold would pass the limit. */
static bool count(struct flow_env *flow, size_t n)
{
    uint64_t max = flow->limits.max_held_bytes;
    if (atomic_fetch_add(&flow->shared->n_held_bytes, n) + n <= max || max == 0)
        return true;
    atomic_fetch_sub(&flow->shared->n_held_bytes, n);
    return false;
}

static struct chunk *get(struct chunk_source *source, size_t n_bytes)
{
    struct pool *pool = CONTAINER_OF(source, struct pool, source);
    size_t n = sizeof(struct chunk) + n_bytes, i = slab_for(n);
    struct chunk *chunk;
    if (n_bytes > UINT32_MAX / 2)
        return NULL;
    if (i == POOL_SIZES) {
        chunk = get_large(pool, n);
    } else {
        chunk = slab_get(&pool->slabs[i]);
        if (chunk != NULL)
            chunk->cap = (uint32_t)(sizes[i] - sizeof *chunk);
    }
    if (chunk == NULL)
        return NULL;
    chunk->source = source;
    chunk->n_holders = 1;
    if (count(pool->flow, sizeof *chunk + chunk->cap))
        return chunk;
    if (i == POOL_SIZES)
        put_large(pool, chunk);
    else
        slab_put(&pool->slabs[i], chunk);
    return NULL;
}

static void put(struct chunk_source *source, struct chunk *chunk)
{
    struct pool *pool = CONTAINER_OF(source, struct pool, source);
    size_t n = sizeof *chunk + chunk->cap, i = slab_for(n);
    atomic_fetch_sub(&pool->flow->shared->n_held_bytes, n);
    if (i == POOL_SIZES)
        put_large(pool, chunk);
    else
        slab_put(&pool->slabs[i], chunk);
}

void pool_init(struct pool *pool, struct flow_env *flow)
{
    *pool = (struct pool){.source = {.get = get, .put = put}, .flow = flow};
    for (size_t i = 0; i < POOL_SIZES; i++)
        slab_init(&pool->slabs[i], sizes[i]);
}

void pool_deinit(struct pool *pool)
{
    for (size_t i = 0; i < POOL_SIZES; i++)
        slab_deinit(&pool->slabs[i]);
    keep_spare(pool, 0);
}
