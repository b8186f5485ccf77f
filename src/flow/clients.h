/*
 * How many connections each client address has to each inbound, for `per_client`, and how many
 * associations. It belongs to the process: a short lock is taken when a connection begins and when it
 * ends, only where the limit is configured, and so for an association.
 */
#ifndef SOCKEYE_FLOW_CLIENTS_H
#define SOCKEYE_FLOW_CLIENTS_H

#include <pthread.h>

#include "base/addr.h"

struct client_count;

struct clients {
    pthread_mutex_t lock;
    struct client_count *counts; /* by address and what is counted */
};

void clients_init(struct clients *clients);
void clients_deinit(struct clients *clients); /* everyone has left */

/* Counts one more. ERR_LIMIT: it has `max` already. ERR_MEMORY. `of` (an inbound's counts, say)
 * tells apart what is counted. */
NODISCARD enum err clients_enter(struct clients *clients, const void *of, const struct addr *from,
                                 uint64_t max);
/* One less; it was counted by clients_enter(). */
void clients_leave(struct clients *clients, const void *of, const struct addr *from);
uint64_t clients_count(struct clients *clients, const void *of, const struct addr *from);

#endif
