#include "cli/keypair.h"

#include <stdio.h>
#include <sysexits.h>

#include "base/secret.h"
#include "cli/newfile.h"
#include "crypto/crypto.h"
#include "daemon/paths.h"
#include "io/random.h"

static int complain(enum err err)
{
    if (err == ERR_NOT_FOUND)
        fprintf(stderr, "sockeye: OpenSSL's libcrypto, version 3, is not there\n");
    else
        fprintf(stderr, "sockeye: cannot make keys: %s\n", err_text(err));
    return err == ERR_NOT_FOUND ? EX_UNAVAILABLE : EX_OSERR;
}

static int write_private(const struct sign_key *key, const char *path)
{
    char pem[SIGN_PEM_MAX_BYTES];
    size_t n;
    enum err err = sign_key_write(key, pem, &n);
    int code = err == ERR_NONE ? newfile_make(path, 0600, pem, n) : complain(err);
    secret_wipe(pem, sizeof pem);
    return code;
}

static int write_public(const struct verify_key *key, const char *path)
{
    char pem[SIGN_PEM_MAX_BYTES];
    size_t n;
    enum err err = verify_key_write(key, pem, &n);
    return err == ERR_NONE ? newfile_make(path, 0644, pem, n) : complain(err);
}

static int write_both(const struct sign_key *key, const char *name)
{
    char private_path[PATHS_BYTES], public_path[PATHS_BYTES];
    if (snprintf(private_path, sizeof private_path, "%s.key", name) >= PATHS_BYTES ||
        snprintf(public_path, sizeof public_path, "%s.pub", name) >= PATHS_BYTES) {
        fprintf(stderr, "sockeye: the path is too long\n");
        return EX_CANTCREAT;
    }
    int code = write_private(key, private_path);
    if (code != EX_OK)
        return code;
    code = write_public(sign_key_public(key), public_path);
    if (code != EX_OK)
        newfile_unmake(private_path);
    return code;
}

int keypair_make(enum sign_kind kind, const char *name)
{
    struct sign_key *key;
    enum err err = crypto_load();
    if (err == ERR_NONE)
        err = sign_key_generate(&key, kind, SIGN_MIN_RSA_BITS, &system_rng);
    if (err != ERR_NONE)
        return complain(err);
    int code = write_both(key, name);
    sign_key_free(key);
    return code;
}
