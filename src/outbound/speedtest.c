/*
 * What a tunnel's far end gives a client who measures: an endpoint that takes whatever is written to it and has
 * zeros without end, until the client's fin, which it answers with its own. It reaches nobody; how fast it goes is for
 * the client's credit to say, and for how long, for a timer here.
 */
#include <stdlib.h>
#include <string.h>

#include "flow/env.h"
#include "io/timer.h"
#include "outbound/outbounds.h"

struct speedtest {
    struct endpoint ep;
    struct watch watch;
    struct timer deadline;
    bool is_ended; /* the client's fin has come */
    bool is_late;
    struct deferred freeing;
};

static struct speedtest *of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct speedtest, ep);
}

static enum err ep_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    if (of(ep)->is_late)
        return ERR_LIMIT;
    if (of(ep)->is_ended)
        return ERR_EOF;
    memset(buf, 0, cap);
    *n = cap;
    return ERR_NONE;
}

static enum err ep_write(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    (void)buf;
    *n = given;
    return of(ep)->is_late ? ERR_LIMIT : ERR_NONE;
}

static enum err ep_shutdown(struct endpoint *ep)
{
    of(ep)->is_ended = true;
    return ERR_NONE;
}

static void free_speedtest(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct speedtest, freeing));
}

static void ep_close(struct endpoint *ep, bool reset)
{
    (void)reset; /* there is nobody to see it */
    struct speedtest *speedtest = of(ep);
    struct loop *loop = speedtest->watch.loop;
    timer_clear(loop_timers(loop), &speedtest->deadline);
    loop_remove(&speedtest->watch);
    loop_defer(loop, &speedtest->freeing, free_speedtest);
}

static void ep_want(struct endpoint *ep, unsigned events)
{
    loop_want(&of(ep)->watch, events);
}

static void ep_used_up(struct endpoint *ep, unsigned events)
{
    (void)ep; /* it is always ready */
    (void)events;
}

static bool ep_is_broken(struct endpoint *ep)
{
    return of(ep)->is_late;
}

static void ep_keep_alive(struct endpoint *ep, unsigned seconds)
{
    (void)ep; /* it cannot vanish */
    (void)seconds;
}

static bool ep_is_ready(struct endpoint *ep, unsigned events)
{
    return (of(ep)->watch.ready & events) != 0;
}

static const struct endpoint_ops ep_ops = {
    .read = ep_read,
    .write = ep_write,
    .shutdown = ep_shutdown,
    .close = ep_close,
    .want = ep_want,
    .used_up = ep_used_up,
    .is_broken = ep_is_broken,
    .keep_alive = ep_keep_alive,
    .is_ready = ep_is_ready,
};

static void on_event(struct watch *watch, unsigned events)
{
    struct speedtest *speedtest = CONTAINER_OF(watch, struct speedtest, watch);
    speedtest->ep.on_ready(&speedtest->ep, events);
}

static void on_deadline(struct timer *timer)
{
    struct speedtest *speedtest = CONTAINER_OF(timer, struct speedtest, deadline);
    speedtest->is_late = true;
    loop_report(&speedtest->watch, LOOP_ERROR);
}

static enum err open_speedtest(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    struct loop *loop = opening->env->loop;
    struct speedtest *speedtest = calloc(1, sizeof *speedtest);
    if (speedtest == NULL)
        return ERR_MEMORY;
    timer_init(&speedtest->deadline, on_deadline);
    if (timer_set(loop_timers(loop), &speedtest->deadline,
                  loop_now_ms(loop) + OUTBOUND_SPEEDTEST_MS) != ERR_NONE) {
        free(speedtest);
        return ERR_MEMORY;
    }
    speedtest->ep = (struct endpoint){.ops = &ep_ops, .fd = -1};
    loop_add_source(loop, &speedtest->watch, 0, on_event);
    loop_report(&speedtest->watch, LOOP_READ | LOOP_WRITE);
    opening->endpoint = &speedtest->ep;
    return ERR_NONE;
}

/* Never called: nothing is ever under way. */
static void cancel_speedtest(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    (void)opening;
}

static const struct outbound_ops ops = {.open = open_speedtest, .cancel = cancel_speedtest};

struct outbound outbound_speedtest = {.ops = &ops, .name = "speedtest"};
