/*
 * Listeners: each near node has one at the far node, in each session that it begins, and some apps are opened through it from
 * there. A session that a peer begins anew ends the one that he had before, as the program does (tunnel/claims.h).
 */
#include <string.h>

#include "world.h"

static struct addr address_of(const struct node *near)
{
    return (struct addr){.family = ADDR_V4, .port = (uint16_t)(1 + near->number)};
}

static struct sim_listener *listener_of(struct node *far, const struct node *near)
{
    return &far->listeners[near->number];
}

bool listening_is_for(const struct node *near)
{
    const struct world *world = near->world;

    return world->scenario.knobs[KNOB_REVERSE] && near->server == &world->far;
}

void listening_begin(struct node *near)
{
    near->wants_listener = listening_is_for(near);
}

void listening_ask(struct node *near)
{
    const struct addr at = address_of(near);
    uint64_t number;

    if (near->wants_listener && near->peer != NULL &&
        session_listen(peer_session(near->peer), LISTENER_CONNECTIONS, &at, &number) == ERR_NONE)
        near->wants_listener = false;
}

static void on_listen(struct node *far, struct peer *peer, const struct session_event *event)
{
    unsigned near = event->addr.port - 1U;

    world_trace(far->world, "listen", near, event->listener);
    if (near >= SIM_MAX_NODES) {
        world_fail(far->world, "a listener that nobody has asked for");
        return;
    }
    far->listeners[near] = (struct sim_listener){.peer = peer, .number = event->listener};
    session_listening(peer_session(peer), event->listener, LISTENER_BOUND, &event->addr);
}

void listening_event(struct node *node, struct peer *peer, const struct session_event *event)
{
    if (event->kind == SESSION_LISTEN)
        on_listen(node, peer, event);
    else if (event->kind == SESSION_LISTENING && event->code != LISTENER_BOUND)
        world_fail(node->world, "a listener was refused, which nobody does");
    else if (event->kind == SESSION_UNLISTEN)
        world_fail(node->world, "a listener is not wanted any more, which nobody says");
}

void listening_begun(struct node *far, struct peer *peer)
{
    uint8_t who[PEER_WHO_BYTES], other[PEER_WHO_BYTES];
    struct peer_time time = node_time(far);

    peer_who(peer, who);
    for (size_t i = 0; i < far->n_peers; i++) {
        peer_who(far->peers[i], other);
        if (far->peers[i] != peer && memcmp(who, other, sizeof who) == 0)
            peer_end(far->peers[i], 2, &time);
    }
}

void listening_forget(struct node *far, const struct peer *peer)
{
    for (unsigned i = 0; i < SIM_MAX_NODES; i++)
        if (far->listeners[i].peer == peer || peer == NULL)
            far->listeners[i].peer = NULL;
}

enum err listening_open(struct node *near, const struct stream_request *asked,
                        struct stream **stream)
{
    const struct sim_listener *listener = listener_of(near->server, near);
    struct stream_request request = *asked;

    if (listener->peer == NULL)
        return ERR_EOF;
    request.kind = STREAM_ACCEPTED;
    request.of = listener->number;
    return session_open(peer_session(listener->peer), &request, stream);
}
