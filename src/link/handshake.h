/*
 * The handshake of one carrier (doc/protocol.md, section 3), as a state machine over bytes in and bytes out. It opens no
 * socket, asks no clock and keeps no list: who the user is, whether a salt was seen and which
 * session is meant are asked of the `struct handshake_ground` it stands on.
 *
 *     client                                         server
 *     handshake_start()                              handshake_expect()
 *     handshake_early_secret(), early records
 *     handshake_write()        -- flight 1 -->       handshake_read() until ERR_NONE: MACs, time and salt are good
 *                                                    session unknown: handshake_write_gone()
 *                                                    else handshake_open(): payload 1 is good
 *     handshake_read()         <-- flight 2 --       handshake_sign_bytes() where there is an identity, handshake_answer()
 *     handshake_is_gone(): a fresh one, else
 *     handshake_secrets()                            handshake_secrets()
 *
 * Every failure is ERR_BAD (or ERR_MEMORY) without a reason that could leave this machine: handshake_fault() is
 * for the log.
 */
#ifndef SOCKEYE_LINK_HANDSHAKE_H
#define SOCKEYE_LINK_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"

#define FLIGHT_MAX_BYTES ((size_t)4096)
#define FLIGHT1_MOST_BYTES ((size_t)1024)   /* that we write: its padding is short */
#define FLIGHT_HEAD_MAX_BYTES ((size_t)512) /* held before the first MAC */
#define FLIGHT_MAX_EARLY_BYTES ((size_t)65536)
#define SESSION_ID_BYTES 16

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
    FLIGHT_OLD,  /* so old that it may have been replayed: the server has forgotten, by a restart */
    FLIGHT_FULL, /* the replay set is */
    FLIGHT_NOISE,
    FLIGHT_FIELDS,
    FLIGHT_CIPHER,
    FLIGHT_JOIN, /* its number was used */
    FLIGHT_IDENTITY,
    FLIGHT_UNWELCOME, /* a user who may not come from there */
    FLIGHT_MEMORY,
};

struct link_user; /* whoever keeps users knows what it is */
struct sign_key;  /* crypto/sign.h */
struct verify_key;
struct replay_set; /* link/replay.h */

#define LINK_TAG_BYTES 8

/* What is derived from a key once, and used by every handshake with it; wiped by its owner. */
struct link_key {
    uint8_t prk[32];
    uint8_t tag[LINK_TAG_BYTES]; /* as good as a name: no two keys have the same */
    uint8_t n_bytes;             /* of the key itself: 16, 24 or 32 */
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
    uint32_t keep_s;             /* the other end's */
    uint32_t most_up, most_down; /* bytes on the carrier; 0: any number */
    bool is_own;                 /* the link is for one stream */
    uint64_t time_ms;            /* the other end's */
    uint8_t ciphers[8];
    uint8_t n_ciphers;
    bool is_early_accepted;
    uint8_t cipher; /* the session's */
    /* At the server, once MAC 1 was good: whose key it was, and by which of the server's own. */
    const struct link_user *user; /* NULL: there are no users */
    uint8_t server_tag[LINK_TAG_BYTES],
        user_tag[LINK_TAG_BYTES]; /* without users they are the same */
};

struct handshake;

/* NULL is fine; wipes. */
void handshake_free(struct handshake *handshake);

/*
 * Reads the other end's flight out of bytes as they come. ERR_MORE: all were used; ERR_NONE: the flight is whole and
 * ended behind *used of them. At the server nothing of it was decrypted then, and handshake_info() has time, n_early and
 * session_id. Of a failure *used is 0. `wall_ms` is looked at by the server only.
 */
NODISCARD enum err handshake_read(struct handshake *handshake, const uint8_t *bytes, size_t n,
                                  uint64_t wall_ms, size_t *used);
enum flight_fault handshake_fault(const struct handshake *handshake);
/* What the other end's flight says, as far as it was read; at the client `joins` and join_number are its own. */
const struct flight_info *handshake_info(const struct handshake *handshake);
/* Once both flights are there. */
void handshake_secrets(const struct handshake *handshake, struct link_secrets *secrets);

/* ---- client ---- */

