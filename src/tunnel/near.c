#include "tunnel/near.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "flow/inbound.h"
#include "flow/policy.h"
#include "flow/ruleset.h"
#include "peer/near.h"
#include "tunnel/near_dial.h"
#include "tunnel/near_listen.h"
#include "tunnel/opening.h"
#include "tunnel/outbound.h"

/* A server that drains a session this soon is asked to listen again after a pause. */
enum { YOUNG_MS = 5000, TURNED_AWAY_MS = 1000 };

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
    near_listen_deinit(near);
    host_deinit(&near->host);
    ruleset_release(near->inbound->ruleset);
    tunnel_spec_release(near->spec);
    loop_defer(loop, &near->freeing, free_near);
}

/* ---- what its peer tells ---- */

static void on_wanted(struct host *host)
{
    near_dial(near_of(host));
}

/* ---- chains: its carriers may be streams of other sessions of this worker ---- */

static bool stands_still(const struct near *near)
{
    const struct list *carriers = &near->host.carriers;
    for (struct list *at = carriers->next; at != carriers; at = at->next)
        if (!endpoint_is_suspended(CONTAINER_OF(at, struct carrier, link)->endpoint))
            return false;
    bool any = !list_empty(carriers) || !list_empty(&near->dials);
    return any && near_dials_stand_still(near);
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

/* What goes through other sessions has no network of its own: they find a way. */
static bool is_chained(const struct near *near)
{
    if (!list_empty(&near->host.carriers))
        return CONTAINER_OF(near->host.carriers.next, struct carrier, link)->endpoint->fd < 0;
    return !list_empty(&near->dials) && near_dials_stand_still(near);
}

static void on_settled(struct host *host, const struct peer_time *now)
{
    struct near *near = near_of(host);
    near_dials_review(near);
    bool is_suspended = stands_still(near);
    peer_suspend(host->peer, is_suspended, now);
    bool is_moving = peer_is_moving(host->peer) && !is_suspended;
    if (is_moving == host->is_moving)
        return;
    host->is_moving = is_moving;
    touch_others(host);
}

static void on_up(struct host *host, struct carrier *carrier)
{
    near_dial_stands(near_of(host), carrier);
    /* From now on it is the target that takes its time. */
    for (struct list *at = host->streams.next; at != &host->streams; at = at->next) {
        struct tunnel_stream *stream = CONTAINER_OF(at, struct tunnel_stream, link);
        if (stream->opening != NULL)
            stream->opening->late = ERR_TIMEOUT;
    }
}

static void begin_line(struct log_line *line, const struct host *host, const char *what)
{
    log_begin(line, host->tended.env->flow->log, LOG_LEVEL_INFO, "session");
    log_str(line, "out", host->name);
    log_str(line, "is", what);
}

/* Further streams go by another session, whoever has that; those of this one go on. What is listened for is asked for there. */
static void on_drained(struct host *host, uint64_t seconds)
{
    struct tunnel_env *env = host->tended.env;
    struct log_line line;
    begin_line(&line, host, "drained");
    log_u64(&line, "s", seconds);
    log_str(&line, "why", "the other end takes no more connections");
    log_end(&line);
    host->is_drained = true;
    host_leave(host);
    near_turn_all(env, env->in_force); /* its own may be those of long ago */
}

static void on_ended(struct host *host, const char *why)
{
    struct log_line line;
    begin_line(&line, host, "ended");
    log_str(&line, "why", why);
    log_end(&line);
    take_down(near_of(host));
}

static void on_begun(struct host *host)
{
    near_listen_renew(near_of(host));
}

static void on_listener(struct host *host, const struct session_event *event)
{
    near_listen_event(near_of(host), event);
}

static void on_incoming(struct host *host, struct stream *stream)
{
    near_listen_incoming(near_of(host), stream);
}

static void report_listeners(struct host *host, struct tunnel_session_report *report)
{
    near_listen_report(near_of(host), report);
}

static const struct host_ops ops = {
    .report_listeners = report_listeners,
    .on_incoming = on_incoming,
    .on_begun = on_begun,
    .on_listener = on_listener,
    .on_answered = tunnel_opening_answered,
    .on_wanted = on_wanted,
    .on_up = on_up,
    .on_drained = on_drained,
    .on_settled = on_settled,
    .on_ended = on_ended,
};

/* ---- its life ---- */

/*
 * What names a session among those of this installation, the same after a restart: whoever begins one by a name takes the place of the
 * one before. Of an outbound whose settings were changed there are two until the old one has ended.
 */
static void name_instance(uint8_t out[static INSTANCE_BYTES], const struct tunnel_spec *spec,
                          size_t session, const struct tunnel_env *env)
{
    size_t n = spec->tunnels->n_workers;
    const uint64_t place[] = {session, (env->index + n - (spec->home + session) % n) % n};
    const struct piece pieces[] = {
        {spec->tunnels->instance, INSTANCE_BYTES},
        {spec->settings.digest, TUNNEL_DIGEST_BYTES},
        {place, sizeof place},
        {spec->settings.name, strlen(spec->settings.name)},
    };
    uint8_t digest[SHA256_BYTES];
    sha256(digest, pieces, sizeof pieces / sizeof pieces[0]);
    memcpy(out, digest, INSTANCE_BYTES);
}

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

static enum err new_peer(struct peer **out, const struct tunnel_spec *spec, size_t session,
                         struct tunnel_env *env)
{
    struct near_options options;
    struct peer_time now = tunnel_now(env);
    near_fill_options(&options, spec, env);
    name_instance(options.instance, spec, session, env);
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
    enum err err = new_peer(&peer, spec, session, env);
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
    near->began_ms = loop_now_ms(env->flow->loop);
    list_init(&near->dials);
    near_listen_init(near);
    *out = near;
    return ERR_NONE;
}

/* Its session may have heard in this turn that it is drained, which is told when the turn is over. */
static bool takes_streams(const struct host *host)
{
    return !host->is_over && !host->is_ending && !host->is_drained &&
           !session_is_drained(peer_session(host->peer));
}

static struct near *find(struct tunnel_env *env, const struct tunnel_spec *spec, size_t session)
{
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (host->is_near && takes_streams(host) && near_of(host)->spec == spec &&
            near_of(host)->session == session)
            return near_of(host);
    }
    return NULL;
}

