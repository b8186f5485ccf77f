/*
 * A head written anew for the next hop (RFC 9110 section 7.6). Fields that are for one hop only stay
 * here: Connection and what it lists, Keep-Alive, Upgrade, TE, and everything that begins with
 * Proxy-. The lines that go on keep their order and their bytes, but for those that say where a
 * message goes and how long it is: Host is the target's, Content-Length and Transfer-Encoding are
 * written as we read them, so that nobody behind us can read them otherwise. No Via and no
 * X-Forwarded-For is added.
 *
 * What is written is at most HTTP1_FORWARD_MORE_BYTES longer than what was parsed.
 */
#ifndef SOCKEYE_WIRE_HTTP1_FORWARD_H
#define SOCKEYE_WIRE_HTTP1_FORWARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "wire/http1.h"
#include "wire/http1_target.h"

#define HTTP1_FORWARD_MORE_BYTES 128
#define HTTP1_FORWARD_MAX_BYTES (HTTP1_HEAD_MAX_BYTES + HTTP1_FORWARD_MORE_BYTES)

/* Writes a request, in HTTP/1.1 and origin form, whatever the client's version. Upgrade goes on
 * where the head upgrades, TE: trailers where it takes them, Expect: 100-continue where it expects
 * that (in HTTP/1.0 it means nothing). !keep_open tells the server that no other request follows.
 * ERR_TOO_LONG: it does not fit `size` bytes. */
NODISCARD enum err http1_forward_request(char *out, size_t size, size_t *n,
                                         const struct http1_head *head, const struct http1_uri *uri,
                                         bool keep_open);

/* Writes a response, in HTTP/1.1, whose body the client is given by `framing`: as the head's own,
 * or HTTP1_BY_CLOSE for a body that is decoded for an HTTP/1.0 client, which demands !keep_open.
 * A 1xx says nothing of the connection, but a 101 that the protocol changes.
 * ERR_TOO_LONG: it does not fit `size` bytes.
 *
 * A server's 407 is not for our client, who would take it for ours: the caller answers 502. */
NODISCARD enum err http1_forward_response(char *out, size_t size, size_t *n,
                                          const struct http1_head *head, enum http1_framing framing,
                                          bool keep_open);

/* How a response's body is framed for a client that speaks HTTP/1.minor. */
enum http1_framing http1_framing_for(enum http1_framing framing, uint8_t client_minor);

#endif
