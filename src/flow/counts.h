/*
 * What an inbound's limits are measured by. It outlives the reading of the configuration that made
 * the inbound: the inbound of that name in the next one goes on counting where this one stood, as
 * the connections of before are still there.
 */
#ifndef SOCKEYE_FLOW_COUNTS_H
#define SOCKEYE_FLOW_COUNTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct inbound_counts {
    struct list link;
    const char *name;
    size_t n_holders; /* inbounds of that name, one for each reading of the configuration in use */
    _Atomic(uint64_t) n_connections, n_associations;
};

/* Those of all inbounds. Its lock is taken only where a reading of the configuration comes or goes. */
struct counts {
    pthread_mutex_t lock;
    struct list all;
};

void counts_init(struct counts *counts);
void counts_deinit(struct counts *counts); /* everything has been released */

/* Those of the inbound with this name, made where there are none yet; to be released. ERR_MEMORY. */
NODISCARD enum err counts_hold(struct counts *counts, const char *inbound,
                               struct inbound_counts **out);
void counts_release(struct counts *counts, struct inbound_counts *of_inbound); /* NULL is fine */

#endif
