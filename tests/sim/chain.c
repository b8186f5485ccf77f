/*
 * Carriers that are streams: a near end dials by opening a stream of another near end's session, and that one's far end hands it to the
 * gate that it is for, as a relay between them would.
 */
#include "peer/inside.h"
#include "world.h"

#include <string.h>

static struct sim_carrier *find(const struct world *world, unsigned number)
{
    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        if (carrier->is_chained && carrier->number == number)
            return carrier;
    }
    return NULL;
}

static struct sim_carrier *find_of(const struct world *world, const struct stream *stream,
                                   unsigned *end)
{
    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        for (*end = 0; *end < 2; ++*end)
            if (carrier->ends[*end].stream == stream)
                return carrier;
    }
    return NULL;
}

/* ---- dialling ---- */

static struct sim_carrier *carrier_new(struct node *near)
{
    struct world *world = near->world;
    struct sim_carrier *carrier = sim_alloc(sizeof *carrier);

    carrier->world = world;
    carrier->number = world->n_carriers++;
    carrier->is_chained = true;
    carrier->ends[0] = (struct carrier_end){.node = near, .reset_us = NEVER};
    carrier->ends[1] = (struct carrier_end){.node = near->server, .reset_us = NEVER};
    list_append(&world->carriers, &carrier->in_world);
    return carrier;
}

bool chain_dial(struct node *near, struct peer *peer)
{
    struct world *world = near->world;
    struct stream_request request = {.has_target = true};
    struct stream *stream;
    int n = snprintf(request.target.name, sizeof request.target.name, "hop%u", world->n_carriers);

    request.target.name_bytes = (uint8_t)n;
    request.target.addr.port = 4194;
    if (near->via->peer == NULL ||
        session_open(peer_session(near->via->peer), &request, &stream) != ERR_NONE)
        return false;
    struct sim_carrier *carrier = carrier_new(near);
    struct carrier_end *at = &carrier->ends[0];
    carrier->by = near->via->peer;
    at->peer = peer;
    at->is_open = at->is_dialling = true;
    at->stream = stream;
    return true;
}

/* The stream is of no use, or has gone. */
static void fail(struct carrier_end *near)
{
    struct peer_time time = node_time(near->node);

    near->is_dialling = near->is_open = false;
    if (near->peer != NULL)
        peer_dial_failed(near->peer, &time);
}

static void answered(struct sim_carrier *carrier)
{
    struct carrier_end *near = &carrier->ends[0];
    struct peer_time time = node_time(near->node);
    struct addr bound;

    if (!near->is_dialling)
        return;
    if (stream_code(near->stream, &bound) != 0) {
        fail(near);
        return;
    }
    near->is_dialling = false;
    near->is_ready = true;
    near->link = peer_dialled(near->peer, &time);
    if (near->link == NULL) {
        fail(near);
        return;
    }
    peer_link_set_chained(near->link);
    peer_link_set_owner(near->link, carrier);
}

static struct peer_link *accept(struct sim_carrier *carrier)
{
    struct world *world = carrier->world;
    struct node *far = carrier->ends[1].node;
    unsigned worker = (unsigned)rng_below(&world->carrier_dice.rng, world->scenario.n_workers);

    return far->gates[worker] == NULL ? NULL : gate_accept(far->gates[worker]);
}

static bool take(struct sim_carrier *carrier, struct stream *stream)
{
    struct addr bound = {.ip = {192, 0, 2, 2}, .port = 4194, .family = ADDR_V4};
    struct carrier_end *far = &carrier->ends[1];
    struct peer_link *link = accept(carrier);
    struct peer_time time = node_time(far->node);

    if (link == NULL)
        return false;
    if (stream_answer(stream, 0, &bound) != ERR_NONE) {
        peer_link_ended(link, &time);
        return false;
    }
    *far = (struct carrier_end){.node = far->node,
                                .link = link,
                                .is_open = true,
                                .reset_us = NEVER,
                                .stream = stream,
                                .is_ready = true};
    peer_link_set_owner(link, carrier);
    return true;
}

static void incoming(struct world *world, struct stream *stream)
{
    const struct stream_request *request = stream_request(stream);
    unsigned number = 0;

    for (unsigned i = 3; i < request->target.name_bytes; i++)
        number = number * 10 + (unsigned)(request->target.name[i] - '0');
    struct sim_carrier *carrier = find(world, number);
    world_trace(world, "hop", number, carrier != NULL);
    bool is_wanted = carrier != NULL && carrier->ends[0].is_open;
    /* It may have come before, in early records of a session that was begun anew since: a relay connects for each of them. */
    if (is_wanted && (carrier->ends[1].is_open || carrier->ends[1].stream != NULL))
        carrier = carrier_new(carrier->ends[0].node);
    if (is_wanted && take(carrier, stream))
        return;
    stream_reset(stream, STREAM_RESET_APPLICATION);
    stream_release(stream);
}

