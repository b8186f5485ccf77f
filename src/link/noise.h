/*
 * Noise_NNpsk0_25519_ChaChaPoly_SHA256 (Noise Protocol Framework, revision 34): its symmetric state, and the tokens of this
 * one pattern. Each key seals one payload, so that the nonce is always 0.
 */
#ifndef SOCKEYE_LINK_NOISE_H
#define SOCKEYE_LINK_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/piece.h"
#include "base/secret.h"
#include "crypto/x25519.h"

#define NOISE_TAG_BYTES 16

/* Wiped by its owner. */
struct noise {
    uint8_t h[32];         /* hash of the handshake so far */
    struct secret32 ck, k; /* chaining key, cipher key */
};

/* Initialize() and the token psk. */
void noise_begin(struct noise *noise, struct piece prologue, const struct secret32 *psk);
/* The token e, of either end. */
void noise_mix_ephemeral(struct noise *noise, const uint8_t public_key[static X25519_BYTES]);
/* The token ee, by our key, its public one and the other end's. ERR_BAD: the shared secret is all zeros; ERR_MEMORY. */
NODISCARD enum err noise_mix_shared(struct noise *noise, const struct secret32 *key,
                                    const uint8_t own[static X25519_BYTES],
                                    const uint8_t peer[static X25519_BYTES]);
/* EncryptAndHash(): n bytes of payload where they lie, and NOISE_TAG_BYTES behind them. ERR_MEMORY. */
NODISCARD enum err noise_seal(struct noise *noise, uint8_t *payload, size_t n);
/* DecryptAndHash(): n bytes, the tag's included, where they lie. ERR_BAD; ERR_MEMORY. */
NODISCARD enum err noise_open(struct noise *noise, uint8_t *payload, size_t n);
/* Split(): the initiator sends with k1. */
void noise_split(const struct noise *noise, uint8_t k1[static 32], uint8_t k2[static 32]);

#endif
