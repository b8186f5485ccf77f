/* After an answer that ends a flow: say no more, and wait a moment for the client to go. */
#include "flow/stages.h"

/* A client that keeps sending is read this often a turn. */
#define READS_A_TURN 16

enum err lingering_discard(struct flow *flow)
{
    struct flow_env *env = flow->env;
    enum err err = ERR_NONE;
    for (int i = 0; i < READS_A_TURN && err == ERR_NONE; i++) {
        size_t n;
        err = endpoint_read(flow->client, env->scratch, sizeof env->scratch, &n);
    }
    return err;
}

/* Our answer, then our fin. */
static enum err say_the_rest(struct flow *flow)
{
    enum err err = direction_flush(&flow->down, flow->env, flow->client);
    if (err != ERR_NONE || flow->down.is_finished)
        return err;
    flow->down.is_finished = true;
    return endpoint_shutdown(flow->client);
}

void lingering_on_ready(struct flow *flow)
{
    enum err err = say_the_rest(flow);
    if (err == ERR_NONE)
        err = lingering_discard(flow);
    if (err != ERR_NONE && err != ERR_AGAIN) {
        flow_close(flow, flow->end, false);
        return;
    }
    endpoint_want(flow->client, direction_wants_write(&flow->down) ? LOOP_WRITE : LOOP_READ);
}

void lingering_begin(struct flow *flow, enum flow_end end)
{
    flow->end = (uint8_t)end;
    flow_set_state(flow, FLOW_LINGERING);
    idle_enter(&flow->env->lingering, &flow->wait);
    lingering_on_ready(flow);
}
