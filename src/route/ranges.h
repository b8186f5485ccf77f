/*
 * From numbers to the earliest rule whose range holds each. Ranges may overlap as they like; making the table
 * cuts them into pieces that do not, in ascending order, each with the earliest rule of those that
 * cover it, so that a binary search for the piece answers.
 *
 *     rule 0:       [-------]
 *     rule 1:   [----------------]            pieces:  |  1 |   0   |   1   |  none ...
 *
 * A number is key_bytes big-endian bytes: a port, an IPv4 or an IPv6 address.
 */
#ifndef SOCKEYE_ROUTE_RANGES_H
#define SOCKEYE_ROUTE_RANGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RANGES_MAX_KEY_BYTES 16

struct range {
    uint8_t from[RANGES_MAX_KEY_BYTES],
        to[RANGES_MAX_KEY_BYTES]; /* from <= to; zeros behind the key */
    uint32_t rule;
};

struct ranges {
    uint8_t *starts; /* of the pieces, key_bytes each */
    uint32_t *rules; /* of the pieces; UINT32_MAX: none */
    size_t n;
    size_t key_bytes;
    uint32_t earliest; /* of its rules; UINT32_MAX: it has none */
};

/* Makes the table of n ranges in the order of their rules. ERR_MEMORY: nothing is owned. */
NODISCARD enum err ranges_init(struct ranges *ranges, size_t key_bytes, const struct range *items,
                               size_t n);
void ranges_deinit(struct ranges *ranges);

/* The earliest rule whose range holds the key, or `best` if that is earlier or none does. */
uint32_t ranges_find(const struct ranges *ranges, const uint8_t *key, uint32_t best);

#endif
