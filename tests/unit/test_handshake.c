/* The handshake between its two ends: what succeeds, and that each thing that is wrong fails for its own reason. What its
 * bytes are, tests/vectors says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/sign.h"
#include "handshakes.h"
#include "link/record.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static int begin(void **state)
{
    struct ends *ends = malloc(sizeof *ends);
    ends_init(ends, 32, 0);
    *state = ends;
    return 0;
}

static int end(void **state)
{
    ends_deinit(*state);
    free(*state);
    return 0;
}

static void assert_fault(const struct handshake *handshake, enum flight_fault fault)
{
    assert_int_equal(handshake_fault(handshake), fault);
}

/* Both ends have the same secrets, and records go through in both directions. */
static void assert_linked(const struct ends *ends)
{
    struct link_secrets client, server;
    uint8_t wire[64], *payload;
    size_t n, n_payload, used;
    const struct piece piece = {"payload", 7};

    handshake_secrets(ends->client, &client);
    handshake_secrets(ends->server, &server);
    assert_memory_equal(client.send, server.receive, 32);
    assert_memory_equal(client.receive, server.send, 32);
    assert_memory_not_equal(client.send, client.receive, 32);
    assert_memory_equal(client.resume, server.resume, 32);
    assert_memory_equal(client.early, server.early, 32);
    assert_int_equal(client.cipher, server.cipher);
    assert_int_equal(client.early_cipher, server.early_cipher);

    struct record_sealer *sealer = record_sealer_new(client.cipher, client.send, NULL);
    struct record_opener *opener = record_opener_new(server.cipher, server.receive, NULL);
    assert_int_equal(record_seal(sealer, &piece, 1, wire, &n), ERR_NONE);
    assert_int_equal(record_open(opener, wire, n, &payload, &n_payload, &used), ERR_NONE);
    assert_int_equal(n_payload, 7);
    assert_memory_equal(payload, "payload", 7);
    record_sealer_free(sealer);
    record_opener_free(opener);
}

static void a_fresh_handshake_gives_both_ends_the_same(void **state)
{
    struct ends *ends = *state;
    assert_int_equal(ends_play(ends), ERR_NONE);
    assert_linked(ends);
    const struct flight_info *client = handshake_info(ends->client);
    const struct flight_info *server = handshake_info(ends->server);
    assert_memory_equal(client->session_id, ends->answer.session_id, SESSION_ID_BYTES);
    assert_int_equal(client->keep_s, 1200);
    assert_int_equal(client->time_ms, ENDS_NOW_MS + 1);
    assert_int_equal(server->keep_s, 600);
    assert_int_equal(server->time_ms, ENDS_NOW_MS);
    assert_false(server->joins);
    assert_false(client->is_early_accepted);
}

static void acc_77_keys_of_each_length_choose_their_cipher(void **state)
{
    static const struct {
        size_t n_server, n_user;
        bool has_aes;
        uint8_t cipher;
    } cases[] = {
        {16, 0, true, RECORD_AES_128_GCM},         {24, 0, true, RECORD_AES_192_GCM},
        {32, 0, true, RECORD_AES_256_GCM},         {32, 0, false, RECORD_CHACHA20_POLY1305},
        {16, 0, false, RECORD_AES_128_GCM},        {32, 16, true, RECORD_AES_128_GCM},
        {16, 32, true, RECORD_AES_256_GCM},        {16, 24, false, RECORD_AES_192_GCM},
        {24, 32, false, RECORD_CHACHA20_POLY1305},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        struct ends ends;
        ends_init(&ends, cases[i].n_server, cases[i].n_user);
        ends.offer.has_aes = cases[i].has_aes;
        assert_int_equal(ends_play(&ends), ERR_NONE);
        assert_linked(&ends);
        assert_int_equal(handshake_info(ends.client)->cipher, cases[i].cipher);
        assert_int_equal(handshake_info(ends.server)->cipher, cases[i].cipher);
        assert_ptr_equal(handshake_info(ends.server)->user, cases[i].n_user > 0 ? &ends : NULL);
        ends_deinit(&ends);
    }
}

static void both_flights_may_come_a_byte_at_a_time(void **state)
{
    struct ends *ends = *state;
    size_t used;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(handshake_expect(&ends->server, &ends->ground), ERR_NONE);
    for (size_t i = 0; i < ends->n_flight1; i++) {
        assert_int_equal(handshake_read(ends->server, ends->flight1 + i, 1, ENDS_NOW_MS, &used),
                         i + 1 < ends->n_flight1 ? ERR_MORE : ERR_NONE);
        assert_int_equal(used, 1);
    }
    assert_int_equal(ends_open(ends), ERR_NONE);
    assert_int_equal(ends_answer(ends), ERR_NONE);
    for (size_t i = 0; i < ends->n_flight2; i++) {
        assert_int_equal(handshake_read(ends->client, ends->flight2 + i, 1, 0, &used),
                         i + 1 < ends->n_flight2 ? ERR_MORE : ERR_NONE);
        assert_int_equal(used, 1);
    }
    assert_linked(ends);
}

static void what_lies_behind_a_flight_is_not_taken(void **state)
{
    struct ends *ends = *state;
    uint8_t more[FLIGHT_MAX_BYTES + 100] = {0};
    size_t used;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 100), ERR_NONE);
    memcpy(more, ends->flight1, ends->n_flight1);
    assert_int_equal(handshake_expect(&ends->server, &ends->ground), ERR_NONE);
    assert_int_equal(handshake_read(ends->server, more, ends->n_flight1 + 100, ENDS_NOW_MS, &used),
                     ERR_NONE);
    assert_int_equal(used, ends->n_flight1);
    assert_int_equal(handshake_info(ends->server)->n_early, 100);
}

