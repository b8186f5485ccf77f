#include "world.h"

#include <string.h>

/* ---- what it does ---- */

static uint64_t draw_bytes(struct rng *dice, size_t max_bytes)
{
    /* As many small ones as large ones. */
    uint64_t bits = 1;
    while (bits < 40 && UINT64_C(1) << bits < max_bytes)
        bits++;
    uint64_t n = rng_below(dice, UINT64_C(1) << rng_below(dice, bits + 1));
    return n < max_bytes ? n : max_bytes;
}

static size_t draw_piece(const struct scenario *scenario, struct rng *dice)
{
    return scenario->knobs[KNOB_TINY] ? 1 + (size_t)rng_below(dice, 100)
                                      : 1 + (size_t)rng_below(dice, 100000);
}

static void draw_end(struct script *script, const struct scenario *scenario, struct rng *dice)
{
    script->close = (enum app_close)rng_below(dice, 2);
    script->write_bytes = draw_piece(scenario, dice);
    script->read_bytes = draw_piece(scenario, dice);
    if (scenario->knobs[KNOB_SLUGGISH] && rng_below(dice, 3) == 0)
        script->reader = rng_below(dice, 3) == 0 ? READS_NEVER : READS_SLOWLY;
    script->read_pause_us = 1 + rng_below(dice, 300 * MS);
    if (script->reader == READS_SLOWLY && script->read_bytes < scenario->max_bytes / 50)
        script->read_bytes = scenario->max_bytes / 50 + 1;
    if (scenario->knobs[KNOB_APP_RESETS] && rng_below(dice, 6) == 0)
        script->close = CLOSES_BY_RESET;
}

static void draw_bulk(struct script *script, struct rng *dice, size_t max_bytes)
{
    script->n_steps = 1 + (unsigned)rng_below(dice, 3);
    for (unsigned i = 0; i < script->n_steps; i++)
        script->steps[i] = (struct app_step){
            .pause_us = rng_below(dice, 2) == 0 ? 0 : rng_below(dice, 2 * SECOND),
            .n_bytes = draw_bytes(dice, max_bytes) / script->n_steps,
        };
}

/* One asks, the other answers, in turns. */
static void draw_ping_pong(struct app *app, struct rng *dice, size_t max_bytes)
{
    uint64_t ask = 1 + draw_bytes(dice, max_bytes / 4),
             answer = 1 + draw_bytes(dice, max_bytes / 4);
    unsigned first = (unsigned)rng_below(dice, 2);

    for (unsigned side = 0; side < 2; side++)
        app->scripts[side].n_steps = APP_MAX_STEPS;
    for (unsigned i = 0; i < APP_MAX_STEPS; i++) {
        app->scripts[first].steps[i] = (struct app_step){.after_read = i * answer, .n_bytes = ask};
        app->scripts[1 - first].steps[i] =
            (struct app_step){.after_read = (i + 1) * ask, .n_bytes = answer};
    }
}

void app_draw(struct app *app, const struct scenario *scenario, struct seeded *dice, uint64_t key)
{
    struct rng *rng = &dice->rng;
    uint64_t until =
        scenario->knobs[KNOB_THOUSANDS] ? SECOND : scenario->heal_us - scenario->heal_us / 4;

    app->key = key;
    app->open_us = rng_below(rng, 3) == 0 ? 0 : rng_below(rng, until);
    for (unsigned side = 0; side < 2; side++)
        draw_end(&app->scripts[side], scenario, rng);
    bool both_read = app->scripts[0].reader != READS_NEVER && app->scripts[1].reader != READS_NEVER;
    if (both_read && rng_below(rng, 2) == 0)
        draw_ping_pong(app, rng, scenario->max_bytes);
    else
        for (unsigned side = 0; side < 2; side++)
            draw_bulk(&app->scripts[side], rng, scenario->max_bytes);
    /* Both cannot wait for the other's fin. */
    if (app->scripts[0].close == CLOSES_AFTER && app->scripts[1].close == CLOSES_AFTER)
        app->scripts[rng_below(rng, 2)].close = CLOSES_FIRST;
    if (scenario->knobs[KNOB_REFUSALS] && rng_below(rng, 5) == 0)
        app->code = (uint8_t)(1 + rng_below(rng, 8));
    if (scenario->knobs[KNOB_DATAGRAMS] && rng_below(rng, 3) == 0)
        association_draw(app, rng);
    else if (scenario->knobs[KNOB_REVERSE])
        app->is_reverse = rng_below(rng, 2) == 0;
}

static uint8_t byte_at(const struct app *app, unsigned side, uint64_t offset)
{
    uint64_t z = (app->key * 2 + side) * UINT64_C(0x9e3779b97f4a7c15) + (offset >> 3);
    z = (z ^ z >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint8_t)((z ^ z >> 32) >> (offset & 7) * 8);
}

