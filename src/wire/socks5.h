/*
 * SOCKS5 (RFC 1928) with user and password (RFC 1929), the proxy's side and the client's.
 *
 *     client                                      proxy
 *     greeting   | 5 | n | methods (n) |     -->
 *                                            <--  | 5 | method |
 *     login      | 1 | n | user | n | password | --> (method 2 only)
 *                                            <--  | 1 | status |
 *     request    | 5 | command | 0 | type | address | port (2) | -->
 *                                            <--  | 5 | code | 0 | type | address | port (2) |
 *     datagram   | 0 | 0 | fragment | type | address | port (2) | payload |, both ways, after UDP ASSOCIATE
 *
 * The convention of the parsers is in wire/socks4.h. A client may send several messages at once:
 * *used says how long the first is.
 */
#ifndef SOCKEYE_WIRE_SOCKS5_H
#define SOCKEYE_WIRE_SOCKS5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "wire/slice.h"

#define SOCKS5_VERSION 5
#define SOCKS5_LOGIN_VERSION 1

/* Of so many bytes or more, no parse of that message returns ERR_MORE. */
#define SOCKS5_GREETING_MAX_BYTES (2 + 255)
#define SOCKS5_LOGIN_MAX_BYTES (2 + 255 + 1 + 255)
#define SOCKS5_REQUEST_MAX_BYTES (4 + 1 + HOST_NAME_MAX_BYTES + 2)
#define SOCKS5_ANSWER_MAX_BYTES (4 + 1 + 255 + 2) /* to a client: it may name a domain */

#define SOCKS5_UDP_HEADER_MAX_BYTES (4 + 1 + HOST_NAME_MAX_BYTES + 2)
#define SOCKS5_OFFER_BYTES 4
#define SOCKS5_METHOD_REPLY_BYTES 2
#define SOCKS5_LOGIN_REPLY_BYTES 2
#define SOCKS5_REPLY_MAX_BYTES (4 + 16 + 2)

enum socks5_method {
    SOCKS5_METHOD_NONE = 0,
    SOCKS5_METHOD_PASSWORD = 2,
    SOCKS5_METHOD_UNACCEPTABLE = 0xff,
};

enum socks5_command {
    SOCKS5_CONNECT = 1,
    SOCKS5_BIND = 2,
    SOCKS5_UDP_ASSOCIATE = 3,
};

/* RFC 1928 section 6 */
enum socks5_reply {
    SOCKS5_SUCCEEDED = 0,
    SOCKS5_FAILED = 1,
    SOCKS5_NOT_ALLOWED = 2,
    SOCKS5_NET_UNREACHABLE = 3,
    SOCKS5_HOST_UNREACHABLE = 4,
    SOCKS5_REFUSED = 5,
    SOCKS5_TTL_EXPIRED = 6,
    SOCKS5_COMMAND_NOT_SUPPORTED = 7,
    SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED = 8,
};

struct socks5_greeting {
    const uint8_t *methods; /* into the bytes parsed */
    uint8_t n_methods;      /* 0 is well formed: nothing will be acceptable */
};

struct socks5_login {
    struct slice user;     /* into the bytes parsed */
    struct slice password; /* the same */
};

struct socks5_request {
    uint8_t command;      /* as sent: whether it is served is the caller's to say */
    struct target target; /* port 0 is let through: whoever dials refuses it */
};

/* RFC 1928 section 7: what stands before a datagram's payload. */
struct socks5_datagram {
    uint8_t fragment;     /* 0: it is whole */
    struct target target; /* where it goes to, or came from; port 0 is let through */
};

/* ERR_VERSION: the first byte is not 5. */
NODISCARD enum err socks5_parse_greeting(const uint8_t *bytes, size_t n,
                                         struct socks5_greeting *out, size_t *used);

bool socks5_offers(const struct socks5_greeting *greeting, enum socks5_method method);

void socks5_write_method(uint8_t out[static SOCKS5_METHOD_REPLY_BYTES], enum socks5_method method);

