/* How datagrams go by one outbound: opened when needed, opened again when broken. */
#include <stdlib.h>

#include "flow/association.h"
#include "flow/flow.h"
#include "flow/policy.h"
#include "flow/routing.h"
#include "flow/way.h"

/* A way that could not be opened, or broke, is opened again after this. */
#define RETRY_MS 1000

static struct flow_env *env_of(const struct way *way)
{
    return way->association->flow->env;
}

struct way *way_new(struct association *association, struct outbound *outbound)
{
    struct way *way = slab_get(&association->flow->env->ways);
    if (way == NULL)
        return NULL;
    way->association = association;
    way->outbound = outbound;
    packet_queue_init(&way->waiting);
    idle_wait_init(&way->wait);
    list_init(&way->link);
    list_append(&association->ways, &way->link);
    return way;
}

static void shut(struct way *way, enum drop why)
{
    idle_leave(&way->wait);
    if (way->is_opening)
        way->outbound->ops->cancel(way->outbound, &way->opening);
    if (way->packets != NULL)
        way->packets->ops->close(way->packets);
    way->is_opening = false;
    way->packets = NULL;
    packet_queue_drop(&way->waiting, env_of(way), NULL, why);
}

static void shut_for_now(struct way *way)
{
    shut(way, DROP_UNSERVED);
    way->retry_at_ms = loop_now_ms(env_of(way)->loop) + RETRY_MS;
}

static void free_way(struct deferred *deferred)
{
    struct way *way = CONTAINER_OF(deferred, struct way, freeing);
    slab_put(way->slab, way);
}

void way_free(struct way *way)
{
    struct flow_env *env = env_of(way);
    shut(way, DROP_UNSENT);
    list_remove(&way->link);
    way->slab = &env->ways;
    loop_defer(env->loop, &way->freeing, free_way);
}

static void on_packet(struct packets *packets, const struct target *from, uint8_t *bytes, size_t n)
{
    const struct way *way = packets->owner;
    association_on_packet(way->association, from, bytes, n);
}

static bool may_go(const struct packets *packets, const struct target *to, const struct addr *addr)
{
    const struct way *way = packets->owner;
    const struct flow *flow = way->association->flow;
    return policy_allows(flow->inbound, flow->rights, addr) &&
           routing_leads_to(way->outbound, flow, to, addr);
}

static void on_broken(struct packets *packets, enum err err)
{
    (void)err;
    shut_for_now(packets->owner);
}

void way_take(struct way *way, struct packets *packets)
{
    struct flow *flow = way->association->flow;
    idle_leave(&way->wait);
    way->is_opening = false;
    way->packets = packets;
    way->packets->on_packet = on_packet;
    way->packets->may_go = may_go;
    way->packets->on_broken = on_broken;
    way->packets->owner = way;
    if (flow->outbound == NULL)
        flow->outbound = way->outbound;
}

static void on_opened(struct opening *opening, enum err err)
{
    struct way *way = CONTAINER_OF(opening, struct way, opening);
    struct flow_env *env = env_of(way);
    struct packet *packet;
    way->is_opening = false;
    if (err != ERR_NONE) {
        shut_for_now(way);
        return;
    }
    way_take(way, way->opening.packets);
    while (way->packets != NULL && (packet = packet_queue_take(&way->waiting, env, NULL)) != NULL) {
        way->packets->ops->send(way->packets, &packet->to, packet->room + PACKET_HEADROOM,
                                packet->n);
        datagram_pool_flush(&env->datagrams);
        free(packet);
    }
}

/* ERR_NONE: it is open. ERR_AGAIN: it will be. */
static enum err open_way(struct way *way)
{
    struct flow *flow = way->association->flow;
    const struct outbound_ops *ops = way->outbound->ops;
    if (ops->associate == NULL)
        return ERR_COMMAND;
    if (loop_now_ms(flow->env->loop) < way->retry_at_ms)
        return ERR_TIMEOUT;
    way->opening = (struct opening){.env = flow->env,
                                    .inbound = flow->inbound,
                                    .rights = flow->rights,
                                    .source = flow->from,
                                    .done = on_opened};
    enum err err = ops->associate(way->outbound, &way->opening);
    if (err == ERR_NONE) {
        way_take(way, way->opening.packets);
    } else if (err == ERR_AGAIN) {
        way->is_opening = true;
        idle_enter(&flow->env->ways_opening, &way->wait);
    } else {
        shut_for_now(way);
    }
    return err;
}

void way_on_expired(struct idle_wait *wait)
{
    shut_for_now(CONTAINER_OF(wait, struct way, wait));
}

void way_send(struct way *way, const struct target *to, uint8_t *bytes, size_t n)
{
    struct flow_env *env = env_of(way);
    enum err err = way->packets != NULL ? ERR_NONE : ERR_AGAIN;
    if (way->packets == NULL && !way->is_opening)
        err = open_way(way);
    if (err == ERR_NONE)
        way->packets->ops->send(way->packets, to, bytes, n);
    else if (err == ERR_AGAIN)
        packet_queue_put(&way->waiting, env, to, bytes, n);
    else
        env->counters.dropped[DROP_UNSERVED]++;
}
