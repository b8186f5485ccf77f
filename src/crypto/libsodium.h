/*
 * libsodium's functions, for messages of few bytes, whose time OpenSSL spends on finding its way to the cipher (doc/performance.md). It
 * may be missing, or have no AES for this processor: then OpenSSL does everything. For this folder only.
 */
#ifndef SOCKEYE_CRYPTO_LIBSODIUM_H
#define SOCKEYE_CRYPTO_LIBSODIUM_H

#include <stdbool.h>

#include <sodium/core.h>
#include <sodium/crypto_aead_aes256gcm.h>
#include <sodium/crypto_aead_chacha20poly1305.h>

/* clang-format off */
#define LIBSODIUM_FUNCTIONS(X) \
    X(sodium_init) \
    X(crypto_aead_aes256gcm_beforenm) \
    X(crypto_aead_aes256gcm_decrypt_detached_afternm) \
    X(crypto_aead_aes256gcm_encrypt_detached_afternm) \
    X(crypto_aead_aes256gcm_is_available) \
    X(crypto_aead_aes256gcm_statebytes) \
    X(crypto_aead_chacha20poly1305_ietf_decrypt_detached) \
    X(crypto_aead_chacha20poly1305_ietf_encrypt_detached)
/* clang-format on */

struct libsodium {
#define FUNCTION(name) __typeof__(name) *(name);
    LIBSODIUM_FUNCTIONS(FUNCTION)
#undef FUNCTION
    bool is_there; /* for ChaCha20-Poly1305 */
    bool has_aes;  /* for AES-256-GCM too */
};

/* Filled by crypto_load(), constant from then on. */
extern struct libsodium libsodium;

/* For crypto_load(), under its lock. */
void libsodium_load(void);

#endif
