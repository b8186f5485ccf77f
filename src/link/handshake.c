/*
 * What both ends do: read the other's flight part by part, mix Noise's keys, keep the secrets. What
 * each of them checks and writes is in handshake_client.c and handshake_server.c.
 */
#include "link/handshake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "link/derive.h"
#include "link/handshake_state.h"

void handshake_free(struct handshake *handshake)
{
    if (handshake == NULL)
        return;
    flight_reader_deinit(&handshake->reader);
    secret_wipe(handshake, sizeof *handshake);
    free(handshake);
}

enum err handshake_fail(struct handshake *handshake, enum flight_fault fault)
{
    struct flight_info info = handshake->info;
    flight_reader_deinit(&handshake->reader);
    secret_wipe(handshake, sizeof *handshake);
    handshake->state = HANDSHAKE_FAILED;
    handshake->fault = fault;
    handshake->info = info; /* for the log */
    return fault == FLIGHT_MEMORY ? ERR_MEMORY : ERR_BAD;
}

enum err handshake_fail_by(struct handshake *handshake, enum err err, enum flight_fault fault)
{
    return handshake_fail(handshake, err == ERR_MEMORY ? FLIGHT_MEMORY : fault);
}

enum err handshake_read(struct handshake *handshake, const uint8_t *bytes, size_t n,
                        uint64_t wall_ms, size_t *used)
{
    *used = 0;
    while (handshake->state == HANDSHAKE_READING) {
        struct flight_reader *reader = &handshake->reader;
        enum flight_stage stage = reader->stage;
        size_t taken;
        enum err err = flight_reader_take(reader, bytes + *used, n - *used, &taken);
        *used += taken;
        if (err == ERR_MORE)
            return ERR_MORE;
        if (err != ERR_NONE)
            err = handshake_fail(handshake, stage <= FLIGHT_MAC1 ? FLIGHT_MAC : FLIGHT_MAC_2);
        else if (handshake->is_client)
            err = handshake_client_check(handshake, stage);
        else
            err = handshake_server_check(handshake, stage, wall_ms);
        if (err != ERR_NONE) {
            *used = 0;
            return err;
        }
        if (stage == FLIGHT_MAC2)
            return ERR_NONE;
    }
    return ERR_BAD;
}

enum flight_fault handshake_fault(const struct handshake *handshake)
{
    return handshake->fault;
}

const struct flight_info *handshake_info(const struct handshake *handshake)
{
    return &handshake->info;
}

void handshake_secrets(const struct handshake *handshake, struct link_secrets *secrets)
{
    assert(handshake->state == HANDSHAKE_DONE);
    *secrets = handshake->secrets;
}

void handshake_early_secret(const struct handshake *handshake, uint8_t secret[static 32],
                            uint8_t *cipher)
{
    memcpy(secret, handshake->secrets.early, sizeof handshake->secrets.early);
    *cipher = handshake->secrets.early_cipher;
}

static void derive_psk(struct secret32 *psk, const struct link_key *user, const uint8_t *resume)
{
    SECRET struct secret32 prk;
    link_derive(psk->bytes, sizeof psk->bytes, user->prk, "psk", (struct piece){0});
    if (resume == NULL)
        return;
    hkdf_extract(prk.bytes, (struct piece){resume, sizeof prk.bytes},
                 (struct piece){psk->bytes, sizeof psk->bytes});
    link_derive(psk->bytes, sizeof psk->bytes, prk.bytes, "join psk", (struct piece){0});
}

void handshake_mix_flight1(struct noise *noise, const uint8_t head[static FLIGHT1_HEAD_BYTES],
                           const struct link_key *user, const uint8_t *resume,
                           uint8_t early[static 32])
{
    /* All of the prologue stands in the head, in another order. */
    static const char name[] = "sockeye";
    const struct piece fields[] = {
        {name, sizeof name - 1},
        {head + FLIGHT1_VERSION, 1},
        {head, FLIGHT_SALT_BYTES},
        {head + FLIGHT1_TAG, FLIGHT_TAG_BYTES},
        {head + FLIGHT1_TIME, FLIGHT_TIME_BYTES},
        {head + FLIGHT1_SESSION_ID, SESSION_ID_BYTES},
        {head + FLIGHT1_N_EARLY, FLIGHT1_HEAD_BYTES - FLIGHT1_N_EARLY},
    };
    uint8_t prologue[FLIGHT1_HEAD_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        memcpy(prologue + n, fields[i].bytes, fields[i].n);
        n += fields[i].n;
    }
    SECRET struct secret32 psk;
    derive_psk(&psk, user, resume);
    noise_begin(noise, (struct piece){prologue, n}, &psk);
    noise_mix_ephemeral(noise, head + FLIGHT1_EPHEMERAL);
    link_derive(early, 32, noise->ck.bytes, "early client", (struct piece){0});
}

