/* What a loop asks of the system's way to wait; private to the loop. */
#ifndef SOCKEYE_IO_LOOP_BACKEND_H
#define SOCKEYE_IO_LOOP_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"

struct loop_ops {
    NODISCARD enum err (*init)(struct loop *loop);
    void (*deinit)(struct loop *loop);
    /* What is awaited of the watch has grown beyond watch->armed, or it is new (armed 0), or begins to nap. */
    NODISCARD enum err (*arm)(struct loop *loop, struct watch *watch);
    void (*remove)(struct loop *loop, struct watch *watch);
    /* Waits and reports through loop_report(). False: the system's wait failed. */
    bool (*wait)(struct loop *loop, int64_t timeout_us); /* -1: as long as it takes */
};

extern const struct loop_ops loop_epoll_ops, loop_poll_ops;

struct loop {
    const struct loop_ops *ops;
    struct watch **slots; /* by descriptor */
    size_t n_slots, n_watches;
    uint32_t generation; /* of the watch added last */
    uint64_t now_us, now_ms, stopped_us, n_turns;
    struct list running; /* watches with want & ready */
    struct list napping; /* watches, all until... */
    uint64_t nap_ends_us;
    struct list dying; /* struct deferred */
    struct timer_heap timers;
    void (*hook)(void *arg);
    void *hook_arg;
    bool is_stopping;
    int epoll_fd;          /* epoll backend */
    struct pollfd *polled; /* poll backend: room for n_slots */
};

/* What the system shall tell of it. */
static inline unsigned loop_awaits(const struct watch *watch)
{
    return watch->is_napping ? watch->want & ~(unsigned)LOOP_READ : watch->want;
}

/* The watch that has this descriptor and generation, or NULL: an event that was under way when its
 * descriptor was closed, and even taken by another, reaches nobody. */
struct watch *loop_find(struct loop *loop, int fd, uint32_t generation);

#endif
