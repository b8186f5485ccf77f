/*
 * SOCKS4 and SOCKS4a (Ying-Da Lee's "SOCKS: A protocol for TCP proxy across firewalls" and its
 * extension), the proxy's side and the client's.
 *
 *     request   | 4 | command | port (2) | address (4) | user ... | 0 |
 *     4a adds   | name ... | 0 |   where the address is 0.0.0.x with x not 0
 *     reply     | 0 | code | port (2) | address (4) |
 *
 * Like every parser in wire/, this one is given all the bytes that have come so far. ERR_MORE: they
 * are the beginning of a message, call again with more of them. Any other error is final. The
 * result depends on the bytes only, not on how they came.
 */
#ifndef SOCKEYE_WIRE_SOCKS4_H
#define SOCKEYE_WIRE_SOCKS4_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "wire/slice.h"

#define SOCKS4_VERSION 4
#define SOCKS4_USER_MAX_BYTES 255

/* Of so many bytes or more, no parse returns ERR_MORE. */
#define SOCKS4_REQUEST_MAX_BYTES (8 + SOCKS4_USER_MAX_BYTES + 1 + HOST_NAME_MAX_BYTES + 1)
#define SOCKS4_REPLY_BYTES 8

enum socks4_command { SOCKS4_CONNECT = 1, SOCKS4_BIND = 2 };
enum socks4_reply { SOCKS4_GRANTED = 90, SOCKS4_REJECTED = 91 };

struct socks4_request {
    uint8_t command;      /* as sent: whether it is served is the caller's to say */
    struct target target; /* port 0 is let through: whoever dials refuses it */
    struct slice user;    /* into the bytes parsed; may be empty */
};

/* ERR_VERSION: the first byte is not 4. ERR_TOO_LONG: user or name beyond 255 bytes. ERR_BAD: a
 * name that is none. After any of them the caller may reply, and closes. */
NODISCARD enum err socks4_parse_request(const uint8_t *bytes, size_t n, struct socks4_request *out,
                                        size_t *used);

/* The reply's code for the outcome of a request. */
enum socks4_reply socks4_code(enum err err);

/* Writes a reply. An address that is not IPv4 is written as zeros, the port remains. */
void socks4_write_reply(uint8_t out[static SOCKS4_REPLY_BYTES], enum socks4_reply code,
                        const struct addr *bound);

/* ---- the client's side ---- */

/* What a proxy answers to a request. */
struct socks4_answer {
    enum err err;      /* ERR_NONE: it is granted; ERR_UPSTREAM: it is not, whatever the reason */
    struct addr bound; /* IPv4 */
};

/* Writes a request without a user, a name by 4a. ERR_ADDRESS_TYPE: IPv6 cannot be asked for, nor
 * 0.0.0.x, which stands for a name. */
NODISCARD enum err socks4_write_request(uint8_t out[static SOCKS4_REQUEST_MAX_BYTES], size_t *n,
                                        enum socks4_command command, const struct target *target);

/* ERR_VERSION: the first byte is not 0. ERR_BAD: the code is none of a reply's. */
NODISCARD enum err socks4_parse_reply(const uint8_t *bytes, size_t n, struct socks4_answer *out,
                                      size_t *used);

#endif
