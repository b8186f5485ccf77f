/*
 * Randomness as an argument: what draws numbers is given a struct rng, so that a test can give one
 * with a seed. Production's is io/random.h's.
 */
#ifndef SOCKEYE_BASE_RNG_H
#define SOCKEYE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    /* Overwrites all n bytes; cannot fail. */
    void (*fill)(struct rng *rng, void *bytes, size_t n);
};

static inline void rng_fill(struct rng *rng, void *bytes, size_t n)
{
    rng->fill(rng, bytes, n);
}

static inline uint64_t rng_u64(struct rng *rng)
{
    uint64_t number;
    rng->fill(rng, &number, sizeof number);
    return number;
}

/* A number below `limit`, which is not 0; each is as likely as the others. */
static inline uint64_t rng_below(struct rng *rng, uint64_t limit)
{
    /* The highest numbers, which would make some remainders likelier, are drawn again. */
    uint64_t excess = (UINT64_MAX % limit + 1) % limit, number;
    do
        number = rng_u64(rng);
    while (number > UINT64_MAX - excess);
    return number % limit;
}

#endif
