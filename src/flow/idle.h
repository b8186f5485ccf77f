/*
 * One timer for a class of equal waits. Everyone in a queue has the same limit, so the queue is in
 * the order of the deadlines and only its head needs a timer; entering, leaving and being touched
 * cost no more than a few pointers.
 *
 * A wait that is touched (a connection with traffic) is moved to the end only when touch_ms have
 * passed since it was last moved. The timer may be late_ms late and then serves all who are due, so
 * that those who came one after the other do not wake the loop one after the other. A wait expires
 * between the limit and limit + touch_ms + late_ms after it entered or was last touched.
 */
#ifndef SOCKEYE_FLOW_IDLE_H
#define SOCKEYE_FLOW_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "io/loop.h"

struct idle_wait {
    struct list link;
    struct idle_queue *queue; /* NULL: waits in none */
    uint64_t since_ms;
};

struct idle_queue {
    struct list waiting;
    struct timer timer;
    struct loop *loop;
    uint64_t limit_ms; /* 0: nobody ever expires */
    uint64_t touch_ms, late_ms;
    bool is_lazy;
    void (*expire)(struct idle_wait *); /* the wait has left the queue */
};

void idle_queue_init(struct idle_queue *queue, struct loop *loop, uint64_t limit_ms,
                     void (*expire)(struct idle_wait *));
/* Lets waits be touched, and expire up to a quarter of the limit late. */
void idle_queue_be_lazy(struct idle_queue *queue);
/* Another limit, for those who wait already too: they have waited since they entered or were last
 * touched, and who has waited longer than the new limit expires when the loop turns next. */
void idle_queue_set_limit(struct idle_queue *queue, uint64_t limit_ms);
void idle_queue_deinit(struct idle_queue *queue); /* empty by now */

void idle_wait_init(struct idle_wait *wait);
/* Leaves the queue it was in and enters this one, now. */
void idle_enter(struct idle_queue *queue, struct idle_wait *wait);
void idle_leave(struct idle_wait *wait); /* harmless when in none */
void idle_touch(struct idle_wait *wait); /* something has happened now */

#endif
