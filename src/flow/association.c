#include "flow/association.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "flow/flow.h"
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

/* ---- down: from anyone to the client ---- */

void association_on_packet(struct association *association, const struct target *from,
                           uint8_t *bytes, size_t n)
{
    struct flow *flow = association->flow;
    touch(association);
    flow->down.n_bytes += n;
    flow->env->counters.datagrams_down++;
    uint8_t *whole = socks5_put_udp_header(bytes, from);
    datagram_send(&association->sock, &association->client, whole, (size_t)(bytes - whole) + n);
}

/* ---- beginning and end ---- */

/* Of IPv6 the /64, of which one client has every address. */
static struct addr client_key(const struct flow *flow)
{
    struct addr key = flow->from;
    if (key.family == ADDR_V6)
        memset(key.ip + 8, 0, 8);
    return key;
}

static uint64_t count_of_client(const struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct addr key = client_key(flow);
    return clients_count(&shared->clients,
                         &(struct counted){.of = &shared->n_associations, .at = &key});
}

/* Of the worker's, of this inbound's (NULL: all) and of this client's (NULL: all). NULL: there is none. */
static struct flow *find_longest_unused(struct flow_env *env,
                                        const struct inbound_counts *of_inbound,
                                        const struct addr *of_client)
{
    for (struct list *at = env->associated.next; at != &env->associated; at = at->next) {
        struct flow *flow = CONTAINER_OF(at, struct association, link)->flow;
        struct addr key = client_key(flow);
        if ((of_inbound == NULL || flow->inbound->counts == of_inbound) &&
            (of_client == NULL || addr_equal(&key, of_client, false)))
            return flow;
    }
    return NULL;
}

/* Closes the longest unused association. Who has more of them than the one it belongs to gives up one
 * of its own instead: nobody drives out others by asking for many. False: there is none. */
static bool make_room(struct flow *asking, const struct inbound_counts *of_inbound)
{
    struct flow *leaving = find_longest_unused(asking->env, of_inbound, NULL);
    if (leaving == NULL)
        return false;
    if (count_of_client(asking) > count_of_client(leaving)) {
        struct addr key = client_key(asking);
        struct flow *own = find_longest_unused(asking->env, of_inbound, &key);
        leaving = own == NULL ? leaving : own;
    }
    flow_close(leaving, FLOW_END_LIMIT, true);
    return true;
}

static bool enter(_Atomic(uint64_t) *n, uint64_t max)
{
    if (atomic_fetch_add(n, 1) < max)
        return true;
    atomic_fetch_sub(n, 1);
    return false;
}

static void leave(struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct addr key = client_key(flow);
    clients_leave(&shared->clients, &(struct counted){.of = &shared->n_associations, .at = &key});
    atomic_fetch_sub(&flow->inbound->counts->n_associations, 1);
    atomic_fetch_sub(&shared->n_associations, 1);
}

/* Finds a place, for which others may have to go. */
static enum err find_place(struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct inbound_counts *counts = flow->inbound->counts;
    uint64_t max = atomic_load(&shared->max_by_descriptors) / 4;
    max = max == 0 ? 1 : max;
    uint64_t max_of_inbound = flow->inbound->ruleset->n_inbounds > 1 ? (max + 1) / 2 : max;
    for (;;) {
        bool has_place = enter(&counts->n_associations, max_of_inbound);
        if (has_place && enter(&shared->n_associations, max))
            return ERR_NONE;
        if (has_place)
            atomic_fetch_sub(&counts->n_associations, 1);
        if (!make_room(flow, has_place ? NULL : counts))
            return ERR_LIMIT;
    }
}

static enum err admit(struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct addr key = client_key(flow);
    enum err err = find_place(flow);
    if (err != ERR_NONE)
        return err;
    err = clients_enter(&shared->clients,
                        &(struct counted){.of = &shared->n_associations, .at = &key}, UINT64_MAX);
    if (err != ERR_NONE) {
        atomic_fetch_sub(&flow->inbound->counts->n_associations, 1);
        atomic_fetch_sub(&shared->n_associations, 1);
    }
    return err;
}

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
        if (!make_room(flow, err == ERR_PORTS ? flow->inbound->counts : NULL))
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

enum err association_new(struct association **out, struct flow *flow,
                         const struct target *announced, struct addr *at)
{
    struct flow_env *env = flow->env;
    *at = flow_own_addr(flow);
    if (at->family == ADDR_NONE || at->family != flow->from.family)
        return ERR_COMMAND;
    enum err err = admit(flow);
    if (err != ERR_NONE)
        return err;
    struct association *association = slab_get(&env->associations);
    if (association == NULL) {
        leave(flow);
        return ERR_MEMORY;
    }
    association->slab = &env->associations;
    association->flow = flow;
    association->client = client_of(flow, announced);
    list_init(&association->link);
    list_init(&association->ways);
    list_init(&association->questions);
    packet_queue_init(&association->waiting);
    err = open_socket(association, at);
    if (err != ERR_NONE) {
        leave(flow);
        slab_put(&env->associations, association);
        return err;
    }
    if (association->client.port != 0)
        datagram_connect(&association->sock, &association->client);
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
    leave(flow);
    env->counters.associations_now--;
    loop_defer(env->loop, &association->freeing, free_association);
}
