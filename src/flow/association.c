#include "flow/association.h"

#include <stdlib.h>

#include "flow/flow.h"
#include "flow/places.h"
#include "flow/policy.h"
#include "flow/routing.h"
#include "flow/ruleset.h"
#include "flow/stages.h"
#include "flow/way.h"

/* What rules have said of an address holds so long; which addresses are our own may change. */
#define VERDICT_MS 1000

/* Names whose addresses the rules wait for, at the same time. */
#define QUESTIONS_MAX 16

/* A target that rules cannot judge before they know its addresses. */
struct question {
    struct list link;
    struct association *association;
    struct target to;
    struct routing routing;
};

/* ---- up: from the client to targets ---- */

static struct way *way_by(struct association *association, struct outbound *outbound)
{
    for (struct list *at = association->ways.next; at != &association->ways; at = at->next) {
        struct way *way = CONTAINER_OF(at, struct way, link);
        if (way->outbound == outbound)
            return way;
    }
    return way_new(association, outbound);
}

static void send_by(struct association *association, struct way *way, const struct target *to,
                    uint8_t *bytes, size_t n)
{
    struct flow *flow = association->flow;
    if (way == NULL) {
        flow->env->counters.dropped[DROP_FULL]++;
        return;
    }
    flow->up.n_bytes += n;
    flow->env->counters.datagrams_up++;
    way_send(way, to, bytes, n);
}

static void forget_question(struct question *question)
{
    routing_cancel(&question->routing);
    list_remove(&question->link);
    question->association->n_questions--;
    free(question);
}

/* Datagrams to several ports of the name may have come since, and rules may tell them apart. */
static void on_routed(struct routing *routing, struct outbound *outbound)
{
    (void)outbound; /* that of the first */
    struct question *question = CONTAINER_OF(routing, struct question, routing);
    struct association *association = question->association;
    struct flow_env *env = association->flow->env;
    struct packet *packet;
    while ((packet = packet_queue_take(&association->waiting, env, &question->to)) != NULL) {
        struct way *way = way_by(association, routing_find_port(routing, &packet->to));
        send_by(association, way, &packet->to, packet->room + PACKET_HEADROOM, packet->n);
        datagram_pool_flush(&env->datagrams);
        free(packet);
    }
    forget_question(question);
}

static bool is_asked(const struct association *association, const struct target *to)
{
    for (struct list *at = association->questions.next; at != &association->questions;
         at = at->next) {
        if (target_same_name(&CONTAINER_OF(at, struct question, link)->to, to))
            return true;
    }
    return false;
}

/* The rules want to know the name's addresses. NULL: they are being looked up, or cannot be. */
static struct outbound *ask_rules(struct association *association, const struct target *to)
{
    struct question *question = NULL;
    if (association->n_questions < QUESTIONS_MAX)
        question = calloc(1, sizeof *question);
    if (question == NULL)
        return NULL;
    question->association = association;
    question->to = *to;
    list_init(&question->link);
    list_append(&association->questions, &question->link);
    association->n_questions++;
    struct outbound *outbound =
        routing_begin(&question->routing, association->flow, &question->to, on_routed);
    if (outbound != NULL)
        forget_question(question);
    return outbound;
}

static void send_to_name(struct association *association, const struct target *to, uint8_t *bytes,
                         size_t n)
{
    struct flow_env *env = association->flow->env;
    struct outbound *outbound = routing_find(association->flow, to);
    if (outbound == NULL && !is_asked(association, to))
        outbound = ask_rules(association, to);
    if (outbound != NULL)
        send_by(association, way_by(association, outbound), to, bytes, n);
    else if (is_asked(association, to))
        packet_queue_put(&association->waiting, env, to, bytes, n);
    else
        env->counters.dropped[DROP_FULL]++;
}

/* Finds out what the rules say of an address, unless that is known from the datagram before. */
static void judge(struct association *association, const struct target *to)
{
    struct flow *flow = association->flow;
    uint64_t now_ms = loop_now_ms(flow->env->loop);
    if (addr_equal(&association->last, &to->addr, true) &&
        now_ms - association->last_at_ms < VERDICT_MS)
        return;
    association->last = to->addr;
    association->last_at_ms = now_ms;
    association->last_way = NULL;
    association->is_last_allowed = policy_allows(flow->inbound, flow->rights, &to->addr);
    if (association->is_last_allowed)
        association->last_way = way_by(association, routing_find(flow, to));
}

