#include "base/secret.h"

#include <string.h>

bool secret_equal(const char *given, size_t n_given, const char *known, size_t n_known)
{
    static const char nothing = '\0';
    /* Volatile, so that no compiler turns the sum of differences into an early exit. */
    volatile unsigned differs = n_given != n_known;
    size_t k = 0;

    if (n_known == 0) {
        known = &nothing;
        n_known = 1;
    }
    for (size_t i = 0; i < n_given; i++) {
        differs |= (unsigned)(unsigned char)given[i] ^ (unsigned char)known[k];
        /* Start anew at the end of what is known, without a branch on its length. */
        k = (k + 1) & ((size_t)0 - (size_t)(k + 1 < n_known));
    }
    return differs == 0;
}

bool secret_same(const void *a, const void *b, size_t n)
{
    const uint8_t *left = a, *right = b;
    volatile unsigned differs = 0;
    for (size_t i = 0; i < n; i++)
        differs |= (unsigned)left[i] ^ right[i];
    return differs == 0;
}

void secret_wipe(void *bytes, size_t n)
{
    if (n == 0)
        return;
    memset(bytes, 0, n);
    /* The compiler must believe that somebody reads the zeros. */
    __asm__ __volatile__("" : : "r"(bytes) : "memory");
}

void secret32_wipe(struct secret32 *secret)
{
    secret_wipe(secret->bytes, sizeof secret->bytes);
}
