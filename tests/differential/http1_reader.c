/*
 * Reads HTTP/1 messages and says, one line of JSON each, what came of them. On stdin each is
 *
 *     | kind (1) | length (4, little endian) | bytes |
 *
 * where kind is 'q' (a request), 'r' (a response) or 'h' (a response to HEAD). Texts are written in
 * hexadecimal. "written" is the message as it would go on: the head anew and what passes of the body.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/http1.h"
#include "wire/http1_body.h"
#include "wire/http1_forward.h"
#include "wire/http1_target.h"

enum { MESSAGE_MAX_BYTES = 256 * 1024 };

struct text {
    size_t n;
    char bytes[MESSAGE_MAX_BYTES + HTTP1_FORWARD_MAX_BYTES];
};

static void put_hex(const char *key, const char *bytes, size_t n)
{
    printf("\"%s\":\"", key);
    for (size_t i = 0; i < n; i++)
        printf("%02x", (unsigned char)bytes[i]);
    printf("\",");
}

static void put_fields(const struct http1_head *head)
{
    printf("\"fields\":[");
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct http1_field *field = &head->fields[i];
        printf("%s{", i > 0 ? "," : "");
        put_hex("name", field->name.at, field->name.n);
        put_hex("value", field->value.at, field->value.n);
        printf("\"\":0}");
    }
    printf("],");
}

/* Adds what goes on of the body; says whether all of it was there. */
static enum err read_body(struct text *out, const uint8_t *bytes, size_t n,
                          const struct http1_head *head, enum http1_framing framing,
                          enum http1_way way, bool *is_whole)
{
    struct http1_body body;

    http1_body_init(&body, framing, head->length, way);
    while (n > 0 && !http1_body_is_done(&body)) {
        struct slice run;
        size_t used;
        enum err err = http1_body_advance(&body, bytes, n, &used, &run);
        if (err != ERR_NONE)
            return err;
        memcpy(out->bytes + out->n, run.at, run.n);
        out->n += run.n;
        bytes += used;
        n -= used;
    }
    *is_whole = http1_body_may_end(&body);
    return ERR_NONE;
}

/* Writes the head for the next hop. ERR_BAD: a request that is not to be forwarded. */
static enum err write_head(struct text *out, const struct http1_head *head,
                           enum http1_framing framing)
{
    struct http1_uri uri;

    if (head->status != 0)
        return http1_forward_response(out->bytes, sizeof out->bytes, &out->n, head, framing,
                                      framing != HTTP1_BY_CLOSE);
    enum err err = http1_parse_absolute(&uri, head);
    if (err != ERR_NONE)
        return err;
    return http1_forward_request(out->bytes, sizeof out->bytes, &out->n, head, &uri, true);
}

static void report(char kind, const uint8_t *bytes, size_t n)
{
    static struct text decoded, written;
    struct http1_head head;
    size_t used;
    bool is_whole = false;
    enum err err = kind == 'q' ? http1_parse_request(bytes, n, &head, &used)
                               : http1_parse_response(bytes, n, &head, &used);

    decoded.n = 0;
    written.n = 0;
    if (err != ERR_NONE) {
        printf("{\"error\":\"%s\"}\n", err_text(err));
        return;
    }
    enum http1_framing framing =
        kind == 'q' ? http1_request_framing(&head) : http1_response_framing(&head, kind == 'h');
    err = read_body(&decoded, bytes + used, n - used, &head, framing, HTTP1_DECODE, &is_whole);
    if (err != ERR_NONE) {
        printf("{\"error\":\"body: %s\"}\n", err_text(err));
        return;
    }
    if (write_head(&written, &head, framing) != ERR_NONE ||
        read_body(&written, bytes + used, n - used, &head, framing, HTTP1_PASS, &is_whole) !=
            ERR_NONE)
        written.n = 0;
    printf("{");
    put_hex("method", head.method.at, head.method.n);
    put_hex("target", head.target.at, head.target.n);
    put_hex("reason", head.reason.at, head.reason.n);
    put_fields(&head);
    put_hex("body", decoded.bytes, decoded.n);
    put_hex("written", written.bytes, written.n);
    printf("\"status\":%u,\"minor\":%u,\"head\":%zu,\"has_host\":%d,\"keeps_open\":%d,"
           "\"upgrades\":%d,\"by_close\":%d,\"is_whole\":%d}\n",
           head.status, head.minor, used, head.has_host, head.keeps_open, head.upgrades,
           framing == HTTP1_BY_CLOSE, is_whole);
}

static size_t length_of(const uint8_t bytes[static 4])
{
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 |
           (size_t)bytes[3] << 24;
}

int main(void)
{
    uint8_t frame[5];

    while (fread(frame, 1, sizeof frame, stdin) == sizeof frame) {
        size_t n = length_of(frame + 1);
        if (n > MESSAGE_MAX_BYTES)
            return 1;
        uint8_t *bytes = malloc(n > 0 ? n : 1); /* of exactly its length, for ASan */
        if (bytes == NULL || fread(bytes, 1, n, stdin) != n)
            return 1;
        report((char)frame[0], bytes, n);
        free(bytes);
    }
    return 0;
}
