/*
 * Memory that is freed all at once, and wiped then: a configuration holds passwords, so does the
 * tree it is read from, and neither has to know which of its bytes are secret.
 */
#ifndef SOCKEYE_CONFIG_ARENA_H
#define SOCKEYE_CONFIG_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;
struct arena_block;

/* All zero is an empty arena. */
struct arena {
    struct arena_chunk *chunks; /* the one in use first */
    struct arena_block *blocks; /* taken over */
};

/* Returns room for n items of a size, zeroed and aligned for anything, owned by the arena; NULL:
 * out of memory. */
void *arena_alloc(struct arena *arena, size_t n, size_t size);

/* Returns a zero terminated copy of n bytes, owned by the arena; NULL: out of memory. */
char *arena_text(struct arena *arena, const char *text, size_t n);

/* Takes over n bytes from malloc(); false: out of memory, then they are wiped and freed at once. */
bool arena_take(struct arena *arena, void *bytes, size_t n);

void arena_free(struct arena *arena);

#endif
