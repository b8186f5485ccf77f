#include "crypto/libcrypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/library.h"
#include "crypto/libsodium.h"

struct libcrypto libcrypto;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_loaded; /* under the lock */

/* The version whose headers we were built with. */
static const char library_name[] = "libcrypto.so." OPENSSL_MSTR(OPENSSL_SHLIB_VERSION);

static const char *const aead_names[N_AEADS] = {
    [AEAD_AES_128_GCM] = "AES-128-GCM",
    [AEAD_AES_192_GCM] = "AES-192-GCM",
    [AEAD_AES_256_GCM] = "AES-256-GCM",
    [AEAD_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
};

static bool find_functions(void *library)
{
    static const struct library_function functions[] = {
#define FUNCTION(name) {#name, offsetof(struct libcrypto, name)},
        LIBCRYPTO_FUNCTIONS(FUNCTION)
#undef FUNCTION
    };
    return library_find(library, functions, sizeof functions / sizeof functions[0], &libcrypto);
}

/* `names` are divided by colons. */
static bool is_among(const char *name, const char *names)
{
    size_t n = strlen(name);
    for (const char *at = names; at != NULL; at = strchr(at, ':')) {
        at += *at == ':';
        if (strncmp(at, name, n) == 0 && (at[n] == ':' || at[n] == '\0'))
            return true;
    }
    return false;
}

static const OSSL_DISPATCH *find_functions_of(const EVP_CIPHER *cipher,
                                              const OSSL_PROVIDER *provider)
{
    const char *name = libcrypto.EVP_CIPHER_get0_name(cipher);
    int is_for_now;
    const OSSL_ALGORITHM *at =
        libcrypto.OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &is_for_now);
    for (; at != NULL && at->algorithm_names != NULL; at++)
        if (is_among(name, at->algorithm_names))
            return at->implementation;
    return NULL;
}

static enum err take_functions(struct libcrypto_aead *aead, const OSSL_DISPATCH *at)
{
    for (; at != NULL && at->function_id != 0; at++) {
        switch (at->function_id) {
        case OSSL_FUNC_CIPHER_NEWCTX:
            aead->newctx = OSSL_FUNC_cipher_newctx(at);
            break;
        case OSSL_FUNC_CIPHER_FREECTX:
            aead->freectx = OSSL_FUNC_cipher_freectx(at);
            break;
        case OSSL_FUNC_CIPHER_ENCRYPT_INIT:
            aead->encrypt_init = OSSL_FUNC_cipher_encrypt_init(at);
            break;
        case OSSL_FUNC_CIPHER_DECRYPT_INIT:
            aead->decrypt_init = OSSL_FUNC_cipher_decrypt_init(at);
            break;
        case OSSL_FUNC_CIPHER_UPDATE:
            aead->update = OSSL_FUNC_cipher_update(at);
            break;
        case OSSL_FUNC_CIPHER_FINAL:
            aead->final = OSSL_FUNC_cipher_final(at);
            break;
        case OSSL_FUNC_CIPHER_GET_CTX_PARAMS:
            aead->get_params = OSSL_FUNC_cipher_get_ctx_params(at);
            break;
        default:
            break;
        }
    }
    bool is_complete = aead->newctx != NULL && aead->freectx != NULL &&
                       aead->encrypt_init != NULL && aead->decrypt_init != NULL &&
                       aead->update != NULL && aead->final != NULL && aead->get_params != NULL;
    return is_complete ? ERR_NONE : ERR_NOT_FOUND;
}

static enum err fetch_aead(struct libcrypto_aead *aead, const char *name)
{
    aead->cipher = libcrypto.EVP_CIPHER_fetch(NULL, name, NULL);
    if (aead->cipher == NULL)
        return ERR_MEMORY;
    const OSSL_PROVIDER *provider = libcrypto.EVP_CIPHER_get0_provider(aead->cipher);
    aead->provider = libcrypto.OSSL_PROVIDER_get0_provider_ctx(provider);
    return take_functions(aead, find_functions_of(aead->cipher, provider));
}

static void free_ciphers(void)
{
    for (unsigned i = 0; i < N_AEADS; i++) {
        libcrypto.EVP_CIPHER_free(libcrypto.aeads[i].cipher);
        libcrypto.aeads[i] = (struct libcrypto_aead){.cipher = NULL};
    }
    libcrypto.EVP_CIPHER_free(libcrypto.chacha20);
    libcrypto.chacha20 = NULL;
}

static enum err fetch_ciphers(void)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; i < N_AEADS && err == ERR_NONE; i++)
        err = fetch_aead(&libcrypto.aeads[i], aead_names[i]);
    libcrypto.chacha20 = libcrypto.EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
    if (err == ERR_NONE && libcrypto.chacha20 == NULL)
        err = ERR_MEMORY;
    if (err == ERR_NONE)
        return ERR_NONE;
    free_ciphers();
    libcrypto.ERR_clear_error();
    return err;
}

/* The library is never unloaded: what has its contexts may live to the process's end. */
static enum err load(void)
{
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || !find_functions(library))
        return ERR_NOT_FOUND;
    enum err err = fetch_ciphers();
    if (err == ERR_NONE)
        libsodium_load();
    return err;
}

enum err crypto_load(void)
{
    pthread_mutex_lock(&lock);
    enum err err = is_loaded ? ERR_NONE : load();
    is_loaded = err == ERR_NONE;
    pthread_mutex_unlock(&lock);
    return err;
}

/* Of a text such as "OPENSSL_ia32cap=0x7ffaf3bfffebffff:0x18c05fdef3bfa7eb env:..." the first
 * number, after the name: what OPENSSL_ia32cap in the environment has left of the processor's. */
static bool capabilities(uint64_t *bits, const char *text, const char *name)
{
    size_t n = strlen(name);
    if (text == NULL || strncmp(text, name, n) != 0)
        return false;
    *bits = strtoull(text + n, NULL, 0);
    return true;
}

bool crypto_has_fast_aes(void)
{
    /* OPENSSL_ia32cap(3): bit 57 is AESNI, bit 33 PCLMULQDQ. OpenSSL's arm_arch.h: bit 2 is AES, bit
     * 5 PMULL. Of other processors it does not tell, and ChaCha20 is good on all of them. */
    static const struct {
        const char *name;
        uint64_t wanted;
    } processors[] = {
        {"OPENSSL_ia32cap=", UINT64_C(1) << 57 | UINT64_C(1) << 33},
        {"OPENSSL_armcap=", UINT64_C(1) << 2 | UINT64_C(1) << 5},
    };
    const char *text = libcrypto.OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS);
    for (size_t i = 0; i < sizeof processors / sizeof processors[0]; i++) {
        uint64_t bits;
        if (capabilities(&bits, text, processors[i].name))
            return (bits & processors[i].wanted) == processors[i].wanted;
    }
    return false;
}
