/*
 * Where the service manager asks for signs of life: twice in each of its intervals every worker is
 * sent a ping, and when all have answered, the manager is told. A worker whose loop hangs ends that.
 */
#ifndef SOCKEYE_DAEMON_WATCHDOG_H
#define SOCKEYE_DAEMON_WATCHDOG_H

#include "daemon/notify.h"
#include "daemon/worker.h"
#include "io/timer.h"

struct watchdog {
    struct notify *notify;
    struct worker *const *workers; /* the first is the one whose loop this belongs to */
    size_t n_workers, n_missing;
    uint64_t every_ms;
    struct timer timer;
};

/* Begins, if signs of life are asked for. All workers run. ERR_MEMORY. */
NODISCARD enum err watchdog_start(struct watchdog *watchdog, struct notify *notify,
                                  struct worker *const *workers, size_t n_workers);
/* A ping has come back, on the first worker's thread. */
void watchdog_take_answer(struct watchdog *watchdog);
void watchdog_stop(struct watchdog *watchdog); /* harmless when not started */

#endif
