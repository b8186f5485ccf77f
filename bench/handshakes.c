/*
 * What a server's part of a handshake costs: from a carrier's first byte to a session with a link that stands, and its end, without
 * sockets. With identities both ends have a key of that kind: the server signs, and verifies what the client says of itself.
 *
 *     handshakes [NUMBER]        a line for each kind: how many a second and core
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "crypto/crypto.h"
#include "crypto/sign.h"
#include "link/replay.h"
#include "peer/gate.h"
#include "peer/near.h"

#define WALL_MS UINT64_C(1800000000000)
#define RSA_SHARE 20 /* of the number: a signature takes milliseconds */

static void insist(bool is_good, const char *what)
{
    if (!is_good) {
        fprintf(stderr, "handshakes: %s\n", what);
        exit(1);
    }
}

static void fill(struct rng *rng, void *bytes, size_t n)
{
    (void)rng;
    for (uint8_t *at = bytes; n > 0;) {
        ssize_t got = getrandom(at, n, 0);
        insist(got > 0, "no randomness");
        at += got;
        n -= (size_t)got;
    }
}

static struct chunk *get(struct chunk_source *source, size_t n)
{
    struct chunk *chunk = malloc(sizeof *chunk + n);
    insist(chunk != NULL, "out of memory");
    *chunk = (struct chunk){.source = source, .n_holders = 1, .cap = (uint32_t)n};
    return chunk;
}

static void put(struct chunk_source *source, struct chunk *chunk)
{
    (void)source;
    free(chunk);
}

static struct rng rng = {.fill = fill};
static struct chunk_source chunks = {.get = get, .put = put};
static struct link_key key;
static double far_s; /* of processor time, at the far end */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct peer_time time_now(void)
{
    return (struct peer_time){
        .now_us = (uint64_t)(now_s() * 1e6), .boot_ms = WALL_MS, .wall_ms = WALL_MS};
}

/* What one end's link has to send goes to the other's. False: nothing. */
static bool carry(struct peer_link *from, struct peer_link *to, bool is_up)
{
    struct peer_time time = time_now();
    uint8_t bytes[16384], *room;
    const uint8_t *lent;
    size_t cap;
    double start_s = now_s();
    size_t n = peer_link_output(from, sizeof bytes, &time, &lent);
    if (n > 0) {
        memcpy(bytes, lent, n);
        peer_link_sent(from, n, &time);
    }
    double sent_s = now_s();
    far_s += is_up ? 0 : sent_s - start_s;
    if (n == 0)
        return false;
    insist(peer_link_room(to, &room, &cap) == ERR_NONE && cap >= n, "no room");
    memcpy(room, bytes, n);
    peer_link_received(to, n, &time);
    far_s += is_up ? now_s() - sent_s : 0;
    return true;
}

static bool near_is_up(struct peer *near)
{
    struct peer_event event;
    bool is_up = false;
    while (peer_next_event(near, &event)) {
        insist(event.kind != PEER_LINK_CLOSE, "refused");
        is_up |= event.kind == PEER_LINK_UP;
    }
    return is_up;
}

static struct peer *far_tells(struct gate *gate)
{
    struct gate_event event;
    struct peer *fresh = NULL;
    while (gate_next_event(gate, &event)) {
        insist(event.kind == GATE_FRESH, "not taken for a handshake");
        fresh = event.peer;
    }
    return fresh;
}

static struct peer_link *accept_carrier(struct gate *gate)
{
    double start_s = now_s();
    struct peer_link *link = gate_accept(gate);
    far_s += now_s() - start_s;
    return link;
}

/* Until nobody has anything to say: the link stands, and the server knows of the client what it wants to. */
static void shake_hands(struct gate *gate, const struct near_options *options)
{
    struct peer_time time = time_now();
    struct peer *near, *far = NULL;
    struct peer_event event;
    insist(peer_new_near(&near, options, true, &time) == ERR_NONE, "out of memory");
    insist(peer_next_event(near, &event) && event.kind == PEER_WANTS_CARRIER, "no carrier wanted");
    struct peer_link *near_link = peer_dialled(near, &time), *far_link = accept_carrier(gate);
    insist(near_link != NULL && far_link != NULL, "out of memory");

    bool is_up = false;
    for (bool goes_on = true; goes_on;) {
        goes_on = carry(near_link, far_link, true);
        double start_s = now_s();
        struct peer *fresh = far_tells(gate);
        far = fresh != NULL ? fresh : far;
        while (far != NULL && peer_next_event(far, &event))
            insist(event.kind == PEER_LINK_UP || event.kind == PEER_LINK_PROVED ||
                       event.kind == PEER_BEGUN,
                   "the server has ended it");
        far_s += now_s() - start_s;
        goes_on |= carry(far_link, near_link, false);
        is_up |= near_is_up(near);
    }
    insist(far != NULL && is_up, "no handshake");
    double start_s = now_s();
    peer_free(far);
    far_s += now_s() - start_s;
    peer_free(near);
}

/* identities: of near and far; NULL: none. */
static void measure(const char *what, struct sign_key *const identities[2], size_t n)
{
    static const uint8_t binding[REPLAY_BINDING_BYTES];
    size_t n_memory = replay_set_bytes(n);
    void *memory = calloc(1, n_memory);
    bool is_taken_up;
    const struct verify_key *client;
    struct near_options near = {.key = &key,
                                .user = &key,
                                .keep_s = 600,
                                .has_aes = crypto_has_fast_aes(),
                                .window_bytes = 1 << 24,
                                .stream_window_bytes = 1 << 24,
                                .chunks = &chunks,
                                .rng = &rng};
    struct gate_options options = {.ground = {.n_servers = 1, .clock_skew_ms = 60000},
                                   .keep_s = 1200,
                                   .window_bytes = 1 << 24,
                                   .stream_window_bytes = 1 << 24,
                                   .chunks = &chunks,
                                   .rng = &rng};
    insist(memory != NULL, "out of memory");
    options.ground.servers[0].key = &key;
    options.ground.servers[0].replays = replay_set_open(memory, n_memory, binding, 0, &is_taken_up);
    if (identities != NULL) {
        client = sign_key_public(identities[0]);
        near.identity = identities[0];
        near.server = sign_key_public(identities[1]);
        options.identity = identities[1];
        options.peers = &client;
        options.n_peers = 1;
    }
    struct gate *gate;
    insist(gate_new(&gate, &options) == ERR_NONE, "out of memory");
    far_s = 0;
    for (size_t i = 0; i < n; i++)
        shake_hands(gate, &near);
    printf("%-8s %8.0f\n", what, (double)n / far_s);
    gate_free(gate);
    free(memory);
}

static void measure_identities(const char *what, enum sign_kind kind, unsigned bits, size_t n)
{
    struct sign_key *identities[2];
    for (size_t i = 0; i < 2; i++)
        insist(sign_key_generate(&identities[i], kind, bits, &rng) == ERR_NONE, "no key");
    measure(what, identities, n);
    for (size_t i = 0; i < 2; i++)
        sign_key_free(identities[i]);
}

int main(int argc, char **argv)
{
    static const uint8_t bytes[32] = "a key of which everybody knows";
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
    insist(n >= RSA_SHARE && n <= 100000, "how many, from 20 to 100000");
    insist(crypto_load() == ERR_NONE, "no libcrypto");
    link_key_init(&key, bytes, sizeof bytes);
    measure("none", NULL, n);
    measure_identities("ed25519", SIGN_ED25519, 0, n);
    measure_identities("rsa-3072", SIGN_RSA, 3072, n / RSA_SHARE);
    return 0;
}