/* ---- its life ---- */

static uint64_t next_us(const struct app_end *end)
{
    uint64_t heal_us = end->node->world->scenario.heal_us;
    uint64_t next = end->wake_us;

    if (end->is_done)
        return NEVER;
    if (end->answer_us > 0)
        return end->answer_us;
    if (end->app->scripts[end->side].reader == READS_NEVER && heal_us < next)
        return heal_us;
    return next;
}

static void set_due(struct world *world, struct app_end *end)
{
    queue_put(&world->ends, &end->due, next_us(end));
}

static struct app_end *end_new(struct world *world, struct app *app, struct node *node,
                               unsigned side, struct stream *stream)
{
    struct app_end *end = sim_alloc(sizeof *end);

    end->app = app;
    end->node = node;
    end->side = side;
    end->stream = stream;
    end->can_read = end->can_write = true;
    end->wake_us = world->now_us;
    stream_set_owner(stream, end);
    list_append(&world->app_ends, &end->in_world);
    set_due(world, end);
    return end;
}

/* It is freed when the step is over. */
static void end_done(struct world *world, struct app_end *end)
{
    end->stream = NULL;
    end->is_done = true;
    set_due(world, end);
    list_remove(&end->in_world);
    list_append(&world->done_ends, &end->in_world);
    if (end->side == 1)
        return;
    end->app->is_over = true;
    end->app->over_us = world->now_us;
    end->app->near_end = NULL;
    world->n_apps_over++;
}

static void end_over(struct world *world, struct app_end *end)
{
    world_trace(world, "over", end->app->key * 2 + end->side, end->n_read);
    if (end->stream != NULL)
        stream_release(end->stream);
    end_done(world, end);
}

void app_end_orphan(struct world *world, struct app_end *end)
{
    if (end->side == 0)
        end->app->why = STREAM_RESET_LOST;
    end_done(world, end);
}

/* A near end that rests finds out by its keepalive that the server knows its listener no more: the second one at the latest, each after four
 * times 20 s at most. */
#define REVERSE_WITHIN_US ((60 + 2 * 4 * 20) * SECOND)

void app_open(struct world *world, struct app *app, struct node *near)
{
    struct stream_request request = {.has_target = true};
    struct stream *stream;
    int n = snprintf(request.target.name, sizeof request.target.name, "app%llu",
                     (unsigned long long)app->key);

    request.target.name_bytes = (uint8_t)n;
    request.target.addr.port = 80;
    if (app->is_association)
        request = association_request(app, near);
    bool is_reverse = app->is_reverse && listening_is_for(near);
    enum err err = is_reverse           ? listening_open(near, &request, &stream)
                   : near->peer == NULL ? ERR_EOF
                                        : session_open(peer_session(near->peer), &request, &stream);
    world_trace(world, "open", app->key, (uint64_t)err);
    if (err == ERR_LIMIT || err == ERR_MEMORY || err == ERR_EOF) {
        /* Again a little later, as a client would. */
        queue_put(&world->openings, &app->opening, world->now_us + 200 * MS);
        if (world->now_us >
            world->scenario.heal_us + (is_reverse ? REVERSE_WITHIN_US : 60 * SECOND))
            world_fail(world, "app %llu cannot be opened: %s", (unsigned long long)app->key,
                       err_text(err));
        return;
    }
    queue_put(&world->openings, &app->opening, NEVER);
    app->near_end = end_new(world, app, is_reverse ? near->server : near, 0, stream);
}

/* It has come while its listener was given up. */
static void refuse(struct stream *stream)
{
    static const struct addr unknown = {.family = ADDR_NONE};

    if (stream_answer(stream, 1, &unknown) != ERR_NONE)
        stream_reset(stream, STREAM_RESET_LIMIT);
    stream_release(stream);
}

void app_incoming(struct world *world, struct node *far, struct peer *peer, struct stream *stream)
{
    const struct stream_request *request = stream_request(stream);
    uint64_t key = 0;

    for (unsigned i = 3; i < request->target.name_bytes; i++)
        key = key * 10 + (uint64_t)(request->target.name[i] - '0');
    bool is_asked = stream_has_datagrams(stream)
                        ? association_key(world, peer_session(peer), request, &key)
                        : request->has_target;
    if (!is_asked || key >= world->n_apps) {
        world_fail(world, "a stream with a target that nobody has asked for");
        return;
    }
    if (far->is_near && !listening_wants(far, peer, request->of)) {
        refuse(stream);
        return;
    }
    if (!far->is_near)
        users_check(peer, world, &world->apps[key]);
    struct app_end *end = end_new(world, &world->apps[key], far, 1, stream);
    end->peer = peer;
    end->app->has_arrived = true;
    end->answer_us = world->now_us + 1 + rng_below(&far->dice.rng, 50 * MS);
    world_trace(world, "incoming", key, 0);
}

