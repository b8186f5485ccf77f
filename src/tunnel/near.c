#include "tunnel/near.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "flow/inbound.h"
#include "flow/policy.h"
#include "flow/ruleset.h"
#include "peer/near.h"
#include "tunnel/datagrams.h"
#include "tunnel/near_dial.h"
#include "tunnel/outbound.h"
#include "wire/socks5.h"

static struct near *near_of(struct host *host)
{
    return CONTAINER_OF(host, struct near, host);
}

static void free_near(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct near, freeing));
}

static void take_down(struct near *near)
{
    struct loop *loop = near->host.tended.env->flow->loop;
    near_dial_cancel_all(near);
    host_deinit(&near->host);
    ruleset_release(near->inbound->ruleset);
    tunnel_spec_release(near->spec);
    loop_defer(loop, &near->freeing, free_near);
}

/* ---- what its peer tells ---- */

static void on_wanted(struct host *host, const struct peer_time *now)
{
    (void)now;
    near_dial(near_of(host));
}

/* ---- chains: its carriers may be streams of other sessions of this worker ---- */

static bool is_suspended(struct near *near)
{
    struct host *host = &near->host;
    bool any = false;
    for (struct list *at = host->carriers.next; at != &host->carriers; at = at->next, any = true)
        if (!endpoint_is_suspended(CONTAINER_OF(at, struct carrier, link)->endpoint))
            return false;
    return near_dials_are_suspended(near) && (any || !list_empty(&near->dials));
}

/* Whose carriers are its streams looks at itself again. It is rare, and they are few. */
static void touch_others(struct host *host)
{
    struct tunnel_env *env = host->tended.env;
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *other = CONTAINER_OF(at, struct host, link);
        if (other->is_near && other != host)
            host_touch(other);
    }
}

static void on_settled(struct host *host, const struct peer_time *now)
{
    struct near *near = near_of(host);
    bool stands_still = is_suspended(near);
    peer_suspend(host->peer, stands_still, now);
    bool is_moving = peer_is_moving(host->peer) && !stands_still;
    if (is_moving == host->is_moving)
        return;
    host->is_moving = is_moving;
    touch_others(host);
}

static void on_up(struct host *host, struct carrier *carrier)
{
    (void)carrier;
    /* From now on it is the target that takes its time. */
    for (struct list *at = host->streams.next; at != &host->streams; at = at->next) {
        struct tunnel_stream *stream = CONTAINER_OF(at, struct tunnel_stream, link);
        if (stream->opening != NULL)
            stream->opening->late = ERR_TIMEOUT;
    }
}

/* The far end's reply code becomes the client's: as an error that the protocol's table turns back into it. */
static enum err take_answer(struct tunnel_stream *stream, struct opening *opening)
{
    if (stream->is_dead)
        return ERR_UPSTREAM;
    uint8_t code = stream_code(stream->stream, &opening->bound);
    if (code != SOCKS5_SUCCEEDED) {
        stream->is_dead = true; /* of which no more is said */
        return socks5_err(code);
    }
    if (!opening->is_association) {
        opening->endpoint = &stream->ep;
        return ERR_NONE;
    }
    opening->packets = &tunnel_datagrams_of(stream)->packets;
    tunnel_datagrams_begin(tunnel_datagrams_of(stream));
    return ERR_NONE;
}

static void on_answered(struct host *host, struct tunnel_stream *stream)
{
    (void)host;
    struct opening *opening = stream->opening;
    stream->opening = NULL;
    opening->state = NULL;
    enum err err = take_answer(stream, opening);
    if (err != ERR_NONE)
        endpoint_close(&stream->ep, false);
    opening->done(opening, err);
}

static void on_ended(struct host *host, const char *why)
{
    struct log *log = host->tended.env->flow->log;
    struct log_line line;
    log_begin(&line, log, LOG_LEVEL_INFO, "session");
    log_str(&line, "out", host->name);
    log_str(&line, "is", "ended");
    log_str(&line, "why", why);
    log_end(&line);
    take_down(near_of(host));
}

static const struct host_ops ops = {
    .on_answered = on_answered,
    .on_wanted = on_wanted,
    .on_up = on_up,
    .on_settled = on_settled,
    .on_ended = on_ended,
};

/* ---- its life ---- */

void near_fill_options(struct near_options *options, const struct tunnel_spec *spec,
                       struct tunnel_env *env)
{
    const struct tunnel_settings *settings = &spec->settings;
    *options = (struct near_options){
        .key = &settings->key,
        .user = &settings->user,
        .identity = settings->identity,
        .server = settings->server,
        .keep_s = settings->keep_s,
        .keepalive_s = settings->keepalive_s,
        .n_links = settings->n_links,
        .is_distributed = settings->is_distributed,
        .every = settings->every,
        .after = settings->after,
        .sends_early = settings->sends_early,
        .has_aes = crypto_has_fast_aes(),
        .window_bytes = settings->window_bytes,
        .stream_window_bytes = settings->stream_window_bytes,
        .chunks = &env->pool.source,
        .rng = env->rng,
    };
    memcpy(options->instance, spec->tunnels->instance, sizeof options->instance);
}

static enum err new_peer(struct peer **out, const struct tunnel_spec *spec, struct tunnel_env *env)
{
    struct near_options options;
    struct peer_time now = tunnel_now(env);
    near_fill_options(&options, spec, env);
    return peer_new_near(out, &options, false, &now);
}

static void go_by(struct near *near, const struct inbound *inbound, struct outbound *via)
{
    ruleset_hold(inbound->ruleset);
    if (near->inbound != NULL)
        ruleset_release(near->inbound->ruleset);
    near->inbound = inbound;
    near->via = via;
}

