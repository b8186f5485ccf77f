/* User and password in a field's value: Basic (RFC 7617). */
#ifndef SOCKEYE_WIRE_HTTP1_BASIC_H
#define SOCKEYE_WIRE_HTTP1_BASIC_H

#include "base/err.h"
#include "wire/slice.h"

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

#endif
