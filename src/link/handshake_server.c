#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "link/handshake_state.h"
#include "link/replay.h"

enum err handshake_expect(struct handshake **out, const struct handshake_ground *ground)
{
    struct handshake *handshake = calloc(1, sizeof *handshake);
    if (handshake == NULL)
        return ERR_MEMORY;
    if (flight_reader_init(&handshake->reader, FLIGHT_OF_CLIENT) != ERR_NONE) {
        free(handshake);
        return ERR_MEMORY;
    }
    handshake->ground = ground;
    handshake->state = HANDSHAKE_READING;
    *out = handshake;
    return ERR_NONE;
}

/* The user whose tag it is, on the ground of now. A flight of nobody's is checked likewise, and fails
 * by what is_user_known says. */
static void find_user(struct handshake *handshake, const struct handshake_server *server)
{
    static const struct link_key nobody = {.n_bytes = 32};
    const struct handshake_ground *ground = handshake->ground;
    const uint8_t *tag = handshake->reader.head + FLIGHT1_TAG;
    const struct link_key *key = NULL;
    handshake->info.user = NULL;
    handshake->server = *server->key;
    handshake->replays = server->replays;
    if (ground->find_user != NULL)
        key = ground->find_user(ground->users, tag, &handshake->info.user);
    else if (secret_same(tag, server->key->tag, FLIGHT_TAG_BYTES))
        key = server->key;
    handshake->is_user_known = key != NULL;
    handshake->user = key != NULL ? *key : nobody;
}

enum err handshake_move(struct handshake *handshake, const struct handshake_ground *ground)
{
    const uint8_t *tag = handshake->info.server_tag;
    bool is_reading = handshake->state == HANDSHAKE_READING;
    handshake->ground = ground;
    handshake->info.user = NULL;
    if (handshake->state != HANDSHAKE_READ &&
        (!is_reading || handshake->reader.stage <= FLIGHT_MAC1))
        return ERR_NONE; /* it was not asked yet who it is, or need not be any more */
    handshake->is_user_known = false;
    for (size_t i = 0; i < ground->n_servers; i++)
        if (memcmp(ground->servers[i].key->tag, tag, LINK_TAG_BYTES) == 0)
            find_user(handshake, &ground->servers[i]);
    return handshake->is_user_known ? ERR_NONE : handshake_fail(handshake, FLIGHT_MAC);
}

/* By each of the server's keys in turn: all that the check is of may be masked and authenticated by any of them. */
static enum err find_key(struct handshake *handshake)
{
    const struct handshake_ground *ground = handshake->ground;
    struct flight_reader *reader = &handshake->reader;
    uint8_t masked[FLIGHT1_HEAD_BYTES];
    memcpy(masked, reader->head, sizeof masked);
    for (size_t i = 0; i < ground->n_servers; i++) {
        memcpy(reader->head, masked, sizeof masked);
        if (flight_reader_unmask(reader, ground->servers[i].key->prk) != ERR_NONE)
            return ERR_MEMORY;
        find_user(handshake, &ground->servers[i]);
        struct flight_keys keys = handshake_keys(handshake, FLIGHT_OF_CLIENT);
        if (flight_reader_is_authentic(reader, &keys) && handshake->is_user_known) {
            memcpy(handshake->info.server_tag, handshake->server.tag, LINK_TAG_BYTES);
            memcpy(handshake->info.user_tag, handshake->user.tag, LINK_TAG_BYTES);
            return ERR_NONE;
        }
    }
    handshake->info.user = NULL; /* whoever says so has not shown it */
    return ERR_BAD;
}

static enum err check_mac1(struct handshake *handshake)
{
    struct flight_reader *reader = &handshake->reader;
    enum err err = find_key(handshake);
    if (err != ERR_NONE)
        return handshake_fail_by(handshake, err, FLIGHT_MAC);
    if (reader->head[FLIGHT1_VERSION] != PROTOCOL_VERSION)
        return handshake_fail(handshake, FLIGHT_VERSION);