static void send_up(struct association *association, const struct target *to, uint8_t *bytes,
                    size_t n)
{
    if (association->only != NULL) {
        send_by(association, association->only, to, bytes, n);
        return;
    }
    if (to->name_bytes > 0) {
        send_to_name(association, to, bytes, n);
        return;
    }
    judge(association, to);
    if (association->is_last_allowed)
        send_by(association, association->last_way, to, bytes, n);
    else
        association->flow->env->counters.dropped[DROP_DENIED]++;
}

static void touch(struct association *association)
{
    struct flow *flow = association->flow;
    idle_touch(&flow->wait);
    if (flow->env->associated.prev == &association->link)
        return;
    list_remove(&association->link);
    list_append(&flow->env->associated, &association->link);
}

static void on_packet(struct packets *packets, const struct target *to, uint8_t *bytes, size_t n)
{
    struct association *association = packets->owner;
    if (to->addr.port == 0) {
        association->flow->env->counters.dropped[DROP_MALFORMED]++;
        return;
    }
    touch(association);
    send_up(association, to, bytes, n);
}

/* ---- down: from anyone to the client ---- */

void association_on_packet(struct association *association, const struct target *from,
                           uint8_t *bytes, size_t n)
{
    struct flow *flow = association->flow;
    touch(association);
    flow->down.n_bytes += n;
    flow->env->counters.datagrams_down++;
    association->client->ops->send(association->client, from, bytes, n);
}

/* ---- beginning and end ---- */

static void free_association(struct deferred *deferred)
{
    struct association *association = CONTAINER_OF(deferred, struct association, freeing);
    slab_put(association->slab, association);
}

/* The stream that has brought the client's datagrams is gone; its connection may stand still. */
static void on_broken(struct packets *packets, enum err err)
{
    const struct association *association = packets->owner;
    flow_close(association->flow, flow_end_of(err), true);
}

/* Where the client's datagrams come in. */
static enum err open_client_side(struct association *association, struct association_start *start)
{
    struct flow *flow = association->flow;
    enum err err = ERR_NONE;
    association->client = start->client;
    association->is_own = start->is_own;
    if (start->client == NULL) {
        association->client = &association->relay.packets;
        start->at = flow_own_addr(flow);
        err = udp_relay_open(&association->relay, flow, &start->announced, &start->at);
    }
    association->client->on_packet = on_packet;
    association->client->on_broken = on_broken;
    association->client->owner = association;
    return err;
}

static struct association *make(struct flow *flow)
{
    struct slab *slab = &flow->env->associations;
    struct association *association = slab_get(slab);
    if (association == NULL)
        return NULL;
    association->slab = slab;
    association->flow = flow;
    list_init(&association->link);
    list_init(&association->ways);
    list_init(&association->questions);
    packet_queue_init(&association->waiting);
    return association;
}

static bool has_come_by_ip(const struct flow *flow)
{
    struct addr own = flow_own_addr(flow);
    return own.family != ADDR_NONE && own.family == flow->from.family;
}

enum err association_new(struct association **out, struct flow *flow,
                         struct association_start *start)
{
    struct flow_env *env = flow->env;
    if (start->client == NULL && !has_come_by_ip(flow))
        return ERR_COMMAND;
    enum err err = places_enter(flow);
    if (err != ERR_NONE)
        return err;
    struct association *association = make(flow);
    err = association == NULL ? ERR_MEMORY : open_client_side(association, start);
    if (err != ERR_NONE) {
        places_leave(flow);
        if (association != NULL)
            slab_put(&env->associations, association);
        return err;
    }
    list_append(&env->associated, &association->link);
    env->counters.associations_now++;
    *out = association;
    return ERR_NONE;
}

void association_free(struct association *association)
{
    if (association == NULL)
        return;
    struct flow *flow = association->flow;
    struct flow_env *env = flow->env;
    list_remove(&association->link);
    while (!list_empty(&association->questions))
        forget_question(CONTAINER_OF(association->questions.next, struct question, link));
    packet_queue_drop(&association->waiting, env, NULL, DROP_UNSENT);
    while (!list_empty(&association->ways))
        way_free(CONTAINER_OF(association->ways.next, struct way, link));
    if (!association->is_own)
        association->client->ops->close(association->client);
    places_leave(flow);
    env->counters.associations_now--;
    loop_defer(env->loop, &association->freeing, free_association);
}
