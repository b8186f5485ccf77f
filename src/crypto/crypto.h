/*
 * Before anything else in this folder: the library behind it is loaded when it is first wanted.
 */
#ifndef SOCKEYE_CRYPTO_CRYPTO_H
#define SOCKEYE_CRYPTO_CRYPTO_H

#include <stdbool.h>

#include "base/err.h"

/* Loads libcrypto and fetches the algorithms, once for the process; later calls, by any thread, are
 * cheap. Everything else in crypto/ may be called only after it has succeeded. ERR_NOT_FOUND: there
 * is no such library, or not what we need in it; ERR_MEMORY; after both it may be tried again. */
NODISCARD enum err crypto_load(void);

/* Whether this machine has instructions for AES and for GCM's multiplication. Where it has not,
 * ChaCha20-Poly1305 is several times as fast as AES-GCM. OPENSSL_ia32cap counts. */
bool crypto_has_fast_aes(void);

#endif
