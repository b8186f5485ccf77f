#include "crypto/libcrypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

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

static enum err find_functions(void *library)
{
    static const struct {
        const char *name;
        size_t offset;
    } functions[] = {
#define FUNCTION(name) {#name, offsetof(struct libcrypto, name)},
        LIBCRYPTO_FUNCTIONS(FUNCTION)
#undef FUNCTION
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(library, functions[i].name);
        if (function == NULL)
            return ERR_NOT_FOUND;
        /* POSIX lets a pointer to a function be stored so. */
        memcpy((char *)&libcrypto + functions[i].offset, &function, sizeof function);
    }
    return ERR_NONE;
}

static void free_ciphers(void)
{
    for (unsigned i = 0; i < N_AEADS; i++) {
        libcrypto.EVP_CIPHER_free(libcrypto.aeads[i]);
        libcrypto.aeads[i] = NULL;
    }
    libcrypto.EVP_CIPHER_free(libcrypto.chacha20);
    libcrypto.chacha20 = NULL;
}

static enum err fetch_ciphers(void)
{
    bool is_complete = true;
    for (unsigned i = 0; i < N_AEADS; i++) {
        libcrypto.aeads[i] = libcrypto.EVP_CIPHER_fetch(NULL, aead_names[i], NULL);
        is_complete = is_complete && libcrypto.aeads[i] != NULL;
    }
    libcrypto.chacha20 = libcrypto.EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
    if (is_complete && libcrypto.chacha20 != NULL)
        return ERR_NONE;
    free_ciphers();
    libcrypto.ERR_clear_error();
    return ERR_MEMORY;
}

/* The library is never unloaded: what has its contexts may live to the process's end. */
static enum err load(void)
{
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return ERR_NOT_FOUND;
    enum err err = find_functions(library);
    return err == ERR_NONE ? fetch_ciphers() : err;
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
