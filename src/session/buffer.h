/*
 * Bytes of a stream, in order, in chunks that are chained: what is kept until it is acknowledged, what has come and was
 * not consumed yet. An empty buffer owns no chunk. Where a byte lies is found by its offset in the stream.
 *
 *     head -> | link | bytes ... | -> | link | bytes ... | <- tail
 *             offset                  offset
 *
 * The links of the chain stand at the beginning of the chunks, so there is nothing else to allocate.
 *
 * A part is larger than what it has, since more may follow, and so is one of which all but the last bytes are not needed any more: that
 * is soon over, mostly. Where many streams hold much by it, more than a session may have under way, what a buffer has moves to a part
 * of its size: it is at most BUFFER_WASTE times as large as its bytes.
 */
#ifndef SOCKEYE_SESSION_BUFFER_H
#define SOCKEYE_SESSION_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/chunk.h"
#include "base/err.h"

/* Where a session's chunks come from, and what they hold. */
struct store {
    struct chunk_source *source;
    uint64_t n_held_bytes;
    uint64_t free_bytes; /* while no more are held, buffers may be much larger than their bytes */
};

struct chunk *store_get(struct store *store, size_t n_bytes); /* NULL: out of memory */
void store_put(struct store *store, struct chunk *chunk);

struct buffer_part {
    struct buffer_part *next;
    uint64_t offset; /* in the stream, of bytes[0] */
    uint32_t n, cap;
    uint8_t bytes[];
};

/* What a part of a buffer needs of its chunk beside the bytes. */
#define BUFFER_PART_BYTES sizeof(struct buffer_part)

struct buffer {
    struct buffer_part *head, *tail;
    struct buffer_part *found; /* where the last search ended, as the next one begins near it */
    uint64_t n_held_bytes;     /* of the chunks */
};

#define BUFFER_WASTE 4
/* One that holds no more is left as it is. */
#define BUFFER_SMALL_BYTES 1024

/* Lends room behind the last byte, which has the offset `end` - 1: what is left in the tail, or a new part for
 * `want` bytes, no more. ERR_MEMORY. */
NODISCARD enum err buffer_reserve(struct buffer *buffer, struct store *store, uint64_t end,
                                  size_t want, uint8_t **bytes, size_t *n);
/* So many bytes were put there; 0 is fine. Of what there is already, only that from the offset `begin` on is needed. */
void buffer_commit(struct buffer *buffer, struct store *store, uint64_t begin, size_t n);
/* Copies bytes behind the last one; those that take a new part take one for `want` bytes at least. ERR_MEMORY: some may have been appended. */
NODISCARD enum err buffer_append(struct buffer *buffer, struct store *store, uint64_t end,
                                 const uint8_t *bytes, size_t n, size_t want);
/* The bytes at an offset that the buffer holds; returns how many lie there in one piece. */
size_t buffer_at(struct buffer *buffer, uint64_t offset, const uint8_t **bytes);
/* The bytes before the offset are not needed any more. Those behind it may move. */
void buffer_drop(struct buffer *buffer, struct store *store, uint64_t offset);
void buffer_clear(struct buffer *buffer, struct store *store);

static inline int buffer_is_empty(const struct buffer *buffer)
{
    return buffer->head == NULL;
}

#endif
