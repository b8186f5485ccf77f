/*
 * Where a message's body ends, and what of its bytes goes on. A body of any size takes constant
 * memory: the bytes stay where they were read to, and the caller is told which runs of them go on.
 *
 *     while (n > 0 && !http1_body_is_done(&body)) {
 *         struct slice run;
 *         enum err err = http1_body_advance(&body, bytes, n, &used, &run);
 *         if (err != ERR_NONE)
 *             ... malformed: reset both sides, as what has gone on cannot be taken back
 *         ... send the run, which may be empty
 *         bytes += used, n -= used;
 *     }
 *     ... what is left of bytes belongs to the next message
 *
 * HTTP1_PASS gives a body with its framing, such as it came where it came in its plain form: a read
 * of any size is one run. What another reader may take otherwise is left out of it (chunk
 * extensions, trailer fields that mean something to a proxy or a server's framing) or is an error.
 * HTTP1_DECODE gives the body's own bytes, for a reader without chunks.
 *
 * Where nothing but data comes for a while, http1_body_left() says for how long, so that so many
 * bytes can be moved unseen.
 */
#ifndef SOCKEYE_WIRE_HTTP1_BODY_H
#define SOCKEYE_WIRE_HTTP1_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/http1.h"
#include "wire/slice.h"

/* What is beyond these is ERR_TOO_LONG. */
#define HTTP1_EXTENSION_MAX_BYTES 256          /* behind one chunk's size */
#define HTTP1_EXTENSIONS_MAX_BYTES (16 * 1024) /* behind all of them, beyond as much as data */
#define HTTP1_TRAILER_NAME_MAX_BYTES 64
#define HTTP1_TRAILERS_MAX_BYTES (8 * 1024)

enum http1_way { HTTP1_PASS, HTTP1_DECODE };

struct http1_body {
    uint8_t state;
    uint8_t way;        /* enum http1_way */
    uint8_t n_digits;   /* of this chunk's size */
    uint8_t n_name;     /* of `name` */
    bool drops_trailer; /* the trailer field at hand */
    uint16_t n_extension;
    uint16_t n_extensions; /* more than there was data */
    uint16_t n_trailers;
    uint64_t left; /* of the data at hand */
    char name[HTTP1_TRAILER_NAME_MAX_BYTES];
};

/* Starts a body; `length` is of HTTP1_BY_LENGTH. */
void http1_body_init(struct http1_body *body, enum http1_framing framing, uint64_t length,
                     enum http1_way way);

/* Takes *used of n > 0 bytes and gives the run of them that goes on; either may be empty, not both.
 * The run lies within the bytes, or (a trailer's name) within *body until the next call. Not to be
 * called when the body is done.
 * ERR_BAD: malformed. ERR_TOO_LONG: a bound above. What was good before it has been given out by
 * earlier calls, however the bytes came. */
NODISCARD enum err http1_body_advance(struct http1_body *body, const uint8_t *bytes, size_t n,
                                      size_t *used, struct slice *run);

/* Whether the last byte of the body has been taken. */
bool http1_body_is_done(const struct http1_body *body);

/* Whether the body may end where the sender's fin is: it is done, or ends by close. Otherwise it is
 * cut short, and who gets it has to see that. */
bool http1_body_may_end(const struct http1_body *body);

/* How many bytes from here are nothing but data; UINT64_MAX where a body ends by close. */
uint64_t http1_body_left(const struct http1_body *body);

/* Says that so many of them, at most http1_body_left(), have gone on. */
void http1_body_skip(struct http1_body *body, uint64_t n);

#endif
