#include "tunnel/far_host.h"

#include <stdlib.h>
#include <string.h>

#include "flow/flow.h"
#include "tunnel/datagrams.h"
#include "tunnel/far_listen.h"
#include "tunnel/far_room.h"
#include "tunnel/far_roster.h"
#include "tunnel/opening.h"
#include "tunnel/tunnels.h"
#include "wire/socks5.h"

/* Of what all flows may hold the last part is for those that are there. */
#define RESERVED_PART 8

static struct far_host *far_host_of(struct host *host)
{
    return CONTAINER_OF(host, struct far_host, host);
}

static void end(struct far_host *host, uint8_t code, const char *why)
{
    host->end_why = why;
    host_end(&host->host, code);
}

/* ---- a user's sessions ---- */

#define TOO_MANY "a user has as many sessions as he may have"

static struct counted sessions_of(const struct far_host *host)
{
    return (struct counted){.of = host->far->inbound->counts, .user = host->user_id};
}

static struct list *crowd_of(struct far *far, const uint8_t user_id[static USER_ID_BYTES])
{
    return &far->unlinked[user_id[0] % FAR_CROWDS];
}

/* It has got its first carrier, or lost the last, or is counted from now on, or not any more. */
static void note_unlinked(struct far_host *host)
{
    list_remove(&host->in_unlinked);
    if (host->is_counted && list_empty(&host->host.carriers))
        list_append(crowd_of(host->far, host->user_id), &host->in_unlinked);
}

/* It counts no more, unless another that has replaced it counts in its place. */
static void uncount_session(struct far_host *host)
{
    struct counted sessions = sessions_of(host);
    if (host->is_counted && (host->claimant == NULL || claimant_keep_place(host->claimant)))
        clients_leave(&host->host.tended.env->flow->shared->clients, &sessions);
    host->is_counted = false;
    note_unlinked(host);
}

static uint64_t max_sessions(const struct link_user *user)
{
    uint64_t max = user->flow.rights == NULL ? 0 : user->flow.rights->sessions;
    return max == 0 ? UINT64_MAX : max;
}

/* One of his that has no link makes room: he may have come back from elsewhere, or started anew. */
bool far_host_end_unlinked(struct far *far, const uint8_t user_id[static USER_ID_BYTES])
{
    const struct list *crowd = crowd_of(far, user_id);
    for (struct list *at = crowd->next; at != crowd; at = at->next) {
        struct far_host *host = CONTAINER_OF(at, struct far_host, in_unlinked);
        if (memcmp(host->user_id, user_id, USER_ID_BYTES) != 0)
            continue;
        uncount_session(host);
        end(host, END_LIMIT, "another session of the user's has taken its place");
        return true;
    }
    return false;
}

/* False: he has as many as he may have, or memory has run out; which was said. It has come before the session was begun where
 * its first stream came with early records. */
static bool count_session(struct far_host *host)
{
    const struct link_user *user = gate_user_of(host->host.peer);
    struct flow_env *env = host->host.tended.env->flow;
    struct counted sessions = sessions_of(host);
    enum err err;
    if (user == NULL || host->is_counted)
        return true;
    do
        err = clients_enter(&env->shared->clients, &sessions, max_sessions(user));
    while (err == ERR_LIMIT && far_host_end_unlinked(host->far, host->user_id));
    host->is_counted = err == ERR_NONE;
    note_unlinked(host);
    if (host->is_counted && host->claimant != NULL)
        claimant_set_place(host->claimant, sessions.of);
    if (err == ERR_LIMIT) {
        far_room_ask_others(host, max_sessions(user));
        env->counters.refused[REFUSAL_CONNECTIONS]++;
        far_complain(host->far, &host->far->too_many, host->user, &host->remote, TOO_MANY);
    } else if (err != ERR_NONE) {
        flow_env_refuse(env, REFUSAL_MEMORY, host->host.name, &host->remote);
    }
    return host->is_counted;
}

/* ---- streams ---- */

static void reply(struct flow *flow, enum err err, const struct addr *bound)
{
    static const struct addr unknown = {.family = ADDR_NONE};
    if (flow->client->fd >= 0) { /* one that a listener has taken, and who waits for no answer */
        flow->is_cut_off = err != ERR_NONE;
        return;
    }
    struct tunnel_stream *stream = tunnel_stream_of(flow->client);
    if (stream->stream == NULL || stream->is_dead)
        return;
    uint8_t code = (uint8_t)socks5_code(err);
    enum err answered = stream_answer(stream->stream, code, bound != NULL ? bound : &unknown);
    flow->is_cut_off = answered != ERR_NONE;
    stream->is_finished |= err != ERR_NONE; /* of which no more is said */
    host_touch(stream->host);
}

