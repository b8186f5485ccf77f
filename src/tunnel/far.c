#include "tunnel/far.h"

#include <stdlib.h>
#include <string.h>

#include "flow/ruleset.h"
#include "io/mailbox.h"
#include "io/socket.h"
#include "io/sys.h"
#include "tunnel/far_host.h"
#include "tunnel/far_listen.h"
#include "tunnel/far_roster.h"
#include "tunnel/tunnels.h"

/* What is said of connections of which a flood may come is said again after this. */
#define COMPLAIN_EVERY_MS 60000

/* ---- what is said ---- */

void far_complain(struct far *far, struct flow_complaint *complaint, const char *user,
                  const struct addr *from, const char *why)
{
    const struct flow_env *env = far->tended.env->flow;
    uint64_t now_ms = loop_now_ms(env->loop);
    complaint->n_since++;
    if (complaint->was_said && now_ms - complaint->said_at_ms < COMPLAIN_EVERY_MS)
        return;
    struct log_line line;
    log_begin(&line, env->log, LOG_LEVEL_WARN, "flight");
    log_str(&line, "in", far->inbound->name);
    log_str(&line, "user", user);
    flow_log_from(&line, from);
    log_str(&line, "why", why);
    log_u64(&line, "n", complaint->n_since);
    log_end(&line);
    *complaint = (struct flow_complaint){.said_at_ms = now_ms, .was_said = true};
}

/* Bytes that are no flight of this key's come from anyone who looks what is here. */
static void tell_of_stranger(const struct far *far, const char *why, const struct addr *from)
{
    struct log *log = far->tended.env->flow->log;
    struct log_line line;
    if (!log_wants(log, LOG_LEVEL_DEBUG))
        return;
    log_begin(&line, log, LOG_LEVEL_DEBUG, "flight");
    log_str(&line, "in", far->inbound->name);
    flow_log_from(&line, from);
    log_str(&line, "why", why);
    log_end(&line);
}

static void tell_of_fault(struct far *far, const struct gate_event *event, const struct addr *from)
{
    if (event->fault == FLIGHT_MAC) {
        tell_of_stranger(far, event->why, from);
        return;
    }
    bool is_client = event->fault == FLIGHT_UNWELCOME;
    const char *user = event->user == NULL ? NULL : event->user->flow.name;
    far->tended.env->flow->counters.refused[is_client ? REFUSAL_CLIENT : REFUSAL_FLIGHT]++;
    far_complain(far, &far->faults[event->fault], user, from, event->why);
}

/* Who comes by a unix socket is on this machine. */
static const struct addr *judged_addr(const struct addr *from)
{
    static const struct addr this_machine = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
    return from->family == ADDR_NONE ? &this_machine : from;
}

/* ---- silence ---- */

static void silence(struct stranger *stranger, struct endpoint *endpoint)
{
    if (stranger == NULL)
        endpoint_close(endpoint, false); /* out of memory */
    else
        stranger_silence(stranger, endpoint);
}

static void on_evicted(struct stranger *stranger)
{
    carrier_evict(stranger->owner);
}

void far_silence(struct far *far, struct carrier *carrier)
{
    struct stranger *stranger = carrier_take_stranger(carrier);
    struct endpoint *endpoint = carrier_release(carrier);
    if (stranger == NULL)
        stranger = strangers_admit(&far->tended.env->strangers, on_evicted, NULL);
    silence(stranger, endpoint);
}

/* ---- the gate ---- */

/* False: out of memory, and the link is gone. The stranger may be NULL for that reason. */
static bool stand_at_gate(struct far *far, struct stranger *stranger, struct peer_link *link,
                          struct endpoint *endpoint, const struct addr *from,
                          const struct peer_time *now)
{
    struct carrier *carrier;
    if (stranger == NULL ||
        carrier_new(&carrier, &far->tended, endpoint, link, from, NULL, NULL) != ERR_NONE) {
        peer_link_ended(link, now);
        return false;
    }
    carrier->stranger = stranger;
    stranger->owner = carrier;
    list_append(&far->carriers, &carrier->link);
    return true;
}

static bool is_at_gate(const struct far *far, const struct carrier *carrier)
{
    return carrier->keeper == &far->tended;
}

/* Nobody that stands at the gate is judged any more. */
static void close_gate(struct far *far)
{
    struct peer_time now = tunnel_now(far->tended.env);
    while (!list_empty(&far->carriers)) {
        struct carrier *carrier = CONTAINER_OF(far->carriers.next, struct carrier, link);
        peer_link_ended(carrier->of, &now);
        far_silence(far, carrier);
    }
}

