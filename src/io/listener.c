#include "io/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "io/loop_backend.h"
#include "io/sys.h"

/* A flood of connections must not keep the others of the loop waiting. */
#define ACCEPTS_A_TURN 64

/* How long a listener rests that nobody wakes: the shortage may be another process's (ENFILE). */
#define REST_MS 100

static enum err set_option(int fd, int level, int name, int value)
{
    return sys_setsockopt(fd, level, name, &value, sizeof value) < 0 ? sys_err(errno) : ERR_NONE;
}

/* What every accepted connection inherits, and so need not be told. */
static enum err set_inherited(int fd)
{
    enum err err = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (err == ERR_NONE)
        err = set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    return err;
}

static enum err bind_to(int fd, struct addr *addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    if (sys_bind(fd, (struct sockaddr *)&sa, n) < 0)
        return sys_err(errno);
    n = sizeof sa;
    if (sys_getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
        return sys_err(errno);
    return sys_addr_from_sockaddr(addr, (struct sockaddr *)&sa, n);
}

static enum err apply_options(int fd, const struct addr *addr, const struct sock_options *options)
{
    if (options == NULL)
        return ERR_NONE;
    const struct sock_options heeded = {.interface = options->interface, .mark = options->mark};
    return sock_apply_options(fd, (enum addr_family)addr->family, &heeded);
}

static enum err prepare(int fd, struct addr *addr, const struct listener_options *options)
{
    enum err err = apply_options(fd, addr, options->options);
    if (err == ERR_NONE)
        err = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (err == ERR_NONE && addr->family == ADDR_V6)
        err = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (err == ERR_NONE && options->shares_port)
        err = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err == ERR_NONE && options->port_to > 0)
        err = sock_bind_port(fd, addr, options->port_from, options->port_to);
    else if (err == ERR_NONE)
        err = bind_to(fd, addr);
    /* Set only after the bind: a port that another process holds is then refused although it may say
     * SO_REUSEPORT too, and our own further sockets are let in. */
    if (err == ERR_NONE && options->for_own && !options->shares_port)
        err = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err == ERR_NONE)
        err = set_inherited(fd);
    if (err == ERR_NONE && sys_listen(fd, SOMAXCONN) < 0)
        err = sys_err(errno);
    return err;
}

enum err listener_open(int *fd, struct addr *addr, const struct listener_options *options)
{
    int family = addr->family == ADDR_V4 ? AF_INET : AF_INET6;
    *fd = sys_socket(family, SOCK_STREAM, IPPROTO_TCP);
    if (*fd < 0)
        return sys_err(errno);
    enum err err = prepare(*fd, addr, options);
    if (err != ERR_NONE)
        sys_close(*fd);
    return err;
}

enum err listener_adopt(int fd)
{
    return set_inherited(fd);
}

static void rest(struct listener *listener, enum err err)
{
    struct loop *loop = listener->watch.loop;
    /* Without a timer it might never be woken, so then it does not rest. */
    if (timer_set(loop_timers(loop), &listener->rest, loop_now_ms(loop) + REST_MS) == ERR_NONE)
        loop_want(&listener->watch, 0);
    if (listener->is_short)
        return;
    listener->is_short = true;
    listener->on_shortage(listener, err);
}

/* Whether a connection waits in the backlog. */
static bool is_awaited(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return sys_poll(&polled, 1, 0) != 0;
}

/* Nothing waits in the backlog. */
static void be_done(struct listener *listener)
{
    loop_used_up(&listener->watch, LOOP_READ);
    if (!listener->is_leaving)
        return;
    listener_stop(listener);
    listener->on_left(listener);
}

/* More keep coming while one that leaves empties its backlog; no more than that can hold are served. */
static bool has_served_enough(struct listener *listener)
{
    return listener->is_leaving && listener->n_may_accept-- == 0;
}

static void on_event(struct watch *watch, unsigned events)
{
    (void)events;
    struct listener *listener = CONTAINER_OF(watch, struct listener, watch);
    for (int i = 0; i < ACCEPTS_A_TURN && watch->loop != NULL && watch->want != 0; i++) {
        if (!listener->has_room(listener)) {
            if (is_awaited(watch->fd))
                rest(listener, ERR_DESCRIPTORS);
            else
                be_done(listener);
            return;
        }
        if (has_served_enough(listener)) {
            be_done(listener);
            return;
        }
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        int fd = sys_accept(watch->fd, (struct sockaddr *)&sa, &n);
        if (fd >= 0) {
            struct addr from;
            if (sys_addr_from_sockaddr(&from, (struct sockaddr *)&sa, n) != ERR_NONE)
                from = (struct addr){.family = ADDR_NONE};
            listener->is_short = false;
            listener->on_accept(listener, fd, &from);
            continue;
        }
        enum err err = sys_err(errno);
        if (err == ERR_AGAIN) {
            be_done(listener);
            return;
        }
        /* A connection that was reset while it waited is no trouble of ours; a shortage is, which the system tells of without looking whether
         * anybody waits. */
        if (err == ERR_DESCRIPTORS || err == ERR_MEMORY) {
            if (is_awaited(watch->fd))
                rest(listener, err);
            else
                be_done(listener);
            return;
        }
    }
}

static void on_rested(struct timer *timer)
{
    listener_wake(CONTAINER_OF(timer, struct listener, rest));
}

enum err listener_start(struct listener *listener, struct loop *loop, int fd)
{
    listener->is_short = listener->is_leaving = false;
    timer_init(&listener->rest, on_rested);
    unsigned want = LOOP_READ | (listener->is_shared ? LOOP_SHARED : 0u);
    return loop_add(loop, &listener->watch, fd, want, on_event);
}

void listener_pause(struct listener *listener)
{
    loop_want(&listener->watch, 0);
}

void listener_wake(struct listener *listener)
{
    struct loop *loop = listener->watch.loop;
    if (loop == NULL || listener->watch.want != 0)
        return;
    timer_clear(loop_timers(loop), &listener->rest);
    loop_want(&listener->watch, LOOP_READ);
}

void listener_leave(struct listener *listener)
{
    listener->is_leaving = true;
    listener->n_may_accept = SOMAXCONN;
    /* Nobody new gets in; but where another process has the socket too, that is for it to say. */
    if (!listener->is_shared)
        (void)sys_listen(listener->watch.fd, 0);
    listener_wake(listener);
    /* It looks next turn, whether anybody waits or not. */
    loop_report(&listener->watch, LOOP_READ);
}

void listener_release(struct listener *listener)
{
    timer_clear(loop_timers(listener->watch.loop), &listener->rest);
    loop_release(&listener->watch);
}

void listener_stop(struct listener *listener)
{
    if (listener->watch.loop == NULL)
        return;
    listener_release(listener);
    sys_close(listener->watch.fd);
}
