/*
 * Flight 2, as it comes over the wire and as a server writes it that has the key and nothing good in mind: behind a byte of switches come
 * the head, before it is masked, and payload 2, before it is sealed.
 */
#include "crypto/sign.h"
#include "fuzz.h"
#include "handshakes.h"

enum {
    RAW = 1, /* the rest is what comes over the wire */
    SEALED = 2,
    HONEST_KIND = 4,
    HONEST_EPHEMERAL = 8,
    HONEST_LENGTH = 16,
    IDENTITY = 32, /* is expected */
    JOINS = 64,
    PIECES = 128,
};

#define PIECE_BYTES 5

static void forge(struct ends *ends, uint8_t switches, const uint8_t *data, size_t n)
{
    uint8_t head[FLIGHT2_HEAD_BYTES] = {0}, payload[FLIGHT_MAX_BYTES] = {0};
    size_t n_head = n < sizeof head ? n : sizeof head;
    memcpy(head, data, n_head);
    size_t n_payload = n - n_head, most = flight_max_payload(FLIGHT_OF_SERVER) - NOISE_TAG_BYTES;
    n_payload = n_payload < most ? n_payload : most;
    memcpy(payload, data + n_head, n_payload);
    if (switches & HONEST_KIND)
        head[FLIGHT2_KIND] = KIND_ACCEPTED;
    if (switches & HONEST_EPHEMERAL)
        memcpy(head + FLIGHT2_EPHEMERAL, ends->server->public_key, X25519_BYTES);
    if (switches & HONEST_LENGTH)
        flight_put(head + FLIGHT2_N_PAYLOAD, 2, n_payload + NOISE_TAG_BYTES);
    CHECK(ends_forge2(ends, head, payload, n_payload, switches & SEALED) == ERR_NONE);
}

static void check_info(const struct ends *ends)
{
    static const uint8_t no_id[SESSION_ID_BYTES];
    const struct flight_info *info = handshake_info(ends->client);
    struct link_secrets secrets;
    CHECK(memcmp(info->session_id, no_id, sizeof no_id) != 0);
    CHECK(memchr(info->ciphers, info->cipher, info->n_ciphers) != NULL);
    handshake_secrets(ends->client, &secrets);
    CHECK(secrets.cipher == info->cipher);
    /* An identity takes a signature, and nobody here has that key. */
    CHECK(ends->offer.identity == NULL || ends->offer.joins);
}

/* Returns its fault; -1: there is more to come. */
static int judge(struct ends *ends, const uint8_t *bytes, size_t n, size_t piece)
{
    enum err err = ERR_MORE;
    for (size_t at = 0; at < n && err == ERR_MORE;) {
        size_t size = n - at < piece ? n - at : piece, used;
        uint8_t *copy = exact_copy(bytes + at, size);
        err = handshake_read(ends->client, copy, size, 0, &used);
        CHECK(err == ERR_BAD ? used == 0 : used <= size);
        CHECK(err != ERR_MORE || used == size);
        free(copy);
        at += used;
    }
    if (err == ERR_MORE)
        return -1;
    CHECK((err == ERR_NONE) == (handshake_fault(ends->client) == FLIGHT_SOUND));
    if (err == ERR_NONE && !handshake_is_gone(ends->client))
        check_info(ends);
    return (int)handshake_fault(ends->client);
}

/* As far as it takes a server that has opened flight 1. */
static void call(struct ends *ends, const struct sign_key *identity, uint8_t switches)
{
    static const struct link_secrets session = {.cipher = RECORD_AES_256_GCM};
    ends_init(ends, 32, 0);
    if (switches & IDENTITY)
        ends->offer.identity = sign_key_public(identity);
    if (switches & JOINS)
        ends_join(ends, &session, 1);
    CHECK(ends_call(ends, ENDS_NOW_MS, 0) == ERR_NONE);
    CHECK(ends_hear(ends, ends->flight1, ends->n_flight1) == ERR_NONE);
    CHECK(ends_open(ends) == ERR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct sign_key *identity;
    struct seeded seeded = seeded_with(9);
    struct ends ends, again;
    if (n == 0)
        return 0;
    CHECK(crypto_load() == ERR_NONE);
    if (identity == NULL)
        CHECK(sign_key_generate(&identity, SIGN_ED25519, 0, &seeded.rng) == ERR_NONE);
    uint8_t switches = data[0];
    call(&ends, identity, switches);
    const uint8_t *bytes = data + 1;
    size_t n_bytes = n - 1;
    if (!(switches & RAW)) {
        forge(&ends, switches, data + 1, n - 1);
        bytes = ends.flight2;
        n_bytes = ends.n_flight2;
    }
    int fault = judge(&ends, bytes, n_bytes, n_bytes > 0 ? n_bytes : 1);
    if (switches & PIECES) {
        /* The same seed makes the same flight 1. */
        call(&again, identity, switches);
        CHECK(judge(&again, bytes, n_bytes, PIECE_BYTES) == fault);
        ends_deinit(&again);
    }
    ends_deinit(&ends);
    return 0;
}