/* ---- reading ---- */

static void check_bytes(struct world *world, struct app_end *end, const uint8_t *bytes, size_t n)
{
    struct app *app = end->app;
    unsigned other = 1 - end->side;

    if (end->n_read + n > app->n_written[other])
        world_fail(world, "app %llu: side %u has read %llu bytes, %llu were written",
                   (unsigned long long)app->key, end->side, (unsigned long long)(end->n_read + n),
                   (unsigned long long)app->n_written[other]);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != byte_at(app, other, end->n_read + i)) {
            world_fail(world, "app %llu: side %u has read a wrong byte at %llu",
                       (unsigned long long)app->key, end->side,
                       (unsigned long long)(end->n_read + i));
            return;
        }
}

static void on_fin(struct world *world, struct app_end *end)
{
    struct app *app = end->app;
    unsigned other = 1 - end->side;

    end->has_eof = true;
    end->can_read = false;
    world_trace(world, "fin", app->key * 2 + end->side, end->n_read);
    if (app->n_finished[other] != end->n_read + 1)
        world_fail(world, "app %llu: side %u has read a fin behind %llu bytes; %llu were finished",
                   (unsigned long long)app->key, end->side, (unsigned long long)end->n_read,
                   (unsigned long long)app->n_finished[other]);
}

/* One piece. False: nothing came of it. */
static bool read_piece(struct world *world, struct app_end *end)
{
    const uint8_t *bytes;
    size_t n;
    if (end->app->is_association) {
        if (association_receive(world, end))
            on_fin(world, end);
        return false;
    }
    enum err err = stream_peek(end->stream, &bytes, &n);

    if (err == ERR_AGAIN)
        end->can_read = false;
    if (err == ERR_EOF)
        on_fin(world, end);
    if (err != ERR_NONE)
        return false;
    if (n > end->app->scripts[end->side].read_bytes)
        n = end->app->scripts[end->side].read_bytes;
    check_bytes(world, end, bytes, n);
    stream_consume(end->stream, n);
    end->n_read += n;
    if (end->app->n_read[end->side] < end->n_read)
        end->app->n_read[end->side] = end->n_read;
    world->n_bytes += n;
    world_trace(world, "read", end->app->key * 2 + end->side, n);
    return true;
}

static void read_some(struct world *world, struct app_end *end)
{
    enum reader reader = end->app->scripts[end->side].reader;

    if (!end->can_read || end->has_eof)
        return;
    if (reader == READS_NEVER) {
        end->can_read = false;
        return;
    }
    while (end->can_read && read_piece(world, end))
        if (reader == READS_SLOWLY) {
            end->wake_us = world->now_us + end->app->scripts[end->side].read_pause_us;
            return;
        }
}

/* ---- writing ---- */

static void write_piece(struct world *world, struct app_end *end)
{
    struct app *app = end->app;
    if (app->is_association) {
        association_send(world, end);
        end->step_left--;
        return;
    }
    uint8_t bytes[8192];
    size_t n = end->step_left < sizeof bytes ? (size_t)end->step_left : sizeof bytes, taken = 0;

    if (n > app->scripts[end->side].write_bytes)
        n = app->scripts[end->side].write_bytes;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(app, end->side, end->n_written + i);
    enum err err = stream_write(end->stream, bytes, n, &taken);
    if (err != ERR_NONE) {
        end->can_write = false;
        if (err == ERR_MEMORY)
            end->retry_us = world->now_us + 20 * MS;
        return;
    }
    end->n_written += taken;
    end->step_left -= taken;
    if (app->n_written[end->side] < end->n_written)
        app->n_written[end->side] = end->n_written;
    world_trace(world, "app writes", app->key * 2 + end->side, taken);
}

static void reset_by_app(struct world *world, struct app_end *end)
{
    end->app->was_reset[end->side] = true;
    world_trace(world, "app resets", end->app->key * 2 + end->side, end->n_written);
    stream_reset(end->stream, STREAM_RESET_APPLICATION);
    end_over(world, end);
}

static void finish(struct world *world, struct app_end *end)
{
    end->has_finished = true;
    end->app->n_finished[end->side] = end->n_written + 1;
    world_trace(world, "app finishes", end->app->key * 2 + end->side, end->n_written);
    stream_finish(end->stream);
}

