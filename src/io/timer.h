/*
 * Timers: a binary heap of deadlines, embedded in their owners. There is no tick: the loop sleeps
 * until the earliest. Many equal waits (idle connections) do not each take a timer: see idle.h.
 */
#ifndef SOCKEYE_IO_TIMER_H
#define SOCKEYE_IO_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct timer {
    uint64_t at_ms;
    void (*fire)(struct timer *); /* called once; the timer is free to be set again */
    uint32_t place;               /* in the heap, from 1; 0 not set */
};

struct timer_heap {
    struct timer **items;
    uint32_t n, cap;
};

void timer_heap_init(struct timer_heap *heap);
void timer_heap_deinit(struct timer_heap *heap);
/* Makes room for n timers in all: so many can be set without asking for memory. */
NODISCARD enum err timer_heap_reserve(struct timer_heap *heap, uint32_t n);

void timer_init(struct timer *timer, void (*fire)(struct timer *));

/* Sets or moves a timer. ERR_MEMORY: it is not set. A timer that was set can always be moved. */
NODISCARD enum err timer_set(struct timer_heap *heap, struct timer *timer, uint64_t at_ms);
void timer_clear(struct timer_heap *heap, struct timer *timer); /* harmless when not set */
static inline bool timer_is_set(const struct timer *timer)
{
    return timer->place != 0;
}

/* The earliest deadline, UINT64_MAX for none. */
uint64_t timer_heap_next(const struct timer_heap *heap);
/* Fires what is due, including what those set that is due too, at most as many as there were. */
void timer_heap_fire(struct timer_heap *heap, uint64_t now_ms);

#endif