/* The first that is heard of the peer is a signature that is wanted, or that its link stands. */
static struct far_host *begin_session(struct far *far, struct carrier *carrier, struct peer *peer)
{
    if (!is_at_gate(far, carrier))
        return CONTAINER_OF((struct host *)carrier->owner, struct far_host, host);
    struct far_host *host = far_host_new(far, peer);
    if (host != NULL) {
        far_host_adopt(host, carrier);
        far_host_turn(host); /* it may have come by what has just ceased to be in force */
        if (far->tended.env->flow->is_over)
            host_end(&host->host, END_PROGRAM_ENDS);
        else if (far->tended.env->is_draining)
            host_drain(&host->host, far->tended.env->flow->limits.drain_s);
        return host;
    }
    /* Also of one that has fallen silent meanwhile nothing is told any more. */
    struct peer_time now = tunnel_now(far->tended.env);
    peer_link_ended(carrier->of, &now);
    peer_free(peer);
    far_silence(far, carrier);
    return NULL;
}

static void on_fresh(struct far *far, struct carrier *carrier, struct peer *peer)
{
    struct far_host *host = begin_session(far, carrier, peer);
    far_roster_note(far->inbound->roster);
    if (host != NULL)
        host_touch(&host->host);
}

static void on_joined(struct far *far, struct carrier *carrier, struct peer *peer)
{
    far_roster_note(far->inbound->roster);
    far_host_adopt(peer_owner(peer), carrier);
}

static void on_session_ended(struct far_host *host)
{
    host_touch(&host->host);
}

static void on_sign(struct far *far, struct carrier *carrier, const struct gate_event *event)
{
    struct far_host *host = begin_session(far, carrier, event->peer);
    if (host != NULL)
        far_host_sign(host, event->link);
}

/* ---- moving to another worker ---- */

struct move {
    struct mail mail;
    struct tunnel_env *to;
    struct far_spec *spec; /* held */
    struct gate_parcel *parcel;
    struct addr from;
    int fd;
};

static struct far *need_far(struct tunnel_env *env, struct inbound *inbound);

static struct inbound *find_inbound(const struct ruleset *ruleset, const struct far_spec *spec)
{
    for (size_t i = 0; ruleset != NULL && i < ruleset->n_inbounds; i++)
        if (ruleset->inbounds[i].far == spec)
            return &ruleset->inbounds[i];
    return NULL;
}

/* Its flight goes on where it was judged to belong. */
static void arrive(struct move *move, struct endpoint *endpoint)
{
    struct inbound *inbound = find_inbound(move->to->in_force, move->spec);
    struct far *far = inbound == NULL ? NULL : need_far(move->to, inbound);
    struct stranger *stranger = strangers_admit(&move->to->strangers, on_evicted, NULL);
    struct peer_time now = tunnel_now(move->to);
    struct peer_link *link = NULL;
    if (far != NULL) {
        gate_attach(far->gate, move->parcel, &link);
        move->parcel = NULL;
    }
    if (link == NULL || !stand_at_gate(far, stranger, link, endpoint, &move->from, &now)) {
        silence(stranger, endpoint);
        return;
    }
    gate_go_on(link, &now);
    carrier_settle_unknown(stranger->owner);
}

static void deliver(struct mail *mail)
{
    struct move *move = CONTAINER_OF(mail, struct move, mail);
    struct flow_env *env = move->to->flow;
    struct sock *sock;
    if (sock_new(&sock, env->loop, &env->socks, move->fd, 0, NULL, NULL) != ERR_NONE)
        sys_close(move->fd);
    else
        arrive(move, &sock->ep);
    gate_parcel_free(move->parcel);
    far_spec_release(move->spec);
    free(move);
}

/* A session of a worker that is not there (the program ran with more) is looked for here, and found to be gone. */
static struct tunnel_env *worker_of(const struct far *far, uint16_t index)
{
    struct tunnels *tunnels = far->tended.env->tunnels;
    return index < tunnels->n_workers ? tunnels->workers[index] : far->tended.env;
}

static void on_elsewhere(struct far *far, struct carrier *carrier, uint16_t worker)
{
    struct move *move = calloc(1, sizeof *move);
    struct gate_parcel *parcel = move == NULL ? NULL : gate_detach(carrier->of);
    if (parcel == NULL) {
        struct peer_time now = tunnel_now(carrier->env);
        free(move);
        peer_link_ended(carrier->of, &now);
        far_silence(far, carrier);
        return;
    }
    far_spec_hold_again(far->spec);
    *move = (struct move){.mail = {.deliver = deliver},
                          .to = worker_of(far, worker),
                          .spec = far->spec,
                          .parcel = parcel,
                          .from = carrier->remote,
                          .fd = sock_release(carrier_release(carrier))};
    mailbox_post(move->to->flow->mailbox, &move->mail);
}

/* ---- its life ---- */

