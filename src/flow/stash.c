#include "flow/stash.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "flow/env.h"

uint8_t *stash_allocate(struct flow_env *env, size_t n)
{
    struct flow_shared *shared = env->shared;
    uint64_t held = atomic_fetch_add(&shared->n_held_bytes, n) + n;
    uint64_t max = env->limits.max_held_bytes;
    uint8_t *bytes = NULL;
    if (max == 0 || held <= max)
        bytes = malloc(n);
    if (bytes == NULL)
        atomic_fetch_sub(&shared->n_held_bytes, n);
    return bytes;
}

void stash_release(struct flow_env *env, uint8_t *bytes, size_t n)
{
    if (bytes == NULL)
        return;
    atomic_fetch_sub(&env->shared->n_held_bytes, n);
    secret_wipe(bytes, n);
    free(bytes);
}

void stash_clear(struct stash *stash, struct flow_env *env)
{
    stash_release(env, stash->bytes, stash->cap);
    *stash = (struct stash){0};
}

enum err stash_put(struct stash *stash, struct flow_env *env, const void *bytes, size_t n)
{
    stash_clear(stash, env);
    if (n == 0)
        return ERR_NONE;
    stash->bytes = stash_allocate(env, n);
    if (stash->bytes == NULL)
        return ERR_MEMORY;
    memcpy(stash->bytes, bytes, n);
    stash->n = stash->cap = (uint32_t)n;
    return ERR_NONE;
}

void stash_drop(struct stash *stash, struct flow_env *env, size_t n)
{
    stash->from += (uint32_t)n;
    stash->n -= (uint32_t)n;
    if (stash->n == 0)
        stash_clear(stash, env);
}

size_t stash_take(struct stash *stash, struct flow_env *env)
{
    size_t n = stash->n;
    if (n > 0)
        memcpy(env->scratch, stash->bytes + stash->from, n);
    stash_clear(stash, env);
    return n;
}
