#include "flow/association.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "flow/flow.h"
#include "flow/places.h"
#include "flow/policy.h"
#include "flow/routing.h"
#include "flow/ruleset.h"
#include "flow/stages.h"
#include "flow/way.h"
#include "wire/socks5.h"

/* What rules have said of an address holds so long; which addresses are our own may change. */
#define VERDICT_MS 1000

/* Names whose addresses the rules wait for, at the same time. */
#define QUESTIONS_MAX 16

static_assert(PACKET_HEADROOM >= SOCKS5_UDP_HEADER_MAX_BYTES, "room for a header of SOCKS5");
static_assert(DATAGRAM_HEADROOM >= PACKET_HEADROOM, "what a socket gives has the room");

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

static bool is_from_client(const struct association *association, const struct addr *from)
{
    return addr_equal(from, &association->client, association->client.port != 0);
}

static void on_client_datagram(struct datagram_sock *sock, const struct addr *from, uint8_t *bytes,
                               size_t n)
{
    struct association *association = CONTAINER_OF(sock, struct association, sock);
    struct counters *counters = &association->flow->env->counters;
    if (!is_from_client(association, from)) {
        counters->dropped[DROP_FOREIGN]++;
        return;
    }
    struct socks5_datagram header;
    size_t n_header;
    if (socks5_parse_datagram(bytes, n, &header, &n_header) != ERR_NONE || header.fragment != 0 ||
        header.target.addr.port == 0) {
        counters->dropped[DROP_MALFORMED]++;
        return;
    }
    if (association->client.port == 0) {
        association->client.port = from->port;
        datagram_connect(sock, from);
    }
    touch(association);
    send_up(association, &header.target, bytes + n_header, n - n_header);
}

/* By a tunnel it is the near end that has looked who has sent it. */
static void on_tunnel_packet(struct packets *packets, const struct target *to, uint8_t *bytes,
                             size_t n)
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
    if (association->by_tunnel != NULL) {
        association->by_tunnel->ops->send(association->by_tunnel, from, bytes, n);
        return;
    }
    uint8_t *whole = socks5_put_udp_header(bytes, from);
    datagram_send(&association->sock, &association->client, whole, (size_t)(bytes - whole) + n);
}

/* ---- beginning and end ---- */

static enum err open_socket(struct association *association, struct addr *at)
{
    struct flow *flow = association->flow;
    const struct inbound_command *udp = &flow->inbound->udp;
    for (bool has_tried = false;; has_tried = true) {
        enum err err = datagram_open_at(&association->sock, &flow->env->datagrams, at,
                                        udp->port_from, udp->port_to, on_client_datagram);
        bool is_short = err == ERR_PORTS || err == ERR_DESCRIPTORS;
        if (!is_short || has_tried)
            return err;
        if (!places_make_room(flow, err == ERR_PORTS ? flow->inbound->counts : NULL))
            return err;
    }
}

/* Whose datagrams are taken. An announced address that is not the connection's was changed on the
 * way, and then the port was too. */
static struct addr client_of(const struct flow *flow, const struct target *announced)
{
    struct addr client = flow->from;
    struct addr said = announced->addr;
    addr_unmap(&said);
    said.scope = client.scope; /* the request has no room for it */
    bool is_same = addr_is_unspecified(&said) || addr_equal(&said, &client, false);
    client.port = announced->name_bytes == 0 && is_same ? said.port : 0;
    return client;
}

static void free_association(struct deferred *deferred)
{
    struct association *association = CONTAINER_OF(deferred, struct association, freeing);
    slab_put(association->slab, association);
}

/* Where the client's datagrams come in. */
static enum err open_client_side(struct association *association, const struct request *request,
                                 struct addr *at)
{
    struct flow *flow = association->flow;
    *at = (struct addr){.family = ADDR_NONE};
    if (request->packets != NULL) {
        association->by_tunnel = request->packets;
        association->by_tunnel->on_packet = on_tunnel_packet;
        association->by_tunnel->owner = association;
        return ERR_NONE;
    }
    *at = flow_own_addr(flow);
    association->client = client_of(flow, &request->target);
    enum err err = open_socket(association, at);
    if (err == ERR_NONE && association->client.port != 0)
        datagram_connect(&association->sock, &association->client);
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

enum err association_new(struct association **out, struct flow *flow, const struct request *request,
                         struct addr *at)
{
    struct flow_env *env = flow->env;
    if (request->packets == NULL && !has_come_by_ip(flow))
        return ERR_COMMAND;
    enum err err = places_enter(flow);
    if (err != ERR_NONE)
        return err;
    struct association *association = make(flow);
    err = association == NULL ? ERR_MEMORY : open_client_side(association, request, at);
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
    datagram_close(&association->sock);
    places_leave(flow);
    env->counters.associations_now--;
    loop_defer(env->loop, &association->freeing, free_association);
}
