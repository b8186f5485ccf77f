#include "crypto/aead.h"

#include <assert.h>
#include <stdbool.h>

#include <openssl/core_names.h>

#include "base/secret.h"
#include "crypto/libcrypto.h"

#define NONCE_BYTES 12

static const size_t key_bytes[N_AEADS] = {
    [AEAD_AES_128_GCM] = 16,
    [AEAD_AES_192_GCM] = 24,
    [AEAD_AES_256_GCM] = 32,
    [AEAD_CHACHA20_POLY1305] = 32,
};

size_t aead_key_bytes(enum aead aead)
{
    return key_bytes[aead];
}

enum err aead_key_init(struct aead_key *key, enum aead aead, enum aead_use use,
                       const uint8_t *bytes)
{
    key->context = libcrypto.EVP_CIPHER_CTX_new();
    if (key->context != NULL && libcrypto.EVP_CipherInit_ex2(key->context, libcrypto.aeads[aead],
                                                             bytes, NULL, use == AEAD_SEAL, NULL))
        return ERR_NONE;
    aead_key_deinit(key);
    libcrypto.ERR_clear_error();
    return ERR_MEMORY;
}

void aead_key_deinit(struct aead_key *key)
{
    if (key->context != NULL)
        libcrypto.EVP_CIPHER_CTX_free(key->context);
    key->context = NULL;
}

enum err aead_key_replace(struct aead_key *key, const uint8_t *bytes)
{
    return libcrypto.EVP_CipherInit_ex2(key->context, NULL, bytes, NULL, -1, NULL) ? ERR_NONE
                                                                                   : ERR_SYSTEM;
}

static bool set_nonce(struct aead_key *key, uint64_t counter)
{
    uint8_t nonce[NONCE_BYTES] = {0};
    for (unsigned i = 0; i < 8; i++)
        nonce[NONCE_BYTES - 1 - i] = (uint8_t)(counter >> 8 * i);
    return libcrypto.EVP_CipherInit_ex2(key->context, NULL, NULL, nonce, -1, NULL);
}

/* Without `out` the bytes are authenticated only. */
static bool update(struct aead_key *key, uint8_t *out, const void *bytes, size_t n)
{
    int n_out;
    return n == 0 || libcrypto.EVP_CipherUpdate(key->context, out, &n_out, bytes, (int)n);
}

static bool finish(struct aead_key *key)
{
    /* None of these ciphers has bytes left for the end. */
    uint8_t nothing[16];
    int n_out;
    return libcrypto.EVP_CipherFinal_ex(key->context, nothing, &n_out);
}

static bool get_tag(struct aead_key *key, uint8_t *tag)
{
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, AEAD_TAG_BYTES),
                           OSSL_PARAM_END};
    return libcrypto.EVP_CIPHER_CTX_get_params(key->context, params);
}

static bool set_tag(struct aead_key *key, uint8_t *tag)
{
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, AEAD_TAG_BYTES),
                           OSSL_PARAM_END};
    return libcrypto.EVP_CIPHER_CTX_set_params(key->context, params);
}

enum err aead_seal(struct aead_key *key, uint64_t counter, struct piece ad,
                   const struct piece *pieces, size_t n_pieces, uint8_t *out)
{
    bool is_good = set_nonce(key, counter) && update(key, NULL, ad.bytes, ad.n);
    for (size_t i = 0; i < n_pieces && is_good; i++) {
        assert(pieces[i].n <= AEAD_MAX_BYTES);
        is_good = update(key, out, pieces[i].bytes, pieces[i].n);
        out += pieces[i].n;
    }
    return is_good && finish(key) && get_tag(key, out) ? ERR_NONE : ERR_SYSTEM;
}

enum err aead_open(struct aead_key *key, uint64_t counter, struct piece ad, uint8_t *bytes,
                   size_t n)
{
    if (n < AEAD_TAG_BYTES || n > AEAD_MAX_BYTES)
        return ERR_AUTH;
    n -= AEAD_TAG_BYTES;
    if (set_nonce(key, counter) && set_tag(key, bytes + n) && update(key, NULL, ad.bytes, ad.n) &&
        update(key, bytes, bytes, n) && finish(key))
        return ERR_NONE;
    secret_wipe(bytes, n);
    return ERR_AUTH;
}
