/* What goes up: requests and their bodies. */
#include <assert.h>
#include <string.h>

#include "base/secret.h"
#include "inbound/forward.h"
#include "wire/http1_forward.h"

/* ---- a request that was judged ---- */

/* RFC 9110 section 9.2.2. */
static bool is_idempotent(const struct http1_head *head)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (http1_is_method(head, methods[i]))
            return true;
    return false;
}

static void begin_exchange(struct flow *flow, const struct http1_head *head)
{
    struct exchange *exchange = flow->exchange;
    exchange->minor = head->minor;
    exchange->is_to_head = http1_is_method(head, "HEAD");
    exchange->upgrades = head->upgrades;
    exchange->keeps_client = head->keeps_open && !flow->is_last;
    exchange->keeps_target = exchange->has_extra = false;
    exchange->down = DOWN_HEAD;
    forward_body_init(&exchange->up_body, http1_request_framing(head), head->length, HTTP1_PASS);
}

static void wait_for_server(struct flow *flow)
{
    struct flow_env *env = flow->env;
    struct idle_queue *queue =
        exchange_of(flow)->is_half_closed ? &env->half_closed : &env->relaying;
    if (flow->wait.queue == queue)
        idle_touch(&flow->wait);
    else
        idle_enter(queue, &flow->wait);
}

/* Nothing more can be sent to the server. What it has said before that, an early answer perhaps, has
 * arrived by now. */
static bool lose_server(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    exchange->up = UP_BROKEN;
    direction_deinit(&flow->up, flow->env);
    if (!forward_down(flow))
        return false;
    if (exchange->up == UP_BROKEN && exchange->down == DOWN_HEAD)
        return forward_lose_target(flow, ERR_RESET);
    return true;
}

static bool break_with(struct flow *flow, enum err err)
{
    flow_break(flow, err);
    return false;
}

static bool send_up(struct flow *flow, const uint8_t *bytes, size_t n)
{
    enum err err = direction_send(&flow->up, flow->env, flow->target, bytes, n);
    if (err == ERR_NONE)
        return true;
    return flow->up.is_sink_broken ? lose_server(flow) : break_with(flow, err);
}

static bool is_malformed(enum err err)
{
    return err == ERR_BAD || err == ERR_TOO_LONG;
}

static bool refuse_body(struct flow *flow)
{
    if (exchange_of(flow)->down != DOWN_HEAD)
        return break_with(flow, ERR_BAD);
    return forward_fail(flow, 400, FLOW_END_ERROR, FORWARD_BAD_BODY);
}

/*
 * Puts the request, which is n bytes in env->scratch from `at` on, into the server's form, n_made bytes in
 * env->made, with what of its body is there already. What is behind it waits in from_client, and so does
 * the request itself where it may have to be sent again. ERR_BAD, ERR_TOO_LONG: its body is malformed.
 */
static enum err make_request(struct flow *flow, const struct http_request *http, size_t at,
                             size_t n, size_t *n_made)
{
    struct exchange *exchange = flow->exchange;
    struct flow_env *env = flow->env;
    uint8_t *bytes = env->scratch + at;
    size_t n_body = 0;
    *n_made = 0;
    begin_exchange(flow, &http->head);
    enum err err = http1_forward_request((char *)env->made, HTTP1_FORWARD_MAX_BYTES, n_made,
                                         &http->head, &http->uri, exchange->keeps_client);
    assert(err == ERR_NONE);
    exchange->up = UP_BODY;
    err = forward_body_take(&exchange->up_body, bytes + http->n_head, n - http->n_head, &n_body,
                            env->made, n_made);
    if (err != ERR_NONE)
        return err;
    if (http1_body_is_done(&exchange->up_body.body))
        exchange->up = UP_DONE;

    size_t n_request = http->n_head + n_body;
    bool is_kept = exchange->is_reused && exchange->up == UP_DONE && is_idempotent(&http->head);
    exchange->n_kept = is_kept ? (uint32_t)n_request : 0;
    size_t n_used = is_kept ? 0 : n_request;
    err = stash_put(&exchange->from_client, env, bytes + n_used, n - n_used);
    secret_wipe(bytes, http->n_head);
    return err;
}

