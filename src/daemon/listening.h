/*
 * The sockets that the configuration names, opened before privileges are dropped: one for each
 * address, or, with several workers, one for each address and worker.
 */
#ifndef SOCKEYE_DAEMON_LISTENING_H
#define SOCKEYE_DAEMON_LISTENING_H

#include <stddef.h>

#include "base/addr.h"
#include "config/config.h"

/* One address of an inbound. */
struct listening_on {
    size_t inbound;   /* index into the configuration's */
    struct addr addr; /* with the port chosen */
    int *fds;         /* one for each worker; -1: taken over by it */
};

struct listening {
    struct listening_on *items;
    struct addr *addrs; /* the same addresses once more, as a plain list */
    int *fds;           /* what the items' point into */
    size_t n, n_workers;
};

/* Opens all, telling of each on stderr. Returns an exit code: 0, or what was said to be wrong. */
int listening_open(struct listening *listening, const struct config *config, size_t n_workers);
/* Closes what no worker has taken over. */
void listening_close(struct listening *listening);

#endif
