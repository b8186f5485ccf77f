/*
 * Memory that is freed all at once, and wiped then: a configuration holds passwords, so does the
 * tree it is read from, and neither has to know which of its bytes are secret.
 */
#ifndef SOCKEYE_CONFIG_ARENA_H
#define SOCKEYE_CONFIG_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* All zero is an empty arena. */
struct arena {
    struct arena_chunk *chunks; /* the one in use first */
};

/* Returns room for n items of a size, zeroed and aligned for anything, owned by the arena; NULL:
 * out of memory. */
void *arena_alloc(struct arena *arena, size_t n, size_t size);

/* Returns a zero terminated copy of n bytes, owned by the arena; NULL: out of memory. */
char *arena_text(struct arena *arena, const char *text, size_t n);

void arena_free(struct arena *arena);

#endif
