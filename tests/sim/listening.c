/*
 * Listeners: each near node has one at the far node, in each session that it begins, and some apps are opened through it from
 * there. A session that a peer begins anew ends the one that he had before, as the program does (tunnel/claims.h). By
 * KNOB_LISTENERS, until faults end, all want the same port, which one of them has; the far node refuses it, or takes it back, now and
 * then; and near nodes do without it for a while.
 */
#include <string.h>

#include "world.h"

#define ASKS_AGAIN_US SECOND

static bool is_contested(const struct world *world)
{
    return world->scenario.knobs[KNOB_LISTENERS] && !world_is_healed(world);
}

/* It says who asks, and of each port there is one listener. */
static struct addr address_of(const struct node *near)
{
    unsigned port = is_contested(near->world) ? 1 : 1 + near->number;
    return (struct addr){.family = ADDR_V4, .ip = {(uint8_t)near->number}, .port = (uint16_t)port};
}

/* The last that it has asked for; NULL: there is none. */
static const struct sim_listener *listener_of(const struct node *far, const struct node *near)
{
    for (size_t i = far->n_listeners; i-- > 0;)
        if (far->listeners[i].near == near->number)
            return &far->listeners[i];
    return NULL;
}

bool listening_is_for(const struct node *near)
{
    const struct world *world = near->world;

    return world->scenario.knobs[KNOB_REVERSE] && near->server == &world->far;
}

void listening_begin(struct node *near)
{
    near->listener = 0;
    near->listen_us = listening_is_for(near) ? near->world->now_us : NEVER;
}

uint64_t listening_next_us(const struct node *near)
{
    return near->peer == NULL ? NEVER : near->listen_us;
}

void listening_turn(struct node *near)
{
    struct world *world = near->world;
    const struct addr at = address_of(near);

    if (listening_next_us(near) > world->now_us)
        return;
    struct session *session = peer_session(near->peer);
    if (near->listener == 0) {
        enum err err = session_listen(session, &at, &near->listener);
        near->listen_us = err == ERR_NONE ? NEVER : world->now_us + 100 * MS;
        return;
    }
    near->listen_us = NEVER;
    if (!is_contested(world))
        return;
    world_trace(world, "unlisten", near->number, near->listener);
    session_unlisten(session, near->listener);
    near->listener = 0;
    near->listen_us = world->now_us + rng_below(&near->dice.rng, 2 * SECOND);
}

bool listening_wants(const struct node *near, const struct peer *peer, uint64_t number)
{
    return peer != near->peer || number == near->listener;
}

/* ---- at the far node ---- */

static bool are_same(struct peer *a, struct peer *b)
{
    uint8_t who[PEER_WHO_BYTES], other[PEER_WHO_BYTES];

    peer_who(a, who);
    peer_who(b, other);
    return memcmp(who, other, sizeof who) == 0;
}

static void forget_at(struct node *far, size_t i)
{
    memmove(far->listeners + i, far->listeners + i + 1,
            (--far->n_listeners - i) * sizeof far->listeners[0]);
}

static void take_back(struct node *far, size_t i, enum listener_code code)
{
    static const struct addr nowhere = {.family = ADDR_NONE};
    const struct sim_listener *listener = &far->listeners[i];

    world_trace(far->world, "taken back", listener->near, listener->number);
    session_listening(peer_session(listener->peer), listener->number, code, &nowhere);
    forget_at(far, i);
}

/* Whether that peer may have the port, which another loses by that. */
static enum listener_code give(struct node *far, struct peer *peer, uint16_t port)
{
    if (drain_has(peer))
        return LISTENER_FAILED;
    if (is_contested(far->world) && rng_below(&far->dice.rng, 4) == 0)
        return LISTENER_DENIED;
    for (size_t i = 0; i < far->n_listeners; i++) {
        struct peer *other = far->listeners[i].peer;
        if (far->listeners[i].port != port)
            continue;
        if (other == peer || (peer_is_linked(other) && !are_same(other, peer)))
            return LISTENER_IN_USE;
        take_back(far, i, LISTENER_IN_USE);
        break;
    }
    return LISTENER_BOUND;
}

static void on_listen(struct node *far, struct peer *peer, const struct session_event *event)
{
    unsigned near = event->addr.ip[0];

    world_trace(far->world, "listen", near, event->listener);
    if (near >= SIM_MAX_NODES || far->n_listeners == SIM_MAX_LISTENERS) {
        world_fail(far->world, "a listener that nobody has asked for");
        return;
    }
    enum listener_code code = give(far, peer, event->addr.port);
    if (code == LISTENER_BOUND)
        far->listeners[far->n_listeners++] = (struct sim_listener){
            .peer = peer, .near = near, .port = event->addr.port, .number = event->listener};
    session_listening(peer_session(peer), event->listener, code, &event->addr);
}

static void on_unlisten(struct node *far, const struct peer *peer, uint64_t number)
{
    for (size_t i = 0; i < far->n_listeners; i++)
        if (far->listeners[i].peer == peer && far->listeners[i].number == number) {
            forget_at(far, i);
            return;
        }
    if (!drain_has(peer))
        world_fail(far->world, "a listener that is not there is not wanted any more");
}

static void on_listening(struct node *near, const struct peer *peer,
                         const struct session_event *event)
{
    struct world *world = near->world;
    uint64_t now_us = world->now_us;

    world_trace(world, "listening", event->listener, event->code);
    if (peer != near->peer)
        return;
    if (event->listener != near->listener)
        world_fail(world, "an answer about a listener that is not wanted");
    if (event->code != LISTENER_BOUND) {
        if (!world->scenario.knobs[KNOB_LISTENERS] && near->drain_end_us == 0 &&
            near->server->drain_end_us == 0)
            world_fail(world, "a listener was refused, which nobody does");
        near->listener = 0;
        near->listen_us = now_us + ASKS_AGAIN_US;
    } else if (is_contested(world) && rng_below(&near->dice.rng, 2) == 0) {
        near->listen_us = now_us + rng_below(&near->dice.rng, 5 * SECOND);
    }
}

void listening_event(struct node *node, struct peer *peer, const struct session_event *event)
{
    if (event->kind == SESSION_LISTEN)
        on_listen(node, peer, event);
    else if (event->kind == SESSION_UNLISTEN)
        on_unlisten(node, peer, event->listener);
    else
        on_listening(node, peer, event);
}

void listening_begun(struct node *far, struct peer *peer)
{
    struct peer_time time = node_time(far);

    /* The client may stay with a session that has begun before. */
    if (drain_has(peer))
        return;
    for (size_t i = 0; i < far->n_peers; i++)
        /* One that drains has been replaced by its client's own will. */
        if (far->peers[i] != peer && !drain_has(far->peers[i]) && are_same(far->peers[i], peer))
            peer_end(far->peers[i], 2, &time);
}

void listening_forget(struct node *far, const struct peer *peer)
{
    for (size_t i = far->n_listeners; i-- > 0;)
        if (far->listeners[i].peer == peer)
            forget_at(far, i);
}

enum err listening_open(struct node *near, const struct stream_request *asked,
                        struct stream **stream)
{
    struct node *far = near->server;
    const struct sim_listener *listener = listener_of(far, near);
    struct stream_request request = *asked;

    if (listener == NULL)
        return ERR_EOF;
    if (is_contested(far->world) && rng_below(&far->dice.rng, 8) == 0) {
        take_back(far, (size_t)(listener - far->listeners), LISTENER_DENIED);
        return ERR_EOF;
    }
    request.kind = STREAM_ACCEPTED;
    request.of = listener->number;
    return session_open(peer_session(listener->peer), &request, stream);
}
