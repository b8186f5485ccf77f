#include "session/buffer.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

#include "base/list.h"

static_assert(offsetof(struct chunk, bytes) % alignof(struct buffer_part) == 0,
              "a part stands at the beginning of a chunk's bytes");

struct chunk *store_get(struct store *store, size_t n_bytes)
{
    struct chunk *chunk = chunk_get(store->source, n_bytes);

    if (chunk != NULL)
        store->n_held_bytes += chunk->cap;
    return chunk;
}

void store_put(struct store *store, struct chunk *chunk)
{
    store->n_held_bytes -= chunk->cap;
    chunk_release(chunk);
}

static void put_part(struct buffer *buffer, struct store *store, struct buffer_part *part)
{
    struct chunk *chunk = CONTAINER_OF(part, struct chunk, bytes);

    buffer->n_held_bytes -= chunk->cap;
    store_put(store, chunk);
}

static struct buffer_part *append_part(struct buffer *buffer, struct store *store, uint64_t offset,
                                       size_t want)
{
    struct chunk *chunk = store_get(store, want + BUFFER_PART_BYTES);
    if (chunk == NULL)
        return NULL;
    struct buffer_part *part = (void *)chunk->bytes;
    *part = (struct buffer_part){.offset = offset, .cap = chunk->cap - (uint32_t)BUFFER_PART_BYTES};
    if (buffer->tail != NULL)
        buffer->tail->next = part;
    else
        buffer->head = part;
    buffer->tail = part;
    buffer->n_held_bytes += chunk->cap;
    return part;
}

/* A small rest of a large part is left: reading into it would be a system call for little. */
static int has_room(const struct buffer_part *part)
{
    return part != NULL && part->cap - part->n > part->cap / 16;
}

enum err buffer_reserve(struct buffer *buffer, struct store *store, uint64_t end, size_t want,
                        uint8_t **bytes, size_t *n)
{
    struct buffer_part *part = buffer->tail;

    if (!has_room(part)) {
        part = append_part(buffer, store, end, want);
        if (part == NULL)
            return ERR_MEMORY;
        part->cap = part->cap < want ? part->cap : (uint32_t)want;
    }
    *bytes = part->bytes + part->n;
    *n = part->cap - part->n;
    return ERR_NONE;
}

/* Takes an empty tail away again. */
static void drop_tail(struct buffer *buffer, struct store *store)
{
    struct buffer_part *tail = buffer->tail, *before = NULL;

    for (struct buffer_part *part = buffer->head; part != tail; part = part->next)
        before = part;
    if (before != NULL)
        before->next = NULL;
    else
        buffer->head = NULL;
    buffer->tail = before;
    buffer->found = NULL;
    put_part(buffer, store, tail);
}

/* Moves what it has from the offset on to a part of that size, if the others are much too large. Without memory they stay. */
static void fit(struct buffer *buffer, struct store *store, uint64_t begin)
{
    if (store->n_held_bytes <= store->free_bytes || buffer->n_held_bytes <= BUFFER_SMALL_BYTES)
        return;
    uint64_t n = buffer->tail->offset + buffer->tail->n - begin;
    if (n >= buffer->n_held_bytes / BUFFER_WASTE)
        return;
    struct buffer fitted = {.head = NULL};
    struct buffer_part *part = append_part(&fitted, store, begin, (size_t)n);
    if (part == NULL)
        return;
    while (part->n < n) {
        const uint8_t *bytes;
        size_t n_there = buffer_at(buffer, begin + part->n, &bytes);
        memcpy(part->bytes + part->n, bytes, n_there);
        part->n += (uint32_t)n_there;
    }
    buffer_clear(buffer, store);
    *buffer = fitted;
}

void buffer_commit(struct buffer *buffer, struct store *store, uint64_t begin, size_t n)
{
    buffer->tail->n += (uint32_t)n;
    if (buffer->tail->n == 0)
        drop_tail(buffer, store);
    else
        fit(buffer, store, begin);
}

enum err buffer_append(struct buffer *buffer, struct store *store, uint64_t end,
                       const uint8_t *bytes, size_t n, size_t want)
{
    while (n > 0) {
        struct buffer_part *part = buffer->tail;
        if (part == NULL || part->n == part->cap)
            part = append_part(buffer, store, end, want > n ? want : n);
        if (part == NULL)
            return ERR_MEMORY;
        size_t room = part->cap - part->n, take = n < room ? n : room;
        memcpy(part->bytes + part->n, bytes, take);
        part->n += (uint32_t)take;
        bytes += take;
        end += take;
        n -= take;
    }
    return ERR_NONE;
}

size_t buffer_at(struct buffer *buffer, uint64_t offset, const uint8_t **bytes)
{
    struct buffer_part *part = buffer->found;

    if (part == NULL || part->offset > offset)
        part = buffer->head;
    while (offset - part->offset >= part->n)
        part = part->next;
    buffer->found = part;
    *bytes = part->bytes + (offset - part->offset);
    return part->n - (size_t)(offset - part->offset);
}

void buffer_drop(struct buffer *buffer, struct store *store, uint64_t offset)
{
    struct buffer_part *part;

    while ((part = buffer->head) != NULL && part->offset + part->n <= offset) {
        buffer->head = part->next;
        if (buffer->found == part)
            buffer->found = NULL;
        put_part(buffer, store, part);
    }
    if (buffer->head == NULL)
        buffer->tail = NULL;
    else
        fit(buffer, store, offset);
}

void buffer_clear(struct buffer *buffer, struct store *store)
{
    buffer_drop(buffer, store, UINT64_MAX);
}
