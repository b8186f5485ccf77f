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

static const struct libcrypto_aead *functions(const struct aead_key *key)
{
    return &libcrypto.aeads[key->aead];
}

/* With another key, or for another nonce; NULL: it stays. */
static bool set(struct aead_key *key, const uint8_t *bytes, const uint8_t *nonce,
                const OSSL_PARAM *params)
{
    const struct libcrypto_aead *aead = functions(key);
    size_t n_bytes = bytes == NULL ? 0 : key_bytes[key->aead];
    size_t n_nonce = nonce == NULL ? 0 : NONCE_BYTES;
    return (key->use == AEAD_SEAL ? aead->encrypt_init : aead->decrypt_init)(
        key->context, bytes, n_bytes, nonce, n_nonce, params);
}

enum err aead_key_init(struct aead_key *key, enum aead aead, enum aead_use use,
                       const uint8_t *bytes)
{
    *key = (struct aead_key){.aead = aead, .use = use};
    key->context = functions(key)->newctx(functions(key)->provider);
    if (key->context != NULL && set(key, bytes, NULL, NULL))
        return ERR_NONE;
    aead_key_deinit(key);
    libcrypto.ERR_clear_error();
    return ERR_MEMORY;
}

void aead_key_deinit(struct aead_key *key)
{
    if (key->context != NULL)
        functions(key)->freectx(key->context);
    key->context = NULL;
}

enum err aead_key_replace(struct aead_key *key, const uint8_t *bytes)
{
    return set(key, bytes, NULL, NULL) ? ERR_NONE : ERR_SYSTEM;
}

/* For the next call, whose tag is awaited where it opens. */
static bool begin(struct aead_key *key, uint64_t counter, uint8_t *tag)
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, AEAD_TAG_BYTES), OSSL_PARAM_END};
    uint8_t nonce[NONCE_BYTES] = {0};
    for (size_t i = NONCE_BYTES; i > NONCE_BYTES - sizeof counter; counter >>= 8)
        nonce[--i] = (uint8_t)counter;
    return set(key, NULL, nonce, tag == NULL ? NULL : params);
}

/* Without `out` the bytes are authenticated only. */
static bool update(struct aead_key *key, uint8_t *out, const void *bytes, size_t n)
{
    size_t n_out;
    return n == 0 || functions(key)->update(key->context, out, &n_out, n, bytes, n);
}

/* None of these ciphers has bytes left for the end. */
static bool finish(struct aead_key *key)
{
    uint8_t nothing[16];
    size_t n_out;
    return functions(key)->final(key->context, nothing, &n_out, sizeof nothing);
}

static bool get_tag(struct aead_key *key, uint8_t *tag)
{
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, AEAD_TAG_BYTES),
                           OSSL_PARAM_END};
    return functions(key)->get_params(key->context, params);
}

enum err aead_seal(struct aead_key *key, uint64_t counter, struct piece ad,
                   const struct piece *pieces, size_t n_pieces, uint8_t *out)
{
    bool is_good = begin(key, counter, NULL) && update(key, NULL, ad.bytes, ad.n);
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
    if (begin(key, counter, bytes + n) && update(key, NULL, ad.bytes, ad.n) &&
        update(key, bytes, bytes, n) && finish(key))
        return ERR_NONE;
    secret_wipe(bytes, n);
    return ERR_AUTH;
}
