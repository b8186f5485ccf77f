#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "prefixes.h"
#include "wire/http1.h"
#include "wire/http1_basic.h"
#include "wire/http1_reply.h"
#include "wire/http1_target.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define DESCRIBE(literal) describe_all_prefixes(describe, literal, sizeof(literal) - 1)
#define SLICE(literal) ((struct slice){literal, sizeof(literal) - 1})

static void describe(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct http1_head head;
    size_t used = SIZE_MAX;
    enum err err = http1_parse_request(bytes, n, &head, &used);

    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    size_t at = (size_t)snprintf(text, DESCRIPTION_BYTES, "%.*s %.*s %u", (int)head.method.n,
                                 head.method.at, (int)head.target.n, head.target.at, head.minor);
    for (size_t i = 0; i < head.n_fields; i++) {
        const struct http1_field *field = &head.fields[i];
        at +=
            (size_t)snprintf(text + at, DESCRIPTION_BYTES - at, " (%.*s=%.*s)", (int)field->name.n,
                             field->name.at, (int)field->value.n, field->value.at);
    }
    snprintf(text + at, DESCRIPTION_BYTES - at, " %zu", used);
}

static void assert_refused(const char *bytes, size_t n, enum err err)
{
    const char *text = describe_all_prefixes(describe, bytes, n);
    if (strcmp(text, err_text(err)) != 0)
        fail_msg("'%s' gave '%s'", bytes, text);
}

static void a_head_is_a_request_line_and_fields(void **state)
{
    (void)state;
    assert_string_equal(
        DESCRIBE("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"),
        "CONNECT example.com:443 1 (Host=example.com:443) 59");
    assert_string_equal(DESCRIBE("GET http://[::1]:80/a?b=%20 HTTP/1.0\r\n\r\n"),
                        "GET http://[::1]:80/a?b=%20 0 40");
    assert_string_equal(DESCRIBE("M!#$%&'*+-.^_`|~09az * HTTP/1.9\r\n\r\n"),
                        "M!#$%&'*+-.^_`|~09az * 9 35");
    assert_string_equal(DESCRIBE("GET /\xc3\xbc HTTP/1.1\r\n\r\n"), "GET /\xc3\xbc 1 20");
}

static void blanks_around_values_are_left_out(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("A b HTTP/1.1\r\nx:y\r\nx: \t y z \t \r\nx:\r\nx: \t\r\n\r\n"),
                        "A b 1 (x=y) (x=y z) (x=) (x=) 44");
    assert_string_equal(DESCRIBE("A b HTTP/1.1\r\nx: \r\ny:z \r\n\r\n"), "A b 1 (x=) (y=z) 27");
    assert_string_equal(DESCRIBE("A b HTTP/1.1\r\nx: a:\"\xff\"\tb\r\n\r\n"),
                        "A b 1 (x=a:\"\xff\"\tb) 28");
}

static void what_follows_the_head_is_not_taken(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("A b HTTP/1.1\r\n\r\n\0\n\r\nGET"), "A b 1 16");
}

static void one_empty_line_before_the_request_is_skipped(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("\r\nA b HTTP/1.1\r\n\r\n"), "A b 1 18");
    assert_refused(SLICE("\r\n\r\nA b HTTP/1.1\r\n\r\n").at, 20, ERR_BAD);
    assert_refused("\nA b HTTP/1.1\r\n\r\n", 17, ERR_BAD);
    assert_refused("\rA b HTTP/1.1\r\n\r\n", 17, ERR_BAD);
}

