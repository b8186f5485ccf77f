/*
 * Integers below 2^62 in one, two, four or eight bytes (RFC 9000 section 16): the two highest bits of the first
 * byte give the length. Only the shortest form is taken, so that there is one way to write each thing.
 */
#ifndef SOCKEYE_WIRE_VARINT_H
#define SOCKEYE_WIRE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)
#define VARINT_MAX_BYTES 8

/* How many bytes the value, at most VARINT_MAX, takes. */
static inline size_t varint_size(uint64_t value)
{
    if (value < 1U << 6)
        return 1;
    if (value < 1U << 14)
        return 2;
    return value < 1U << 30 ? 4 : 8;
}

/* Writes the value, at most VARINT_MAX; returns where it ends. */
static inline uint8_t *varint_write(uint8_t *out, uint64_t value)
{
    size_t size = varint_size(value);
    uint8_t length_bits = (uint8_t)(size == 8 ? 3 : size >> 1);

    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    out[0] |= (uint8_t)(length_bits << 6);
    return out + size;
}

/* Takes a value from n bytes; *used says how many it took. ERR_MORE: it is cut off. ERR_BAD: not the
 * shortest form. */
NODISCARD static inline enum err varint_read(const uint8_t *bytes, size_t n, uint64_t *out,
                                             size_t *used)
{
    if (n == 0)
        return ERR_MORE;
    size_t size = (size_t)1 << (bytes[0] >> 6);
    if (n < size)
        return ERR_MORE;
    uint64_t value = bytes[0] & 0x3fU;
    for (size_t i = 1; i < size; i++)
        value = value << 8 | bytes[i];
    if (varint_size(value) != size)
        return ERR_BAD;
    *out = value;
    *used = size;
    return ERR_NONE;
}

#endif
