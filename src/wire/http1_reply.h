/* Answers of our own. */
#ifndef SOCKEYE_WIRE_HTTP1_REPLY_H
#define SOCKEYE_WIRE_HTTP1_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The status for the outcome of a request; 200 where there is no error. */
unsigned http1_status(enum err err);

/* What follows a CONNECT that succeeded. */
#define HTTP1_CONNECTED "HTTP/1.1 200 Connection established\r\n\r\n"

/* What a client waits for that sent Expect: 100-continue. */
#define HTTP1_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/* Enough for every head that http1_write_reply() makes, and for a body of one line. */
#define HTTP1_REPLY_MAX_BYTES 1024
#define HTTP1_BODY_MAX_BYTES 512

/* Writes an answer of our own and returns its length. The body is one line without its end, cut
 * after HTTP1_BODY_MAX_BYTES. A 407 asks for Basic, a 405 names what is allowed. */
size_t http1_write_reply(char out[static HTTP1_REPLY_MAX_BYTES], unsigned status, const char *body,
                         bool keep_open);

/* The same without the body that it announces: the answer to a HEAD. */
size_t http1_write_reply_to_head(char out[static HTTP1_REPLY_MAX_BYTES], unsigned status,
                                 const char *body, bool keep_open);

#endif
