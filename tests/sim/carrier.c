#include "world.h"

#include <string.h>

/* ---- what becomes of one is drawn when it is made ---- */

static void draw_line(struct world *world, struct pipe_line *line, uint64_t latency_us)
{
    struct rng *dice = &world->carrier_dice.rng;
    bool is_slow = world->scenario.knobs[KNOB_SLOW] && !world_is_healed(world);

    *line = (struct pipe_line){
        .latency_us = latency_us,
        .ns_per_byte = is_slow ? 100 + rng_below(dice, 20000) : 8,
        .queue_bytes = is_slow ? 1 + (unsigned)rng_below(dice, 20000) : 65536,
        .frozen_from_us = NEVER,
        .frozen_until_us = NEVER,
        .cut_at = NEVER,
        .fin_us = NEVER,
    };
}

static void draw_reset(struct world *world, struct sim_carrier *carrier)
{
    struct rng *dice = &world->carrier_dice.rng;
    struct pipe_line *line = &carrier->lines[rng_below(dice, 2)];

    if (rng_below(dice, 2) == 0)
        line->cut_at = rng_below(dice, UINT64_C(1) << rng_below(dice, 18)) + 1;
    else
        carrier->ends[0].reset_us = carrier->ends[1].reset_us =
            world->now_us + rng_below(dice, 3 * SECOND);
}

static void draw_freeze(struct world *world, struct sim_carrier *carrier)
{
    struct rng *dice = &world->carrier_dice.rng;
    uint64_t from = world->now_us + rng_below(dice, 2 * SECOND);
    uint64_t until = rng_below(dice, 2) == 0 ? NEVER : from + rng_below(dice, 20 * SECOND);
    uint64_t which = rng_below(dice, 3);

    for (unsigned i = 0; i < 2; i++) {
        if (which == i)
            continue;
        carrier->lines[i].frozen_from_us = from;
        carrier->lines[i].frozen_until_us = until;
    }
}

static void draw_fate(struct world *world, struct sim_carrier *carrier)
{
    struct rng *dice = &world->carrier_dice.rng;
    const struct scenario *scenario = &world->scenario;
    uint64_t number = rng_below(dice, 6);

    if (world_is_healed(world))
        return;
    if (scenario->knobs[KNOB_RESETS] && number < 3)
        draw_reset(world, carrier);
    if (scenario->knobs[KNOB_FREEZES] && number == 4)
        draw_freeze(world, carrier);
    /* One end sees its end, the other when it is much later. */
    if (scenario->knobs[KNOB_LATE] && number < 2) {
        unsigned end = (unsigned)rng_below(dice, 2);
        uint64_t at = world->now_us + rng_below(dice, 3 * SECOND);
        carrier->ends[end].reset_us = at;
        carrier->ends[1 - end].reset_us =
            rng_below(dice, 2) == 0 ? NEVER : at + rng_below(dice, 30 * SECOND);
        for (unsigned i = 0; i < 2; i++)
            carrier->lines[i].frozen_from_us = at;
    }
}

/* As a test says. */
static void plan_line(struct world *world, struct sim_carrier *carrier)
{
    const struct scenario *scenario = &world->scenario;

    for (unsigned i = 0; i < 2; i++) {
        carrier->lines[i].latency_us = scenario->latency_us;
        carrier->lines[i].ns_per_byte = scenario->ns_per_byte;
    }
    if (carrier->number == 0 && scenario->cut_at > 0)
        carrier->lines[scenario->cut_line].cut_at = scenario->cut_at;
}

/* TCP gives up at last what gets no answer: by its keepalive, or by sending again in vain. */
static void bound_silence(struct world *world, struct sim_carrier *carrier)
{
    for (unsigned end = 0; end < 2; end++)
        for (unsigned i = 0; i < 2; i++) {
            const struct pipe_line *line = &carrier->lines[i];
            uint64_t *reset_us = &carrier->ends[end].reset_us;
            if (line->frozen_from_us != NEVER && line->frozen_until_us == NEVER &&
                *reset_us == NEVER)
                *reset_us =
                    world->now_us + 150 * SECOND + rng_below(&world->carrier_dice.rng, SECOND);
        }
}

struct sim_carrier *carrier_open(struct world *world, struct node *near, struct node *far)
{
    struct sim_carrier *carrier = sim_alloc(sizeof *carrier);
    uint64_t latency_us = MS + rng_below(&world->carrier_dice.rng, 100 * MS);

    carrier->world = world;
    carrier->number = world->n_carriers++;
    carrier->ends[0] = (struct carrier_end){.node = near, .is_open = true, .reset_us = NEVER};
    carrier->ends[1] = (struct carrier_end){.node = far, .is_open = true, .reset_us = NEVER};
    for (unsigned i = 0; i < 2; i++)
        draw_line(world, &carrier->lines[i], latency_us);
    if (world->scenario.latency_us == 0)
        draw_fate(world, carrier);
    else
        plan_line(world, carrier);
    bound_silence(world, carrier);
    list_append(&world->carriers, &carrier->in_world);
    return carrier;
}

void carrier_free(struct sim_carrier *carrier)
{
    for (unsigned i = 0; i < 2; i++)
        for (struct segment *at = carrier->lines[i].first, *next; at != NULL; at = next) {
            next = at->next;
            sim_free(at);
        }
    list_remove(&carrier->in_world);
    sim_free(carrier);
}

/* ---- bytes ---- */

static bool is_reset(const struct sim_carrier *carrier, unsigned end)
{
    return carrier->ends[end].reset_us <= carrier->world->now_us;
}