/* Beside what is drawn nothing of a flight repeats, and its length is drawn too. */
static void no_two_flights_are_alike(void **state)
{
    struct ends *ends = *state;
    uint8_t before[FLIGHT_MAX_BYTES];
    bool seen[1024] = {false};
    size_t n_sizes = 0;
    for (unsigned times = 0; times < 300; times++) {
        memcpy(before, ends->flight1, sizeof before);
        assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
        for (size_t at = 0; at + 8 <= 103 && times > 0; at++)
            assert_memory_not_equal(before + at, ends->flight1 + at, 8);
        assert_true(ends->n_flight1 < sizeof seen);
        n_sizes += !seen[ends->n_flight1];
        seen[ends->n_flight1] = true;
        ends_end(ends);
    }
    assert_true(n_sizes > 150);
}

/* ---- what fails at the server ---- */

static void any_flipped_bit_of_flight_1_fails(void **state)
{
    struct ends *ends = *state;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    for (size_t bit = 0; bit < 8 * ends->n_flight1; bit++) {
        uint8_t bytes[FLIGHT_MAX_BYTES];
        memcpy(bytes, ends->flight1, ends->n_flight1);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(ends_hear(ends, bytes, ends->n_flight1), ERR_BAD);
        assert_fault(ends->server, bit / 8 < 103 ? FLIGHT_MAC : FLIGHT_MAC_2);
        handshake_free(ends->server);
        ends->server = NULL;
    }
    /* None of them has used up the salt. */
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
}

static void a_flight_that_is_cut_is_waited_for(void **state)
{
    struct ends *ends = *state;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    for (size_t n = 0; n < ends->n_flight1; n++) {
        assert_int_equal(ends_hear(ends, ends->flight1, n), ERR_MORE);
        handshake_free(ends->server);
        ends->server = NULL;
    }
}

static void random_bytes_fail_at_the_first_mac(void **state)
{
    struct ends *ends = *state;
    uint8_t bytes[2000];
    for (size_t n = 0; n <= sizeof bytes; n += 7) {
        rng_fill(&ends->seeded.rng, bytes, n);
        assert_int_equal(ends_hear(ends, bytes, n), n < 103 ? ERR_MORE : ERR_BAD);
        if (n >= 103)
            assert_fault(ends->server, FLIGHT_MAC);
        handshake_free(ends->server);
        ends->server = NULL;
    }
}

static void after_a_failure_nothing_is_taken(void **state)
{
    struct ends *ends = *state;
    uint8_t bytes[200] = {0};
    size_t used;
    assert_int_equal(ends_hear(ends, bytes, sizeof bytes), ERR_BAD);
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(
        handshake_read(ends->server, ends->flight1, ends->n_flight1, ENDS_NOW_MS, &used), ERR_BAD);
    assert_int_equal(used, 0);
    assert_null(ends->server->reader.wire);
    assert_null(ends->server->reader.payload);
}

static void a_wrong_key_fails_at_either_place(void **state)
{
    static const uint8_t wrong[32] = "it is not this one";
    (void)state;
    for (unsigned which = 0; which < 2; which++) {
        struct ends ends;
        struct link_key key;
        ends_init(&ends, 32, 32);
        link_key_init(&key, wrong, sizeof wrong);
        if (which == 0)
            ends.offer.server = &key;
        else
            ends.offer.user = &key;
        assert_int_equal(ends_call(&ends, ENDS_NOW_MS, 0), ERR_NONE);
        assert_int_equal(ends_hear(&ends, ends.flight1, ends.n_flight1), ERR_BAD);
        assert_fault(ends.server, FLIGHT_MAC);
        ends_deinit(&ends);
    }
}

/* Whoever knows the server's key, and makes a flight with the key that stands for nobody. */
static void the_key_of_nobody_lets_nobody_in(void **state)
{
    struct ends *ends = *state;
    struct link_key nobody = {.n_bytes = 32};
    ends->offer.user = &nobody;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_BAD);
    assert_fault(ends->server, FLIGHT_MAC);
}

static void the_time_may_be_w_apart_and_no_more(void **state)
{
    struct ends *ends = *state;
    static const struct {
        uint64_t time_ms;
        bool is_good;
    } times[] = {
        {ENDS_NOW_MS - ENDS_SKEW_MS, true},
        {ENDS_NOW_MS + ENDS_SKEW_MS, true},
        {ENDS_NOW_MS - ENDS_SKEW_MS - 1, false},
        {ENDS_NOW_MS + ENDS_SKEW_MS + 1, false},
        {0, false},
        {UINT64_MAX, false},
        {ENDS_NOW_MS - 3600000, false},
        {ENDS_NOW_MS + 3600000, false},
    };
    for (size_t i = 0; i < N_ITEMS(times); i++) {
        assert_int_equal(ends_call(ends, times[i].time_ms, 0), ERR_NONE);
        assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1),
                         times[i].is_good ? ERR_NONE : ERR_BAD);
        assert_fault(ends->server, times[i].is_good ? FLIGHT_SOUND : FLIGHT_TIME);
        assert_int_equal(handshake_info(ends->server)->time_ms, times[i].time_ms);
        ends_end(ends);
    }
}

static void acc_06_a_flight_that_is_played_again_fails(void **state)
{
    struct ends *ends = *state;
    assert_int_equal(ends_play(ends), ERR_NONE);
    for (unsigned times = 0; times < 3; times++) {
        handshake_free(ends->server);
        ends->server = NULL;
        assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_BAD);
        assert_fault(ends->server, FLIGHT_REPLAYED);
    }
}

