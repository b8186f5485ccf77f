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
    near->wants_listener = listening_is_for(near);
}

void listening_ask(struct node *near)
{
    const struct addr at = address_of(near);
    uint64_t number;

    if (near->wants_listener && near->peer != NULL &&
        session_listen(peer_session(near->peer), &at, &number) == ERR_NONE)
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
    if (drain_has(peer)) {
        session_listening(peer_session(peer), event->listener, LISTENER_FAILED, &event->addr);
        return;
    }
    if (far->n_listeners == SIM_MAX_LISTENERS)
        memmove(far->listeners, far->listeners + 1, --far->n_listeners * sizeof far->listeners[0]);
    far->listeners[far->n_listeners++] =
        (struct sim_listener){.peer = peer, .near = near, .number = event->listener};
    session_listening(peer_session(peer), event->listener, LISTENER_BOUND, &event->addr);
}

void listening_event(struct node *node, struct peer *peer, const struct session_event *event)
{
    if (event->kind == SESSION_LISTEN)
        on_listen(node, peer, event);
    else if (event->kind == SESSION_LISTENING && event->code != LISTENER_BOUND &&
             node->drain_end_us == 0 && node->server->drain_end_us == 0)
        world_fail(node->world, "a listener was refused, which nobody does");
    else if (event->kind == SESSION_UNLISTEN)
        world_fail(node->world, "a listener is not wanted any more, which nobody says");
}

void listening_begun(struct node *far, struct peer *peer)
{
    uint8_t who[PEER_WHO_BYTES], other[PEER_WHO_BYTES];
    struct peer_time time = node_time(far);

    /* The client may stay with a session that has begun before. */
    if (drain_has(peer))
        return;
    peer_who(peer, who);
    for (size_t i = 0; i < far->n_peers; i++) {
        peer_who(far->peers[i], other);
        /* One that drains has been replaced by its client's own will. */
        if (far->peers[i] != peer && !drain_has(far->peers[i]) &&
            memcmp(who, other, sizeof who) == 0)
            peer_end(far->peers[i], 2, &time);
    }
}

void listening_forget(struct node *far, const struct peer *peer)
{
    size_t n = 0;

    for (size_t i = 0; i < far->n_listeners; i++)
        if (far->listeners[i].peer != peer)
            far->listeners[n++] = far->listeners[i];
    far->n_listeners = n;
}

enum err listening_open(struct node *near, const struct stream_request *asked,
                        struct stream **stream)
{
    const struct sim_listener *listener = listener_of(near->server, near);
    struct stream_request request = *asked;

    if (listener == NULL)
        return ERR_EOF;
    request.kind = STREAM_ACCEPTED;
    request.of = listener->number;
    return session_open(peer_session(listener->peer), &request, stream);
}
