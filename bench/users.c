/*
 * What many users cost a tunnel's far end: making their table, memory, and a flight's first part, which is where a user is looked for: his own
 * and a stranger's.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/crypto.h"
#include "io/random.h"
#include "tunnel/far_roster.h"
#include "tunnel/far_spec.h"

#define FIRST_PART_BYTES 103 /* to the end of MAC 1 */
#define FLIGHTS 64           /* each another user's, where there are so many */
#define ROUNDS 100           /* short ones, of which the best counts */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void insist(bool is_good)
{
    if (!is_good) {
        fprintf(stderr, "users: a call failed\n");
        exit(1);
    }
}

static void key_of(uint8_t key[static 32], size_t i)
{
    memset(key, 0x5a, 32);
    memcpy(key, &i, sizeof i);
}

static struct far_roster *make(struct far_specs *specs, const struct link_key *server, size_t n)
{
    struct far_roster_settings settings = {
        .keys = {*server}, .n_keys = 1, .has_users = true, .n_users = n, .clock_skew_ms = 60000};
    struct far_roster *roster;
    insist(far_roster_new(&roster, specs, &settings) == ERR_NONE);
    for (size_t i = 0; i < n; i++) {
        uint8_t key[32];
        key_of(key, i);
        insist(far_roster_add(roster, "", key, sizeof key, NULL) == ERR_NONE);
    }
    return roster;
}

static void call(const struct link_key *server, size_t user, uint8_t flight[FLIGHT_MAX_BYTES])
{
    struct link_key key;
    struct handshake_offer offer = {.server = server, .user = &key};
    struct handshake *client;
    uint8_t bytes[32];
    size_t n;
    key_of(bytes, user);
    link_key_init(&key, bytes, sizeof bytes);
    insist(handshake_start(&client, &offer, 0, &system_rng) == ERR_NONE);
    insist(handshake_write(client, 0, &system_rng, flight, &n) == ERR_NONE);
    handshake_free(client);
}

/* Microseconds for the first part of a flight of users from that one on, with so many others between. */
static double measure(const struct far_roster *roster, const struct link_key *server, size_t first,
                      size_t between, enum err expected)
{
    static uint8_t flights[FLIGHTS][FLIGHT_MAX_BYTES];
    double best = 1e9;
    for (size_t i = 0; i < FLIGHTS; i++)
        call(server, first + i * between, flights[i]);
    for (size_t round = 0; round < ROUNDS; round++) {
        double began = now();
        for (size_t i = 0; i < FLIGHTS; i++) {
            struct handshake *handshake;
            size_t used;
            insist(handshake_expect(&handshake, far_roster_ground(roster)) == ERR_NONE);
            insist(handshake_read(handshake, flights[i], FIRST_PART_BYTES, 0, &used) == expected);
            handshake_free(handshake);
        }
        double took = (now() - began) / FLIGHTS * 1e6;
        best = took < best ? took : best;
    }
    return best;
}

int main(void)
{
    static const size_t sizes[] = {1, 1000, 100000, 1000000};
    static const uint8_t bytes[32] = {1};
    struct far_specs specs;
    struct link_key server;
    insist(crypto_load() == ERR_NONE);
    link_key_init(&server, bytes, sizeof bytes);
    far_specs_init(&specs);
    printf("%10s %12s %16s %16s %16s\n", "users", "made in ms", "bytes a user", "his flight us",
           "a stranger's us");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i], before = mallinfo2().uordblks + mallinfo2().hblkhd;
        struct far_roster *none = make(&specs, &server, 0); /* holds the set of flights */
        size_t empty = mallinfo2().uordblks + mallinfo2().hblkhd - before;
        double began = now();
        struct far_roster *roster = make(&specs, &server, n);
        double took_ms = (now() - began) * 1e3;
        size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before - empty;
        printf("%10zu %12.1f %16.0f %16.2f %16.2f\n", n, took_ms, (double)used / (double)n,
               measure(roster, &server, 0, n / FLIGHTS, ERR_MORE),
               measure(roster, &server, n, 1, ERR_BAD));
        far_roster_free(roster);
        far_roster_free(none);
    }
    far_specs_deinit(&specs);
    return 0;
}
