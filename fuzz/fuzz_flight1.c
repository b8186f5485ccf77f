/*
 * Flight 1, as it comes over the wire and as someone writes it who has the key: behind a byte of switches come the head, before it is
 * masked, and payload 1, before it is sealed. Whole and in pieces it comes to the same.
 */
#include "fuzz.h"
#include "handshakes.h"

enum {
    RAW = 1, /* the rest is what comes over the wire */
    SEALED = 2,
    HONEST_VERSION = 4,
    HONEST_TAG = 8,
    HONEST_TIME = 16,
    HONEST_LENGTH = 32,
    USERS = 64,
    PIECES = 128,
};

#define PIECE_BYTES 5

static void forge(struct ends *ends, uint8_t switches, const uint8_t *data, size_t n)
{
    static const uint8_t no_id[SESSION_ID_BYTES];
    uint8_t head[FLIGHT1_HEAD_BYTES] = {0}, payload[FLIGHT_MAX_BYTES] = {0};
    size_t n_head = n < sizeof head ? n : sizeof head;
    memcpy(head, data, n_head);
    size_t n_payload = n - n_head, most = flight_max_payload(FLIGHT_OF_CLIENT) - NOISE_TAG_BYTES;
    n_payload = n_payload < most ? n_payload : most;
    memcpy(payload, data + n_head, n_payload);
    if (switches & HONEST_VERSION)
        head[FLIGHT1_VERSION] = PROTOCOL_VERSION;
    if (switches & HONEST_TAG)
        memcpy(head + FLIGHT1_TAG, ends->user_key.tag, FLIGHT_TAG_BYTES);
    if (switches & HONEST_TIME)
        flight_put(head + FLIGHT1_TIME, FLIGHT_TIME_BYTES, ENDS_NOW_MS);
    if (switches & HONEST_LENGTH)
        flight_put(head + FLIGHT1_N_PAYLOAD, 2, n_payload + NOISE_TAG_BYTES);
    ends->offer.joins = memcmp(head + FLIGHT1_SESSION_ID, no_id, sizeof no_id) != 0;
    ends->offer.cipher = RECORD_AES_256_GCM;
    CHECK(ends_forge1(ends, head, payload, n_payload, switches & SEALED) == ERR_NONE);
}

static void check_info(const struct handshake *handshake)
{
    const struct flight_info *info = handshake_info(handshake);
    CHECK(info->n_early <= FLIGHT_MAX_EARLY_BYTES);
    CHECK(info->n_ciphers >= 1 && info->n_ciphers <= sizeof info->ciphers);
    CHECK(info->cipher >= RECORD_AES_128_GCM && info->cipher <= RECORD_CHACHA20_POLY1305);
    CHECK(info->joins == (info->join_number != 0));
    CHECK(info->join_number <= MAX_JOIN_NUMBER);
}

/* Reads the flight in pieces of that size, opens and answers it. Returns its fault; -1: there is more to come. */
static int judge(struct ends *ends, const uint8_t *bytes, size_t n, size_t piece)
{
    enum err err = ERR_MORE;
    CHECK(handshake_expect(&ends->server, &ends->ground) == ERR_NONE);
    for (size_t at = 0; at < n && err == ERR_MORE;) {
        size_t size = n - at < piece ? n - at : piece, used;
        uint8_t *copy = exact_copy(bytes + at, size);
        err = handshake_read(ends->server, copy, size, ENDS_NOW_MS, &used);
        CHECK(err == ERR_BAD ? used == 0 : used <= size);
        CHECK(err != ERR_MORE || used == size);
        free(copy);
        at += used;
    }
    if (err == ERR_MORE)
        return -1;
    CHECK((err == ERR_NONE) == (handshake_fault(ends->server) == FLIGHT_SOUND));
    if (err == ERR_NONE && ends_open(ends) == ERR_NONE) {
        check_info(ends->server);
        CHECK(ends_answer(ends) == ERR_NONE);
    }
    return (int)handshake_fault(ends->server);
}

static void add_server(struct ends *ends, const struct link_key *key)
{
    struct handshake_server *servers = ends->ground.servers;
    servers[1] = servers[0];
    servers[0].key = key;
    ends->ground.n_servers = 2;
}

static void empty_replay_set(struct ends *ends)
{
    static const uint8_t binding[REPLAY_BINDING_BYTES];
    bool is_taken_up;
    memset(ends->memory, 0, replay_set_bytes(64));
    replay_set_open(ends->memory, replay_set_bytes(64), binding, 0, &is_taken_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ends ends;
    if (n == 0)
        return 0;
    CHECK(crypto_load() == ERR_NONE);
    uint8_t switches = data[0];
    ends_init(&ends, 32, switches & USERS ? 32 : 0);
    struct link_key other = ends.user_key;
    if (switches & USERS) /* behind another key of the server's, which is tried before */
        add_server(&ends, &other);
    const uint8_t *bytes = data + 1;
    size_t n_bytes = n - 1;
    if (!(switches & RAW)) {
        forge(&ends, switches, data + 1, n - 1);
        bytes = ends.flight1;
        n_bytes = ends.n_flight1;
    }
    int fault = judge(&ends, bytes, n_bytes, n_bytes > 0 ? n_bytes : 1);
    if (switches & PIECES) {
        ends_end(&ends);
        empty_replay_set(&ends);
        CHECK(judge(&ends, bytes, n_bytes, PIECE_BYTES) == fault);
    }
    ends_deinit(&ends);
    return 0;
}
