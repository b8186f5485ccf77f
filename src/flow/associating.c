/* Associated: the TCP connection does no more than live; its end is the association's. */
#include "flow/association.h"
#include "flow/stages.h"
#include "flow/way.h"

static void wait_for_client(struct flow *flow)
{
    endpoint_want(flow->client, LOOP_READ | (direction_wants_write(&flow->down) ? LOOP_WRITE : 0u));
}

void associating_on_ready(struct flow *flow)
{
    enum err err = direction_flush(&flow->down, flow->env, flow->client);
    if (err == ERR_NONE || err == ERR_AGAIN)
        err = lingering_discard(flow);
    if (err == ERR_NONE || err == ERR_AGAIN)
        wait_for_client(flow);
    else
        flow_close(flow, flow_end_of(err), err != ERR_EOF);
}

/* Where the client shall send to: what is advertised stands for our address of that family. */
static struct addr address_to_tell(const struct flow *flow, const struct addr *at)
{
    const struct addr *advertise = &flow->inbound->udp.advertise;
    struct addr told = advertise->family == at->family ? *advertise : *at;
    told.port = at->port;
    return told;
}

/* A way that is there already is the first. */
static enum err take_way(struct flow *flow, struct packets *way, bool is_only)
{
    if (way == NULL)
        return ERR_NONE;
    struct way *first = way_new(flow->association, flow->outbound);
    if (first == NULL)
        return ERR_MEMORY;
    way_take(first, way);
    flow->association->only = is_only ? first : NULL;
    return ERR_NONE;
}

static enum err make_association(struct flow *flow, struct association_start *start,
                                 struct packets *way, bool is_only)
{
    enum err err = association_new(&flow->association, flow, start);
    if (err != ERR_NONE)
        return err;
    err = take_way(flow, way, is_only);
    if (err != ERR_NONE) {
        association_free(flow->association);
        flow->association = NULL;
    }
    return err;
}

enum err associating_begin(struct flow *flow, struct association_start *start, struct packets *way,
                           bool is_only)
{
    const struct target *announced = &start->announced;
    bool says_where = announced->name_bytes > 0 || (announced->addr.family != ADDR_NONE &&
                                                    !addr_is_unspecified(&announced->addr));
    if (says_where) {
        flow->to = flow_target_text(announced);
        if (flow->to == NULL)
            return ERR_MEMORY;
    }
    enum err err = make_association(flow, start, way, is_only);
    if (err != ERR_NONE)
        return err;
    flow_set_state(flow, FLOW_ASSOCIATED);
    direction_take_held(&flow->up, flow->env); /* nothing is to follow the request */
    struct addr told = address_to_tell(flow, &start->at);
    flow->protocol->reply(flow, ERR_NONE, &told);
    if (flow->is_cut_off) {
        flow_close(flow, FLOW_END_RESET, true);
        return ERR_NONE;
    }
    idle_enter(&flow->env->associating, &flow->wait);
    idle_enter(&flow->env->settling, &flow->settling);
    wait_for_client(flow);
    return ERR_NONE;
}