static void a_flight_is_remembered_as_long_as_its_time_is_good(void **state)
{
    struct ends *ends = *state;
    static const struct {
        uint64_t wall_ms;
        enum flight_fault fault;
    } later[] = {
        {ENDS_NOW_MS, FLIGHT_SOUND},
        {ENDS_NOW_MS + ENDS_SKEW_MS, FLIGHT_REPLAYED},
        {ENDS_NOW_MS - ENDS_SKEW_MS, FLIGHT_REPLAYED},
        {ENDS_NOW_MS + ENDS_SKEW_MS + 1, FLIGHT_TIME},
    };
    size_t used;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    for (size_t i = 0; i < N_ITEMS(later); i++) {
        assert_int_equal(handshake_expect(&ends->server, &ends->ground), ERR_NONE);
        assert_int_equal(
            handshake_read(ends->server, ends->flight1, ends->n_flight1, later[i].wall_ms, &used),
            later[i].fault == FLIGHT_SOUND ? ERR_NONE : ERR_BAD);
        assert_fault(ends->server, later[i].fault);
        handshake_free(ends->server);
        ends->server = NULL;
    }
}

static void a_full_replay_set_fails(void **state)
{
    struct ends *ends = *state;
    enum err err = ERR_NONE;
    unsigned n = 0;
    for (; n < 1000 && err == ERR_NONE; n++) {
        assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
        err = ends_hear(ends, ends->flight1, ends->n_flight1);
        if (err == ERR_NONE)
            ends_end(ends);
    }
    assert_int_equal(err, ERR_BAD);
    assert_true(n > 64);
    assert_fault(ends->server, FLIGHT_FULL);
}

