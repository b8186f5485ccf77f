/* A process around peers, as small as one can be: the same calls in the same order as src/tunnel/ makes them. */
#include "peer/inside.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

/* ---- chunks ---- */

static struct chunk *get_chunk(struct chunk_source *source, size_t n)
{
    struct node *node = CONTAINER_OF(source, struct node, chunks);
    struct chunk *chunk = malloc(sizeof *chunk + n);

    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){.source = source, .n_holders = 1, .cap = (uint32_t)n};
    node->n_chunk_bytes += n;
    return chunk;
}

static void put_chunk(struct chunk_source *source, struct chunk *chunk)
{
    CONTAINER_OF(source, struct node, chunks)->n_chunk_bytes -= chunk->cap;
    free(chunk);
}

/* ---- its life ---- */

struct peer_time node_time(const struct node *node)
{
    uint64_t now = node->world->now_us;
    uint64_t wall_ms = UINT64_C(1700000000000) + now / 1000;

    return (struct peer_time){
        .now_us = now,
        .boot_ms = (now - node->boot_us) / 1000,
        .wall_ms = wall_ms + (uint64_t)node->clock_ms,
    };
}

static void add_peer(struct node *node, struct peer *peer)
{
    for (size_t i = 0; i < node->n_peers; i++)
        if (node->peers[i] == peer)
            return; /* since its signature was wanted */
    if (node->n_peers == node->peers_cap) {
        size_t cap = node->peers_cap * 2 + 8;
        struct peer **peers = sim_alloc(cap * sizeof(struct peer *));
        if (node->n_peers > 0)
            memcpy(peers, node->peers, node->n_peers * sizeof(struct peer *));
        sim_free(node->peers);
        node->peers = peers;
        node->peers_cap = cap;
    }
    node->peers[node->n_peers++] = peer;
}

static void free_peer(struct node *node, struct peer *peer)
{
    for (unsigned i = 0; i < NODE_MAX_DIALS; i++)
        if (node->dials[i].peer == peer)
            node->dials[i] = (struct sim_dial){0};
    if (node->peer == peer)
        node->peer = NULL;
    listening_forget(node, peer);
    chain_forget(node->world, peer);
    drain_forget(peer);
    peer_free(peer);
}

void node_renew(struct node *node)
{
    struct world *world = node->world;
    struct peer_time time = node_time(node);
    struct near_options options = {
        .key = &world->key,
        .user = users_key(node),
        .keep_s = KEEP_S,
        .keepalive_s = 20,
        .n_links = world->scenario.n_links,
        .is_distributed = world->scenario.knobs[KNOB_DISTRIBUTED],
        .every = world->scenario.every,
        .after = world->scenario.after,
        .sends_early = world->scenario.knobs[KNOB_EARLY],
        .has_aes = true,
        .window_bytes = world->scenario.window_bytes,
        .stream_window_bytes = world->scenario.stream_window_bytes,
        .chunks = &node->chunks,
        .rng = &node->dice.rng,
    };

    if (world->scenario.knobs[KNOB_IDENTITY]) {
        options.signs_apart = world->scenario.signs_apart;
        options.identity = world->identities[0];
        options.server = sign_key_public(world->identities[1]);
    }
    memcpy(options.instance, node->instance, sizeof options.instance);
    if (peer_new_near(&node->peer, &options, world->scenario.at_once, &time) == ERR_NONE)
        add_peer(node, node->peer);
    else {
        node->peer = NULL;
        node->restart_us = world->now_us + 100 * MS; /* again a little later */
    }
    listening_begin(node);
}

static enum err start_gate(struct node *node, uint8_t worker)
{
    struct world *world = node->world;
    struct gate_options options = {
        .ground = users_ground(world),
        .worker = worker,
        .keep_s = KEEP_S,
        .early = world->scenario.early,
        .max_links = world->scenario.max_links,
        .window_bytes = world->scenario.window_bytes,
        .stream_window_bytes = world->scenario.stream_window_bytes,
        .chunks = &node->chunks,
        .rng = &node->dice.rng,
    };

