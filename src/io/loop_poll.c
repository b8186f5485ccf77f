/*
 * poll(2), the portable backend. It repeats what it said, so each turn asks only for what is
 * wanted and not known to be ready; and a descriptor that has said "error" or "hung up" is left out as
 * long as nothing else is wanted of it, or it would never let us sleep.
 */
#include <stdlib.h>

#include "io/loop_backend.h"
#include "io/sys.h"

static enum err poll_init(struct loop *loop)
{
    (void)loop;
    return ERR_NONE;
}

static void poll_deinit(struct loop *loop)
{
    free(loop->polled);
}

static enum err poll_arm(struct loop *loop, struct watch *watch)
{
    /* Room is made here, where running out of memory can still be said. */
    struct pollfd *polled = realloc(loop->polled, loop->n_slots * sizeof *polled);
    if (polled == NULL)
        return ERR_MEMORY;
    loop->polled = polled;
    watch->armed = UINT8_MAX;
    return ERR_NONE;
}

static void poll_remove(struct loop *loop, struct watch *watch)
{
    (void)loop;
    (void)watch;
}

static short wanted_events(const struct watch *watch)
{
    unsigned missing = loop_awaits(watch) & ~(unsigned)watch->ready;
    short events = 0;
    if (missing & LOOP_READ)
        events |= POLLIN;
    if (missing & LOOP_WRITE)
        events |= POLLOUT;
    if (!(watch->reported & LOOP_HANGUP))
        events |= POLLRDHUP;
    if (!(watch->ready & LOOP_URGENT) && !watch->is_napping)
        events |= POLLPRI;
    return events;
}

static unsigned events_of(short events)
{
    unsigned ours = 0;
    if (events & POLLIN)
        ours |= LOOP_READ;
    if (events & POLLOUT)
        ours |= LOOP_WRITE;
    if (events & POLLPRI)
        ours |= LOOP_URGENT;
    if (events & POLLRDHUP)
        ours |= LOOP_READ | LOOP_HANGUP;
    if (events & (POLLERR | POLLHUP | POLLNVAL))
        ours |= LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_ERROR;
    return ours;
}

static nfds_t collect(struct loop *loop)
{
    nfds_t n = 0;
    size_t left = loop->n_watches;
    for (size_t fd = 0; fd < loop->n_slots && left > 0; fd++) {
        struct watch *watch = loop->slots[fd];
        if (watch == NULL)
            continue;
        left--;
        bool idle = (watch->want & ~(unsigned)watch->ready) == 0;
        if (idle && (watch->reported & LOOP_ERROR))
            continue;
        loop->polled[n] = (struct pollfd){.fd = (int)fd, .events = wanted_events(watch)};
        n++;
    }
    return n;
}

static bool poll_wait(struct loop *loop, int64_t timeout_us)
{
    nfds_t n = collect(loop);
    int got = sys_poll_us(loop->polled, n, timeout_us);
    for (nfds_t i = 0; i < n && got > 0; i++) {
        if (loop->polled[i].revents == 0)
            continue;
        got--;
        struct watch *watch = loop->slots[loop->polled[i].fd];
        unsigned events = events_of(loop->polled[i].revents);
        /* What it repeats is news only once. */
        if (watch->reported & LOOP_ERROR)
            events &= ~(unsigned)LOOP_ERROR;
        watch->reported |= (uint8_t)(events & (LOOP_HANGUP | LOOP_ERROR));
        loop_report(watch, events);
    }
    return got >= 0;
}

const struct loop_ops loop_poll_ops = {
    .init = poll_init,
    .deinit = poll_deinit,
    .arm = poll_arm,
    .remove = poll_remove,
    .wait = poll_wait,
};
