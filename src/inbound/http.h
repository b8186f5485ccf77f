/* What the handshake of the http inbound (http.c) and its exchanges (forward.c) have in common. */
#ifndef SOCKEYE_INBOUND_HTTP_H
#define SOCKEYE_INBOUND_HTTP_H

#include "flow/flow.h"
#include "wire/http1.h"
#include "wire/http1_target.h"

/* A request of a client, as parsed; it borrows the bytes. */
struct http_request {
    struct http1_head head;
    struct http1_uri uri; /* of one to be forwarded */
    size_t n_head;        /* bytes of the head */
};

/*
 * Judges what the client sends: struct inbound_protocol's advance(), with the request in detail.
 * With INBOUND_REQUEST and INBOUND_WAIT it is the head that is used; REQUEST_EXCHANGE is one to be forwarded.
 */
enum inbound_step http_judge(struct flow *flow, const uint8_t *bytes, size_t n,
                             struct http_request *http, size_t *used, struct request *request,
                             enum err *why);

/* Sends an answer of our own, whose body is one line of text. */
void http_answer(struct flow *flow, unsigned status, const char *text, bool keep_open);

#endif
