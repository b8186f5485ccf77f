/*
 * epoll, edge-triggered. A descriptor is registered for what is wanted of it, and that only grows:
 * most sockets that are read are never blocked in writing, and so never pay for a second
 * epoll_ctl nor for a first event that says no more than "writable".
 */
#include <errno.h>

#include "io/loop_backend.h"
#include "io/sys.h"

#define EVENTS_A_TURN 256

static enum err epoll_init(struct loop *loop)
{
    loop->epoll_fd = sys_epoll_create();
    return loop->epoll_fd < 0 ? sys_err(errno) : ERR_NONE;
}

static void epoll_deinit(struct loop *loop)
{
    sys_close(loop->epoll_fd);
}

static enum err epoll_arm(struct loop *loop, struct watch *watch)
{
    unsigned arm = watch->armed | loop_awaits(watch);
    struct epoll_event event = {.events = EPOLLET | EPOLLRDHUP};
    /* With all that comes the system wakes whoever waits for this, to look whether it is urgent. */
    if (!watch->is_napping)
        event.events |= EPOLLPRI;
    if (arm & LOOP_READ)
        event.events |= EPOLLIN;
    if (arm & LOOP_WRITE)
        event.events |= EPOLLOUT;
    if (arm & LOOP_SHARED) /* never changed later, as the system demands */
        event.events = EPOLLET | EPOLLIN | EPOLLEXCLUSIVE;
    event.data.u64 = (uint64_t)watch->generation << 32 | (uint32_t)watch->fd;
    int op = watch->armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (sys_epoll_ctl(loop->epoll_fd, op, watch->fd, &event) < 0)
        return sys_err(errno);
    /* These are told in any case. */
    watch->armed = (uint8_t)(arm | LOOP_HANGUP | LOOP_ERROR | LOOP_URGENT);
    return ERR_NONE;
}

static void epoll_remove(struct loop *loop, struct watch *watch)
{
    /* The descriptor is closed next, and that takes it out, where it is not one of several. */
    struct epoll_event none = {0};
    if (watch->armed & LOOP_SHARED)
        (void)sys_epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, &none);
}

static unsigned events_of(uint32_t events)
{
    unsigned ours = 0;
    if (events & EPOLLIN)
        ours |= LOOP_READ;
    if (events & EPOLLOUT)
        ours |= LOOP_WRITE;
    if (events & EPOLLPRI)
        ours |= LOOP_URGENT;
    if (events & EPOLLRDHUP)
        ours |= LOOP_READ | LOOP_HANGUP;
    if (events & (EPOLLERR | EPOLLHUP))
        ours |= LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_ERROR;
    return ours;
}

/* epoll_wait() knows milliseconds only: less is waited for by one that knows more. */
static bool epoll_wait_events(struct loop *loop, int64_t timeout_us)
{
    struct epoll_event events[EVENTS_A_TURN];
    if (timeout_us > 0 && timeout_us < 1000) {
        struct pollfd epoll = {.fd = loop->epoll_fd, .events = POLLIN};
        int ready = sys_poll_us(&epoll, 1, timeout_us);
        if (ready <= 0)
            return ready == 0;
        timeout_us = 0;
    }
    int timeout_ms = timeout_us < 0 ? -1 : (int)(timeout_us / 1000);
    int n = sys_epoll_wait(loop->epoll_fd, events, EVENTS_A_TURN, timeout_ms);
    for (int i = 0; i < n; i++) {
        int fd = (int)(uint32_t)events[i].data.u64;
        struct watch *watch = loop_find(loop, fd, (uint32_t)(events[i].data.u64 >> 32));
        if (watch != NULL)
            loop_report(watch, events_of(events[i].events));
    }
    return n >= 0;
}

const struct loop_ops loop_epoll_ops = {
    .init = epoll_init,
    .deinit = epoll_deinit,
    .arm = epoll_arm,
    .remove = epoll_remove,
    .wait = epoll_wait_events,
};
