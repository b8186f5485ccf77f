/*
 * Nodes that drain, as the program does (tunnel/host.c): at a drawn moment the sessions that are there take no more streams, and
 * end in so many seconds at the latest, or with their last stream. A near end opens what comes then in another session.
 *
 * Such a peer has an owner, its leave; the near end's is beside the one that it opens streams by.
 */
#include <string.h>

#include "world.h"

/* So long an idle session waits for what may be under way to it. */
#define WAIT_US SECOND

struct leave {
    bool is_going; /* it ends with its last stream; else that is for the other end to do */
    uint64_t end_us, wait_us;
};

void drain_draw(struct node *node)
{
    struct world *world = node->world;
    struct rng *dice = &node->dice.rng;

    if (!world->scenario.knobs[KNOB_DRAIN] || rng_below(dice, 2) == 0)
        return;
    node->drain_us = BEGIN_US + 1 + rng_below(dice, world->scenario.heal_us - BEGIN_US);
    node->drain_s = rng_below(dice, 2) == 0 ? rng_below(dice, 4) : rng_below(dice, 60);
}

bool drain_has(const struct peer *peer)
{
    return peer_owner(peer) != NULL;
}

void drain_forget(struct peer *peer)
{
    sim_free(peer_owner(peer));
    peer_set_owner(peer, NULL);
}

static struct leave *leave_of(struct peer *peer)
{
    struct leave *leave = peer_owner(peer);

    if (leave == NULL) {
        leave = sim_alloc(sizeof *leave);
        leave->end_us = NEVER;
        peer_set_owner(peer, leave);
    }
    return leave;
}

static void drain(struct node *node, struct peer *peer)
{
    struct peer_time time = node_time(node);
    struct leave *leave = leave_of(peer);

    leave->is_going = true;
    leave->end_us = node->drain_end_us;
    leave->wait_us = time.now_us + WAIT_US;
    peer_drain(peer, node->drain_s, &time);
    listening_forget(node, peer);
}

void drain_heard(struct node *node, struct peer *peer)
{
    leave_of(peer)->is_going |= node->is_near;
    if (node->peer == peer)
        node_renew(node);
    else
        listening_forget(node, peer);
}

void drain_run(struct node *node)
{
    struct peer_time time = node_time(node);

    if (node->drain_us != 0 && node->drain_us <= time.now_us) {
        world_trace(node->world, "drains", node->number, node->drain_s);
        node->drain_us = 0;
        node->drain_end_us = time.now_us + node->drain_s * SECOND;
        for (size_t i = 0; i < node->n_peers; i++)
            drain(node, node->peers[i]);
        /* As where its settings were changed, which gives it another name. */
        if (node->is_near) {
            rng_fill(&node->dice.rng, node->instance, sizeof node->instance);
            node_renew(node);
        }
    }
    for (size_t i = 0; i < node->n_peers; i++) {
        struct leave *leave = peer_owner(node->peers[i]);
        if (leave == NULL || leave->end_us > time.now_us)
            continue;
        leave->end_us = NEVER;
        peer_end(node->peers[i], 0, &time);
    }
}

uint64_t drain_next_us(const struct node *node)
{
    uint64_t next = node->drain_us == 0 ? NEVER : node->drain_us;

    for (size_t i = 0; i < node->n_peers; i++) {
        const struct leave *leave = peer_owner(node->peers[i]);
        if (leave == NULL)
            continue;
        next = leave->end_us < next ? leave->end_us : next;
        if (leave->wait_us > node->world->now_us && leave->wait_us < next)
            next = leave->wait_us;
    }
    return next;
}

void drain_review(const struct node *node, struct peer *peer)
{
    const struct leave *leave = peer_owner(peer);
    struct peer_time time = node_time(node);

    if (leave != NULL && leave->is_going && !peer_has_streams(peer) &&
        (leave->wait_us <= time.now_us || peer_drain_is_known(peer)))
        peer_end(peer, 0, &time);
}
