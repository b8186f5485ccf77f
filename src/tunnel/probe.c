#include "tunnel/probe.h"

#include <stdlib.h>

#include "flow/dial.h"
#include "peer/near.h"
#include "tunnel/near.h"
#include "tunnel/outbound.h"

static struct probe *of(struct host *host)
{
    return CONTAINER_OF(host, struct probe, host);
}

static void tell(struct probe *probe, enum probe_news news)
{
    if (!probe->is_over)
        probe->tell(probe, news);
}

/* ---- the carrier ---- */

static enum err take(struct probe *probe)
{
    struct opening *opening = &probe->opening;
    struct peer_time now = tunnel_now(probe->host.tended.env);
    struct peer_link *link = peer_dialled(probe->host.peer, &now);
    enum err err = ERR_MEMORY;
    if (link != NULL) {
        err = host_add_carrier(&probe->host, opening->endpoint, link, &opening->dialled);
        if (err != ERR_NONE)
            peer_link_ended(link, &now);
    }
    if (err != ERR_NONE) {
        endpoint_close(opening->endpoint, true);
        return err;
    }
    struct carrier *carrier = CONTAINER_OF(probe->host.carriers.prev, struct carrier, link);
    if (carrier_give(carrier, opening->early, opening->n_early) != ERR_NONE)
        carrier_close(carrier, false);
    return ERR_NONE;
}

static void on_done(struct opening *opening, enum err err);

static enum err begin(struct probe *probe)
{
    const struct tunnel_settings *settings = &probe->spec->settings;
    free(probe->opening.early);
    probe->server = &settings->servers[probe->n_tried++];
    probe->began_us = tunnel_now(probe->host.tended.env).now_us;
    probe->opening = (struct opening){
        .env = probe->host.tended.env->flow,
        .inbound = probe->inbound,
        .target = *probe->server,
        .is_configured = true,
        .done = on_done,
    };
    return probe->via == NULL ? dial_open(&probe->opening, NULL)
                              : probe->via->ops->open(probe->via, &probe->opening);
}

/* From an outcome on: connected, or the next address is tried, or there is none. */
static void go_on(struct probe *probe, enum err err)
{
    while (err != ERR_AGAIN) {
        probe->is_dialling = false;
        uint64_t now_us = tunnel_now(probe->host.tended.env).now_us;
        probe->us = now_us - probe->began_us;
        probe->began_us = now_us;
        if (err == ERR_NONE)
            err = take(probe);
        probe->err = err;
        probe->why = err_text(err);
        tell(probe, err == ERR_NONE ? PROBE_CONNECTED : PROBE_UNREACHABLE);
        if (err == ERR_NONE || probe->is_over || probe->n_tried == probe->spec->settings.n_servers)
            break;
        probe->is_dialling = true;
        err = begin(probe);
    }
    host_touch(&probe->host);
}

static void on_done(struct opening *opening, enum err err)
{
    go_on(CONTAINER_OF(opening, struct probe, opening), err);
}

/* ---- what its peer tells ---- */

/* It asks again where the first attempt takes long; one is enough here. */
static void on_wanted(struct host *host)
{
    struct probe *probe = of(host);
    if (probe->n_tried > 0)
        return;
    probe->is_dialling = true;
    go_on(probe, begin(probe));
}

/* Flight 2 was made about half a round trip ago. */
static int64_t clock_ahead_ms(const struct probe *probe, const struct peer_time *now)
{
    uint64_t server_ms;
    if (!peer_server_clock(probe->host.peer, now, &server_ms))
        return 0;
    return (int64_t)(server_ms + probe->us / 2000 - now->wall_ms);
}

static void on_up(struct host *host, struct carrier *carrier)
{
    struct probe *probe = of(host);
    struct peer_time now = tunnel_now(probe->host.tended.env);
    probe->link = peer_link_number(carrier->of);
    probe->us = now.now_us - probe->began_us;
    probe->clock_ahead_ms = clock_ahead_ms(probe, &now);
    tell(probe, PROBE_UP);
}

static void on_settled(struct host *host, const struct peer_time *now)
{
    (void)now;
    struct probe *probe = of(host);
    struct session_link_stats stats;
    if (!session_link_stats(peer_session(host->peer), probe->link, &stats) ||
        stats.n_pongs == probe->n_pongs)
        return;
    probe->n_pongs = stats.n_pongs;
    probe->us = stats.pong_us;
    tell(probe, PROBE_PONG);
}

static void on_gone(struct host *host, const struct carrier *carrier, enum err how)
{
    struct probe *probe = of(host);
    probe->err = how;
    probe->why = carrier->why != NULL ? carrier->why
                 : how == ERR_EOF     ? "the other end hangs up"
                                      : err_text(how);
    tell(probe, PROBE_LOST);
}

/* The other end takes no streams any more: it has none, so that its end follows. */
static void on_drained(struct host *host, uint64_t seconds)
{
    (void)host;
    (void)seconds;
}

static void free_probe(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct probe, freeing));
}

static void cancel(struct probe *probe)
{
    if (!probe->is_dialling)
        return;
    probe->is_dialling = false;
    if (probe->via == NULL)
        dial_cancel(&probe->opening);
    else
        probe->via->ops->cancel(probe->via, &probe->opening);
}

static void on_ended(struct host *host, const char *why)
{
    struct probe *probe = of(host);
    struct loop *loop = host->tended.env->flow->loop;
    probe->why = why != NULL ? why : "the session was ended";
    tell(probe, PROBE_LOST);
    cancel(probe);
    host_deinit(host);
    tunnel_spec_release(probe->spec);
    free(probe->opening.early);
    loop_defer(loop, &probe->freeing, free_probe);
}

static const struct host_ops ops = {
    .on_wanted = on_wanted,
    .on_up = on_up,
    .on_drained = on_drained,
    .on_gone = on_gone,
    .on_settled = on_settled,
    .on_ended = on_ended,
};

/* ---- its life ---- */

enum err probe_new(struct probe **out, struct tunnel_env *env, struct outbound *tunnel,
                   const struct inbound *inbound, void (*tell_it)(struct probe *, enum probe_news),
                   void *owner)
{
    struct tunnel_spec *spec = tunnel_outbound_spec(tunnel);
    struct probe *probe = calloc(1, sizeof *probe);
    struct peer *peer;
    struct near_options options;
    struct peer_time now = tunnel_now(env);
    if (probe == NULL)
        return ERR_MEMORY;
    near_fill_options(&options, spec, env);
    enum err err = peer_new_near(&peer, &options, true, &now);
    if (err == ERR_NONE) {
        err = host_init(&probe->host, env, &ops, spec->settings.name, peer);
        if (err != ERR_NONE)
            peer_free(peer);
    }
    if (err != ERR_NONE) {
        free(probe);
        return err;
    }
    tunnel_spec_hold_again(spec);
    probe->spec = spec;
    probe->inbound = inbound;
    probe->via = tunnel->via;
    probe->tell = tell_it;
    probe->owner = owner;
    *out = probe;
    return ERR_NONE;
}

void probe_skip(struct probe *probe)
{
    if (!probe->is_dialling)
        return;
    enum err late = probe->opening.late;
    cancel(probe);
    go_on(probe, late == ERR_NONE ? ERR_TIMEOUT : late);
}

void probe_ping(struct probe *probe)
{
    session_ping(peer_session(probe->host.peer), probe->link,
                 tunnel_now(probe->host.tended.env).now_us);
    host_touch(&probe->host);
}

void probe_end(struct probe *probe)
{
    probe->is_over = true;
    cancel(probe);
    host_end(&probe->host, 0);
}
