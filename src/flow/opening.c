/* Opening: from a complete request to the answer. */
#include <stdlib.h>
#include <string.h>

#include "flow/association.h"
#include "flow/moving.h"
#include "flow/routing.h"
#include "flow/ruleset.h"
#include "flow/stages.h"
#include "io/socket.h"

static struct flow_opening *asked_by(const struct flow *flow)
{
    return CONTAINER_OF(flow->opening, struct flow_opening, opening);
}

static void drop_routing(struct flow_opening *asked)
{
    if (asked->routing == NULL)
        return;
    routing_cancel(asked->routing);
    free(asked->routing);
    asked->routing = NULL;
}

/* Forgets the opening, which was cancelled or is done. */
void opening_drop(struct flow *flow)
{
    struct opening *opening = flow->opening;
    if (opening == NULL)
        return;
    struct flow_opening *asked = asked_by(flow);
    drop_routing(asked);
    flow->opening = NULL;
    flow->dialled = opening->dialled;
    free(opening->early);
    slab_put(&flow->env->openings, asked);
}

void opening_cancel(struct flow *flow)
{
    if (flow->opening != NULL && flow->outbound != NULL)
        flow->outbound->ops->cancel(flow->outbound, flow->opening);
    opening_drop(flow);
}

static void fail(struct flow *flow, enum err err)
{
    struct flow_env *env = flow->env;
    opening_drop(flow);
    if (err == ERR_DESCRIPTORS)
        flow_env_refuse(env, REFUSAL_DESCRIPTORS, flow->inbound->name, &flow->from);
    if (err == ERR_MEMORY)
        flow_env_refuse(env, REFUSAL_MEMORY, flow->inbound->name, &flow->from);
    if (err == ERR_PORTS)
        flow_env_refuse(env, REFUSAL_PORTS, flow->inbound->name, &flow->from);
    flow->protocol->reply(flow, err, NULL);
    if (flow->is_cut_off || flow->protocol->is_tunnel)
        flow_close(flow, flow_end_of(err), flow->is_cut_off);
    else
        lingering_begin(flow, flow_end_of(err));
}

/* Tells the client of the success; what the target has said already comes behind. */
static void answer(struct flow *flow)
{
    const struct opening *opening = flow->opening;
    bool is_bind = flow->command == REQUEST_BIND;
    flow->protocol->reply(flow, ERR_NONE, is_bind ? &opening->dialled : &opening->bound);
    if (direction_hold(&flow->down, flow->env, opening->early, opening->n_early) != ERR_NONE)
        flow->is_cut_off = true;
}

/* Before it is asked, a server of requests and answers has nothing to say. */
static enum err refuse_early(struct flow *flow)
{
    if (flow->command != REQUEST_EXCHANGE || flow->opening->n_early == 0)
        return ERR_NONE;
    endpoint_close(flow->opening->endpoint, false);
    return ERR_UPSTREAM;
}

/* Whether it has come by the far end of a tunnel that listens for its inbound: that is where it sends its datagrams to. */
static bool is_far_away(const struct flow *flow)
{
    return flow->inbound->listen_via != NULL;
}

/* What was opened is a way to targets, or the client's own side. */
static void finish_association(struct flow *flow)
{
    const struct opening *opening = flow->opening;
    const struct flow_opening *asked = asked_by(flow);
    struct packets *opened = opening->packets;
    bool is_far = is_far_away(flow), is_only = asked->by_name;
    struct association_start start = {
        .announced = opening->target,
        .client = is_far ? opened : asked->packets,
        .is_own = !is_far && asked->packets != NULL,
        .at = is_far || is_only ? opening->bound : (struct addr){.family = ADDR_NONE},
    };
    opening_drop(flow);
    if (is_far)
        flow->outbound = NULL;
    enum err why_not = associating_begin(flow, &start, is_far ? NULL : opened, is_only);
    if (why_not == ERR_NONE)
        return;
    if (opened != NULL)
        opened->ops->close(opened);
    fail(flow, why_not);
}

