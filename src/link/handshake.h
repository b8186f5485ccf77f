/*
 * The handshake of one carrier (doc/protocol.md, section 3), as a state machine over bytes in and bytes out. It opens no
 * socket, asks no clock and keeps no list: who the user is, whether a salt was seen and which
 * session is meant are asked of the `struct handshake_ground` it stands on.
 *
 * client:  handshake_begin() -> flight 1;  handshake_read() until ERR_NONE -> DONE or GONE
 * server:  handshake_read() until ERR_NONE -> judged;  handshake_answer() -> flight 2
 *
 * Every failure is ERR_BAD without a reason that could leave this machine; *why is for the log.
 */
#ifndef SOCKEYE_LINK_HANDSHAKE_H
#define SOCKEYE_LINK_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"

#define FLIGHT_MAX_BYTES ((size_t)4096)
#define FLIGHT_HEAD_MAX_BYTES ((size_t)512) /* held before the first MAC */
#define FLIGHT_MAX_EARLY_BYTES ((size_t)65536)
#define SESSION_ID_BYTES 16
#define INSTANCE_BYTES 16

enum record_cipher {
    RECORD_AES_128_GCM = 1,
    RECORD_AES_192_GCM = 2,
    RECORD_AES_256_GCM = 3,
    RECORD_CHACHA20_POLY1305 = 4,
};

/* Why a flight was refused, in the order of the checks; for the log and for tests, never for the wire. */
enum flight_fault {
    FLIGHT_SOUND,
    FLIGHT_MAC, /* random bytes, or a wrong key */
    FLIGHT_VERSION,
    FLIGHT_LENGTH,
    FLIGHT_MAC_2,
    FLIGHT_TIME, /* a good key and a wrong clock */
    FLIGHT_REPLAYED,
    FLIGHT_FULL, /* the replay set is */
    FLIGHT_NOISE,
    FLIGHT_FIELDS,
    FLIGHT_CIPHER,
    FLIGHT_JOIN, /* its number was used */
    FLIGHT_IDENTITY,
    FLIGHT_MEMORY,
};

struct link_user; /* whoever keeps users knows what it is */
struct sign_key;  /* crypto/sign.h */
struct verify_key;
struct replay_set; /* link/replay.h */

/* What is derived from a key once, and used by every handshake with it; wiped by its owner. */
struct link_key {
    uint8_t prk[32];
    uint8_t tag[8];
    uint8_t n_bytes; /* of the key itself: 16, 24 or 32 */
};

void link_key_init(struct link_key *key, const uint8_t *bytes, size_t n);
/* Without a shared key: the server's public key takes its place. */
void link_key_init_public(struct link_key *key, const uint8_t *spki, size_t n);

/* The directions' first secrets and what the session begins with; wiped by whoever takes it. */
struct link_secrets {
    uint8_t send[32], receive[32]; /* C_0 of each */
    uint8_t early[32];             /* C_0 of early records */
    uint8_t resume[32];            /* of a session that is new */
    uint8_t cipher, early_cipher;  /* enum record_cipher */
};

/* What a flight says; filled as it is read or made. */
struct flight_info {
    uint8_t session_id[SESSION_ID_BYTES];
    bool joins;
    uint64_t join_number;
    uint32_t n_early;
    uint32_t keep_s; /* the other end's */
    uint8_t instance[INSTANCE_BYTES];
    uint64_t time_ms; /* the other end's */
    uint8_t ciphers[8];
    uint8_t n_ciphers;
    bool is_early_accepted;
};

#endif