static void begin_sending(struct flow *flow)
{
    flow->up.is_bulk = flow->down.is_bulk = flow->up.is_sink_broken = false;
    wait_for_server(flow);
}

/* The request goes to the target that is open already. */
static bool send_request(struct flow *flow, const struct http_request *http, size_t at, size_t n)
{
    size_t n_made;
    enum err err = make_request(flow, http, at, n, &n_made);
    if (is_malformed(err))
        return refuse_body(flow);
    if (err != ERR_NONE)
        return break_with(flow, err);
    begin_sending(flow);
    return send_up(flow, flow->env->made, n_made);
}

enum err forward_prepare_request(struct flow *flow)
{
    struct flow_env *env = flow->env;
    struct http_request http;
    size_t n = flow->up.n_held, n_made;
    direction_take_held(&flow->up, env);
    enum err err = http1_parse_request(env->scratch, n, &http.head, &http.n_head);
    if (err == ERR_NONE)
        err = http1_parse_absolute(&http.uri, &http.head);
    assert(err == ERR_NONE);
    err = make_request(flow, &http, 0, n, &n_made);
    if (is_malformed(err)) {
        exchange_of(flow)->up = UP_BROKEN;
        return ERR_BAD;
    }
    return err == ERR_NONE ? direction_hold(&flow->up, env, env->made, n_made) : err;
}

/* The body is whole; what was read behind it waits. */
static enum err end_body(struct flow *flow, const uint8_t *rest, size_t n_rest)
{
    struct exchange *exchange = flow->exchange;
    exchange->up = UP_DONE;
    return stash_put(&exchange->from_client, flow->env, rest, n_rest);
}

enum err forward_take_more(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    struct flow_env *env = flow->env;
    size_t n = 0, n_used, n_made = 0;
    enum err err = endpoint_read(flow->client, env->scratch, FLOW_READ_BYTES, &n);
    if (err != ERR_NONE)
        return err;
    err = forward_body_take(&exchange->up_body, env->scratch, n, &n_used, env->made, &n_made);
    if (is_malformed(err)) {
        exchange->up = UP_BROKEN;
        return ERR_BAD;
    }
    if (err == ERR_NONE && http1_body_is_done(&exchange->up_body.body))
        err = end_body(flow, env->scratch + n_used, n - n_used);
    return err == ERR_NONE ? direction_hold(&flow->up, env, env->made, n_made) : err;
}

bool forward_begin_request(struct flow *flow)
{
    begin_sending(flow);
    enum err err = direction_flush(&flow->up, flow->env, flow->target);
    return err == ERR_NONE || err == ERR_AGAIN ? true : lose_server(flow);
}

/* ---- from one request to the next ---- */

/* The request, n bytes in env->scratch from `at` on, is for another target. */
static bool open_target(struct flow *flow, const struct request *request, size_t at, size_t n)
{
    enum err err = direction_hold(&flow->up, flow->env, flow->env->scratch + at, n);
    if (err != ERR_NONE)
        return break_with(flow, err);
    forward_end_target(flow, FLOW_END_CLOSED);
    if (request->command != REQUEST_EXCHANGE)
        forward_deinit(flow);
    flow_open(flow, request);
    return false;
}

/* Whether the target that is open is the one asked for, for the same user, and still there. */
static bool is_open(struct flow *flow, const struct target *target)
{
    char text[TARGET_TEXT_BYTES];
    target_format(target, text);
    if (flow->target == NULL || exchange_of(flow)->user != flow->user ||
        strcmp(text, flow->to) != 0)
        return false;
    if (endpoint_is_ready(flow->target, LOOP_READ | LOOP_HANGUP | LOOP_ERROR))
        forward_hear_idle(flow);
    return flow->target != NULL;
}