/* ERR_VERSION: the first byte is not 1. ERR_BAD: a user without a name. An empty password, which
 * RFC 1929 does not foresee and clients send, is let through to be compared like others. */
NODISCARD enum err socks5_parse_login(const uint8_t *bytes, size_t n, struct socks5_login *out,
                                      size_t *used);

/* After one that is not ok the caller closes (RFC 1929 section 2). */
void socks5_write_login_reply(uint8_t out[static SOCKS5_LOGIN_REPLY_BYTES], bool ok);

/* The reserved byte may have any value. A domain that is the text of an address becomes that
 * address. ERR_VERSION: the first byte is not 5. ERR_ADDRESS_TYPE: neither IPv4, domain nor IPv6.
 * ERR_BAD: a domain that is none, such as an empty one. The latter two are worth a reply. Of UDP
 * ASSOCIATE such a domain means that the client does not know its address: PySocks says "0". */
NODISCARD enum err socks5_parse_request(const uint8_t *bytes, size_t n, struct socks5_request *out,
                                        size_t *used);

/* The reply's code for the outcome of a request. */
enum socks5_reply socks5_code(enum err err);

/* And back: what a reply's code says, for a client. Each code of RFC 1928 section 6 but 0 becomes
 * an error that socks5_code() turns into that code again, and any other is ERR_UPSTREAM. */
enum err socks5_err(uint8_t code);

/* Writes a reply and returns its length. Without an address (family NONE) 0.0.0.0 is written. */
size_t socks5_write_reply(uint8_t out[static SOCKS5_REPLY_MAX_BYTES], enum socks5_reply code,
                          const struct addr *bound);

/* Parses the header of one datagram, all of it: the payload begins at *used. The reserved bytes may
 * have any value. ERR_BAD: cut short, or a domain that is none. ERR_ADDRESS_TYPE. */
NODISCARD enum err socks5_parse_datagram(const uint8_t *bytes, size_t n,
                                         struct socks5_datagram *out, size_t *used);

/* Writes a header into the SOCKS5_UDP_HEADER_MAX_BYTES before the payload, right in front of it, and
 * returns where it begins. Of a target with a name the name is written. */
uint8_t *socks5_put_udp_header(uint8_t *payload, const struct target *target);

/* ---- the client's side ---- */

/* What a proxy answers to a request. */
struct socks5_answer {
    enum err err;      /* ERR_NONE: it is granted, else why not */
    struct addr bound; /* family NONE: none, or the proxy names a domain */
};

/* Writes a greeting that offers to go without a login, and one by password where there is one;
 * returns its length. */
size_t socks5_write_greeting(uint8_t out[static SOCKS5_OFFER_BYTES], bool has_password);

/* *method is as sent: whether it was offered is the caller's to say. ERR_VERSION: the first byte
 * is not 5. */
NODISCARD enum err socks5_parse_method(const uint8_t *bytes, size_t n, uint8_t *method,
                                       size_t *used);

/* Writes a login and returns its length; texts are 255 bytes at most. It holds a secret, for the
 * caller to wipe. */
size_t socks5_write_login(uint8_t out[static SOCKS5_LOGIN_MAX_BYTES], struct slice user,
                          struct slice password);

/* ERR_AUTH: the login is refused. ERR_VERSION: the first byte is neither 1 nor, as some proxies
 * have it, 5. */
NODISCARD enum err socks5_parse_login_reply(const uint8_t *bytes, size_t n, size_t *used);

/* Writes a request and returns its length. An IPv6 zone is not sent. */
size_t socks5_write_request(uint8_t out[static SOCKS5_REQUEST_MAX_BYTES],
                            enum socks5_command command, const struct target *target);

/* Of a refusal no more than the code is looked at, since some proxies send no more. ERR_VERSION:
 * the first byte is not 5. ERR_BAD: granted with an address that is none. */
NODISCARD enum err socks5_parse_reply(const uint8_t *bytes, size_t n, struct socks5_answer *out,
                                      size_t *used);

#endif
