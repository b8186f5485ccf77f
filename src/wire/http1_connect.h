/* CONNECT (RFC 9110 section 9.3.6) as a client asks it of a proxy. The answer's head is read by
 * http1_parse_response(). */
#ifndef SOCKEYE_WIRE_HTTP1_CONNECT_H
#define SOCKEYE_WIRE_HTTP1_CONNECT_H

#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"
#include "wire/slice.h"

/* The target stands in it twice, and user and password of 255 bytes each once, by Basic. */
#define HTTP1_CONNECT_MAX_BYTES 1300

/* Writes the head of a CONNECT, with credentials unless they are NULL, and returns its length. User
 * and password are 255 bytes at most. It may hold a secret, for the caller to wipe. */
size_t http1_write_connect(char out[static HTTP1_CONNECT_MAX_BYTES], const struct target *target,
                           const struct slice *user, const struct slice *password);

/* What the status of a final answer to CONNECT says. ERR_NONE: connected (2xx). ERR_AUTH: the proxy
 * refuses the login, or asks for one (407, 401). ERR_DENIED (403), ERR_COMMAND (405), ERR_HOST_UNREACH
 * (502, 503), ERR_TIMEOUT (504); ERR_UPSTREAM for any other. */
enum err http1_connect_err(unsigned status);

#endif
