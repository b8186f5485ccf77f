#include "outbound/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "flow/dial.h"
#include "flow/policy.h"

/* A trouble that goes on is said again after this. */
#define COMPLAIN_EVERY_MS 60000

static const char *const trouble_texts[N_TROUBLES] = {
    [TROUBLE_LOGIN] = "the upstream refuses our login, or asks for one",
    [TROUBLE_NONSENSE] = "the upstream's answer is not understood",
    [TROUBLE_CLOSED] = "the upstream has closed before it answered",
};

static void complain(struct upstream *upstream, enum upstream_trouble trouble, enum err err)
{
    struct flow_env *env = upstream->opening->env;
    struct upstream_outbound *outbound = upstream->outbound;
    struct upstream_complaint *complaint = &outbound->complaints[trouble];
    uint64_t now_ms = loop_now_ms(env->loop);
    uint64_t next_at_ms = atomic_load(&complaint->next_at_ms);
    atomic_fetch_add(&complaint->n_since, 1);
    if (now_ms < next_at_ms || !atomic_compare_exchange_strong(&complaint->next_at_ms, &next_at_ms,
                                                               now_ms + COMPLAIN_EVERY_MS))
        return;
    char server[TARGET_TEXT_BYTES];
    target_format(outbound->server.at, server);
    const char *why = trouble_texts[trouble] != NULL ? trouble_texts[trouble] : err_text(err);
    struct log_line line;
    log_begin(&line, env->log, LOG_LEVEL_WARN, "upstream");
    log_str(&line, "out", outbound->outbound.name);
    log_str(&line, "server", server);
    log_str(&line, "why", why);
    log_u64(&line, "n", atomic_exchange(&complaint->n_since, 0));
    log_end(&line);
}

static bool is_shortage(enum err err)
{
    return err == ERR_LIMIT || err == ERR_MEMORY || err == ERR_DESCRIPTORS || err == ERR_PORTS;
}

/* What broke the connection to the server, in none of the words that the target's have. */
static enum err of_connection(enum err err)
{
    return is_shortage(err) || err == ERR_TIMEOUT ? err : ERR_RESET;
}

/* What the client is told: that the server is out of reach says nothing about the target. */
static enum err judge_reaching(struct upstream *upstream, enum err err)
{
    if (err == ERR_NONE || err == ERR_AGAIN || is_shortage(err))
        return err;
    complain(upstream, TROUBLE_REACHING, err);
    return err == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UPSTREAM;
}

static enum err judge_talking(struct upstream *upstream, enum err err)
{
    enum upstream_trouble trouble = TROUBLE_NONSENSE;
    switch (err) {
    case ERR_BAD:
    case ERR_VERSION:
    case ERR_TOO_LONG:
        break;
    case ERR_AUTH:
        trouble = TROUBLE_LOGIN;
        break;
    case ERR_RESET:
        trouble = TROUBLE_CLOSED;
        break;
    default:
        return err;
    }
    complain(upstream, trouble, err);
    return ERR_UPSTREAM;
}

static void free_upstream(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct upstream, freeing));
}

static void let_go_of_server(struct upstream *upstream)
{
    struct flow_env *env = upstream->server.env;
    timer_clear(loop_timers(env->loop), &upstream->patience);
    direction_deinit(&upstream->out, env);
    direction_deinit(&upstream->in, env);
    endpoint_close(upstream->endpoint, false);
    upstream->endpoint = NULL;
}

static void end(struct upstream *upstream)
{
    upstream->opening->dialled = upstream->server.dialled;
    upstream->opening->state = NULL;
    upstream->opening = NULL;
    let_go_of_server(upstream);
    loop_defer(upstream->server.env->loop, &upstream->freeing, free_upstream);
}

bool upstream_is_suspended(struct outbound *outbound, const struct opening *opening)
{
    (void)outbound;
    const struct upstream *upstream = opening->state;
    struct outbound *via = upstream->outbound->outbound.via;
    if (upstream->endpoint != NULL)
        return endpoint_is_suspended(upstream->endpoint);
    return via != NULL && via->ops->is_suspended != NULL &&
           via->ops->is_suspended(via, &upstream->server);
}

void upstream_cancel(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    struct upstream *upstream = opening->state;
    struct outbound *via = upstream->outbound->outbound.via;
    if (upstream->endpoint == NULL && via != NULL)
        via->ops->cancel(via, &upstream->server);
    else if (upstream->endpoint == NULL)
        dial_cancel(&upstream->server);
    end(upstream);
}

