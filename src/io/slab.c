/*
 * A chunk is 64 KiB, aligned to its size, so an object's chunk is found by masking its address.
 *
 *     +--------------+--------+--------+-- ... --+--------+
 *     | struct chunk | object | object |         | object |
 *     +--------------+--------+--------+-- ... --+--------+
 *
 * Free objects of a chunk are chained through their first word; what was never used is handed out
 * in order, so that untouched pages stay untouched.
 */
#include "io/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/sys.h"

#define CHUNK_BYTES ((size_t)64 * 1024)
#define OBJECT_ALIGN 16

struct chunk {
    struct list link; /* in slab->partial while it has room */
    struct free_object *free;
    uint32_t n_used;  /* objects handed out */
    uint32_t n_fresh; /* objects that have been used at some time; those beyond are untouched */
};

struct free_object {
    struct free_object *next;
};

#define HEADER_BYTES ((sizeof(struct chunk) + OBJECT_ALIGN - 1) / OBJECT_ALIGN * OBJECT_ALIGN)

void slab_init(struct slab *slab, size_t object_bytes)
{
    *slab = (struct slab){0};
    list_init(&slab->partial);
    object_bytes = (object_bytes + OBJECT_ALIGN - 1) / OBJECT_ALIGN * OBJECT_ALIGN;
    assert(object_bytes <= CHUNK_BYTES - HEADER_BYTES);
    slab->object_bytes = (uint32_t)object_bytes;
    slab->n_per_chunk = (uint32_t)((CHUNK_BYTES - HEADER_BYTES) / object_bytes);
}

#if SLAB_USES_MALLOC

void slab_deinit(struct slab *slab)
{
    assert(slab->n_used == 0);
}

void *slab_take(struct slab *slab)
{
    void *object = malloc(slab->object_bytes);
    if (object != NULL)
        slab->n_used++;
    return object;
}

void slab_put(struct slab *slab, void *object)
{
    if (object == NULL)
        return;
    slab->n_used--;
    free(object);
}

#else

/* Maps twice the size and gives back what is not aligned. */
static struct chunk *map_chunk(void)
{
    uint8_t *memory = sys_map(2 * CHUNK_BYTES);
    if (memory == NULL)
        return NULL;
    size_t before = (CHUNK_BYTES - (uintptr_t)memory % CHUNK_BYTES) % CHUNK_BYTES;
    if (before > 0)
        sys_unmap(memory, before);
    sys_unmap(memory + before + CHUNK_BYTES, CHUNK_BYTES - before);
    struct chunk *chunk = (struct chunk *)(void *)(memory + before);
    list_init(&chunk->link);
    return chunk;
}

void slab_deinit(struct slab *slab)
{
    assert(slab->n_used == 0);
    while (!list_empty(&slab->partial)) {
        struct chunk *chunk = CONTAINER_OF(slab->partial.next, struct chunk, link);
        list_remove(&chunk->link);
        sys_unmap(chunk, CHUNK_BYTES);
    }
}

void *slab_take(struct slab *slab)
{
    if (list_empty(&slab->partial)) {
        struct chunk *fresh = map_chunk();
        if (fresh == NULL)
            return NULL;
        list_append(&slab->partial, &fresh->link);
        slab->n_empty++;
    }
    struct chunk *chunk = CONTAINER_OF(slab->partial.next, struct chunk, link);
    void *object;
    if (chunk->free != NULL) {
        object = chunk->free;
        chunk->free = chunk->free->next;
    } else {
        object = (uint8_t *)chunk + HEADER_BYTES + (size_t)chunk->n_fresh * slab->object_bytes;
        chunk->n_fresh++;
    }
    if (chunk->n_used++ == 0)
        slab->n_empty--;
    if (chunk->n_used == slab->n_per_chunk)
        list_remove(&chunk->link);
    slab->n_used++;
    return object;
}

void slab_put(struct slab *slab, void *object)
{
    if (object == NULL)
        return;
    struct chunk *chunk = (struct chunk *)((uintptr_t)object & ~(uintptr_t)(CHUNK_BYTES - 1));
    struct free_object *free_object = object;
    free_object->next = chunk->free;
    chunk->free = free_object;
    if (chunk->n_used-- == slab->n_per_chunk)
        list_append(&slab->partial, &chunk->link);
    slab->n_used--;
    if (chunk->n_used > 0)
        return;
    if (slab->n_empty == 0) {
        slab->n_empty = 1;
        return;
    }
    list_remove(&chunk->link);
    sys_unmap(chunk, CHUNK_BYTES);
}

#endif

void *slab_get(struct slab *slab)
{
    void *object = slab_take(slab);
    return object == NULL ? NULL : memset(object, 0, slab->object_bytes);
}
