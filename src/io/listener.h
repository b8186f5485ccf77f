/*
 * Listening sockets: opening them with errors that can be acted on, and accepting without ever
 * spinning. When descriptors run out a listener rests; what waits in its backlog is served when
 * listener_wake() is called (a descriptor was closed) or a moment has passed. One that is not needed any more
 * still serves what waits in its backlog.
 */
#ifndef SOCKEYE_IO_LISTENER_H
#define SOCKEYE_IO_LISTENER_H

#include <stdbool.h>

#include "base/addr.h"
#include "io/loop.h"
#include "io/socket.h"

struct listener_options {
    bool shares_port; /* SO_REUSEPORT with other processes, as the user asked for */
    bool for_own;     /* SO_REUSEPORT for further sockets of ours; other processes are kept out */
    const struct sock_options *options; /* interface and mark are heeded; NULL: none */
    uint16_t port_from, port_to;        /* in place of the address's port, if not 0: one of these */
};

/*
 * Opens, binds and listens. `addr` has the port chosen in place of 0 afterwards. ERR_IN_USE: the
 * port is taken. ERR_PERMITTED: no right to it. ERR_NET_UNREACH: the machine lacks the family.
 * ERR_HOST_UNREACH: not an address of this machine. ERR_DESCRIPTORS, ERR_SYSTEM.
 */
NODISCARD enum err listener_open(int *fd, struct addr *addr,
                                 const struct listener_options *options);

struct listener {
    struct watch watch;
    struct timer rest;
    /* Whether one more may be accepted now; else it rests as if descriptors had run out. */
    bool (*has_room)(struct listener *);
    /* Takes the descriptor of a new connection. */
    void (*on_accept)(struct listener *, int fd, const struct addr *from);
    /* Descriptors have run out, and the listener rests; said once until it has served again. */
    void (*on_shortage)(struct listener *, enum err err);
    /* After listener_leave(): it is closed. */
    void (*on_left)(struct listener *);
    bool is_shared; /* others have descriptors of the same socket */
    bool is_short;  /* on_shortage was called and nothing accepted since */
    bool is_leaving;
    unsigned n_may_accept; /* when leaving */
};

/* Sets what every connection inherits on a socket that listens already, opened by another. */
NODISCARD enum err listener_adopt(int fd);

/* Begins to accept on a descriptor, which the listener takes when it succeeds. The functions and
 * is_shared are set by the caller before. */
NODISCARD enum err listener_start(struct listener *listener, struct loop *loop, int fd);
/* Accepts nothing until listener_wake(), which cannot fail. */
void listener_pause(struct listener *listener);
/* There is room again; harmless when it does not rest. */
void listener_wake(struct listener *listener);
/* Accepts what waits in the backlog now, then closes and calls on_left. */
void listener_leave(struct listener *listener);
/* Closes; harmless when not started. */
void listener_stop(struct listener *listener);
/* Stops without closing: the descriptor is the caller's again. It has been started. */
void listener_release(struct listener *listener);

#endif