static void finish(struct flow *flow, enum err err)
{
    if (err == ERR_NONE && flow->command == REQUEST_ASSOCIATE) {
        finish_association(flow);
        return;
    }
    if (err == ERR_NONE)
        err = refuse_early(flow);
    if (err != ERR_NONE) {
        fail(flow, err);
        return;
    }
    flow->target = flow->opening->endpoint;
    if (flow->command != REQUEST_EXCHANGE)
        answer(flow);
    opening_drop(flow);
    if (flow->is_cut_off)
        flow_close(flow, FLOW_END_RESET, true);
    else if (flow->command == REQUEST_EXCHANGE)
        exchanging_begin(flow);
    else
        relaying_begin(flow);
}

struct addr flow_own_addr(const struct flow *flow)
{
    struct addr own;
    if (flow->client->fd < 0 || sock_addr_of(flow->client->fd, &own) != ERR_NONE)
        return (struct addr){.family = ADDR_NONE};
    return own;
}

/* BIND's first answer. */
static void on_listening(struct opening *opening, const struct addr *at)
{
    struct flow *flow = CONTAINER_OF(opening, struct flow_opening, opening)->flow;
    flow->protocol->reply(flow, ERR_NONE, at);
    idle_enter(&flow->env->binding, &flow->wait);
}

static void on_opened(struct opening *opening, enum err err)
{
    finish(CONTAINER_OF(opening, struct flow_opening, opening)->flow, err);
}

char *flow_target_text(const struct target *target)
{
    static const char open_text[] = "the far end's";
    char text[TARGET_TEXT_BYTES];
    size_t n = sizeof open_text - 1;
    if (target_is_open(target))
        memcpy(text, open_text, sizeof open_text);
    else
        n = target_format(target, text);
    char *copy = malloc(n + 1);
    if (copy != NULL)
        memcpy(copy, text, n + 1);
    return copy;
}

static void offer_ahead(struct flow *flow)
{
    if (flow->up.n_held == 0)
        return;
    flow->opening->ahead = flow->up.held + flow->up.held_from;
    flow->opening->n_ahead = flow->up.n_held;
}

static enum err begin_opening(struct flow *flow)
{
    const struct outbound_ops *ops = flow->outbound->ops;
    struct opening *opening = flow->opening;
    if (flow->command == REQUEST_BIND && ops->bind == NULL)
        return ERR_COMMAND;
    if (flow->command == REQUEST_ASSOCIATE && is_far_away(flow)) {
        opening->client = flow->client;
        return ops->relay(flow->outbound, opening);
    }
    if (flow->command == REQUEST_ASSOCIATE)
        return ops->associate == NULL ? ERR_COMMAND : ops->associate(flow->outbound, opening);
    if (flow->command == REQUEST_BIND) {
        opening->is_bind = true;
        opening->bound = flow_own_addr(flow);
        return ops->bind(flow->outbound, opening);
    }
    enum err err = ERR_NONE;
    if (flow->command == REQUEST_EXCHANGE)
        err = flow->protocol->exchange->prepare(flow);
    if (err != ERR_NONE)
        return err;
    offer_ahead(flow);
    err = ops->open(flow->outbound, opening);
    direction_forget(&flow->up, flow->env, opening->n_ahead_taken);
    return err;
}

static struct flow_env *home_of(struct outbound *outbound, const struct opening *opening)
{
    return outbound->ops->home == NULL ? NULL
                                       : outbound->ops->home(outbound, opening, OUTBOUND_ANY);
}

/* Gives the opening to the outbound that was chosen. ERR_AGAIN: it is under way, here or, if the flow
 * has moved, elsewhere. */
static enum err open_by(struct flow *flow, struct outbound *outbound)
{
    flow->outbound = outbound;
    struct flow_env *home = home_of(outbound, flow->opening);
    if (home == NULL || home == flow->env || !moving_can(flow))
        return begin_opening(flow);
    enum err err = moving_begin(flow, home);
    return err == ERR_NONE ? ERR_AGAIN : err;
}

/* The same when the name's addresses are known. */
static enum err open_routed(const struct routing *routing, struct outbound *outbound)
{
    struct opening *opening = routing->flow->opening;
    opening->addrs = routing->addrs;
    opening->n_addrs = routing->n_addrs;
    opening->is_looked_up = true;
    return open_by(routing->flow, outbound);
}

static void on_routed(struct routing *routing, struct outbound *outbound)
{
    struct flow *flow = routing->flow;
    enum err err = open_routed(routing, outbound);
    if (err != ERR_AGAIN)
        finish(flow, err);
}

