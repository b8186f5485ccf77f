/*
 * HTTP/1 (RFC 9110, RFC 9112) as a proxy needs it: the head of a request, the target of CONNECT,
 * Basic credentials (RFC 7617), and answers of our own.
 *
 * The parser is strict, because a proxy that reads a message otherwise than the server behind it
 * is how requests are smuggled: every line ends in CRLF, no line is folded, no blank stands before
 * a colon, no control byte anywhere, and what says how long the body is says it once.
 *
 * The convention of the parsers is in wire/socks4.h.
 */
#ifndef SOCKEYE_WIRE_HTTP1_H
#define SOCKEYE_WIRE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "wire/slice.h"

/* Of so many bytes or more, http1_parse_head() does not return ERR_MORE. */
#define HTTP1_HEAD_MAX_BYTES (16 * 1024)
#define HTTP1_MAX_FIELDS 100

struct http1_field {
    struct slice name;
    struct slice value; /* without the blanks around it; may be empty */
};

/* All slices point into the bytes parsed. */
struct http1_head {
    struct slice method; /* a token, "CONNECT"; methods are case-sensitive */
    struct slice target; /* as sent: printable bytes, 0x80 to 0xff included */
    uint8_t minor;       /* of HTTP/1.minor, 0 to 9 */
    size_t n_fields;
    struct http1_field fields[HTTP1_MAX_FIELDS]; /* in their order */
};

/* Parses a request's head, the empty line at its end included; one empty line before it is
 * skipped (RFC 9112 section 2.2). Content-Length is a number and stands once, Transfer-Encoding
 * stands once, in HTTP/1.1, without Content-Length, and is "chunked"; Host stands once at most
 * (that it may be missing is for the caller to judge).
 * ERR_BAD: malformed. ERR_VERSION: well formed, but not HTTP/1. ERR_TOO_LONG: beyond
 * HTTP1_HEAD_MAX_BYTES or HTTP1_MAX_FIELDS. Each is worth a reply, then the caller closes. */
NODISCARD enum err http1_parse_head(const uint8_t *bytes, size_t n, struct http1_head *out,
                                    size_t *used);

/* Whether the method is this one. */
bool http1_is_method(const struct http1_head *head, const char *method);

/* Returns the value of the first field of that name (in any case), or NULL. */
const struct slice *http1_find(const struct http1_head *head, const char *name);

/* Parses the target of a CONNECT, "host:port" or "[::1]:port" (RFC 9110 section 9.3.6). ERR_BAD:
 * it is not one, or its port is missing or 0. */
NODISCARD enum err http1_parse_authority(struct target *out, struct slice text);

/* Enough for the user and password of any user of ours, 255 bytes each. */
#define HTTP1_BASIC_MAX_BYTES 512

struct http1_basic {
    char text
        [HTTP1_BASIC_MAX_BYTES]; /* what the slices point into; a secret, for the caller to wipe */
    struct slice user;
    struct slice password;
};

/* Decodes the value of Proxy-Authorization. ERR_AUTH: another scheme, malformed, or longer than any
 * user of ours; the caller asks anew (407) and wipes *out in any case. */
NODISCARD enum err http1_parse_basic(struct http1_basic *out, struct slice value);

/* The status for the outcome of a request; 200 where there is no error. */
unsigned http1_status(enum err err);

/* What follows a CONNECT that succeeded. */
#define HTTP1_CONNECTED "HTTP/1.1 200 Connection established\r\n\r\n"

/* Enough for every head that http1_write_reply() makes, and for a body of one line. */
#define HTTP1_REPLY_MAX_BYTES 1024
#define HTTP1_BODY_MAX_BYTES 512

/* Writes an answer of our own and returns its length. The body is one line without its end, cut
 * after HTTP1_BODY_MAX_BYTES. A 407 asks for Basic, a 405 names what is allowed. */
size_t http1_write_reply(char out[static HTTP1_REPLY_MAX_BYTES], unsigned status, const char *body,
                         bool keep_open);

#endif
