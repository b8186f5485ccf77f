/*
 * Socket activation: who started us may have opened sockets for us already and hands them over as
 * descriptors (sd_listen_fds(3)). They are told apart by the address they listen on, which the
 * configuration must name; their order and names say nothing.
 */
#ifndef SOCKEYE_DAEMON_ACTIVATION_H
#define SOCKEYE_DAEMON_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "daemon/voice.h"

#define ACTIVATION_MAX 256
#define ACTIVATION_PATH_BYTES 108

struct activation_socket {
    int fd; /* -1: taken */
    struct addr addr;
    char path[ACTIVATION_PATH_BYTES]; /* of a unix socket; else empty */
    bool is_dual;                     /* on [::], and takes in IPv4 too */
};

struct activation {
    struct activation_socket sockets[ACTIVATION_MAX];
    size_t n;
};

/*
 * Takes the descriptors that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES tell of, and those variables
 * out of the environment, so that no child takes them for its own. Before there are threads. What
 * is no stream socket that listens is closed, and `voice` told.
 */
void activation_init(struct activation *activation, struct voice *voice);

/* The one that listens on this address, or at this path where there is one; NULL: none. */
struct activation_socket *activation_find(struct activation *activation, const struct addr *addr,
                                          const char *path);

/* Returns the descriptor, which is the caller's now. */
int activation_take(struct activation_socket *socket);

/* Closes what nobody has taken, and tells `voice`. */
void activation_close(struct activation *activation, struct voice *voice);

#endif