static void a_flight_from_before_the_low_water_mark_fails(void **state)
{
    struct ends *ends = *state;
    static const uint8_t other[REPLAY_BINDING_BYTES] = {1};
    bool is_taken_up;
    ends->ground.servers[0].replays =
        replay_set_open(ends->memory, replay_set_bytes(64), other, ENDS_NOW_MS, &is_taken_up);
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_BAD);
    assert_fault(ends->server, FLIGHT_OLD);
    ends_end(ends);
    assert_int_equal(ends_call(ends, ENDS_NOW_MS + 1, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
}

/* ---- flights of someone who has the key, and writes what he likes ---- */

struct forged {
    uint8_t head[FLIGHT1_HEAD_BYTES];
    uint8_t payload[FLIGHT_MAX_BYTES];
    size_t n_payload; /* before it is sealed */
    bool is_sealed;   /* already */
};

/* What an honest client would write. */
static struct forged honest(struct ends *ends)
{
    struct forged forged = {.n_payload = 0};
    struct secret32 key;
    uint8_t *head = forged.head, *at = forged.payload;
    rng_fill(&ends->seeded.rng, head, FLIGHT_SALT_BYTES);
    head[FLIGHT1_VERSION] = 1;
    assert_int_equal(x25519_generate(&key, head + FLIGHT1_EPHEMERAL, &ends->seeded.rng), ERR_NONE);
    memcpy(head + FLIGHT1_TAG, ends->user_key.tag, 8);
    flight_put(head + FLIGHT1_TIME, 8, ENDS_NOW_MS);
    if (ends->offer.joins)
        memcpy(head + FLIGHT1_SESSION_ID, ends->offer.session_id, SESSION_ID_BYTES);
    *at++ = ends->offer.joins;
    *at++ = 1;
    *at++ = RECORD_AES_256_GCM;
    flight_put(at, 4, 600);
    at += 4 + 4 + 4;
    if (ends->offer.joins) {
        flight_put(at, 8, 1);
        at += 8;
    }
    forged.n_payload = (size_t)(at - forged.payload);
    flight_put(head + FLIGHT1_N_PAYLOAD, 2, forged.n_payload + NOISE_TAG_BYTES);
    return forged;
}

/* Sends it, with MACs that are right, and opens it. Returns the fault. */
static enum flight_fault send_forged(struct ends *ends, struct forged *forged)
{
    assert_int_equal(
        ends_forge1(ends, forged->head, forged->payload, forged->n_payload, forged->is_sealed),
        ERR_NONE);
    enum err err = ends_hear(ends, ends->flight1, ends->n_flight1);
    if (err == ERR_NONE)
        err = ends_open(ends);
    enum flight_fault fault = handshake_fault(ends->server);
    assert_int_equal(err, fault == FLIGHT_SOUND ? ERR_NONE : ERR_BAD);
    ends_end(ends);
    return fault;
}

static void what_the_honest_write_is_accepted(void **state)
{
    struct ends *ends = *state;
    struct forged forged = honest(ends);
    assert_int_equal(send_forged(ends, &forged), FLIGHT_SOUND);
}

static void another_version_fails_as_such(void **state)
{
    struct ends *ends = *state;
    for (unsigned version = 0; version < 256; version++) {
        struct forged forged = honest(ends);
        forged.head[FLIGHT1_VERSION] = (uint8_t)version;
        if (version != 1)
            assert_int_equal(send_forged(ends, &forged), FLIGHT_VERSION);
    }
}

static void lengths_beyond_their_bounds_fail(void **state)
{
    struct ends *ends = *state;
    static const struct {
        bool joins;
        size_t n_payload;
        bool is_bad;
    } payloads[] = {
        {false, 0, true},    {false, 30, true},    {false, 31, false}, {false, 3977, false},
        {false, 3978, true}, {false, 65535, true}, {true, 38, true},   {true, 39, false},
        {true, 3977, false}, {true, 3978, true},
    };
    for (size_t i = 0; i < N_ITEMS(payloads); i++) {
        ends->offer.joins = payloads[i].joins;
        ends->offer.cipher = RECORD_AES_256_GCM;
        memset(ends->offer.session_id, payloads[i].joins, SESSION_ID_BYTES);
        struct forged forged = honest(ends);
        flight_put(forged.head + FLIGHT1_N_PAYLOAD, 2, payloads[i].n_payload);
        if (!payloads[i].is_bad)
            forged.n_payload = payloads[i].n_payload - NOISE_TAG_BYTES;
        assert_int_equal(send_forged(ends, &forged),
                         payloads[i].is_bad ? FLIGHT_LENGTH : FLIGHT_SOUND);
    }
    ends->offer.joins = false;
    for (uint32_t n_early = 65535; n_early < 65539; n_early++) {
        struct forged forged = honest(ends);
        flight_put(forged.head + FLIGHT1_N_EARLY, 4, n_early);
        assert_int_equal(send_forged(ends, &forged),
                         n_early > 65536 ? FLIGHT_LENGTH : FLIGHT_SOUND);
    }
}

static void fields_that_disagree_fail(void **state)
{
    struct ends *ends = *state;
    struct forged forged = honest(ends);
    forged.payload[0] = PAYLOAD1_JOINS; /* without an id */
    assert_int_equal(send_forged(ends, &forged), FLIGHT_FIELDS);
    forged = honest(ends);
    forged.payload[1] = 0;
    assert_int_equal(send_forged(ends, &forged), FLIGHT_FIELDS);
    forged = honest(ends);
    forged.payload[1] = 9;
    assert_int_equal(send_forged(ends, &forged), FLIGHT_FIELDS);
    /* More ciphers than the payload has room for. */
    forged = honest(ends);
    forged.payload[1] = 8;
    assert_int_equal(send_forged(ends, &forged), FLIGHT_FIELDS);
    /* Flags that are reserved are nobody's business. */
    forged = honest(ends);
    forged.payload[0] = (uint8_t)~PAYLOAD1_JOINS;
    assert_int_equal(send_forged(ends, &forged), FLIGHT_SOUND);
}

static void ciphers_that_do_not_fit_the_key_fail(void **state)
{
    static const struct {
        size_t n_key;
        uint8_t ciphers[2];
        enum flight_fault fault;
    } offers[] = {
        {32, {3, 4}, FLIGHT_SOUND},  {32, {4, 3}, FLIGHT_SOUND},  {32, {9, 4}, FLIGHT_SOUND},
        {32, {1, 3}, FLIGHT_CIPHER}, {32, {3, 1}, FLIGHT_CIPHER}, {32, {9, 0}, FLIGHT_CIPHER},
        {16, {1, 9}, FLIGHT_SOUND},  {16, {3, 1}, FLIGHT_CIPHER}, {24, {2, 2}, FLIGHT_SOUND},
        {24, {1, 1}, FLIGHT_CIPHER},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(offers); i++) {
        struct ends ends;
        ends_init(&ends, offers[i].n_key, 0);
        struct forged forged = honest(&ends);
        memmove(forged.payload + 4, forged.payload + 3, forged.n_payload - 3);
        forged.n_payload++;
        flight_put(forged.head + FLIGHT1_N_PAYLOAD, 2, forged.n_payload + NOISE_TAG_BYTES);
        forged.payload[1] = 2;
        memcpy(forged.payload + 2, offers[i].ciphers, 2);
        assert_int_equal(send_forged(&ends, &forged), offers[i].fault);
        ends_deinit(&ends);
    }
}

static void a_payload_that_does_not_open_fails_behind_the_macs(void **state)
{
    struct ends *ends = *state;
    struct forged forged = honest(ends);
    forged.is_sealed = true;
    assert_int_equal(send_forged(ends, &forged), FLIGHT_NOISE);
}

static void a_shared_secret_of_zeros_fails(void **state)
{
    struct ends *ends = *state;
    struct forged forged = honest(ends);
    memset(forged.head + FLIGHT1_EPHEMERAL, 0, X25519_BYTES);
    assert_int_equal(send_forged(ends, &forged), FLIGHT_NOISE);
}

/* Someone who has the key takes another's flight and changes what the prologue holds: the MACs can be
 * made right, the seal cannot. */
static void another_holder_of_the_key_cannot_wrap_a_flight_anew(void **state)
{
    struct ends *ends = *state;
    static const size_t places[] = {0, FLIGHT1_EPHEMERAL, FLIGHT1_TIME + 7, FLIGHT1_N_EARLY + 3};
    for (size_t i = 0; i < N_ITEMS(places); i++) {
        struct forged forged = honest(ends);
        struct noise noise;
        uint8_t early[32];
        handshake_mix_flight1(&noise, forged.head, &ends->user_key, NULL, early);
        assert_int_equal(noise_seal(&noise, forged.payload, forged.n_payload), ERR_NONE);
        forged.head[places[i]] ^= 1;
        forged.is_sealed = true; /* but was, with the other head */
        assert_int_equal(send_forged(ends, &forged), FLIGHT_NOISE);
    }
}

/* ---- what fails at the client ---- */

static void any_flipped_bit_of_flight_2_fails(void **state)
{
    struct ends *ends = *state;
    size_t n_bits = SIZE_MAX;
    for (size_t bit = 0; bit < n_bits; bit++) {
        struct seeded seeded = ends->seeded;
        assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
        if (bit == 0) {
            assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
            assert_int_equal(ends_open(ends), ERR_NONE);
            assert_int_equal(ends_answer(ends), ERR_NONE);
            n_bits = 8 * ends->n_flight2;
        }
        /* The same flight each time, so that the one answer is for it. */
        ends->seeded = seeded;
        uint8_t bytes[FLIGHT_MAX_BYTES];
        memcpy(bytes, ends->flight2, ends->n_flight2);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(ends_get_answer(ends, bytes, ends->n_flight2), ERR_BAD);
        assert_fault(ends->client, bit / 8 < 75 ? FLIGHT_MAC : FLIGHT_MAC_2);
        ends_end(ends);
    }
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2), ERR_NONE);
}

static void an_answer_to_another_flight_fails(void **state)
{
    struct ends *ends = *state;
    assert_int_equal(ends_play(ends), ERR_NONE);
    ends_end(ends);
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2), ERR_BAD);
    assert_fault(ends->client, FLIGHT_MAC);
}

static void a_clients_own_flight_is_no_answer(void **state)
{
    struct ends *ends = *state;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight1, ends->n_flight1), ERR_BAD);
    assert_fault(ends->client, FLIGHT_MAC);
}

