#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/sign.h"
#include "link/handshake_state.h"

/* Best first; returns how many. */
static uint8_t choose_ciphers(uint8_t ciphers[static 2], const struct handshake_offer *offer)
{
    if (offer->joins) {
        ciphers[0] = offer->cipher;
        return 1;
    }
    switch (offer->user->n_bytes) {
    case 16:
        ciphers[0] = RECORD_AES_128_GCM;
        return 1;
    case 24:
        ciphers[0] = RECORD_AES_192_GCM;
        return 1;
    default:
        ciphers[0] = offer->has_aes ? RECORD_AES_256_GCM : RECORD_CHACHA20_POLY1305;
        ciphers[1] = offer->has_aes ? RECORD_CHACHA20_POLY1305 : RECORD_AES_256_GCM;
        return 2;
    }
}

/* The fields of flight 1 that are known before it is written. */
static void begin_head(const struct handshake *handshake, uint8_t head[static FLIGHT1_HEAD_BYTES])
{
    const struct handshake_offer *offer = &handshake->offer;
    memset(head, 0, FLIGHT1_HEAD_BYTES);
    head[FLIGHT1_VERSION] = PROTOCOL_VERSION;
    memcpy(head + FLIGHT1_EPHEMERAL, handshake->public_key, sizeof handshake->public_key);
    memcpy(head + FLIGHT1_TAG, offer->user->tag, sizeof offer->user->tag);
    flight_put(head + FLIGHT1_TIME, FLIGHT_TIME_BYTES, handshake->info.time_ms);
    if (offer->joins)
        memcpy(head + FLIGHT1_SESSION_ID, offer->session_id, SESSION_ID_BYTES);
}

static const uint8_t *resume_of(const struct handshake *handshake)
{
    return handshake->offer.joins ? handshake->offer.resume : NULL;
}

enum err handshake_start(struct handshake **out, const struct handshake_offer *offer,
                         uint64_t time_ms, struct rng *rng)
{
    uint8_t head[FLIGHT1_HEAD_BYTES];
    struct handshake *handshake = calloc(1, sizeof *handshake);
    if (handshake == NULL)
        return ERR_MEMORY;
    handshake->is_client = true;
    handshake->offer = *offer;
    struct flight_info *info = &handshake->info;
    info->joins = offer->joins;
    info->join_number = offer->joins ? offer->join_number : 0;
    info->n_ciphers = choose_ciphers(info->ciphers, offer);
    info->time_ms = time_ms;
    if (flight_reader_init(&handshake->reader, FLIGHT_OF_SERVER) != ERR_NONE ||
        x25519_generate(&handshake->private_key, handshake->public_key, rng) != ERR_NONE) {
        handshake_free(handshake);
        return ERR_MEMORY;
    }
    /* The early secret does not depend on what of the prologue is not known yet. */
    begin_head(handshake, head);
    handshake_mix_flight1(&handshake->noise, head, offer->user, resume_of(handshake),
                          handshake->secrets.early);
    handshake->secrets.early_cipher = info->ciphers[0];
    *out = handshake;
    return ERR_NONE;
}

/* Returns its size, before it is sealed. */
static size_t write_payload1(const struct handshake *handshake, uint8_t *payload, struct rng *rng)
{
    const struct handshake_offer *offer = &handshake->offer;
    const struct flight_info *info = &handshake->info;
    uint8_t *at = payload;
    *at++ = !offer->joins ? 0 : offer->is_own ? PAYLOAD1_JOINS | PAYLOAD1_OWN : PAYLOAD1_JOINS;
    *at++ = info->n_ciphers;
    memcpy(at, info->ciphers, info->n_ciphers);
    at += info->n_ciphers;
    flight_put(at, 4, offer->keep_s);
    at += 4;
    flight_put(at, 4, offer->most_up);
    flight_put(at + 4, 4, offer->most_down);
    at += 8;
    if (offer->joins) {
        flight_put(at, PAYLOAD1_JOIN_BYTES, offer->join_number);
        at += PAYLOAD1_JOIN_BYTES;
    }
    return handshake_pad(FLIGHT_OF_CLIENT, payload, (size_t)(at - payload), rng);
}

