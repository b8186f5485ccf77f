#include "world.h"

#include <stdarg.h>
#include <string.h>

#include "crypto/crypto.h"

#define N_SALTS 8192
#define MAX_STEPS_NOW 200000
#define MAX_HELD_BYTES ((size_t)96 << 20)

void world_fail(struct world *world, const char *format, ...)
{
    va_list arguments;

    if (world->failure[0] != 0)
        return;
    va_start(arguments, format);
    vsnprintf(world->failure, sizeof world->failure, format, arguments);
    va_end(arguments);
}

static void mix(struct world *world, uint64_t value)
{
    world->trace = (world->trace ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    world->trace ^= world->trace >> 31;
}

void world_trace(struct world *world, const char *what, uint64_t a, uint64_t b)
{
    mix(world, world->now_us);
    for (const char *at = what; *at != 0; at++)
        mix(world, (uint8_t)*at);
    mix(world, a);
    mix(world, b);
    if (world->is_loud)
        printf("%12.6f %s %llu %llu\n", (double)(world->now_us - BEGIN_US) / 1e6, what,
               (unsigned long long)a, (unsigned long long)b);
}

bool world_is_healed(const struct world *world)
{
    return world->now_us >= world->scenario.heal_us;
}

/* ---- birth ---- */

static void init_node(struct world *world, struct node *node, unsigned number, bool is_near)
{
    struct rng *dice = &world->dice.rng;

    node->world = world;
    node->number = number;
    node->is_near = is_near;
    node->dice = seeded_with(rng_u64(dice));
    rng_fill(&node->dice.rng, node->instance, sizeof node->instance);
    node->boot_us = rng_below(dice, BEGIN_US);
    if (world->scenario.knobs[KNOB_CLOCKS])
        node->clock_ms = (int64_t)rng_below(dice, 7200000) - 3600000;
}

static void init_pair(struct world *world, struct node *near, unsigned number, struct node *far,
                      struct node *via)
{
    init_node(world, near, number, true);
    near->server = far;
    near->via = via;
}

static void init_nodes(struct world *world)
{
    const struct scenario *scenario = &world->scenario;
    struct node *via = &world->nears[0];

    init_node(world, &world->far, 0, false);
    for (unsigned i = 0; i < scenario->n_nears; i++)
        init_pair(world, &world->nears[i], 1 + i, &world->far, NULL);
    for (unsigned i = 0; i < scenario->n_deep; i++) {
        struct node *hop = world->hops[i];
        init_node(world, &hop[1], 4 + 2 * i, false);
        init_pair(world, &hop[0], 3 + 2 * i, &hop[1], via);
        via = &hop[0];
    }
    for (unsigned i = scenario->n_deep; i-- > 0;)
        for (unsigned k = 0; k < 2; k++)
            world->nodes[world->n_nodes++] = &world->hops[i][k];
    for (unsigned i = 0; i < scenario->n_nears; i++)
        world->nodes[world->n_nodes++] = &world->nears[i];
    world->nodes[world->n_nodes++] = &world->far;
}

struct node *world_near_of(struct world *world, const struct app *app)
{
    unsigned n = world->scenario.n_deep;
    size_t near = (size_t)app->key % world->scenario.n_nears;
    return near == 0 && n > 0 ? &world->hops[n - 1][0] : &world->nears[near];
}

static void init_keys(struct world *world)
{
    uint8_t bytes[32], binding[32] = {1};
    bool is_taken_up;
    size_t n_bytes = replay_set_bytes(N_SALTS);
    static const size_t sizes[] = {16, 24, 32};

    rng_fill(&world->dice.rng, bytes, sizeof bytes);
    link_key_init(&world->key, bytes, sizes[rng_below(&world->dice.rng, 3)]);
    world->replay_memory = sim_alloc(n_bytes);
    world->replays = replay_set_open(world->replay_memory, n_bytes, binding, 0, &is_taken_up);
    for (unsigned i = 0; i < 2 && world->scenario.knobs[KNOB_IDENTITY]; i++)
        if (sign_key_generate(&world->identities[i], SIGN_ED25519, 0, &world->dice.rng) != ERR_NONE)
            world_fail(world, "no key pair could be made");
    if (world->scenario.knobs[KNOB_IDENTITY])
        world->accepted[0] = sign_key_public(world->identities[0]);
}

void world_init(struct world *world, const struct scenario *scenario)
{
    memset(world, 0, sizeof *world);
    world->scenario = *scenario;
    world->now_us = BEGIN_US;
    world->dice = seeded_with(scenario->seed * 8 + 3);
    world->carrier_dice = seeded_with(scenario->seed * 8 + 4);
    world->memory_dice = seeded_with(scenario->seed * 8 + 5);
    list_init(&world->carriers);
    list_init(&world->app_ends);
    list_init(&world->done_ends);
    memory_begin(world);
    if (crypto_load() != ERR_NONE)
        world_fail(world, "no libcrypto");
    world->user_dice = seeded_with(scenario->seed * 8 + 7);
    world->turn_us = NEVER;
    init_keys(world);
    if (scenario->knobs[KNOB_USERS])
        users_init(world);
    init_nodes(world);
}

static void draw_restart(struct world *world, struct node *node)
{
    node->restart_us =
        BEGIN_US + 1 + rng_below(&node->dice.rng, world->scenario.heal_us - BEGIN_US);
}

void world_add_apps(struct world *world, size_t n)
{
    world->n_apps = n;
    world->apps = sim_alloc(n * sizeof *world->apps);
    for (size_t i = 0; i < n; i++)
        world->apps[i] = (struct app){.key = i, .open_us = BEGIN_US};
}

void world_start(struct world *world)
{
    for (size_t i = 0; i < world->n_apps; i++)
        queue_put(&world->openings, &world->apps[i].opening, world->apps[i].open_us);
    for (unsigned i = world->n_nodes; i-- > 0;)
        node_start(world->nodes[i]);
}

void world_populate(struct world *world)
{
    struct scenario *scenario = &world->scenario;
    struct seeded app_dice = seeded_with(scenario->seed * 8 + 6);

    world_add_apps(world, (size_t)scenario->n_streams * scenario->n_nears);
    for (size_t i = 0; i < world->n_apps; i++) {
        app_draw(&world->apps[i], scenario, &app_dice, i);
        world->apps[i].open_us += BEGIN_US;
        if (world->apps[i].open_us > scenario->heal_us)
            world->apps[i].open_us = scenario->heal_us;
    }
    world_start(world);
    if (scenario->knobs[KNOB_FAR_RESTARTS])
        draw_restart(world, &world->far);
    if (scenario->knobs[KNOB_NEAR_RESTARTS])
        draw_restart(world, &world->nears[0]);
    for (unsigned i = 0; i < world->n_nodes; i++)
        drain_draw(world->nodes[i]);
}

static void free_ends(struct list *ends)
{
    for (struct list *at = ends->next, *next; at != ends; at = next) {
        next = at->next;
        list_remove(at);
        sim_free(CONTAINER_OF(at, struct app_end, in_world));
    }
}

static void free_carriers(struct world *world, bool all)
{
    for (struct list *at = world->carriers.next, *next; at != &world->carriers; at = next) {
        next = at->next;
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        if (all || (!carrier->ends[0].is_open && !carrier->ends[1].is_open))
            carrier_free(carrier);
    }
}

void world_free(struct world *world)
{
    memory_fail_one_of(0);
    for (unsigned i = 0; i < world->n_nodes; i++) {
        node_stop(world->nodes[i]);
        sim_free(world->nodes[i]->peers);
    }
    free_ends(&world->done_ends);
    free_ends(&world->app_ends);
    queue_deinit(&world->ends);
    queue_deinit(&world->openings);
    free_carriers(world, true);
    for (unsigned i = 0; i < 2; i++)
        sign_key_free(world->identities[i]);
    users_free(world);
    sim_free(world->replay_memory);
    sim_free(world->apps);
    memory_end();
}

/* ---- what must hold after every step ---- */

static void check_peer(struct world *world, struct peer *peer)
{
    struct session_stats stats;

    session_stats(peer_session(peer), &stats);
    if (stats.n_granted_bytes > world->scenario.window_bytes)
        world_fail(world, "%llu bytes of credit are granted",
                   (unsigned long long)stats.n_granted_bytes);
}

static void check(struct world *world)
{
    size_t held = memory_held();

    if (held > world->max_held)
        world->max_held = held;
    if (held > MAX_HELD_BYTES)
        world_fail(world, "%zu bytes are held", held);
    for (unsigned i = 0; i < world->n_nodes; i++) {
        const struct node *node = world->nodes[i];
        for (size_t k = 0; k < node->n_peers; k++)
            check_peer(world, node->peers[k]);
    }
    if (world->n_steps_now > MAX_STEPS_NOW)
        world_fail(world, "time stands still");
}

/* ---- the clock ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t world_next_us(const struct world *world)
{
    uint64_t next = world->turn_us;

    for (unsigned i = 0; i < world->n_nodes; i++)
        next = sooner(next, node_next_us(world->nodes[i]));
    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next)
        next = sooner(next, carrier_next_us(CONTAINER_OF(at, struct sim_carrier, in_world)));
    return sooner(next, sooner(queue_next_us(&world->ends), queue_next_us(&world->openings)));
}

static void heal(struct world *world)
{
    memory_fail_one_of(0);
    for (unsigned i = 0; i < world->n_nodes; i++)
        world->nodes[i]->clock_ms = 0;
    world_trace(world, "healed", 0, 0);
}

/* Memory is short in every fourth second. */
static void set_memory(struct world *world)
{
    bool is_short = world->scenario.knobs[KNOB_MEMORY] && !world_is_healed(world) &&
                    world->now_us / SECOND % 4 == 1;
    memory_fail_one_of(is_short ? 20 : 0);
}

static void run_carriers(struct world *world)
{
    for (struct list *at = world->carriers.next, *next; at != &world->carriers; at = next) {
        next = at->next;
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        for (unsigned end = 0; end < 2; end++)
            if (carrier->ends[end].is_open && carrier_is_due(carrier, end))
                node_carrier(carrier->ends[end].node, carrier, end);
    }
}

static void run_apps(struct world *world)
{
    while (queue_next_us(&world->openings) <= world->now_us) {
        struct app *app = CONTAINER_OF(queue_first(&world->openings), struct app, opening);
        app_open(world, app, world_near_of(world, app));
    }
    while (queue_next_us(&world->ends) <= world->now_us)
        app_end_run(world, CONTAINER_OF(queue_first(&world->ends), struct app_end, due));
}

void world_settle(struct world *world)
{
    for (unsigned i = 0; i < world->n_nodes; i++)
        node_settle(world->nodes[i]);
    chain_sweep(world);
    for (unsigned i = 0; i < world->scenario.n_deep; i++)
        chain_review(&world->hops[i][0]);
}

bool world_step(struct world *world, uint64_t until_us)
{
    uint64_t next = world_next_us(world);
    bool was_healed = world_is_healed(world);

    if (!was_healed && next > world->scenario.heal_us)
        next = world->scenario.heal_us;
    if (next > until_us)
        return false;
    if (next > world->now_us) {
        world->now_us = next;
        world->n_steps_now = 0;
    }
    world->n_steps++;
    world->n_steps_now++;
    set_memory(world);
    if (!was_healed && world_is_healed(world))
        heal(world);
    users_run(world);
    run_carriers(world);
    for (unsigned i = 0; i < world->n_nodes; i++)
        node_run(world->nodes[i]);
    run_apps(world);
    world_settle(world);
    free_ends(&world->done_ends);
    free_carriers(world, false);
    check(world);
    return true;
}

/* ---- the end ---- */

/* Whether anything but the applications themselves may end a stream. What happens to a session whose streams are carriers ends none of
 * those that go through it. */
static bool may_lose_sessions(const struct world *world, const struct app *app)
{
    const bool *knobs = world->scenario.knobs;
    bool is_restarted = knobs[KNOB_FAR_RESTARTS] || knobs[KNOB_NEAR_RESTARTS];

    return (is_restarted &&
            (world->scenario.n_deep == 0 || app->key % world->scenario.n_nears > 0)) ||
           knobs[KNOB_MEMORY] || knobs[KNOB_EARLY] || knobs[KNOB_USERS] ||
           /* Until the client's signature has come nobody can join. */
           knobs[KNOB_IDENTITY];
}

/* Whether a node that drains has ended its session, as its time was up, or as it had nothing left: while this one was on its way to it, or
 * when it had no memory for this one. That this is why may be lost. */
static bool has_drained(const struct node *node, const struct app *app)
{
    bool is_over = app->has_arrived && app->why == STREAM_RESET_DRAIN &&
                   !node->world->scenario.knobs[KNOB_MEMORY];
    uint64_t from_us = is_over ? node->drain_end_us : node->drain_end_us - node->drain_s * SECOND;

    return node->drain_end_us != 0 && from_us <= app->over_us;
}

static bool was_drained(struct world *world, const struct app *app)
{
    const struct node *near = world_near_of(world, app);

    return (app->why == STREAM_RESET_DRAIN || app->why == STREAM_RESET_LOST) &&
           (has_drained(near, app) || has_drained(near->server, app));
}

static bool has_reason(struct world *world, const struct app *app)
{
    if (app->was_reset[0] || app->was_reset[1] || app->why & 0x80)
        return true;
    if (app->why == STREAM_RESET_LIMIT && world->scenario.knobs[KNOB_MEMORY])
        return true;
    return (may_lose_sessions(world, app) && app->why == STREAM_RESET_LOST) ||
           was_drained(world, app);
}

static void judge(struct world *world, const struct app *app)
{
    unsigned long long key = app->key;

    if (!app->is_over)
        world_fail(world, "app %llu has not come to an end", key);
    else if (app->completed)
        world->n_completed++;
    else if (has_reason(world, app))
        world->n_reset++;
    else
        world_fail(world, "app %llu was ended without a reason (%u)", key, app->why);
}

static bool is_over(const struct world *world)
{
    return world->n_apps_over == world->n_apps &&
           list_empty(&((struct world *)(uintptr_t)world)->app_ends);
}

bool world_run(struct world *world)
{
    while (world->failure[0] == 0 && !(world_is_healed(world) && is_over(world)) &&
           world_step(world, world->scenario.end_us))
        ;
    for (size_t i = 0; i < world->n_apps; i++)
        judge(world, &world->apps[i]);
    if (!list_empty(&world->app_ends))
        world_fail(world, "an end of a stream at the far end is left");
    return world->failure[0] == 0;
}