static void an_answer_with_a_cipher_that_was_not_offered_fails(void **state)
{
    struct ends *ends = *state;
    for (unsigned cipher = 0; cipher < 6; cipher++) {
        assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
        assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
        assert_int_equal(ends_open(ends), ERR_NONE);
        ends->server->info.cipher = (uint8_t)cipher;
        assert_int_equal(ends_answer(ends), ERR_NONE);
        bool is_good = cipher == RECORD_AES_256_GCM || cipher == RECORD_CHACHA20_POLY1305;
        assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2),
                         is_good ? ERR_NONE : ERR_BAD);
        assert_fault(ends->client, is_good ? FLIGHT_SOUND : FLIGHT_CIPHER);
        ends_end(ends);
    }
}

static void an_answer_with_the_id_of_nobody_fails(void **state)
{
    struct ends *ends = *state;
    memset(ends->answer.session_id, 0, SESSION_ID_BYTES);
    assert_int_equal(ends_play(ends), ERR_BAD);
    assert_fault(ends->client, FLIGHT_FIELDS);
}

/* ---- joining, and what is gone ---- */

static struct link_secrets fresh_session(struct ends *ends)
{
    struct link_secrets secrets;
    assert_int_equal(ends_play(ends), ERR_NONE);
    handshake_secrets(ends->client, &secrets);
    ends_end(ends);
    return secrets;
}

static void a_join_has_other_keys_and_the_sessions_cipher(void **state)
{
    struct ends *ends = *state;
    ends->offer.has_aes = false;
    struct link_secrets session = fresh_session(ends), joined;
    ends->offer.has_aes = true;
    ends_join(ends, &session, 7);
    assert_int_equal(ends_play(ends), ERR_NONE);
    assert_linked(ends);
    handshake_secrets(ends->client, &joined);
    assert_memory_not_equal(joined.send, session.send, 32);
    assert_int_equal(joined.cipher, RECORD_CHACHA20_POLY1305);
    const struct flight_info *info = handshake_info(ends->server);
    assert_true(info->joins);
    assert_int_equal(info->join_number, 7);
    assert_memory_equal(info->session_id, ends->answer.session_id, SESSION_ID_BYTES);
    assert_false(info->is_own);
}

static void a_flight_says_how_much_may_be_sent_on_its_carrier_and_whose_the_link_is(void **state)
{
    struct ends *ends = *state;
    ends->offer.most_up = 12288;
    ends->offer.most_down = UINT32_MAX;
    ends->offer.is_own = true; /* which only a join can be */
    struct link_secrets session = fresh_session(ends);
    for (unsigned is_own = 0; is_own < 2; is_own++) {
        ends_join(ends, &session, 1 + is_own);
        ends->offer.is_own = is_own;
        assert_int_equal(ends_play(ends), ERR_NONE);
        const struct flight_info *info = handshake_info(ends->server);
        assert_int_equal(info->most_up, 12288);
        assert_int_equal(info->most_down, UINT32_MAX);
        assert_int_equal(info->is_own, is_own);
        ends_end(ends);
    }
}

static void a_join_with_another_secret_fails(void **state)
{
    struct ends *ends = *state;
    struct link_secrets session = fresh_session(ends);
    ends_join(ends, &session, 1);
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    ends->offer.resume[31] ^= 1;
    assert_int_equal(ends_open(ends), ERR_BAD);
    assert_fault(ends->server, FLIGHT_NOISE);
}

static void a_join_with_another_cipher_fails(void **state)
{
    struct ends *ends = *state;
    struct link_secrets session = fresh_session(ends);
    ends_join(ends, &session, 1);
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    ends->offer.cipher = RECORD_CHACHA20_POLY1305;
    assert_int_equal(ends_open(ends), ERR_BAD);
    assert_fault(ends->server, FLIGHT_CIPHER);
}

static void join_numbers_have_bounds(void **state)
{
    static const struct {
        uint64_t number;
        bool is_good;
    } numbers[] = {
        {0, false},     {1, true}, {MAX_JOIN_NUMBER, true}, {MAX_JOIN_NUMBER + 1, false},
        {~0ull, false},
    };
    struct ends *ends = *state;
    struct link_secrets session = fresh_session(ends);
    for (size_t i = 0; i < N_ITEMS(numbers); i++) {
        ends_join(ends, &session, numbers[i].number);
        assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
        assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
        assert_int_equal(ends_open(ends), numbers[i].is_good ? ERR_NONE : ERR_BAD);
        assert_fault(ends->server, numbers[i].is_good ? FLIGHT_SOUND : FLIGHT_FIELDS);
        ends_end(ends);
    }
}

static void a_join_that_is_answered_with_another_session_fails(void **state)
{
    struct ends *ends = *state;
    struct link_secrets session = fresh_session(ends);
    ends_join(ends, &session, 1);
    ends->answer.session_id[3] ^= 1;
    assert_int_equal(ends_play(ends), ERR_BAD);
    assert_fault(ends->client, FLIGHT_FIELDS);
}

static void gone_is_understood_by_who_joins_and_then_a_fresh_flight_works(void **state)
{
    struct ends *ends = *state;
    struct link_secrets session = fresh_session(ends);
    ends_join(ends, &session, 1);
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    assert_int_equal(handshake_write_gone(ends->server, ENDS_NOW_MS + 5, &ends->seeded.rng,
                                          ends->flight2, &ends->n_flight2),
                     ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2), ERR_NONE);
    assert_true(handshake_is_gone(ends->client));
    assert_int_equal(handshake_info(ends->client)->time_ms, ENDS_NOW_MS + 5);
    ends_end(ends);
    ends->offer.joins = false;
    assert_int_equal(ends_play(ends), ERR_NONE);
    assert_linked(ends);
}

