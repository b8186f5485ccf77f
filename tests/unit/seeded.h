/* A struct rng for tests: what it gives follows from its seed, so that a failure repeats. */
#ifndef SOCKEYE_TESTS_SEEDED_H
#define SOCKEYE_TESTS_SEEDED_H

#include "base/list.h"
#include "base/rng.h"
#include "random.h"

struct seeded {
    struct rng rng;
    uint64_t state;
};

static inline void seeded_fill(struct rng *rng, void *bytes, size_t n)
{
    struct seeded *seeded = CONTAINER_OF(rng, struct seeded, rng);
    uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(random_u64(&seeded->state) >> 56);
}

static inline struct seeded seeded_with(uint64_t seed)
{
    return (struct seeded){.rng = {.fill = seeded_fill}, .state = seed};
}

#endif
