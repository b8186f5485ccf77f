/* What comes down: answers and their bodies. */
#include <assert.h>
#include <string.h>

#include "inbound/forward.h"
#include "wire/http1_forward.h"

void forward_hear_idle(struct flow *flow)
{
    uint8_t byte;
    size_t n;
    enum err err = endpoint_read(flow->target, &byte, 1, &n);
    if (err == ERR_EOF)
        forward_end_target(flow, FLOW_END_CLOSED);
    else if (err != ERR_AGAIN)
        forward_end_target(flow, err == ERR_NONE ? FLOW_END_ERROR : FLOW_END_RESET);
}

static bool send_down(struct flow *flow, const uint8_t *bytes, size_t n)
{
    enum err err = direction_send(&flow->down, flow->env, flow->client, bytes, n);
    if (err == ERR_NONE)
        return true;
    flow_break(flow, err);
    return false;
}

static bool finish_if_delivered(struct flow *flow)
{
    return direction_wants_write(&flow->down) ? true : forward_finish(flow);
}

/* ---- heads ---- */

/* An answer that nobody may see. */
static bool fail(struct flow *flow, const char *text)
{
    return forward_fail(flow, 502, FLOW_END_ERROR, text);
}

/* The head of an answer, and where it lies. */
struct answer {
    struct http1_head head;
    const uint8_t *rest; /* n_rest bytes behind it */
    size_t n_rest;
};

/* From here on both sides talk about something else. The n_made bytes in env->made go before. */
static bool change_protocol(struct flow *flow, const struct answer *answer, size_t n_made)
{
    struct exchange *exchange = flow->exchange;
    struct flow_env *env = flow->env;
    size_t n = 0;
    if (!exchange->upgrades || exchange->up != UP_DONE)
        return fail(flow, "the server changed the protocol without being asked");
    enum err err = http1_forward_response((char *)env->made + n_made, FLOW_MADE_BYTES - n_made, &n,
                                          &answer->head, HTTP1_NO_BODY, true);
    if (err != ERR_NONE || answer->n_rest > FLOW_MADE_BYTES - n_made - n)
        return fail(flow, "the server's answer is too long");
    n_made += n;
    memcpy(env->made + n_made, answer->rest, answer->n_rest);
    size_t n_early = stash_take(&exchange->from_client, env);
    err = direction_hold(&flow->up, env, env->scratch, n_early);
    if (err != ERR_NONE) {
        flow_break(flow, err);
        return false;
    }
    if (!send_down(flow, env->made, n_made + answer->n_rest))
        return false;
    forward_deinit(flow);
    flow_relay(flow);
    return false;
}

/* Which connections this answer leaves open. */
static void set_persistence(struct flow *flow, const struct http1_head *head,
                            enum http1_framing framing)
{
    struct exchange *exchange = flow->exchange;
    bool is_through = exchange->up == UP_DONE;
    bool ends_by_close = http1_framing_for(framing, exchange->minor) == HTTP1_BY_CLOSE;
    exchange->keeps_target = head->keeps_open && framing != HTTP1_BY_CLOSE;
    exchange->keeps_client =
        exchange->keeps_client && !ends_by_close && is_through && !flow->is_last;
}

/* Gives the client a final answer, with what of its body is there already. The n_made bytes in
 * env->made go before. */
static bool give_answer(struct flow *flow, const struct answer *answer, size_t n_made)
{
    struct exchange *exchange = flow->exchange;
    struct flow_env *env = flow->env;
    const struct http1_head *head = &answer->head;
    enum http1_framing framing = http1_response_framing(head, exchange->is_to_head);
    enum http1_framing onward = http1_framing_for(framing, exchange->minor);
    bool keeps_client = exchange->keeps_client;
    size_t n = 0, n_body;
    if (head->status == 407)
        return fail(flow, "the server asks for a proxy's password");
    set_persistence(flow, head, framing);
    enum err err = http1_forward_response((char *)env->made + n_made, FLOW_MADE_BYTES - n_made, &n,
                                          head, onward, exchange->keeps_client);
    forward_body_init(&exchange->down_body, framing, head->length,
                      onward == framing ? HTTP1_PASS : HTTP1_DECODE);
    n_made += n;
    if (err == ERR_NONE)
        err = forward_body_take(&exchange->down_body, answer->rest, answer->n_rest, &n_body,
                                env->made, &n_made);
    if (err != ERR_NONE) {
        exchange->keeps_client = keeps_client;
        return fail(flow, "the server's answer is malformed");
    }
    exchange->has_extra = n_body < answer->n_rest;
    exchange->down = http1_body_is_done(&exchange->down_body.body) ? DOWN_DONE : DOWN_BODY;
    if (!send_down(flow, env->made, n_made))
        return false;
    return exchange->down == DOWN_DONE ? finish_if_delivered(flow) : true;
}

