/* Numbers for tests that try many inputs: the same ones in every run, so that a failure repeats. */
#ifndef SOCKEYE_TESTS_RANDOM_H
#define SOCKEYE_TESTS_RANDOM_H

#include <stdint.h>

/* splitmix64 */
static inline uint64_t random_u64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A number below `limit`. */
static inline unsigned random_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(random_u64(state) % limit);
}

#endif
