/*
 * Pools of objects of one size, for one thread. Memory comes in chunks from the system, and goes
 * back when a chunk is empty (one is kept), since malloc would keep a burst's memory for ever.
 */
#ifndef SOCKEYE_IO_SLAB_H
#define SOCKEYE_IO_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

/* Under AddressSanitizer each object is malloc's, so that its misuse is seen. */
#ifdef __has_feature
#define SLAB_USES_MALLOC __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SLAB_USES_MALLOC 1
#else
#define SLAB_USES_MALLOC 0
#endif

struct slab {
    struct list partial; /* chunks with a free object */
    uint32_t object_bytes;
    uint32_t n_per_chunk;
    uint32_t n_empty; /* chunks without any object in use, 0 or 1 */
    size_t n_used;    /* objects */
};

void slab_init(struct slab *slab, size_t object_bytes);
void slab_deinit(struct slab *slab);            /* every object must have been given back */
void *slab_get(struct slab *slab);              /* zeroed; NULL: out of memory */
void *slab_take(struct slab *slab);             /* the same, holding anything */
void slab_put(struct slab *slab, void *object); /* NULL is fine */

#endif
