/* Exchanging: readiness is passed to the inbound's protocol (flow/inbound.h, struct exchange_ops). */
#include "flow/stages.h"

static void on_target_ready(struct endpoint *ep, unsigned events)
{
    exchanging_on_ready(ep->owner, ep, events);
}

void exchanging_on_ready(struct flow *flow, struct endpoint *ep, unsigned events)
{
    flow->protocol->exchange->on_ready(flow, ep, events);
}

void exchanging_on_timeout(struct flow *flow)
{
    if (!flow->protocol->exchange->on_expired(flow))
        flow_close(flow, FLOW_END_IDLE, true);
}

void exchanging_begin(struct flow *flow)
{
    flow->target->owner = flow;
    flow->target->on_ready = on_target_ready;
    flow_set_state(flow, FLOW_EXCHANGING);
    idle_enter(&flow->env->relaying, &flow->wait);
    idle_enter(&flow->env->settling, &flow->settling);
    flow->protocol->exchange->begin(flow);
}

void flow_end_exchanges(struct flow_env *env, const struct ruleset *in_force)
{
    env->in_force = in_force;
    env->in_force_is_known = true;
    for (struct list *at = env->live.next, *next; at != &env->live; at = next) {
        next = at->next;
        struct flow *flow = CONTAINER_OF(at, struct flow, link);
        if (flow->inbound->ruleset == in_force)
            continue;
        flow->is_last = true;
        if (flow->state == FLOW_EXCHANGING)
            flow->protocol->exchange->wind_up(flow);
    }
}

void flow_open(struct flow *flow, const struct request *request)
{
    flow_end_target(flow, FLOW_END_CLOSED);
    opening_begin(flow, request);
}

void flow_relay(struct flow *flow)
{
    relaying_begin(flow);
}

void flow_refuse(struct flow *flow, enum err why)
{
    lingering_begin(flow, flow_end_of(why));
}

void flow_break(struct flow *flow, enum err why)
{
    flow_close(flow, flow_end_of(why), why != ERR_EOF);
}