/* The rules want to know the name's addresses first. */
static enum err look_up(struct flow_opening *asked)
{
    asked->routing = malloc(sizeof *asked->routing);
    if (asked->routing == NULL)
        return ERR_MEMORY;
    struct outbound *outbound =
        routing_begin(asked->routing, asked->flow, &asked->opening.target, on_routed);
    return outbound == NULL ? ERR_AGAIN : open_routed(asked->routing, outbound);
}

static enum err set_up(struct flow *flow, const struct request *request)
{
    struct flow_opening *asked = slab_get(&flow->env->openings);
    if (asked == NULL)
        return ERR_MEMORY;
    asked->flow = flow;
    asked->packets = request->packets;
    asked->by_name = request->by != NULL;
    asked->opening = (struct opening){
        .env = flow->env,
        .inbound = flow->inbound,
        .rights = flow->rights,
        .target = request->target,
        .source = flow->from,
        .is_configured = request->is_configured,
        .listening = on_listening,
        .done = on_opened,
        .state = request->by_what,
    };
    flow->opening = &asked->opening;
    return ERR_NONE;
}

static enum err ask(struct flow *flow, const struct request *request)
{
    flow->to = flow_target_text(&request->target);
    if (flow->to == NULL)
        return ERR_MEMORY;
    bool has_port = request->target.addr.port != 0 || target_is_open(&request->target);
    if (!has_port && flow->command != REQUEST_BIND)
        return ERR_BAD; /* nobody listens on it */
    enum err err = set_up(flow, request);
    if (err != ERR_NONE)
        return err;
    struct outbound *outbound =
        request->by != NULL ? request->by : routing_find(flow, &flow->opening->target);
    return outbound == NULL ? look_up(asked_by(flow)) : open_by(flow, outbound);
}

/* Rules decide for each datagram: it is moved to where a tunnel is that they may choose, as only one of several workers has its
 * session. */
static enum err move_to_tunnel(struct flow *flow)
{
    const struct ruleset *ruleset = flow->inbound->ruleset;
    struct flow_env *home = NULL;
    for (size_t i = 0; i < ruleset->n_outbounds && home == NULL; i++)
        home = home_of(ruleset->outbounds[i], flow->opening);
    if (home == NULL || home == flow->env || !moving_can(flow))
        return ERR_NONE;
    enum err err = moving_begin(flow, home);
    return err == ERR_NONE ? ERR_AGAIN : err;
}

/* An association's ways are opened when they are needed. Where all go through a tunnel its far end is asked at once, so that the
 * client hears what it says; and where the client is far away it is asked for that side. */
static enum err ask_to_associate(struct flow *flow, const struct request *request)
{
    enum err err = set_up(flow, request);
    if (err != ERR_NONE)
        return err;
    struct outbound *by = is_far_away(flow) ? flow->inbound->listen_via : request->by;
    if (by != NULL) {
        flow->outbound = by;
        return begin_opening(flow);
    }
    struct outbound *outbound = routing_only(flow);
    if (outbound == NULL)
        return move_to_tunnel(flow);
    return home_of(outbound, flow->opening) == NULL ? ERR_NONE : open_by(flow, outbound);
}

/* Whether what the client says goes on to the target while that is opened. */
static bool sends_ahead(const struct flow *flow)
{
    if (flow->outbound == NULL || flow->outbound->ops->ahead == NULL || flow->up.n_held > 0)
        return false;
    return flow->command == REQUEST_EXCHANGE
               ? flow->protocol->exchange->has_more(flow)
               : flow->command == REQUEST_CONNECT && !flow->up.is_at_end;
}

/* What came of asking. */
static void take(struct flow *flow, enum err err)
{
    if (err != ERR_AGAIN)
        finish(flow, err);
    else if (flow->state == FLOW_OPENING)
        endpoint_want(flow->client, sends_ahead(flow) ? LOOP_READ : LOOP_HANGUP);
}

void opening_begin(struct flow *flow, const struct request *request)
{
    flow_set_state(flow, FLOW_OPENING);
    flow->command = (uint8_t)request->command;
    idle_enter(&flow->env->connecting, &flow->wait);
    bool is_association = request->command == REQUEST_ASSOCIATE;
    take(flow, is_association ? ask_to_associate(flow, request) : ask(flow, request));
}

