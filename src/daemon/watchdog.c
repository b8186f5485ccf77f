#include "daemon/watchdog.h"

static enum err wait_on(struct watchdog *watchdog)
{
    struct loop *loop = watchdog->workers[0]->loop;
    return timer_set(loop_timers(loop), &watchdog->timer, loop_now_ms(loop) + watchdog->every_ms);
}

static void on_time(struct timer *timer)
{
    struct watchdog *watchdog = CONTAINER_OF(timer, struct watchdog, timer);
    /* While one is missing there is nothing to ask, and nothing to tell. */
    if (watchdog->n_missing == 0) {
        watchdog->n_missing = watchdog->n_workers;
        for (size_t i = 0; i < watchdog->n_workers; i++)
            worker_order_ping(watchdog->workers[i]);
    }
    /* A timer that has just fired can be set without memory. */
    if (wait_on(watchdog) != ERR_NONE)
        return;
}

enum err watchdog_start(struct watchdog *watchdog, struct notify *notify,
                        struct worker *const *workers, size_t n_workers)
{
    uint64_t every_ms = notify->watchdog_us / 2 / 1000;
    *watchdog = (struct watchdog){.notify = notify,
                                  .workers = workers,
                                  .n_workers = n_workers,
                                  .every_ms = every_ms > 0 ? every_ms : 1};
    timer_init(&watchdog->timer, on_time);
    return notify->watchdog_us == 0 ? ERR_NONE : wait_on(watchdog);
}

void watchdog_take_answer(struct watchdog *watchdog)
{
    if (--watchdog->n_missing == 0)
        notify_alive(watchdog->notify);
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (watchdog->workers != NULL)
        timer_clear(loop_timers(watchdog->workers[0]->loop), &watchdog->timer);
    watchdog->workers = NULL;
}