/* What waits in the sender's buffer for the line. */
static size_t queued(const struct sim_carrier *carrier, unsigned end)
{
    const struct pipe_line *line = &carrier->lines[end];
    uint64_t now = carrier->world->now_us;

    return line->free_us <= now ? 0 : (size_t)((line->free_us - now) * 1000 / line->ns_per_byte);
}

/* When what arrives then does arrive: not while it is frozen. */
static uint64_t thawed(const struct pipe_line *line, uint64_t at_us)
{
    bool is_frozen = at_us >= line->frozen_from_us && at_us < line->frozen_until_us;
    return is_frozen ? line->frozen_until_us : at_us;
}

static uint64_t line_arrival(struct sim_carrier *carrier, unsigned end, size_t n)
{
    struct pipe_line *line = &carrier->lines[end];
    uint64_t now = carrier->world->now_us;

    if (line->free_us < now)
        line->free_us = now;
    line->free_us += (n * line->ns_per_byte + 999) / 1000;
    uint64_t at = thawed(line, line->free_us + line->latency_us);
    if (at < line->last_arrival_us)
        at = line->last_arrival_us;
    line->last_arrival_us = at;
    return at;
}

size_t carrier_write(struct sim_carrier *carrier, unsigned end, const uint8_t *bytes, size_t n)
{
    struct pipe_line *line = &carrier->lines[end];

    if (carrier->is_chained)
        return chain_write(&carrier->ends[end], bytes, n);
    size_t waiting = queued(carrier, end);
    if (is_reset(carrier, end) || waiting >= line->queue_bytes)
        return 0;
    if (n > line->queue_bytes - waiting)
        n = line->queue_bytes - waiting;
    if (line->n_written + n >= line->cut_at)
        n = (size_t)(line->cut_at - line->n_written);
    if (n == 0)
        return 0;
    struct segment *segment = sim_alloc(sizeof *segment + n);
    segment->n = n;
    segment->arrives_us = line_arrival(carrier, end, n);
    memcpy(segment->bytes, bytes, n);
    if (line->last != NULL)
        line->last->next = segment;
    else
        line->first = segment;
    line->last = segment;
    line->n_written += n;
    world_trace(carrier->world, "write", carrier->number * 2 + end, n);
    uint64_t most = carrier->world->scenario.after.max;
    if (most > 0 && carrier->lines[0].n_written + carrier->lines[1].n_written > most)
        world_fail(carrier->world, "carrier %u carries more than it may", carrier->number);
    if (line->n_written >= line->cut_at) {
        carrier->ends[end].reset_us = carrier->world->now_us;
        carrier->ends[1 - end].reset_us = line->last_arrival_us + 1;
    }
    return n;
}

enum carrier_read carrier_read(struct sim_carrier *carrier, unsigned end, uint8_t *bytes,
                               size_t cap, size_t *n)
{
    struct pipe_line *line = &carrier->lines[1 - end];
    uint64_t now = carrier->world->now_us;

    if (carrier->is_chained)
        return chain_read(&carrier->ends[end], bytes, cap, n);
    if (is_reset(carrier, end))
        return CARRIER_RESET;
    for (*n = 0; *n < cap && line->first != NULL && line->first->arrives_us <= now;) {
        struct segment *segment = line->first;
        size_t part = segment->n - segment->start;
        if (part > cap - *n)
            part = cap - *n;
        memcpy(bytes + *n, segment->bytes + segment->start, part);
        *n += part;
        segment->start += part;
        if (segment->start < segment->n)
            break;
        line->first = segment->next;
        if (line->first == NULL)
            line->last = NULL;
        sim_free(segment);
    }
    if (*n > 0)
        return CARRIER_BYTES;
    return line->fin_us <= now ? CARRIER_FIN : CARRIER_NOTHING;
}

/* ---- its end ---- */

void carrier_shut(struct sim_carrier *carrier, unsigned end)
{
    if (carrier->is_chained)
        chain_shut(&carrier->ends[end]);
    else if (carrier->lines[end].fin_us == NEVER)
        carrier->lines[end].fin_us = line_arrival(carrier, end, 0);
}

void carrier_abort(struct sim_carrier *carrier, unsigned end)
{
    struct pipe_line *line = &carrier->lines[end];

    if (carrier->is_chained) {
        chain_abort(&carrier->ends[end], true);
        return;
    }
    uint64_t at = thawed(line, carrier->world->now_us + line->latency_us);

    if (at < carrier->ends[1 - end].reset_us && line->fin_us == NEVER)
        carrier->ends[1 - end].reset_us = at;
}

void carrier_reset(struct sim_carrier *carrier)
{
    carrier->ends[0].reset_us = carrier->ends[1].reset_us = carrier->world->now_us;
}

/* ---- when ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t end_next_us(const struct sim_carrier *carrier, unsigned end)
{
    const struct carrier_end *at = &carrier->ends[end];
    const struct pipe_line *in = &carrier->lines[1 - end], *out = &carrier->lines[end];

    if (!at->is_open)
        return NEVER;
    uint64_t next = sooner(at->reset_us, in->first != NULL ? in->first->arrives_us
                                         : at->has_fin     ? NEVER
                                                           : in->fin_us);
    if (carrier->is_chained)
        next = chain_next_us(at);
    if (at->signs_us != 0)
        next = sooner(next, at->signs_us);
    /* Writable when half of the queue is empty. */
    if (at->wants_write && !carrier->is_chained)
        next = sooner(next, out->free_us - sooner(out->free_us,
                                                  out->queue_bytes / 2 * out->ns_per_byte / 1000));
    return next;
}

uint64_t carrier_next_us(const struct sim_carrier *carrier)
{
    return sooner(end_next_us(carrier, 0), end_next_us(carrier, 1));
}

bool carrier_is_due(const struct sim_carrier *carrier, unsigned end)
{
    return end_next_us(carrier, end) <= carrier->world->now_us;
}
