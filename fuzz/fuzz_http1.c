#include "fuzz.h"
#include "http1.h"
#include "wire/http1_basic.h"
#include "wire/http1_forward.h"
#include "wire/http1_target.h"

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
    struct parsed again = parsed_of(http1_parse_request, (const uint8_t *)out, n);
    CHECK(again.err == ERR_NONE && again.used == n);
    check_same_head(head, &again.head);
}

/* Written for the next hop, it says the same there. */
static void check_forwarded(const struct parsed *from, const struct http1_uri *uri, bool keep_open)
{
    size_t size = from->used + HTTP1_FORWARD_MORE_BYTES, n = 0;
    char *out = malloc(size);

    CHECK(out != NULL);
    CHECK(http1_forward_request(out, size, &n, &from->head, uri, keep_open) == ERR_NONE);
    CHECK(n <= size);
    size_t n_too_small = 0;
    char *exact = malloc(n);
    CHECK(exact != NULL);
    CHECK(http1_forward_request(exact, n - 1, &n_too_small, &from->head, uri, keep_open) ==
          ERR_TOO_LONG);
    free(exact);
    /* More fields than were parsed: Host, TE and Connection may be new. */
    if (from->head.n_fields + 3 <= HTTP1_MAX_FIELDS && n <= HTTP1_HEAD_MAX_BYTES) {
        struct parsed to = parsed_of(http1_parse_request, (const uint8_t *)out, n);
        CHECK(to.err == ERR_NONE && to.used == n);
        check_lines((const uint8_t *)out, n);
        check_passed_on(&from->head, &to.head);
        CHECK(same_slice(to.head.method, from->head.method));
        CHECK(to.head.target.n > 0 && strchr("/*", to.head.target.at[0]) != NULL);
        CHECK(same_slice(*http1_find(&to.head, "Host"), uri->authority));
        CHECK(http1_request_framing(&to.head) == http1_request_framing(&from->head));
        CHECK(to.head.length == from->head.length);
        CHECK(to.head.upgrades == from->head.upgrades);
        CHECK(to.head.takes_trailers == from->head.takes_trailers);
        CHECK(to.head.expects_continue == from->head.expects_continue);
        CHECK(to.head.keeps_open == keep_open);
    }
    free(out);
}

static void check_parts(const struct parsed *parsed)
{
    const struct http1_head *head = &parsed->head;
    struct target target;
    struct http1_uri uri;

    CHECK(head->method.n > 0 && head->target.n > 0 && head->status == 0);
    if (http1_parse_authority(&target, head->target) == ERR_NONE)
        CHECK(target_is_sound(&target) && target.addr.port != 0);
    if (http1_parse_absolute(&uri, head) == ERR_NONE) {
        CHECK(target_is_sound(&uri.target) && uri.target.addr.port != 0);
        CHECK(uri.authority.n > 0);
        check_forwarded(parsed, &uri, true);
        check_forwarded(parsed, &uri, false);
    }
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
    struct parsed whole = parsed_of(http1_parse_request, data, n);

    check_prefixes(check_parsed, data, n, &whole, whole.used);
    if (whole.err == ERR_NONE) {
        check_lines(data, whole.used);
        check_rewritten(&whole.head);
        check_parts(&whole);
    }
    return 0;
}