    struct flight_info *info = &handshake->info;
    static const uint8_t none[SESSION_ID_BYTES];
    memcpy(info->session_id, reader->head + FLIGHT1_SESSION_ID, SESSION_ID_BYTES);
    info->joins = memcmp(info->session_id, none, sizeof none) != 0;
    info->time_ms = flight_get(reader->head + FLIGHT1_TIME, FLIGHT_TIME_BYTES);
    info->n_early = (uint32_t)flight_get(reader->head + FLIGHT1_N_EARLY, 4);
    size_t n_payload = (size_t)flight_get(reader->head + FLIGHT1_N_PAYLOAD, 2);
    size_t n_fixed = PAYLOAD1_MIN_BYTES + (info->joins ? PAYLOAD1_JOIN_BYTES : 0);
    if (n_payload < n_fixed + NOISE_TAG_BYTES || n_payload > flight_max_payload(FLIGHT_OF_CLIENT) ||
        info->n_early > FLIGHT_MAX_EARLY_BYTES)
        return handshake_fail(handshake, FLIGHT_LENGTH);
    return flight_reader_expect(reader, n_payload) == ERR_NONE
               ? ERR_NONE
               : handshake_fail(handshake, FLIGHT_MEMORY);
}

/* Its time, and that nobody has sent it before. */
static enum err check_fresh(struct handshake *handshake, uint64_t wall_ms)
{
    const struct handshake_ground *ground = handshake->ground;
    uint64_t time_ms = handshake->info.time_ms;
    uint64_t apart_ms = time_ms > wall_ms ? time_ms - wall_ms : wall_ms - time_ms;
    if (apart_ms > ground->clock_skew_ms)
        return handshake_fail(handshake, FLIGHT_TIME);
    const uint8_t *head = handshake->reader.head;
    const uint8_t *user = ground->find_user != NULL ? head + FLIGHT1_TAG : NULL;
    switch (replay_set_insert(handshake->replays, head, user, time_ms, ground->clock_skew_ms,
                              wall_ms)) {
    case REPLAY_NEW:
        return ERR_NONE;
    case REPLAY_FULL:
        return handshake_fail(handshake, FLIGHT_FULL);
    case REPLAY_OLD:
        return handshake_fail(handshake, FLIGHT_OLD);
    default:
        return handshake_fail(handshake, FLIGHT_REPLAYED);
    }
}

static enum err check_mac2(struct handshake *handshake, uint64_t wall_ms)
{
    struct flight_keys keys = handshake_keys(handshake, FLIGHT_OF_CLIENT);
    if (!flight_reader_is_authentic(&handshake->reader, &keys))
        return handshake_fail(handshake, FLIGHT_MAC_2);
    memcpy(handshake->flight1_mac, handshake->reader.mac, sizeof handshake->flight1_mac);
    enum err err = check_fresh(handshake, wall_ms);
    if (err == ERR_NONE)
        handshake->state = HANDSHAKE_READ;
    return err;
}

enum err handshake_server_check(struct handshake *handshake, enum flight_stage stage,
                                uint64_t wall_ms)
{
    switch (stage) {
    case FLIGHT_MAC1:
        return check_mac1(handshake);
    case FLIGHT_MAC2:
        return check_mac2(handshake, wall_ms);
    default:
        return ERR_NONE;
    }
}

/* ---- payload 1 ---- */

static bool is_known(uint8_t cipher)
{
    return cipher >= RECORD_AES_128_GCM && cipher <= RECORD_CHACHA20_POLY1305;
}

/* The first that we know; 0: they are not what the key allows, or not the session's. */
static uint8_t choose_cipher(const struct flight_info *info, uint8_t n_key_bytes, uint8_t session)
{
    uint8_t chosen = 0;
    for (size_t i = 0; i < info->n_ciphers; i++) {
        uint8_t cipher = info->ciphers[i];
        if (!is_known(cipher))
            continue;
        if (!handshake_cipher_fits(cipher, n_key_bytes))
            return 0;
        if (chosen == 0)
            chosen = cipher;
    }
    if (info->joins && (info->n_ciphers != 1 || chosen != session))
        return 0;
    return chosen;
}

