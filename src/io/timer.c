#include "io/timer.h"

#include <assert.h>
#include <stdlib.h>

void timer_heap_init(struct timer_heap *heap)
{
    *heap = (struct timer_heap){0};
}

void timer_heap_deinit(struct timer_heap *heap)
{
    free(heap->items);
    *heap = (struct timer_heap){0};
}

enum err timer_heap_reserve(struct timer_heap *heap, uint32_t n)
{
    if (n <= heap->cap)
        return ERR_NONE;
    struct timer **items = realloc(heap->items, n * sizeof *items);
    if (items == NULL)
        return ERR_MEMORY;
    heap->items = items;
    heap->cap = n;
    return ERR_NONE;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
    *timer = (struct timer){.fire = fire};
}

static void put(struct timer_heap *heap, uint32_t place, struct timer *timer)
{
    heap->items[place - 1] = timer;
    timer->place = place;
}

static void move_up(struct timer_heap *heap, struct timer *timer)
{
    uint32_t place = timer->place;
    while (place > 1 && heap->items[place / 2 - 1]->at_ms > timer->at_ms) {
        put(heap, place, heap->items[place / 2 - 1]);
        place /= 2;
    }
    put(heap, place, timer);
}

static void move_down(struct timer_heap *heap, struct timer *timer)
{
    uint32_t place = timer->place;
    for (;;) {
        uint32_t child = place * 2;
        if (child > heap->n)
            break;
        if (child < heap->n && heap->items[child]->at_ms < heap->items[child - 1]->at_ms)
            child++;
        if (heap->items[child - 1]->at_ms >= timer->at_ms)
            break;
        put(heap, place, heap->items[child - 1]);
        place = child;
    }
    put(heap, place, timer);
}

enum err timer_set(struct timer_heap *heap, struct timer *timer, uint64_t at_ms)
{
    timer->at_ms = at_ms;
    if (timer->place == 0) {
        if (heap->n == heap->cap) {
            enum err err = timer_heap_reserve(heap, heap->cap == 0 ? 16 : heap->cap * 2);
            if (err != ERR_NONE)
                return err;
        }
        put(heap, ++heap->n, timer);
    }
    move_up(heap, timer);
    move_down(heap, timer);
    return ERR_NONE;
}

void timer_clear(struct timer_heap *heap, struct timer *timer)
{
    if (timer->place == 0)
        return;
    assert(heap->items[timer->place - 1] == timer);
    struct timer *last = heap->items[heap->n - 1];
    uint32_t place = timer->place;
    heap->n--;
    timer->place = 0;
    if (last == timer)
        return;
    put(heap, place, last);
    move_up(heap, last);
    move_down(heap, last);
}

uint64_t timer_heap_next(const struct timer_heap *heap)
{
    return heap->n == 0 ? UINT64_MAX : heap->items[0]->at_ms;
}

void timer_heap_fire(struct timer_heap *heap, uint64_t now_ms)
{
    for (uint32_t left = heap->n; left > 0 && timer_heap_next(heap) <= now_ms; left--) {
        struct timer *timer = heap->items[0];
        timer_clear(heap, timer);
        timer->fire(timer);
    }
}