static void gone_is_no_answer_to_a_fresh_flight(void **state)
{
    struct ends *ends = *state;
    uint8_t head[FLIGHT2_HEAD_BYTES] = {0}, payload[FLIGHT_MAX_BYTES] = {0};
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    assert_int_equal(ends_open(ends), ERR_NONE);
    head[FLIGHT2_KIND] = KIND_GONE;
    flight_put(head + FLIGHT2_N_PAYLOAD, 2, PAYLOAD2_MIN_BYTES + NOISE_TAG_BYTES);
    assert_int_equal(ends_forge2(ends, head, payload, PAYLOAD2_MIN_BYTES, false), ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2), ERR_BAD);
    assert_fault(ends->client, FLIGHT_FIELDS);
    assert_false(handshake_is_gone(ends->client));
}

/* Key and signature have their lengths before them, which may say anything: they stand at the payload's end. */
static void an_identity_that_is_cut_off_fails(void **state)
{
    struct ends *ends = *state;
    static const struct {
        uint16_t n_spki, n_signature;
        size_t n; /* bytes of both, with their lengths */
        bool is_good;
    } cases[] = {
        {0, 0, 4, true},    {10, 20, 34, true}, {10, 20, 33, false},   {10, 20, 12, false},
        {0, 0, 3, false},   {0, 0, 0, false},   {65535, 0, 34, false}, {10, 65535, 34, false},
        {32, 0, 34, false}, {30, 0, 34, true},
    };
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        uint8_t head[FLIGHT2_HEAD_BYTES] = {0},
                payload[200] = {PAYLOAD2_IDENTITY, RECORD_AES_256_GCM, 1};
        size_t n = PAYLOAD2_MIN_BYTES + cases[i].n;
        assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
        assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
        assert_int_equal(ends_open(ends), ERR_NONE);
        head[FLIGHT2_KIND] = KIND_ACCEPTED;
        memcpy(head + FLIGHT2_EPHEMERAL, ends->server->public_key, X25519_BYTES);
        flight_put(head + FLIGHT2_N_PAYLOAD, 2, n + NOISE_TAG_BYTES);
        flight_put(payload + PAYLOAD2_MIN_BYTES, 2, cases[i].n_spki);
        if (cases[i].n_spki < 100)
            flight_put(payload + PAYLOAD2_MIN_BYTES + 2 + cases[i].n_spki, 2, cases[i].n_signature);
        assert_int_equal(ends_forge2(ends, head, payload, n, false), ERR_NONE);
        assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2),
                         cases[i].is_good ? ERR_NONE : ERR_BAD);
        assert_fault(ends->client, cases[i].is_good ? FLIGHT_SOUND : FLIGHT_FIELDS);
        ends_end(ends);
    }
}

/* ---- early records ---- */

static void early_records_have_their_own_secret_on_both_sides(void **state)
{
    struct ends *ends = *state;
    uint8_t client[32], server[32], client_cipher, server_cipher;
    assert_int_equal(handshake_start(&ends->client, &ends->offer, ENDS_NOW_MS, &ends->seeded.rng),
                     ERR_NONE);
    handshake_early_secret(ends->client, client, &client_cipher);
    assert_int_equal(
        handshake_write(ends->client, 1000, &ends->seeded.rng, ends->flight1, &ends->n_flight1),
        ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    assert_int_equal(handshake_info(ends->server)->n_early, 1000);
    assert_int_equal(ends_open(ends), ERR_NONE);
    handshake_early_secret(ends->server, server, &server_cipher);
    assert_memory_equal(client, server, sizeof client);
    assert_int_equal(client_cipher, server_cipher);
    ends->answer.accepts_early = true;
    assert_int_equal(ends_answer(ends), ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2), ERR_NONE);
    assert_true(handshake_info(ends->client)->is_early_accepted);
    assert_linked(ends);
}

/* ---- identities ---- */

static struct sign_key *new_identity(struct ends *ends)
{
    struct sign_key *key;
    assert_int_equal(sign_key_generate(&key, SIGN_ED25519, 0, &ends->seeded.rng), ERR_NONE);
    return key;
}

/* All of it, with the server signing by a key; its public key may be another's. */
static enum err play_signed(struct ends *ends, const struct sign_key *key,
                            const struct verify_key *shown)
{
    uint8_t text[HANDSHAKE_SIGN_BYTES], signature[SIGN_MAX_BYTES];
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    assert_int_equal(ends_open(ends), ERR_NONE);
    ends->answer.spki = verify_key_spki(shown, &ends->answer.n_spki);
    handshake_sign_bytes(ends->server, ends->answer.spki, ends->answer.n_spki, text);
    assert_int_equal(sign(key, text, sizeof text, signature, &ends->answer.n_signature), ERR_NONE);
    ends->answer.signature = signature;
    assert_int_equal(ends_answer(ends), ERR_NONE);
    return ends_get_answer(ends, ends->flight2, ends->n_flight2);
}

static void acc_31_a_server_with_another_identity_fails(void **state)
{
    struct ends *ends = *state;
    struct sign_key *right = new_identity(ends), *wrong = new_identity(ends);
    ends->offer.identity = sign_key_public(right);

    assert_int_equal(play_signed(ends, right, sign_key_public(right)), ERR_NONE);
    assert_linked(ends);
    ends_end(ends);
    /* Another key, another's key shown, and no identity at all. */
    assert_int_equal(play_signed(ends, wrong, sign_key_public(wrong)), ERR_BAD);
    assert_fault(ends->client, FLIGHT_IDENTITY);
    ends_end(ends);
    assert_int_equal(play_signed(ends, wrong, sign_key_public(right)), ERR_BAD);
    assert_fault(ends->client, FLIGHT_IDENTITY);
    ends_end(ends);
    assert_int_equal(play_signed(ends, right, sign_key_public(wrong)), ERR_BAD);
    assert_fault(ends->client, FLIGHT_IDENTITY);
    ends_end(ends);
    ends->answer.spki = NULL;
    assert_int_equal(ends_play(ends), ERR_BAD);
    assert_fault(ends->client, FLIGHT_IDENTITY);
    ends_end(ends);
    /* Who expects none looks at none. */
    ends->offer.identity = NULL;
    assert_int_equal(play_signed(ends, wrong, sign_key_public(right)), ERR_NONE);
    sign_key_free(right);
    sign_key_free(wrong);
}