static enum flight_fault read_payload1(struct handshake *handshake, const uint8_t *payload,
                                       size_t n, uint8_t session_cipher)
{
    struct flight_info *info = &handshake->info;
    const uint8_t *at = payload;
    uint8_t flags = *at++;
    bool joins = flags & PAYLOAD1_JOINS;
    info->n_ciphers = *at++;
    if (joins != info->joins || info->n_ciphers < 1 || info->n_ciphers > sizeof info->ciphers)
        return FLIGHT_FIELDS;
    /* That there is room for one cipher was checked with the length. */
    size_t n_fixed = PAYLOAD1_MIN_BYTES - 1u + info->n_ciphers + (joins ? PAYLOAD1_JOIN_BYTES : 0);
    if (n < n_fixed)
        return FLIGHT_FIELDS;
    memcpy(info->ciphers, at, info->n_ciphers);
    at += info->n_ciphers;
    info->keep_s = (uint32_t)flight_get(at, 4);
    at += 4;
    info->most_up = (uint32_t)flight_get(at, 4);
    info->most_down = (uint32_t)flight_get(at + 4, 4);
    at += 8;
    info->is_own = joins && (flags & PAYLOAD1_OWN) != 0;
    if (joins)
        info->join_number = flight_get(at, PAYLOAD1_JOIN_BYTES);
    if (joins && (info->join_number == 0 || info->join_number > MAX_JOIN_NUMBER))
        return FLIGHT_FIELDS;
    info->cipher = choose_cipher(info, handshake->user.n_bytes, session_cipher);
    return info->cipher != 0 ? FLIGHT_SOUND : FLIGHT_CIPHER;
}

enum err handshake_open(struct handshake *handshake, const uint8_t *resume, uint8_t cipher,
                        struct rng *rng)
{
    struct flight_reader *reader = &handshake->reader;
    struct noise *noise = &handshake->noise;
    if (handshake->state != HANDSHAKE_READ)
        return ERR_BAD;
    assert((resume != NULL) == handshake->info.joins);
    handshake_mix_flight1(noise, reader->head, &handshake->user, resume, handshake->secrets.early);
    enum err err = noise_open(noise, reader->payload, reader->n_payload);
    if (err != ERR_NONE)
        return handshake_fail_by(handshake, err, FLIGHT_NOISE);
    enum flight_fault fault =
        read_payload1(handshake, reader->payload, reader->n_payload - NOISE_TAG_BYTES, cipher);
    if (fault != FLIGHT_SOUND)
        return handshake_fail(handshake, fault);
    uint8_t first = handshake->info.ciphers[0];
    handshake->secrets.early_cipher = is_known(first) ? first : 0;

    err = x25519_generate(&handshake->private_key, handshake->public_key, rng);
    if (err == ERR_NONE)
        err = handshake_mix_flight2(handshake, handshake->public_key,
                                    reader->head + FLIGHT1_EPHEMERAL);
    if (err != ERR_NONE)
        return handshake_fail_by(handshake, err, FLIGHT_NOISE);
    flight_reader_deinit(reader);
    handshake->state = HANDSHAKE_OPENED;
    return ERR_NONE;
}

/* ---- flight 2 ---- */

static enum err write_flight2(struct handshake *handshake, uint8_t kind,
                              const uint8_t ephemeral[static X25519_BYTES], uint64_t wall_ms,
                              const uint8_t *payload, size_t n_payload, struct rng *rng,
                              uint8_t *out, size_t *n)
{
    uint8_t head[FLIGHT2_HEAD_BYTES], mac2[HMAC16_BYTES];
    struct flight_keys keys = handshake_keys(handshake, FLIGHT_OF_SERVER);
    rng_fill(rng, head, FLIGHT_SALT_BYTES);
    head[FLIGHT2_KIND] = kind;
    flight_put(head + FLIGHT2_TIME, FLIGHT_TIME_BYTES, wall_ms);
    memcpy(head + FLIGHT2_EPHEMERAL, ephemeral, X25519_BYTES);
    flight_put(head + FLIGHT2_N_PAYLOAD, 2, n_payload);
    return flight_write(&keys, head, payload, n_payload, out, n, mac2);
}

