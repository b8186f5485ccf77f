/* Base64 with padding, the standard alphabet, canonical only (RFC 4648 section 4). */
#ifndef SOCKEYE_BASE_BASE64_H
#define SOCKEYE_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Decodes n bytes of text into out. ERR_BAD: not canonical base64; ERR_TOO_LONG: more than cap. */
NODISCARD enum err base64_decode(uint8_t *out, size_t cap, size_t *out_bytes, const char *text,
                                 size_t n);

/* Of n bytes, without a zero at the end. */
#define BASE64_BYTES(n) (((n) + 2) / 3 * 4)

/* Encodes n bytes into BASE64_BYTES(n) characters of text, which is their number; nothing is put
 * behind them. */
size_t base64_encode(char *text, const uint8_t *bytes, size_t n);

#endif
