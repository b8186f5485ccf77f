/*
 * HTTP/1 (RFC 9110, RFC 9112) as a proxy needs it: the heads of requests and of responses. Beside
 * this file:
 *
 *     http1_target.h    where a request wants to go: host:port, http://host/path
 *     http1_body.h      where a message's body ends, and what of it goes on
 *     http1_forward.h   a head written anew for the next hop
 *     http1_reply.h     answers of our own
 *     http1_basic.h     user and password
 *
 * The parser is strict, because a proxy that reads a message otherwise than the server behind it
 * is how requests are smuggled: every line ends in CRLF, no line is folded, no blank stands before
 * a colon, no control byte anywhere, and what says how long the body is says it once, without tabs.
 *
 * The convention of the parsers is in wire/socks4.h.
 */
#ifndef SOCKEYE_WIRE_HTTP1_H
#define SOCKEYE_WIRE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/slice.h"

/* Of so many bytes or more, no parse of a head returns ERR_MORE. */
#define HTTP1_HEAD_MAX_BYTES (16 * 1024)
#define HTTP1_MAX_FIELDS 100

/* How many names of fields Connection may list, those that every proxy knows not counted. */
#define HTTP1_MAX_LISTED 16

/* The fields that mean something to a proxy. */
enum http1_name {
    HTTP1_OTHER,
    HTTP1_HOST,
    HTTP1_CONTENT_LENGTH,
    HTTP1_TRANSFER_ENCODING,
    HTTP1_CONNECTION,
    HTTP1_KEEP_ALIVE,
    HTTP1_UPGRADE,
    HTTP1_TE,
    HTTP1_TRAILER,
    HTTP1_EXPECT,
    HTTP1_PROXY_CONNECTION,
    HTTP1_PROXY, /* any other Proxy-... */
};

struct http1_field {
    struct slice name;
    struct slice value; /* without the blanks around it; may be empty */
    enum http1_name id;
};

/* How a body ends (RFC 9112 section 6.3). */
enum http1_framing {
    HTTP1_NO_BODY,
    HTTP1_BY_LENGTH, /* after so many bytes, which may be none */
    HTTP1_CHUNKED,
    HTTP1_BY_CLOSE, /* with the connection; responses only */
};

/* All slices point into the bytes parsed. */
struct http1_head {
    struct slice method; /* a token, "CONNECT"; methods are case-sensitive; empty in a response */
    struct slice target; /* as sent: printable bytes, 0x80 to 0xff included */
    unsigned status;     /* 100 to 999; 0 in a request */
    struct slice reason; /* may be empty */
    uint8_t minor;       /* of HTTP/1.minor, 0 to 9 */

    /* What the fields say. */
    bool has_host;
    bool has_length;
    bool is_chunked;
    bool expects_continue; /* Expect: 100-continue, in HTTP/1.1 */
    bool upgrades;         /* Upgrade is there and Connection lists it, in HTTP/1.1, no body */
    bool takes_trailers;   /* TE: trailers, in HTTP/1.1 */
    bool keeps_open;       /* its sender will keep the connection for a next message */
    uint64_t length;       /* Content-Length */

    size_t n_listed;
    struct slice listed[HTTP1_MAX_LISTED]; /* names that Connection lists */

    const char *end; /* behind the last field's line: where the empty line begins */
    size_t n_fields;
    struct http1_field fields[HTTP1_MAX_FIELDS]; /* in their order */
};

/* Parses a request's head, the empty line at its end included; one empty line before it is
 * skipped (RFC 9112 section 2.2). Content-Length is a number and stands once, Transfer-Encoding
 * stands once, in HTTP/1.1, without Content-Length, and is "chunked"; Host stands once at most
 * (that it may be missing is for the caller to judge).
 * ERR_BAD: malformed. ERR_VERSION: well formed, but not HTTP/1. ERR_TOO_LONG: beyond
 * HTTP1_HEAD_MAX_BYTES, HTTP1_MAX_FIELDS or HTTP1_MAX_LISTED. Each is worth a reply, then the
 * caller closes.
 *
 * HTTP/1.2 to 1.9 are read as 1.1. In HTTP/1.0, and from clients that know proxies of that time
 * (Proxy-Connection), "keep-alive" is taken at its word. */
NODISCARD enum err http1_parse_request(const uint8_t *bytes, size_t n, struct http1_head *out,
                                       size_t *used);

/* Parses a response's head, a 1xx's too. The reason may be missing, with or without the space
 * before it. The fields are as strict as a request's, but a Content-Length may stand several times
 * where it says the same. Errors as above: no byte of such a response may go on. */
NODISCARD enum err http1_parse_response(const uint8_t *bytes, size_t n, struct http1_head *out,
                                        size_t *used);

/* Whether the method is this one. */
bool http1_is_method(const struct http1_head *head, const char *method);

/* Returns the value of the first field of that name (in any case), or NULL. */
const struct slice *http1_find(const struct http1_head *head, const char *name);

/* How the body behind a request's head ends; the length is head->length. Never BY_CLOSE. */
enum http1_framing http1_request_framing(const struct http1_head *head);

/* How the body behind a response's head ends; is_to_head: the request was a HEAD. Behind a 101, or
 * a 2xx to CONNECT, there is no body but another protocol: the caller has seen to that before. */
enum http1_framing http1_response_framing(const struct http1_head *head, bool is_to_head);

/* Which of the fields that mean something to a proxy has this name, in any case. */
enum http1_name http1_name_of(struct slice name);

#endif
