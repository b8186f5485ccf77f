/* X25519 (RFC 7748). */
#ifndef SOCKEYE_CRYPTO_X25519_H
#define SOCKEYE_CRYPTO_X25519_H

#include "base/err.h"
#include "base/rng.h"
#include "base/secret.h"

#define X25519_BYTES 32

/* Draws a private key and computes its public one. ERR_MEMORY. */
NODISCARD enum err x25519_generate(struct secret32 *key, uint8_t public_key[static X25519_BYTES],
                                   struct rng *rng);

NODISCARD enum err x25519_public(uint8_t public_key[static X25519_BYTES],
                                 const struct secret32 *key);

/* The secret that both ends share; `own` is the key's public one, which costs as much again where it has to be computed.
 * ERR_BAD: it is all zeros, since the peer's key was one of the few that make it so (section 6.1); ERR_MEMORY. */
NODISCARD enum err x25519_derive(struct secret32 *shared, const struct secret32 *key,
                                 const uint8_t own[static X25519_BYTES],
                                 const uint8_t peer[static X25519_BYTES]);

#endif
