/*
 * Authenticated encryption: AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439), one key with
 * a counter for its nonces. A key's contexts are made once, and each call sets only the nonce.
 *
 * OpenSSL does it, which is the fastest for long messages; short ones, for which finding the way to the cipher takes longer than the
 * cipher, go through libsodium, where that is there and has the cipher.
 */
#ifndef SOCKEYE_CRYPTO_AEAD_H
#define SOCKEYE_CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/piece.h"

enum aead { AEAD_AES_128_GCM, AEAD_AES_192_GCM, AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305, N_AEADS };

#define AEAD_TAG_BYTES 16
#define AEAD_MAX_KEY_BYTES 32

/* Bytes that one call takes at most. */
#define AEAD_MAX_BYTES (1u << 30)

/* What one call may take under a key that was kept short. */
#define AEAD_SHORT_BYTES 256

size_t aead_key_bytes(enum aead aead);

enum aead_use { AEAD_SEAL, AEAD_OPEN };

struct aead_key {
    void *context;
    void *small; /* libsodium's, for messages of few bytes; NULL: it has none for this cipher */
    enum aead aead;
    enum aead_use use;
};

/* Of aead_key_bytes(aead) bytes of key. ERR_MEMORY; then there is nothing to deinit. */
NODISCARD enum err aead_key_init(struct aead_key *key, enum aead aead, enum aead_use use,
                                 const uint8_t *bytes);

/* From now on no call takes more than AEAD_SHORT_BYTES: gives back what only others need. */
void aead_key_keep_short(struct aead_key *key);

/* Wipes the key. Harmless for one of zeros, and for one that was deinited. */
void aead_key_deinit(struct aead_key *key);

/* Goes on with another key of the same algorithm and use; nothing is allocated. */
NODISCARD enum err aead_key_replace(struct aead_key *key, const uint8_t *bytes);

/* Seals the pieces, one behind the other, into out, their sum and AEAD_TAG_BYTES. The nonce is 4 zero
 * bytes and the counter in 8, big-endian: no two calls under one key may have the same. `ad` is
 * authenticated only; may be empty. out may be where a piece begins, if that is the only one. */
NODISCARD enum err aead_seal(struct aead_key *key, uint64_t counter, struct piece ad,
                             const struct piece *pieces, size_t n_pieces, uint8_t *out);

/* Opens n bytes, the tag's included, where they lie. ERR_AUTH: the tag is wrong, or there is none;
 * then the bytes are worth nothing, and are wiped. */
NODISCARD enum err aead_open(struct aead_key *key, uint64_t counter, struct piece ad,
                             uint8_t *bytes, size_t n);

#endif