    if (world->scenario.knobs[KNOB_IDENTITY]) {
        options.signs_apart = world->scenario.signs_apart;
        options.identity = world->identities[1];
        options.peers = world->accepted;
        options.n_peers = 1;
    }
    return gate_new(&node->gates[worker], &options);
}

void node_start(struct node *node)
{
    world_trace(node->world, "start", node->number, 0);
    node->chunks = (struct chunk_source){.get = get_chunk, .put = put_chunk};
    if (node->is_near) {
        node_renew(node);
        return;
    }
    for (unsigned i = 0; i < node->world->scenario.n_workers; i++)
        while (start_gate(node, (uint8_t)i) != ERR_NONE)
            ;
}

static void orphan_apps(struct node *node)
{
    struct world *world = node->world;

    for (struct list *at = world->app_ends.next, *next; at != &world->app_ends; at = next) {
        next = at->next;
        struct app_end *end = CONTAINER_OF(at, struct app_end, in_world);
        if (end->node == node)
            app_end_orphan(world, end);
    }
}

/* The kernel resets its connections, unless the machine died. */
static void drop_carriers(struct node *node)
{
    struct world *world = node->world;

    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        for (unsigned end = 0; end < 2; end++) {
            if (carrier->ends[end].node != node || !carrier->ends[end].is_open)
                continue;
            carrier->ends[end].is_open = false;
            carrier->ends[end].link = NULL;
            carrier_abort(carrier, end);
        }
    }
}

void node_stop(struct node *node)
{
    world_trace(node->world, "stop", node->number, 0);
    orphan_apps(node);
    chain_orphan(node);
    drop_carriers(node);
    while (node->n_peers > 0)
        free_peer(node, node->peers[--node->n_peers]);
    for (unsigned i = 0; i < FAR_MAX_WORKERS; i++) {
        gate_free(node->gates[i]);
        node->gates[i] = NULL;
    }
    if (node->n_chunk_bytes > 0)
        world_fail(node->world, "node %u: %zu bytes of chunks were not given back", node->number,
                   node->n_chunk_bytes);
}

/* ---- dialling ---- */

static void draw_dial(struct node *node, struct sim_dial *dial)
{
    struct world *world = node->world;
    struct rng *dice = &node->dice.rng;

    dial->at_us = world->now_us + 2 * MS + rng_below(dice, 200 * MS);
    if (world->scenario.latency_us > 0)
        dial->at_us = world->now_us + 2 * world->scenario.latency_us;
    if (!world->scenario.knobs[KNOB_DIALS] || world_is_healed(world))
        return;
    uint64_t what = rng_below(dice, 4);
    dial->fails = what == 0;
    if (what == 1)
        dial->at_us += rng_below(dice, 20 * SECOND);
}

static void want_carrier(struct node *node, struct peer *peer)
{
    bool cannot = node->via != NULL && !chain_dial(node, peer);
    if (node->via != NULL && !cannot)
        return;
    world_trace(node->world, "dial", node->number, 0);
    node->world->new_syn_us = node->world->now_us;
    for (unsigned i = 0; i < NODE_MAX_DIALS; i++)
        if (node->dials[i].peer == NULL) {
            node->dials[i] = (struct sim_dial){.peer = peer};
            draw_dial(node, &node->dials[i]);
            node->dials[i].fails |= cannot;
            return;
        }
    world_fail(node->world, "node %u has %d attempts under way", node->number, NODE_MAX_DIALS);
}