const struct inbound_protocol inbound_tunnel = {
    .name = "tunnel",
    .is_tunnel = true,
    .reply = reply,
};

/* Where there is little memory left, those who have streams go on, and who wants another hears why not. */
static bool has_memory(const struct flow_env *env)
{
    uint64_t max = env->limits.max_held_bytes;
    return max == 0 || atomic_load(&env->shared->n_held_bytes) <= max - max / RESERVED_PART;
}

static enum err may_open(struct far_host *host)
{
    if (host->host.is_ending)
        return ERR_DENIED;
    return count_session(host) ? ERR_NONE : ERR_LIMIT;
}

/* Of the datagrams of one whose connection a listener has taken. */
static enum err relay_request(const struct far_host *host, const struct stream_request *asked,
                              struct request *request)
{
    const struct session *session = peer_session(host->host.peer);
    struct endpoint *client = far_listen_client(session_accepted(session, asked->of));
    *request = (struct request){.command = REQUEST_ASSOCIATE,
                                .target = asked->target,
                                .by = &host->far->spec->reverse,
                                .by_what = client};
    return client == NULL ? ERR_RESET : ERR_NONE;
}

static enum err request_of(const struct far_host *host, const struct stream_request *asked,
                           struct request *request)
{
    const struct far *far = host->far;
    const struct inbound *inbound = far->inbound;
    const struct target *configured = &inbound->target;
    if (far->is_leaving && !far->has_heir)
        return ERR_DENIED;
    bool is_udp = asked->kind == STREAM_ASSOCIATION || asked->kind == STREAM_RELAYED;
    if (is_udp && !inbound->udp.is_enabled)
        return ERR_COMMAND;
    if (asked->kind == STREAM_RELAYED)
        return relay_request(host, asked, request);
    if (asked->kind == STREAM_ASSOCIATION) {
        *request = (struct request){.command = REQUEST_ASSOCIATE};
        return ERR_NONE;
    }
    if (asked->kind == STREAM_SPEED) {
        *request = (struct request){.command = REQUEST_CONNECT, .by = inbound->speedtest};
        return inbound->speedtest == NULL ? ERR_DENIED : ERR_NONE;
    }
    bool has_target = !target_is_open(configured);
    if (!asked->has_target && !has_target)
        return ERR_DENIED;
    *request = (struct request){
        .command = REQUEST_CONNECT,
        .target = asked->has_target ? asked->target : *configured,
        .is_configured = !asked->has_target,
    };
    return ERR_NONE;
}

/* Where the client is: whoever a listener has taken we know ourselves. A carrier of another tunnel, or a measurement, is nobody's but
 * the near end's own. */
static struct addr source_of(const struct far_host *host, const struct stream_request *asked,
                             const struct request *request)
{
    if (asked->kind == STREAM_RELAYED) {
        const struct endpoint *client = request->by_what;
        const struct flow *flow = client->owner;
        return flow->from;
    }
    bool is_own = asked->kind == STREAM_SPEED || asked->source.family == ADDR_NONE;
    return is_own ? host->remote : asked->source;
}

static void on_incoming(struct host *base, struct stream *session_stream)
{
    struct far_host *host = far_host_of(base);
    struct far *far = host->far;
    struct flow_env *env = base->tended.env->flow;
    const struct stream_request *asked = stream_request(session_stream);
    struct request request;
    struct tunnel_stream *stream;
    enum err err = may_open(host);
    if (err == ERR_NONE)
        err = request_of(host, asked, &request);
    if (err == ERR_NONE && !has_memory(env)) {
        flow_env_refuse(env, REFUSAL_MEMORY, far->inbound->name, &host->remote);
        err = ERR_MEMORY;
    }
    if (err == ERR_NONE)
        err = tunnel_endpoint_new(&stream, base, session_stream);
    if (err != ERR_NONE) {
        host_refuse(base, session_stream, err);
        return;
    }
    if (stream_has_datagrams(session_stream))
        request.packets = &tunnel_datagrams_of(stream)->packets;
    host->n_streams++;
    struct addr source = source_of(host, asked, &request);
    const struct link_user *user = gate_user_of(base->peer);
    err = flow_accept_request(env, far->inbound, user == NULL ? NULL : &user->flow, &stream->ep,
                              &host->remote, &source, &request);
    if (err == ERR_NONE)
        return;
    stream->stream = NULL;
    endpoint_close(&stream->ep, false);
    host_refuse(base, session_stream, err);
}

/* ---- links ---- */