static void acc_31_what_a_client_signs_holds_for_this_handshake_alone(void **state)
{
    struct ends *ends = *state;
    struct sign_key *server = new_identity(ends), *client = new_identity(ends);
    const struct verify_key *client_public = sign_key_public(client);
    uint8_t text[HANDSHAKE_SIGN_BYTES], expected[HANDSHAKE_SIGN_BYTES];
    uint8_t signature[SIGN_MAX_BYTES], other[HANDSHAKE_SIGN_BYTES];
    size_t n_spki, n_signature;
    const uint8_t *spki = verify_key_spki(client_public, &n_spki);

    assert_int_equal(play_signed(ends, server, sign_key_public(server)), ERR_NONE);
    handshake_sign_bytes(ends->client, spki, n_spki, text);
    handshake_signed_bytes(ends->server, spki, n_spki, expected);
    assert_memory_equal(text, expected, sizeof text);
    assert_int_equal(sign(client, text, sizeof text, signature, &n_signature), ERR_NONE);
    assert_int_equal(verify(client_public, expected, sizeof expected, signature, n_signature),
                     ERR_NONE);
    /* It is not what a server signs, nor what this client signs in another handshake. */
    handshake_sign_bytes(ends->server, spki, n_spki, other);
    assert_memory_not_equal(text, other, sizeof text);
    ends_end(ends);
    assert_int_equal(play_signed(ends, server, sign_key_public(server)), ERR_NONE);
    handshake_signed_bytes(ends->server, spki, n_spki, expected);
    assert_int_equal(verify(client_public, expected, sizeof expected, signature, n_signature),
                     ERR_AUTH);
    /* Nor in one with a server that shows no identity. */
    ends_end(ends);
    ends->answer.spki = NULL;
    assert_int_equal(ends_play(ends), ERR_NONE);
    handshake_sign_bytes(ends->client, spki, n_spki, other);
    handshake_signed_bytes(ends->server, spki, n_spki, expected);
    assert_memory_equal(other, expected, sizeof other);
    sign_key_free(server);
    sign_key_free(client);
}

static void without_a_shared_key_the_servers_public_key_takes_its_place(void **state)
{
    struct ends *ends = *state;
    struct sign_key *key = new_identity(ends);
    size_t n_spki;
    const uint8_t *spki = verify_key_spki(sign_key_public(key), &n_spki);
    link_key_init_public(&ends->server_key, spki, n_spki);
    ends->user_key = ends->server_key;
    ends->offer.identity = sign_key_public(key);
    assert_int_equal(play_signed(ends, key, sign_key_public(key)), ERR_NONE);
    assert_linked(ends);
    sign_key_free(key);
}

/* The largest key that is allowed fills the flight, and leaves its padding less room. */
static void the_largest_identity_finds_room_in_a_flight(void **state)
{
    struct ends *ends = *state;
    uint8_t spki[1100] = {0}, signature[SIGN_MAX_BYTES] = {0};
    ends->answer.spki = spki;
    ends->answer.n_spki = sizeof spki;
    ends->answer.signature = signature;
    ends->answer.n_signature = sizeof signature;
    for (unsigned times = 0; times < 20; times++) {
        assert_int_equal(ends_play(ends), ERR_NONE);
        assert_true(ends->n_flight2 <= FLIGHT_MAX_BYTES);
        ends_end(ends);
    }
}

/* ---- forward secrecy ---- */

/* Whoever has the capture and every key that lasts gets as far as message 1: ck1 and payload 1. From there on it takes one of
 * the ephemeral keys, which nobody has any more. */
static void acc_32_a_capture_stays_closed_to_all_long_term_keys(void **state)
{
    struct ends *ends = *state;
    struct link_secrets secrets;
    struct noise noise;
    struct secret32 ephemeral, zeros = {{0}};
    uint8_t head1[FLIGHT1_HEAD_BYTES], head2[FLIGHT2_HEAD_BYTES], early[32], k1[32], k2[32];

    assert_int_equal(handshake_start(&ends->client, &ends->offer, ENDS_NOW_MS, &ends->seeded.rng),
                     ERR_NONE);
    ephemeral = ends->client->private_key; /* what the attacker does not have */
    assert_int_equal(
        handshake_write(ends->client, 0, &ends->seeded.rng, ends->flight1, &ends->n_flight1),
        ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    memcpy(head1, ends->server->reader.head, sizeof head1); /* the mask is of a long-term key */
    assert_int_equal(ends_open(ends), ERR_NONE);
    assert_int_equal(ends_answer(ends), ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2), ERR_NONE);
    handshake_secrets(ends->client, &secrets);
    /* Nothing of the ephemeral keys is left at either end. */
    assert_memory_equal(ends->client->private_key.bytes, zeros.bytes, sizeof zeros.bytes);
    assert_memory_equal(ends->server->private_key.bytes, zeros.bytes, sizeof zeros.bytes);
    memcpy(head2 + FLIGHT2_EPHEMERAL, ends->server->public_key, X25519_BYTES);

    for (unsigned has_ephemeral = 0; has_ephemeral < 2; has_ephemeral++) {
        handshake_mix_flight1(&noise, head1, &ends->user_key, NULL, early);
        assert_memory_equal(early, secrets.early, sizeof early); /* as the page says */
        uint8_t payload[FLIGHT_MAX_BYTES];
        size_t n_payload = ends->n_flight1 - 103 - 16;
        memcpy(payload, ends->flight1 + 103, n_payload);
        assert_int_equal(noise_open(&noise, payload, n_payload), ERR_NONE);
        noise_mix_ephemeral(&noise, head2 + FLIGHT2_EPHEMERAL);
        if (has_ephemeral)
            assert_int_equal(noise_mix_shared(&noise, &ephemeral, ends->client->public_key,
                                              head2 + FLIGHT2_EPHEMERAL),
                             ERR_NONE);
        n_payload = ends->n_flight2 - 75 - 16;
        memcpy(payload, ends->flight2 + 75, n_payload);
        assert_int_equal(noise_open(&noise, payload, n_payload),
                         has_ephemeral ? ERR_NONE : ERR_BAD);
        noise_split(&noise, k1, k2);
        assert_int_equal(memcmp(k1, secrets.send, 32) == 0, has_ephemeral);
        assert_int_equal(memcmp(k2, secrets.receive, 32) == 0, has_ephemeral);
    }
}