static void dial_done(struct node *near, const struct sim_dial *dial)
{
    struct world *world = near->world;
    struct peer_time time = node_time(near);

    world_trace(world, dial->fails ? "dial failed" : "dialled", near->number, world->n_carriers);
    if (dial->fails) {
        peer_dial_failed(dial->peer, &time);
        return;
    }
    struct sim_carrier *carrier = carrier_open(world, near, near->server);
    unsigned worker = (unsigned)rng_below(&world->carrier_dice.rng, world->scenario.n_workers);
    carrier->ends[0].link = peer_dialled(dial->peer, &time);
    if (carrier->ends[0].link == NULL)
        peer_dial_failed(dial->peer, &time);
    carrier->ends[1].link =
        near->server->gates[worker] == NULL ? NULL : gate_accept(near->server->gates[worker]);
    for (unsigned end = 0; end < 2; end++) {
        if (carrier->ends[end].link != NULL)
            peer_link_set_owner(carrier->ends[end].link, carrier);
        else {
            carrier_abort(carrier, end);
            carrier->ends[end].is_open = false;
        }
    }
}

void node_network_changed(struct node *near)
{
    struct peer_time time = node_time(near);

    memset(near->dials, 0, sizeof near->dials);
    peer_network_changed(near->peer, &time);
    node_settle(near);
}

/* ---- carriers ---- */

static void end_link(struct node *node, struct carrier_end *end)
{
    struct peer_time time = node_time(node);
    struct peer_link *link = end->link;

    end->is_open = false;
    end->link = NULL;
    if (link != NULL)
        peer_link_ended(link, &time);
}

static void write_link(struct node *node, struct sim_carrier *carrier, unsigned end)
{
    struct carrier_end *at = &carrier->ends[end];
    struct peer_time time = node_time(node);
    bool is_tiny = node->world->scenario.knobs[KNOB_TINY];

    at->wants_write = false;
    while (at->is_open && at->link != NULL) {
        const uint8_t *bytes;
        size_t most = is_tiny ? 1 + (size_t)rng_below(&node->dice.rng, 3000) : 65536;
        size_t n = peer_link_output(at->link, most, &time, &bytes);
        if (n == 0)
            break;
        if (is_tiny)
            n = 1 + (size_t)rng_below(&node->dice.rng, n);
        n = carrier_write(carrier, end, bytes, n);
        if (n == 0) {
            at->wants_write = at->reset_us > node->world->now_us;
            if (!at->wants_write)
                end_link(node, at); /* whoever writes notices a reset too */
            return;
        }
        peer_link_sent(at->link, n, &time);
        const struct budget *budget = &at->link->out_budget;
        if (budget->most > 0 && budget->used > budget->most)
            world_fail(node->world, "carrier %u was given %llu bytes of %llu", carrier->number,
                       (unsigned long long)budget->used, (unsigned long long)budget->most);
    }
    if (at->is_open && at->is_closing && !at->has_shut) {
        carrier_shut(carrier, end);
        if (at->has_fin) {
            end_link(node, at);
            return;
        }
        at->has_shut = true;
    }
}

static void read_silent(struct sim_carrier *carrier, unsigned end)
{
    uint8_t bytes[4096];
    size_t n;
    enum carrier_read what = CARRIER_BYTES;

    while (what == CARRIER_BYTES)
        what = carrier_read(carrier, end, bytes, sizeof bytes, &n);
    if (what != CARRIER_NOTHING)
        carrier->ends[end].is_open = false;
    if (what == CARRIER_FIN)
        carrier_shut(carrier, end);
}

/* One read. False: there is nothing to read now. */
static bool read_link(struct node *node, struct sim_carrier *carrier, unsigned end)
{
    struct carrier_end *at = &carrier->ends[end];
    struct peer_time time = node_time(node);
    uint8_t *room;
    size_t cap, n = 0;

    if (peer_link_room(at->link, &room, &cap) != ERR_NONE) {
        carrier_abort(carrier, end);
        end_link(node, at);
        return false;
    }
    if (node->world->scenario.knobs[KNOB_TINY]) {
        size_t tiny = 1 + (size_t)rng_below(&node->dice.rng, 300);
        cap = cap < tiny ? cap : tiny;
    }
    switch (carrier_read(carrier, end, room, cap, &n)) {
    case CARRIER_BYTES:
        world_trace(node->world, "read", carrier->number * 2 + end, n);
        peer_link_received(at->link, n, &time);
        return true;
    case CARRIER_NOTHING:
        peer_link_received(at->link, 0, &time);
        return false;
    case CARRIER_FIN:
        peer_link_received(at->link, 0, &time);
        at->has_fin = at->is_closing && !at->has_shut;
        if (at->has_fin)
            return false;
        carrier_shut(carrier, end);
        break;
    case CARRIER_RESET:
        break;
    }
    world_trace(node->world, "carrier ended", carrier->number * 2 + end, 0);
    end_link(node, at);
    return false;
}

