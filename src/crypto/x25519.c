#include "crypto/x25519.h"

#include <stdbool.h>

#include "crypto/libcrypto.h"

/* A pair of keys that is known: of a private key alone the library would compute the other. The parameters are read only. */
static EVP_PKEY *pair_of(const struct secret32 *key, const uint8_t public_key[static X25519_BYTES])
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)(uintptr_t)key->bytes,
                                sizeof key->bytes),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)public_key,
                                X25519_BYTES),
        OSSL_PARAM_END,
    };
    EVP_PKEY *pair = NULL;
    EVP_PKEY_CTX *context = libcrypto.EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    /* Where it fails there is none. */
    if (context != NULL && libcrypto.EVP_PKEY_fromdata_init(context) == 1)
        (void)libcrypto.EVP_PKEY_fromdata(context, &pair, EVP_PKEY_KEYPAIR, params);
    libcrypto.EVP_PKEY_CTX_free(context);
    return pair;
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
    EVP_PKEY *pkey = libcrypto.EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, key->bytes,
                                                            sizeof key->bytes);
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
                       const uint8_t own[static X25519_BYTES],
                       const uint8_t peer[static X25519_BYTES])
{
    static const uint8_t zeros[X25519_BYTES];
    size_t n = sizeof shared->bytes;
    EVP_PKEY *pair = pair_of(key, own);
    EVP_PKEY *other =
        libcrypto.EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, X25519_BYTES);
    EVP_PKEY_CTX *context = pair != NULL ? libcrypto.EVP_PKEY_CTX_new(pair, NULL) : NULL;
    bool is_ready = context != NULL && other != NULL &&
                    libcrypto.EVP_PKEY_derive_init(context) == 1 &&
                    libcrypto.EVP_PKEY_derive_set_peer(context, other) == 1;
    /* The library computes the zeros, and then says that it failed. */
    bool is_derived = is_ready && libcrypto.EVP_PKEY_derive(context, shared->bytes, &n) == 1 &&
                      !secret_same(shared->bytes, zeros, sizeof zeros);
    libcrypto.EVP_PKEY_CTX_free(context);
    libcrypto.EVP_PKEY_free(other);
    libcrypto.EVP_PKEY_free(pair);
    if (!is_derived)
        secret32_wipe(shared);
    enum err err = result(is_derived);
    return is_ready && !is_derived ? ERR_BAD : err;
}