enum err handshake_write_gone(struct handshake *handshake, uint64_t wall_ms, struct rng *rng,
                              uint8_t *out, size_t *n)
{
    uint8_t ephemeral[X25519_BYTES], payload[FLIGHT_MAX_BYTES];
    assert(handshake->state == HANDSHAKE_READ && handshake->info.joins);
    rng_fill(rng, ephemeral, sizeof ephemeral);
    size_t n_payload =
        handshake_pad(FLIGHT_OF_SERVER, payload, PAYLOAD2_MIN_BYTES, rng) + NOISE_TAG_BYTES;
    rng_fill(rng, payload, n_payload);
    enum err err =
        write_flight2(handshake, KIND_GONE, ephemeral, wall_ms, payload, n_payload, rng, out, n);
    if (err != ERR_NONE)
        return handshake_fail(handshake, FLIGHT_MEMORY);
    flight_reader_deinit(&handshake->reader);
    handshake->state = HANDSHAKE_GONE;
    return ERR_NONE;
}

static uint8_t *put_field(uint8_t *at, const uint8_t *bytes, size_t n)
{
    flight_put(at, 2, n);
    memcpy(at + 2, bytes, n);
    return at + 2 + n;
}

/* Returns its size, before it is sealed. */
static size_t write_payload2(const struct handshake *handshake,
                             const struct handshake_answer *answer, uint8_t *payload,
                             struct rng *rng)
{
    bool has_identity = answer->spki != NULL;
    uint8_t *at = payload;
    assert(!has_identity || PAYLOAD2_MIN_BYTES + 4 + answer->n_spki + answer->n_signature <=
                                flight_max_payload(FLIGHT_OF_SERVER) - NOISE_TAG_BYTES);
    *at++ = (uint8_t)((has_identity ? PAYLOAD2_IDENTITY : 0) |
                      (answer->accepts_early ? PAYLOAD2_EARLY : 0));
    *at++ = handshake->info.cipher;
    memcpy(at, answer->session_id, SESSION_ID_BYTES);
    at += SESSION_ID_BYTES;
    flight_put(at, 4, answer->keep_s);
    at += 4;
    if (has_identity) {
        at = put_field(at, answer->spki, answer->n_spki);
        at = put_field(at, answer->signature, answer->n_signature);
    }
    return handshake_pad(FLIGHT_OF_SERVER, payload, (size_t)(at - payload), rng);
}

enum err handshake_answer(struct handshake *handshake, const struct handshake_answer *answer,
                          uint64_t wall_ms, struct rng *rng, uint8_t *out, size_t *n)
{
    uint8_t payload[FLIGHT_MAX_BYTES];
    assert(handshake->state == HANDSHAKE_OPENED);
    size_t n_payload = write_payload2(handshake, answer, payload, rng);
    enum err err = noise_seal(&handshake->noise, payload, n_payload);
    if (err == ERR_NONE)
        err = write_flight2(handshake, KIND_ACCEPTED, handshake->public_key, wall_ms, payload,
                            n_payload + NOISE_TAG_BYTES, rng, out, n);
    if (err != ERR_NONE)
        return handshake_fail(handshake, FLIGHT_MEMORY);
    if (answer->spki != NULL) {
        const struct piece spki = {answer->spki, answer->n_spki};
        sha256(handshake->server_identity, &spki, 1);
    }
    memcpy(handshake->info.session_id, answer->session_id, SESSION_ID_BYTES);
    handshake_split(handshake);
    return ERR_NONE;
}
