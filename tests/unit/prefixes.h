/*
 * Feeds a parser every beginning of its input. Each is put at the end of an allocation of exactly
 * its length, so that ASan sees a read beyond it. Once a verdict other than "more input needed" is
 * given, every longer beginning must get the same, to the letter.
 *
 * A describer parses and writes what came of it as text: the error's text, or the message and how
 * many bytes it took.
 */
#ifndef SOCKEYE_TESTS_PREFIXES_H
#define SOCKEYE_TESTS_PREFIXES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/addr.h"
#include "base/err.h"

enum { DESCRIPTION_BYTES = 8192 };

typedef void describer(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n);

/* A text does not show the whole of a target: what it shows must be all that there is. */
static inline void assert_target_reads_as(const struct target *target, const char *text)
{
    struct target again;

    assert_int_equal(target_parse(&again, text, strlen(text)), ERR_NONE);
    assert_true(addr_equal(&again.addr, &target->addr, true));
    assert_int_equal(again.name_bytes, target->name_bytes);
}

static inline void describe_prefix(char text[static DESCRIPTION_BYTES], describer *describe,
                                   const void *bytes, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, bytes, n);
    /* With nothing to read there must be no reading at all. */
    describe(text, n > 0 ? copy : copy + 1, n);
    free(copy);
}

/* Returns the description of the whole, in a buffer that the next call uses again. */
static inline const char *describe_all_prefixes(describer *describe, const void *bytes, size_t n)
{
    static char verdict[DESCRIPTION_BYTES], text[DESCRIPTION_BYTES];
    const char *more = err_text(ERR_MORE);
    /* What is long is sampled, but its last bytes are fed one by one. */
    size_t step = n > 2048 ? 61 : 1;

    snprintf(verdict, sizeof verdict, "%s", more);
    for (size_t k = 0; k <= n; k += n - k < 128 ? 1 : step) {
        describe_prefix(text, describe, bytes, k);
        if (strcmp(verdict, more) != 0)
            assert_string_equal(text, verdict);
        memcpy(verdict, text, sizeof verdict);
    }
    return verdict;
}

#endif
