/*
 * Identities: keys that sign and keys that verify, Ed25519 (RFC 8032) or RSA by PSS with SHA-256,
 * MGF1 with SHA-256 and a salt of 32 bytes (RFC 8017). A key does not change once it is there: any
 * number of threads may use it.
 */
#ifndef SOCKEYE_CRYPTO_SIGN_H
#define SOCKEYE_CRYPTO_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"

enum sign_kind { SIGN_ED25519, SIGN_RSA };

#define SIGN_MIN_RSA_BITS 3072
/* Both its public key and a signature find room in a flight. */
#define SIGN_MAX_RSA_BITS 8192
#define SIGN_MAX_BYTES (SIGN_MAX_RSA_BITS / 8)

/* Room for any key as PEM. */
#define SIGN_PEM_MAX_BYTES 16384

struct sign_key;   /* a private key, and its public one */
struct verify_key; /* a public key */

/*
 * Keys as text of n bytes: private ones as PKCS#8 or in OpenSSL's old form, public ones as
 * SubjectPublicKeyInfo. Anything before and behind them is ignored. *key is the caller's. ERR_BAD: it
 * is no such key, and *why says in a few words what is wrong, such as "it is encrypted". ERR_MEMORY.
 */
NODISCARD enum err sign_key_read(struct sign_key **key, const char *text, size_t n,
                                 const char **why);
NODISCARD enum err verify_key_read(struct verify_key **key, const char *text, size_t n,
                                   const char **why);

/* As PEM of *n bytes, at most SIGN_PEM_MAX_BYTES; that of a private key (PKCS#8, not encrypted) is for
 * the caller to wipe. ERR_MEMORY. */
NODISCARD enum err sign_key_write(const struct sign_key *key, char text[static SIGN_PEM_MAX_BYTES],
                                  size_t *n);
NODISCARD enum err verify_key_write(const struct verify_key *key,
                                    char text[static SIGN_PEM_MAX_BYTES], size_t *n);

/* A new key. Ed25519 is made of the rng's bytes, RSA of the library's own; rsa_bits are of RSA only,
 * SIGN_MIN_RSA_BITS to SIGN_MAX_RSA_BITS. ERR_MEMORY. */
NODISCARD enum err sign_key_generate(struct sign_key **key, enum sign_kind kind, unsigned rsa_bits,
                                     struct rng *rng);

enum sign_kind sign_key_kind(const struct sign_key *key);

/* The public half, which lives as long as the whole. */
const struct verify_key *sign_key_public(const struct sign_key *key);

/* The public key as SubjectPublicKeyInfo, DER: by these bytes keys are compared. Lives as long as the
 * key. */
const uint8_t *verify_key_spki(const struct verify_key *key, size_t *n);
bool verify_key_is(const struct verify_key *key, const uint8_t *spki, size_t n);

/* *n_signature is at most SIGN_MAX_BYTES. RSA takes milliseconds. ERR_MEMORY. */
NODISCARD enum err sign(const struct sign_key *key, const void *message, size_t n,
                        uint8_t signature[static SIGN_MAX_BYTES], size_t *n_signature);

/* ERR_AUTH: it is not this key's signature of this message; ERR_MEMORY. */
NODISCARD enum err verify(const struct verify_key *key, const void *message, size_t n,
                          const uint8_t *signature, size_t n_signature);

void sign_key_free(struct sign_key *key); /* wipes; NULL is fine */
void verify_key_free(struct verify_key *key);

#endif