static void acc_32_secrets_differ_each_time(void **state)
{
    struct ends *ends = *state;
    struct link_secrets first = fresh_session(ends), second = fresh_session(ends);
    assert_memory_not_equal(first.send, second.send, 32);
    assert_memory_not_equal(first.receive, second.receive, 32);
    assert_memory_not_equal(first.resume, second.resume, 32);
    assert_memory_not_equal(first.early, second.early, 32);
}

/* ---- moving to another thread ---- */

static const struct link_key *find_nobody(const void *users, const uint8_t tag[static 8],
                                          const struct link_user **user)
{
    (void)users;
    (void)tag;
    (void)user;
    return NULL;
}

static void a_flight_may_be_answered_on_another_ground(void **state)
{
    struct ends *ends = *state;
    struct handshake_ground other = ends->ground;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    assert_int_equal(handshake_move(ends->server, &other), ERR_NONE);
    memset(&ends->ground, 0, sizeof ends->ground);
    assert_int_equal(ends_open(ends), ERR_NONE);
    assert_int_equal(ends_answer(ends), ERR_NONE);
    assert_int_equal(ends_get_answer(ends, ends->flight2, ends->n_flight2), ERR_NONE);
    assert_linked(ends);
}

static void a_user_who_is_gone_meanwhile_fails(void **state)
{
    struct ends *ends = *state;
    struct handshake_ground other = ends->ground;
    other.find_user = find_nobody;
    assert_int_equal(ends_call(ends, ENDS_NOW_MS, 0), ERR_NONE);
    assert_int_equal(ends_hear(ends, ends->flight1, ends->n_flight1), ERR_NONE);
    assert_int_equal(handshake_move(ends->server, &other), ERR_BAD);
    assert_int_equal(ends_open(ends), ERR_BAD);
    assert_fault(ends->server, FLIGHT_MAC);
}

static int load(void **state)
{
    (void)state;
    return crypto_load() == ERR_NONE ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fresh_handshake_gives_both_ends_the_same),
        TEST(acc_77_keys_of_each_length_choose_their_cipher),
        TEST(both_flights_may_come_a_byte_at_a_time),
        TEST(what_lies_behind_a_flight_is_not_taken),
        TEST(no_two_flights_are_alike),
        TEST(any_flipped_bit_of_flight_1_fails),
        TEST(a_flight_that_is_cut_is_waited_for),
        TEST(random_bytes_fail_at_the_first_mac),
        TEST(after_a_failure_nothing_is_taken),
        TEST(a_wrong_key_fails_at_either_place),
        TEST(the_key_of_nobody_lets_nobody_in),
        TEST(the_time_may_be_w_apart_and_no_more),
        TEST(acc_06_a_flight_that_is_played_again_fails),
        TEST(a_flight_is_remembered_as_long_as_its_time_is_good),
        TEST(a_full_replay_set_fails),
        TEST(a_flight_from_before_the_low_water_mark_fails),
        TEST(what_the_honest_write_is_accepted),
        TEST(another_version_fails_as_such),
        TEST(lengths_beyond_their_bounds_fail),
        TEST(fields_that_disagree_fail),
        TEST(ciphers_that_do_not_fit_the_key_fail),
        TEST(a_payload_that_does_not_open_fails_behind_the_macs),
        TEST(a_shared_secret_of_zeros_fails),
        TEST(another_holder_of_the_key_cannot_wrap_a_flight_anew),
        TEST(any_flipped_bit_of_flight_2_fails),
        TEST(an_answer_to_another_flight_fails),
        TEST(a_clients_own_flight_is_no_answer),
        TEST(an_answer_with_a_cipher_that_was_not_offered_fails),
        TEST(an_answer_with_the_id_of_nobody_fails),
        TEST(a_join_has_other_keys_and_the_sessions_cipher),
        TEST(a_join_with_another_secret_fails),
        TEST(a_join_with_another_cipher_fails),
        TEST(a_flight_says_how_much_may_be_sent_on_its_carrier_and_whose_the_link_is),
        TEST(join_numbers_have_bounds),
        TEST(a_join_that_is_answered_with_another_session_fails),
        TEST(gone_is_understood_by_who_joins_and_then_a_fresh_flight_works),
        TEST(gone_is_no_answer_to_a_fresh_flight),
        TEST(an_identity_that_is_cut_off_fails),
        TEST(early_records_have_their_own_secret_on_both_sides),
        TEST(acc_31_a_server_with_another_identity_fails),
        TEST(acc_31_what_a_client_signs_holds_for_this_handshake_alone),
        TEST(without_a_shared_key_the_servers_public_key_takes_its_place),
        TEST(the_largest_identity_finds_room_in_a_flight),
        TEST(acc_32_a_capture_stays_closed_to_all_long_term_keys),
        TEST(acc_32_secrets_differ_each_time),
        TEST(a_flight_may_be_answered_on_another_ground),
        TEST(a_user_who_is_gone_meanwhile_fails),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
