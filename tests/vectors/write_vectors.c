/*
 * write_vectors SEED: handshakes and records of ours, in the form of handshakes.json and records.json, for another implementation to check
 * (tests/interop/verify.py).
 */
#include <jansson.h>
#include <stdio.h>

#include "crypto/sign.h"
#include "handshakes.h"
#include "link/record.h"

#define MAX_RECORD_BYTES 2000
#define OVERHEAD (RECORD_HEADER_BYTES + RECORD_TAG_BYTES)

static void insist_at(bool is_good, int line)
{
    if (!is_good) {
        fprintf(stderr, "write_vectors.c:%d: failed\n", line);
        exit(1);
    }
}
#define INSIST(condition) insist_at(condition, __LINE__)

static void put_hex(json_t *object, const char *name, const void *bytes, size_t n)
{
    char *text = calloc(2, n + 1);
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", at[i]);
    json_object_set_new(object, name, json_string(text));
    free(text);
}

static void append_hex(json_t *array, const void *bytes, size_t n)
{
    json_t *object = json_object();
    put_hex(object, "hex", bytes, n);
    json_array_append(array, json_object_get(object, "hex"));
    json_decref(object);
}

static void put_number(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

/* What one handshake is to have. */
struct wish {
    const char *name;
    size_t n_server, n_user;
    bool has_no_aes;
    enum identity { NONE, ED25519, RSA } server, client;
    bool joins;
    unsigned n_early; /* records */
};

static const struct wish wishes[] = {
    {.name = "AES-128-GCM", .n_server = 16},
    {.name = "AES-192-GCM", .n_server = 24},
    {.name = "AES-256-GCM", .n_server = 32},
    {.name = "ChaCha20-Poly1305", .n_server = 32, .has_no_aes = true},
    {.name = "a user of 16 bytes", .n_server = 32, .n_user = 16},
    {.name = "a user of 32 bytes", .n_server = 16, .n_user = 32},
    {.name = "an Ed25519 server", .n_server = 32, .server = ED25519},
    {.name = "an RSA server", .n_server = 32, .server = RSA},
    {.name = "an Ed25519 client", .n_server = 32, .client = ED25519},
    {.name = "an Ed25519 server and an RSA client",
     .n_server = 24,
     .server = ED25519,
     .client = RSA},
    {.name = "early records", .n_server = 32, .n_early = 3},
    {.name = "a join", .n_server = 32, .joins = true},
    {.name = "a join with early records",
     .n_server = 32,
     .has_no_aes = true,
     .joins = true,
     .n_early = 2},
};

struct writing {
    const struct wish *wish;
    struct ends ends;
    struct sign_key *server, *client;
    uint8_t signature[SIGN_MAX_BYTES];
    json_t *vector, *flight1;
};

static struct sign_key *identity_of(struct writing *writing, enum identity kind)
{
    struct sign_key *key = NULL;
    if (kind != NONE)
        INSIST(sign_key_generate(&key, kind == RSA ? SIGN_RSA : SIGN_ED25519, SIGN_MIN_RSA_BITS,
                                 &writing->ends.seeded.rng) == ERR_NONE);
    return key;
}

static void put_spki(json_t *object, const struct sign_key *key)
{
    size_t n;
    const uint8_t *spki = verify_key_spki(sign_key_public(key), &n);
    put_hex(object, "spki", spki, n);
}

/* Records sealed one behind the other, of sizes that are drawn. Returns how many bytes they are. */
static size_t write_records(struct rng *rng, struct record_sealer *sealer, unsigned n_records,
                            json_t *payloads, uint8_t *out)
{
    size_t n = 0;
    for (unsigned i = 0; i < n_records; i++) {
        uint8_t plain[MAX_RECORD_BYTES];
        struct piece piece = {plain, (size_t)rng_below(rng, sizeof plain)};
        size_t n_wire;
        memset(plain, 0, sizeof plain); /* PADDING, so that it has frames */
        INSIST(record_seal(sealer, &piece, 1, out + n, &n_wire) == ERR_NONE);
        append_hex(payloads, plain, piece.n);
        n += n_wire;
    }
    return n;
}

static void call(struct writing *writing)
{
    struct ends *ends = &writing->ends;
    json_t *flight1 = writing->flight1;
    uint8_t early[4 * (MAX_RECORD_BYTES + OVERHEAD)], secret[32], cipher;
    size_t n_early = 0;
    INSIST(handshake_start(&ends->client, &ends->offer, ENDS_NOW_MS, &ends->seeded.rng) ==
           ERR_NONE);
    put_hex(flight1, "e_private", ends->client->private_key.bytes, X25519_BYTES);
    if (writing->wish->n_early > 0) {
        json_t *payloads = json_array();
        handshake_early_secret(ends->client, secret, &cipher);
        struct record_sealer *sealer = record_sealer_new(cipher, secret, NULL);
        n_early = write_records(&ends->seeded.rng, sealer, writing->wish->n_early, payloads, early);
        record_sealer_free(sealer);
        json_object_set_new(flight1, "early_payloads", payloads);
        put_hex(flight1, "early_wire", early, n_early);
    }
    INSIST(handshake_write(ends->client, (uint32_t)n_early, &ends->seeded.rng, ends->flight1,
                           &ends->n_flight1) == ERR_NONE);
    put_hex(flight1, "wire", ends->flight1, ends->n_flight1);
    put_hex(flight1, "salt", ends->flight1, FLIGHT_SALT_BYTES);
    put_number(flight1, "time", ENDS_NOW_MS);
    put_number(flight1, "n_early", n_early);
}

/* What the client has written, as the server finds it. */
static void hear(struct writing *writing)
{
    struct ends *ends = &writing->ends;
    struct noise noise;
    uint8_t payload[FLIGHT_MAX_BYTES], early[32];
    INSIST(ends_hear(ends, ends->flight1, ends->n_flight1) == ERR_NONE);
    const struct flight_reader *reader = &ends->server->reader;
    size_t n = reader->n_payload;
    memcpy(payload, reader->payload, n);
    handshake_mix_flight1(&noise, reader->head, &ends->user_key,
                          ends->offer.joins ? ends->offer.resume : NULL, early);
    INSIST(noise_open(&noise, payload, n) == ERR_NONE);
    n -= NOISE_TAG_BYTES;
    put_hex(writing->flight1, "payload", payload, n);
    put_hex(writing->flight1, "session_id", reader->head + FLIGHT1_SESSION_ID, SESSION_ID_BYTES);
    size_t n_fixed = PAYLOAD1_MIN_BYTES - 1u + payload[1] + (ends->offer.joins ? 8u : 0u);
    put_number(writing->flight1, "n_padding", n - n_fixed);
    INSIST(ends_open(ends) == ERR_NONE);
}

static void answer(struct writing *writing)
{
    struct ends *ends = &writing->ends;
    struct handshake_answer *answer = &ends->answer;
    json_t *flight2 = json_object();
    if (writing->server != NULL) {
        uint8_t text[HANDSHAKE_SIGN_BYTES];
        answer->spki = verify_key_spki(sign_key_public(writing->server), &answer->n_spki);
        handshake_sign_bytes(ends->server, answer->spki, answer->n_spki, text);
        INSIST(sign(writing->server, text, sizeof text, writing->signature, &answer->n_signature) ==
               ERR_NONE);
        answer->signature = writing->signature;
        json_t *identity = json_object();
        put_spki(identity, writing->server);
        json_object_set_new(writing->vector, "server_identity", identity);
    }
    answer->accepts_early = writing->wish->n_early > 0;
    INSIST(ends_answer(ends) == ERR_NONE);
    put_hex(flight2, "wire", ends->flight2, ends->n_flight2);
    json_object_set_new(writing->vector, "flight2", flight2);
    INSIST(ends_get_answer(ends, ends->flight2, ends->n_flight2) == ERR_NONE);
}

/* The client's first record has the frame AUTH. */
static void authenticate(struct writing *writing, const struct link_secrets *secrets)
{
    struct ends *ends = &writing->ends;
    json_t *identity = json_object();
    uint8_t text[HANDSHAKE_SIGN_BYTES], frame[2500] = {0x0c}, wire[2500 + OVERHEAD];
    size_t n_spki, n_signature, n;
    const uint8_t *spki = verify_key_spki(sign_key_public(writing->client), &n_spki);
    handshake_sign_bytes(ends->client, spki, n_spki, text);
    flight_put(frame + 1, 2, n_spki);
    memcpy(frame + 3, spki, n_spki);
    INSIST(sign(writing->client, text, sizeof text, frame + 5 + n_spki, &n_signature) == ERR_NONE);
    flight_put(frame + 3 + n_spki, 2, n_signature);
    struct record_sealer *sealer = record_sealer_new(secrets->cipher, secrets->send, NULL);
    const struct piece piece = {frame, 5 + n_spki + n_signature};
    INSIST(record_seal(sealer, &piece, 1, wire, &n) == ERR_NONE);
    record_sealer_free(sealer);
    put_spki(identity, writing->client);
    put_hex(identity, "signed_text", text, sizeof text);
    put_hex(identity, "first_record", wire, n);
    json_object_set_new(writing->vector, "client_identity", identity);
}

static void put_keys(struct writing *writing)
{
    static const uint8_t server[32] = ENDS_SERVER_BYTES, user[32] = ENDS_USER_BYTES;
    const struct wish *wish = writing->wish;
    json_t *keys = json_object();
    put_hex(keys, "S", server, wish->n_server);
    put_hex(keys, "U", wish->n_user > 0 ? user : server,
            wish->n_user > 0 ? wish->n_user : wish->n_server);
    put_hex(keys, "tag", writing->ends.user_key.tag, FLIGHT_TAG_BYTES);
    json_object_set_new(writing->vector, "keys", keys);
}

static json_t *handshake_of(const struct wish *wish, uint64_t seed)
{
    static struct writing writing;
    struct link_secrets session, secrets;
    struct ends *ends = &writing.ends;
    writing = (struct writing){.wish = wish, .vector = json_object(), .flight1 = json_object()};
    ends_init(ends, wish->n_server, wish->n_user);
    ends->seeded = seeded_with(seed);
    ends->offer.has_aes = !wish->has_no_aes;
    writing.server = identity_of(&writing, wish->server);
    writing.client = identity_of(&writing, wish->client);
    INSIST(ends_play(ends) == ERR_NONE);
    handshake_secrets(ends->client, &session);
    ends_end(ends);
    if (wish->joins)
        ends_join(ends, &session, 1 + rng_below(&ends->seeded.rng, 1000));

    json_object_set_new(writing.vector, "name", json_string(wish->name));
    json_object_set_new(writing.vector, "flight1", writing.flight1);
    put_keys(&writing);
    call(&writing);
    hear(&writing);
    answer(&writing);
    handshake_secrets(ends->client, &secrets);
    put_hex(writing.vector, "k1", secrets.send, 32);
    put_hex(writing.vector, "k2", secrets.receive, 32);
    put_number(writing.vector, "cipher", secrets.cipher);
    json_object_set_new(writing.vector, "early_accepted",
                        json_boolean(handshake_info(ends->client)->is_early_accepted));
    json_t *of_session = json_object();
    put_hex(of_session, "id", ends->answer.session_id, SESSION_ID_BYTES);
    put_hex(of_session, "resume", wish->joins ? session.resume : secrets.resume, 32);
    json_object_set_new(writing.vector, "session", of_session);
    if (writing.client != NULL)
        authenticate(&writing, &secrets);
    sign_key_free(writing.server);
    sign_key_free(writing.client);
    ends_deinit(ends);
    return writing.vector;
}

/* Twenty records of one direction, whose key changes by their number or by their bytes. */
static json_t *run_of(uint8_t cipher, const struct record_limits *limits, uint64_t seed)
{
    struct seeded seeded = seeded_with(seed);
    json_t *run = json_object(), *records = json_array();
    uint8_t secret[32];
    uint64_t n_records = 0, n_bytes = 0;
    rng_fill(&seeded.rng, secret, sizeof secret);
    struct record_sealer *sealer = record_sealer_new(cipher, secret, limits);
    INSIST(sealer != NULL);
    for (unsigned i = 0; i < 20; i++) {
        uint8_t plain[MAX_RECORD_BYTES], wire[MAX_RECORD_BYTES + OVERHEAD];
        const struct piece piece = {plain, (size_t)rng_below(&seeded.rng, sizeof plain)};
        json_t *record = json_object();
        size_t n;
        rng_fill(&seeded.rng, plain, piece.n);
        INSIST(record_seal(sealer, &piece, 1, wire, &n) == ERR_NONE);
        n_records++;
        n_bytes += piece.n;
        bool changes_key = n_records >= limits->max_records || n_bytes >= limits->max_bytes;
        n_records = changes_key ? 0 : n_records;
        n_bytes = changes_key ? 0 : n_bytes;
        put_hex(record, "payload", plain, piece.n);
        put_hex(record, "wire", wire, n);
        json_object_set_new(record, "changes_key", json_boolean(changes_key));
        json_array_append_new(records, record);
    }
    record_sealer_free(sealer);
    json_object_set_new(run, "name", json_string("twenty records"));
    put_number(run, "cipher", cipher);
    put_hex(run, "chain", secret, sizeof secret);
    put_number(run, "first_number", 0);
    json_object_set_new(run, "records", records);
    return run;
}

int main(int argc, char **argv)
{
    static const struct record_limits limits[] = {{3, UINT64_MAX}, {UINT64_MAX, 5000}};
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    json_t *root = json_object(), *handshakes = json_array(), *runs = json_array();
    INSIST(crypto_load() == ERR_NONE);
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
        json_array_append_new(handshakes, handshake_of(&wishes[i], seed++));
    for (uint8_t cipher = RECORD_AES_128_GCM; cipher <= RECORD_CHACHA20_POLY1305; cipher++) {
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
            json_array_append_new(runs, run_of(cipher, &limits[i], seed++));
    }
    json_object_set_new(root, "handshakes", handshakes);
    json_object_set_new(root, "runs", runs);
    INSIST(json_dumpf(root, stdout, JSON_INDENT(1)) == 0);
    json_decref(root);
    return 0;
}
