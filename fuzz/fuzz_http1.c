#include "fuzz.h"
#include "wire/http1.h"
#include "wire/http1_basic.h"
#include "wire/http1_target.h"

struct result {
    enum err err;
    size_t used;
    struct http1_head head;
};

static struct result parse(const uint8_t *data, size_t n)
{
    struct result result;

    result.used = 0;
    result.err = http1_parse_request(data, n, &result.head, &result.used);
    CHECK(result.err != ERR_MORE || n < HTTP1_HEAD_MAX_BYTES);
    if (result.err == ERR_NONE) {
        CHECK(result.used <= n && result.used <= HTTP1_HEAD_MAX_BYTES);
        CHECK(result.head.n_fields <= HTTP1_MAX_FIELDS && result.head.minor <= 9);
        CHECK(result.head.method.n > 0 && slice_within(result.head.method, data, result.used));
        CHECK(result.head.target.n > 0 && slice_within(result.head.target, data, result.used));
    }
    return result;
}

static void check_same_head(const struct http1_head *a, const struct http1_head *b)
{
    CHECK(same_slice(a->method, b->method) && same_slice(a->target, b->target));
    CHECK(a->minor == b->minor && a->n_fields == b->n_fields);
    for (size_t i = 0; i < a->n_fields; i++) {
        CHECK(same_slice(a->fields[i].name, b->fields[i].name));
        CHECK(same_slice(a->fields[i].value, b->fields[i].value));
    }
}

static enum err check(const uint8_t *data, size_t n, const void *expected)
{
    const struct result *whole = expected;
    struct result part = parse(data, n);

    if (part.err != ERR_MORE)
        CHECK(part.err == whole->err && part.used == whole->used);
    if (part.err == ERR_NONE)
        check_same_head(&part.head, &whole->head);
    return part.err;
}

/* What a careless reader could see in the bytes of a head that was taken: no line that ends
 * otherwise than in CRLF, no zero byte, no empty line but the one at its end. */
static void check_lines(const uint8_t *data, size_t used)
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

static size_t put(char *out, size_t n, struct slice text, const char *after)
{
    memcpy(out + n, text.at, text.n);
    n += text.n;
    memcpy(out + n, after, strlen(after));
    return n + strlen(after);
}

/* Written anew from its parts, a head parses to the same parts. */
static void check_rewritten(const struct http1_head *head)
{
    static char out[HTTP1_HEAD_MAX_BYTES];
    size_t n = put(out, 0, head->method, " ");

    n = put(out, n, head->target, " HTTP/1.");
    out[n++] = (char)('0' + head->minor);
    n = put(out, n, (struct slice){"", 0}, "\r\n");
    for (size_t i = 0; i < head->n_fields; i++) {
        n = put(out, n, head->fields[i].name, ":");
        n = put(out, n, head->fields[i].value, "\r\n");
    }
    n = put(out, n, (struct slice){"", 0}, "\r\n");
    struct result again = parse((const uint8_t *)out, n);
    CHECK(again.err == ERR_NONE && again.used == n);
    check_same_head(head, &again.head);
}

static void check_parts(const struct http1_head *head)
{
    struct target target;

    if (http1_parse_authority(&target, head->target) == ERR_NONE)
        CHECK(target_is_sound(&target) && target.addr.port != 0);
    for (size_t i = 0; i < head->n_fields; i++) {
        struct http1_basic basic;
        if (http1_parse_basic(&basic, head->fields[i].value) != ERR_NONE)
            continue;
        const uint8_t *text = (const uint8_t *)basic.text;
        CHECK(slice_within(basic.user, text, sizeof basic.text));
        CHECK(slice_within(basic.password, text, sizeof basic.text));
        CHECK(basic.user.n == 0 || memchr(basic.user.at, ':', basic.user.n) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct result whole = parse(data, n);

    check_prefixes(check, data, n, &whole, whole.used);
    if (whole.err == ERR_NONE) {
        check_lines(data, whole.used);
        check_rewritten(&whole.head);
        check_parts(&whole.head);
    }
    return 0;
}
