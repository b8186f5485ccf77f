/*
 * A whole peer against an adversary that owns the key: its handshakes are sound, and what it seals is the input. It may lose its
 * session; whatever it says, memory stays bounded, time goes on, and what is freed is all that was taken.
 *
 * The first byte says which end is attacked and what its applications do. Then come steps: an operation, and for those with bytes
 * their number (2 bytes) and the bytes.
 */
#include "../tests/unit/seeded.h"
#include "crypto/crypto.h"
#include "fuzz.h"
#include "link/handshake.h"
#include "link/record.h"
#include "link/replay.h"
#include "peer/gate.h"
#include "peer/near.h"
#include "peer/peer.h"

#define N_LINKS 4
#define WINDOW_BYTES (1 << 20)
#define MAX_CHUNK_BYTES ((size_t)16 << 20)
#define N_SALTS 64

enum operation { OP_RECORD, OP_RAW, OP_CONNECT, OP_JOIN, OP_CUT, OP_WAIT, OP_LINK, N_OPERATIONS };

/* One carrier: the end under attack has `link`. */
struct attack {
    struct peer_link *link; /* NULL: there is none */
    bool is_silent;
    struct handshake *handshake;
    struct record_sealer *sealer;
};

static struct {
    struct chunk_source chunks;
    size_t n_chunk_bytes;
    struct seeded dice;
    struct link_key key;
    void *memory;
    struct replay_set *replays, *our_replays;
    struct handshake_ground ground;
    struct gate *gate;
    struct peer *peer;
    struct peer_time now;
    struct attack attacks[N_LINKS];
    unsigned current;
    bool reads, writes;
    struct handshake_offer session; /* of the last that stood: what a join names */
    bool has_session;
    uint64_t n_joins;
} world;

/* ---- chunks ---- */

static struct chunk *get_chunk(struct chunk_source *source, size_t n)
{
    struct chunk *chunk = malloc(sizeof *chunk + n);

    CHECK(chunk != NULL);
    *chunk = (struct chunk){.source = source, .n_holders = 1, .cap = (uint32_t)n};
    world.n_chunk_bytes += n;
    CHECK(world.n_chunk_bytes <= MAX_CHUNK_BYTES);
    return chunk;
}

static void put_chunk(struct chunk_source *source, struct chunk *chunk)
{
    (void)source;
    world.n_chunk_bytes -= chunk->cap;
    free(chunk);
}

/* ---- the end under attack ---- */

static void on_stream(const struct session_event *event)
{
    struct stream *stream = event->stream;
    struct addr bound = {.family = ADDR_V4};
    static const uint8_t bytes[1000];
    const uint8_t *in;
    size_t n;

    if (event->kind == STREAM_DEAD) {
        stream_release(stream);
        return;
    }
    if (event->kind == STREAM_INCOMING && stream_answer(stream, 0, &bound) != ERR_NONE)
        return;
    if (world.writes)
        (void)!stream_write(stream, bytes, sizeof bytes, &n);
    enum err err = ERR_AGAIN;
    while (world.reads && (err = stream_peek(stream, &in, &n)) == ERR_NONE)
        stream_consume(stream, n);
    if (err == ERR_EOF) {
        stream_finish(stream);
        stream_release(stream);
    }
}

static struct attack *attack_of(const struct peer_link *link)
{
    for (unsigned i = 0; i < N_LINKS; i++)
        if (world.attacks[i].link == link)
            return &world.attacks[i];
    return NULL;
}

static void forget(struct attack *attack)
{
    handshake_free(attack->handshake);
    record_sealer_free(attack->sealer);
    *attack = (struct attack){0};
}

static void cut(struct attack *attack)
{
    if (attack->link != NULL)
        peer_link_ended(attack->link, &world.now);
    forget(attack);
}

static void dial(void);