/* The other's fin was read, and there is something to be written still: it can only be reset now. */
static void notice_reset(struct node *node, struct sim_carrier *carrier, unsigned end)
{
    uint8_t byte;
    size_t n;

    carrier->ends[end].is_ready = false;
    if (carrier_read(carrier, end, &byte, 1, &n) != CARRIER_RESET)
        return;
    world_trace(node->world, "carrier ended", carrier->number * 2 + end, 0);
    end_link(node, &carrier->ends[end]);
}

static void sign_for(struct node *node, struct carrier_end *at)
{
    struct peer_time time = node_time(node);
    uint8_t bytes[HANDSHAKE_SIGN_BYTES], signature[SIGN_MAX_BYTES];
    size_t n;

    at->signs_us = 0;
    if (at->link == NULL)
        return;
    const struct sign_key *key = peer_sign_job(at->link, bytes);
    if (sign(key, bytes, sizeof bytes, signature, &n) != ERR_NONE)
        n = 0;
    peer_signed(at->link, signature, n, &time);
}

void node_carrier(struct node *node, struct sim_carrier *carrier, unsigned end)
{
    struct carrier_end *at = &carrier->ends[end];

    at->retry_us = 0;
    if (at->signs_us != 0 && at->signs_us <= node->world->now_us)
        sign_for(node, at);
    if (at->is_open && at->has_fin)
        notice_reset(node, carrier, end);
    do {
        if (at->is_silent)
            read_silent(carrier, end);
        else if (at->is_open && at->link != NULL && !at->has_fin && read_link(node, carrier, end)) {
            node_settle(node);
            continue;
        }
        break;
    } while (at->is_open);
    if (at->wants_write && at->is_open && at->link != NULL)
        write_link(node, carrier, end);
    node_settle(node);
}

/* ---- events ---- */

static struct carrier_end *end_of(struct node *node, struct peer_link *link, unsigned *end)
{
    struct sim_carrier *carrier = peer_link_owner(link);

    *end = node->is_near ? 0 : 1;
    return &carrier->ends[*end];
}

static void close_link(struct node *node, const struct peer_event *event)
{
    unsigned end;
    struct carrier_end *at = end_of(node, event->link, &end);
    struct sim_carrier *carrier = peer_link_owner(event->link);

    world_trace(node->world, event->why == NULL ? "close" : event->why, carrier->number * 2 + end,
                event->is_clean);
    if (event->is_clean) {
        at->is_closing = true;
        return;
    }
    carrier_abort(carrier, end);
    end_link(node, at);
}

static void silence(struct node *node, struct peer_link *link, const char *why)
{
    unsigned end;
    struct carrier_end *at = end_of(node, link, &end);
    struct sim_carrier *carrier = peer_link_owner(link);

    world_trace(node->world, why == NULL ? "silent" : why, carrier->number * 2 + end, 0);
    at->link = NULL;
    at->is_silent = true;
    at->is_closing = at->wants_write = false;
    at->has_shut = at->has_fin = false;
    read_silent(carrier, end);
}

static void want_signature(struct node *node, struct peer_link *link)
{
    unsigned end;
    struct carrier_end *at = end_of(node, link, &end);

    at->signs_us = node->world->now_us + 1 + rng_below(&node->dice.rng, 20 * MS);
}

