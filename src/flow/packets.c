#include "flow/packets.h"

#include <stdlib.h>
#include <string.h>

#include "flow/env.h"

static size_t cost_of(size_t n)
{
    return sizeof(struct packet) + PACKET_HEADROOM + n;
}

void packet_queue_init(struct packet_queue *queue)
{
    list_init(&queue->packets);
    queue->n_bytes = 0;
}

static struct packet *make(struct packet_queue *queue, struct flow_env *env, size_t n)
{
    size_t cost = cost_of(n);
    if (queue->n_bytes + cost > PACKET_QUEUE_BYTES || !datagram_pool_hold(&env->datagrams, cost))
        return NULL;
    struct packet *packet = malloc(cost);
    if (packet == NULL)
        datagram_pool_release(&env->datagrams, cost);
    return packet;
}

void packet_queue_put(struct packet_queue *queue, struct flow_env *env, const struct target *to,
                      const uint8_t *bytes, size_t n)
{
    struct packet *packet = make(queue, env, n);
    if (packet == NULL) {
        env->counters.dropped[DROP_FULL]++;
        return;
    }
    packet->to = *to;
    packet->n = n;
    if (n > 0)
        memcpy(packet->room + PACKET_HEADROOM, bytes, n);
    list_init(&packet->link);
    list_append(&queue->packets, &packet->link);
    queue->n_bytes += cost_of(n);
}

struct packet *packet_queue_take(struct packet_queue *queue, struct flow_env *env,
                                 const struct target *to)
{
    for (struct list *at = queue->packets.next; at != &queue->packets; at = at->next) {
        struct packet *packet = CONTAINER_OF(at, struct packet, link);
        if (to != NULL && !target_same_name(&packet->to, to))
            continue;
        list_remove(&packet->link);
        queue->n_bytes -= cost_of(packet->n);
        datagram_pool_release(&env->datagrams, cost_of(packet->n));
        return packet;
    }
    return NULL;
}

void packet_queue_drop(struct packet_queue *queue, struct flow_env *env, const struct target *to,
                       enum drop why)
{
    struct packet *packet;
    while ((packet = packet_queue_take(queue, env, to)) != NULL) {
        env->counters.dropped[why]++;
        free(packet);
    }
}
