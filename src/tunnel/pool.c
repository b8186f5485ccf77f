#include "tunnel/pool.h"

#include <stddef.h>

#include "flow/env.h"
#include "io/sys.h"

/* With a chunk's head. Each is about what fills a slab's 64 KiB with its number of objects; the second is for what a session knows of a
 * stream. */
static const size_t sizes[POOL_SIZES] = {256, 512, 1024, 4352, 9344, 21824};

/* Large chunks are multiples of this, whole pages, so that those of about a size are of one. */
#define LARGE_STEP_BYTES ((size_t)32 * 1024)

/* Of what all flows may hold the last part is for links: acknowledgements bring memory back. */
#define LINKS_PART 16

/* What was not wanted for so long goes back to the system. */
#define TRIM_MS 1000

static size_t n_steps(size_t n)
{
    return (n + LARGE_STEP_BYTES - 1) / LARGE_STEP_BYTES;
}

/* Which slab has room for so many bytes; POOL_SIZES: none. */
static size_t slab_for(size_t n)
{
    size_t i = 0;
    while (i < POOL_SIZES && sizes[i] < n)
        i++;
    return i;
}

/* What lies in the bytes of a chunk that nobody holds. */
struct spare {
    struct spare *next;
};

static struct chunk *chunk_of(struct spare *spare)
{
    return (struct chunk *)(void *)((char *)spare - offsetof(struct chunk, bytes));
}

static struct chunk *pop(struct spares *spares)
{
    struct spare *spare = spares->first;
    spares->first = spare->next;
    spares->n--;
    return chunk_of(spare);
}

/* Of those that are no larger than twice what is wanted. */
static struct chunk *take_spare(struct pool *pool, size_t steps)
{
    for (size_t i = steps; i <= 2 * steps && i <= POOL_STEPS; i++) {
        struct spares *spares = &pool->spares[i - 1];
        if (spares->n == 0)
            continue;
        struct chunk *chunk = pop(spares);
        if (spares->n < spares->n_least)
            spares->n_least = spares->n;
        return chunk;
    }
    return NULL;
}

static struct chunk *get_large(struct pool *pool, size_t n)
{
    size_t steps = n_steps(n);
    struct chunk *chunk = take_spare(pool, steps);
    if (chunk != NULL)
        return chunk;
    chunk = sys_map(steps * LARGE_STEP_BYTES);
    if (chunk != NULL)
        chunk->cap = (uint32_t)(steps * LARGE_STEP_BYTES - sizeof *chunk);
    return chunk;
}

static void unmap(struct chunk *chunk)
{
    sys_unmap(chunk, sizeof *chunk + chunk->cap);
}

/* Without its timer what is spare waits for those who come. */
static void set_timer(struct pool *pool)
{
    struct loop *loop = pool->flow->loop;
    if (timer_set(loop_timers(loop), &pool->trimming, loop_now_ms(loop) + TRIM_MS) != ERR_NONE)
        timer_clear(loop_timers(loop), &pool->trimming);
}

static void trim(struct timer *timer)
{
    struct pool *pool = CONTAINER_OF(timer, struct pool, trimming);
    bool has_any = false;
    for (size_t i = 0; i < POOL_STEPS; i++) {
        struct spares *spares = &pool->spares[i];
        for (size_t n = spares->n_least; n > 0; n--)
            unmap(pop(spares));
        spares->n_least = spares->n;
        has_any |= spares->n > 0;
    }
    if (has_any)
        set_timer(pool);
}

static void put_large(struct pool *pool, struct chunk *chunk)
{
    size_t steps = n_steps(sizeof *chunk + chunk->cap);
    if (steps > POOL_STEPS) {
        unmap(chunk);
        return;
    }
    struct spares *spares = &pool->spares[steps - 1];
    struct spare *spare = (struct spare *)(void *)chunk->bytes;
    spare->next = spares->first;
    spares->first = spare;
    spares->n++;
    if (!timer_is_set(&pool->trimming))
        set_timer(pool);
}

static uint64_t max_bytes(const struct flow_env *flow, bool is_for_link)
{
    uint64_t max = flow->limits.max_held_bytes;
    return is_for_link ? max : max - max / LINKS_PART;
}

