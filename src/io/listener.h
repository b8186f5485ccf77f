/*
 * Listening sockets: opening them with errors that can be acted on, and accepting without ever
 * spinning. When descriptors run out a listener rests; what waits in its backlog is served when
 * listener_wake() is called (a descriptor was closed) or a moment has passed.
 */
#ifndef SOCKEYE_IO_LISTENER_H
#define SOCKEYE_IO_LISTENER_H

#include <stdbool.h>

#include "base/addr.h"
#include "io/loop.h"

struct listener_options {
    bool shares_port; /* SO_REUSEPORT with other processes, as the user asked for */
    bool for_workers; /* SO_REUSEPORT among our own sockets; other processes are kept out */
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
    bool is_short; /* on_shortage was called and nothing accepted since */
};

/* Begins to accept on a descriptor, which the listener takes when it succeeds. The three functions
 * are set by the caller before. */
NODISCARD enum err listener_start(struct listener *listener, struct loop *loop, int fd);
/* There is room again; harmless when it does not rest. */
void listener_wake(struct listener *listener);
/* Closes; harmless when not started. */
void listener_stop(struct listener *listener);

#endif