/* False: the peer is over, and was freed. */
static bool tell_peer(struct node *node, struct peer *peer, bool *any)
{
    struct peer_event event;

    while (peer_next_event(peer, &event)) {
        *any = true;
        node->world->n_steps_now++;
        switch (event.kind) {
        case PEER_STREAM:
            if (chain_event(node->world, &event.session_event))
                break;
            if (event.session_event.kind == STREAM_INCOMING)
                app_incoming(node->world, node, peer, event.session_event.stream);
            else
                app_event(node->world, &event.session_event);
            break;
        case PEER_BEGUN:
            listening_begun(node, peer);
            break;
        case PEER_RENEWED:
            if (node->peer == peer)
                listening_begin(node);
            break;
        case PEER_LISTENER:
            listening_event(node, peer, &event.session_event);
            break;
        case PEER_WANTS_CARRIER:
            want_carrier(node, peer);
            break;
        case PEER_LINK_UP:
            node->world->n_links += node->is_near;
            world_trace(node->world, "up", node->number, peer_link_number(event.link));
            break;
        case PEER_LINK_PROVED:
            break;
        case PEER_LINK_CLOSE:
            close_link(node, &event);
            break;
        case PEER_LINK_SILENT:
            silence(node, event.link, event.why);
            break;
        case PEER_DRAIN:
            world_trace(node->world, "drained", node->number, event.seconds);
            drain_heard(node, peer);
            break;
        case PEER_SIGN:
            want_signature(node, event.link);
            break;
        case PEER_ENDED:
            world_trace(node->world, "ended", node->number, 0);
            return false;
        }
    }
    return true;
}

static void send_elsewhere(struct node *node, const struct gate_event *event)
{
    struct sim_carrier *carrier = peer_link_owner(event->link);
    struct peer_time time = node_time(node);
    struct gate_parcel *parcel = gate_detach(event->link);

    if (parcel == NULL) {
        carrier_abort(carrier, 1);
        end_link(node, &carrier->ends[1]);
        return;
    }
    if (event->worker >= FAR_MAX_WORKERS || node->gates[event->worker] == NULL) {
        /* Nobody can have given that id; any gate answers that it is gone. */
        gate_attach(node->gates[0], parcel, &carrier->ends[1].link);
    } else
        gate_attach(node->gates[event->worker], parcel, &carrier->ends[1].link);
    peer_link_set_owner(carrier->ends[1].link, carrier);
    gate_go_on(carrier->ends[1].link, &time);
}

static bool tell_gate(struct node *node, struct gate *gate)
{
    struct gate_event event;
    bool any = false;

    while (gate_next_event(gate, &event)) {
        any = true;
        node->world->n_steps_now++;
        world_trace(node->world, "gate", event.kind, event.fault);
        switch (event.kind) {
        case GATE_FRESH:
            add_peer(node, event.peer);
            break;
        case GATE_JOINED:
            break;
        case GATE_ELSEWHERE:
            send_elsewhere(node, &event);
            break;
        case GATE_SILENT:
            silence(node, event.link, event.why);
            break;
        case GATE_ENDED:
            break; /* all peers are asked */
        case GATE_SIGN:
            add_peer(node, event.peer);
            want_signature(node, event.link);
            break;
        }
    }
    return any;
}

/* Whether it is written to where its link has something: it has room, as far as is known. */
static bool is_writable(const struct carrier_end *at)
{
    return at->is_open && at->link != NULL && !at->wants_write && !at->has_shut;
}

static void write_peer(struct node *node, struct peer *peer)
{
    struct peer_time time = node_time(node);
    struct peer_link *link;

    while ((link = peer_next_wanting(peer, &time)) != NULL) {
        unsigned end;
        if (is_writable(end_of(node, link, &end)))
            write_link(node, peer_link_owner(link), end);
    }
}

static bool wants(const struct peer_link *link)
{
    bool seals = peer_link_is_up(link) && link->reign != NULL;

    return span_bytes(&link->out) > 0 ||
           (seals && session_wants(link->reign->session, link->number));
}