void opening_go_on(struct flow *flow, const struct request *request)
{
    idle_enter(&flow->env->connecting, &flow->wait);
    enum err err = set_up(flow, request);
    bool asks_nobody = flow->outbound == NULL; /* an association's ways are opened later */
    take(flow, err == ERR_NONE && !asks_nobody ? begin_opening(flow) : err);
}

/* At a far end it is for the near end to say how long is too long while nothing moves. */
static bool stands_still(const struct flow *flow)
{
    return flow->protocol->is_tunnel && flow->opening != NULL && flow->outbound != NULL &&
           flow->outbound->ops->is_suspended != NULL &&
           flow->outbound->ops->is_suspended(flow->outbound, flow->opening);
}

/* What moves again has its whole time once more. */
void opening_on_timeout(struct flow *flow)
{
    bool stood_still = flow->has_stood_still;
    flow->has_stood_still = stands_still(flow);
    if (stood_still || flow->has_stood_still) {
        idle_enter(&flow->env->connecting, &flow->wait);
        return;
    }
    enum err late = flow->opening == NULL ? ERR_NONE : flow->opening->late;
    opening_cancel(flow);
    fail(flow, late == ERR_NONE ? ERR_TIMEOUT : late);
}

/* The client has sent its fin while we dial. With bytes on the way to the target it may be waiting for
 * the answer to them; without any it is gone. */
static enum err look_whether_gone(struct flow *flow)
{
    struct flow_env *env = flow->env;
    if (flow->up.n_held > 0 || flow->command == REQUEST_EXCHANGE)
        return ERR_NONE;
    size_t n;
    if (endpoint_lends_bytes(flow->client)) {
        const uint8_t *bytes;
        enum err err = flow->client->ops->peek(flow->client, &bytes, &n);
        if (err == ERR_NONE)
            flow->client->ops->consume(flow->client, 0);
        return err;
    }
    enum err err = endpoint_read(flow->client, env->scratch, FLOW_READ_BYTES, &n);
    return err == ERR_NONE ? direction_hold(&flow->up, env, env->scratch, n) : err;
}

/* The same where what has come can go on already. */
static enum err send_ahead(struct flow *flow)
{
    struct flow_env *env = flow->env;
    size_t n = 0, n_taken = 0;
    enum err err = endpoint_read(flow->client, env->scratch, FLOW_READ_BYTES, &n);
    if (err == ERR_EOF && flow->up.n_bytes > 0) {
        flow->up.is_at_end = true;
        return ERR_NONE;
    }
    if (err != ERR_NONE)
        return err;
    flow->outbound->ops->ahead(flow->outbound, flow->opening, env->scratch, n, &n_taken);
    flow->up.n_bytes += n_taken;
    return direction_hold(&flow->up, env, env->scratch + n_taken, n - n_taken);
}

/* The same of a request that the protocol puts into another form. */
static enum err send_more(struct flow *flow)
{
    struct direction *up = &flow->up;
    size_t n_taken = 0;
    enum err err = flow->protocol->exchange->take_more(flow);
    if (err != ERR_NONE || up->n_held == 0)
        return err;
    flow->outbound->ops->ahead(flow->outbound, flow->opening, up->held + up->held_from, up->n_held,
                               &n_taken);
    direction_forget(up, flow->env, n_taken);
    return ERR_NONE;
}

void opening_on_ready(struct flow *flow, unsigned events)
{
    bool is_exchange = flow->command == REQUEST_EXCHANGE;
    enum err err = !sends_ahead(flow) ? look_whether_gone(flow)
                   : is_exchange      ? send_more(flow)
                                      : send_ahead(flow);
    if (is_exchange && err == ERR_BAD) {
        opening_cancel(flow);
        fail(flow, err);
        return;
    }
    bool is_gone = err != ERR_NONE && err != ERR_AGAIN;
    if (is_gone || (events & LOOP_ERROR && endpoint_is_broken(flow->client)))
        flow_close(flow, FLOW_END_RESET, false);
    else
        endpoint_want(flow->client, sends_ahead(flow) ? LOOP_READ : 0);
}
