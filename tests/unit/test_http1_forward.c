#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/http1_forward.h"

static char out[HTTP1_FORWARD_MAX_BYTES + 1];

/* What becomes of a request, zero terminated, in a buffer that is used again. */
static const char *request(const char *bytes, bool keep_open)
{
    struct http1_head head;
    struct http1_uri uri;
    size_t used, n;

    assert_int_equal(http1_parse_request((const uint8_t *)bytes, strlen(bytes), &head, &used),
                     ERR_NONE);
    assert_int_equal(used, strlen(bytes));
    assert_int_equal(http1_parse_absolute(&uri, &head), ERR_NONE);
    assert_int_equal(
        http1_forward_request(out, used + HTTP1_FORWARD_MORE_BYTES, &n, &head, &uri, keep_open),
        ERR_NONE);
    out[n] = '\0';
    return out;
}

/* The same of a response to a request with this method, for a client of this version. */
static const char *response(const char *bytes, bool is_to_head, uint8_t client_minor)
{
    struct http1_head head;
    size_t used, n;

    assert_int_equal(http1_parse_response((const uint8_t *)bytes, strlen(bytes), &head, &used),
                     ERR_NONE);
    assert_int_equal(used, strlen(bytes));
    enum http1_framing framing =
        http1_framing_for(http1_response_framing(&head, is_to_head), client_minor);
    assert_int_equal(http1_forward_response(out, used + HTTP1_FORWARD_MORE_BYTES, &n, &head,
                                            framing, framing != HTTP1_BY_CLOSE),
                     ERR_NONE);
    out[n] = '\0';
    return out;
}

