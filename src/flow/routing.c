#include "flow/routing.h"

#include <assert.h>

#include "flow/flow.h"
#include "flow/ruleset.h"
#include "route/route.h"

/* NULL: that depends on the name's addresses, and they are not known. */
static struct outbound *find(const struct flow *flow, const struct target *to,
                             const struct addr *addrs, size_t n_addrs, bool is_resolved)
{
    const struct ruleset *ruleset = flow->inbound->ruleset;
    const struct route_query query = {
        .name = to->name,
        .n_name = to->name_bytes,
        .addrs = addrs,
        .n_addrs = n_addrs,
        .is_resolved = is_resolved,
        .port = to->addr.port,
        .from = &flow->from,
        .inbound = flow->inbound->name,
        .user = flow->user,
    };
    uint32_t index = 0;
    if (route_find(ruleset->routes, &query, &index) != ROUTE_FOUND)
        return NULL;
    assert(index < ruleset->n_outbounds);
    return ruleset->outbounds[index];
}

struct outbound *routing_only(const struct flow *flow)
{
    const struct inbound *inbound = flow->inbound;
    if (inbound->outbound != NULL)
        return inbound->outbound;
    return inbound->ruleset->routes == NULL ? inbound->ruleset->outbounds[0] : NULL;
}

struct outbound *routing_find(const struct flow *flow, const struct target *to)
{
    struct outbound *only = routing_only(flow);
    return only != NULL ? only : find(flow, to, &to->addr, to->name_bytes == 0, false);
}

bool routing_leads_to(const struct outbound *outbound, const struct flow *flow,
                      const struct target *to, const struct addr *addr)
{
    const struct outbound *found = routing_find(flow, to);
    if (found == NULL)
        found = find(flow, to, addr, 1, true);
    return found == outbound;
}

struct outbound *routing_find_port(const struct routing *routing, const struct target *to)
{
    return find(routing->flow, to, routing->addrs, routing->n_addrs, true);
}

/* The addresses are known, as far as they can be. */
static struct outbound *decide(const struct routing *routing)
{
    struct outbound *outbound = routing_find_port(routing, routing->to);
    assert(outbound != NULL);
    return outbound;
}

static void keep_answer(struct routing *routing, const struct lookup *lookup)
{
    for (size_t i = 0; lookup->err == ERR_NONE && i < lookup->n_addrs; i++) {
        if (routing->n_addrs < ROUTING_ADDRS_MAX)
            routing->addrs[routing->n_addrs++] = lookup->addrs[i];
    }
}

static bool is_pending(const struct routing *routing)
{
    return routing->questions[0].lookup.pending || routing->questions[1].lookup.pending;
}

static void on_looked_up(struct lookup *lookup)
{
    struct routing *routing = CONTAINER_OF(lookup, struct routing_question, lookup)->routing;
    keep_answer(routing, lookup);
    if (!is_pending(routing))
        routing->done(routing, decide(routing));
}

static void ask(struct routing *routing, struct routing_question *question, enum addr_family family)
{
    question->routing = routing;
    list_init(&question->lookup.link);
    if (resolver_ask(routing->flow->env->resolver, &question->lookup, routing->to->name, family,
                     on_looked_up) != ERR_AGAIN)
        keep_answer(routing, &question->lookup);
}

struct outbound *routing_begin(struct routing *routing, struct flow *flow, const struct target *to,
                               void (*done)(struct routing *, struct outbound *))
{
    *routing = (struct routing){.flow = flow, .to = to, .done = done};
    ask(routing, &routing->questions[0], ADDR_V4);
    ask(routing, &routing->questions[1], ADDR_V6);
    return is_pending(routing) ? NULL : decide(routing);
}

void routing_cancel(struct routing *routing)
{
    resolver_cancel(&routing->questions[0].lookup);
    resolver_cancel(&routing->questions[1].lookup);
}