enum err handshake_mix_flight2(struct handshake *handshake,
                               const uint8_t server_public[static X25519_BYTES],
                               const uint8_t peer[static X25519_BYTES])
{
    struct noise *noise = &handshake->noise;
    noise_mix_ephemeral(noise, server_public);
    enum err err = noise_mix_shared(noise, &handshake->private_key, handshake->public_key, peer);
    secret32_wipe(&handshake->private_key);
    memcpy(handshake->signed_hash, noise->h, sizeof noise->h);
    return err;
}

void handshake_split(struct handshake *handshake)
{
    struct link_secrets *secrets = &handshake->secrets;
    uint8_t *k1 = handshake->is_client ? secrets->send : secrets->receive;
    uint8_t *k2 = handshake->is_client ? secrets->receive : secrets->send;
    noise_split(&handshake->noise, k1, k2);
    if (!handshake->info.joins)
        link_derive(secrets->resume, sizeof secrets->resume, handshake->noise.ck.bytes, "resume",
                    (struct piece){0});
    secrets->cipher = handshake->info.cipher;
    secret_wipe(&handshake->noise, sizeof handshake->noise);
    flight_reader_deinit(&handshake->reader);
    handshake->state = HANDSHAKE_DONE;
}

size_t handshake_pad(enum flight_sender sender, uint8_t *payload, size_t n, struct rng *rng)
{
    size_t room = flight_max_payload(sender) - NOISE_TAG_BYTES - n;
    size_t n_padding = (size_t)rng_below(rng, MAX_PADDING_BYTES + 1);
    if (n_padding > room)
        n_padding = room;
    memset(payload + n, 0, n_padding);
    return n + n_padding;
}

struct flight_keys handshake_keys(const struct handshake *handshake, enum flight_sender sender)
{
    const struct handshake_offer *offer = &handshake->offer;
    bool is_bound = sender == FLIGHT_OF_SERVER;
    return (struct flight_keys){
        .sender = sender,
        .server_prk = handshake->is_client ? offer->server->prk : handshake->server.prk,
        .user_prk = handshake->is_client ? offer->user->prk : handshake->user.prk,
        .bound_to = {handshake->flight1_mac, is_bound ? sizeof handshake->flight1_mac : 0},
    };
}

bool handshake_cipher_fits(uint8_t cipher, uint8_t n_key_bytes)
{
    switch (n_key_bytes) {
    case 16:
        return cipher == RECORD_AES_128_GCM;
    case 24:
        return cipher == RECORD_AES_192_GCM;
    default:
        return cipher == RECORD_AES_256_GCM || cipher == RECORD_CHACHA20_POLY1305;
    }
}

/* ---- identities ---- */

static void signed_bytes(const struct handshake *handshake, bool is_of_client, const uint8_t *spki,
                         size_t n_spki, uint8_t bytes[static HANDSHAKE_SIGN_BYTES])
{
    static const char labels[2][17 + 1] = {"sockeye-v1 server", "sockeye-v1 client"};
    static const uint8_t nobody[SHA256_BYTES];
    const struct piece piece = {spki, n_spki};
    uint8_t *at = bytes;
    memcpy(at, labels[is_of_client], sizeof labels[0] - 1);
    at += sizeof labels[0] - 1;
    memcpy(at, handshake->signed_hash, SHA256_BYTES);
    at += SHA256_BYTES;
    sha256(at, &piece, 1);
    at += SHA256_BYTES;
    memcpy(at, is_of_client ? handshake->server_identity : nobody, SHA256_BYTES);
}

void handshake_sign_bytes(const struct handshake *handshake, const uint8_t *spki, size_t n_spki,
                          uint8_t bytes[static HANDSHAKE_SIGN_BYTES])
{
    signed_bytes(handshake, handshake->is_client, spki, n_spki, bytes);
}

void handshake_signed_bytes(const struct handshake *handshake, const uint8_t *spki, size_t n_spki,
                            uint8_t bytes[static HANDSHAKE_SIGN_BYTES])
{
    signed_bytes(handshake, !handshake->is_client, spki, n_spki, bytes);
}