/* ---- openings ---- */

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

static enum err open_stream(struct near *near, struct opening *opening)
{
    struct stream_request request = {
        .kind = kind_of(opening),
        .has_target = !target_is_open(&opening->target),
        .target = opening->target,
        .source = opening->source,
    };
    opening->late = has_link(near) ? ERR_TIMEOUT : ERR_TUNNEL;
    return tunnel_opening_begin(&near->host, &request, opening);
}

/* By these rules its server is reached by a tunnel at home on another worker, and it is there that what opens by it opens now. What
 * was never at home here, for flows that could not move, stays. */
static bool has_left_home(const struct near *near, struct outbound *outbound)
{
    const struct flow_env *here = near->host.tended.env->flow;
    return tunnel_home(near->spec, near->via, near->session) == here &&
           tunnel_home(near->spec, outbound->via, near->session) != here;
}

/* What it goes on by. NULL: nothing, it ends with its last stream. */
static struct outbound *find_outbound(const struct near *near, const struct ruleset *ruleset)
{
    struct outbound *outbound = tunnel_outbound_find(ruleset, near->spec);
    return outbound == NULL || has_left_home(near, outbound) ? NULL : outbound;
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
    if (near->inbound == NULL) {
        go_by(near, opening->inbound, via);
        /* Whoever came in before a reload may bring along what it took away, and a session that ends with the program may still dial through
         * another one. */
        near->host.is_leaving = env->is_draining || find_outbound(near, env->in_force) == NULL;
    }
    return open_stream(near, opening);
}

enum err near_relay(struct opening *opening)
{
    const struct tunnel_stream *client = tunnel_stream_of(opening->client);
    if (client->stream == NULL)
        return ERR_TUNNEL;
    const struct target *announced = &opening->target;
    const struct stream_request request = {
        .kind = STREAM_RELAYED,
        .of = stream_id(client->stream),
        .has_target = announced->name_bytes == 0, /* a name says nothing about who sends */
        .target = *announced,
    };
    opening->is_association = true;
    opening->late = has_link(near_of(client->host)) ? ERR_TIMEOUT : ERR_TUNNEL;
    return tunnel_opening_begin(client->host, &request, opening);
}