/* Whether there was anything. */
static bool tell_peer(void)
{
    struct peer_event event;
    bool any = false;

    for (; world.peer != NULL && peer_next_event(world.peer, &event); any = true) {
        if (event.kind == PEER_STREAM)
            on_stream(&event.session_event);
        else if (event.kind == PEER_WANTS_CARRIER)
            dial();
        else if (event.kind == PEER_LINK_CLOSE)
            cut(attack_of(event.link));
        else if (event.kind == PEER_LINK_SILENT)
            forget(attack_of(event.link));
        else if (event.kind == PEER_ENDED) {
            peer_free(world.peer);
            world.peer = NULL;
        }
    }
    if (world.peer != NULL)
        peer_settle(world.peer);
    return any;
}

static bool tell_gate(void)
{
    struct gate_event event;
    bool any = false;

    for (; world.gate != NULL && gate_next_event(world.gate, &event); any = true) {
        if (event.kind == GATE_SILENT || event.kind == GATE_ELSEWHERE) {
            struct attack *attack = attack_of(event.link);
            if (event.kind == GATE_ELSEWHERE)
                gate_parcel_free(gate_detach(event.link));
            if (attack != NULL)
                forget(attack);
        } else if (event.kind == GATE_FRESH) {
            /* One session at a time is watched. */
            if (world.peer != NULL) {
                for (unsigned i = 0; i < N_LINKS; i++)
                    if (world.attacks[i].link != NULL && world.attacks[i].link != event.link)
                        cut(&world.attacks[i]);
                peer_free(world.peer);
            }
            world.peer = event.peer;
        }
    }
    return any;
}

static void stand(struct attack *attack)
{
    struct link_secrets secrets;

    handshake_secrets(attack->handshake, &secrets);
    attack->sealer = record_sealer_new(secrets.cipher, secrets.send, NULL);
    CHECK(attack->sealer != NULL);
    if (!handshake_info(attack->handshake)->joins) {
        memcpy(world.session.resume, secrets.resume, 32);
        memcpy(world.session.session_id, handshake_info(attack->handshake)->session_id,
               SESSION_ID_BYTES);
        world.session.cipher = secrets.cipher;
        world.has_session = true;
    }
    handshake_free(attack->handshake);
    attack->handshake = NULL;
}

/* The adversary's server answers the flight of a near peer. */
static void answer(struct attack *attack)
{
    const struct flight_info *info = handshake_info(attack->handshake);
    struct handshake_answer answer = {.keep_s = 60, .session_id = {1}};
    uint8_t flight[FLIGHT_MAX_BYTES];
    size_t n;

    if (info->joins) {
        handshake_free(attack->handshake); /* it plays dead */
        attack->handshake = NULL;
        return;
    }
    if (handshake_open(attack->handshake, NULL, 0, &world.dice.rng) != ERR_NONE ||
        handshake_answer(attack->handshake, &answer, world.now.wall_ms, &world.dice.rng, flight,
                         &n) != ERR_NONE)
        return;
    uint8_t *room;
    size_t cap;
    CHECK(peer_link_room(attack->link, &room, &cap) == ERR_NONE && cap >= n);
    memcpy(room, flight, n);
    stand(attack);
    peer_link_received(attack->link, n, &world.now);
}

static void hear(struct attack *attack, const uint8_t *bytes, size_t n)
{
    size_t used;

    if (attack->handshake == NULL)
        return;
    enum err err = handshake_read(attack->handshake, bytes, n, world.now.wall_ms, &used);
    if (err != ERR_NONE)
        return;
    if (world.gate == NULL)
        answer(attack);
    else if (!handshake_is_gone(attack->handshake))
        stand(attack);
}

static bool take_output_of(struct attack *attack)
{
    bool any = false;

    for (unsigned turns = 0; attack->link != NULL && turns < 1000; turns++) {
        const uint8_t *bytes;
        size_t n = peer_link_output(attack->link, 65536, &world.now, &bytes);
        if (n == 0)
            break;
        uint8_t *copy = exact_copy(bytes, n);
        peer_link_sent(attack->link, n, &world.now);
        hear(attack, copy, n);
        free(copy);
        any = true;
    }
    return any;
}

