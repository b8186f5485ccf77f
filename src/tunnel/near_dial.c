#include "tunnel/near_dial.h"

#include <stdlib.h>

#include "flow/dial.h"
#include "flow/inbound.h"
#include "flow/ruleset.h"
#include "tunnel/near.h"

/* An address that has not answered by then is given up. */
#define DIAL_MS 10000

/* A server that stays away is told of again after this. */
#define COMPLAIN_EVERY_MS 60000

struct near_dial {
    struct list link; /* in near->dials */
    struct near *near;
    struct opening opening;
    size_t server; /* which of them, modulo their number */
    size_t n_left; /* further addresses to be tried at once where this one fails */
    struct timer deadline;
    bool is_paused;
    uint64_t left_ms;              /* until the deadline, while it is paused */
    const struct inbound *inbound; /* by whose rules, which are held, it was begun */
    struct outbound *via;
    struct deferred freeing;
};

static struct loop *loop_of(const struct near_dial *dial)
{
    return dial->near->host.tended.env->flow->loop;
}

static void free_dial(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct near_dial, freeing));
}

static void drop(struct near_dial *dial)
{
    list_remove(&dial->link);
    timer_clear(loop_timers(loop_of(dial)), &dial->deadline);
    free(dial->opening.early);
    ruleset_release(dial->inbound->ruleset);
    loop_defer(loop_of(dial), &dial->freeing, free_dial);
}

static void log_failure(const struct near_dial *dial, enum err err)
{
    struct near *near = dial->near;
    struct log *log = near->host.tended.env->flow->log;
    uint64_t now_ms = loop_now_ms(loop_of(dial));
    bool is_due = now_ms >= near->complain_at_ms;
    enum log_level level = is_due ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG;
    if (!log_wants(log, level))
        return;
    if (is_due)
        near->complain_at_ms = now_ms + COMPLAIN_EVERY_MS;
    char server[TARGET_TEXT_BYTES];
    target_format(&dial->opening.target, server);
    struct log_line line;
    log_begin(&line, log, level, "link");
    log_str(&line, "out", near->host.name);
    log_str(&line, "server", server);
    log_str(&line, "is", "unreachable");
    log_str(&line, "why", err_text(err));
    log_end(&line);
}

/* The server is reached: its carrier is the peer's, which knows of what goes wrong from then on. ERR_MEMORY: it has got none. */
static enum err take(struct near_dial *dial)
{
    struct near *near = dial->near;
    struct opening *opening = &dial->opening;
    struct peer_time now = tunnel_now(near->host.tended.env);
    struct peer_link *link = peer_dialled(near->host.peer, &now);
    if (link == NULL) {
        endpoint_close(opening->endpoint, true);
        return ERR_MEMORY;
    }
    if (host_add_carrier(&near->host, opening->endpoint, link, &opening->dialled) != ERR_NONE) {
        endpoint_close(opening->endpoint, true);
        peer_link_ended(link, &now);
        return ERR_NONE;
    }
    struct carrier *carrier = CONTAINER_OF(near->host.carriers.prev, struct carrier, link);
    carrier->server = (uint16_t)(dial->server % near->spec->settings.n_servers);
    if (carrier_give(carrier, opening->early, opening->n_early) != ERR_NONE)
        carrier_close(carrier, false);
    return ERR_NONE;
}

static void on_done(struct opening *opening, enum err err);

/* Without its timer an address has the time that the system gives it. */
static void set_deadline(struct near_dial *dial, uint64_t in_ms)
{
    struct loop *loop = loop_of(dial);
    if (timer_set(loop_timers(loop), &dial->deadline, loop_now_ms(loop) + in_ms) != ERR_NONE)
        timer_clear(loop_timers(loop), &dial->deadline);
}

/* Several links go to different addresses, and so do those that take the place of others. */
static bool takes_turns(const struct tunnel_settings *settings)
{
    return settings->n_links > 1 || settings->is_distributed || settings->every.max > 0 ||
           settings->after.max > 0;
}

static size_t width(const struct tunnel_ports *ports)
{
    return (size_t)(ports->to - ports->from) + 1;
}

/* The first is the server's own. */
static uint16_t nth_port(const struct tunnel_settings *settings, uint16_t own, size_t n)
{
    if (n == 0)
        return own;
    const struct tunnel_ports *ports = settings->ports;
    for (n--; n >= width(ports); ports++)
        n -= width(ports);
    return (uint16_t)(ports->from + n);
}

#define DRAWS_MAX 16

/* Another than the last, unless all are the same. */
static uint16_t draw_port(struct near *near, uint16_t own)
{
    const struct tunnel_settings *settings = &near->spec->settings;
    uint16_t port = own;
    size_t n = 1;
    if (near->last_port == 0)
        return own;
    for (size_t i = 0; i < settings->n_ports; i++)
        n += width(&settings->ports[i]);
    for (unsigned i = 0; n > 1 && i < DRAWS_MAX && (i == 0 || port == near->last_port); i++)
        port = nth_port(settings, own, (size_t)rng_below(near->host.tended.env->rng, n));
    return port;
}

