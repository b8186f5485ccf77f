/* What sign.c and sign_pem.c share; inside crypto/ only. */
#ifndef SOCKEYE_CRYPTO_KEYS_H
#define SOCKEYE_CRYPTO_KEYS_H

#include "base/secret.h"
#include "crypto/libcrypto.h"
#include "crypto/sign.h"

struct verify_key {
    EVP_PKEY *pkey;
    uint8_t *spki; /* the library's allocation */
    size_t n_spki;
};

struct sign_key {
    EVP_PKEY *pkey;
    struct verify_key public_key; /* has the same pkey */
};

/* Both take the pkey, also where they fail. ERR_BAD: not a kind or size of ours, and why. */
NODISCARD enum err sign_key_of(struct sign_key **key, EVP_PKEY *pkey, const char **why);
NODISCARD enum err verify_key_of(struct verify_key **key, EVP_PKEY *pkey, const char **why);

#endif
