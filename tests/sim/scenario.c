#include "world.h"

#include <string.h>

const char *const knob_names[N_KNOBS] = {
    [KNOB_RESETS] = "resets",
    [KNOB_FREEZES] = "freezes",
    [KNOB_LATE] = "late",
    [KNOB_DIALS] = "dials",
    [KNOB_FAR_RESTARTS] = "far-restarts",
    [KNOB_NEAR_RESTARTS] = "near-restarts",
    [KNOB_CLOCKS] = "clocks",
    [KNOB_MEMORY] = "memory",
    [KNOB_TINY] = "tiny",
    [KNOB_SLOW] = "slow",
    [KNOB_APP_RESETS] = "app-resets",
    [KNOB_SLUGGISH] = "sluggish",
    [KNOB_REFUSALS] = "refusals",
    [KNOB_WORKERS] = "workers",
    [KNOB_NEARS] = "nears",
    [KNOB_IDENTITY] = "identity",
    [KNOB_EARLY] = "early",
    [KNOB_THOUSANDS] = "thousands",
    [KNOB_LINKS] = "links",
    [KNOB_HANDOVER] = "handover",
    [KNOB_DISTRIBUTED] = "distributed",
    [KNOB_CHAINS] = "chains",
    [KNOB_DATAGRAMS] = "datagrams",
    [KNOB_REVERSE] = "reverse",
    [KNOB_USERS] = "users",
    [KNOB_DRAIN] = "drain",
    [KNOB_LISTENERS] = "listeners",
};

/* One seed in so many has it. */
static const unsigned rarity[N_KNOBS] = {
    [KNOB_RESETS] = 2,       [KNOB_FREEZES] = 3,       [KNOB_LATE] = 4,       [KNOB_DIALS] = 3,
    [KNOB_FAR_RESTARTS] = 5, [KNOB_NEAR_RESTARTS] = 6, [KNOB_CLOCKS] = 6,     [KNOB_MEMORY] = 6,
    [KNOB_TINY] = 8,         [KNOB_SLOW] = 3,          [KNOB_APP_RESETS] = 3, [KNOB_SLUGGISH] = 3,
    [KNOB_REFUSALS] = 4,     [KNOB_WORKERS] = 3,       [KNOB_NEARS] = 5,      [KNOB_IDENTITY] = 5,
    [KNOB_EARLY] = 5,        [KNOB_THOUSANDS] = 100,   [KNOB_LINKS] = 3,      [KNOB_HANDOVER] = 5,
    [KNOB_DISTRIBUTED] = 6,  [KNOB_CHAINS] = 10,       [KNOB_DATAGRAMS] = 4,  [KNOB_REVERSE] = 4,
    [KNOB_USERS] = 6,        [KNOB_DRAIN] = 5,         [KNOB_LISTENERS] = 2,
};

static void draw_links(struct scenario *scenario, struct rng *rng)
{
    uint64_t us = 20 * MS << rng_below(rng, 8),
             bytes = (uint64_t)NEAR_MIN_AFTER_BYTES << rng_below(rng, 5);
    unsigned n = 2 + (unsigned)rng_below(rng, 4);
    uint64_t how = rng_below(rng, 3);

    scenario->n_links = scenario->knobs[KNOB_LINKS] ? n : 1;
    if (scenario->knobs[KNOB_HANDOVER] && how != 0)
        scenario->every = (struct near_range){us, 2 * us};
    if (scenario->knobs[KNOB_HANDOVER] && how != 1)
        scenario->after = (struct near_range){bytes, 2 * bytes};
}

void scenario_draw(struct scenario *scenario, uint64_t seed, const bool allowed[N_KNOBS])
{
    struct seeded dice = seeded_with(seed * 2 + 1);
    struct rng *rng = &dice.rng;

    memset(scenario, 0, sizeof *scenario);
    scenario->seed = seed;
    for (unsigned i = 0; i < N_KNOBS; i++) {
        bool is_drawn = rng_below(rng, rarity[i]) == 0;
        scenario->knobs[i] = is_drawn && allowed[i];
    }
    scenario->n_streams = 1 + (unsigned)rng_below(rng, 1 + rng_below(rng, 16));
    scenario->max_bytes = (size_t)1 << (4 + rng_below(rng, 14));
    if (rng_below(rng, 30) == 0)
        scenario->max_bytes = 1 << 20;
    if (scenario->knobs[KNOB_THOUSANDS]) {
        /* A handshake for each stream, or every few kilobytes, is what a seed costs most by. */
        bool has_many_links = scenario->knobs[KNOB_DISTRIBUTED] || scenario->knobs[KNOB_HANDOVER] ||
                              scenario->knobs[KNOB_CHAINS];
        scenario->n_streams = 200 + (unsigned)rng_below(rng, has_many_links ? 100 : 2000);
        scenario->max_bytes = 300;
    }
    if (scenario->knobs[KNOB_TINY] && scenario->max_bytes > 3000)
        scenario->max_bytes = 3000;
    scenario->n_nears = scenario->knobs[KNOB_NEARS] ? 2 : 1;
    scenario->n_workers = scenario->knobs[KNOB_WORKERS] ? FAR_MAX_WORKERS : 1;
    scenario->signs_apart = rng_below(rng, 2) == 0;
    scenario->early = (enum gate_early)rng_below(rng, GATE_EARLY_FULL + 1);
    draw_links(scenario, rng);
    unsigned n_deep = 1 + (unsigned)rng_below(rng, CHAIN_MAX_DEEP);
    scenario->n_deep = scenario->knobs[KNOB_CHAINS] ? n_deep : 0;
    scenario->window_bytes = 4 << 20;
    scenario->stream_window_bytes = 1 << 20;
    scenario->heal_us = BEGIN_US + 2 * SECOND + rng_below(rng, 38 * SECOND);
    scenario->end_us = scenario->heal_us + 600 * SECOND;
}