/* There was no memory for it, or it is a datagram larger than what the carrier may still carry. */
static bool may_wait(const struct node *node, const struct peer_link *link)
{
    return link->retry_us != NEVER &&
           (node->world->scenario.knobs[KNOB_MEMORY] || link->out_budget.most > 0);
}

/* Those that stand at a gate are asked one by one. */
static void write_all(struct node *node)
{
    unsigned end = node->is_near ? 0 : 1;

    for (size_t i = 0; i < node->n_peers; i++)
        write_peer(node, node->peers[i]);
    for (struct list *at = node->world->carriers.next; at != &node->world->carriers;
         at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        struct carrier_end *ours = &carrier->ends[end];
        if (ours->node == node && is_writable(ours) && ours->link->peer == NULL)
            write_link(node, carrier, end);
    }
}

/* The turn is over: of the links that peer_next_wanting() has not named none has something to send. */
static void check_written(const struct node *node)
{
    struct world *world = node->world;

    for (struct list *at = world->carriers.next; at != &world->carriers; at = at->next) {
        const struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        const struct carrier_end *ours = &carrier->ends[node->is_near ? 0 : 1];
        if (ours->node != node || !is_writable(ours) || may_wait(node, ours->link))
            continue;
        if (wants(ours->link) || ours->is_closing)
            world_fail(world, "carrier %u was not written to, whose link wants it",
                       carrier->number);
    }
}

static bool tell_all(struct node *node)
{
    bool any = false;

    for (unsigned i = 0; i < FAR_MAX_WORKERS; i++)
        if (node->gates[i] != NULL)
            any |= tell_gate(node, node->gates[i]);
    listening_turn(node);
    for (size_t i = 0; i < node->n_peers; i++) {
        if (tell_peer(node, node->peers[i], &any)) {
            drain_review(node, node->peers[i]);
            continue;
        }
        free_peer(node, node->peers[i]);
        node->peers[i--] = node->peers[--node->n_peers];
    }
    return any;
}

void node_settle(struct node *node)
{
    (void)tell_all(node);
    for (unsigned n = 0; n == 0 || tell_all(node); n++) {
        for (size_t i = 0; i < node->n_peers; i++)
            peer_settle(node->peers[i]);
        write_all(node);
        if (n > 100000) {
            world_fail(node->world, "node %u tells without end", node->number);
            return;
        }
    }
    check_written(node);
}

/* ---- time ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t node_next_us(const struct node *node)
{
    uint64_t next = sooner(node->restart_us == 0 ? NEVER : node->restart_us, drain_next_us(node));

    next = sooner(next, listening_next_us(node));
    for (size_t i = 0; i < node->n_peers; i++)
        next = sooner(next, peer_deadline_us(node->peers[i]));
    for (unsigned i = 0; node->is_near && i < NODE_MAX_DIALS; i++)
        if (node->dials[i].peer != NULL)
            next = sooner(next, node->dials[i].at_us);
    return next;
}

static void advance(struct node *node, struct peer *peer)
{
    struct peer_time time = node_time(node);

    if (peer_deadline_us(peer) <= time.now_us)
        peer_advance(peer, &time);
}

void node_run(struct node *node)
{
    uint64_t now = node->world->now_us;

    if (node->restart_us != 0 && node->restart_us <= now) {
        node->restart_us = 0;
        node_stop(node);
        node_start(node);
    }
    for (unsigned i = 0; node->is_near && i < NODE_MAX_DIALS; i++)
        if (node->dials[i].peer != NULL && node->dials[i].at_us <= now) {
            struct sim_dial dial = node->dials[i];
            node->dials[i] = (struct sim_dial){0};
            dial_done(node, &dial);
            node_settle(node->server);
        }
    drain_run(node);
    for (size_t i = 0; i < node->n_peers; i++)
        advance(node, node->peers[i]);
    node_settle(node);
}
