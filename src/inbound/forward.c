#include "inbound/forward.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In chunks of this size the data is moved unseen too. */
#define UNSEEN_MIN_BYTES ((uint64_t)64 * 1024)

static_assert(FLOW_MADE_BYTES >= FLOW_READ_BYTES + HTTP1_HEAD_MAX_BYTES + 1024,
              "a read with a head in another form has room");

/* ---- bodies ---- */

void forward_body_init(struct forward_body *body, enum http1_framing framing, uint64_t length,
                       enum http1_way way)
{
    http1_body_init(&body->body, framing, length, way);
    body->is_plain = framing != HTTP1_CHUNKED;
}

enum err forward_body_take(struct forward_body *body, const uint8_t *bytes, size_t n, size_t *used,
                           uint8_t *out, size_t *n_out)
{
    *used = 0;
    while (*used < n && !http1_body_is_done(&body->body)) {
        struct slice run;
        size_t taken;
        enum err err = http1_body_advance(&body->body, bytes + *used, n - *used, &taken, &run);
        if (err != ERR_NONE)
            return err;
        memcpy(out + *n_out, run.at, run.n);
        *n_out += run.n;
        *used += taken;
    }
    return ERR_NONE;
}

enum err forward_body_move(struct forward_body *body, struct direction *direction,
                           struct flow_env *env, struct endpoint *source, struct endpoint *sink,
                           const uint8_t **rest, size_t *n_rest)
{
    uint64_t n_unseen = http1_body_left(&body->body);
    *n_rest = 0;
    if (body->is_plain || n_unseen >= UNSEEN_MIN_BYTES) {
        uint64_t n_taken;
        enum err err = direction_advance_within(direction, env, source, sink, n_unseen, &n_taken);
        http1_body_skip(&body->body, n_taken);
        return err;
    }
    size_t n = 0, used = 0, n_out = 0;
    enum err err = endpoint_read(source, env->scratch, FLOW_READ_BYTES, &n);
    if (err == ERR_NONE)
        err = forward_body_take(body, env->scratch, n, &used, env->made, &n_out);
    if (err != ERR_NONE)
        return err;
    *rest = env->scratch + used;
    *n_rest = n - used;
    return direction_send(direction, env, sink, env->made, n_out);
}

/* ---- ends ---- */

void forward_end_target(struct flow *flow, enum flow_end end)
{
    const char *user = flow->user;
    flow->user = exchange_of(flow)->user;
    flow_end_target(flow, end);
    flow->user = user;
}

static void drop_kept(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    stash_drop(&exchange->from_client, flow->env, exchange->n_kept);
    exchange->n_kept = 0;
}

bool forward_finish(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    bool is_through = exchange->up == UP_DONE && !direction_wants_write(&flow->up);
    exchange->keeps_client &= !flow->is_last;
    exchange->up = UP_IDLE;
    exchange->down = DOWN_IDLE;
    if (exchange->has_extra)
        forward_end_target(flow, FLOW_END_ERROR);
    else if (!exchange->keeps_target || !exchange->keeps_client || !is_through)
        forward_end_target(flow, FLOW_END_CLOSED);
    if (!exchange->keeps_client || !is_through) {
        stash_clear(&exchange->from_client, flow->env);
        direction_deinit(&flow->up, flow->env);
        flow_refuse(flow, ERR_NONE);
        return false;
    }
    exchange->is_reused = true;
    if (exchange->from_client.n == 0)
        return true;
    return forward_take_requests(flow, stash_take(&exchange->from_client, flow->env));
}

bool forward_fail(struct flow *flow, unsigned status, enum flow_end end, const char *text)
{
    struct exchange *exchange = flow->exchange;
    char line[TARGET_TEXT_BYTES + 128];
    snprintf(line, sizeof line, "%s: %s", flow->to, text);
    if (exchange->up != UP_DONE) {
        exchange->up = UP_BROKEN;
        exchange->keeps_client = false;
    }
    http_answer(flow, status, line, exchange->keeps_client);
    direction_deinit(&flow->up, flow->env);
    stash_clear(&exchange->from_server, flow->env);
    drop_kept(flow);
    forward_end_target(flow, end);
    if (flow->is_cut_off) {
        flow_break(flow, ERR_RESET);
        return false;
    }
    exchange->down = DOWN_DONE;
    return direction_wants_write(&flow->down) ? true : forward_finish(flow);
}

/* The server has closed a connection that it had kept: the request is taken anew. */
static bool send_again(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    exchange->n_kept = 0;
    exchange->up = UP_IDLE;
    exchange->down = DOWN_IDLE;
    direction_deinit(&flow->up, flow->env);
    forward_end_target(flow, FLOW_END_CLOSED);
    return forward_take_requests(flow, stash_take(&exchange->from_client, flow->env));
}

