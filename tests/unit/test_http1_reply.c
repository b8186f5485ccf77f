#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/http1_basic.h"
#include "wire/http1_reply.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define SLICE(literal) ((struct slice){literal, sizeof(literal) - 1})

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
        case ERR_SCHEME:
            expected = 400;
            break;
        case ERR_DENIED:
            expected = 403;
            break;
        case ERR_COMMAND:
            expected = 405;
            break;
        case ERR_AUTH:
            expected = 407;
            break;
        case ERR_TOO_LONG:
            expected = 431;
            break;
        case ERR_TIMEOUT:
        case ERR_TUNNEL:
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

/* RFC 9110 section 9.3.2 */
static void a_reply_to_head_announces_its_body_and_lacks_it(void **state)
{
    char out[HTTP1_REPLY_MAX_BYTES], to_head[HTTP1_REPLY_MAX_BYTES];

    (void)state;
    size_t n = http1_write_reply(out, 504, "timed out", true);
    size_t n_to_head = http1_write_reply_to_head(to_head, 504, "timed out", true);
    assert_int_equal(n_to_head, n - strlen("timed out\n"));
    assert_memory_equal(to_head, out, n_to_head);
    assert_memory_equal(to_head + n_to_head - 4, "\r\n\r\n", 4);
}

static void every_status_has_its_reason(void **state)
{
    static const char *const lines[] = {
        "200 OK",
        "400 Bad Request",
        "403 Forbidden",
        "405 Method Not Allowed\r\nAllow: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"sockeye\"",
        "431 Request Header Fields Too Large",
        "502 Bad Gateway",
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
        cmocka_unit_test(basic_credentials_are_user_and_password),
        cmocka_unit_test(other_credentials_are_refused),
        cmocka_unit_test(credentials_have_at_most_their_bound),
        cmocka_unit_test(acc_51_each_error_has_its_status),
        cmocka_unit_test(replies_are_exact_to_the_byte),
        cmocka_unit_test(a_reply_to_head_announces_its_body_and_lacks_it),
        cmocka_unit_test(every_status_has_its_reason),
        cmocka_unit_test(the_longest_reply_fits_and_its_length_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
