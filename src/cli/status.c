/* sockeye status: asks a running sockeye how it is, at its status socket. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "daemon/unixsock.h"
#include "io/sys.h"

#define ANSWER_MS 5000

enum { OPTION_JSON = CLI_LONG_ONLY, OPTION_SOCKET };

/* Waits for readiness; false when time is up. */
static bool await(int fd, short events, uint64_t until_ms)
{
    for (;;) {
        uint64_t now_ms = sys_monotonic_ms();
        if (now_ms >= until_ms)
            return false;
        struct pollfd pollfd = {.fd = fd, .events = events};
        if (sys_poll(&pollfd, 1, (int)(until_ms - now_ms)) > 0)
            return true;
    }
}

/* How an answer begins that is none. */
static const char error_head[] = "error: ";
#define ERROR_HEAD_BYTES (sizeof error_head - 1)

/* Fills `bytes` as far as `cap`, or to the end of the answer. */
static enum err receive(int fd, char *bytes, size_t cap, size_t *n, uint64_t until_ms)
{
    *n = 0;
    while (*n < cap) {
        if (!await(fd, POLLIN, until_ms))
            return ERR_TIMEOUT;
        ssize_t got = sys_recv(fd, bytes + *n, cap - *n, 0);
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got < 0)
            return sys_err(errno);
        if (got == 0)
            return ERR_EOF;
        *n += (size_t)got;
    }
    return ERR_NONE;
}

/* Copies the answer to stdout, an error to stderr. ERR_EOF: it ended before its end. ERR_BAD: it was
 * an error, and said. */
static enum err print_answer(int fd, uint64_t until_ms)
{
    char bytes[4096];
    char last = '\0';
    bool is_error = false;
    for (bool is_first = true;; is_first = false) {
        size_t n;
        enum err err = receive(fd, bytes, sizeof bytes, &n, until_ms);
        if (err != ERR_NONE && err != ERR_EOF)
            return err;
        if (is_first && n >= ERROR_HEAD_BYTES && memcmp(bytes, error_head, ERROR_HEAD_BYTES) == 0) {
            is_error = true;
            fprintf(stderr, "sockeye: the running sockeye says: %.*s", (int)(n - ERROR_HEAD_BYTES),
                    bytes + ERROR_HEAD_BYTES);
        } else {
            fwrite(bytes, 1, n, is_error ? stderr : stdout);
        }
        last = n > 0 ? bytes[n - 1] : last;
        if (err == ERR_EOF && last != '\n')
            return ERR_EOF;
        if (err == ERR_EOF)
            return is_error ? ERR_BAD : ERR_NONE;
    }
}

static enum err ask(const char *path, bool json)
{
    const char *request = json ? "status json\n" : "status\n";
    int fd;
    enum err err = unixsock_connect(&fd, path);
    if (err != ERR_NONE)
        return err;
    /* A line fits into the buffer of a new socket. */
    err = sys_send(fd, request, strlen(request), 0) < 0
              ? sys_err(errno)
              : print_answer(fd, sys_monotonic_ms() + ANSWER_MS);
    sys_close(fd);
    return err;
}

static int say_failure(const char *path, enum err err)
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

/* Where to ask: what was said, or what a configuration says, or what `auto` is. */
static int find_socket(char path[static PATHS_SOCKET_BYTES], const char *socket_path,
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

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *socket_path = NULL, *config_path = NULL;
    bool json = false;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == 'c')
            config_path = optarg;
        else if (got == OPTION_SOCKET)
            socket_path = optarg;
        else
            json = true;
    }
    if (parser.is_over)
        return parser.code;

    char path[PATHS_SOCKET_BYTES];
    int code = find_socket(path, socket_path, config_path);
    if (code != EX_OK)
        return code;
    enum err err = ask(path, json);
    return err == ERR_NONE ? EX_OK : say_failure(path, err);
}

static const struct cli_option options[] = {
    {OPTION_JSON, .name = "json", .help = "as one JSON object"},
    {'c', CLI_FILE, "config", "FILE", "asks at the socket that this configuration names"},
    {OPTION_SOCKET, CLI_FILE, "socket", "PATH",
     "asks at this socket; without both at /run/sockeye.sock for root,\n"
     "else at $XDG_RUNTIME_DIR/sockeye.sock"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_status = {
    .name = "status",
    .about =
        "Asks a running sockeye for its flows, workers and limits, and what it refused and why.",
    .options = options,
    .run = run,
};