static bool take_output(void)
{
    struct peer_link *link;
    bool any = false;

    while (world.peer != NULL && (link = peer_next_wanting(world.peer, &world.now)) != NULL)
        any = take_output_of(attack_of(link)) || any;
    if (any)
        return true;
    /* The gate's are asked one by one. Of the peer's none has anything to send that was not named. */
    for (unsigned i = 0; i < N_LINKS; i++) {
        bool may_be_the_gates = world.gate != NULL && world.attacks[i].handshake != NULL;
        bool has_output = take_output_of(&world.attacks[i]);
        CHECK(!has_output || may_be_the_gates);
        any = any || has_output;
    }
    return any;
}

static void settle(void)
{
    bool any = true;

    for (unsigned turns = 0; any; turns++) {
        CHECK(turns < 100000);
        any = tell_gate();
        any = tell_peer() || any;
        any = take_output() || any;
    }
}

/* ---- the adversary ---- */

static void give(struct attack *attack, const uint8_t *bytes, size_t n)
{
    while (n > 0 && attack->link != NULL) {
        uint8_t *room;
        size_t cap;
        CHECK(peer_link_room(attack->link, &room, &cap) == ERR_NONE);
        cap = cap < n ? cap : n;
        memcpy(room, bytes, cap);
        peer_link_received(attack->link, cap, &world.now);
        bytes += cap;
        n -= cap;
        settle();
    }
}

/* A carrier of a near peer, whose flight is awaited. */
static void dial(void)
{
    struct attack *attack = &world.attacks[world.current];

    if (attack->link != NULL)
        cut(attack);
    attack->link = peer_dialled(world.peer, &world.now);
    CHECK(attack->link != NULL);
    CHECK(handshake_expect(&attack->handshake, &world.ground) == ERR_NONE);
}

static void connect_to_gate(bool joins)
{
    struct attack *attack = &world.attacks[world.current];
    struct handshake_offer offer = world.session;
    uint8_t flight[FLIGHT_MAX_BYTES];
    size_t n;

    if (world.gate == NULL || (joins && !world.has_session))
        return;
    cut(attack);
    offer.joins = joins;
    offer.join_number = ++world.n_joins;
    attack->link = gate_accept(world.gate);
    CHECK(attack->link != NULL);
    CHECK(handshake_start(&attack->handshake, &offer, world.now.wall_ms, &world.dice.rng) ==
          ERR_NONE);
    CHECK(handshake_write(attack->handshake, 0, &world.dice.rng, flight, &n) == ERR_NONE);
    give(attack, flight, n);
}

static void seal(struct attack *attack, const uint8_t *bytes, size_t n)
{
    struct piece piece = {.bytes = bytes, .n = n};
    uint8_t *record = malloc(n + RECORD_HEADER_BYTES + RECORD_TAG_BYTES);
    size_t n_record;

    CHECK(record != NULL);
    CHECK(record_seal(attack->sealer, &piece, 1, record, &n_record) == ERR_NONE);
    give(attack, record, n_record);
    free(record);
}

static void wait_ms(uint64_t ms)
{
    uint64_t until = world.now.now_us + ms * 1000;

    for (unsigned i = 0; world.peer != NULL; i++) {
        uint64_t next = peer_deadline_us(world.peer);
        if (next > until)
            break;
        CHECK(i < 10000);
        if (next > world.now.now_us)
            world.now.now_us = next;
        peer_advance(world.peer, &world.now);
        settle();
    }
    world.now.now_us = until;
}

/* ---- an input ---- */

