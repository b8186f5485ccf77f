#include "fuzz.h"
#include "http1.h"
#include "wire/http1_forward.h"

/* Written for the client, it says the same there, in the framing that the client can read. */
static void check_forwarded(const struct parsed *from, bool is_to_head, uint8_t client_minor)
{
    size_t size = from->used + HTTP1_FORWARD_MORE_BYTES, n = 0;
    char *out = malloc(size);
    enum http1_framing framing = http1_response_framing(&from->head, is_to_head);
    enum http1_framing as = http1_framing_for(framing, client_minor);
    bool keep_open = as != HTTP1_BY_CLOSE;

    CHECK(out != NULL);
    CHECK(as != HTTP1_CHUNKED || client_minor > 0);
    CHECK(http1_forward_response(out, size, &n, &from->head, as, keep_open) == ERR_NONE);
    CHECK(n <= size);
    if (from->head.n_fields < HTTP1_MAX_FIELDS && n <= HTTP1_HEAD_MAX_BYTES) {
        struct parsed to = parsed_of(http1_parse_response, (const uint8_t *)out, n);
        CHECK(to.err == ERR_NONE && to.used == n);
        check_lines((const uint8_t *)out, n);
        check_passed_on(&from->head, &to.head);
        CHECK(to.head.status == from->head.status);
        CHECK(same_slice(to.head.reason, from->head.reason));
        CHECK(http1_response_framing(&to.head, is_to_head) == as);
        CHECK(as != HTTP1_BY_LENGTH || to.head.length == from->head.length);
        CHECK(from->head.status < 200 || to.head.keeps_open == keep_open);
        /* RFC 9110 section 8.6, RFC 9112 section 6.1 */
        CHECK((from->head.status >= 200 && from->head.status != 204) ||
              !(to.head.has_length || to.head.is_chunked));
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct parsed whole = parsed_of(http1_parse_response, data, n);

    check_prefixes(check_parsed, data, n, &whole, whole.used);
    if (whole.err == ERR_NONE) {
        check_lines(data, whole.used);
        CHECK(whole.head.status >= 100 && whole.head.status <= 999);
        CHECK(whole.head.reason.n == 0 || slice_within(whole.head.reason, data, whole.used));
        for (uint8_t minor = 0; minor <= 1; minor++) {
            check_forwarded(&whole, false, minor);
            check_forwarded(&whole, true, minor);
        }
    }
    return 0;
}