/* False: what all flows hold would pass the limit, or what others than links may have of it. */
static bool count(struct flow_env *flow, size_t n, bool is_for_link)
{
    uint64_t max = max_bytes(flow, is_for_link);
    if (atomic_fetch_add(&flow->shared->n_held_bytes, n) + n <= max || max == 0)
        return true;
    atomic_fetch_sub(&flow->shared->n_held_bytes, n);
    return false;
}

static struct chunk *get_uncounted(struct pool *pool, struct chunk_source *source, size_t n_bytes)
{
    size_t n = sizeof(struct chunk) + n_bytes, i = slab_for(n);
    struct chunk *chunk;
    if (n_bytes > UINT32_MAX / 2)
        return NULL;
    if (i == POOL_SIZES) {
        chunk = get_large(pool, n);
    } else {
        chunk = slab_take(&pool->slabs[i]);
        if (chunk != NULL)
            chunk->cap = (uint32_t)(sizes[i] - sizeof *chunk);
    }
    if (chunk == NULL)
        return NULL;
    chunk->source = source;
    chunk->n_holders = 1;
    return chunk;
}

static void put_uncounted(struct pool *pool, struct chunk *chunk)
{
    size_t i = slab_for(sizeof *chunk + chunk->cap);
    if (i == POOL_SIZES)
        put_large(pool, chunk);
    else
        slab_put(&pool->slabs[i], chunk);
}

static struct chunk *get_from(struct pool *pool, struct chunk_source *source, size_t n_bytes)
{
    struct chunk *chunk = get_uncounted(pool, source, n_bytes);
    if (chunk == NULL || count(pool->flow, sizeof *chunk + chunk->cap, source == &pool->source))
        return chunk;
    put_uncounted(pool, chunk);
    return NULL;
}

static struct chunk *get(struct chunk_source *source, size_t n_bytes)
{
    return get_from(CONTAINER_OF(source, struct pool, source), source, n_bytes);
}

static struct chunk *get_for_stream(struct chunk_source *source, size_t n_bytes)
{
    return get_from(CONTAINER_OF(source, struct pool, streams), source, n_bytes);
}

static struct chunk *get_for_state(struct chunk_source *source, size_t n_bytes)
{
    return get_uncounted(CONTAINER_OF(source, struct pool, states), source, n_bytes);
}

static bool count_for_stream(struct chunk_source *source, int64_t n_bytes)
{
    const struct flow_env *flow = CONTAINER_OF(source, struct pool, streams)->flow;
    uint64_t max = max_bytes(flow, false), n = (uint64_t)n_bytes; /* modulo 2^64, as the sum is */
    return atomic_fetch_add(&flow->shared->n_held_bytes, n) + n <= max || max == 0;
}

static void put_to(struct pool *pool, struct chunk *chunk)
{
    atomic_fetch_sub(&pool->flow->shared->n_held_bytes, sizeof *chunk + chunk->cap);
    put_uncounted(pool, chunk);
}

static void put(struct chunk_source *source, struct chunk *chunk)
{
    put_to(CONTAINER_OF(source, struct pool, source), chunk);
}

static void put_for_stream(struct chunk_source *source, struct chunk *chunk)
{
    put_to(CONTAINER_OF(source, struct pool, streams), chunk);
}

static void put_for_state(struct chunk_source *source, struct chunk *chunk)
{
    put_uncounted(CONTAINER_OF(source, struct pool, states), chunk);
}

void pool_init(struct pool *pool, struct flow_env *flow)
{
    *pool = (struct pool){
        .source = {.get = get,
                   .put = put,
                   .for_streams = &pool->streams,
                   .unlimited = &pool->states},
        .streams = {.get = get_for_stream,
                    .put = put_for_stream,
                    .unlimited = &pool->states,
                    .count = count_for_stream},
        .states = {.get = get_for_state, .put = put_for_state},
        .flow = flow,
    };
    for (size_t i = 0; i < POOL_SIZES; i++)
        slab_init(&pool->slabs[i], sizes[i]);
    timer_init(&pool->trimming, trim);
}

void pool_deinit(struct pool *pool)
{
    for (size_t i = 0; i < POOL_SIZES; i++)
        slab_deinit(&pool->slabs[i]);
    for (size_t i = 0; i < POOL_STEPS; i++)
        while (pool->spares[i].n > 0)
            unmap(pop(&pool->spares[i]));
    timer_clear(loop_timers(pool->flow->loop), &pool->trimming);
}
