/* Relaying: readiness of the two endpoints drives the two directions (flow/relay.h). */
#include "flow/stages.h"

static unsigned interest(const struct direction *from_it, const struct direction *to_it)
{
    return (direction_wants_read(from_it) ? LOOP_READ : 0u) |
           (direction_wants_write(to_it) ? LOOP_WRITE : 0u);
}

static void update_interest(struct flow *flow)
{
    endpoint_want(flow->client, interest(&flow->up, &flow->down));
    endpoint_want(flow->target, interest(&flow->down, &flow->up));
}

/* The source has ended and all of it is delivered: its fin is passed on, once. When the other
 * direction has ended too, closing does it. */
static enum err finish(struct flow *flow, struct direction *direction, struct endpoint *sink)
{
    if (direction->is_finished)
        return ERR_NONE;
    direction->is_finished = true;
    if (flow->up.is_finished && flow->down.is_finished)
        return ERR_EOF;
    /* At a tunnel's far end it is for the near end to say what is idle, until the fin that goes there has gone: then that may be
     * through with the flow, however much of what it took is still to go on. Whom a listener has taken it has on the other side. */
    bool is_to_near = (direction == &flow->down) == (flow->client->fd < 0);
    if (flow->protocol->is_tunnel && is_to_near)
        idle_enter(&flow->env->relaying, &flow->wait);
    return endpoint_shutdown(sink);
}

/* Moves one direction. False: the flow has ended. */
static bool move(struct flow *flow, struct direction *direction)
{
    bool is_up = direction == &flow->up;
    struct endpoint *source = is_up ? flow->client : flow->target;
    struct endpoint *sink = is_up ? flow->target : flow->client;
    uint64_t n_before = direction->n_bytes;
    bool was_at_end = direction->is_at_end;
    enum err err = direction_advance(direction, flow->env, source, sink);
    if (direction->n_bytes != n_before)
        idle_touch(&flow->wait);
    if (direction->is_at_end && !was_at_end && !flow->protocol->is_tunnel)
        idle_enter(&flow->env->half_closed, &flow->wait);
    if (err == ERR_EOF)
        err = finish(flow, direction, sink);
    if (err == ERR_NONE || err == ERR_AGAIN)
        return true;
    flow_close(flow, flow_end_of(err), err != ERR_EOF);
    return false;
}

void relaying_on_ready(struct flow *flow, struct endpoint *ep, unsigned events)
{
    bool is_client = ep == flow->client;
    struct direction *from_it = is_client ? &flow->up : &flow->down;
    struct direction *to_it = is_client ? &flow->down : &flow->up;
    if (events & (LOOP_READ | LOOP_ERROR) && !move(flow, from_it))
        return;
    if (events & (LOOP_WRITE | LOOP_ERROR) && !move(flow, to_it))
        return;
    /* Nothing was read from a side whose bytes could not be delivered, so its reset was not met. */
    if (events & LOOP_ERROR && endpoint_is_broken(ep)) {
        flow_close(flow, FLOW_END_RESET, true);
        return;
    }
    update_interest(flow);
}

static void on_target_ready(struct endpoint *ep, unsigned events)
{
    relaying_on_ready(ep->owner, ep, events);
}

void relaying_begin(struct flow *flow)
{
    flow->target->owner = flow;
    flow->target->on_ready = on_target_ready;
    flow_set_state(flow, FLOW_RELAYING);
    if (flow->protocol->is_tunnel)
        idle_leave(&flow->wait);
    else
        idle_enter(&flow->env->relaying, &flow->wait);
    idle_enter(&flow->env->settling, &flow->settling);
    /* Early bytes are on their way before anything is waited for. */
    bool has_early =
        flow->up.n_held > 0 || flow->up.is_at_end || endpoint_lends_bytes(flow->client);
    if (has_early && !move(flow, &flow->up))
        return;
    update_interest(flow);
}
