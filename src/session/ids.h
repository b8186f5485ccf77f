/*
 * Which of one kind of streams' ids have been opened. Ids grow by one, but several links may bring them
 * in another order: all below a low-water mark have been, and of the places above it a bitmap says which. It
 * exists only while there is a gap.
 */
#ifndef SOCKEYE_SESSION_IDS_H
#define SOCKEYE_SESSION_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define IDS_PLACES 65536U

struct ids {
    uint64_t low;    /* of the numbers from 0 on, all below it are in */
    uint32_t n_gaps; /* how many above it are in */
    uint64_t *bits;  /* number % IDS_PLACES */
};

/* ERR_AGAIN: it was in. ERR_BAD: beyond the places. ERR_MEMORY. */
NODISCARD enum err ids_add(struct ids *ids, uint64_t number);
bool ids_has(const struct ids *ids, uint64_t number);
void ids_deinit(struct ids *ids);

#endif