enum err upstream_send(struct upstream *upstream, const void *bytes, size_t n)
{
    size_t n_sent = 0;
    enum err err = ERR_NONE;
    if (!direction_wants_write(&upstream->out))
        err = endpoint_write(upstream->endpoint, bytes, n, &n_sent);
    if (err != ERR_NONE && err != ERR_AGAIN)
        return of_connection(err);
    return direction_hold(&upstream->out, upstream->server.env, (const uint8_t *)bytes + n_sent,
                          n - n_sent);
}

/* ERR_AGAIN: it is under way. Else all is over, and why; ERR_NONE: the endpoint is the opening's. */
static enum err reach(struct upstream *upstream);

/* The connection was of no use: another way is tried where there is one, once. */
static enum err turn(struct upstream *upstream, enum err why)
{
    const struct upstream_protocol *protocol = upstream->outbound->protocol;
    bool may_turn = !upstream->has_turned && protocol->turn != NULL;
    if (!may_turn || !protocol->turn(upstream))
        return judge_talking(upstream, why);
    upstream->has_turned = true;
    let_go_of_server(upstream);
    return reach(upstream);
}

/* Hands the connection over, with the n bytes that came behind the answer. */
static enum err hand_over(struct upstream *upstream, const uint8_t *bytes, size_t n)
{
    struct opening *opening = upstream->opening;
    if (upstream->command == REQUEST_ASSOCIATE) {
        enum err err = upstream->outbound->protocol->carry(upstream);
        if (err == ERR_NONE)
            upstream->endpoint = NULL;
        return judge_talking(upstream, err);
    }
    if (n > 0) {
        opening->early = malloc(n);
        if (opening->early == NULL)
            return ERR_MEMORY;
        memcpy(opening->early, bytes, n);
        opening->n_early = n;
    }
    endpoint_want(upstream->endpoint, 0);
    opening->endpoint = upstream->endpoint;
    upstream->endpoint = NULL;
    return ERR_NONE;
}

/* What is not used up waits for what follows it. */
static enum err wait(struct upstream *upstream, const uint8_t *bytes, size_t n)
{
    enum err err = direction_hold(&upstream->in, upstream->server.env, bytes, n);
    if (err != ERR_NONE)
        return err;
    bool is_sending = direction_wants_write(&upstream->out);
    endpoint_want(upstream->endpoint, is_sending ? LOOP_WRITE : LOOP_READ);
    return ERR_AGAIN;
}

/* Goes through the n bytes in scratch, answer by answer; each is looked at when everything before
 * it was sent, so that none is taken for the answer to a question that was not asked yet. */
static enum err use_up(struct upstream *upstream, size_t n)
{
    const struct upstream_protocol *protocol = upstream->outbound->protocol;
    uint8_t *bytes = upstream->server.env->scratch;
    enum upstream_step step = UPSTREAM_NEXT;
    enum err why = ERR_BAD;
    size_t at = 0;
    while (step == UPSTREAM_NEXT && !direction_wants_write(&upstream->out)) {
        size_t used = 0;
        step = protocol->advance(upstream, bytes + at, n - at, &used, &why);
        if (upstream->opening == NULL)
            return ERR_AGAIN; /* given up by who was told of a step */
        at += used;
    }
    switch (step) {
    case UPSTREAM_MORE:
    case UPSTREAM_NEXT:
        return wait(upstream, bytes + at, n - at);
    case UPSTREAM_OPEN:
        return hand_over(upstream, bytes + at, n - at);
    case UPSTREAM_MISMATCH:
        return turn(upstream, ERR_BAD);
    case UPSTREAM_REFUSED:
        break;
    }
    return judge_talking(upstream, why);
}

/* Whatever the endpoint is ready for. */
static enum err go_on(struct upstream *upstream)
{
    struct flow_env *env = upstream->server.env;
    bool was_sending = direction_wants_write(&upstream->out);
    size_t n = upstream->in.n_held, n_read = 0;
    enum err err = direction_flush(&upstream->out, env, upstream->endpoint);
    direction_take_held(&upstream->in, env);
    if (err == ERR_NONE && !was_sending)
        err = endpoint_read(upstream->endpoint, env->scratch + n, FLOW_READ_BYTES - n, &n_read);
    if (n_read > 0)
        timer_clear(loop_timers(env->loop), &upstream->patience);
    if (err == ERR_NONE)
        return use_up(upstream, n + n_read);
    if (err == ERR_AGAIN)
        return wait(upstream, env->scratch, n);
    return turn(upstream, of_connection(err));
}

/* Tells the outcome when there is one. */
static void tell(struct upstream *upstream, enum err err)
{
    struct opening *opening = upstream->opening;
    if (err == ERR_AGAIN)
        return;
    end(upstream);
    opening->done(opening, err);
}

static void on_ready(struct endpoint *ep, unsigned events)
{
    struct upstream *upstream = ep->owner;
    enum err err = go_on(upstream);
    if (err == ERR_AGAIN && upstream->endpoint == ep && events & LOOP_ERROR &&
        endpoint_is_broken(ep))
        err = turn(upstream, ERR_RESET);
    tell(upstream, err);
}

