/* The handshake: the client's bytes are given to the inbound's protocol until it has a request. */
#include <string.h>

#include "base/secret.h"
#include "flow/stages.h"

void flow_answer(struct flow *flow, const void *bytes, size_t n)
{
    size_t n_sent = 0;
    enum err err = ERR_NONE;
    if (!direction_wants_write(&flow->down))
        err = endpoint_write(flow->client, bytes, n, &n_sent);
    if (err == ERR_NONE || err == ERR_AGAIN)
        err = direction_hold(&flow->down, flow->env, (const char *)bytes + n_sent, n - n_sent);
    if (err == ERR_NONE)
        flow->down.n_own += (uint32_t)(n - n_sent);
    else
        flow->is_cut_off = true;
}

enum flow_login flow_login(struct flow *flow, const char *user, size_t n_user, const char *password,
                           size_t n_password, const char *method)
{
    const struct credential *known =
        inbound_authenticate(flow->inbound, user, n_user, password, n_password);
    if (known != NULL) {
        flow->user = known->user;
        return LOGIN_RIGHT;
    }
    flow->env->counters.refused[REFUSAL_LOGIN]++;
    struct log_line line;
    log_begin(&line, flow->env->log, LOG_LEVEL_WARN, "login");
    log_str(&line, "in", flow->inbound->name);
    log_addr(&line, "from", &flow->from);
    log_bytes(&line, "user", user, n_user);
    log_str(&line, "method", method);
    log_end(&line);
    return LOGIN_WRONG;
}

/* Keeps what is not used up yet. Once there is a request, it is what goes to the target first. */
static bool keep_rest(struct flow *flow, size_t at, size_t n)
{
    if (direction_hold(&flow->up, flow->env, flow->env->scratch + at, n - at) == ERR_NONE)
        return true;
    flow_close(flow, FLOW_END_LIMIT, false);
    return false;
}

static void wait_for_client(struct flow *flow, unsigned events)
{
    endpoint_want(flow->client, events | (direction_wants_write(&flow->down) ? LOOP_WRITE : 0u));
}

/* Goes through the n bytes in scratch, message by message. */
static void use_up(struct flow *flow, size_t n)
{
    struct flow_env *env = flow->env;
    struct request request = {.command = REQUEST_CONNECT};
    enum inbound_step step;
    enum err why = ERR_BAD;
    size_t at = 0;
    do {
        size_t used = 0;
        step = flow->protocol->advance(flow, env->scratch + at, n - at, &used, &request, &why);
        at += used;
    } while (step == INBOUND_NEXT);

    if (flow->inbound->n_credentials > 0)
        secret_wipe(env->scratch, at); /* a password may have been in it */
    if (flow->is_cut_off) {
        flow_close(flow, FLOW_END_RESET, true);
    } else if (step == INBOUND_REFUSED) {
        if (why != ERR_AUTH)
            env->counters.refused[REFUSAL_HANDSHAKE]++;
        lingering_begin(flow, flow_end_of(why));
    } else if (keep_rest(flow, at, n)) {
        if (step == INBOUND_REQUEST)
            opening_begin(flow, &request);
        else
            wait_for_client(flow, step == INBOUND_WAIT ? LOOP_HANGUP : LOOP_READ);
    }
}

void handshake_begin(struct flow *flow)
{
    if (flow->protocol->speaks_first)
        use_up(flow, 0);
}

void handshake_resume(struct flow *flow)
{
    size_t n_held = flow->up.n_held;
    direction_take_held(&flow->up, flow->env);
    use_up(flow, n_held);
}

void handshake_on_ready(struct flow *flow)
{
    struct flow_env *env = flow->env;
    size_t n_held = flow->up.n_held, n = 0;
    enum err err = direction_flush(&flow->down, env, flow->client);
    if (err == ERR_NONE || err == ERR_AGAIN)
        err = endpoint_read(flow->client, env->scratch + n_held, FLOW_READ_BYTES - n_held, &n);
    if (err == ERR_AGAIN) {
        wait_for_client(flow, LOOP_READ);
    } else if (err != ERR_NONE) {
        env->counters.refused[REFUSAL_HANDSHAKE]++;
        flow_close(flow, flow_end_of(err), false);
    } else {
        direction_take_held(&flow->up, env);
        use_up(flow, n_held + n);
    }
}
