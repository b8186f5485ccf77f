/* What the two ends' halves of a handshake share. Inside link/ only. */
#ifndef SOCKEYE_LINK_HANDSHAKE_STATE_H
#define SOCKEYE_LINK_HANDSHAKE_STATE_H

#include "link/flight.h"
#include "link/handshake.h"
#include "link/noise.h"

#define PROTOCOL_VERSION 1
#define MAX_PADDING_BYTES 511
#define MAX_JOIN_NUMBER ((UINT64_C(1) << 62) - 1)

/* What payloads have at least. */
enum {
    PAYLOAD1_MIN_BYTES = 1 + 1 + 1 + 4 + 4 + 4,
    PAYLOAD1_JOIN_BYTES = 8,
    PAYLOAD2_MIN_BYTES = 1 + 1 + SESSION_ID_BYTES + 4,
};

enum { PAYLOAD1_JOINS = 1, PAYLOAD1_OWN = 2 };
enum { PAYLOAD2_IDENTITY = 1, PAYLOAD2_EARLY = 2 };
enum { KIND_ACCEPTED = 1, KIND_GONE = 2 };

enum handshake_state {
    HANDSHAKE_BEGUN,   /* client: flight 1 is not written yet */
    HANDSHAKE_READING, /* the other end's flight */
    HANDSHAKE_READ,    /* server: flight 1 is whole, payload 1 sealed */
    HANDSHAKE_OPENED,  /* server: payload 1 was good */
    HANDSHAKE_DONE,
    HANDSHAKE_GONE, /* flight 2 says so, or said so */
    HANDSHAKE_FAILED,
};

struct handshake {
    enum handshake_state state;
    enum flight_fault fault;
    bool is_client;
    struct flight_info info;
    struct flight_reader reader;
    struct noise noise;
    struct secret32 private_key; /* our ephemeral one */
    uint8_t public_key[X25519_BYTES];
    uint8_t flight1_mac[HMAC16_BYTES];     /* its MAC 2 */
    uint8_t signed_hash[SHA256_BYTES];     /* h, as identities sign it */
    uint8_t server_identity[SHA256_BYTES]; /* the hash of its SPKI; zeros: none */
    struct link_secrets secrets;

    struct handshake_offer offer; /* client: a copy */

    const struct handshake_ground *ground; /* server */
    struct link_key server,
        user; /* copies, from MAC 1 on: of those that were tried; `user` may be nobody's */
    struct replay_set *replays; /* those of the server's key */
    bool is_user_known;
};

/* Nothing is held any more but the fault. Returns ERR_MEMORY for FLIGHT_MEMORY, else ERR_BAD. */
enum err handshake_fail(struct handshake *handshake, enum flight_fault fault);
/* The same for an error of crypto/, where ERR_BAD means the fault. */
enum err handshake_fail_by(struct handshake *handshake, enum err err, enum flight_fault fault);

/* Noise as far as the token e of message 1; `head` is flight 1's, not masked. Gives the early secret. */
void handshake_mix_flight1(struct noise *noise, const uint8_t head[static FLIGHT1_HEAD_BYTES],
                           const struct link_key *user, const uint8_t *resume,
                           uint8_t early[static 32]);
/* The tokens e and ee of message 2, and the hash that is signed. ERR_BAD, ERR_MEMORY. */
NODISCARD enum err handshake_mix_flight2(struct handshake *handshake,
                                         const uint8_t server_public[static X25519_BYTES],
                                         const uint8_t peer[static X25519_BYTES]);
/* Behind payload 2: all secrets but the early one. */
void handshake_split(struct handshake *handshake);

/* Appends zeros to a payload of n bytes, in a flight of that sender; returns its new size. */
size_t handshake_pad(enum flight_sender sender, uint8_t *payload, size_t n, struct rng *rng);

struct flight_keys handshake_keys(const struct handshake *handshake, enum flight_sender sender);

/* Behind each part of a flight that was read; ERR_NONE goes on with the next part. */
enum err handshake_client_check(struct handshake *handshake, enum flight_stage stage);
enum err handshake_server_check(struct handshake *handshake, enum flight_stage stage,
                                uint64_t wall_ms);

/* Whether a cipher is of those that a key of so many bytes allows. */
bool handshake_cipher_fits(uint8_t cipher, uint8_t n_key_bytes);

#endif