static void acc_74_ambiguous_heads_are_malformed(void **state)
{
#define LINE "GET / HTTP/1.1\r\n"
    static const struct slice bad[] = {
        /* line ends */
        SLICE("GET / HTTP/1.1\n\r\n"),
        SLICE("GET / HTTP/1.1\nHost: a\n\n"),
        SLICE(LINE "a: b\n\r\n"),
        SLICE(LINE "a: b\r\n\n"),
        SLICE(LINE "a: b\rc: d\r\n\r\n"),
        SLICE(LINE "a: b\r\r\n\r\n"),
        SLICE(LINE "\r\r\n"),
        SLICE("GET / HTTP/1.1\r\r\n\r\n"),
        /* folding, and blanks where a field begins */
        SLICE(LINE "a: b\r\n c\r\n\r\n"),
        SLICE(LINE "a: b\r\n\tc\r\n\r\n"),
        SLICE(LINE " a: b\r\n\r\n"),
        SLICE(LINE "\ta: b\r\n\r\n"),
        SLICE(LINE " \r\n\r\n"),
        /* names */
        SLICE(LINE "a : b\r\n\r\n"),
        SLICE(LINE "a\t: b\r\n\r\n"),
        SLICE(LINE ": b\r\n\r\n"),
        SLICE(LINE "a\r\n\r\n"),
        SLICE(LINE "a b: c\r\n\r\n"),
        SLICE(LINE "a(: b\r\n\r\n"),
        SLICE(LINE "\xc3\xbc: b\r\n\r\n"),
        SLICE(LINE "a\0: b\r\n\r\n"),
        /* values */
        SLICE(LINE "a: b\0c\r\n\r\n"),
        SLICE(LINE "a: b\x7f\r\n\r\n"),
        SLICE(LINE "a: b\x1b[0m\r\n\r\n"),
        SLICE(LINE "a: \vb\r\n\r\n"),
        /* the request line */
        SLICE("GET  / HTTP/1.1\r\n\r\n"),
        SLICE("GET /  HTTP/1.1\r\n\r\n"),
        SLICE("GET / HTTP/1.1 \r\n\r\n"),
        SLICE(" GET / HTTP/1.1\r\n\r\n"),
        SLICE("GET\t/ HTTP/1.1\r\n\r\n"),
        SLICE("GET /a b HTTP/1.1\r\n\r\n"),
        SLICE("GET /a\tb HTTP/1.1\r\n\r\n"),
        SLICE("GET /\0 HTTP/1.1\r\n\r\n"),
        SLICE("GET /\x7f HTTP/1.1\r\n\r\n"),
        SLICE("GET HTTP/1.1\r\n\r\n"),
        SLICE("GET /\r\n\r\n"),
        SLICE("/ / HTTP/1.1\r\n\r\n"),
        SLICE("G(T / HTTP/1.1\r\n\r\n"),
        SLICE("GET / http/1.1\r\n\r\n"),
        SLICE("GET / HTTP/1.\r\n\r\n"),
        SLICE("GET / HTTP/1.10\r\n\r\n"),
        SLICE("GET / HTTP/11\r\n\r\n"),
        SLICE("GET / HTTP/1,1\r\n\r\n"),
        SLICE("GET / HTTP/:.1\r\n\r\n"),
        SLICE("GET / HTTP/1.a\r\n\r\n"),
        SLICE("GET / HTTPS/1.1\r\n\r\n"),
        /* what says how long the body is, and for whom it is */
        SLICE(LINE "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        SLICE(LINE "Content-Length: 1\r\na: b\r\ncontent-LENGTH: 2\r\n\r\n"),
        SLICE(LINE "Content-Length: 1, 1\r\n\r\n"),
        SLICE(LINE "Content-Length:\r\n\r\n"),
        SLICE(LINE "Content-Length: +1\r\n\r\n"),
        SLICE(LINE "Content-Length: -1\r\n\r\n"),
        SLICE(LINE "Content-Length: 0x1\r\n\r\n"),
        SLICE(LINE "Content-Length: 1 1\r\n\r\n"),
        SLICE(LINE "Content-Length: 18446744073709551616\r\n\r\n"),
        SLICE(LINE "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: xchunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: identity\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding:\r\n\r\n"),
        SLICE("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "Host: a\r\nHost: a\r\n\r\n"),
        SLICE(LINE "Host: a\r\nhOST: b\r\n\r\n"),
    };
#undef LINE

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++)
        assert_refused(bad[i].at, bad[i].n, ERR_BAD);
}

static void a_body_may_be_announced_once(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("A b HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
                        "A b 1 (Content-Length=0) 35");
    assert_string_equal(DESCRIBE("A b HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n"),
                        "A b 1 (Content-Length=9999999999999999999) 53");
    assert_string_equal(DESCRIBE("A b HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"),
                        "A b 1 (Transfer-Encoding=Chunked) 44");
}

static void every_control_byte_is_malformed_everywhere(void **state)
{
    static const char good[] = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    char bytes[sizeof good];
    struct http1_head head;
    size_t used;

    (void)state;
    for (size_t at = 0; at + 1 < sizeof good; at++) {
        for (int c = 0; c <= 0x7f; c++) {
            bool is_control = c < ' ' || c == 0x7f;
            bool is_blank_in_value = c == '\t' && (at == 21 || at == 22);
            if (!is_control || is_blank_in_value || c == good[at])
                continue;
            memcpy(bytes, good, sizeof good);
            bytes[at] = (char)c;
            enum err err = http1_parse_request((const uint8_t *)bytes, sizeof good - 1, &head, &used);
            if (err != ERR_BAD)
                fail_msg("byte %d at %zu: %s", c, at, err_text(err));
        }
    }
}

static void other_versions_are_refused_by_that_name(void **state)
{
    (void)state;
    assert_refused(SLICE("GET / HTTP/2.0\r\n\r\n").at, 18, ERR_VERSION);
    assert_refused(SLICE("GET / HTTP/0.9\r\n\r\n").at, 18, ERR_VERSION);
    assert_refused(SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").at, 24, ERR_VERSION);
}

/* Fills bytes with a head of n bytes, its end included. */
static void build_head(char *bytes, size_t n)
{
    static const char start[] = "GET / HTTP/1.1\r\na: ";

    memset(bytes, 'v', n);
    memcpy(bytes, start, sizeof start - 1);
    memcpy(bytes + n - 4, "\r\n\r\n", 4);
}

static void a_head_has_at_most_its_bound(void **state)
{
    char *bytes = malloc(HTTP1_HEAD_MAX_BYTES + 1);
    struct http1_head head;
    size_t used = 0;

    (void)state;
    assert_non_null(bytes);
    build_head(bytes, HTTP1_HEAD_MAX_BYTES);
    assert_int_equal(http1_parse_request((uint8_t *)bytes, HTTP1_HEAD_MAX_BYTES - 1, &head, &used),
                     ERR_MORE);
    assert_int_equal(http1_parse_request((uint8_t *)bytes, HTTP1_HEAD_MAX_BYTES, &head, &used),
                     ERR_NONE);
    assert_int_equal(used, HTTP1_HEAD_MAX_BYTES);

    build_head(bytes, HTTP1_HEAD_MAX_BYTES + 1);
    assert_refused(bytes, HTTP1_HEAD_MAX_BYTES, ERR_TOO_LONG);
    assert_refused(bytes, HTTP1_HEAD_MAX_BYTES + 1, ERR_TOO_LONG);

    /* No piece of the grammar is without end. */
    memset(bytes, 'G', HTTP1_HEAD_MAX_BYTES);
    assert_refused(bytes, HTTP1_HEAD_MAX_BYTES, ERR_TOO_LONG);
    memcpy(bytes, "GET ", 4);
    assert_refused(bytes, HTTP1_HEAD_MAX_BYTES, ERR_TOO_LONG);
    memcpy(bytes, "GET / HTTP/1.1\r\n", 16);
    assert_refused(bytes, HTTP1_HEAD_MAX_BYTES, ERR_TOO_LONG);
    free(bytes);
}

static void a_head_has_at_most_100_fields(void **state)
{
    char bytes[16 + 5 * 101 + 2 + 1];
    struct http1_head head;
    size_t used;

    (void)state;
    for (int n_fields = 99; n_fields <= 101; n_fields++) {
        size_t n = (size_t)snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\n");
        for (int i = 0; i < n_fields; i++)
            n += (size_t)snprintf(bytes + n, sizeof bytes - n, "a:b\r\n");
        n += (size_t)snprintf(bytes + n, sizeof bytes - n, "\r\n");
        if (n_fields <= HTTP1_MAX_FIELDS) {
            assert_int_equal(http1_parse_request((uint8_t *)bytes, n, &head, &used), ERR_NONE);
            assert_int_equal(head.n_fields, n_fields);
        } else {
            assert_refused(bytes, n, ERR_TOO_LONG);
        }
    }
}

static void fields_are_found_by_name_in_any_case(void **state)
{
    static const char bytes[] = "GeT / HTTP/1.1\r\nProxy-Authorization: one\r\n"
                                "PROXY-AUTHORIZATION: two\r\nProxy: three\r\n\r\n";
    struct http1_head head;
    size_t used;

    (void)state;
    assert_int_equal(http1_parse_request((const uint8_t *)bytes, sizeof bytes - 1, &head, &used),
                     ERR_NONE);
    const struct slice *value = http1_find(&head, "proxy-authorization");
    assert_non_null(value);
    assert_int_equal(value->n, 3);
    assert_memory_equal(value->at, "one", 3);
    assert_ptr_equal(http1_find(&head, "Proxy-Authorization"), value);
    assert_non_null(http1_find(&head, "proxy"));
    assert_null(http1_find(&head, "prox"));
    assert_null(http1_find(&head, "proxy-"));
    assert_true(http1_is_method(&head, "GeT"));
    assert_false(http1_is_method(&head, "GET"));
    assert_false(http1_is_method(&head, "GeT "));
    assert_false(http1_is_method(&head, "Ge"));
}

static void an_authority_is_a_host_and_a_port_from_1(void **state)
{
    static const struct slice good[] = {SLICE("example.com:443"), SLICE("192.0.2.1:1"),
                                        SLICE("[2001:db8::1]:65535")};
    static const struct slice bad[] = {
        SLICE("example.com"), SLICE("example.com:"),   SLICE("example.com:0"), SLICE("[::1]:0"),
        SLICE("a:65536"),     SLICE(":443"),           SLICE("::1:443"),       SLICE("[::1]"),
        SLICE("[a]:443"),     SLICE("user@host:443"),  SLICE("a:b:443"),       SLICE("a:443/"),
        SLICE("//a:443"),     SLICE("http://a:443"),   SLICE("a:+443"),        SLICE(""),
        SLICE("[1.2.3.4]:1"), SLICE("2130706433:443"),
    };
    struct target target;
    char text[TARGET_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < N_ITEMS(good); i++) {
        assert_int_equal(http1_parse_authority(&target, good[i]), ERR_NONE);
        target_format(&target, text);
        assert_string_equal(text, good[i].at);
    }
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (http1_parse_authority(&target, bad[i]) != ERR_BAD)
            fail_msg("'%s' was taken", bad[i].at);
    }
}

static void assert_basic(struct slice value, const char *user, const char *password)
{
    struct http1_basic basic;

    assert_int_equal(http1_parse_basic(&basic, value), ERR_NONE);
    assert_int_equal(basic.user.n, strlen(user));
    assert_memory_equal(basic.user.at, user, basic.user.n);
    assert_int_equal(basic.password.n, strlen(password));
    assert_memory_equal(basic.password.at, password, basic.password.n);
}

static void basic_credentials_are_user_and_password(void **state)
{
    (void)state;
    /* RFC 7617 section 2 */
    assert_basic(SLICE("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin", "open sesame");
    assert_basic(SLICE("bASIC   YTpi"), "a", "b");
    assert_basic(SLICE("Basic YTpiOmM="), "a", "b:c");
    assert_basic(SLICE("Basic Og=="), "", "");
    /* section 2.1 */
    assert_basic(SLICE("Basic dGVzdDoxMjPCow=="), "test", "123\xc2\xa3");
}

static void other_credentials_are_refused(void **state)
{
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("Basic"),
        SLICE("Basic "),
        SLICE("BasicYTpi"),
        SLICE("Basic\tYTpi"),
        SLICE("Basix YTpi"),
        SLICE("Digest YTpi"),
        SLICE("Basic YWI="),      /* no colon */
        SLICE("Basic YTpi="),     /* not base64 */
        SLICE("Basic YTp"),       /* no padding */
        SLICE("Basic YTp i"),     /* a blank inside */
        SLICE("Basic YTpi YTpi"), /* two of them */
        SLICE("Basic AGE6Yg=="),  /* a zero byte */
        SLICE("Basic YToKYg=="),  /* a line's end */
        SLICE("Basic YTp/"),      /* DEL */
    };
    struct http1_basic basic;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (http1_parse_basic(&basic, bad[i]) != ERR_AUTH)
            fail_msg("'%s' was taken", bad[i].at);
    }
}