static void a_request_goes_on_in_origin_form(void **state)
{
    (void)state;
    assert_string_equal(
        request("GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\n"
                "Accept:  */* \r\nX-Y: z\r\n\r\n",
                true),
        "GET /a?b HTTP/1.1\r\nHost: example.com\r\nAccept:  */* \r\nX-Y: z\r\n\r\n");
    assert_string_equal(request("GET http://h HTTP/1.0\r\n\r\n", true),
                        "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_string_equal(request("GET http://[::1]:81?q HTTP/1.0\r\n\r\n", false),
                        "GET /?q HTTP/1.1\r\nHost: [::1]:81\r\nConnection: close\r\n\r\n");
    assert_string_equal(request("OPTIONS http://h:1 HTTP/1.1\r\nA: b\r\nhost: other\r\n\r\n", true),
                        "OPTIONS * HTTP/1.1\r\nA: b\r\nHost: h:1\r\n\r\n");
    assert_string_equal(request("OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", true),
                        "OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void acc_74_what_is_for_the_proxy_never_leaves(void **state)
{
    (void)state;
    assert_string_equal(
        request("GET http://h/ HTTP/1.1\r\nProxy-Authorization: Basic YTpi\r\nHost: h\r\n"
                "Proxy-Connection: keep-alive\r\nPROXY-foo: bar\r\nproxy-: x\r\nproxy: y\r\n"
                "Proxy-Authenticate: z\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-A\r\n"
                "x-a: 1\r\nTE: gzip\r\nUpgrade: h2c\r\nX-B: 2\r\n\r\n",
                true),
        "GET / HTTP/1.1\r\nHost: h\r\nproxy: y\r\nX-B: 2\r\n\r\n");
    assert_string_equal(response("HTTP/1.1 200 OK\r\nProxy-Authenticate: Basic\r\nA: b\r\n"
                                 "Proxy-Authentication-Info: c\r\nContent-Length: 0\r\n"
                                 "Connection: close, X-A\r\nX-a: q\r\nKeep-Alive: 5\r\n\r\n",
                                 false, 1),
                        "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n"
                        "Connection: keep-alive\r\n\r\n");
}

static void acc_74_a_list_takes_away_nothing_that_frames_or_routes(void **state)
{
    (void)state;
    assert_string_equal(request("POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n"
                                "Connection: Content-Length, Host, Expect, transfer-encoding\r\n"
                                "Expect: 100-continue\r\n\r\n",
                                true),
                        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n"
                        "Expect: 100-continue\r\n\r\n");
    assert_string_equal(request("POST http://h/ HTTP/1.1\r\nHost: h\r\nA: b\r\n"
                                "tRANSFER-eNCODING:  CHUNKED \r\nConnection: a, b\r\n"
                                "Connection: transfer-encoding\r\nB: c\r\nAB: d\r\n\r\n",
                                true),
                        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                        "AB: d\r\n\r\n");
}

static void acc_74_host_is_the_targets(void **state)
{
    (void)state;
    assert_string_equal(request("GET http://inside/ HTTP/1.1\r\nHost: outside\r\n\r\n", true),
                        "GET / HTTP/1.1\r\nHost: inside\r\n\r\n");
    assert_string_equal(request("GET http://h:80/ HTTP/1.1\r\nhost:\r\n\r\n", true),
                        "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n");
}

static void acc_39_an_upgrade_goes_on(void **state)
{
    (void)state;
    assert_string_equal(request("GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                                "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
                                true),
                        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Key: x\r\nConnection: Upgrade\r\n\r\n");
    assert_string_equal(request("GET http://h/ HTTP/1.0\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\n\r\n",
                                true),
                        "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_string_equal(response("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
                                 "connection: upgrade\r\nA: b\r\n\r\n",
                                 false, 1),
                        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nA: b\r\n"
                        "Connection: Upgrade\r\n\r\n");
    assert_string_equal(response("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
                                 "Content-Length: 1\r\n\r\n",
                                 false, 1),
                        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
}

static void trailers_and_expectations_go_on_from_http_1_1_only(void **state)
{
    (void)state;
    assert_string_equal(request("GET http://h/ HTTP/1.1\r\nHost: h\r\nTE: gzip, trailers\r\n"
                                "Connection: TE\r\nExpect: 100-continue\r\n\r\n",
                                false),
                        "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                        "TE: trailers\r\nConnection: TE, close\r\n\r\n");
    assert_string_equal(request("GET http://h/ HTTP/1.0\r\nTE: trailers\r\n"
                                "Expect: 100-continue\r\n\r\n",
                                true),
                        "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void acc_39_a_response_is_framed_as_its_client_can_read(void **state)
{
    static const char chunked[] =
        "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\n\r\n";
    static const char endless[] = "HTTP/1.0 200\r\nA: b\r\n\r\n";
    static const char twice[] =
        "HTTP/1.0 200 OK\r\nContent-Length: 05\r\nA: b\r\nContent-Length: 5\r\n\r\n";

    (void)state;
    assert_string_equal(response(chunked, false, 1),
                        "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n"
                        "Connection: keep-alive\r\n\r\n");
    assert_string_equal(response(chunked, false, 0), "HTTP/1.1 200 OK\r\nA: b\r\nTrailer: X\r\n"
                                                     "Connection: close\r\n\r\n");
    assert_string_equal(response(endless, false, 1),
                        "HTTP/1.1 200 \r\nA: b\r\nConnection: close\r\n\r\n");
    assert_string_equal(response(twice, false, 0),
                        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n"
                        "Connection: keep-alive\r\n\r\n");
}

static void a_response_without_a_body_announces_none(void **state)
{
    (void)state;
    assert_string_equal(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 1),
                        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
    assert_string_equal(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, 1),
                        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n");
    assert_string_equal(
        response("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 1),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n"
        "Connection: keep-alive\r\n\r\n");
    assert_string_equal(response("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, 1),
                        "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
    assert_string_equal(response("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 5\r\n"
                                 "Connection: close\r\n\r\n",
                                 false, 1),
                        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

static void a_head_that_does_not_fit_is_too_long(void **state)
{
    static const char bytes[] = "GET http://h/ HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    struct http1_head head;
    struct http1_uri uri;
    size_t used, n_whole, n;

    (void)state;
    assert_int_equal(http1_parse_request((const uint8_t *)bytes, sizeof bytes - 1, &head, &used),
                     ERR_NONE);
    assert_int_equal(http1_parse_absolute(&uri, &head), ERR_NONE);
    assert_int_equal(http1_forward_request(out, sizeof out, &n_whole, &head, &uri, true), ERR_NONE);
    for (size_t size = 0; size < n_whole; size++) {
        char *exact = malloc(size > 0 ? size : 1);
        assert_non_null(exact);
        assert_int_equal(http1_forward_request(exact, size, &n, &head, &uri, true), ERR_TOO_LONG);
        free(exact);
    }
    assert_int_equal(http1_forward_request(out, n_whole, &n, &head, &uri, true), ERR_NONE);
    assert_int_equal(n, n_whole);
}

/* Everything that can make it longer than what was parsed. */
static void what_is_written_is_bounded_by_what_was_parsed(void **state)
{
    (void)state;
    request("A HTTP://h?q HTTP/1.1\r\nHost:\r\nTE:trailers\r\nUpgrade:a\r\nConnection:upgrade\r\n"
            "Transfer-Encoding:chunked\r\n\r\n",
            false);
    request("A http://example.com HTTP/1.0\r\nContent-Length:1\r\n\r\n", false);
    response("HTTP/1.1 200\r\nContent-Length:1\r\n\r\n", false, 1);
    response("HTTP/1.1 101\r\n\r\n", false, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_on_in_origin_form),
        cmocka_unit_test(acc_74_what_is_for_the_proxy_never_leaves),
        cmocka_unit_test(acc_74_a_list_takes_away_nothing_that_frames_or_routes),
        cmocka_unit_test(acc_74_host_is_the_targets),
        cmocka_unit_test(acc_39_an_upgrade_goes_on),
        cmocka_unit_test(trailers_and_expectations_go_on_from_http_1_1_only),
        cmocka_unit_test(acc_39_a_response_is_framed_as_its_client_can_read),
        cmocka_unit_test(a_response_without_a_body_announces_none),
        cmocka_unit_test(a_head_that_does_not_fit_is_too_long),
        cmocka_unit_test(what_is_written_is_bounded_by_what_was_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