bool forward_lose_target(struct flow *flow, enum err err)
{
    struct exchange *exchange = flow->exchange;
    if (exchange->down == DOWN_IDLE)
        forward_end_target(flow, FLOW_END_RESET);
    exchange->keeps_target = false;
    if (exchange->down == DOWN_IDLE || exchange->down == DOWN_DONE)
        return true;
    if (exchange->down == DOWN_HEAD && exchange->n_kept > 0)
        return send_again(flow);
    if (exchange->down == DOWN_HEAD) {
        enum flow_end end = err == ERR_EOF ? FLOW_END_CLOSED : FLOW_END_RESET;
        return forward_fail(flow, 502, end,
                            err == ERR_EOF ? "the server closed the connection without an answer"
                                           : "the server broke the connection off");
    }
    flow_break(flow, ERR_RESET);
    return false;
}

/* ---- the exchange ---- */

static void update_interest(struct flow *flow)
{
    const struct exchange *exchange = flow->exchange;
    bool up_waits = direction_wants_write(&flow->up);
    bool down_waits = direction_wants_write(&flow->down);
    unsigned client = down_waits ? LOOP_WRITE : 0u;
    if (exchange->up == UP_IDLE && !down_waits && !exchange->is_judged)
        client |= LOOP_READ;
    else if (exchange->up == UP_BODY && !up_waits)
        client |= LOOP_READ;
    else if (exchange->up > UP_BODY && !exchange->is_half_closed)
        client |= LOOP_HANGUP;
    endpoint_want(flow->client, client);
    if (flow->target == NULL)
        return;
    unsigned target = up_waits ? LOOP_WRITE : 0u;
    if (!down_waits && exchange->down != DOWN_DONE)
        target |= LOOP_READ;
    endpoint_want(flow->target, target);
}

/* The client's fin behind its request does not mean that it waits for no answer. */
static void note_half_close(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    if (exchange->is_half_closed || exchange->up == UP_IDLE)
        return;
    exchange->is_half_closed = true;
    idle_enter(&flow->env->half_closed, &flow->wait);
}

static void on_ready(struct flow *flow, struct endpoint *ep, unsigned events)
{
    bool is_client = ep == flow->client;
    unsigned for_up = LOOP_ERROR | (is_client ? LOOP_READ : LOOP_WRITE);
    unsigned for_down = LOOP_ERROR | (is_client ? LOOP_WRITE : LOOP_READ);
    if (exchange_of(flow)->up != UP_IDLE)
        idle_touch(&flow->wait);
    if (events & for_down && !forward_down(flow))
        return;
    if (events & for_up && !forward_up(flow))
        return;
    if (events & LOOP_ERROR && ep == flow->client && endpoint_is_broken(ep)) {
        flow_break(flow, ERR_RESET);
        return;
    }
    if (events & LOOP_ERROR && ep == flow->target && endpoint_is_broken(ep) &&
        !forward_lose_target(flow, ERR_RESET))
        return;
    if (is_client && events & LOOP_HANGUP)
        note_half_close(flow);
    update_interest(flow);
}

/* The opening was asked for by the request that flow->up holds, which has been judged. */
static enum err prepare(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    if (exchange == NULL)
        exchange = flow->exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL)
        return ERR_MEMORY;
    exchange->user = flow->user;
    exchange->is_reused = false;
    return forward_prepare_request(flow);
}

static bool has_more(const struct flow *flow)
{
    return exchange_of(flow)->up == UP_BODY;
}

static void begin(struct flow *flow)
{
    if (forward_begin_request(flow))
        update_interest(flow);
}

/* A client that is slow with its head is told nothing, as in the handshake. */
static void expire_idle(struct flow *flow)
{
    bool is_within_head = exchange_of(flow)->from_client.n > 0;
    if (is_within_head)
        flow->env->counters.refused[REFUSAL_HANDSHAKE]++;
    forward_end_target(flow, FLOW_END_IDLE);
    flow_refuse(flow, is_within_head ? ERR_TIMEOUT : ERR_NONE);
}

static bool on_expired(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    if (exchange->up == UP_IDLE) {
        expire_idle(flow);
        return true;
    }
    if (exchange->down != DOWN_HEAD)
        return false;
    bool waits_for_client = exchange->up == UP_BODY && !direction_wants_write(&flow->up);
    const char *text = waits_for_client ? "the request's body did not come in time"
                                        : "the server sent no answer in time";
    exchange->keeps_client = false;
    idle_enter(&flow->env->relaying, &flow->wait);
    if (forward_fail(flow, waits_for_client ? 408 : 504, FLOW_END_IDLE, text))
        update_interest(flow);
    return true;
}

static void wind_up(struct flow *flow)
{
    const struct exchange *exchange = flow->exchange;
    if (exchange->up != UP_IDLE || exchange->from_client.n > 0 ||
        direction_wants_write(&flow->down))
        return;
    forward_end_target(flow, FLOW_END_CLOSED);
    flow_refuse(flow, ERR_NONE);
}

void forward_deinit(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    stash_clear(&exchange->from_client, flow->env);
    stash_clear(&exchange->from_server, flow->env);
    free(exchange);
    flow->exchange = NULL;
}

const struct exchange_ops forward_ops = {
    .prepare = prepare,
    .has_more = has_more,
    .take_more = forward_take_more,
    .begin = begin,
    .on_ready = on_ready,
    .on_expired = on_expired,
    .wind_up = wind_up,
    .deinit = forward_deinit,
};
