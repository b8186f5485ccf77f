#include "crypto/x25519.h"

#include <stdbool.h>

#include "crypto/libcrypto.h"

static EVP_PKEY *private_key(const struct secret32 *key)
{
    return libcrypto.EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, key->bytes,
                                                  sizeof key->bytes);
}

/* A function that failed has put it on the thread's list, which nobody reads. */
static enum err result(bool is_good)
{
    if (!is_good)
        libcrypto.ERR_clear_error();
    return is_good ? ERR_NONE : ERR_MEMORY;
}

enum err x25519_public(uint8_t public_key[static X25519_BYTES], const struct secret32 *key)
{
    size_t n = X25519_BYTES;
    EVP_PKEY *pkey = private_key(key);
    bool is_good = pkey != NULL && libcrypto.EVP_PKEY_get_raw_public_key(pkey, public_key, &n) == 1;
    libcrypto.EVP_PKEY_free(pkey);
    return result(is_good);
}

enum err x25519_generate(struct secret32 *key, uint8_t public_key[static X25519_BYTES],
                         struct rng *rng)
{
    rng_fill(rng, key->bytes, sizeof key->bytes);
    return x25519_public(public_key, key);
}

enum err x25519_derive(struct secret32 *shared, const struct secret32 *key,
                       const uint8_t peer[static X25519_BYTES])
{
    static const uint8_t zeros[X25519_BYTES];
    size_t n = sizeof shared->bytes;
    EVP_PKEY *own = private_key(key);
    EVP_PKEY *other =
        libcrypto.EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, X25519_BYTES);
    EVP_PKEY_CTX *context = own != NULL ? libcrypto.EVP_PKEY_CTX_new(own, NULL) : NULL;
    bool is_ready = context != NULL && other != NULL &&
                    libcrypto.EVP_PKEY_derive_init(context) == 1 &&
                    libcrypto.EVP_PKEY_derive_set_peer(context, other) == 1;
    /* The library computes the zeros, and then says that it failed. */
    bool is_derived = is_ready && libcrypto.EVP_PKEY_derive(context, shared->bytes, &n) == 1 &&
                      !secret_same(shared->bytes, zeros, sizeof zeros);
    libcrypto.EVP_PKEY_CTX_free(context);
    libcrypto.EVP_PKEY_free(other);
    libcrypto.EVP_PKEY_free(own);
    if (!is_derived)
        secret32_wipe(shared);
    enum err err = result(is_derived);
    return is_ready && !is_derived ? ERR_BAD : err;
}
