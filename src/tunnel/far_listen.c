#include "tunnel/far_listen.h"

#include <stdio.h>
#include <stdlib.h>

#include "flow/flow.h"
#include "io/listener.h"
#include "io/socket.h"
#include "io/sys.h"
#include "tunnel/far_host.h"
#include "tunnel/far_relay.h"
#include "tunnel/far_roster.h"
#include "tunnel/opening.h"
#include "tunnel/report.h"

#define ADVICE_BYTES (ADDR_TEXT_BYTES + 160)

/* How many refusals of a session are said in how long. */
enum { ADVISE_EVERY_MS = 60000, ADVISE_MAX = 16 };

/* All sessions' listeners have no more than such a part of the descriptors that there are for connections. */
#define LISTENED_PART 8

struct far_listener {
    struct list link; /* in its host's */
    struct far_host *host;
    uint64_t number;
    struct addr at;
    struct claim claim;
    struct listener listener;
    struct list resting; /* in the worker's */
    struct deferred freeing;
};

static struct flow_env *env_of(const struct far_host *host)
{
    return host->host.tended.env->flow;
}

/* ---- what is said ---- */

static void log_listener(const struct far_host *host, enum log_level level, const struct addr *at,
                         const char *what, const char *why)
{
    struct log *log = env_of(host)->log;
    if (!log_wants(log, level))
        return;
    struct log_line line;
    log_begin(&line, log, level, "listener");
    log_str(&line, "in", host->host.name);
    log_str(&line, "user", host->user);
    flow_log_from(&line, &host->remote);
    log_addr(&line, "at", at);
    log_str(&line, "is", what);
    log_str(&line, "why", why);
    log_end(&line);
}

/* Each is said, but not as often as somebody may ask. */
static void warn(struct far_host *host, const struct addr *at, const char *why)
{
    uint64_t now_ms = loop_now_ms(env_of(host)->loop);
    if (now_ms - host->advised_ms >= ADVISE_EVERY_MS) {
        host->advised_ms = now_ms;
        host->n_advised = 0;
    }
    if (host->n_advised++ >= ADVISE_MAX)
        return;
    log_listener(host, LOG_LEVEL_WARN, at, "refused", why);
}

static void advise(struct far_host *host, const struct addr *at)
{
    char address[ADDR_TEXT_BYTES], advice[ADVICE_BYTES];
    addr_format(at, address);
    snprintf(advice, sizeof advice,
             "allow_reverse does not name it; to allow it write allow_reverse: ['%s'] here%s",
             address, host->user == NULL ? "" : " or with the user");
    warn(host, at, advice);
}

/* ---- connections ---- */

static bool has_room(struct listener *listener)
{
    struct far_listener *mine = CONTAINER_OF(listener, struct far_listener, listener);
    struct flow_shared *shared = env_of(mine->host)->shared;
    if (claim_is_lost(&mine->claim))
        return false;
    if (flow_shared_n_used(shared) < atomic_load(&shared->max_by_descriptors))
        return true;
    if (list_empty(&mine->resting))
        list_append(&mine->host->host.tended.env->resting, &mine->resting);
    return false;
}

/* What has been taken, for open_by(). */
struct taken {
    struct far_listener *listener;
    struct endpoint *client;
};

static void on_accept(struct listener *listener, int fd, const struct addr *from)
{
    struct far_listener *mine = CONTAINER_OF(listener, struct far_listener, listener);
    struct far_host *host = mine->host;
    struct flow_env *env = env_of(host);
    struct sock *sock;
    if (sock_new(&sock, env->loop, &env->socks, fd, LOOP_READ, NULL, NULL) != ERR_NONE) {
        sys_close(fd);
        return;
    }
    struct taken taken = {.listener = mine, .client = &sock->ep};
    const struct request request = {.command = REQUEST_CONNECT,
                                    .target = {.addr = mine->at},
                                    .by = &host->far->spec->reverse,
                                    .by_what = &taken};
    host->n_streams++;
    const struct link_user *user = gate_user_of(host->host.peer);
    if (flow_accept_request(env, host->far->inbound, user == NULL ? NULL : &user->flow, &sock->ep,
                            &host->remote, from, &request) != ERR_NONE)
        endpoint_close(&sock->ep, true);
}

static void on_shortage(struct listener *listener, enum err err)
{
    const struct far_listener *mine = CONTAINER_OF(listener, struct far_listener, listener);
    if (claim_is_lost(&mine->claim))
        return; /* another has what waits */
    enum refusal why = err == ERR_MEMORY ? REFUSAL_MEMORY : REFUSAL_DESCRIPTORS;
    flow_env_complain(env_of(mine->host), why, mine->host->host.name, NULL);
}

