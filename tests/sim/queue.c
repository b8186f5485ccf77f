/* Things by the times when they are due: a binary heap. */
#include "world.h"

#include <string.h>

static void set(struct queue *queue, size_t place, struct due *due)
{
    queue->heap[place] = due;
    due->place = place;
}

static void sift_up(struct queue *queue, struct due *due)
{
    size_t place = due->place;

    for (; place > 1 && queue->heap[place / 2]->at_us > due->at_us; place /= 2)
        set(queue, place, queue->heap[place / 2]);
    set(queue, place, due);
}

static void sift_down(struct queue *queue, struct due *due)
{
    size_t place = due->place;

    for (size_t child; (child = 2 * place) <= queue->n; place = child) {
        if (child < queue->n && queue->heap[child + 1]->at_us < queue->heap[child]->at_us)
            child++;
        if (queue->heap[child]->at_us >= due->at_us)
            break;
        set(queue, place, queue->heap[child]);
    }
    set(queue, place, due);
}

static void add(struct queue *queue, struct due *due)
{
    if (queue->n + 1 >= queue->cap) {
        struct due **old = queue->heap;
        queue->cap = 2 * queue->cap + 32;
        queue->heap = sim_alloc(queue->cap * sizeof(struct due *));
        if (old != NULL)
            memcpy(queue->heap, old, (queue->n + 1) * sizeof(struct due *));
        sim_free(old);
    }
    set(queue, ++queue->n, due);
}

static void take_out(struct queue *queue, struct due *due)
{
    size_t place = due->place;
    struct due *last = queue->heap[queue->n--];

    due->place = 0;
    if (last == due)
        return;
    set(queue, place, last);
    sift_up(queue, last);
    sift_down(queue, last);
}

void queue_put(struct queue *queue, struct due *due, uint64_t at_us)
{
    bool is_in = due->place > 0;

    if (is_in && due->at_us == at_us)
        return;
    due->at_us = at_us;
    if (at_us == NEVER) {
        if (is_in)
            take_out(queue, due);
        return;
    }
    if (!is_in)
        add(queue, due);
    sift_up(queue, due);
    sift_down(queue, due);
}

struct due *queue_first(const struct queue *queue)
{
    return queue->n == 0 ? NULL : queue->heap[1];
}

uint64_t queue_next_us(const struct queue *queue)
{
    return queue->n == 0 ? NEVER : queue->heap[1]->at_us;
}

void queue_deinit(struct queue *queue)
{
    sim_free(queue->heap);
    *queue = (struct queue){0};
}