enum err handshake_write(struct handshake *handshake, uint32_t n_early, struct rng *rng,
                         uint8_t *out, size_t *n)
{
    uint8_t head[FLIGHT1_HEAD_BYTES], payload[FLIGHT_MAX_BYTES];
    assert(handshake->state == HANDSHAKE_BEGUN && n_early <= FLIGHT_MAX_EARLY_BYTES);
    static_assert(FLIGHT1_HEAD_BYTES + 2 * HMAC16_BYTES + PAYLOAD1_MIN_BYTES +
                          sizeof handshake->info.ciphers + PAYLOAD1_JOIN_BYTES + MAX_PADDING_BYTES +
                          NOISE_TAG_BYTES <=
                      FLIGHT1_MOST_BYTES,
                  "a flight of ours that is longer");
    begin_head(handshake, head);
    rng_fill(rng, head, FLIGHT_SALT_BYTES);
    size_t n_payload = write_payload1(handshake, payload, rng);
    flight_put(head + FLIGHT1_N_PAYLOAD, 2, n_payload + NOISE_TAG_BYTES);
    flight_put(head + FLIGHT1_N_EARLY, 4, n_early);

    handshake_mix_flight1(&handshake->noise, head, handshake->offer.user, resume_of(handshake),
                          handshake->secrets.early);
    enum err err = noise_seal(&handshake->noise, payload, n_payload);
    if (err == ERR_NONE) {
        struct flight_keys keys = handshake_keys(handshake, FLIGHT_OF_CLIENT);
        err = flight_write(&keys, head, payload, n_payload + NOISE_TAG_BYTES, out, n,
                           handshake->flight1_mac);
    }
    if (err != ERR_NONE)
        return handshake_fail(handshake, FLIGHT_MEMORY);
    handshake->state = HANDSHAKE_READING;
    return ERR_NONE;
}

/* ---- flight 2 ---- */

static enum err check_mac1(struct handshake *handshake)
{
    struct flight_reader *reader = &handshake->reader;
    struct flight_keys keys = handshake_keys(handshake, FLIGHT_OF_SERVER);
    if (!flight_reader_is_authentic(reader, &keys))
        return handshake_fail(handshake, FLIGHT_MAC);
    uint8_t kind = reader->head[FLIGHT2_KIND];
    size_t n_payload = (size_t)flight_get(reader->head + FLIGHT2_N_PAYLOAD, 2);
    /* A flight that joins nothing names no session that could be gone. */
    if (kind != KIND_ACCEPTED && !(kind == KIND_GONE && handshake->offer.joins))
        return handshake_fail(handshake, FLIGHT_FIELDS);
    if (n_payload < PAYLOAD2_MIN_BYTES + NOISE_TAG_BYTES ||
        n_payload > flight_max_payload(FLIGHT_OF_SERVER))
        return handshake_fail(handshake, FLIGHT_LENGTH);
    return flight_reader_expect(reader, n_payload) == ERR_NONE
               ? ERR_NONE
               : handshake_fail(handshake, FLIGHT_MEMORY);
}

/* A field with its length in two bytes before it; false: it is cut off. */
static bool take_field(struct piece *field, const uint8_t **at, const uint8_t *end)
{
    if (end - *at < 2)
        return false;
    field->n = (size_t)flight_get(*at, 2);
    field->bytes = *at + 2;
    *at += 2;
    if ((size_t)(end - *at) < field->n)
        return false;
    *at += field->n;
    return true;
}

static enum err check_identity(struct handshake *handshake, struct piece spki,
                               struct piece signature)
{
    const struct verify_key *expected = handshake->offer.identity;
    uint8_t text[HANDSHAKE_SIGN_BYTES];
    if (!verify_key_is(expected, spki.bytes, spki.n))
        return ERR_BAD;
    handshake_signed_bytes(handshake, spki.bytes, spki.n, text);
    enum err err = verify(expected, text, sizeof text, signature.bytes, signature.n);
    return err == ERR_AUTH ? ERR_BAD : err;
}