static void credentials_have_at_most_their_bound(void **state)
{
    /* "a:" and then z's: 512 bytes as 170 groups of three and one of two; then one of three. */
    char value[6 + 4 * 171 + 1];
    struct http1_basic basic;

    (void)state;
    size_t n = (size_t)snprintf(value, sizeof value, "Basic YTp6");
    for (int i = 0; i < 169; i++)
        n += (size_t)snprintf(value + n, sizeof value - n, "enp6");
    snprintf(value + n, sizeof value - n, "eno=");
    assert_int_equal(http1_parse_basic(&basic, (struct slice){value, n + 4}), ERR_NONE);
    assert_int_equal(basic.user.n, 1);
    assert_int_equal(basic.password.n, HTTP1_BASIC_MAX_BYTES - 2);
    snprintf(value + n, sizeof value - n, "enp6");
    assert_int_equal(http1_parse_basic(&basic, (struct slice){value, n + 4}), ERR_AUTH);
}

static void acc_51_each_error_has_its_status(void **state)
{
    (void)state;
    for (unsigned err = 0; err < N_ERRS; err++) {
        unsigned expected = 502;
        switch (err) {
        case ERR_NONE:
            expected = 200;
            break;
        case ERR_BAD:
            expected = 400;
            break;
        case ERR_DENIED:
            expected = 403;
            break;
        case ERR_COMMAND:
            expected = 405;
            break;
        case ERR_SCHEME:
            expected = 501;
            break;
        case ERR_AUTH:
            expected = 407;
            break;
        case ERR_TOO_LONG:
            expected = 431;
            break;
        case ERR_TIMEOUT:
            expected = 504;
            break;
        case ERR_VERSION:
            expected = 505;
            break;
        }
        assert_int_equal(http1_status((enum err)err), expected);
    }
    assert_int_equal(http1_status(N_ERRS), 502);
}

