/*
 * One address that is listened on, for all workers.
 *
 *     TCP           one socket for each worker on the same port (SO_REUSEPORT)
 *     unix, given   one socket that all workers share, each by a descriptor of its own
 */
#ifndef SOCKEYE_DAEMON_LISTENSOCK_H
#define SOCKEYE_DAEMON_LISTENSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/addr.h"
#include "daemon/activation.h"

/* Outlives the reading of the configuration that it was opened for, while the next ones keep it. */
struct listensock {
    struct addr asked; /* as it was configured then: its port may be 0 */
    struct addr addr;  /* with the port chosen; family NONE: a unix socket */
    char *path;        /* of a unix socket */
    dev_t dev;         /* of its file, so that no other's is removed */
    ino_t ino;
    bool is_shared;
    bool is_given; /* by who started us, who has it too */
    bool is_dual;  /* given, on [::], and takes in IPv4 too */
    int fds[];     /* one for each worker; -1: taken over by it */
};

struct listensock_options {
    size_t n_workers;
    bool shares_port; /* with other processes, as the user asked for */
    bool has_own;     /* one of ours may be in the way, which this one may stand beside */
};

/* Opens an address; `asked` is what the configuration says of it. Errors are those of listener_open()
 * and ERR_MEMORY; *out is owned. */
NODISCARD enum err listensock_open_tcp(struct listensock **out, const struct addr *asked,
                                       const struct addr *addr,
                                       const struct listensock_options *options);

/* The same at a path; errors are those of unixsock_listen(). */
NODISCARD enum err listensock_open_unix(struct listensock **out, const char *path,
                                        size_t n_workers);

/* Takes what was given at the start: on an address, or at a path. */
NODISCARD enum err listensock_adopt(struct listensock **out, struct activation_socket *given,
                                    size_t n_workers);

/* Closes what no worker has taken over, and removes a unix socket's file. */
void listensock_free(struct listensock *sock, size_t n_workers);

/* Whether its path still leads to it. */
bool listensock_is_at_path(const struct listensock *sock);
/* Removes the file, unless it is another's by now. */
void listensock_remove_file(const struct listensock *sock);

#endif
