/*
 * Unix sockets that listen. What a process that ended has left behind is removed; one that answers,
 * and a file that is no socket, are not.
 */
#ifndef SOCKEYE_DAEMON_UNIXSOCK_H
#define SOCKEYE_DAEMON_UNIXSOCK_H

#include <sys/types.h>

#include "base/err.h"

/*
 * Listens at `path` with the file mode `mode`; nobody can connect before the mode is set. *fd is
 * owned. ERR_IN_USE: a process listens there, or it is no socket. ERR_TOO_LONG: longer than a
 * socket's path may be. ERR_PERMITTED, ERR_NOT_FOUND (no such directory), ERR_DESCRIPTORS,
 * ERR_SYSTEM.
 */
NODISCARD enum err unixsock_listen(int *fd, const char *path, mode_t mode);

/* Begins to connect; *fd is owned and non-blocking. ERR_REFUSED: nobody listens there.
 * ERR_AGAIN: somebody does, but has no room now. ERR_NOT_FOUND, ERR_PERMITTED, ERR_TOO_LONG and
 * the like. */
NODISCARD enum err unixsock_connect(int *fd, const char *path);

#endif
