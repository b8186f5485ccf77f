/* The two ends of a handshake, for tests and fuzzers: keys, a replay set, and the flights between them. */
#ifndef SOCKEYE_TESTS_HANDSHAKES_H
#define SOCKEYE_TESTS_HANDSHAKES_H

#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "link/handshake_state.h"
#include "link/replay.h"
#include "seeded.h"

#define ENDS_NOW_MS UINT64_C(1800000000000)
#define ENDS_SKEW_MS UINT64_C(60000)

/* The keys are as much of these as is wanted. */
#define ENDS_SERVER_BYTES "the server's key, 32 bytes of it"
#define ENDS_USER_BYTES "and that of the user, as long..."

struct ends {
    struct seeded seeded;
    struct link_key server_key, user_key;
    bool has_users; /* then user_key's is the only one, else server_key is everybody's */
    struct handshake_ground ground;
    struct handshake_offer offer;
    struct handshake_answer answer;
    void *memory; /* of the replay set */
    struct handshake *client, *server;
    uint8_t flight1[FLIGHT_MAX_BYTES], flight2[FLIGHT_MAX_BYTES];
    size_t n_flight1, n_flight2;
};

static inline const struct link_key *ends_find_user(const void *users, const uint8_t tag[static 8],
                                                    const struct link_user **user)
{
    const struct ends *ends = users;
    if (memcmp(tag, ends->user_key.tag, sizeof ends->user_key.tag) != 0)
        return NULL;
    *user = (const struct link_user *)ends;
    return &ends->user_key;
}

/* Keys of so many bytes; n_user 0: without users. */
static inline void ends_init(struct ends *ends, size_t n_server, size_t n_user)
{
    static const uint8_t server_bytes[32] = ENDS_SERVER_BYTES, user_bytes[32] = ENDS_USER_BYTES;
    static const uint8_t binding[REPLAY_BINDING_BYTES];
    size_t n_memory = replay_set_bytes(64);
    bool is_taken_up;

    *ends = (struct ends){.seeded = seeded_with(n_server + n_user), .has_users = n_user > 0};
    link_key_init(&ends->server_key, server_bytes, n_server);
    ends->user_key = ends->server_key;
    if (n_user > 0)
        link_key_init(&ends->user_key, user_bytes, n_user);
    ends->memory = calloc(1, n_memory);
    ends->ground = (struct handshake_ground){
        .servers = {{&ends->server_key,
                     replay_set_open(ends->memory, n_memory, binding, 0, &is_taken_up)}},
        .n_servers = 1,
        .find_user = n_user > 0 ? ends_find_user : NULL,
        .users = ends,
        .clock_skew_ms = ENDS_SKEW_MS,
    };
    ends->offer = (struct handshake_offer){
        .server = &ends->server_key,
        .user = &ends->user_key,
        .keep_s = 600,
        .has_aes = true,
    };
    ends->answer = (struct handshake_answer){.session_id = "a new session's", .keep_s = 1200};
}

/* The handshakes, not the keys: another may be played. */
static inline void ends_end(struct ends *ends)
{
    handshake_free(ends->client);
    handshake_free(ends->server);
    ends->client = ends->server = NULL;
}

static inline void ends_deinit(struct ends *ends)
{
    ends_end(ends);
    free(ends->memory);
}

/* From now on the client joins the session of these secrets. */
static inline void ends_join(struct ends *ends, const struct link_secrets *session,
                             uint64_t join_number)
{
    ends->offer.joins = true;
    ends->offer.join_number = join_number;
    ends->offer.cipher = session->cipher;
    memcpy(ends->offer.session_id, ends->answer.session_id, SESSION_ID_BYTES);
    memcpy(ends->offer.resume, session->resume, sizeof ends->offer.resume);
}

/* The client writes flight 1. */
static inline enum err ends_call(struct ends *ends, uint64_t time_ms, uint32_t n_early)
{
    enum err err = handshake_start(&ends->client, &ends->offer, time_ms, &ends->seeded.rng);
    return err != ERR_NONE ? err
                           : handshake_write(ends->client, n_early, &ends->seeded.rng,
                                             ends->flight1, &ends->n_flight1);
}

/* The server reads flight 1. */
static inline enum err ends_hear(struct ends *ends, const uint8_t *bytes, size_t n)
{
    size_t used;
    enum err err = handshake_expect(&ends->server, &ends->ground);
    return err != ERR_NONE ? err : handshake_read(ends->server, bytes, n, ENDS_NOW_MS, &used);
}

static inline enum err ends_open(struct ends *ends)
{
    bool joins = handshake_info(ends->server)->joins;
    return handshake_open(ends->server, joins ? ends->offer.resume : NULL,
                          joins ? ends->offer.cipher : 0, &ends->seeded.rng);
}

/* The server writes flight 2. */
static inline enum err ends_answer(struct ends *ends)
{
    return handshake_answer(ends->server, &ends->answer, ENDS_NOW_MS + 1, &ends->seeded.rng,
                            ends->flight2, &ends->n_flight2);
}

static inline enum err ends_get_answer(struct ends *ends, const uint8_t *bytes, size_t n)
{
    size_t used;
    return handshake_read(ends->client, bytes, n, 0, &used);
}

/* All of it. */
static inline enum err ends_play(struct ends *ends)
{
    enum err err = ends_call(ends, ENDS_NOW_MS, 0);
    if (err == ERR_NONE)
        err = ends_hear(ends, ends->flight1, ends->n_flight1);
    if (err == ERR_NONE)
        err = ends_open(ends);
    if (err == ERR_NONE)
        err = ends_answer(ends);
    return err != ERR_NONE ? err : ends_get_answer(ends, ends->flight2, ends->n_flight2);
}

/* ---- flights of someone who has the keys, and writes what he likes ---- */

/* Flight 1 of a head that is not masked and a payload of n bytes, behind which there is room for a tag; that may be sealed already. */
static inline enum err ends_forge1(struct ends *ends, uint8_t head[static FLIGHT1_HEAD_BYTES],
                                   uint8_t *payload, size_t n, bool is_sealed)
{
    struct noise noise;
    uint8_t early[32], mac2[HMAC16_BYTES];
    const struct flight_keys keys = {
        FLIGHT_OF_CLIENT, ends->server_key.prk, ends->user_key.prk, {NULL, 0}};
    handshake_mix_flight1(&noise, head, &ends->user_key,
                          ends->offer.joins ? ends->offer.resume : NULL, early);
    enum err err = is_sealed ? ERR_NONE : noise_seal(&noise, payload, n);
    return err != ERR_NONE ? err
                           : flight_write(&keys, head, payload, n + NOISE_TAG_BYTES, ends->flight1,
                                          &ends->n_flight1, mac2);
}

/* Flight 2 likewise, for the flight 1 that the server has opened. */
static inline enum err ends_forge2(struct ends *ends, uint8_t head[static FLIGHT2_HEAD_BYTES],
                                   uint8_t *payload, size_t n, bool is_sealed)
{
    uint8_t mac2[HMAC16_BYTES];
    const struct flight_keys keys = handshake_keys(ends->server, FLIGHT_OF_SERVER);
    enum err err = is_sealed ? ERR_NONE : noise_seal(&ends->server->noise, payload, n);
    return err != ERR_NONE ? err
                           : flight_write(&keys, head, payload, n + NOISE_TAG_BYTES, ends->flight2,
                                          &ends->n_flight2, mac2);
}

#endif
