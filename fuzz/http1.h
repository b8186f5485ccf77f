/* What the fuzz targets of HTTP/1 have in common: what must be true of a head that was taken, and
 * of one that was written anew. */
#ifndef SOCKEYE_FUZZ_HTTP1_H
#define SOCKEYE_FUZZ_HTTP1_H

#include "fuzz.h"
#include "wire/http1.h"

/* A parser of heads, and what it made of some bytes. */
typedef enum err parse_head(const uint8_t *bytes, size_t n, struct http1_head *out, size_t *used);

struct parsed {
    parse_head *parse;
    enum err err;
    size_t used;
    struct http1_head head;
};

static inline void check_head_within(const struct http1_head *head, const uint8_t *data,
                                     size_t used)
{
    CHECK(head->n_fields <= HTTP1_MAX_FIELDS && head->n_listed <= HTTP1_MAX_LISTED);
    CHECK(head->minor <= 9);
    CHECK(head->end == (const char *)data + used - 2);
    for (size_t i = 0; i < head->n_fields; i++) {
        CHECK(head->fields[i].name.n > 0 && slice_within(head->fields[i].name, data, used));
        CHECK(slice_within(head->fields[i].value, data, used));
        CHECK(head->fields[i].id == http1_name_of(head->fields[i].name));
    }
    for (size_t i = 0; i < head->n_listed; i++)
        CHECK(head->listed[i].n > 0 && slice_within(head->listed[i], data, used));
    CHECK(!(head->has_length && head->is_chunked));
    CHECK(head->minor > 0 || !(head->is_chunked || head->upgrades || head->expects_continue));
}

static inline struct parsed parsed_of(parse_head *parse, const uint8_t *data, size_t n)
{
    struct parsed parsed;

    parsed.parse = parse;
    parsed.used = 0;
    parsed.err = parse(data, n, &parsed.head, &parsed.used);
    CHECK(parsed.err != ERR_MORE || n < HTTP1_HEAD_MAX_BYTES);
    if (parsed.err == ERR_NONE) {
        CHECK(parsed.used <= n && parsed.used <= HTTP1_HEAD_MAX_BYTES);
        check_head_within(&parsed.head, data, parsed.used);
    }
    return parsed;
}

static inline void check_same_head(const struct http1_head *a, const struct http1_head *b)
{
    CHECK(same_slice(a->method, b->method) && same_slice(a->target, b->target));
    CHECK(a->status == b->status && same_slice(a->reason, b->reason));
    CHECK(a->minor == b->minor && a->n_fields == b->n_fields && a->n_listed == b->n_listed);
    CHECK(a->has_host == b->has_host && a->has_length == b->has_length);
    CHECK(a->is_chunked == b->is_chunked && a->length == b->length);
    CHECK(a->expects_continue == b->expects_continue && a->upgrades == b->upgrades);
    CHECK(a->takes_trailers == b->takes_trailers && a->keeps_open == b->keeps_open);
    for (size_t i = 0; i < a->n_fields; i++) {
        CHECK(same_slice(a->fields[i].name, b->fields[i].name));
        CHECK(same_slice(a->fields[i].value, b->fields[i].value));
    }
}

/* The check_prefix of a struct parsed. */
static inline enum err check_parsed(const uint8_t *data, size_t n, const void *expected)
{
    const struct parsed *whole = expected;
    struct parsed part = parsed_of(whole->parse, data, n);

    if (part.err != ERR_MORE)
        CHECK(part.err == whole->err && part.used == whole->used);
    if (part.err == ERR_NONE)
        check_same_head(&part.head, &whole->head);
    return part.err;
}

/* What a careless reader could see in the bytes of a head that was taken: no line that ends
 * otherwise than in CRLF, no zero byte, no empty line but the one at its end. */
static inline void check_lines(const uint8_t *data, size_t used)
{
    size_t start = data[0] == '\r' ? 2 : 0;

    for (size_t i = start; i < used; i++) {
        CHECK(data[i] != 0);
        if (data[i] == '\r')
            CHECK(i + 1 < used && data[i + 1] == '\n');
        if (data[i] == '\n')
            CHECK(i > start && data[i - 1] == '\r');
        if (i + 4 < used)
            CHECK(memcmp(data + i, "\r\n\r\n", 4) != 0);
    }
    CHECK(memcmp(data + used - 4, "\r\n\r\n", 4) == 0);
}

static inline bool is_listed(const struct http1_head *head, struct slice name)
{
    for (size_t i = 0; i < head->n_listed; i++) {
        if (head->listed[i].n == name.n && strncasecmp(head->listed[i].at, name.at, name.n) == 0)
            return true;
    }
    return false;
}

/* The next field from *at that means nothing to a proxy and is not listed; NULL: none. */
static inline const struct http1_field *next_passed(const struct http1_head *head, size_t *at)
{
    while (*at < head->n_fields) {
        const struct http1_field *field = &head->fields[(*at)++];
        if (field->id == HTTP1_OTHER && !is_listed(head, field->name))
            return field;
    }
    return NULL;
}

/* What is for one hop has gone, and the rest is there in its order. */
static inline void check_passed_on(const struct http1_head *from, const struct http1_head *to)
{
    size_t at_from = 0, at_to = 0;

    for (size_t i = 0; i < to->n_fields; i++) {
        enum http1_name id = to->fields[i].id;
        CHECK(id != HTTP1_PROXY && id != HTTP1_PROXY_CONNECTION && id != HTTP1_KEEP_ALIVE);
    }
    CHECK(to->n_listed == 0 && to->minor == 1);
    for (;;) {
        const struct http1_field *a = next_passed(from, &at_from);
        const struct http1_field *b = next_passed(to, &at_to);
        CHECK((a == NULL) == (b == NULL));
        if (a == NULL)
            return;
        CHECK(same_slice(a->name, b->name) && same_slice(a->value, b->value));
    }
}

#endif
