/* Where files are looked for, and reading one whole. */
#ifndef SOCKEYE_DAEMON_PATHS_H
#define SOCKEYE_DAEMON_PATHS_H

#include <stddef.h>

#include "base/err.h"
#include "config/config.h"

#define PATHS_BYTES 4096 /* a path and its zero byte */
#define PATHS_N_CONFIGS 4
#define PATHS_SOCKET_BYTES 108 /* what a unix socket's address holds, zero byte included */
#define PATHS_CONFIG_BYTES ((size_t)4 * 1024 * 1024)
#define PATHS_MESSAGE_BYTES (PATHS_BYTES + 128)

/*
 * The places where a configuration is looked for, in order: sockeye.yaml in .,
 * $XDG_CONFIG_HOME/sockeye, ~/.config/sockeye, /etc/sockeye. Returns how many there are; what
 * depends on a variable that is unset or not absolute is left out.
 */
size_t paths_config_places(char places[static PATHS_N_CONFIGS][PATHS_BYTES]);

/* The first of them where there is something, readable or not. ERR_NOT_FOUND: nowhere. */
NODISCARD enum err paths_find_config(char out[static PATHS_BYTES]);

/*
 * Reads a file of at most max_bytes; *text, which is owned, has a zero byte after its *n bytes.
 * ERR_NOT_FOUND, ERR_PERMITTED, ERR_BAD (a directory), ERR_TOO_LONG, ERR_MEMORY, ERR_SYSTEM; errno
 * has the system's word where it said one.
 */
NODISCARD enum err paths_read_file(const char *path, size_t max_bytes, char **text, size_t *n);

/*
 * Reads a file of at most PATHS_CONFIG_BYTES; *text, which is owned, has a zero byte after its *n
 * bytes. On an error `message` says "path: what is wrong": ERR_NOT_FOUND, ERR_PERMITTED, ERR_BAD (a
 * directory), ERR_TOO_LONG, ERR_MEMORY, ERR_SYSTEM.
 */
NODISCARD enum err paths_read_config(const char *path, char **text, size_t *n,
                                     char message[static PATHS_MESSAGE_BYTES]);

/* The environment and the files of this machine. */
extern const struct config_sources paths_sources;

/*
 * The status socket of admin.socket, which is "auto" or a path: for root "auto" is in /run, else in
 * $XDG_RUNTIME_DIR, else in /run. ERR_TOO_LONG: longer than a socket's path may be.
 */
NODISCARD enum err paths_admin_socket(char out[static PATHS_SOCKET_BYTES], const char *configured);

#endif
