#include "tunnel/host.h"

#include <assert.h>

#include "wire/socks5.h"

/* So long an idle session waits for what may be under way to it when it is drained. */
#define DRAIN_WAIT_US 1000000

/* So many carriers' deadlines are asked for no more often than that: what happens to one of them brings up none that is sooner. */
#define MANY_CARRIERS 16
#define LOOK_US 20000

/* So long those have whose carriers are streams of a session, when its own time is up: an END may take three seconds. */
#define RIDERS_US (4 * UINT64_C(1000000))

/* A line about one of its links. */
static void log_link(const struct host *host, enum log_level level, const struct carrier *carrier,
                     const char *what, const char *why)
{
    struct log *log = host->tended.env->flow->log;
    if (carrier->is_brief && level == LOG_LEVEL_INFO)
        level = LOG_LEVEL_DEBUG;
    if (!log_wants(log, level))
        return;
    struct log_line line;
    log_begin(&line, log, level, "link");
    log_str(&line, host->is_near ? "out" : "in", host->name);
    log_str(&line, "user", host->user);
    if (carrier->remote.family != ADDR_NONE)
        log_addr(&line, host->is_near ? "server" : "from", &carrier->remote);
    log_str(&line, "is", what);
    log_str(&line, "why", why);
    log_end(&line);
}

static bool has_link(const struct host *host)
{
    const struct list *carriers = &host->carriers;
    for (struct list *at = carriers->next; at != carriers; at = at->next)
        if (CONTAINER_OF(at, struct carrier, link)->has_stood)
            return true;
    return false;
}

/* A sockeye hangs up on nobody. */
static const char *why_no_link(const struct host *host, const struct carrier *carrier, enum err how)
{
    if (carrier->why != NULL || carrier->is_clean || !host->is_near || how == ERR_NONE)
        return carrier->why;
    return how == ERR_EOF || how == ERR_RESET
               ? "hung up on before an answer; another program listens there, or something "
                 "between cuts connections"
               : err_text(how);
}

/* A carrier that ends without a word of either end has been cut by whoever is between them. An attempt that is given up
 * is no trouble where another link stands by now. */
static void on_carrier_gone(struct carrier *carrier, enum err how)
{
    struct host *host = carrier->owner;
    const char *why;
    host->n_cut += carrier->has_stood && !carrier->is_clean;
    if (host->ops->on_gone != NULL)
        host->ops->on_gone(host, carrier, how);
    if (carrier->has_stood && !carrier->is_clean)
        log_link(host, LOG_LEVEL_WARN, carrier, "cut",
                 how == ERR_EOF ? "it has ended without a close" : err_text(how));
    else if (carrier->has_stood)
        log_link(host, LOG_LEVEL_INFO, carrier, "closed", carrier->why);
    else if ((why = why_no_link(host, carrier, how)) != NULL)
        log_link(host, has_link(host) ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, carrier, "given up", why);
}

static void on_up(struct host *host, struct carrier *carrier)
{
    carrier->has_stood = true;
    carrier->is_brief = peer_link_is_brief(carrier->of);
    log_link(host, LOG_LEVEL_INFO, carrier, "up", NULL);
    if (host->ops->on_up != NULL)
        host->ops->on_up(host, carrier);
}

/* Who vanishes without a word is to be noticed, now that it is known who that is. */
static void on_proved(struct carrier *carrier)
{
    unsigned keepalive_s = carrier->env->flow->limits.keepalive_s;
    carrier_is_known(carrier);
    if (keepalive_s > 0)
        endpoint_keep_alive(carrier->endpoint, keepalive_s);
}

static void on_close(const struct host *host, struct carrier *carrier,
                     const struct peer_event *event)
{
    bool is_trouble = carrier->has_stood && !event->is_clean && event->why != NULL;
    carrier->is_clean = true;
    carrier->why = is_trouble ? NULL : event->why;
    if (is_trouble)
        log_link(host, LOG_LEVEL_WARN, carrier, "given up", event->why);
    carrier_close(carrier, event->is_clean);
}

static void on_stream(struct host *host, const struct session_event *event)
{
    if (event->kind == STREAM_INCOMING && host->ops->on_incoming != NULL) {
        host->ops->on_incoming(host, event->stream);
        return;
    }
    struct tunnel_stream *stream = stream_owner(event->stream);
    if (stream == NULL) {
        stream_reset(event->stream, STREAM_RESET_LIMIT);
        stream_release(event->stream);
        return;
    }
    bool is_end = event->kind == STREAM_ANSWERED || event->kind == STREAM_DEAD;
    if (event->kind == STREAM_DEAD)
        stream->is_dead = true;
    if (stream->opening == NULL)
        tunnel_stream_tell(stream, event->kind);
    else if (is_end)
        host->ops->on_answered(host, stream);
}

