#include "crypto/aead.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>

#include "base/secret.h"
#include "crypto/libcrypto.h"
#include "crypto/libsodium.h"

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

/* ---- short messages ---- */

/* What it takes to keep a key for them; 0: there is nothing that would. */
static size_t small_bytes(enum aead aead)
{
    if (aead == AEAD_AES_256_GCM && libsodium.has_aes)
        return sizeof(crypto_aead_aes256gcm_state);
    return aead == AEAD_CHACHA20_POLY1305 && libsodium.is_there ? key_bytes[aead] : 0;
}

static void small_set(struct aead_key *key, const uint8_t *bytes)
{
    if (key->small == NULL)
        return;
    if (key->aead == AEAD_AES_256_GCM)
        (void)libsodium.crypto_aead_aes256gcm_beforenm(key->small, bytes);
    else
        memcpy(key->small, bytes, key_bytes[key->aead]);
}

static bool small_takes(const struct aead_key *key, size_t n)
{
    /* Up to here libsodium takes no longer, even where OpenSSL's code is in the processor's cache. */
    return key->small != NULL && n <= AEAD_SHORT_BYTES;
}

static void put_nonce(uint8_t nonce[static NONCE_BYTES], uint64_t counter)
{
    /* Written out, compilers make one store of it. */
    const uint8_t bytes[NONCE_BYTES] = {
        0,
        0,
        0,
        0,
        (uint8_t)(counter >> 56),
        (uint8_t)(counter >> 48),
        (uint8_t)(counter >> 40),
        (uint8_t)(counter >> 32),
        (uint8_t)(counter >> 24),
        (uint8_t)(counter >> 16),
        (uint8_t)(counter >> 8),
        (uint8_t)counter,
    };
    memcpy(nonce, bytes, sizeof bytes);
}

/* `from` may be `out`. */
static enum err small_seal(struct aead_key *key, uint64_t counter, struct piece ad,
                           const uint8_t *from, size_t n, uint8_t *out)
{
    uint8_t nonce[NONCE_BYTES];
    put_nonce(nonce, counter);
    int failed = key->aead == AEAD_AES_256_GCM
                     ? libsodium.crypto_aead_aes256gcm_encrypt_detached_afternm(
                           out, out + n, NULL, from, n, ad.bytes, ad.n, NULL, nonce, key->small)
                     : libsodium.crypto_aead_chacha20poly1305_ietf_encrypt_detached(
                           out, out + n, NULL, from, n, ad.bytes, ad.n, NULL, nonce, key->small);
    return failed == 0 ? ERR_NONE : ERR_SYSTEM;
}

static enum err small_seal_pieces(struct aead_key *key, uint64_t counter, struct piece ad,
                                  const struct piece *pieces, size_t n_pieces, uint8_t *out)
{
    if (n_pieces == 1)
        return small_seal(key, counter, ad, pieces[0].bytes, pieces[0].n, out);
    size_t n = 0;
    for (size_t i = 0; i < n_pieces; i++) {
        if (pieces[i].n > 0)
            memcpy(out + n, pieces[i].bytes, pieces[i].n);
        n += pieces[i].n;
    }
    return small_seal(key, counter, ad, out, n, out);
}

static bool small_open(struct aead_key *key, uint64_t counter, struct piece ad, uint8_t *bytes,
                       size_t n)
{
    uint8_t nonce[NONCE_BYTES];
    put_nonce(nonce, counter);
    return (key->aead == AEAD_AES_256_GCM
                ? libsodium.crypto_aead_aes256gcm_decrypt_detached_afternm(
                      bytes, NULL, bytes, n, bytes + n, ad.bytes, ad.n, nonce, key->small)
                : libsodium.crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                      bytes, NULL, bytes, n, bytes + n, ad.bytes, ad.n, nonce, key->small)) == 0;
}

/* ---- keys ---- */

static void free_context(struct aead_key *key)
{
    if (key->context != NULL)
        functions(key)->freectx(key->context);
    key->context = NULL;
}

enum err aead_key_init(struct aead_key *key, enum aead aead, enum aead_use use,
                       const uint8_t *bytes)
{
    size_t n_small = small_bytes(aead);
    *key = (struct aead_key){.aead = aead, .use = use};
    key->context = functions(key)->newctx(functions(key)->provider);
    if (n_small > 0)
        key->small = malloc(n_small);
    bool are_there = key->context != NULL && (n_small == 0 || key->small != NULL);
    if (are_there && aead_key_replace(key, bytes) == ERR_NONE)
        return ERR_NONE;
    aead_key_deinit(key);
    libcrypto.ERR_clear_error();
    return ERR_MEMORY;
}

void aead_key_keep_short(struct aead_key *key)
{
    if (key->small != NULL)
        free_context(key);
}

void aead_key_deinit(struct aead_key *key)
{
    free_context(key);
    if (key->small != NULL)
        secret_wipe(key->small, small_bytes(key->aead));
    free(key->small);
    key->small = NULL;
}

enum err aead_key_replace(struct aead_key *key, const uint8_t *bytes)
{
    small_set(key, bytes);
    return key->context == NULL || set(key, bytes, NULL, NULL) ? ERR_NONE : ERR_SYSTEM;
}

/* ---- messages ---- */

/* For the next call, whose tag is awaited where it opens. */
static bool begin(struct aead_key *key, uint64_t counter, uint8_t *tag)
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, AEAD_TAG_BYTES), OSSL_PARAM_END};
    uint8_t nonce[NONCE_BYTES];
    put_nonce(nonce, counter);
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
    size_t n = 0;
    for (size_t i = 0; i < n_pieces; i++)
        n += pieces[i].n;
    if (small_takes(key, n))
        return small_seal_pieces(key, counter, ad, pieces, n_pieces, out);
    bool is_good = begin(key, counter, NULL) && update(key, NULL, ad.bytes, ad.n);
    for (size_t i = 0; i < n_pieces && is_good; i++) {
        assert(pieces[i].n <= AEAD_MAX_BYTES);
        is_good = update(key, out, pieces[i].bytes, pieces[i].n);
        out += pieces[i].n;
    }
    return is_good && finish(key) && get_tag(key, out) ? ERR_NONE : ERR_SYSTEM;
}

static bool open_large(struct aead_key *key, uint64_t counter, struct piece ad, uint8_t *bytes,
                       size_t n)
{
    return begin(key, counter, bytes + n) && update(key, NULL, ad.bytes, ad.n) &&
           update(key, bytes, bytes, n) && finish(key);
}

enum err aead_open(struct aead_key *key, uint64_t counter, struct piece ad, uint8_t *bytes,
                   size_t n)
{
    if (n < AEAD_TAG_BYTES || n > AEAD_MAX_BYTES)
        return ERR_AUTH;
    n -= AEAD_TAG_BYTES;
    if (small_takes(key, n) ? small_open(key, counter, ad, bytes, n)
                            : open_large(key, counter, ad, bytes, n))
        return ERR_NONE;
    secret_wipe(bytes, n);
    return ERR_AUTH;
}
