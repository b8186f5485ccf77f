/*
 * A set of offsets as ranges: sorted, disjoint, neither touching the next. What is acknowledged out of order, what is
 * to be sent again. Both are mostly added to at the end and taken from at the beginning, and mostly empty.
 */
#ifndef SOCKEYE_SESSION_RANGES_H
#define SOCKEYE_SESSION_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct range {
    uint64_t from, to; /* to: behind the last */
};

struct ranges {
    struct range *all;
    uint32_t first, end; /* those that hold */
    uint32_t cap;
    size_t *n_in_all; /* of it and others together, RANGES_MAX at most; NULL: nobody counts */
};

#define RANGES_MAX ((size_t)512 * 1024)

static inline bool ranges_is_empty(const struct ranges *ranges)
{
    return ranges->first == ranges->end;
}

/* The lowest, of a set that is not empty. */
static inline struct range ranges_lowest(const struct ranges *ranges)
{
    return ranges->all[ranges->first];
}

/* The lowest range that ends behind the offset; NULL: there is none. Borrowed until the set changes. */
const struct range *ranges_behind(const struct ranges *ranges, uint64_t offset);
/* Both may split or join ranges. ERR_MEMORY, where there are too many likewise: the set is as it was. */
NODISCARD enum err ranges_add(struct ranges *ranges, uint64_t from, uint64_t to);
NODISCARD enum err ranges_remove(struct ranges *ranges, uint64_t from, uint64_t to);
/* Removes all below an offset; cannot fail. */
void ranges_remove_below(struct ranges *ranges, uint64_t offset);
void ranges_free(struct ranges *ranges);

#endif
