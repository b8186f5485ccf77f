/* Collects the counters of all workers for the status socket, by mail. */
#ifndef SOCKEYE_DAEMON_COLLECT_H
#define SOCKEYE_DAEMON_COLLECT_H

#include "daemon/listening.h"
#include "daemon/reload.h"
#include "daemon/status.h"
#include "daemon/worker.h"

struct collector {
    struct runtime *const *runtime; /* the one in force */
    const struct reload_history *reloads;
    const struct listening *listening;
    struct worker *const *workers; /* the first is the one that asks and answers */
    size_t n_workers;
    uint64_t began_ms;
    uint64_t descriptors_limit;
};

/* Answers a request: a status_collect whose argument is a struct collector. */
void collect_status(void *collector, struct status_request *request);

#endif