/* ---- what their sessions tell ---- */

static bool is_hop(const struct stream_request *request)
{
    return request->has_target && strncmp(request->target.name, "hop", 3) == 0;
}

bool chain_event(struct world *world, const struct session_event *event)
{
    unsigned end;

    if (event->kind == STREAM_INCOMING) {
        bool is_ours = is_hop(stream_request(event->stream));
        if (is_ours)
            incoming(world, event->stream);
        return is_ours;
    }
    struct sim_carrier *carrier = find_of(world, event->stream, &end);
    if (carrier == NULL)
        return false;
    struct carrier_end *at = &carrier->ends[end];
    at->is_ready = true;
    if (event->kind == STREAM_ANSWERED)
        answered(carrier);
    if (event->kind != STREAM_DEAD)
        return true;
    stream_release(at->stream);
    at->stream = NULL;
    if (at->is_dialling)
        fail(at);
    return true;
}

void chain_orphan(struct node *node)
{
    for (struct list *at = node->world->carriers.next; at != &node->world->carriers;
         at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        if (!carrier->is_chained)
            continue;
        const struct node *by = carrier->ends[0].node->via;
        for (unsigned end = 0; end < 2; end++) {
            struct carrier_end *lost = &carrier->ends[end];
            if (node != (end == 0 ? by : by->server) || lost->stream == NULL)
                continue;
            lost->stream = NULL;
            lost->is_ready = true;
            if (lost->is_dialling)
                fail(lost);
        }
    }
}

void chain_forget(struct world *world, const struct peer *peer)
{
    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        struct carrier_end *near = &carrier->ends[0];
        if (carrier->by == peer)
            carrier->by = NULL;
        if (near->peer != peer)
            continue;
        near->peer = NULL;
        if (near->is_dialling)
            near->is_dialling = near->is_open = false;
    }
}

void chain_sweep(struct world *world)
{
    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        for (unsigned end = 0; end < 2; end++)
            if (!carrier->ends[end].is_open)
                chain_abort(&carrier->ends[end], false);
    }
}

/* ---- as a carrier ---- */

size_t chain_write(struct carrier_end *at, const uint8_t *bytes, size_t n)
{
    size_t taken = 0;
    enum err err = at->stream == NULL ? ERR_RESET : stream_write(at->stream, bytes, n, &taken);

    if (err == ERR_MEMORY)
        at->retry_us = at->node->world->now_us + 20 * MS;
    return taken;
}

enum carrier_read chain_read(struct carrier_end *at, uint8_t *bytes, size_t cap, size_t *n)
{
    const uint8_t *lent;
    size_t n_lent = 0;
    enum err err = at->stream == NULL ? ERR_RESET : stream_peek(at->stream, &lent, &n_lent);

    *n = 0;
    if (err == ERR_AGAIN) {
        at->is_ready = false;
        return CARRIER_NOTHING;
    }
    if (err != ERR_NONE)
        return err == ERR_EOF ? CARRIER_FIN : CARRIER_RESET;
    *n = n_lent < cap ? n_lent : cap;
    memcpy(bytes, lent, *n);
    stream_consume(at->stream, *n);
    return CARRIER_BYTES;
}

void chain_shut(struct carrier_end *at)
{
    if (at->stream != NULL)
        stream_finish(at->stream);
}

void chain_abort(struct carrier_end *at, bool by_reset)
{
    if (at->stream == NULL)
        return;
    if (by_reset)
        stream_reset(at->stream, STREAM_RESET_APPLICATION);
    stream_release(at->stream);
    at->stream = NULL;
}

uint64_t chain_next_us(const struct carrier_end *at)
{
    return at->is_ready && !at->is_dialling ? 0 : at->retry_us == 0 ? NEVER : at->retry_us;
}

/* ---- standing still ---- */

/* Whether streams of the session that carries it move. */
static bool is_moving(const struct sim_carrier *carrier)
{
    return carrier->by != NULL && peer_is_moving(carrier->by) && !carrier->by->near.is_suspended;
}

static void review(const struct node *near, struct peer *peer)
{
    const struct world *world = near->world;
    struct peer_time time = node_time(near);
    bool any = false, any_moves = false;

    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next) {
        const struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        if (carrier->ends[0].peer != peer || !carrier->ends[0].is_open)
            continue;
        any = true;
        any_moves |= is_moving(carrier);
    }
    peer_suspend(peer, any && !any_moves, &time);
}

void chain_review(const struct node *near)
{
    for (size_t i = 0; i < near->n_peers; i++)
        review(near, near->peers[i]);
}
