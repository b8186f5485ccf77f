/*
 * The frames that a record's payload consists of (doc/protocol.md, section 7): from bytes and to bytes, without any
 * knowledge of a session.
 */
#ifndef SOCKEYE_SESSION_FRAME_H
#define SOCKEYE_SESSION_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "session/session.h"
#include "wire/varint.h"

enum frame_type {
    FRAME_PADDING = 0x00,
    FRAME_OPEN = 0x01,
    FRAME_OPENED = 0x02,
    FRAME_DATA = 0x03,
    FRAME_FIN = 0x04,
    FRAME_RESET = 0x05,
    FRAME_WINDOW = 0x06,
    FRAME_INITIAL = 0x07,
    FRAME_ACK = 0x08,
    FRAME_LOST = 0x09,
    FRAME_PING = 0x0a,
    FRAME_PONG = 0x0b,
    FRAME_AUTH = 0x0c,
    FRAME_BYE = 0x0d,
    FRAME_END = 0x0e,
    FRAME_DATAGRAM = 0x0f,
    FRAME_LISTEN = 0x10,
    FRAME_LISTENING = 0x11,
    FRAME_UNLISTEN = 0x12,
    FRAME_DRAIN = 0x13,
    FRAME_INSTANCE = 0x14,
};

/* Which members hold depends on the type; the others are not set. */
struct frame {
    uint8_t type;
    uint8_t code;         /* OPENED, RESET, END, LISTENING; the kind of OPEN and LISTEN */
    bool has_bad_name;    /* OPEN: its target's name is none that could be looked up */
    uint64_t id;          /* of the stream; ACK and LOST: the link; LISTEN...: the listener */
    uint64_t value;       /* offset, final size, limit, claim of INITIAL, count, token, seconds */
    uint64_t delay_us;    /* ACK */
    uint64_t claim;       /* OPEN */
    uint64_t grant;       /* OPEN */
    const uint8_t *bytes; /* DATA, FIN, DATAGRAM, INSTANCE; AUTH: the SPKI. Borrowed */
    size_t n_bytes;
    const uint8_t *address;   /* DATAGRAM: as it stands in front of the bytes. Borrowed */
    const uint8_t *signature; /* AUTH. Borrowed */
    size_t n_signature;
    struct addr bound;             /* OPENED, LISTEN, LISTENING */
    struct stream_request request; /* OPEN */
};

/* The most that a frame takes, but for the bytes of DATA, FIN and DATAGRAM, and AUTH. */
#define FRAME_ADDRESS_MAX_BYTES (1 + 1 + HOST_NAME_MAX_BYTES + 2)
#define FRAME_OPEN_MAX_BYTES (2 + 4 * VARINT_MAX_BYTES + FRAME_ADDRESS_MAX_BYTES + 19)
#define FRAME_OPENED_MAX_BYTES (2 + VARINT_MAX_BYTES + 19)
#define FRAME_LISTEN_MAX_BYTES FRAME_OPENED_MAX_BYTES   /* and of LISTENING */
#define FRAME_HEAD_MAX_BYTES (2 + 3 * VARINT_MAX_BYTES) /* any of the others */
#define FRAME_DATAGRAM_MAX_BYTES 65000                  /* what one carries at most */

/* Whether streams of this kind carry datagrams, and no bytes in order. */
static inline bool frame_kind_has_datagrams(enum stream_kind kind)
{
    return kind == STREAM_ASSOCIATION || kind == STREAM_RELAYED;
}

/* Takes the frame at the beginning of n > 0 bytes, *used of them. A run of PADDING is one. ERR_BAD: it is cut off,
 * of no type that is known, or a value is outside its range. */
NODISCARD enum err frame_parse(const uint8_t *bytes, size_t n, struct frame *frame, size_t *used);

/* Takes an address that frame_parse() has found in front of a datagram's bytes. ERR_BAD: a name that could not be
 * looked up, or that is an address's text. */
NODISCARD enum err frame_parse_address(const uint8_t *bytes, size_t n, struct target *out,
                                       size_t *used);
/* What it takes. */
size_t frame_address_bytes(const struct target *address);

/* Each writes a frame (of DATA and FIN, and AUTH's head, what stands before the bytes) and returns where it ends. */
uint8_t *frame_write_open(uint8_t *out, uint64_t id, uint64_t claim, uint64_t grant,
                          const struct stream_request *request);
uint8_t *frame_write_opened(uint8_t *out, uint64_t id, uint8_t code, const struct addr *bound);
uint8_t *frame_write_data(uint8_t *out, bool is_fin, uint64_t id, uint64_t offset, size_t n);
uint8_t *frame_write_reset(uint8_t *out, uint64_t id, uint8_t code, uint64_t final_size);
uint8_t *frame_write_window(uint8_t *out, uint64_t id, uint64_t limit);
uint8_t *frame_write_initial(uint8_t *out, uint64_t claim);
uint8_t *frame_write_drain(uint8_t *out, uint64_t seconds);
uint8_t *frame_write_ack(uint8_t *out, uint64_t link, uint64_t count, uint64_t delay_us);
uint8_t *frame_write_lost(uint8_t *out, uint64_t link, uint64_t count);
uint8_t *frame_write_token(uint8_t *out, enum frame_type type, uint64_t token); /* PING, PONG */
uint8_t *frame_write_instance(uint8_t *out, const uint8_t instance[static INSTANCE_BYTES]);
uint8_t *frame_write_bye(uint8_t *out);
uint8_t *frame_write_end(uint8_t *out, uint8_t code);
/* LISTEN with a kind, LISTENING with a code. */
uint8_t *frame_write_listener(uint8_t *out, enum frame_type type, uint64_t listener, uint8_t code,
                              const struct addr *addr);
uint8_t *frame_write_unlisten(uint8_t *out, uint64_t listener);
/* A DATAGRAM in two halves, as its stream may have no id yet when it is made: what stands in front of the length, and
 * length and address, behind which the bytes follow. */
uint8_t *frame_write_datagram_id(uint8_t *out, uint64_t id);
uint8_t *frame_write_datagram_to(uint8_t *out, size_t n, const struct target *address);

#endif
