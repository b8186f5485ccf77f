/* The stream of ChaCha20 (RFC 8439), which hides and protects nothing: what it is XORed with must be
 * authenticated by other means. */
#ifndef SOCKEYE_CRYPTO_CHACHA20_H
#define SOCKEYE_CRYPTO_CHACHA20_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CHACHA20_KEY_BYTES 32
#define CHACHA20_NONCE_BYTES 12

/* XORs n bytes, at most AEAD_MAX_BYTES, with the stream from block 0 on. ERR_MEMORY; then the bytes
 * may be as they were. */
NODISCARD enum err chacha20_xor(uint8_t *bytes, size_t n,
                                const uint8_t key[static CHACHA20_KEY_BYTES],
                                const uint8_t nonce[static CHACHA20_NONCE_BYTES]);

#endif
