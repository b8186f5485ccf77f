/* Comparing and wiping what must not leak. */
#ifndef SOCKEYE_BASE_SECRET_H
#define SOCKEYE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether both texts are equal, in time that depends on the length of `given` only. */
bool secret_equal(const char *given, size_t n_given, const char *known, size_t n_known);

/* Whether n bytes are equal, in time that depends on n only. */
bool secret_same(const void *a, const void *b, size_t n);

/* Overwrites n bytes; the compiler cannot leave it out. */
void secret_wipe(void *bytes, size_t n);

/*
 * Keys, secrets and digests, which are all of this size. A local one that is declared
 *
 *     SECRET struct secret32 key;
 *
 * wipes itself at the end of its block, whichever way that is left.
 */
struct secret32 {
    uint8_t bytes[32];
};

void secret32_wipe(struct secret32 *secret);

#define SECRET __attribute__((cleanup(secret32_wipe)))

#endif