/* Begins the next step when its time has come. False: it has not. */
static bool begin_step(struct world *world, struct app_end *end, const struct script *script)
{
    const struct app_step *step = &script->steps[end->step];

    if (end->n_read < step->after_read)
        return false;
    if (end->step_from_us == 0)
        end->step_from_us = world->now_us + step->pause_us;
    if (end->step_from_us > world->now_us) {
        end->wake_us = end->step_from_us;
        return false;
    }
    end->step_left = step->n_bytes;
    end->in_step = true;
    return true;
}

static void write_some(struct world *world, struct app_end *end)
{
    const struct script *script = &end->app->scripts[end->side];

    while (end->can_write && end->step < script->n_steps) {
        if (!end->in_step && !begin_step(world, end, script))
            return;
        while (end->step_left > 0 && end->can_write)
            write_piece(world, end);
        if (end->step_left > 0)
            return;
        end->step++;
        end->in_step = false;
        end->step_from_us = 0;
    }
    if (end->step < script->n_steps || end->has_finished)
        return;
    if (script->close == CLOSES_BY_RESET)
        reset_by_app(world, end);
    else if (script->close == CLOSES_FIRST || end->has_eof)
        finish(world, end);
}

/* ---- both ---- */

static void answer(struct world *world, struct app_end *end)
{
    struct addr bound = {.ip = {192, 0, 2, 1}, .port = 80, .family = ADDR_V4};
    uint8_t code = end->app->code;
    enum err err = stream_answer(end->stream, code, &bound);

    if (err == ERR_MEMORY) {
        end->answer_us = world->now_us + 10 * MS;
        return;
    }
    end->answer_us = 0;
    if (code != 0 || err != ERR_NONE)
        end_over(world, end);
}

static void complete(struct world *world, struct app_end *end)
{
    if (end->side == 0)
        end->app->completed = true;
    end_over(world, end);
}

static void run(struct world *world, struct app_end *end)
{
    end->wake_us = NEVER;
    if (end->answer_us > world->now_us)
        return;
    if (end->answer_us > 0)
        answer(world, end);
    if (end->is_done || end->answer_us > 0)
        return;
    /* Whoever never reads gives up at last, as a client's idle time would. */
    if (world_is_healed(world) && end->app->scripts[end->side].reader == READS_NEVER) {
        reset_by_app(world, end);
        return;
    }
    if (end->retry_us <= world->now_us && end->retry_us > 0) {
        end->retry_us = 0;
        end->can_write = true;
    }
    read_some(world, end);
    write_some(world, end);
    if (end->retry_us > 0 && end->retry_us < end->wake_us)
        end->wake_us = end->retry_us;
    if (!end->is_done && end->has_eof && end->has_finished)
        complete(world, end);
}

void app_end_run(struct world *world, struct app_end *end)
{
    run(world, end);
    set_due(world, end);
}

/* ---- events ---- */

static void on_dead(struct world *world, struct app_end *end)
{
    struct app *app = end->app;
    enum stream_reset code = stream_reset_code(end->stream);

    world_trace(world, "dead", app->key * 2 + end->side, code);
    if (end->side == 0)
        app->why = (uint8_t)code;
    if (code == STREAM_RESET_APPLICATION && !app->was_reset[1 - end->side])
        world_fail(world, "app %llu: side %u was reset, and nobody did it",
                   (unsigned long long)app->key, end->side);
    end_over(world, end);
}

static void on_answered(struct world *world, struct app_end *end)
{
    struct addr bound;
    uint8_t code = stream_code(end->stream, &bound);

    world_trace(world, "answered", end->app->key, code);
    if (code == 0)
        return;
    const bool *knobs = world->scenario.knobs;
    /* There is no room, or what it belongs to has gone meanwhile: a listener, or a connection of one. */
    bool may_fail = knobs[KNOB_MEMORY] || knobs[KNOB_THOUSANDS] || knobs[KNOB_REVERSE];
    if (code != end->app->code && !(code == 1 && may_fail))
        world_fail(world, "app %llu: answered %u, which nobody said",
                   (unsigned long long)end->app->key, code);
    end->app->why = 0x80 | code;
    end_over(world, end);
}

void app_event(struct world *world, const struct session_event *event)
{
    struct app_end *end = stream_owner(event->stream);

    if (end == NULL || end->is_done) {
        world_fail(world, "an event of a stream that was released");
        return;
    }
    if (event->kind == STREAM_DEAD) {
        on_dead(world, end);
        return;
    }
    if (event->kind == STREAM_ANSWERED)
        on_answered(world, end);
    if (end->is_done)
        return;
    if (event->kind == STREAM_READABLE)
        end->can_read = true;
    if (event->kind == STREAM_WRITABLE)
        end->can_write = true;
    if (end->wake_us > world->now_us)
        app_end_run(world, end);
}
