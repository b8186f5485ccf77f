/*
 * OpenSSL's libcrypto, loaded when a tunnel or a key is first wanted: linked to the program it would
 * cost each plain proxy 0.6 ms of its start and 0.4 MiB of memory that it shares with nobody.
 * Inside crypto/ only. What the rest of crypto/ calls stands in the list below, and is called as
 * libcrypto.EVP_...(): the compiler knows each one's type from OpenSSL's own headers.
 */
#ifndef SOCKEYE_CRYPTO_LIBCRYPTO_H
#define SOCKEYE_CRYPTO_LIBCRYPTO_H

/* SHA256_Init and its like are the only way to a digest that neither allocates nor fails; EVP's way
 * does both. OpenSSL 3 has them, and marks them as old. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bio.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "crypto/aead.h"

/* clang-format off */
#define LIBCRYPTO_FUNCTIONS(X) \
    X(BIO_free) \
    X(BIO_new) \
    X(BIO_new_mem_buf) \
    X(BIO_read) \
    X(BIO_s_mem) \
    X(CRYPTO_free) \
    X(ERR_clear_error) \
    X(EVP_CIPHER_CTX_free) \
    X(EVP_CIPHER_CTX_new) \
    X(EVP_CIPHER_fetch) \
    X(EVP_CIPHER_free) \
    X(EVP_CIPHER_get0_name) \
    X(EVP_CIPHER_get0_provider) \
    X(EVP_CipherInit_ex2) \
    X(EVP_CipherUpdate) \
    X(EVP_DigestSign) \
    X(EVP_DigestSignInit) \
    X(EVP_DigestVerify) \
    X(EVP_DigestVerifyInit) \
    X(EVP_MD_CTX_free) \
    X(EVP_MD_CTX_new) \
    X(EVP_PKEY_CTX_free) \
    X(EVP_PKEY_CTX_new) \
    X(EVP_PKEY_CTX_new_from_name) \
    X(EVP_PKEY_CTX_set_rsa_mgf1_md) \
    X(EVP_PKEY_CTX_set_rsa_padding) \
    X(EVP_PKEY_CTX_set_rsa_pss_saltlen) \
    X(EVP_PKEY_Q_keygen) \
    X(EVP_PKEY_derive) \
    X(EVP_PKEY_derive_init) \
    X(EVP_PKEY_derive_set_peer) \
    X(EVP_PKEY_free) \
    X(EVP_PKEY_fromdata) \
    X(EVP_PKEY_fromdata_init) \
    X(EVP_PKEY_get_bits) \
    X(EVP_PKEY_get_raw_public_key) \
    X(EVP_PKEY_is_a) \
    X(EVP_PKEY_new_raw_private_key) \
    X(EVP_PKEY_new_raw_public_key) \
    X(EVP_sha256) \
    X(OPENSSL_info) \
    X(OSSL_PROVIDER_get0_provider_ctx) \
    X(OSSL_PROVIDER_query_operation) \
    X(PEM_read_bio_PUBKEY) \
    X(PEM_read_bio_PrivateKey) \
    X(PEM_write_bio_PKCS8PrivateKey) \
    X(PEM_write_bio_PUBKEY) \
    X(SHA256_Final) \
    X(SHA256_Init) \
    X(SHA256_Update) \
    X(i2d_PUBKEY)
/* clang-format on */

/*
 * An AEAD as its provider gives it (provider-cipher(7)): with a message of one byte, half of what EVP does for it
 * is to find out anew each time how long a nonce is, and to look up parameters by their names.
 */
struct libcrypto_aead {
    EVP_CIPHER *cipher; /* keeps the provider */
    void *provider;
    OSSL_FUNC_cipher_newctx_fn *newctx;
    OSSL_FUNC_cipher_freectx_fn *freectx;
    OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
    OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
    OSSL_FUNC_cipher_update_fn *update;
    OSSL_FUNC_cipher_final_fn *final;
    OSSL_FUNC_cipher_get_ctx_params_fn *get_params;
};

struct libcrypto {
#define FUNCTION(name) __typeof__(name) *(name);
    LIBCRYPTO_FUNCTIONS(FUNCTION)
#undef FUNCTION
    struct libcrypto_aead aeads[N_AEADS];
    EVP_CIPHER *chacha20;
};

/* Filled by crypto_load(), constant from then on. */
extern struct libcrypto libcrypto;

#endif
