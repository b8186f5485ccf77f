/*
 * Users of far ends: each near end is one of them. Now and then one is removed or comes back, and another key of the server's is tried
 * before the right one, or stands in its place for a while. Each roster is memory of its own, so that who keeps a user of an old one is found out.
 */
#include "world.h"

#include <string.h>

struct link_user {
    struct link_key key;
    unsigned node; /* which near end he is */
    bool is_there;
};

struct users {
    struct link_user all[N_USERS];
    struct link_key key, other; /* the server's */
    struct replay_set *replays;
    bool has_other, has_key;
};

static const struct link_key *find_user(const void *users, const uint8_t tag[static LINK_TAG_BYTES],
                                        const struct link_user **user)
{
    const struct users *roster = users;

    for (unsigned i = 0; i < N_USERS; i++) {
        const struct link_user *at = &roster->all[i];
        if (!at->is_there || memcmp(at->key.tag, tag, LINK_TAG_BYTES) != 0)
            continue;
        *user = at;
        return &at->key;
    }
    return NULL;
}

void users_init(struct world *world)
{
    static const size_t sizes[] = {16, 24, 32};
    struct rng *dice = &world->user_dice.rng;
    uint8_t bytes[32];
    struct users *users = sim_alloc(sizeof *users);

    for (unsigned i = 0; i < N_USERS; i++) {
        users->all[i] = (struct link_user){.node = i, .is_there = true};
        rng_fill(dice, bytes, sizeof bytes);
        link_key_init(&world->user_keys[i], bytes, sizes[rng_below(dice, 3)]);
        users->all[i].key = world->user_keys[i];
    }
    rng_fill(dice, bytes, sizeof bytes);
    link_key_init(&users->other, bytes, sizeof bytes);
    users->key = world->key;
    users->replays = world->replays;
    users->has_key = true;
    world->users = users;
    world->turn_us = BEGIN_US + rng_below(dice, 10 * SECOND);
}

const struct link_key *users_key(const struct node *near)
{
    const struct world *world = near->world;

    return world->users == NULL ? &world->key : &world->user_keys[near->number];
}

struct handshake_ground users_ground(const struct world *world)
{
    const struct users *users = world->users;
    struct handshake_ground ground = {.clock_skew_ms = 60000};

    if (users == NULL) {
        ground.servers[ground.n_servers++] = (struct handshake_server){&world->key, world->replays};
        return ground;
    }
    if (users->has_other)
        ground.servers[ground.n_servers++] =
            (struct handshake_server){&users->other, users->replays};
    if (users->has_key)
        ground.servers[ground.n_servers++] = (struct handshake_server){&users->key, users->replays};
    ground.find_user = find_user;
    ground.users = users;
    return ground;
}

/* As a reload does. */
static void turn_node(struct node *far)
{
    struct handshake_ground ground = users_ground(far->world);
    struct peer_time time = node_time(far);

    for (unsigned i = 0; i < FAR_MAX_WORKERS; i++)
        if (far->gates[i] != NULL)
            gate_turn(far->gates[i], &ground);
    for (size_t i = 0; i < far->n_peers; i++)
        if (!gate_knows(far->peers[i]))
            peer_end(far->peers[i], 2, &time);
}

static void change(struct world *world, struct users *users)
{
    struct rng *dice = &world->user_dice.rng;
    struct link_user *user = &users->all[1 + rng_below(dice, N_USERS - 1)];

    user->is_there = !user->is_there;
    users->has_other = rng_below(dice, 2) == 0;
    users->has_key = !users->has_other || rng_below(dice, 6) > 0;
    world->turn_us = world->now_us + 10 * MS + rng_below(dice, 8 * SECOND);
    world_trace(world, "users", user->node, user->is_there);
}

static void restore(struct world *world, struct users *users)
{
    for (unsigned i = 0; i < N_USERS; i++)
        users->all[i].is_there = true;
    users->has_key = true;
    world->turn_us = NEVER;
}

void users_run(struct world *world)
{
    if (world->users == NULL || world->turn_us == NEVER ||
        (world->turn_us > world->now_us && !world_is_healed(world)))
        return;
    struct users *before = world->users;
    world->users = sim_alloc(sizeof *before);
    *world->users = *before;
    if (world_is_healed(world))
        restore(world, world->users);
    else
        change(world, world->users);
    for (unsigned i = 0; i < world->n_nodes; i++)
        if (!world->nodes[i]->is_near)
            turn_node(world->nodes[i]);
    memset(before, 0xee, sizeof *before);
    sim_free(before);
}

void users_check(const struct peer *peer, struct world *world, const struct app *app)
{
    const struct link_user *user = gate_user_of(peer);
    const struct node *near = world_near_of(world, app);

    if (world->users == NULL)
        return;
    if (user == NULL || !user->is_there)
        world_fail(world, "a stream of a user's who is not there");
    else if (user->node != near->number)
        world_fail(world, "a stream of node %u's in a session of node %u's", near->number,
                   user->node);
}

void users_free(struct world *world)
{
    sim_free(world->users);
}
