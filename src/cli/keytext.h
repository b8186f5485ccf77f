/* Fresh keys as text, for keygen and init. */
#ifndef SOCKEYE_CLI_KEYTEXT_H
#define SOCKEYE_CLI_KEYTEXT_H

#include <stddef.h>

#include "base/base64.h"
#include "base/err.h"

#define KEY_MAX_BITS 256
#define KEYTEXT_BYTES (BASE64_BYTES(KEY_MAX_BITS / 8) + 1)

/* Draws a key of 128, 192 or 256 bits; `out` is its base64, zero terminated, for the caller to wipe.
 * Returns 0, or EX_OSERR after saying that the system has no randomness. */
NODISCARD int keytext_draw(char out[static KEYTEXT_BYTES], unsigned bits);

#endif