static void on_silent(struct far *far, struct carrier *carrier, const struct gate_event *event)
{
    tell_of_fault(far, event, &carrier->remote);
    far_silence(far, carrier);
}

static void tell(struct far *far, const struct gate_event *event)
{
    switch (event->kind) {
    case GATE_FRESH:
        on_fresh(far, peer_link_owner(event->link), event->peer);
        break;
    case GATE_JOINED:
        on_joined(far, peer_link_owner(event->link), event->peer);
        break;
    case GATE_ELSEWHERE:
        on_elsewhere(far, peer_link_owner(event->link), event->worker);
        break;
    case GATE_SILENT:
        on_silent(far, peer_link_owner(event->link), event);
        break;
    case GATE_ENDED:
        on_session_ended(peer_owner(event->peer));
        break;
    case GATE_SIGN:
        on_sign(far, peer_link_owner(event->link), event);
        break;
    }
}

static void free_far(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct far, freeing));
}

/* No host is left. */
static void take_down(struct far *far)
{
    struct loop *loop = far->tended.env->flow->loop;
    tended_forget(&far->tended);
    list_remove(&far->link);
    close_gate(far);
    gate_free(far->gate);
    ruleset_release(far->inbound->ruleset);
    far_spec_release(far->spec);
    loop_defer(loop, &far->freeing, free_far);
}

static void settle(struct tended *tended, const struct peer_time *now)
{
    struct far *far = CONTAINER_OF(tended, struct far, tended);
    struct gate_event event;
    (void)now;
    while (gate_next_event(far->gate, &event))
        tell(far, &event);
    if (far->is_leaving && list_empty(&far->hosts))
        take_down(far);
}

static const char *judge(const struct link_user *user, const void *owner)
{
    const struct carrier *carrier = owner;
    bool may_come = user == NULL || user->flow.rights == NULL ||
                    access_client(&user->flow.rights->allow, &(struct cidr_list){0},
                                  judged_addr(&carrier->remote));
    return may_come ? NULL : "a user who may not come from there";
}

static enum err new_gate(struct gate **out, const struct inbound *inbound, struct tunnel_env *env)
{
    const struct far_settings *settings = &inbound->far->settings;
    const struct gate_options options = {
        .ground = *far_roster_ground(inbound->roster),
        .judge = judge,
        .is_key_public = settings->is_key_public,
        .identity = settings->identity,
        .peers = (const struct verify_key *const *)settings->peers,
        .n_peers = settings->n_peers,
        .worker = (uint16_t)env->index,
        .keep_s = settings->keep_s,
        .early = settings->early,
        .window_bytes = settings->window_bytes,
        .stream_window_bytes = settings->stream_window_bytes,
        .max_unlinked = settings->max_unlinked,
        .max_links = settings->max_links,
        .signs_apart = signer_is_for(settings->identity),
        .chunks = &env->pool.source,
        .rng = env->rng,
    };
    return gate_new(out, &options);
}

static struct far *new_far(struct tunnel_env *env, struct inbound *inbound)
{
    struct far *far = calloc(1, sizeof *far);
    if (far == NULL || new_gate(&far->gate, inbound, env) != ERR_NONE) {
        free(far);
        return NULL;
    }
    tended_init(&far->tended, env, settle);
    list_init(&far->hosts);
    list_init(&far->carriers);
    for (size_t i = 0; i < FAR_CROWDS; i++)
        list_init(&far->unlinked[i]);
    far_spec_hold_again(inbound->far);
    far->spec = inbound->far;
    ruleset_hold(inbound->ruleset);
    far->inbound = inbound;
    list_append(&env->fars, &far->link);
    return far;
}

/* NULL: the inbound is in force no more, or memory has run out. */
static struct far *need_far(struct tunnel_env *env, struct inbound *inbound)
{
    for (struct list *at = env->fars.next; at != &env->fars; at = at->next) {
        struct far *far = CONTAINER_OF(at, struct far, link);
        if (far->spec == inbound->far && !far->is_leaving)
            return far;
    }
    return inbound->ruleset == env->in_force ? new_far(env, inbound) : NULL;
}

/* ---- connections ---- */

static bool may_come(struct far *far, const struct addr *from)
{
    const struct inbound *inbound = far->inbound;
    if (access_client(&inbound->allow, &inbound->deny, judged_addr(from)))
        return true;
    far->tended.env->flow->counters.refused[REFUSAL_CLIENT]++;
    far_complain(far, &far->unwelcome, NULL, from, "an address that may not come");
    return false;
}

static bool receive(struct far *far, struct stranger *stranger, struct endpoint *endpoint,
                    const struct addr *from)
{
    struct peer_time now = tunnel_now(far->tended.env);
    struct peer_link *link = gate_accept(far->gate);
    return link != NULL && stand_at_gate(far, stranger, link, endpoint, from, &now);
}