struct handshake_offer {
    const struct link_key *server, *user; /* S and U; borrowed as long as the handshake lives */
    const struct verify_key *identity; /* whom to expect, likewise; NULL: anyone who has the key */
    uint32_t keep_s;
    uint32_t most_up,
        most_down; /* what the client and the server may send on the carrier; 0: any number */
    bool has_aes;  /* offered first, where the key leaves a choice */

    bool joins; /* the rest is for that only */
    uint8_t session_id[SESSION_ID_BYTES];
    uint8_t resume[32];
    uint64_t join_number;
    uint8_t cipher; /* the session's */
    bool is_own;    /* the link is for one stream */
};

/* ERR_MEMORY. */
NODISCARD enum err handshake_start(struct handshake **out, const struct handshake_offer *offer,
                                   uint64_t time_ms, struct rng *rng);
/* C_0 of early records, and their cipher; 0 at the server: one that it does not know. */
void handshake_early_secret(const struct handshake *handshake, uint8_t secret[static 32],
                            uint8_t *cipher);
/* Writes flight 1, of at most FLIGHT_MAX_BYTES, behind which n_early bytes will follow. ERR_MEMORY. */
NODISCARD enum err handshake_write(struct handshake *handshake, uint32_t n_early, struct rng *rng,
                                   uint8_t *out, size_t *n);
/* Flight 2 says that the session is gone: nothing else in it counts but its time. */
bool handshake_is_gone(const struct handshake *handshake);

/* ---- server ---- */

#define HANDSHAKE_MAX_SERVERS 4

/* A key of the server's, and the flights that have come under it. */
struct handshake_server {
    const struct link_key *key;
    struct replay_set *replays;
};

struct handshake_ground {
    struct handshake_server servers[HANDSHAKE_MAX_SERVERS]; /* tried in turn */
    size_t n_servers;
    /* The key of the user whose tag it is; NULL: nobody's. A function of NULL: the server's keys are the only ones. */
    const struct link_key *(*find_user)(const void *users, const uint8_t tag[static LINK_TAG_BYTES],
                                        const struct link_user **user);
    const void *users;
    uint64_t clock_skew_ms;
};

/* `ground` is borrowed as long as the handshake lives, or until handshake_move(). ERR_MEMORY. */
NODISCARD enum err handshake_expect(struct handshake **out, const struct handshake_ground *ground);
/* From now on it stands on this ground: of another thread, or of other keys and users. ERR_BAD: its own are not among them
 * any more, and it has failed. */
NODISCARD enum err handshake_move(struct handshake *handshake,
                                  const struct handshake_ground *ground);

/* Answers that the session is gone, by at most FLIGHT_MAX_BYTES. The handshake is used up. */
NODISCARD enum err handshake_write_gone(struct handshake *handshake, uint64_t wall_ms,
                                        struct rng *rng, uint8_t *out, size_t *n);
/* Opens payload 1, with the session's secret and cipher where it joins (else NULL and 0). Then handshake_info() is
 * complete, its cipher chosen among those offered, and handshake_early_secret() may be asked. */
NODISCARD enum err handshake_open(struct handshake *handshake, const uint8_t *resume,
                                  uint8_t cipher, struct rng *rng);

struct handshake_answer {
    uint8_t session_id[SESSION_ID_BYTES];
    uint32_t keep_s;
    bool accepts_early;
    const uint8_t *spki, *signature; /* NULL: without an identity */
    size_t n_spki, n_signature;
};
/* Writes flight 2, of at most FLIGHT_MAX_BYTES. */
NODISCARD enum err handshake_answer(struct handshake *handshake,
                                    const struct handshake_answer *answer, uint64_t wall_ms,
                                    struct rng *rng, uint8_t *out, size_t *n);

/* ---- identities ---- */

#define HANDSHAKE_SIGN_BYTES (17 + 3 * 32)

/* What is to be signed by us, whose public key is this: at the server behind handshake_open(), at the client behind
 * flight 2. */
void handshake_sign_bytes(const struct handshake *handshake, const uint8_t *spki, size_t n_spki,
                          uint8_t bytes[static HANDSHAKE_SIGN_BYTES]);
/* What the client has signed for its AUTH, if this is its public key. */
void handshake_signed_bytes(const struct handshake *handshake, const uint8_t *spki, size_t n_spki,
                            uint8_t bytes[static HANDSHAKE_SIGN_BYTES]);

#endif
