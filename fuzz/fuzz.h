/*
 * What the fuzz targets of parsers have in common: every beginning of an input is parsed from an
 * allocation of exactly its length, and all that are not "more input needed" must agree with the
 * whole.
 */
#ifndef SOCKEYE_FUZZ_FUZZ_H
#define SOCKEYE_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/err.h"
#include "wire/slice.h"

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

static inline uint8_t *exact_copy(const uint8_t *data, size_t n)
{
    uint8_t *copy = calloc(1, n > 0 ? n : 1);
    CHECK(copy != NULL);
    if (n > 0)
        memcpy(copy, data, n);
    return copy;
}

static inline bool same_slice(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}

static inline bool slice_within(struct slice slice, const uint8_t *data, size_t n)
{
    return (const uint8_t *)slice.at >= data && (size_t)((const uint8_t *)slice.at - data) <= n &&
           slice.n <= n - (size_t)((const uint8_t *)slice.at - data);
}

static inline bool same_target(const struct target *a, const struct target *b)
{
    return addr_equal(&a->addr, &b->addr, true) && a->name_bytes == b->name_bytes &&
           memcmp(a->name, b->name, (size_t)a->name_bytes + 1) == 0;
}

/* A target is either an address, with zeros behind an IPv4 one, or a name that ends where it says. */
static inline bool target_is_sound(const struct target *target)
{
    static const uint8_t zeros[16];
    size_t n_ip = target->addr.family == ADDR_V6 ? 16 : target->addr.family == ADDR_V4 ? 4 : 0;

    if (memcmp(target->addr.ip + n_ip, zeros, sizeof zeros - n_ip) != 0)
        return false;
    bool is_name = target->addr.family == ADDR_NONE;
    return is_name == (target->name_bytes > 0) && strlen(target->name) == target->name_bytes;
}

/* Parses n bytes of data, compares with what is expected to come of it (ERR_MORE excepted), and
 * returns the verdict. */
typedef enum err check_prefix(const uint8_t *data, size_t n, const void *expected);

/* Checks every beginning, or a sample of a long input's. `used` is what the whole took, 0 where it
 * failed: one byte less must not be enough. */
static inline void check_prefixes(check_prefix *check, const uint8_t *data, size_t n,
                                  const void *expected, size_t used)
{
    size_t step = n <= 64 ? 1 : n / 32;
    bool done = false;

    for (size_t k = 0; k <= n; k += step) {
        uint8_t *copy = exact_copy(data, k);
        bool more = check(copy, k, expected) == ERR_MORE;
        CHECK(!(done && more));
        done = !more;
        free(copy);
    }
    if (used > 0) {
        uint8_t *copy = exact_copy(data, used);
        CHECK(check(copy, used - 1, expected) == ERR_MORE);
        CHECK(check(copy, used, expected) == ERR_NONE);
        free(copy);
    }
}

#endif