static void replies_are_exact_to_the_byte(void **state)
{
    char out[HTTP1_REPLY_MAX_BYTES];

    (void)state;
    size_t n = http1_write_reply(out, 502, "connection refused: example.com:443", false);
    const char *expected = "HTTP/1.1 502 Bad Gateway\r\n"
                           "Content-Type: text/plain; charset=utf-8\r\n"
                           "Content-Length: 36\r\n"
                           "Connection: close\r\n"
                           "\r\n"
                           "connection refused: example.com:443\n";
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(out, expected, n);

    n = http1_write_reply(out, 407, "who are you?", true);
    expected = "HTTP/1.1 407 Proxy Authentication Required\r\n"
               "Proxy-Authenticate: Basic realm=\"sockeye\"\r\n"
               "Content-Type: text/plain; charset=utf-8\r\n"
               "Content-Length: 13\r\n"
               "Connection: keep-alive\r\n"
               "\r\n"
               "who are you?\n";
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(out, expected, n);
    assert_string_equal(HTTP1_CONNECTED, "HTTP/1.1 200 Connection established\r\n\r\n");
}

static void every_status_has_its_reason(void **state)
{
    static const char *const lines[] = {
        "200 OK",
        "400 Bad Request",
        "403 Forbidden",
        "405 Method Not Allowed\r\nAllow: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"sockeye\"",
        "408 Request Timeout",
        "413 Content Too Large",
        "431 Request Header Fields Too Large",
        "501 Not Implemented",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "505 HTTP Version Not Supported",
        "599 Error",
    };
    char out[HTTP1_REPLY_MAX_BYTES], expected[128];

    (void)state;
    for (size_t i = 0; i < N_ITEMS(lines); i++) {
        snprintf(expected, sizeof expected, "HTTP/1.1 %s\r\nContent-Type:", lines[i]);
        size_t n = http1_write_reply(out, (unsigned)atoi(lines[i]), "", false);
        assert_true(n > strlen(expected));
        assert_memory_equal(out, expected, strlen(expected));
    }
}