/* A line about the session. */
static void begin_line(struct log_line *line, const struct far_host *host, const char *what)
{
    log_begin(line, host->host.tended.env->flow->log, LOG_LEVEL_INFO, "session");
    log_str(line, "in", host->host.name);
    log_str(line, "user", host->user);
    flow_log_from(line, &host->remote);
    log_str(line, "is", what);
}

static void on_up(struct host *base, struct carrier *carrier)
{
    far_host_of(base)->remote = carrier->remote;
}

/* It had the key, and is wanting all the same: it counts among strangers now. */
static void on_silent(struct host *base, struct carrier *carrier, const char *why)
{
    struct far *far = far_host_of(base)->far;
    struct addr remote = carrier->remote;
    far_complain(far, &far->bad_links, base->user, &remote, why);
    far_silence(far, carrier);
    note_unlinked(far_host_of(base));
}

static void on_gone(struct host *base, const struct carrier *carrier, enum err how)
{
    (void)carrier;
    (void)how;
    note_unlinked(far_host_of(base));
}

void far_host_adopt(struct far_host *host, struct carrier *carrier)
{
    host->remote = carrier->remote;
    host_adopt_carrier(&host->host, carrier);
    note_unlinked(host);
}

/* ---- signatures ---- */

/* It outlives the host: the key is not to go before the thread is through with it. */
struct far_signing {
    struct far_host *host; /* NULL: gone */
    struct peer_link *link;
    struct far_spec *spec; /* held */
};

static bool has_link(const struct far_host *host, const struct peer_link *link)
{
    const struct list *carriers = &host->host.carriers;
    for (struct list *at = carriers->next; at != carriers; at = at->next)
        if (CONTAINER_OF(at, struct carrier, link)->of == link)
            return true;
    return false;
}

static void on_signed(struct signing *signing)
{
    struct far_signing *mine = signing->owner;
    struct far_host *host = mine->host;
    if (host != NULL && has_link(host, mine->link)) {
        struct peer_time now = tunnel_now(host->host.tended.env);
        peer_signed(mine->link, signing->signature, signing->n, &now);
        tended_touch(&host->far->tended);
        host_touch(&host->host);
    }
    if (host != NULL)
        host->signing = NULL;
    far_spec_release(mine->spec);
    free(mine);
}

void far_host_sign(struct far_host *host, struct peer_link *link)
{
    struct tunnel_env *env = host->host.tended.env;
    struct signing *signing = env->tunnels->signer == NULL ? NULL : signing_new();
    struct far_signing *mine = malloc(sizeof *mine);
    if (signing == NULL || mine == NULL) {
        struct peer_time now = tunnel_now(env);
        free(signing);
        free(mine);
        peer_signed(link, NULL, 0, &now);
        tended_touch(&host->far->tended);
        return;
    }
    far_spec_hold_again(host->far->spec);
    *mine = (struct far_signing){.host = host, .link = link, .spec = host->far->spec};
    host->signing = mine;
    signing->key = peer_sign_job(link, signing->bytes);
    signing->mailbox = env->flow->mailbox;
    signing->done = on_signed;
    signing->owner = mine;
    signer_begin(env->tunnels->signer, signing);
}

/* ---- listeners ---- */

#define REPLACED "another session of the same peer's has taken its place"

static void on_told(struct claimant *claimant, bool is_replaced);

bool far_host_claims(struct far_host *host)
{
    struct tunnel_env *env = host->host.tended.env;
    const void *place = host->far->inbound->counts;
    uint8_t who[PEER_WHO_BYTES];
    if (host->claimant != NULL)
        return true;
    host->claimant = claimant_new(&env->tunnels->claims, env->flow->mailbox, on_told, host);
    if (host->claimant == NULL)
        return false;
    peer_who(host->host.peer, who);
    host->is_linked = peer_is_linked(host->host.peer);
    claimant_set_linked(host->claimant, host->is_linked);
    if (host->is_counted)
        claimant_set_place(host->claimant, place);
    bool wants_place = gate_user_of(host->host.peer) != NULL && !host->is_counted;
    host->is_counted |= claimant_begin(host->claimant, who, wants_place ? place : NULL);
    note_unlinked(host);
    return true;
}

static void on_begun(struct host *base)
{
    struct far_host *host = far_host_of(base);
    host->has_begun = true;
    if (log_wants(base->tended.env->flow->log, LOG_LEVEL_INFO)) {
        struct log_line line;
        begin_line(&line, host, "begun");
        log_end(&line);
    }
    /* One that drains is not the one that its client stays with, though the other may have begun before. */
    if (!base->is_drained)
        (void)far_host_claims(host); /* else it tries again when it is to listen */
    if (!count_session(host))
        end(host, END_LIMIT, TOO_MANY);
}