/* Goes through the heads in the n bytes in env->scratch, up to a final one. */
static bool take_heads(struct flow *flow, size_t n)
{
    struct exchange *exchange = flow->exchange;
    struct flow_env *env = flow->env;
    struct answer answer;
    size_t at = 0, n_made = 0;
    enum err err;
    for (;;) {
        size_t used = 0, n_head = 0;
        err = http1_parse_response(env->scratch + at, n - at, &answer.head, &used);
        if (err != ERR_NONE)
            break;
        at += used;
        answer.rest = env->scratch + at;
        answer.n_rest = n - at;
        if (answer.head.status == 101)
            return change_protocol(flow, &answer, n_made);
        if (answer.head.status >= 200)
            return give_answer(flow, &answer, n_made);
        /* HTTP/1.0 knows no 1xx. */
        if (exchange->minor > 0)
            err = http1_forward_response((char *)env->made + n_made, FLOW_MADE_BYTES - n_made,
                                         &n_head, &answer.head, HTTP1_NO_BODY, true);
        if (err != ERR_NONE)
            break;
        n_made += n_head;
    }
    if (err != ERR_MORE)
        return fail(flow, "the server's answer is malformed");
    err = stash_put(&exchange->from_server, env, env->scratch + at, n - at);
    if (err != ERR_NONE) {
        flow_break(flow, err);
        return false;
    }
    return send_down(flow, env->made, n_made);
}

static bool read_head(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    struct flow_env *env = flow->env;
    size_t n_held = exchange->from_server.n, n = 0;
    enum err err = endpoint_read(flow->target, env->scratch + n_held, FLOW_READ_BYTES - n_held, &n);
    if (err == ERR_AGAIN)
        return true;
    if (err != ERR_NONE)
        return forward_lose_target(flow, err);
    /* The server has begun to answer: the request is not sent again. */
    stash_drop(&exchange->from_client, env, exchange->n_kept);
    exchange->n_kept = 0;
    n += stash_take(&exchange->from_server, env);
    return take_heads(flow, n);
}

/* ---- bodies ---- */

static bool move_body(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    const uint8_t *rest;
    size_t n_rest;
    enum err err = forward_body_move(&exchange->down_body, &flow->down, flow->env, flow->target,
                                     flow->client, &rest, &n_rest);
    bool is_done = http1_body_is_done(&exchange->down_body.body);
    if (err == ERR_EOF) {
        is_done = http1_body_may_end(&exchange->down_body.body);
        err = is_done ? ERR_NONE : ERR_RESET;
    }
    if (err != ERR_NONE && err != ERR_AGAIN) {
        flow_break(flow, err);
        return false;
    }
    exchange->has_extra = n_rest > 0;
    if (!is_done)
        return true;
    exchange->down = DOWN_DONE;
    return finish_if_delivered(flow);
}

/* ---- */

bool forward_down(struct flow *flow)
{
    const struct exchange *exchange = flow->exchange;
    if (direction_wants_write(&flow->down)) {
        enum err err = direction_flush(&flow->down, flow->env, flow->client);
        if (err == ERR_AGAIN)
            return true;
        if (err != ERR_NONE) {
            flow_break(flow, err);
            return false;
        }
    }
    if (exchange->down == DOWN_DONE)
        return forward_finish(flow);
    if (flow->target == NULL)
        return true;
    switch ((enum forward_down)exchange->down) {
    case DOWN_HEAD:
        return read_head(flow);
    case DOWN_BODY:
        return move_body(flow);
    case DOWN_IDLE:
    case DOWN_DONE:
        break;
    }
    forward_hear_idle(flow);
    return true;
}