static void the_longest_reply_fits_and_its_length_is_true(void **state)
{
    static const unsigned statuses[] = {200, 400, 403, 405, 407, 431, 502, 504, 505};
    char body[2 * HTTP1_BODY_MAX_BYTES], out[HTTP1_REPLY_MAX_BYTES + 1];

    (void)state;
    memset(body, 'b', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (size_t i = 0; i < N_ITEMS(statuses); i++) {
        size_t n = http1_write_reply(out, statuses[i], body, true);
        assert_in_range(n, HTTP1_BODY_MAX_BYTES, HTTP1_REPLY_MAX_BYTES - 1);
        out[n] = '\0';
        const char *end = strstr(out, "\r\n\r\n");
        const char *length = strstr(out, "Content-Length: ");
        assert_non_null(end);
        assert_non_null(length);
        assert_int_equal(strlen(end + 4), HTTP1_BODY_MAX_BYTES + 1);
        assert_int_equal(atoi(length + 16), HTTP1_BODY_MAX_BYTES + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_a_request_line_and_fields),
        cmocka_unit_test(blanks_around_values_are_left_out),
        cmocka_unit_test(what_follows_the_head_is_not_taken),
        cmocka_unit_test(one_empty_line_before_the_request_is_skipped),
        cmocka_unit_test(acc_74_ambiguous_heads_are_malformed),
        cmocka_unit_test(a_body_may_be_announced_once),
        cmocka_unit_test(every_control_byte_is_malformed_everywhere),
        cmocka_unit_test(other_versions_are_refused_by_that_name),
        cmocka_unit_test(a_head_has_at_most_its_bound),
        cmocka_unit_test(a_head_has_at_most_100_fields),
        cmocka_unit_test(fields_are_found_by_name_in_any_case),
        cmocka_unit_test(an_authority_is_a_host_and_a_port_from_1),
        cmocka_unit_test(basic_credentials_are_user_and_password),
        cmocka_unit_test(other_credentials_are_refused),
        cmocka_unit_test(credentials_have_at_most_their_bound),
        cmocka_unit_test(acc_51_each_error_has_its_status),
        cmocka_unit_test(replies_are_exact_to_the_byte),
        cmocka_unit_test(every_status_has_its_reason),
        cmocka_unit_test(the_longest_reply_fits_and_its_length_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