static void on_listener(struct host *base, const struct session_event *event)
{
    far_listen_event(far_host_of(base), event);
}

static void on_settled(struct host *base, const struct peer_time *now)
{
    struct far_host *host = far_host_of(base);
    bool is_linked = !base->is_over && peer_is_linked(base->peer);
    (void)now;
    if (host->is_linked == is_linked || host->claimant == NULL)
        return;
    host->is_linked = is_linked;
    claimant_set_linked(host->claimant, is_linked);
}

static void on_told(struct claimant *claimant, bool is_replaced)
{
    struct far_host *host = claimant->owner;
    far_listen_yield(host);
    /* One that drains has been replaced by its client's own will. */
    if (is_replaced && !host->host.is_drained)
        end(host, END_NO_RIGHT, REPLACED);
}

/* ---- its life ---- */

static void free_host(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct far_host, freeing));
}

void far_host_free(struct far_host *host)
{
    struct loop *loop = host->host.tended.env->flow->loop;
    if (host->signing != NULL)
        host->signing->host = NULL;
    uncount_session(host);
    far_listen_stop_all(host);
    claimant_free(host->claimant);
    list_remove(&host->link);
    host_deinit(&host->host);
    free(host->user);
    loop_defer(loop, &host->freeing, free_host);
}

/* It opens no more; what we would open goes by another session of its. */
static void on_drained(struct host *base, uint64_t seconds)
{
    struct far_host *host = far_host_of(base);
    bool has_time = base->is_drained; /* by us, and no longer than that */
    base->is_drained = true;
    far_listen_stop_all(host);
    /* Else it lasts as long as its client pleases, so it counts until then. */
    if (!has_time && host->claimant != NULL && !claimant_keep_place(host->claimant))
        end(host, END_NO_RIGHT, REPLACED);
    if (!log_wants(base->tended.env->flow->log, LOG_LEVEL_INFO))
        return;
    struct log_line line;
    begin_line(&line, host, "drained");
    log_u64(&line, "s", seconds);
    log_str(&line, "why", "the other end opens no more connections");
    log_end(&line);
}

static void on_ended(struct host *base, const char *why)
{
    struct far_host *host = far_host_of(base);
    struct far *far = host->far;
    const struct flow_env *env = base->tended.env->flow;
    if (host->has_begun && log_wants(env->log, LOG_LEVEL_INFO)) {
        struct log_line line;
        begin_line(&line, host, "ended");
        log_u64(&line, "streams", host->n_streams);
        log_u64(&line, "ms", loop_now_ms(env->loop) - host->began_ms);
        log_str(&line, "why", why == NULL ? host->end_why : why);
        log_end(&line);
    }
    far_host_free(host);
    tended_touch(&far->tended);
}

static void report_listeners(struct host *host, struct tunnel_session_report *report)
{
    far_listen_report(far_host_of(host), report);
}

static const struct host_ops ops = {
    .report_listeners = report_listeners,
    .on_incoming = on_incoming,
    .on_answered = tunnel_opening_answered,
    .on_begun = on_begun,
    .on_listener = on_listener,
    .on_settled = on_settled,
    .on_up = on_up,
    .on_drained = on_drained,
    .on_silent = on_silent,
    .on_gone = on_gone,
    .on_ended = on_ended,
};

static enum err copy_user(struct far_host *host, const struct link_user *user)
{
    if (user == NULL)
        return ERR_NONE;
    host->user = tunnel_copy_text(user->flow.name);
    if (host->user == NULL)
        return ERR_MEMORY;
    memcpy(host->user_id, user->key.tag, USER_ID_BYTES);
    return ERR_NONE;
}

struct far_host *far_host_new(struct far *far, struct peer *peer)
{
    struct tunnel_env *env = far->tended.env;
    struct far_host *host = calloc(1, sizeof *host);
    if (host == NULL || copy_user(host, gate_user_of(peer)) != ERR_NONE ||
        host_init(&host->host, env, &ops, far->inbound->name, peer) != ERR_NONE) {
        free(host == NULL ? NULL : host->user);
        free(host);
        return NULL;
    }
    host->far = far;
    peer_set_owner(peer, host);
    host->host.user = host->user;
    list_init(&host->listeners);
    list_init(&host->in_unlinked);
    host->began_ms = loop_now_ms(env->flow->loop);
    list_append(&far->hosts, &host->link);
    return host;
}

void far_host_turn(struct far_host *host)
{
    host->host.name = host->far->inbound->name;
    if (!gate_knows(host->host.peer))
        end(host, END_NO_RIGHT, "the user, or the key, is not there any more");
    far_listen_review(host);
}
