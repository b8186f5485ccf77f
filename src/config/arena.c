#include "config/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

#define FIRST_CHUNK_BYTES ((size_t)4096)
#define LARGEST_CHUNK_BYTES ((size_t)256 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    size_t size_bytes, used_bytes;
    alignas(max_align_t) unsigned char bytes[];
};

struct arena_block {
    struct arena_block *next;
    void *bytes;
    size_t n;
};

/* A chunk is twice the one before it, so that few are needed for a large file and little is lost
 * on a small one. */
static struct arena_chunk *add_chunk(struct arena *arena, size_t least_bytes)
{
    size_t size = FIRST_CHUNK_BYTES;

    if (arena->chunks != NULL)
        size = arena->chunks->size_bytes * 2;
    if (size > LARGEST_CHUNK_BYTES)
        size = LARGEST_CHUNK_BYTES;
    if (size < least_bytes)
        size = least_bytes;

    struct arena_chunk *chunk = calloc(1, sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    chunk->size_bytes = size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t n, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct arena_chunk *chunk = arena->chunks;

    if (size != 0 && n > SIZE_MAX / 4 / size)
        return NULL;
    size_t bytes = (n * size + align - 1) / align * align;
    if (chunk == NULL || chunk->size_bytes - chunk->used_bytes < bytes)
        chunk = add_chunk(arena, bytes);
    if (chunk == NULL)
        return NULL;
    void *room = chunk->bytes + chunk->used_bytes;
    chunk->used_bytes += bytes;
    return room;
}

char *arena_text(struct arena *arena, const char *text, size_t n)
{
    char *copy = arena_alloc(arena, n + 1, 1);

    if (copy != NULL && n > 0)
        memcpy(copy, text, n);
    return copy;
}

static void wipe_and_free(void *bytes, size_t n)
{
    secret_wipe(bytes, n);
    free(bytes);
}

bool arena_take(struct arena *arena, void *bytes, size_t n)
{
    struct arena_block *block = arena_alloc(arena, 1, sizeof *block);

    if (block == NULL) {
        wipe_and_free(bytes, n);
        return false;
    }
    *block = (struct arena_block){.next = arena->blocks, .bytes = bytes, .n = n};
    arena->blocks = block;
    return true;
}

void arena_free(struct arena *arena)
{
    struct arena_chunk *next;

    for (struct arena_block *block = arena->blocks; block != NULL; block = block->next)
        wipe_and_free(block->bytes, block->n);
    for (struct arena_chunk *chunk = arena->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        secret_wipe(chunk->bytes, chunk->used_bytes);
        free(chunk);
    }
    *arena = (struct arena){0};
}
