#include "peer/inside.h"

#include <string.h>

/* Below this share of its chunk a rest is copied out of it. */
enum { SHRINK_BELOW = 4, SMALL_CHUNK_BYTES = 1024 };

void span_clear(struct span *span)
{
    chunk_release(span->chunk);
    *span = (struct span){0};
}

static enum err move(struct span *span, struct chunk_source *chunks, size_t cap)
{
    struct chunk *chunk = chunk_get(chunks, cap);
    size_t n = span_bytes(span);

    if (chunk == NULL)
        return ERR_MEMORY;
    if (span->chunk != NULL)
        memcpy(chunk->bytes, span->chunk->bytes + span->start, n);
    chunk_release(span->chunk);
    *span = (struct span){.chunk = chunk, .end = n};
    return ERR_NONE;
}

enum err span_reserve(struct span *span, struct chunk_source *chunks, size_t n)
{
    if (span->chunk != NULL && span->chunk->cap - span->end >= n)
        return ERR_NONE;
    return move(span, chunks, span_bytes(span) + n);
}

void span_shrink(struct span *span, struct chunk_source *chunks)
{
    size_t n = span_bytes(span);

    if (n == 0)
        span_clear(span);
    else if (span->chunk->cap > SMALL_CHUNK_BYTES && n < span->chunk->cap / SHRINK_BELOW &&
             move(span, chunks, n) != ERR_NONE)
        return; /* it stays where it is */
}
