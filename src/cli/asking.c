#include "cli/asking.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "config/utf8.h"
#include "daemon/unixsock.h"
#include "io/sys.h"

#define ANSWER_MS 5000
#define ANSWER_MAX_BYTES ((size_t)256 * 1024 * 1024) /* many more sessions than one process has */

/* How an answer begins that is none. */
static const char error_head[] = "error: ";

/* Waits for readiness; false when time is up. */
static bool await(int fd, uint64_t until_ms)
{
    for (;;) {
        uint64_t now_ms = sys_monotonic_ms();
        if (now_ms >= until_ms)
            return false;
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};
        if (sys_poll(&pollfd, 1, (int)(until_ms - now_ms)) > 0)
            return true;
    }
}

/* Room for more, and for a zero behind it. */
static enum err make_room(char **bytes, size_t n, size_t *cap)
{
    if (n + 1 < *cap)
        return ERR_NONE;
    if (*cap >= ANSWER_MAX_BYTES)
        return ERR_TOO_LONG;
    size_t more = *cap == 0 ? 16 * 1024 : 2 * *cap;
    char *grown = realloc(*bytes, more);
    if (grown == NULL)
        return ERR_MEMORY;
    *bytes = grown;
    *cap = more;
    return ERR_NONE;
}

/* All that comes until the end. */
static enum err receive(int fd, char **bytes, size_t *n, uint64_t until_ms)
{
    size_t cap = 0;
    for (;;) {
        enum err err = make_room(bytes, *n, &cap);
        if (err != ERR_NONE)
            return err;
        if (!await(fd, until_ms))
            return ERR_TIMEOUT;
        ssize_t got = sys_recv(fd, *bytes + *n, cap - 1 - *n, 0);
        if (got < 0 && errno != EAGAIN)
            return sys_err(errno);
        *n += got > 0 ? (size_t)got : 0;
        (*bytes)[*n] = '\0';
        if (got == 0)
            return *n > 0 && (*bytes)[*n - 1] == '\n' ? ERR_NONE : ERR_EOF;
    }
}

/* It is shown on a terminal, and whoever answers may have put into it what moves a cursor. */
static void blot_controls(char *bytes, size_t n)
{
    size_t length;
    for (size_t i = 0; i < n; i += length) {
        uint32_t c = 0;
        length = utf8_decode(&c, bytes + i, n - i);
        bool is_control =
            (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || length == 0;
        length = length == 0 ? 1 : length;
        if (is_control)
            memset(bytes + i, '?', length);
    }
}

enum err asking_ask(const char *path, const char *line, char **answer, size_t *n)
{
    int fd;
    char *bytes = NULL;
    *answer = NULL;
    *n = 0;
    enum err err = unixsock_connect(&fd, path);
    if (err != ERR_NONE)
        return err;
    /* A line fits into the buffer of a new socket. */
    err = sys_send(fd, line, strlen(line), 0) < 0
              ? sys_err(errno)
              : receive(fd, &bytes, n, sys_monotonic_ms() + ANSWER_MS);
    sys_close(fd);
    if (err != ERR_NONE) {
        free(bytes);
        return err;
    }
    *answer = bytes;
    blot_controls(bytes, *n);
    size_t n_head = sizeof error_head - 1;
    return *n >= n_head && memcmp(bytes, error_head, n_head) == 0 ? ERR_BAD : ERR_NONE;
}

int asking_say_failure(const char *path, enum err err, const char *answer)
{
    switch (err) {
    case ERR_NOT_FOUND:
    case ERR_REFUSED:
        fprintf(
            stderr,
            "sockeye: nobody answers at %s: is sockeye running? Another place: --socket PATH, or "
            "-c FILE for what that configuration says\n",
            path);
        return EX_UNAVAILABLE;
    case ERR_PERMITTED:
        fprintf(stderr, "sockeye: %s: not permitted; ask as the user that started it\n", path);
        return EX_NOPERM;
    case ERR_BAD:
        fprintf(stderr, "sockeye: the running sockeye says: %s", answer + sizeof error_head - 1);
        return EX_UNAVAILABLE;
    case ERR_TIMEOUT:
    case ERR_AGAIN:
        fprintf(stderr, "sockeye: %s: no answer within %d s\n", path, ANSWER_MS / 1000);
        return EX_UNAVAILABLE;
    case ERR_EOF:
    case ERR_RESET:
        fprintf(stderr, "sockeye: %s: the answer ended before its end\n", path);
        return EX_UNAVAILABLE;
    default:
        fprintf(stderr, "sockeye: %s: %s\n", path, err_text(err));
        return EX_UNAVAILABLE;
    }
}

int asking_find_socket(char path[static PATHS_SOCKET_BYTES], const char *socket_path,
                       const char *config_path)
{
    char *found = NULL;
    const char *configured = socket_path != NULL ? socket_path : "auto";
    int code = EX_OK;
    if (socket_path == NULL && config_path != NULL) {
        code = cli_find_admin_socket(&found, config_path);
        if (code != EX_OK)
            return code;
        configured = found;
    }
    if (configured[0] == '\0') {
        fprintf(stderr,
                "sockeye: there is no status socket by that configuration (admin: {socket: ''})\n");
        code = EX_UNAVAILABLE;
    } else if (paths_admin_socket(path, configured) != ERR_NONE) {
        fprintf(stderr, "sockeye: %.200s: longer than a socket's path may be\n", configured);
        code = EX_UNAVAILABLE;
    }
    free(found);
    return code;
}
