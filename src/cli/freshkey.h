/* Fresh keys, for keygen and init. */
#ifndef SOCKEYE_CLI_FRESHKEY_H
#define SOCKEYE_CLI_FRESHKEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/err.h"

#define FRESH_KEY_MAX_BITS 256

/* For the caller to wipe. */
struct fresh_key {
    uint8_t bytes[FRESH_KEY_MAX_BITS / 8];
    size_t n;
    char text[BASE64_BYTES(FRESH_KEY_MAX_BITS / 8) + 1]; /* in base64, zero terminated */
};

/* Draws a key of 128, 192 or 256 bits. Returns 0, or EX_OSERR after saying that the system has no
 * randomness. */
NODISCARD int fresh_key_draw(struct fresh_key *out, unsigned bits);

#endif