static void on_silence(struct timer *timer)
{
    struct upstream *upstream = CONTAINER_OF(timer, struct upstream, patience);
    struct loop *loop = upstream->server.env->loop;
    if (endpoint_is_suspended(upstream->endpoint) &&
        timer_set(loop_timers(loop), timer, loop_now_ms(loop) + upstream->patience_ms) == ERR_NONE)
        return;
    tell(upstream, turn(upstream, ERR_RESET));
}

/* The server is reached. One that has spoken before it was asked is none of ours. */
static enum err talk(struct upstream *upstream)
{
    struct flow_env *env = upstream->server.env;
    struct opening *server = &upstream->server;
    upstream->endpoint = server->endpoint;
    upstream->endpoint->on_ready = on_ready;
    upstream->endpoint->owner = upstream;
    enum err err = server->early == NULL ? ERR_NONE : ERR_BAD;
    free(server->early);
    if (err == ERR_NONE)
        err = upstream->outbound->protocol->begin(upstream);
    if (err != ERR_NONE)
        return judge_talking(upstream, err);
    /* Without its timer the server has all the time that the caller gives it. */
    uint64_t silent_until_ms = loop_now_ms(env->loop) + upstream->patience_ms;
    if (upstream->patience_ms > 0 &&
        timer_set(loop_timers(env->loop), &upstream->patience, silent_until_ms) != ERR_NONE)
        upstream->patience_ms = 0;
    return wait(upstream, NULL, 0);
}

static void on_reached(struct opening *server, enum err err)
{
    struct upstream *upstream = CONTAINER_OF(server, struct upstream, server);
    tell(upstream, err == ERR_NONE ? talk(upstream) : judge_reaching(upstream, err));
}

static enum err reach(struct upstream *upstream)
{
    struct outbound *via = upstream->outbound->outbound.via;
    upstream->patience_ms = 0;
    upstream->server = (struct opening){
        .env = upstream->opening->env,
        .inbound = upstream->opening->inbound,
        .target = *upstream->outbound->server.at,
        .is_configured = true,
        .done = on_reached,
    };
    enum err err =
        via == NULL ? dial_open(&upstream->server, NULL) : via->ops->open(via, &upstream->server);
    return err == ERR_NONE ? talk(upstream) : judge_reaching(upstream, err);
}

/* Names go on as they are, since only the upstream knows what they stand for; addresses are judged
 * here. A BIND for any peer names none, and datagrams each have their own. */
static enum err judge_target(const struct opening *opening, enum request_command command)
{
    const struct target *target = &opening->target;
    bool is_bind_to_any = command == REQUEST_BIND && target->name_bytes == 0 &&
                          target->addr.scope == 0 && addr_is_unspecified(&target->addr);
    if (command == REQUEST_ASSOCIATE || is_bind_to_any)
        return ERR_NONE;
    return policy_judge_sent_on(opening);
}

static enum err begin(struct outbound *outbound, struct opening *opening,
                      enum request_command command)
{
    enum err err = judge_target(opening, command);
    if (err != ERR_NONE)
        return err;
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (upstream == NULL)
        return ERR_MEMORY;
    upstream->outbound = CONTAINER_OF(outbound, struct upstream_outbound, outbound);
    upstream->opening = opening;
    upstream->command = command;
    timer_init(&upstream->patience, on_silence);
    opening->state = upstream;
    err = reach(upstream);
    if (err != ERR_AGAIN)
        end(upstream);
    return err;
}

struct flow_env *upstream_home(struct outbound *outbound, const struct opening *opening,
                               size_t which)
{
    struct outbound *via = outbound->via;
    return via == NULL || via->ops->home == NULL ? NULL : via->ops->home(via, opening, which);
}

enum err upstream_open(struct outbound *outbound, struct opening *opening)
{
    return begin(outbound, opening, REQUEST_CONNECT);
}

enum err upstream_bind(struct outbound *outbound, struct opening *opening)
{
    return begin(outbound, opening, REQUEST_BIND);
}

enum err upstream_associate(struct outbound *outbound, struct opening *opening)
{
    return begin(outbound, opening, REQUEST_ASSOCIATE);
}

struct outbound *upstream_new(const struct outbound_ops *ops,
                              const struct upstream_protocol *protocol, const char *name,
                              const struct upstream_server *server)
{
    struct upstream_outbound *outbound = calloc(1, sizeof *outbound);
    if (outbound == NULL)
        return NULL;
    outbound->outbound = (struct outbound){.ops = ops, .name = name};
    outbound->protocol = protocol;
    outbound->server = *server;
    return &outbound->outbound;
}
