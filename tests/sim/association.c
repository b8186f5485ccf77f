/* Apps that exchange datagrams: each that comes is one that was sent, with its address, and comes once. */
#include <string.h>

#include "world.h"

/* What the number of a datagram of that side is hashed to, from which its size, its address and its bytes follow. */
static uint64_t mixed(const struct app *app, unsigned side, uint64_t number)
{
    uint64_t z = (app->key * 2 + side) * UINT64_C(0x9e3779b97f4a7c15) + number;
    z = (z ^ z >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ z >> 32;
}

static size_t size_of(uint64_t hash)
{
    return hash % 16 == 0 ? (size_t)(hash >> 8) % 65001 : (size_t)(hash >> 8) % 1400;
}

static struct target address_of(uint64_t hash, uint64_t number)
{
    struct target target = {.addr = {.port = (uint16_t)(number + 1)}};

    if (hash % 3 == 0) {
        memcpy(target.name, "example.com", 12);
        target.name_bytes = 11;
    } else {
        target.addr.family = hash % 3 == 1 ? ADDR_V4 : ADDR_V6;
        memset(target.addr.ip, 7, target.addr.family == ADDR_V4 ? 4 : 16);
    }
    return target;
}

void association_draw(struct app *app, struct rng *dice)
{
    app->is_association = true;
    for (unsigned side = 0; side < 2; side++) {
        struct script *script = &app->scripts[side];
        uint64_t left = ASSOCIATION_MAX_DATAGRAMS;
        script->n_steps = 1 + (unsigned)rng_below(dice, 3);
        for (unsigned i = 0; i < script->n_steps; i++) {
            uint64_t n = rng_below(dice, left + 1) >> rng_below(dice, 6);
            script->steps[i] =
                (struct app_step){.pause_us = rng_below(dice, 3 * SECOND), .n_bytes = n};
            left -= n;
        }
        if (script->reader == READS_NEVER)
            script->reader = READS_FAST;
    }
}

static struct addr addr_of(uint64_t key)
{
    struct addr addr = {.family = ADDR_V4, .port = 1};

    memcpy(addr.ip, &(uint32_t){(uint32_t)key}, 4);
    return addr;
}

static uint64_t key_of(const struct addr *addr)
{
    uint32_t key;

    memcpy(&key, addr->ip, sizeof key);
    return key;
}

/* The end of a connection that a listener of the node's has taken, in the session in which it opens streams now, and that is answered
 * and not finished: what is closed on both sides can be read when the peer has another session. NULL: there is none. */
static const struct app_end *accepted_at(const struct node *near)
{
    const struct list *ends = &near->world->app_ends;

    for (struct list *at = ends->next; at != ends; at = at->next) {
        const struct app_end *end = CONTAINER_OF(at, struct app_end, in_world);
        if (end->node == near && end->side == 1 && end->stream != NULL && end->answer_us == 0 &&
            end->peer == near->peer && !end->has_finished)
            return end;
    }
    return NULL;
}

struct stream_request association_request(const struct app *app, const struct node *near)
{
    struct stream_request request = {.kind = STREAM_ASSOCIATION, .source = addr_of(app->key)};
    const struct app_end *accepted = listening_is_for(near) ? accepted_at(near) : NULL;

    if (accepted != NULL) {
        request.kind = STREAM_RELAYED;
        request.of = stream_id(accepted->stream);
        request.has_target = true;
        request.target.addr = addr_of(accepted->app->key);
    }
    return request;
}

bool association_key(struct world *world, const struct session *session,
                     const struct stream_request *request, uint64_t *key)
{
    bool is_relayed = request->kind == STREAM_RELAYED;

    *key = key_of(&request->source);
    if (request->has_target != is_relayed) {
        world_fail(world, "datagrams with a target that nobody has asked for");
        return false;
    }
    const struct stream *stream = is_relayed ? session_accepted(session, request->of) : NULL;
    const struct app_end *accepted = stream == NULL ? NULL : stream_owner(stream);
    if (accepted == NULL || accepted->app->key == key_of(&request->target.addr))
        return true; /* it may have ended meanwhile */
    world_fail(world, "datagrams of another connection than was meant");
    return false;
}

void association_send(struct world *world, struct app_end *end)
{
    static uint8_t bytes[65001];
    struct app *app = end->app;
    /* A session that is begun anew may open it again: then there are two far ends, which send the script of one each. */
    if (app->n_datagrams[end->side] == ASSOCIATION_MAX_DATAGRAMS)
        return;
    uint64_t number = app->n_datagrams[end->side]++;
    uint64_t hash = mixed(app, end->side, number);
    struct target to = address_of(hash, number);
    size_t n = size_of(hash);

    memset(bytes, (int)(hash >> 40 & 0xff), n);
    stream_send_datagram(end->stream, &to, bytes, n, world->now_us);
    world_trace(world, "app sends", app->key * 2 + end->side, number);
}

static void check(struct world *world, struct app_end *end, const struct target *from,
                  const uint8_t *bytes, size_t n)
{
    struct app *app = end->app;
    unsigned other = 1 - end->side;
    uint64_t number = (uint64_t)from->addr.port - 1, hash = mixed(app, other, number);
    struct target expected = address_of(hash, number);

    world_trace(world, "app receives", app->key * 2 + end->side, number);
    world->n_datagrams++;
    if (number >= app->n_datagrams[other] || app->has_come[end->side][number])
        world_fail(world, "app %llu: datagram %llu was not sent, or comes again",
                   (unsigned long long)app->key, (unsigned long long)number);
    else if (n != size_of(hash) || strcmp(from->name, expected.name) != 0 ||
             !addr_equal(&from->addr, &expected.addr, true))
        world_fail(world, "app %llu: datagram %llu is another than was sent",
                   (unsigned long long)app->key, (unsigned long long)number);
    else
        app->has_come[end->side][number] = true;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (uint8_t)(hash >> 40)) {
            world_fail(world, "app %llu: datagram %llu has a wrong byte",
                       (unsigned long long)app->key, (unsigned long long)number);
            return;
        }
}

bool association_receive(struct world *world, struct app_end *end)
{
    struct target from;
    uint8_t *bytes;
    size_t n;
    enum err err;

    while ((err = stream_take_datagram(end->stream, &from, &bytes, &n)) == ERR_NONE)
        check(world, end, &from, bytes, n);
    end->can_read = false;
    return err == ERR_EOF;
}