static void begin(uint8_t how)
{
    uint8_t key[32] = {1}, binding[32] = {0};
    bool is_taken_up;
    size_t n_set = replay_set_bytes(N_SALTS);

    memset(&world, 0, sizeof world);
    CHECK(crypto_load() == ERR_NONE);
    world.chunks = (struct chunk_source){.get = get_chunk, .put = put_chunk};
    world.dice = seeded_with(how);
    world.now = (struct peer_time){.now_us = 1000000, .boot_ms = 1000, .wall_ms = 1000000000};
    world.reads = (how & 2) != 0;
    world.writes = (how & 4) != 0;
    link_key_init(&world.key, key, 16);
    world.memory = calloc(2, n_set);
    CHECK(world.memory != NULL);
    world.replays = replay_set_open(world.memory, n_set, binding, 0, &is_taken_up);
    world.our_replays =
        replay_set_open((uint8_t *)world.memory + n_set, n_set, binding, 0, &is_taken_up);
    world.ground = (struct handshake_ground){
        .servers = {{&world.key, world.our_replays}}, .n_servers = 1, .clock_skew_ms = 60000};
    world.session = (struct handshake_offer){
        .server = &world.key, .user = &world.key, .keep_s = 60, .has_aes = true};
}

static void begin_far(void)
{
    struct gate_options options = {
        .ground = {.servers = {{&world.key, world.replays}},
                   .n_servers = 1,
                   .clock_skew_ms = 60000},
        .keep_s = 60,
        .window_bytes = WINDOW_BYTES,
        .stream_window_bytes = WINDOW_BYTES,
        .chunks = &world.chunks,
        .rng = &world.dice.rng,
    };

    CHECK(gate_new(&world.gate, &options) == ERR_NONE);
    connect_to_gate(false);
}

static void begin_near(void)
{
    struct near_options options = {
        .key = &world.key,
        .user = &world.key,
        .keep_s = 60,
        .keepalive_s = 60,
        .has_aes = true,
        .window_bytes = WINDOW_BYTES,
        .stream_window_bytes = WINDOW_BYTES,
        .chunks = &world.chunks,
        .rng = &world.dice.rng,
    };
    struct stream_request request = {0};
    struct stream *stream;

    CHECK(peer_new_near(&world.peer, &options, true, &world.now) == ERR_NONE);
    for (unsigned i = 0; i < 3; i++)
        CHECK(session_open(peer_session(world.peer), &request, &stream) == ERR_NONE);
    settle();
}

static void finish(void)
{
    for (unsigned i = 0; i < N_LINKS; i++)
        cut(&world.attacks[i]);
    settle();
    for (unsigned i = 0; i < N_LINKS; i++)
        cut(&world.attacks[i]);
    peer_free(world.peer);
    gate_free(world.gate);
    free(world.memory);
    CHECK(world.n_chunk_bytes == 0);
}

static void play(const uint8_t *data, size_t n)
{
    while (n >= 3) {
        unsigned operation = data[0] % N_OPERATIONS;
        size_t value = (size_t)data[1] << 8 | data[2];
        struct attack *attack = &world.attacks[world.current];
        size_t n_bytes = operation <= OP_RAW ? value < n - 3 ? value : n - 3 : 0;
        if (operation == OP_RECORD && attack->sealer != NULL)
            seal(attack, data + 3, n_bytes);
        else if (operation == OP_RAW)
            give(attack, data + 3, n_bytes);
        else if (operation == OP_CONNECT || operation == OP_JOIN)
            connect_to_gate(operation == OP_JOIN);
        else if (operation == OP_CUT)
            cut(attack);
        else if (operation == OP_WAIT)
            wait_ms(value);
        else if (operation == OP_LINK)
            world.current = (unsigned)value % N_LINKS;
        settle();
        data += 3 + n_bytes;
        n -= 3 + n_bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    begin(data[0]);
    if ((data[0] & 1) != 0)
        begin_near();
    else
        begin_far();
    play(data + 1, n - 1);
    finish();
    return 0;
}