/* The beginning of a head, or one whose login is being judged, is waited for no longer than the
 * first one is. */
static bool wait_for_client(struct flow *flow, size_t at, size_t n)
{
    struct flow_env *env = flow->env;
    struct idle_queue *queue = n > 0 ? &env->handshaking : &env->relaying;
    enum err err = stash_put(&exchange_of(flow)->from_client, env, env->scratch + at, n);
    if (err != ERR_NONE)
        return break_with(flow, err);
    if (flow->wait.queue != queue)
        idle_enter(queue, &flow->wait);
    return true;
}

static bool refuse(struct flow *flow, enum err why)
{
    if (why != ERR_AUTH)
        flow->env->counters.refused[REFUSAL_HANDSHAKE]++;
    forward_end_target(flow, FLOW_END_CLOSED);
    flow_refuse(flow, why);
    return false;
}

bool forward_take_requests(struct flow *flow, size_t n)
{
    struct exchange *exchange = flow->exchange;
    uint8_t *bytes = flow->env->scratch;
    struct http_request http;
    struct request request = {.command = REQUEST_EXCHANGE};
    enum inbound_step step;
    enum err why = ERR_BAD;
    size_t at = 0, used = 0;
    do {
        at += used;
        step = http_judge(flow, bytes + at, n - at, &http, &used, &request, &why);
    } while (step == INBOUND_NEXT);

    secret_wipe(bytes, at);
    exchange->is_judged = step == INBOUND_WAIT;
    if (flow->is_cut_off)
        return break_with(flow, ERR_RESET);
    if (step == INBOUND_REFUSED)
        return refuse(flow, why);
    if (step != INBOUND_REQUEST)
        return wait_for_client(flow, at, n - at);
    if (request.command == REQUEST_CONNECT)
        return open_target(flow, &request, at + http.n_head, n - at - http.n_head);
    if (!is_open(flow, &request.target))
        return open_target(flow, &request, at, n - at);
    return send_request(flow, &http, at, n - at);
}

static bool read_request(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    struct flow_env *env = flow->env;
    size_t n_held = exchange->from_client.n, n = 0;
    enum err err = ERR_NONE;
    if (!exchange->is_judged)
        err = endpoint_read(flow->client, env->scratch + n_held, FLOW_READ_BYTES - n_held, &n);
    if (err == ERR_AGAIN)
        return true;
    if (err != ERR_NONE)
        return break_with(flow, err);
    n += stash_take(&exchange->from_client, env);
    return forward_take_requests(flow, n);
}

/* ---- its body ---- */

static bool move_body(struct flow *flow)
{
    struct exchange *exchange = flow->exchange;
    const uint8_t *rest = NULL;
    size_t n_rest;
    enum err err = forward_body_move(&exchange->up_body, &flow->up, flow->env, flow->client,
                                     flow->target, &rest, &n_rest);
    if (is_malformed(err))
        return refuse_body(flow);
    if (err == ERR_EOF)
        return break_with(flow, ERR_RESET);
    if (err != ERR_NONE && err != ERR_AGAIN)
        return flow->up.is_sink_broken ? lose_server(flow) : break_with(flow, err);
    if (!http1_body_is_done(&exchange->up_body.body))
        return true;
    err = end_body(flow, rest, n_rest);
    return err == ERR_NONE ? true : break_with(flow, err);
}

bool forward_up(struct flow *flow)
{
    enum forward_up state = exchange_of(flow)->up;
    if (direction_wants_write(&flow->up)) {
        enum err err = direction_flush(&flow->up, flow->env, flow->target);
        if (err == ERR_AGAIN)
            return true;
        if (err != ERR_NONE)
            return lose_server(flow);
    }
    if (state == UP_IDLE)
        return read_request(flow);
    return state == UP_BODY ? move_body(flow) : true;
}