static bool was_offered(const struct flight_info *info, uint8_t cipher)
{
    return memchr(info->ciphers, cipher, info->n_ciphers) != NULL;
}

/* Whether the id is one that this flight may be answered with. */
static bool is_session_id_sound(const struct handshake *handshake)
{
    static const uint8_t none[SESSION_ID_BYTES];
    const uint8_t *id = handshake->info.session_id;
    return handshake->offer.joins ? memcmp(id, handshake->offer.session_id, sizeof none) == 0
                                  : memcmp(id, none, sizeof none) != 0;
}

static enum err read_payload2(struct handshake *handshake, const uint8_t *payload, size_t n)
{
    struct flight_info *info = &handshake->info;
    const uint8_t *end = payload + n, *at = payload + PAYLOAD2_MIN_BYTES;
    uint8_t flags = payload[0];
    struct piece spki = {0}, signature = {0};
    info->cipher = payload[1];
    memcpy(info->session_id, payload + 2, SESSION_ID_BYTES);
    info->keep_s = (uint32_t)flight_get(payload + 2 + SESSION_ID_BYTES, 4);
    info->is_early_accepted = flags & PAYLOAD2_EARLY;
    bool has_identity = flags & PAYLOAD2_IDENTITY;
    if (has_identity && !(take_field(&spki, &at, end) && take_field(&signature, &at, end)))
        return handshake_fail(handshake, FLIGHT_FIELDS);
    if (!was_offered(info, info->cipher))
        return handshake_fail(handshake, FLIGHT_CIPHER);
    if (!is_session_id_sound(handshake))
        return handshake_fail(handshake, FLIGHT_FIELDS);
    if (handshake->offer.identity != NULL && !handshake->offer.joins) {
        enum err err = has_identity ? check_identity(handshake, spki, signature) : ERR_BAD;
        if (err != ERR_NONE)
            return handshake_fail_by(handshake, err, FLIGHT_IDENTITY);
    }
    if (has_identity)
        sha256(handshake->server_identity, &spki, 1);
    return ERR_NONE;
}

static enum err check_mac2(struct handshake *handshake)
{
    struct flight_reader *reader = &handshake->reader;
    struct flight_keys keys = handshake_keys(handshake, FLIGHT_OF_SERVER);
    if (!flight_reader_is_authentic(reader, &keys))
        return handshake_fail(handshake, FLIGHT_MAC_2);
    handshake->info.time_ms = flight_get(reader->head + FLIGHT2_TIME, FLIGHT_TIME_BYTES);
    if (reader->head[FLIGHT2_KIND] == KIND_GONE) {
        handshake->state = HANDSHAKE_GONE;
        return ERR_NONE;
    }
    const uint8_t *server_public = reader->head + FLIGHT2_EPHEMERAL;
    enum err err = handshake_mix_flight2(handshake, server_public, server_public);
    if (err == ERR_NONE)
        err = noise_open(&handshake->noise, reader->payload, reader->n_payload);
    if (err != ERR_NONE)
        return handshake_fail_by(handshake, err, FLIGHT_NOISE);
    err = read_payload2(handshake, reader->payload, reader->n_payload - NOISE_TAG_BYTES);
    if (err == ERR_NONE)
        handshake_split(handshake);
    return err;
}

enum err handshake_client_check(struct handshake *handshake, enum flight_stage stage)
{
    switch (stage) {
    case FLIGHT_HEAD:
        return flight_reader_unmask(&handshake->reader, handshake->offer.server->prk) == ERR_NONE
                   ? ERR_NONE
                   : handshake_fail(handshake, FLIGHT_MEMORY);
    case FLIGHT_MAC1:
        return check_mac1(handshake);
    case FLIGHT_MAC2:
        return check_mac2(handshake);
    default:
        return ERR_NONE;
    }
}

bool handshake_is_gone(const struct handshake *handshake)
{
    return handshake->state == HANDSHAKE_GONE;
}