static enum err make(struct near **out, struct tunnel_spec *spec, size_t session,
                     struct tunnel_env *env)
{
    struct near *near = calloc(1, sizeof *near);
    struct peer *peer;
    if (near == NULL)
        return ERR_MEMORY;
    enum err err = new_peer(&peer, spec, env);
    if (err == ERR_NONE) {
        near->host.is_near = true;
        err = host_init(&near->host, env, &ops, spec->settings.name, peer);
        if (err != ERR_NONE)
            peer_free(peer);
    }
    if (err != ERR_NONE) {
        free(near);
        return err;
    }
    tunnel_spec_hold_again(spec);
    near->spec = spec;
    near->session = session;
    list_init(&near->dials);
    *out = near;
    return ERR_NONE;
}

static struct near *find(struct tunnel_env *env, const struct tunnel_spec *spec, size_t session)
{
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        bool is_over = host->is_over || host->is_ending;
        if (host->is_near && !is_over && near_of(host)->spec == spec &&
            near_of(host)->session == session)
            return near_of(host);
    }
    return NULL;
}

/* ---- openings ---- */

/* What the client has said already goes with the request. */
static enum err send_ahead(struct tunnel_stream *stream, const uint8_t *bytes, size_t given,
                           size_t *n)
{
    enum err err = ERR_NONE;
    while (*n < given && err == ERR_NONE) {
        size_t n_now = 0;
        err = endpoint_write(&stream->ep, bytes + *n, given - *n, &n_now);
        *n += n_now;
    }
    return err == ERR_AGAIN ? ERR_NONE : err;
}

void near_ahead(struct opening *opening, const uint8_t *bytes, size_t given, size_t *n)
{
    *n = 0;
    enum err err = send_ahead(opening->state, bytes, given, n);
    (void)err; /* a stream that is dead says so by itself */
}

static bool has_link(const struct near *near)
{
    for (struct list *at = near->host.carriers.next; at != &near->host.carriers; at = at->next)
        if (CONTAINER_OF(at, struct carrier, link)->has_stood)
            return true;
    return false;
}

static enum stream_kind kind_of(const struct opening *opening)
{
    if (opening->is_association)
        return STREAM_ASSOCIATION;
    return opening->is_speedtest ? STREAM_SPEED : STREAM_CONNECTION;
}

static enum err new_stream(struct tunnel_stream **out, struct near *near, struct stream *stream)
{
    struct tunnel_datagrams *datagrams;
    if (!stream_has_datagrams(stream))
        return tunnel_stream_new(out, &near->host, stream);
    enum err err = tunnel_datagrams_new(&datagrams, &near->host, stream);
    if (err == ERR_NONE)
        *out = &datagrams->stream;
    return err;
}

static enum err open_stream(struct near *near, struct opening *opening)
{
    struct stream_request request = {
        .kind = kind_of(opening),
        .has_target = !target_is_open(&opening->target),
        .target = opening->target,
        .source = opening->source,
    };
    struct stream *session_stream;
    struct tunnel_stream *stream;
    enum err err = session_open(peer_session(near->host.peer), &request, &session_stream);
    if (err == ERR_EOF)
        return ERR_TUNNEL; /* the session has just ended */
    if (err != ERR_NONE)
        return err;
    err = new_stream(&stream, near, session_stream);
    if (err != ERR_NONE) {
        stream_release(session_stream);
        return err;
    }
    stream->opening = opening;
    opening->state = stream;
    opening->late = has_link(near) ? ERR_TIMEOUT : ERR_TUNNEL;
    err = send_ahead(stream, opening->ahead, opening->n_ahead, &opening->n_ahead_taken);
    if (err != ERR_NONE) {
        near_cancel(opening);
        return err;
    }
    host_touch(&near->host);
    return ERR_AGAIN;
}

enum err near_open(struct tunnel_spec *spec, size_t session, struct outbound *via,
                   struct opening *opening)
{
    struct tunnel_env *env = opening->env->tunnels;
    struct near *near = find(env, spec, session);
    bool has_target = !opening->is_speedtest && !opening->is_association;
    enum err err = has_target ? policy_judge_sent_on(opening) : ERR_NONE;
    if (err == ERR_NONE && near == NULL)
        err = make(&near, spec, session, env);
    if (err != ERR_NONE)
        return err;
    if (near->inbound == NULL)
        go_by(near, opening->inbound, via);
    return open_stream(near, opening);
}

void near_cancel(struct opening *opening)
{
    struct tunnel_stream *stream = opening->state;
    stream->opening = NULL;
    opening->state = NULL;
    endpoint_close(&stream->ep, true);
}

bool near_is_suspended(const struct opening *opening)
{
    const struct tunnel_stream *stream = opening->state;
    return host_is_suspended(stream->host);
}

/* ---- what concerns all of a worker's ---- */

void near_turn_all(struct tunnel_env *env, const struct ruleset *ruleset)
{
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (!host->is_near)
            continue;
        struct near *near = near_of(host);
        struct outbound *outbound = tunnel_outbound_find(ruleset, near->spec);
        host->is_leaving = outbound == NULL || env->is_draining;
        if (outbound != NULL)
            go_by(near, &ruleset->inbounds[0], tunnel_outbound_via(outbound));
        host_touch(host);
    }
}

void near_wake_all(struct tunnel_env *env)
{
    struct peer_time now = tunnel_now(env);
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (!host->is_near)
            continue;
        near_dial_cancel_all(near_of(host));
        peer_network_changed(host->peer, &now);
        host_touch(host);
    }
}