static enum err open_by(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    const struct taken taken = *(const struct taken *)opening->state;
    const struct stream_request request = {
        .kind = STREAM_ACCEPTED,
        .of = taken.listener->number,
        .has_target = true,
        .target = opening->target,
        .source = opening->source,
    };
    enum err err = tunnel_opening_begin(&taken.listener->host->host, &request, opening);
    if (err == ERR_AGAIN) { /* far_listen_client() finds the flow by it, from now on */
        struct tunnel_stream *stream = opening->state;
        stream->ep.owner = taken.client->owner;
    }
    return err;
}

struct endpoint *far_listen_client(const struct stream *stream)
{
    const struct tunnel_stream *taken = stream == NULL ? NULL : stream_owner(stream);
    const struct flow *flow = taken == NULL ? NULL : taken->ep.owner;
    return flow == NULL ? NULL : flow->client;
}

static void ahead(struct outbound *outbound, struct opening *opening, const uint8_t *bytes,
                  size_t given, size_t *n)
{
    (void)outbound;
    tunnel_opening_ahead(opening, bytes, given, n);
}

/* Who comes while the session has no link waits in it. */
static bool is_suspended(struct outbound *outbound, const struct opening *opening)
{
    (void)outbound;
    const struct tunnel_stream *stream = opening->state;
    return stream->stream != NULL && !peer_is_linked(stream->host->peer);
}

static void cancel(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    tunnel_opening_cancel(opening);
}

const struct outbound_ops far_listen_outbound = {
    .open = open_by,
    .associate = far_relay_open,
    .ahead = ahead,
    .is_suspended = is_suspended,
    .cancel = cancel,
};

/* ---- listening ---- */

static void free_listener(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct far_listener, freeing));
}

static void leave_place(const struct far_host *host)
{
    atomic_fetch_sub(&env_of(host)->shared->n_listened, 1);
}

static enum err take_place(const struct far_host *host)
{
    struct flow_shared *shared = env_of(host)->shared;
    uint64_t most = atomic_load(&shared->max_by_descriptors) / LISTENED_PART;
    if (atomic_fetch_add(&shared->n_listened, 1) < most)
        return ERR_NONE;
    leave_place(host);
    return ERR_DESCRIPTORS;
}

static void stop(struct far_listener *listener, const char *why)
{
    log_listener(listener->host, LOG_LEVEL_INFO, &listener->at, "ended", why);
    leave_place(listener->host);
    listener_release(&listener->listener);
    claim_drop(&listener->claim);
    list_remove(&listener->link);
    list_remove(&listener->resting);
    loop_defer(env_of(listener->host)->loop, &listener->freeing, free_listener);
}

static void answer(struct far_host *host, uint64_t number, enum listener_code code,
                   const struct addr *at)
{
    static const struct addr nowhere = {.family = ADDR_NONE};
    session_listening(peer_session(host->host.peer), number, code,
                      code == LISTENER_BOUND ? at : &nowhere);
    host_touch(&host->host);
}

static void take_back(struct far_listener *listener, enum listener_code code, const char *why)
{
    answer(listener->host, listener->number, code, NULL);
    stop(listener, why);
}

/* Every address of a family is listened on only by leave for all of them. */
static bool names(const struct target_rule_list *rules, const struct addr *at)
{
    for (size_t i = 0; i < rules->n; i++) {
        const struct target_rule *rule = &rules->items[i];
        bool is_for_all = rule->cidr.prefix_bits == 0;
        if (at->port >= rule->port_from && at->port <= rule->port_to &&
            cidr_contains(&rule->cidr, at) && (is_for_all || !addr_is_unspecified(at)))
            return true;
    }
    return false;
}

static bool may_listen(const struct far_host *host, const struct addr *at)
{
    const struct link_user *user = gate_user_of(host->host.peer);
    const struct user_rights *rights = user == NULL ? NULL : user->flow.rights;
    return names(&host->far->inbound->allow_reverse, at) ||
           (rights != NULL && names(&rights->allow_reverse, at));
}

static enum listener_code code_of(enum err err)
{
    return err == ERR_IN_USE ? LISTENER_IN_USE : LISTENER_FAILED;
}

