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

static const char *framing_text(const struct http1_head *head, bool is_to_head)
{
    static const char *const texts[] = {
        [HTTP1_NO_BODY] = "none",
        [HTTP1_BY_LENGTH] = "length",
        [HTTP1_CHUNKED] = "chunked",
        [HTTP1_BY_CLOSE] = "close",
    };
    return texts[http1_response_framing(head, is_to_head)];
}

/* Version, status, reason; how the body is framed for a GET and for a HEAD; whether the connection
 * stays open; how many bytes were taken. */
static void describe(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct http1_head head;
    size_t used = SIZE_MAX;
    enum err err = http1_parse_response(bytes, n, &head, &used);

    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    size_t at =
        (size_t)snprintf(text, DESCRIPTION_BYTES, "%u %u '%.*s' %s/%s %s", head.minor, head.status,
                         (int)head.reason.n, head.reason.at, framing_text(&head, false),
                         framing_text(&head, true), head.keeps_open ? "open" : "closed");
    if (head.has_length)
        at += (size_t)snprintf(text + at, DESCRIPTION_BYTES - at, " %llu",
                               (unsigned long long)head.length);
    snprintf(text + at, DESCRIPTION_BYTES - at, " (%zu)", used);
}

static void a_status_line_has_a_reason_or_none(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
                        "1 200 'OK' length/none open 5 (38)");
    assert_string_equal(DESCRIBE("HTTP/1.1 200 \r\n\r\n"), "1 200 '' close/none open (17)");
    assert_string_equal(DESCRIBE("HTTP/1.1 200\r\n\r\n"), "1 200 '' close/none open (16)");
    assert_string_equal(DESCRIBE("HTTP/1.0 999  a:\tb\xff \r\n\r\n"),
                        "0 999 ' a:\tb\xff ' close/none closed (24)");
}

static void acc_39_a_body_ends_as_rfc_9112_says(void **state)
{
    (void)state;
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"
#define LENGTH "Content-Length: 7\r\n\r\n"
    assert_string_equal(DESCRIBE("HTTP/1.1 200\r\n" CHUNKED), "1 200 '' chunked/none open (44)");
    assert_string_equal(DESCRIBE("HTTP/1.1 404\r\n" CHUNKED), "1 404 '' chunked/none open (44)");
    assert_string_equal(DESCRIBE("HTTP/1.1 204\r\n" CHUNKED), "1 204 '' none/none open (44)");
    assert_string_equal(DESCRIBE("HTTP/1.1 304\r\n" CHUNKED), "1 304 '' none/none open (44)");
    assert_string_equal(DESCRIBE("HTTP/1.1 100\r\n" CHUNKED), "1 100 '' none/none open (44)");
    assert_string_equal(DESCRIBE("HTTP/1.1 205\r\n" LENGTH), "1 205 '' length/none open 7 (35)");
    assert_string_equal(DESCRIBE("HTTP/1.1 204\r\n" LENGTH), "1 204 '' none/none open 7 (35)");
    assert_string_equal(DESCRIBE("HTTP/1.1 304\r\n" LENGTH), "1 304 '' none/none open 7 (35)");
    assert_string_equal(DESCRIBE("HTTP/1.1 103\r\n" LENGTH), "1 103 '' none/none open 7 (35)");
    assert_string_equal(DESCRIBE("HTTP/1.0 200\r\nConnection: keep-alive\r\n" LENGTH),
                        "0 200 '' length/none open 7 (59)");
    assert_string_equal(DESCRIBE("HTTP/1.1 200\r\nConnection: close\r\n" LENGTH),
                        "1 200 '' length/none closed 7 (54)");
#undef CHUNKED
#undef LENGTH
}

static void what_is_between_a_client_and_its_proxy_says_nothing_in_a_response(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("HTTP/1.1 204\r\nProxy-Connection: close\r\n\r\n"),
                        "1 204 '' none/none open (41)");
    assert_string_equal(DESCRIBE("HTTP/1.1 204\r\nHost: a\r\nHost: b\r\n\r\n"),
                        "1 204 '' none/none open (34)");
}

static void a_length_may_be_repeated_but_not_contradicted(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("HTTP/1.1 200\r\nContent-Length: 5\r\ncontent-length: 05\r\n\r\n"),
                        "1 200 '' length/none open 5 (55)");
}