static void tell(struct host *host, const struct peer_event *event)
{
    switch (event->kind) {
    case PEER_STREAM:
        on_stream(host, &event->session_event);
        break;
    case PEER_BEGUN:
    case PEER_RENEWED:
        if (host->ops->on_begun != NULL)
            host->ops->on_begun(host);
        break;
    case PEER_LISTENER:
        if (host->ops->on_listener != NULL)
            host->ops->on_listener(host, &event->session_event);
        break;
    case PEER_WANTS_CARRIER:
        host->ops->on_wanted(host);
        break;
    case PEER_LINK_UP:
        on_up(host, peer_link_owner(event->link));
        break;
    case PEER_LINK_PROVED:
        on_proved(peer_link_owner(event->link));
        break;
    case PEER_LINK_CLOSE:
        on_close(host, peer_link_owner(event->link), event);
        break;
    case PEER_LINK_SILENT:
        host->ops->on_silent(host, peer_link_owner(event->link), event->why);
        break;
    case PEER_DRAIN:
        host->ops->on_drained(host, event->seconds);
        break;
    case PEER_SIGN:
    case PEER_ENDED:
        break;
    }
}

/* False: there was nothing to be told. */
static bool tell_all(struct host *host)
{
    bool has_told = false;
    struct peer_event event;
    while (!host->is_over && peer_next_event(host->peer, &event)) {
        host->is_over = event.kind == PEER_ENDED;
        host->why = event.why;
        tell(host, &event);
        has_told = true;
    }
    return has_told;
}

static void write_all(struct host *host, const struct peer_time *now)
{
    struct peer_link *link;
    while ((link = peer_next_wanting(host->peer, now)) != NULL)
        carrier_write(peer_link_owner(link), now);
}

void host_write(struct host *host)
{
    struct peer_time now = tunnel_now(host->tended.env);
    write_all(host, &now);
    host_touch(host);
}

/* The timer is never cleared as long as the host lives, since only moving it cannot fail. */
static enum err set_deadline(struct host *host, uint64_t at_ms)
{
    return timer_set(loop_timers(host->tended.env->flow->loop), &host->deadline, at_ms);
}

static void move_deadline(struct host *host, uint64_t at_us)
{
    uint64_t stopped_us = loop_stopped_us(host->tended.env->flow->loop);
    uint64_t at_ms = at_us == UINT64_MAX ? UINT64_MAX : (at_us + stopped_us) / 1000 + 1;
    if (at_ms == host->deadline.at_ms && timer_is_set(&host->deadline))
        return;
    enum err err = set_deadline(host, at_ms);
    assert(err == ERR_NONE);
    (void)err;
}

/* What is over waits for its carriers to say their last words. */
static void settle_over(struct host *host)
{
    if (list_empty(&host->carriers))
        host->ops->on_ended(host, host->why);
}

static uint64_t deadline_us(const struct host *host)
{
    if (host->is_over)
        return UINT64_MAX;
    uint64_t at_us = peer_deadline_us(host->peer);
    if (host->is_ending)
        return at_us;
    at_us = at_us < host->end_us ? at_us : host->end_us;
    return host->wait_us > 0 && host->wait_us < at_us ? host->wait_us : at_us;
}

/* What the other end has opened before it heard that it should not may be under way. */
static bool awaits_more(struct host *host, const struct peer_time *now)
{
    if (host->wait_us <= now->now_us || peer_drain_is_known(host->peer))
        host->wait_us = 0;
    return host->wait_us > 0;
}

static size_t count_carriers(const struct host *host)
{
    size_t n = 0;
    for (struct list *at = host->carriers.next; at != &host->carriers; at = at->next)
        n++;
    return n;
}

static void look_at_deadlines(struct host *host, const struct peer_time *now)
{
    uint64_t next_us = host->looked_us + LOOK_US;
    if (host->n_carriers < MANY_CARRIERS || next_us <= now->now_us || host->is_over) {
        host->n_carriers = count_carriers(host);
        host->deadline_us = deadline_us(host);
        host->looked_us = now->now_us;
    } else if (next_us < host->deadline_us) {
        host->deadline_us = next_us;
    }
    move_deadline(host, host->deadline_us);
}

static void settle(struct tended *tended, const struct peer_time *now)
{
    struct host *host = CONTAINER_OF(tended, struct host, tended);
    (void)tell_all(host);
    do {
        /* Whoever wants what has come has taken it by now. */
        peer_settle(host->peer);
        write_all(host, now);
    } while (tell_all(host));
    tended_forget(tended); /* what was done to it meanwhile is settled */
    if (host->ops->on_settled != NULL)
        host->ops->on_settled(host, now);
    bool waits = awaits_more(host, now);
    look_at_deadlines(host, now);
    if (host->is_over)
        settle_over(host);
    else if (host->is_leaving && !peer_has_streams(host->peer) && !waits)
        host_end(host, END_PROGRAM_ENDS);
}

