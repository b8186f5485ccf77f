/*
 * Bytes that wait for their turn, in memory that is counted against memory_mb and wiped when it is
 * given back, since a password may have been in it.
 */
#ifndef SOCKEYE_FLOW_STASH_H
#define SOCKEYE_FLOW_STASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct flow_env;

/* Memory of n bytes that is counted; NULL: out of memory or beyond memory_mb. */
uint8_t *stash_allocate(struct flow_env *env, size_t n);
void stash_release(struct flow_env *env, uint8_t *bytes, size_t n); /* NULL is fine */

/* Bytes that were read and are not used up yet. All zeros: none. */
struct stash {
    uint8_t *bytes;
    uint32_t from, n, cap; /* n bytes from `from` on, of cap allocated */
};

/* Keeps a copy of n bytes in place of what it held. ERR_MEMORY: it holds nothing. */
NODISCARD enum err stash_put(struct stash *stash, struct flow_env *env, const void *bytes,
                             size_t n);
/* Moves everything into the beginning of env->scratch; returns how much that is. */
size_t stash_take(struct stash *stash, struct flow_env *env);
/* Forgets the first n bytes of it. */
void stash_drop(struct stash *stash, struct flow_env *env, size_t n);
void stash_clear(struct stash *stash, struct flow_env *env);

#endif
