#include "crypto/sign.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/keys.h"

enum { SALT_BYTES = 32 };

static bool is_rsa(const EVP_PKEY *pkey)
{
    return libcrypto.EVP_PKEY_is_a(pkey, "RSA") == 1;
}

/* NULL, or what we have against the key. */
static const char *objection(const EVP_PKEY *pkey)
{
    if (libcrypto.EVP_PKEY_is_a(pkey, "ED25519") == 1)
        return NULL;
    if (!is_rsa(pkey))
        return "it is neither an Ed25519 nor an RSA key";
    int bits = libcrypto.EVP_PKEY_get_bits(pkey);
    if (bits < SIGN_MIN_RSA_BITS)
        return "it is an RSA key of less than 3072 bits";
    return bits <= SIGN_MAX_RSA_BITS ? NULL : "it is an RSA key of more than 8192 bits";
}

static enum err fill_public(struct verify_key *key, EVP_PKEY *pkey)
{
    unsigned char *spki = NULL;
    int n = libcrypto.i2d_PUBKEY(pkey, &spki);
    if (n <= 0) {
        libcrypto.ERR_clear_error();
        return ERR_MEMORY;
    }
    *key = (struct verify_key){pkey, spki, (size_t)n};
    return ERR_NONE;
}

static void free_spki(struct verify_key *key)
{
    libcrypto.CRYPTO_free(key->spki, __FILE__, __LINE__);
}

enum err sign_key_of(struct sign_key **key, EVP_PKEY *pkey, const char **why)
{
    *why = objection(pkey);
    struct sign_key *made = *why == NULL ? calloc(1, sizeof *made) : NULL;
    if (made == NULL || fill_public(&made->public_key, pkey) != ERR_NONE) {
        free(made);
        libcrypto.EVP_PKEY_free(pkey);
        return *why != NULL ? ERR_BAD : ERR_MEMORY;
    }
    made->pkey = pkey;
    *key = made;
    return ERR_NONE;
}

enum err verify_key_of(struct verify_key **key, EVP_PKEY *pkey, const char **why)
{
    *why = objection(pkey);
    struct verify_key *made = *why == NULL ? calloc(1, sizeof *made) : NULL;
    if (made == NULL || fill_public(made, pkey) != ERR_NONE) {
        free(made);
        libcrypto.EVP_PKEY_free(pkey);
        return *why != NULL ? ERR_BAD : ERR_MEMORY;
    }
    *key = made;
    return ERR_NONE;
}

static EVP_PKEY *generate_ed25519(struct rng *rng)
{
    SECRET struct secret32 seed;
    rng_fill(rng, seed.bytes, sizeof seed.bytes);
    return libcrypto.EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed.bytes,
                                                  sizeof seed.bytes);
}

enum err sign_key_generate(struct sign_key **key, enum sign_kind kind, unsigned rsa_bits,
                           struct rng *rng)
{
    const char *why;
    EVP_PKEY *pkey = kind == SIGN_ED25519
                         ? generate_ed25519(rng)
                         : libcrypto.EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)rsa_bits);
    if (pkey != NULL)
        return sign_key_of(key, pkey, &why);
    libcrypto.ERR_clear_error();
    return ERR_MEMORY;
}

enum sign_kind sign_key_kind(const struct sign_key *key)
{
    return is_rsa(key->pkey) ? SIGN_RSA : SIGN_ED25519;
}

const struct verify_key *sign_key_public(const struct sign_key *key)
{
    return &key->public_key;
}

const uint8_t *verify_key_spki(const struct verify_key *key, size_t *n)
{
    *n = key->n_spki;
    return key->spki;
}

bool verify_key_is(const struct verify_key *key, const uint8_t *spki, size_t n)
{
    return n == key->n_spki && memcmp(key->spki, spki, n) == 0;
}

/* The padding and salt that both sides of an RSA signature must agree on. */
static bool set_pss(EVP_PKEY_CTX *context)
{
    return libcrypto.EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
           libcrypto.EVP_PKEY_CTX_set_rsa_pss_saltlen(context, SALT_BYTES) > 0 &&
           libcrypto.EVP_PKEY_CTX_set_rsa_mgf1_md(context, libcrypto.EVP_sha256()) > 0;
}

/* Signing and verifying begin alike. The EVP_PKEY_CTX is the EVP_MD_CTX's own. */
static bool begin(EVP_MD_CTX *context, EVP_PKEY *pkey, __typeof__(EVP_DigestSignInit) *digest_init)
{
    EVP_PKEY_CTX *pkey_context;
    bool hashes = is_rsa(pkey); /* Ed25519 has a hash of its own */
    return digest_init(context, &pkey_context, hashes ? libcrypto.EVP_sha256() : NULL, NULL,
                       pkey) == 1 &&
           (!hashes || set_pss(pkey_context));
}

enum err sign(const struct sign_key *key, const void *message, size_t n,
              uint8_t signature[static SIGN_MAX_BYTES], size_t *n_signature)
{
    EVP_MD_CTX *context = libcrypto.EVP_MD_CTX_new();
    *n_signature = SIGN_MAX_BYTES;
    bool is_good = context != NULL && begin(context, key->pkey, libcrypto.EVP_DigestSignInit) &&
                   libcrypto.EVP_DigestSign(context, signature, n_signature, message, n) == 1;
    libcrypto.EVP_MD_CTX_free(context);
    if (!is_good)
        libcrypto.ERR_clear_error();
    return is_good ? ERR_NONE : ERR_MEMORY;
}

enum err verify(const struct verify_key *key, const void *message, size_t n,
                const uint8_t *signature, size_t n_signature)
{
    EVP_MD_CTX *context = libcrypto.EVP_MD_CTX_new();
    bool is_ready = context != NULL && begin(context, key->pkey, libcrypto.EVP_DigestVerifyInit);
    bool is_good =
        is_ready && libcrypto.EVP_DigestVerify(context, signature, n_signature, message, n) == 1;
    libcrypto.EVP_MD_CTX_free(context);
    if (!is_good)
        libcrypto.ERR_clear_error();
    if (is_good)
        return ERR_NONE;
    return is_ready ? ERR_AUTH : ERR_MEMORY;
}

void sign_key_free(struct sign_key *key)
{
    if (key == NULL)
        return;
    free_spki(&key->public_key);
    libcrypto.EVP_PKEY_free(key->pkey);
    free(key);
}

void verify_key_free(struct verify_key *key)
{
    if (key == NULL)
        return;
    free_spki(key);
    libcrypto.EVP_PKEY_free(key->pkey);
    free(key);
}