bool near_is_suspended(const struct opening *opening)
{
    const struct tunnel_stream *stream = opening->state;
    return host_is_suspended(stream->host);
}

/* ---- what concerns all of a worker's ---- */

/* Whether a session has been drained almost before it was there: so may be the next, and the one behind that. */
static bool is_turned_away(struct tunnel_env *env, const struct tunnel_spec *spec, uint64_t now_ms)
{
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (host->is_near && host->is_drained && near_of(host)->spec == spec &&
            now_ms - near_of(host)->began_ms < YOUNG_MS)
            return true;
    }
    return false;
}

/* Its first session is made at once where there is something to listen for. */
static void make_listening(struct tunnel_env *env, const struct ruleset *ruleset,
                           struct outbound *outbound)
{
    struct tunnel_spec *spec = tunnel_outbound_spec(outbound);
    struct near *near;
    if (spec == NULL || tunnel_outbound_home(outbound) != env->flow || find(env, spec, 0) != NULL ||
        env->is_draining || !near_listen_is_wanted(ruleset, outbound))
        return;
    if (make(&near, spec, 0, env) == ERR_NONE) {
        uint64_t now_ms = near->began_ms;
        near->listen_from_ms = is_turned_away(env, spec, now_ms) ? now_ms + TURNED_AWAY_MS : 0;
        return;
    }
    flow_env_complain(env->flow, REFUSAL_MEMORY, outbound->name, NULL);
    env->owes_listening = true;
}

/* A tunnel that is the same by both readings has kept its sessions, and sees to its own way; another does not go on with what goes
 * through the one before. Proxies may be between. */
static bool is_another(struct outbound *via, struct outbound *before)
{
    for (; via != NULL && before != NULL; via = via->via, before = before->via) {
        const struct tunnel_spec *spec = tunnel_outbound_spec(via);
        if (spec != tunnel_outbound_spec(before) || strcmp(via->name, before->name) != 0)
            return true;
        if (spec != NULL)
            return false;
    }
    return via != before;
}

static void move(struct near *near, const char *why)
{
    struct peer_time now = tunnel_now(near->host.tended.env);
    near_dial_cancel_all(near);
    peer_move(near->host.peer, why, &now);
}

static void go_on_by(struct near *near, const struct inbound *inbound, struct outbound *via)
{
    bool moves = near->inbound != NULL && is_another(via, near->via);
    go_by(near, inbound, via);
    if (moves)
        move(near, "the way to the server has changed");
}

static void turn(struct near *near, const struct ruleset *ruleset)
{
    struct tunnel_env *env = near->host.tended.env;
    struct outbound *outbound = find_outbound(near, ruleset);
    bool is_leaving = outbound == NULL || env->is_draining || near->host.is_drained;
    bool listens = !is_leaving && near->session == 0 && tunnel_outbound_home(outbound) == env->flow;
    near->host.is_leaving = is_leaving;
    near_listen_turn(near, listens ? ruleset : NULL, outbound);
    if (outbound != NULL)
        go_on_by(near, &ruleset->inbounds[0], outbound->via);
    host_touch(&near->host);
}

void near_turn_all(struct tunnel_env *env, const struct ruleset *ruleset)
{
    for (size_t i = 0; i < ruleset->n_outbounds; i++)
        make_listening(env, ruleset, ruleset->outbounds[i]);
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (host->is_near)
            turn(near_of(host), ruleset);
    }
}

void near_stop_listening(struct tunnel_env *env)
{
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (host->is_near)
            near_listen_turn(near_of(host), NULL, NULL);
    }
}

void near_wake_all(struct tunnel_env *env)
{
    struct peer_time now = tunnel_now(env);
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (!host->is_near || is_chained(near_of(host)))
            continue;
        near_dial_cancel_all(near_of(host));
        peer_network_changed(host->peer, &now);
        host_touch(host);
    }
}

void near_renew_all(struct tunnel_env *env)
{
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (!host->is_near)
            continue;
        move(near_of(host), "the machine has slept");
        host_touch(host);
    }
}
