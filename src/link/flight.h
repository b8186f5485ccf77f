/*
 * The form that both flights have (doc/protocol.md, sections 3.1 and 3.2), coding included:
 *
 *     head (salt 16, the rest masked) | MAC 1 | sealed payload | MAC 2
 *
 * What is in a head and in a payload, and when a length is believed, is for the ends to know: a reader stops at each border. Inside
 * link/ only.
 */
#ifndef SOCKEYE_LINK_FLIGHT_H
#define SOCKEYE_LINK_FLIGHT_H

#include "base/piece.h"
#include "base/rng.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "link/coding.h"
#include "link/handshake.h"

#define FLIGHT_SALT_BYTES 16
#define FLIGHT_TIME_BYTES 8
#define FLIGHT_EPHEMERAL_BYTES 32
#define FLIGHT_TAG_BYTES LINK_TAG_BYTES

/* Where the fields of the heads are. */
enum {
    FLIGHT1_VERSION = 16,
    FLIGHT1_EPHEMERAL = 17,
    FLIGHT1_TAG = 49,
    FLIGHT1_TIME = 57,
    FLIGHT1_SESSION_ID = 65,
    FLIGHT1_N_PAYLOAD = 81,
    FLIGHT1_N_EARLY = 83,
    FLIGHT1_HEAD_BYTES = 87,

    FLIGHT2_KIND = 16,
    FLIGHT2_TIME = 17,
    FLIGHT2_EPHEMERAL = 25,
    FLIGHT2_N_PAYLOAD = 57,
    FLIGHT2_HEAD_BYTES = 59,

    FLIGHT_MAX_HEAD_BYTES = FLIGHT1_HEAD_BYTES,
};

enum flight_sender { FLIGHT_OF_CLIENT, FLIGHT_OF_SERVER };

/* What a sealed payload may have at most: the rest of the flight must find room beside it. */
size_t flight_max_payload(enum flight_sender sender);

/* Whose keys it is masked and authenticated with, and what its MACs begin with: of flight 2 that is MAC 2 of flight 1. */
struct flight_keys {
    enum flight_sender sender;
    const uint8_t *server_prk, *user_prk; /* 32 bytes each */
    struct piece bound_to;
};

/* Writes a flight of at most FLIGHT_MAX_BYTES. The head is given before masking, and is masked. mac2 is before coding. ERR_MEMORY. */
NODISCARD enum err flight_write(const struct flight_keys *keys, uint8_t *head,
                                const uint8_t *payload, size_t n_payload, uint8_t *out, size_t *n,
                                uint8_t mac2[static HMAC16_BYTES]);

struct flight_reader {
    enum flight_sender sender;
    enum flight_stage {
        FLIGHT_HEAD,
        FLIGHT_MAC1,
        FLIGHT_PAYLOAD,
        FLIGHT_MAC2,
        FLIGHT_WHOLE,
    } stage; /* what is being read */
    struct coding_state coding;
    uint8_t head[FLIGHT_MAX_HEAD_BYTES], mac[HMAC16_BYTES];
    uint8_t *wire, *payload;              /* payload: from FLIGHT_PAYLOAD on */
    size_t cap_wire, n_wire, n_authentic; /* bytes of wire that the next MAC is of */
    size_t n_payload, n_plain;            /* n_plain: of the stage being read */
};

/* ERR_MEMORY: then there is nothing to deinit. */
NODISCARD enum err flight_reader_init(struct flight_reader *reader, enum flight_sender sender);
/* Harmless for one of zeros. */
void flight_reader_deinit(struct flight_reader *reader);
/* Goes on with the stage. ERR_NONE: it is whole, `used` bytes were taken, and the next call goes on with the next one. ERR_MORE: all bytes
 * were taken. ERR_BAD: the coding is not canonical, or there is too much of it. */
NODISCARD enum err flight_reader_take(struct flight_reader *reader, const uint8_t *bytes, size_t n,
                                      size_t *used);
/* Behind FLIGHT_HEAD, at the server behind FLIGHT_MAC1, which may have to try several keys. ERR_MEMORY. */
NODISCARD enum err flight_reader_unmask(struct flight_reader *reader,
                                        const uint8_t server_prk[static 32]);
/* Behind FLIGHT_MAC1 and FLIGHT_MAC2: whether the MAC is right. */
bool flight_reader_is_authentic(const struct flight_reader *reader, const struct flight_keys *keys);
/* Behind FLIGHT_MAC1: makes room for a payload of that many bytes. ERR_MEMORY. */
NODISCARD enum err flight_reader_expect(struct flight_reader *reader, size_t n_payload);

/* Numbers as they stand in flights. */
uint64_t flight_get(const uint8_t *bytes, size_t n);
void flight_put(uint8_t *bytes, size_t n, uint64_t number);

#endif
