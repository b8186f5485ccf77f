/*
 * A piece of memory that several hold: what was read from a carrier and is lent to streams, what a
 * stream keeps until it is acknowledged. Counted without atomics: it belongs to one worker.
 *
 * Where chunks come from is an argument, as randomness is: pools of the worker in the program, malloc in
 * tests.
 */
#ifndef SOCKEYE_BASE_CHUNK_H
#define SOCKEYE_BASE_CHUNK_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk_source;

struct chunk {
    struct chunk_source *source;
    uint32_t n_holders;
    uint32_t cap;                      /* of bytes */
    alignas(uint64_t) uint8_t bytes[]; /* what is kept of them may stand in them */
};

struct chunk_source {
    /* Returns a chunk of at least so many bytes, held once; NULL: out of memory or beyond a limit. */
    struct chunk *(*get)(struct chunk_source *, size_t n_bytes);
    /* Nobody holds it any more. */
    void (*put)(struct chunk_source *, struct chunk *);
    /* The same but for a reserve: for streams, that links have something left when those have used up the rest. NULL: itself. */
    struct chunk_source *for_streams;
    /* The same without a limit: for what is bounded by number, and whose lack would cost all the rest. NULL: itself. */
    struct chunk_source *unlimited;
    /* So many bytes more, or less, are held that are of no limited chunk. Counts them whatever it says: false, that it is more than there
     * should be. NULL: nobody counts. */
    bool (*count)(struct chunk_source *, int64_t n_bytes);
};

static inline struct chunk *chunk_get(struct chunk_source *source, size_t n_bytes)
{
    return source->get(source, n_bytes);
}

static inline bool chunk_count(struct chunk_source *source, int64_t n_bytes)
{
    return source->count == NULL || source->count(source, n_bytes);
}

static inline void chunk_hold(struct chunk *chunk)
{
    chunk->n_holders++;
}

/* NULL is fine. */
static inline void chunk_release(struct chunk *chunk)
{
    if (chunk != NULL && --chunk->n_holders == 0)
        chunk->source->put(chunk->source, chunk);
}

#endif
