#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "wire/http1.h"
#include "wire/http1_basic.h"
#include "wire/http1_connect.h"
#include "wire/http1_target.h"

static struct slice slice_of(const char *text)
{
    return (struct slice){.at = text, .n = strlen(text)};
}

static const char *connect_to(const char *text, const char *user, const char *password)
{
    static char out[HTTP1_CONNECT_MAX_BYTES + 1];
    struct target target;
    struct slice user_slice = slice_of(user != NULL ? user : "");
    struct slice password_slice = slice_of(password != NULL ? password : "");
    assert_int_equal(target_parse(&target, text, strlen(text)), ERR_NONE);
    size_t n = http1_write_connect(out, &target, user != NULL ? &user_slice : NULL,
                                   password != NULL ? &password_slice : NULL);
    assert_true(n <= HTTP1_CONNECT_MAX_BYTES);
    out[n] = '\0';
    return out;
}

static void a_request_is_exact_to_the_byte(void **state)
{
    (void)state;
    assert_string_equal(connect_to("example.com:443", NULL, NULL),
                        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    assert_string_equal(connect_to("[2001:db8::1]:80", NULL, NULL),
                        "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n");
    assert_string_equal(connect_to("example.com:443", "Aladdin", "open sesame"),
                        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n"
                        "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}

static void the_longest_request_is_what_the_other_side_reads(void **state)
{
    char name[HOST_NAME_MAX_BYTES + 7], text[256];
    struct http1_head head;
    struct http1_basic basic;
    struct target target;
    size_t used;

    (void)state;
    memset(name, 'a', HOST_NAME_MAX_BYTES);
    strcpy(name + HOST_NAME_MAX_BYTES, ":65535");
    memset(text, 'x', 255);
    text[255] = '\0';
    const char *bytes = connect_to(name, text, text);
    assert_int_equal(http1_parse_request((const uint8_t *)bytes, strlen(bytes), &head, &used),
                     ERR_NONE);
    assert_int_equal(used, strlen(bytes));
    assert_int_equal(http1_parse_authority(&target, head.target), ERR_NONE);
    assert_int_equal(target.name_bytes, HOST_NAME_MAX_BYTES);
    assert_int_equal(http1_parse_basic(&basic, *http1_find(&head, "Proxy-Authorization")),
                     ERR_NONE);
    assert_int_equal(basic.user.n, 255);
    assert_int_equal(basic.password.n, 255);
}

static void acc_61_each_status_says_what_it_can(void **state)
{
    (void)state;
    for (unsigned status = 100; status < 1000; status++) {
        enum err expected = ERR_UPSTREAM;
        if (status >= 200 && status < 300)
            expected = ERR_NONE;
        if (status == 403)
            expected = ERR_DENIED;
        if (status == 405)
            expected = ERR_COMMAND;
        if (status == 407 || status == 401)
            expected = ERR_AUTH;
        if (status == 502 || status == 503)
            expected = ERR_HOST_UNREACH;
        if (status == 504)
            expected = ERR_TIMEOUT;
        assert_int_equal(http1_connect_err(status), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_exact_to_the_byte),
        cmocka_unit_test(the_longest_request_is_what_the_other_side_reads),
        cmocka_unit_test(acc_61_each_status_says_what_it_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
