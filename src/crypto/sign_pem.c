#include <string.h>

#include "crypto/keys.h"

/* Asked for a passphrase, which nobody is there to type. Without such a function the library would
 * ask at the terminal. */
static int refuse_passphrase(char *passphrase, int n, int is_written, void *was_asked)
{
    (void)passphrase;
    (void)n;
    (void)is_written;
    *(bool *)was_asked = true;
    return -1;
}

/* What can be read of the text, by one of PEM_read_bio_PrivateKey and PEM_read_bio_PUBKEY. */
static enum err read_pem(EVP_PKEY **pkey, const char *text, size_t n,
                         __typeof__(PEM_read_bio_PUBKEY) *reader, const char *what,
                         const char **why)
{
    bool was_asked = false;
    if (n > SIGN_PEM_MAX_BYTES) {
        *why = "it is too long";
        return ERR_BAD;
    }
    BIO *bio = libcrypto.BIO_new_mem_buf(text, (int)n);
    if (bio == NULL) {
        libcrypto.ERR_clear_error();
        return ERR_MEMORY;
    }
    *pkey = reader(bio, NULL, refuse_passphrase, &was_asked);
    libcrypto.BIO_free(bio);
    if (*pkey != NULL)
        return ERR_NONE;
    libcrypto.ERR_clear_error();
    *why = was_asked ? "it is encrypted, and sockeye knows no passphrase" : what;
    return ERR_BAD;
}

enum err sign_key_read(struct sign_key **key, const char *text, size_t n, const char **why)
{
    EVP_PKEY *pkey;
    enum err err = read_pem(&pkey, text, n, libcrypto.PEM_read_bio_PrivateKey,
                            "it holds no private key in PEM", why);
    return err == ERR_NONE ? sign_key_of(key, pkey, why) : err;
}

enum err verify_key_read(struct verify_key **key, const char *text, size_t n, const char **why)
{
    EVP_PKEY *pkey;
    enum err err = read_pem(&pkey, text, n, libcrypto.PEM_read_bio_PUBKEY,
                            "it holds no public key in PEM", why);
    return err == ERR_NONE ? verify_key_of(key, pkey, why) : err;
}

/* Takes what was written, and frees the BIO, which wipes it. */
static enum err take_text(BIO *bio, bool is_written, char *text, size_t *n)
{
    enum err err = ERR_MEMORY;
    if (is_written) {
        int got = libcrypto.BIO_read(bio, text, SIGN_PEM_MAX_BYTES);
        *n = got > 0 ? (size_t)got : 0;
        err = got > 0 ? ERR_NONE : ERR_MEMORY;
    }
    libcrypto.BIO_free(bio);
    if (err != ERR_NONE)
        libcrypto.ERR_clear_error();
    return err;
}

enum err sign_key_write(const struct sign_key *key, char text[static SIGN_PEM_MAX_BYTES], size_t *n)
{
    BIO *bio = libcrypto.BIO_new(libcrypto.BIO_s_mem());
    bool is_written = bio != NULL && libcrypto.PEM_write_bio_PKCS8PrivateKey(
                                         bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1;
    return take_text(bio, is_written, text, n);
}

enum err verify_key_write(const struct verify_key *key, char text[static SIGN_PEM_MAX_BYTES],
                          size_t *n)
{
    BIO *bio = libcrypto.BIO_new(libcrypto.BIO_s_mem());
    bool is_written = bio != NULL && libcrypto.PEM_write_bio_PUBKEY(bio, key->pkey) == 1;
    return take_text(bio, is_written, text, n);
}