static enum err begin(struct far_listener *listener)
{
    struct far_host *host = listener->host;
    bool is_taken_over;
    enum err err = claim_take(&listener->claim, host->claimant, &listener->at, &is_taken_over);
    if (err != ERR_NONE)
        return err;
    listener->listener = (struct listener){.has_room = has_room,
                                           .on_accept = on_accept,
                                           .on_shortage = on_shortage,
                                           .is_shared = is_taken_over};
    err = listener_start(&listener->listener, env_of(host)->loop, listener->claim.fd);
    if (err != ERR_NONE)
        claim_drop(&listener->claim);
    return err;
}

static enum err listen_at(struct far_host *host, uint64_t number, const struct addr *at)
{
    struct far_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL || !far_host_claims(host)) {
        free(listener);
        return ERR_MEMORY;
    }
    list_init(&listener->resting);
    listener->host = host;
    listener->number = number;
    listener->at = *at;
    enum err err = take_place(host);
    if (err == ERR_NONE) {
        err = begin(listener);
        if (err == ERR_NONE) {
            list_append(&host->listeners, &listener->link);
            return ERR_NONE;
        }
        leave_place(host);
    }
    free(listener);
    return err;
}

static void on_listen(struct far_host *host, const struct session_event *event)
{
    struct addr at = event->addr;
    addr_unmap(&at);
    if (event->code != LISTENER_CONNECTIONS || host->host.is_ending || host->host.is_drained) {
        answer(host, event->listener, LISTENER_FAILED, NULL);
        return;
    }
    if (!may_listen(host, &at)) {
        advise(host, &at);
        answer(host, event->listener, LISTENER_DENIED, NULL);
        return;
    }
    enum err err = listen_at(host, event->listener, &at);
    if (err == ERR_NONE)
        log_listener(host, LOG_LEVEL_INFO, &at, "listening", NULL);
    else
        warn(host, &at, err_text(err));
    answer(host, event->listener, err == ERR_NONE ? LISTENER_BOUND : code_of(err), &at);
}

static struct far_listener *listener_at(struct list *at)
{
    return CONTAINER_OF(at, struct far_listener, link);
}

static void on_unlisten(struct far_host *host, uint64_t number)
{
    for (struct list *at = host->listeners.next; at != &host->listeners; at = at->next) {
        if (listener_at(at)->number == number) {
            stop(listener_at(at), "the other end wants it no more");
            return;
        }
    }
}

void far_listen_event(struct far_host *host, const struct session_event *event)
{
    if (event->kind == SESSION_LISTEN)
        on_listen(host, event);
    else
        on_unlisten(host, event->listener);
}

/* ---- all of a session's, or a worker's ---- */

void far_listen_review(struct far_host *host)
{
    for (struct list *at = host->listeners.next, *next; at != &host->listeners; at = next) {
        next = at->next;
        if (may_listen(host, &listener_at(at)->at))
            continue;
        advise(host, &listener_at(at)->at);
        take_back(listener_at(at), LISTENER_DENIED, "allow_reverse names it no more");
    }
}

void far_listen_yield(struct far_host *host)
{
    for (struct list *at = host->listeners.next, *next; at != &host->listeners; at = next) {
        next = at->next;
        if (claim_is_lost(&listener_at(at)->claim))
            take_back(listener_at(at), LISTENER_IN_USE, "another session has taken it over");
    }
}

void far_listen_stop_all(struct far_host *host)
{
    while (!list_empty(&host->listeners))
        stop(listener_at(host->listeners.next), "the session is over");
}

static void for_all(struct tunnel_env *env, void (*what)(struct far_host *))
{
    for (struct list *at = env->fars.next; at != &env->fars; at = at->next) {
        struct far *far = CONTAINER_OF(at, struct far, link);
        for (struct list *on = far->hosts.next; on != &far->hosts; on = on->next)
            what(CONTAINER_OF(on, struct far_host, link));
    }
}

void far_listen_wake_all(struct tunnel_env *env)
{
    while (!list_empty(&env->resting)) {
        struct far_listener *listener =
            CONTAINER_OF(env->resting.next, struct far_listener, resting);
        list_remove(&listener->resting);
        listener_wake(&listener->listener);
    }
}

void far_listen_end_all(struct tunnel_env *env)
{
    for_all(env, far_listen_stop_all);
}

void far_listen_report(const struct far_host *host, struct tunnel_session_report *report)
{
    for (struct list *at = host->listeners.next; at != &host->listeners; at = at->next)
        tunnel_report_listener(report, &listener_at(at)->at, NULL, "listening");
}
