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

/* What is kept of the n bytes in scratch may be a part of a login. */
static void wait_further(struct flow *flow, enum inbound_step step, size_t n)
{
    if (flow->inbound->users != NULL)
        secret_wipe(flow->env->scratch, n);
    wait_for_client(flow, step == INBOUND_WAIT ? LOOP_HANGUP : LOOP_READ);
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
        if (step == INBOUND_WAIT)
            flow->has_more = used < n - at;
        else
            at += used;
    } while (step == INBOUND_NEXT);

    if (flow->inbound->users != NULL)
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
            wait_further(flow, step, n);
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

static void break_off(struct flow *flow, enum err err)
{
    flow->env->counters.refused[REFUSAL_HANDSHAKE]++;
    flow_close(flow, flow_end_of(err), false);
}

/* While a login is judged the client's bytes wait in the kernel. After its fin those that have
 * come behind the login may want an answer; without any it is gone. */
static void watch_client(struct flow *flow, unsigned events)
{
    struct flow_env *env = flow->env;
    size_t n_held = flow->up.n_held, n = 0;
    enum err err = direction_flush(&flow->down, env, flow->client);
    if (events & LOOP_ERROR && endpoint_is_broken(flow->client))
        err = ERR_RESET;
    if ((err == ERR_NONE || err == ERR_AGAIN) && events & LOOP_HANGUP && !flow->has_more) {
        err = endpoint_read(flow->client, env->scratch, FLOW_READ_BYTES - n_held, &n);
        flow->has_more = n > 0;
        if (err == ERR_NONE)
            err = direction_hold(&flow->up, env, env->scratch, n);
    }
    if (err == ERR_NONE || err == ERR_AGAIN)
        wait_for_client(flow, flow->has_more ? 0 : LOOP_HANGUP);
    else
        break_off(flow, err);
}

void handshake_on_ready(struct flow *flow, unsigned events)
{
    struct flow_env *env = flow->env;
    if (flow->login != NULL) {
        watch_client(flow, events);
        return;
    }
    size_t n_held = flow->up.n_held, n = 0;
    enum err err = direction_flush(&flow->down, env, flow->client);
    if (err == ERR_NONE || err == ERR_AGAIN)
        err = endpoint_read(flow->client, env->scratch + n_held, FLOW_READ_BYTES - n_held, &n);
    if (err == ERR_AGAIN) {
        wait_for_client(flow, LOOP_READ);
    } else if (err != ERR_NONE) {
        break_off(flow, err);
    } else {
        direction_take_held(&flow->up, env);
        use_up(flow, n_held + n);
    }
}
