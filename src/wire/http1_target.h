/* Where a request wants to go (RFC 9112 section 3.2), in the two forms that are for a proxy. */
#ifndef SOCKEYE_WIRE_HTTP1_TARGET_H
#define SOCKEYE_WIRE_HTTP1_TARGET_H

#include "base/addr.h"
#include "base/err.h"
#include "wire/http1.h"
#include "wire/slice.h"

/* Parses the target of a CONNECT, "host:port" or "[::1]:port" (RFC 9110 section 9.3.6). ERR_BAD:
 * it is not one, or its port is missing or 0. */
NODISCARD enum err http1_parse_authority(struct target *out, struct slice text);

/* The parts of an absolute form. The slices point into the bytes parsed. */
struct http1_uri {
    struct target target;   /* of port 80 where none is given */
    struct slice authority; /* "host" or "host:port", as sent: what Host has to be */
    struct slice path;      /* with the query; it may be empty, or begin with '?' */
};

/* Parses the target of a request to be forwarded, "http://host:port/path?query". The Host that
 * came with it has no meaning (RFC 9112 section 3.2.2), but HTTP/1.1 without one is ERR_BAD.
 * ERR_BAD as well: anything else, such as an origin form ("/path"), user and password, a fragment,
 * an IPv6 address with a zone. ERR_SCHEME: another scheme, such as https, which is for CONNECT. */
NODISCARD enum err http1_parse_absolute(struct http1_uri *out, const struct http1_head *head);

#endif
