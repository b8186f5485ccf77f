/* Asks a running sockeye at its status socket: what `status` and `top` have in common. */
#ifndef SOCKEYE_CLI_ASKING_H
#define SOCKEYE_CLI_ASKING_H

#include <stddef.h>

#include "base/err.h"
#include "cli/options.h"
#include "daemon/paths.h"

/* Where to ask: at `socket_path`, or where the configuration at `config_path` says, or, without both, where `auto` is. Returns 0, or an exit
 * code after saying why. */
int asking_find_socket(char path[static PATHS_SOCKET_BYTES], const char *socket_path,
                       const char *config_path);

/*
 * Sends the line, which ends with a newline, and returns the whole answer, owned (free()), zero terminated behind its *n bytes. ERR_BAD: it is
 * an error, which *answer says, owned too. ERR_NOT_FOUND, ERR_REFUSED: nobody is there. ERR_PERMITTED. ERR_TIMEOUT, ERR_AGAIN: no answer in
 * time. ERR_EOF, ERR_RESET: it ended before its end. ERR_TOO_LONG, ERR_MEMORY and others of the system's.
 */
NODISCARD enum err asking_ask(const char *path, const char *line, char **answer, size_t *n);

/* Says what asking_ask() returned, but for ERR_NONE; returns an exit code. */
int asking_say_failure(const char *path, enum err err, const char *answer);

enum { ASKING_OPTION_SOCKET = CLI_LONG_ONLY + 100 };

#define ASKING_OPTIONS                                                                     \
    {'c', CLI_FILE, "config", "FILE", "asks at the socket that this configuration names"}, \
    {                                                                                      \
        ASKING_OPTION_SOCKET, CLI_FILE, "socket", "PATH",                                  \
            "asks at this socket; without both at /run/sockeye.sock for root,\n"           \
            "else at $XDG_RUNTIME_DIR/sockeye.sock"                                        \
    }

#endif