/* A response's fields are a request's: see test_http1.c for the forms that are no field at all. */
static void acc_74_ambiguous_responses_are_malformed(void **state)
{
#define LINE "HTTP/1.1 200 OK\r\n"
    static const struct slice bad[] = {
        /* the status line */
        SLICE("HTTP/1.1 200 OK\n\r\n"),
        SLICE("HTTP/1.1 200 OK\n\n"),
        SLICE("HTTP/1.1 200\n\n"),
        SLICE("HTTP/1.1 200 O\rK\r\n\r\n"),
        SLICE("HTTP/1.1 200 O\0K\r\n\r\n"),
        SLICE("HTTP/1.1 200 O\x1bK\r\n\r\n"),
        SLICE("HTTP/1.1 099 OK\r\n\r\n"),
        SLICE("HTTP/1.1 20 OK\r\n\r\n"),
        SLICE("HTTP/1.1 2000 OK\r\n\r\n"),
        SLICE("HTTP/1.1 2x0 OK\r\n\r\n"),
        SLICE("HTTP/1.1 -20 OK\r\n\r\n"),
        SLICE("HTTP/1.1  200 OK\r\n\r\n"),
        SLICE("HTTP/1.1\t200 OK\r\n\r\n"),
        SLICE("HTTP/1.1 200\tOK\r\n\r\n"),
        SLICE("HTTP/1.1\r\n\r\n"),
        SLICE("http/1.1 200 OK\r\n\r\n"),
        SLICE("HTTP/1.10 200 OK\r\n\r\n"),
        SLICE("HTTP/2 200\r\n\r\n"),
        SLICE("ICY 200 OK\r\n\r\n"),
        SLICE("\r\n" LINE "\r\n"),
        SLICE("<html>"),
        SLICE("\x15\x03\x01"),
        /* fields */
        SLICE(LINE "a: b\nc: d\r\n\r\n"),
        SLICE(LINE "a: b\r\n c\r\n\r\n"),
        SLICE(LINE "a : b\r\n\r\n"),
        SLICE(LINE "a: b\0\r\n\r\n"),
        SLICE(LINE "no colon\r\n\r\n"),
        /* what says how long the body is */
        SLICE(LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        SLICE(LINE "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        SLICE(LINE "Content-Length: 5, 5\r\n\r\n"),
        SLICE(LINE "Content-Length: -1\r\n\r\n"),
        SLICE(LINE "Content-Length: \r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: identity\r\n\r\n"),
        SLICE(LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE(LINE "Content_Length: 5\r\n\r\n"),
    };
#undef LINE

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        const char *text = describe_all_prefixes(describe, bad[i].at, bad[i].n);
        if (strcmp(text, err_text(ERR_BAD)) != 0)
            fail_msg("'%s' gave '%s'", bad[i].at, text);
    }
}

static void other_versions_are_refused_by_that_name(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("HTTP/2.0 200 OK\r\n\r\n"), err_text(ERR_VERSION));
    assert_string_equal(DESCRIBE("HTTP/0.9 200 OK\r\n\r\n"), err_text(ERR_VERSION));
}

static void a_head_has_at_most_its_bound(void **state)
{
    static char bytes[HTTP1_HEAD_MAX_BYTES + 1];
    struct http1_head head;
    size_t used;

    (void)state;
    memset(bytes, 'v', sizeof bytes);
    memcpy(bytes, "HTTP/1.1 200 ", 13);
    assert_int_equal(http1_parse_response((uint8_t *)bytes, HTTP1_HEAD_MAX_BYTES - 1, &head, &used),
                     ERR_MORE);
    assert_int_equal(http1_parse_response((uint8_t *)bytes, HTTP1_HEAD_MAX_BYTES, &head, &used),
                     ERR_TOO_LONG);
    memcpy(bytes + HTTP1_HEAD_MAX_BYTES - 4, "\r\n\r\n", 4);
    assert_int_equal(http1_parse_response((uint8_t *)bytes, sizeof bytes, &head, &used), ERR_NONE);
    assert_int_equal(used, HTTP1_HEAD_MAX_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_line_has_a_reason_or_none),
        cmocka_unit_test(acc_39_a_body_ends_as_rfc_9112_says),
        cmocka_unit_test(what_is_between_a_client_and_its_proxy_says_nothing_in_a_response),
        cmocka_unit_test(a_length_may_be_repeated_but_not_contradicted),
        cmocka_unit_test(acc_74_ambiguous_responses_are_malformed),
        cmocka_unit_test(other_versions_are_refused_by_that_name),
        cmocka_unit_test(a_head_has_at_most_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
