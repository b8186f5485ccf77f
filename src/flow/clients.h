/*
 * How many connections each client address has to each inbound, for `per_client`, how many
 * associations, and the same of a tunnel's users, with how many sessions they have. It belongs to the process: a short lock is
 * taken when a connection begins and when it ends, only where the limit is configured, and so for an association and a session.
 */
#ifndef SOCKEYE_FLOW_CLIENTS_H
#define SOCKEYE_FLOW_CLIENTS_H

#include <pthread.h>

#include "base/addr.h"

#define USER_ID_BYTES 8

struct client_count;

/* What is counted. */
struct counted {
    const void *of;        /* tells apart what for: an inbound's counts, say */
    const uint8_t *user;   /* by which user, of USER_ID_BYTES; NULL: whoever */
    const struct addr *at; /* from which address, whatever its port; NULL: from anywhere */
};

struct clients {
    pthread_mutex_t lock;
    struct client_count *counts; /* by address and what is counted */
};

void clients_init(struct clients *clients);
void clients_deinit(struct clients *clients); /* everyone has left */

/* Counts one more. ERR_LIMIT: there are `max` already. ERR_MEMORY. */
NODISCARD enum err clients_enter(struct clients *clients, const struct counted *counted,
                                 uint64_t max);
/* One less; it was counted by clients_enter(). */
void clients_leave(struct clients *clients, const struct counted *counted);
uint64_t clients_count(struct clients *clients, const struct counted *counted);

#endif
