#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/http1_forward.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_on_in_origin_form),
        cmocka_unit_test(acc_74_what_is_for_the_proxy_never_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