/* Its time is up. Whose carriers are its streams ends first, if it does at all. */
static void end_in_order(struct host *host, uint64_t now_us)
{
    host->end_us = now_us + RIDERS_US;
    if (host->n_riders == 0 || host->has_waited)
        host_end(host, END_PROGRAM_ENDS);
    host->has_waited = true;
}

static void on_deadline(struct timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, deadline);
    struct peer_time now = tunnel_now(host->tended.env);
    move_deadline(host, UINT64_MAX);
    host->looked_us = 0;
    peer_advance(host->peer, &now);
    if (host->end_us <= now.now_us)
        end_in_order(host, now.now_us);
    host_touch(host);
}

enum err host_init(struct host *host, struct tunnel_env *env, const struct host_ops *ops,
                   const char *name, struct peer *peer)
{
    tended_init(&host->tended, env, settle);
    host->ops = ops;
    host->name = name;
    host->serial = ++env->n_hosts;
    host->peer = peer;
    list_init(&host->link);
    list_init(&host->carriers);
    list_init(&host->streams);
    host->end_us = UINT64_MAX;
    timer_init(&host->deadline, on_deadline);
    enum err err = set_deadline(host, UINT64_MAX);
    if (err != ERR_NONE)
        return err;
    list_append(&env->hosts, &host->link);
    host_touch(host);
    return ERR_NONE;
}

void host_end(struct host *host, uint8_t code)
{
    if (host->is_ending || host->is_over)
        return;
    struct peer_time now = tunnel_now(host->tended.env);
    host->is_ending = true;
    peer_end(host->peer, code, &now);
    host_touch(host);
}

void host_drain(struct host *host, uint64_t seconds)
{
    if (host->is_ending || host->is_over)
        return;
    struct peer_time now = tunnel_now(host->tended.env);
    peer_drain(host->peer, seconds, &now);
    host->is_drained = true;
    host->end_us = now.now_us + seconds * 1000000;
    host->wait_us = now.now_us + DRAIN_WAIT_US;
    host_leave(host);
}

void host_leave(struct host *host)
{
    host->is_leaving = true;
    host_touch(host);
}

/* Nobody finds it any more who hears by this that a stream is dead. */
static void orphan_streams(struct host *host)
{
    while (!list_empty(&host->streams)) {
        struct tunnel_stream *stream = CONTAINER_OF(host->streams.next, struct tunnel_stream, link);
        bool is_opening = stream->opening != NULL;
        tunnel_stream_orphan(stream);
        if (is_opening)
            host->ops->on_answered(host, stream);
    }
}

void host_deinit(struct host *host)
{
    host->is_over = true;
    list_remove(&host->link);
    while (!list_empty(&host->carriers))
        endpoint_close(carrier_release(CONTAINER_OF(host->carriers.next, struct carrier, link)),
                       true);
    orphan_streams(host);
    peer_free(host->peer);
    timer_clear(loop_timers(host->tended.env->flow->loop), &host->deadline);
    tended_forget(&host->tended);
    struct tunnel_env *env = host->tended.env;
    if (list_empty(&env->hosts) && env->on_empty != NULL)
        env->on_empty(env);
    else if (env->ends_now && env->awaits_riders)
        (void)tunnel_env_end(env, true); /* what has carried it may follow */
}

enum err host_add_carrier(struct host *host, struct endpoint *endpoint, struct peer_link *of,
                          const struct addr *remote)
{
    struct carrier *carrier;
    enum err err =
        carrier_new(&carrier, &host->tended, endpoint, of, remote, on_carrier_gone, host);
    if (err == ERR_NONE)
        list_append(&host->carriers, &carrier->link);
    return err;
}

void host_adopt_carrier(struct host *host, struct carrier *carrier)
{
    carrier_set_keeper(carrier, &host->tended);
    carrier->on_gone = on_carrier_gone;
    carrier->owner = host;
    list_remove(&carrier->link);
    list_append(&host->carriers, &carrier->link);
    host_touch(host);
}

void host_refuse(struct host *host, struct stream *stream, enum err why)
{
    static const struct addr unknown = {.family = ADDR_NONE};
    if (stream_answer(stream, (uint8_t)socks5_code(why), &unknown) != ERR_NONE)
        stream_reset(stream, STREAM_RESET_LIMIT);
    stream_release(stream);
    host_touch(host);
}