static enum err begin(struct near_dial *dial)
{
    struct near *near = dial->near;
    const struct tunnel_settings *settings = &near->spec->settings;
    free(dial->opening.early); /* of an address that was reached in vain, out of memory */
    dial->opening = (struct opening){
        .env = near->host.tended.env->flow,
        .inbound = dial->inbound,
        .target = settings->servers[dial->server % settings->n_servers],
        .is_configured = true,
        .done = on_done,
    };
    dial->opening.target.addr.port = draw_port(near, dial->opening.target.addr.port);
    near->last_port = dial->opening.target.addr.port;
    if (!takes_turns(settings))
        near->next_server = dial->server + 1;
    dial->is_paused = false;
    set_deadline(dial, DIAL_MS);
    return dial->via == NULL ? dial_open(&dial->opening, NULL)
                             : dial->via->ops->open(dial->via, &dial->opening);
}

/* From an outcome on: the peer has its carrier, or the next address is tried, or there is none. */
static void go_on(struct near_dial *dial, enum err err)
{
    struct near *near = dial->near;
    while (err != ERR_AGAIN) {
        if (err == ERR_NONE)
            err = take(dial);
        if (err == ERR_NONE)
            break;
        log_failure(dial, err);
        dial->server++;
        if (dial->n_left == 0)
            break;
        dial->n_left--;
        err = begin(dial);
    }
    if (err == ERR_AGAIN)
        return;
    drop(dial);
    if (err != ERR_NONE) {
        struct peer_time now = tunnel_now(near->host.tended.env);
        peer_dial_failed(near->host.peer, &now);
    }
    host_touch(&near->host);
}

static void on_done(struct opening *opening, enum err err)
{
    go_on(CONTAINER_OF(opening, struct near_dial, opening), err);
}

static void cancel(struct near_dial *dial)
{
    if (dial->via == NULL)
        dial_cancel(&dial->opening);
    else
        dial->via->ops->cancel(dial->via, &dial->opening);
}

static void on_deadline(struct timer *timer)
{
    struct near_dial *dial = CONTAINER_OF(timer, struct near_dial, deadline);
    cancel(dial);
    go_on(dial, ERR_TIMEOUT);
}

void near_dial_stands(struct near *near, const struct carrier *carrier)
{
    if (takes_turns(&near->spec->settings))
        return;
    near->next_server = carrier->server;
    near_dial_cancel_all(near);
}

void near_dial(struct near *near)
{
    struct near_dial *dial = calloc(1, sizeof *dial);
    if (dial == NULL) {
        struct peer_time now = tunnel_now(near->host.tended.env);
        peer_dial_failed(near->host.peer, &now);
        return;
    }
    dial->near = near;
    dial->inbound = near->inbound;
    dial->via = near->via;
    dial->server = near->next_server;
    if (takes_turns(&near->spec->settings))
        near->next_server++;
    dial->n_left = near->spec->settings.n_servers - 1 + (near->spec->settings.n_ports > 0);
    ruleset_hold(dial->inbound->ruleset);
    timer_init(&dial->deadline, on_deadline);
    list_append(&near->dials, &dial->link);
    go_on(dial, begin(dial));
}

static bool stands_still(const struct near_dial *dial)
{
    return dial->via != NULL && dial->via->ops->is_suspended != NULL &&
           dial->via->ops->is_suspended(dial->via, &dial->opening);
}

bool near_dials_stand_still(const struct near *near)
{
    for (struct list *at = near->dials.next; at != &near->dials; at = at->next)
        if (!stands_still(CONTAINER_OF(at, struct near_dial, link)))
            return false;
    return true;
}

static void pause(struct near_dial *dial)
{
    uint64_t now_ms = loop_now_ms(loop_of(dial)), at_ms = dial->deadline.at_ms;
    dial->left_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    timer_clear(loop_timers(loop_of(dial)), &dial->deadline);
}

void near_dials_review(struct near *near)
{
    for (struct list *at = near->dials.next; at != &near->dials; at = at->next) {
        struct near_dial *dial = CONTAINER_OF(at, struct near_dial, link);
        bool was_paused = dial->is_paused;
        dial->is_paused = stands_still(dial);
        if (dial->is_paused && !was_paused)
            pause(dial);
        else if (was_paused && !dial->is_paused)
            set_deadline(dial, dial->left_ms);
    }
}

void near_dial_cancel_all(struct near *near)
{
    while (!list_empty(&near->dials)) {
        struct near_dial *dial = CONTAINER_OF(near->dials.next, struct near_dial, link);
        cancel(dial);
        drop(dial);
    }
}
