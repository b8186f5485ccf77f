#include "crypto/chacha20.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "crypto/libcrypto.h"

enum err chacha20_xor(uint8_t *bytes, size_t n, const uint8_t key[static CHACHA20_KEY_BYTES],
                      const uint8_t nonce[static CHACHA20_NONCE_BYTES])
{
    /* OpenSSL takes the block's number, little-endian, and the nonce as one. */
    enum { COUNTER_BYTES = 4 };
    uint8_t iv[COUNTER_BYTES + CHACHA20_NONCE_BYTES] = {0};
    int n_out;
    assert(n <= AEAD_MAX_BYTES);
    memcpy(iv + COUNTER_BYTES, nonce, CHACHA20_NONCE_BYTES);
    EVP_CIPHER_CTX *context = libcrypto.EVP_CIPHER_CTX_new();
    bool is_good = context != NULL &&
                   libcrypto.EVP_CipherInit_ex2(context, libcrypto.chacha20, key, iv, 1, NULL) &&
                   (n == 0 || libcrypto.EVP_CipherUpdate(context, bytes, &n_out, bytes, (int)n));
    libcrypto.EVP_CIPHER_CTX_free(context);
    if (!is_good)
        libcrypto.ERR_clear_error();
    return is_good ? ERR_NONE : ERR_MEMORY;
}
