/* Bytes of tests, written as hexadecimal digits. */
#ifndef SOCKEYE_TESTS_HEX_H
#define SOCKEYE_TESTS_HEX_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns how many bytes there are. Text that is not hexadecimal, or too long, ends the test. */
static inline size_t hex_bytes(uint8_t *bytes, size_t cap, const char *text)
{
    size_t n = strlen(text) / 2;
    if (strlen(text) % 2 != 0 || n > cap) {
        fprintf(stderr, "not %zu bytes of hexadecimal digits at most: %s\n", cap, text);
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        if (sscanf(text + 2 * i, "%2hhx", &bytes[i]) != 1)
            abort();
    }
    return n;
}

#endif