void far_accept(struct tunnel_env *env, struct inbound *inbound, int fd, const struct addr *from)
{
    struct flow_env *flow = env->flow;
    struct stranger *stranger = strangers_admit(&env->strangers, on_evicted, NULL);
    struct sock *sock;
    if (stranger == NULL) {
        sys_close(fd);
        return;
    }
    if (sock_new(&sock, flow->loop, &flow->socks, fd, 0, NULL, NULL) != ERR_NONE) {
        stranger_leave(stranger);
        sys_close(fd);
        return;
    }
    struct far *far = need_far(env, inbound);
    bool is_received =
        far != NULL && may_come(far, from) && receive(far, stranger, &sock->ep, from);
    if (!is_received)
        stranger_silence(stranger, &sock->ep);
}

/* ---- all of a worker's ---- */

static void end_hosts(struct far *far)
{
    for (struct list *at = far->hosts.next; at != &far->hosts; at = at->next)
        host_end(&CONTAINER_OF(at, struct far_host, link)->host, END_NO_RIGHT);
    tended_touch(&far->tended);
}

/* One that is there no more lets its connections end, as other inbounds do. */
static void drain_hosts(struct far *far)
{
    uint64_t seconds = far->tended.env->flow->limits.drain_s;
    for (struct list *at = far->hosts.next; at != &far->hosts; at = at->next) {
        struct far_host *host = CONTAINER_OF(at, struct far_host, link);
        far_listen_stop_all(host);
        host_drain(&host->host, seconds);
    }
    tended_touch(&far->tended);
}

static void go_by(struct far *far, struct inbound *inbound)
{
    struct inbound *before = far->inbound;
    ruleset_hold(inbound->ruleset);
    far->inbound = inbound;
    gate_turn(far->gate, far_roster_ground(inbound->roster));
    for (struct list *at = far->hosts.next; at != &far->hosts; at = at->next)
        far_host_turn(CONTAINER_OF(at, struct far_host, link));
    tended_touch(&far->tended);       /* some at the gate may have fallen silent */
    ruleset_release(before->ruleset); /* nothing of it is asked for any more */
}

static bool has_peer(const struct far_settings *settings, const struct verify_key *peer)
{
    size_t n;
    const uint8_t *spki = verify_key_spki(peer, &n);
    for (size_t i = 0; i < settings->n_peers; i++)
        if (verify_key_is(settings->peers[i], spki, n))
            return true;
    return false;
}

/* Whoever has shown by the old settings who he is may come by the new ones. */
static bool accepts_all_of(const struct far_settings *new, const struct far_settings *old)
{
    bool all = new->n_peers == 0 || old->n_peers > 0;
    for (size_t i = 0; new->n_peers > 0 && i < old->n_peers; i++)
        all = all && has_peer(new, old->peers[i]);
    return all;
}

static struct inbound *find_name(const struct ruleset *ruleset, const char *name)
{
    for (size_t i = 0; i < ruleset->n_inbounds; i++)
        if (strcmp(ruleset->inbounds[i].name, name) == 0)
            return &ruleset->inbounds[i];
    return NULL;
}

/* It is in force no more, and may have been before. Where another has its place, with other settings, those end at once who would not be
 * let in by that. */
static void leave(struct far *far, struct inbound *next)
{
    bool was_leaving = far->is_leaving, is_tunnel = next != NULL && next->far != NULL;
    far->is_leaving = true;
    close_gate(far);
    far->has_heir = is_tunnel && accepts_all_of(&next->far->settings, &far->spec->settings);
    if (far->has_heir) {
        go_by(far, next);
    } else if (next != NULL) {
        end_hosts(far);
        return;
    }
    if (!was_leaving)
        drain_hosts(far);
}

void far_turn_all(struct tunnel_env *env, struct ruleset *ruleset)
{
    env->in_force = ruleset;
    for (struct list *at = env->fars.next; at != &env->fars; at = at->next) {
        struct far *far = CONTAINER_OF(at, struct far, link);
        struct inbound *inbound = find_inbound(ruleset, far->spec);
        if (inbound != NULL && !far->is_leaving)
            go_by(far, inbound);
        else
            leave(far, find_name(ruleset, far->inbound->name));
    }
}

void far_free_all(struct tunnel_env *env)
{
    while (!list_empty(&env->fars)) {
        struct far *far = CONTAINER_OF(env->fars.next, struct far, link);
        while (!list_empty(&far->hosts))
            far_host_free(CONTAINER_OF(far->hosts.next, struct far_host, link));
        take_down(far);
    }
    strangers_close_all(&env->strangers);
}
