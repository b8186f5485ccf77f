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
        SLICE(LINE "Transfer-Encoding: chunked, chunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked, identity\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked;q=1\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: \"chunked\"\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding:\tchunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked \t\r\n\r\n"),
        SLICE(LINE "Content-Length:\t1\r\n\r\n"),
        SLICE(LINE "Content-Length: 1\t\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: \vchunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked\0\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunk\xc3\xa9"
                   "d\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding : chunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding\r\n: chunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding:\r\n chunked\r\n\r\n"),
        SLICE(LINE " Transfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "a: b\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "a: b\r\n\rTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "a: b\r\n\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "Content-Length\xc2\xa0: 1\r\n\r\n"),
        SLICE(LINE "Content-Length: 1 \0\r\n\r\n"),
        SLICE(LINE "Content-Length: 1;\r\n\r\n"),
        SLICE(LINE "Content-Length: \"1\"\r\n\r\n"),
        SLICE(LINE "Content-Length: 1_0\r\n\r\n"),
        SLICE(LINE "Content-Length: 1e1\r\n\r\n"),
        SLICE(LINE "Content-Length: \xef\xbc\x91\r\n\r\n"),
        SLICE(LINE "Content-Length: 00000000000000000001\r\n\r\n"),
        /* what a server that makes variables of fields takes for the above */
        SLICE(LINE "Content_Length: 1\r\n\r\n"),
        SLICE(LINE "TRANSFER_ENCODING: chunked\r\n\r\n"),
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

/* What the fields of a request say to a proxy, one letter each. */
static void assert_says(const char *version, const char *fields, const char *letters)
{
    char bytes[1024], said[8];
    struct http1_head head;
    size_t used, n = 0;

    int n_bytes = snprintf(bytes, sizeof bytes, "GET / HTTP/%s\r\n%s\r\n", version, fields);
    enum err err = http1_parse_request((uint8_t *)bytes, (size_t)n_bytes, &head, &used);
    assert_int_equal(err, ERR_NONE);
    const struct {
        bool is_said;
        char letter;
    } all[] = {
        {head.keeps_open, 'k'},     {head.upgrades, 'u'}, {head.expects_continue, 'e'},
        {head.takes_trailers, 't'}, {head.has_host, 'h'},
    };
    for (size_t i = 0; i < N_ITEMS(all); i++) {
        if (all[i].is_said)
            said[n++] = all[i].letter;
    }
    said[n] = '\0';
    if (strcmp(said, letters) != 0)
        fail_msg("'%s' says '%s', not '%s'", bytes, said, letters);
}

static void acc_39_connections_are_kept_open_as_either_version_says(void **state)
{
    (void)state;
    assert_says("1.1", "", "k");
    assert_says("1.1", "Connection: close\r\n", "");
    assert_says("1.1", "Connection: x, CLOSE\r\n", "");
    assert_says("1.1", "Connection: keep-alive\r\nConnection: close\r\n", "");
    assert_says("1.1", "Proxy-Connection: close\r\n", "");
    assert_says("1.1", "Connection: closed\r\n", "k");
    assert_says("1.0", "", "");
    assert_says("1.0", "Connection: Keep-Alive\r\n", "k");
    assert_says("1.0", "Proxy-Connection: keep-alive\r\n", "k");
    assert_says("1.0", "Connection: keep-alive, close\r\n", "");
    assert_says("1.9", "", "k");
}

static void acc_39_a_protocol_is_changed_where_both_fields_say_so(void **state)
{
    (void)state;
    assert_says("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "ku");
    assert_says("1.1", "Connection: keep-alive , upgrade\r\nUpgrade: websocket\r\n", "ku");
    assert_says("1.1", "Upgrade: websocket\r\n", "k");
    assert_says("1.1", "Connection: upgrade\r\n", "k");
    assert_says("1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "");
    assert_says("1.1", "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n", "ku");
    assert_says("1.1", "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n", "k");
    assert_says("1.1", "Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n", "k");
}

static void expectations_and_trailers_are_of_http_1_1(void **state)
{
    (void)state;
    assert_says("1.1", "Expect: 100-Continue\r\nHost: a\r\n", "keh");
    assert_says("1.1", "Expect: 200-ok\r\n", "k");
    assert_says("1.0", "Expect: 100-continue\r\nHost:\r\n", "h");
    assert_says("1.1", "TE: trailers\r\n", "kt");
    assert_says("1.1", "TE: gzip;q=0.5, Trailers\r\n", "kt");
    assert_says("1.1", "TE: xtrailers\r\n", "k");
    assert_says("1.0", "TE: trailers\r\n", "");
}

static void connection_may_list_as_many_fields_as_its_bound(void **state)
{
    (void)state;
    for (int n_listed = 16; n_listed <= 17; n_listed++) {
        char bytes[512];
        int n = snprintf(bytes, sizeof bytes, "A b HTTP/1.1\r\nConnection: close, te, keep-alive");
        for (int i = 0; i < n_listed; i++)
            n += snprintf(bytes + n, sizeof bytes - (size_t)n, "%s,,x%d",
                          i == 8 ? "\r\nConnection: " : "", i);
        n += snprintf(bytes + n, sizeof bytes - (size_t)n, "\r\n\r\n");
        struct http1_head head;
        size_t used;
        enum err err = http1_parse_request((uint8_t *)bytes, (size_t)n, &head, &used);
        assert_int_equal(err, n_listed <= HTTP1_MAX_LISTED ? ERR_NONE : ERR_TOO_LONG);
    }
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
            enum err err =
                http1_parse_request((const uint8_t *)bytes, sizeof good - 1, &head, &used);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_a_request_line_and_fields),
        cmocka_unit_test(blanks_around_values_are_left_out),
        cmocka_unit_test(what_follows_the_head_is_not_taken),
        cmocka_unit_test(one_empty_line_before_the_request_is_skipped),
        cmocka_unit_test(acc_74_ambiguous_heads_are_malformed),
        cmocka_unit_test(a_body_may_be_announced_once),
        cmocka_unit_test(acc_39_connections_are_kept_open_as_either_version_says),
        cmocka_unit_test(acc_39_a_protocol_is_changed_where_both_fields_say_so),
        cmocka_unit_test(expectations_and_trailers_are_of_http_1_1),
        cmocka_unit_test(connection_may_list_as_many_fields_as_its_bound),
        cmocka_unit_test(every_control_byte_is_malformed_everywhere),
        cmocka_unit_test(other_versions_are_refused_by_that_name),
        cmocka_unit_test(a_head_has_at_most_its_bound),
        cmocka_unit_test(a_head_has_at_most_100_fields),
        cmocka_unit_test(fields_are_found_by_name_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
