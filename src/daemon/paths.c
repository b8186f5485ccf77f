#include "daemon/paths.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "crypto/crypto.h"
#include "crypto/sign.h"
#include "io/sys.h"

/* The first guess at a file's size. */
#define FIRST_BYTES ((size_t)16 * 1024)

/* Of a variable that holds a directory; the XDG rules say that a relative one is ignored. */
static const char *directory_from(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

static bool join(char *out, size_t cap, const char *directory, const char *rest)
{
    int n = snprintf(out, cap, "%s/%s", directory, rest);
    return n > 0 && (size_t)n < cap;
}

size_t paths_config_places(char places[static PATHS_N_CONFIGS][PATHS_BYTES])
{
    const struct {
        const char *directory, *rest;
    } candidates[PATHS_N_CONFIGS] = {
        {".", "sockeye.yaml"},
        {directory_from("XDG_CONFIG_HOME"), "sockeye/sockeye.yaml"},
        {directory_from("HOME"), ".config/sockeye/sockeye.yaml"},
        {"/etc", "sockeye/sockeye.yaml"},
    };
    size_t n = 0;
    for (size_t i = 0; i < PATHS_N_CONFIGS; i++) {
        if (candidates[i].directory != NULL &&
            join(places[n], PATHS_BYTES, candidates[i].directory, candidates[i].rest))
            n++;
    }
    return n;
}

enum err paths_find_config(char out[static PATHS_BYTES])
{
    char places[PATHS_N_CONFIGS][PATHS_BYTES];
    size_t n = paths_config_places(places);
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        /* One that may not be looked at is not passed over in silence: reading it will say why. */
        if (sys_stat(places[i], &st) == 0 || (errno != ENOENT && errno != ENOTDIR)) {
            memcpy(out, places[i], PATHS_BYTES);
            return ERR_NONE;
        }
    }
    return ERR_NOT_FOUND;
}

static enum err fail(enum err err, char *message, const char *path, const char *what)
{
    snprintf(message, PATHS_MESSAGE_BYTES, "%s: %s", path, what);
    return err;
}

/* Makes room for another byte of text and the zero byte. There may be secrets in it, of which
 * realloc() would leave copies. */
static bool grow(char **text, size_t *cap, size_t n)
{
    if (n + 1 < *cap)
        return true;
    size_t wanted = *cap == 0 ? FIRST_BYTES : *cap * 2;
    char *grown = malloc(wanted);
    if (grown == NULL)
        return false;
    if (n > 0) {
        memcpy(grown, *text, n);
        secret_wipe(*text, n);
    }
    free(*text);
    *text = grown;
    *cap = wanted;
    return true;
}

/* Reads to the end, as the size of what is no ordinary file is not known before. */
static enum err read_all(int fd, size_t max_bytes, char **text, size_t *n)
{
    size_t cap = 0;
    for (;;) {
        if (!grow(text, &cap, *n))
            return ERR_MEMORY;
        ssize_t got = sys_read(fd, *text + *n, cap - *n - 1);
        if (got < 0)
            return errno == EISDIR ? ERR_BAD : ERR_SYSTEM;
        if (got == 0)
            break;
        *n += (size_t)got;
        if (*n > max_bytes)
            return ERR_TOO_LONG;
    }
    (*text)[*n] = '\0';
    return ERR_NONE;
}

enum err paths_read_file(const char *path, size_t max_bytes, char **text, size_t *n)
{
    *text = NULL;
    *n = 0;
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return sys_err(errno);
    enum err err = read_all(fd, max_bytes, text, n);
    int saved_errno = errno;
    sys_close(fd);
    if (err != ERR_NONE && *text != NULL) {
        secret_wipe(*text, *n);
        free(*text);
        *text = NULL;
    }
    errno = saved_errno;
    return err;
}

enum err paths_read_config(const char *path, char **text, size_t *n,
                           char message[static PATHS_MESSAGE_BYTES])
{
    enum err err = paths_read_file(path, PATHS_CONFIG_BYTES, text, n);
    switch (err) {
    case ERR_NONE:
        return ERR_NONE;
    case ERR_TOO_LONG:
        return fail(err, message, path,
                    "longer than 4 MiB; long lists belong into files of their own");
    case ERR_MEMORY:
        return fail(err, message, path, "out of memory");
    case ERR_BAD:
        return fail(err, message, path, "a directory; expected a file");
    default:
        return fail(err, message, path, strerror(errno));
    }
}

static const char *from_environment(const char *name)
{
    return getenv(name);
}

static bool knows_hash(const char *hash)
{
    int verdict = crypt_checksalt(hash);
    return verdict != CRYPT_SALT_INVALID && verdict != CRYPT_SALT_METHOD_DISABLED;
}

static const char *judge_pem(const char *text, size_t n, bool is_private)
{
    const char *why = NULL;
    struct sign_key *own = NULL;
    struct verify_key *others = NULL;
    enum err err = crypto_load();
    if (err == ERR_NOT_FOUND)
        return "keys cannot be read, as OpenSSL's libcrypto, version 3, is not there";
    if (err == ERR_NONE)
        err = is_private ? sign_key_read(&own, text, n, &why)
                         : verify_key_read(&others, text, n, &why);
    sign_key_free(own);
    verify_key_free(others);
    return err == ERR_BAD ? why : err == ERR_NONE ? NULL : err_text(err);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    return sys_stat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_mode & 07777 : 0;
}

const struct config_sources paths_sources = {.getenv = from_environment,
                                             .read_file = paths_read_file,
                                             .knows_hash = knows_hash,
                                             .judge_pem = judge_pem,
                                             .mode_of = mode_of};

enum err paths_admin_socket(char out[static PATHS_SOCKET_BYTES], const char *configured)
{
    if (strcmp(configured, "auto") != 0) {
        size_t n = strlen(configured);
        if (n >= PATHS_SOCKET_BYTES)
            return ERR_TOO_LONG;
        memcpy(out, configured, n + 1);
        return ERR_NONE;
    }
    const char *directory = geteuid() == 0 ? NULL : directory_from("XDG_RUNTIME_DIR");
    return join(out, PATHS_SOCKET_BYTES, directory == NULL ? "/run" : directory, "sockeye.sock")
               ? ERR_NONE
               : ERR_TOO_LONG;
}
