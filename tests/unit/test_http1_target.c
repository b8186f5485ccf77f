#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/http1_target.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define SLICE(literal) ((struct slice){literal, sizeof(literal) - 1})

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

/* What becomes of a request to be forwarded: where it goes, Host, path; or the error. */
static const char *absolute(const char *text, uint8_t minor, bool has_host)
{
    static char out[1024];
    char to[TARGET_TEXT_BYTES];
    struct http1_head head = {
        .target = {.at = text, .n = strlen(text)}, .minor = minor, .has_host = has_host};
    struct http1_uri uri;

    enum err err = http1_parse_absolute(&uri, &head);
    if (err != ERR_NONE)
        return err_text(err);
    target_format(&uri.target, to);
    snprintf(out, sizeof out, "%s %.*s %.*s", to, (int)uri.authority.n, uri.authority.at,
             (int)uri.path.n, uri.path.at);
    return out;
}

static void acc_39_an_absolute_form_is_host_and_path(void **state)
{
    static const struct {
        const char *text, *parts;
    } good[] = {
        {"http://example.com/", "example.com:80 example.com /"},
        {"HTTP://example.com:8080/a?b=c:d@e//f", "example.com:8080 example.com:8080 /a?b=c:d@e//f"},
        {"http://example.com", "example.com:80 example.com "},
        {"http://example.com:80?q", "example.com:80 example.com:80 ?q"},
        {"http://example.com?q/r", "example.com:80 example.com ?q/r"},
        {"http://192.0.2.1//x", "192.0.2.1:80 192.0.2.1 //x"},
        {"http://[2001:DB8::1]/", "[2001:db8::1]:80 [2001:DB8::1] /"},
        {"http://[::1]:81", "[::1]:81 [::1]:81 "},
        {"http://a/\xc3\xbc", "a:80 a /\xc3\xbc"},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(good); i++)
        assert_string_equal(absolute(good[i].text, 1, true), good[i].parts);
}

static void acc_74_other_targets_are_not_forwarded(void **state)
{
    static const char *const bad[] = {
        "/",
        "/http://a/",
        "*",
        "a",
        "a:80",
        "http:a",
        "http:/a/",
        "http//a/",
        "://a/",
        "1http://a/",
        "http://",
        "http:///path",
        "http://?q",
        "http://:80/",
        "http://a:/",
        "http://a:0/",
        "http://a:080/",
        "http://a:65536/",
        "http://a:80:80/",
        "http://a:8x/",
        "http://user@a/",
        "http://user:password@a/",
        "http://a@/",
        "http://a/#f",
        "http://a#f",
        "http://a/?q#",
        "http://::1/",
        "http://[::1/",
        "http://::1]/",
        "http://[]/",
        "http://[::1]x/",
        "http://[::1]]:80/",
        "http://[a]/",
        "http://[1.2.3.4]/",
        "http://[v1.a]/",
        "http://[fe80::1%1]/",
        "http://[fe80::1%251]/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://a%2eb/",
        "http://a\\b/",
        "http://a|b/",
        "http://a\"b/",
        "http://{a}/",
        "http://`a`/",
    };
    static const char *const other_schemes[] = {"https://a/", "ftp://a/", "httpx://a", "ws://a/",
                                                "a+b-c.1://"};

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (strcmp(absolute(bad[i], 1, true), err_text(ERR_BAD)) != 0)
            fail_msg("'%s' was taken", bad[i]);
    }
    for (size_t i = 0; i < N_ITEMS(other_schemes); i++)
        assert_string_equal(absolute(other_schemes[i], 1, true), err_text(ERR_SCHEME));
}

static void acc_74_only_http_1_0_may_come_without_host(void **state)
{
    (void)state;
    assert_string_equal(absolute("http://a/", 0, false), "a:80 a /");
    assert_string_equal(absolute("http://a/", 1, false), err_text(ERR_BAD));
    assert_string_equal(absolute("https://a/", 1, false), err_text(ERR_SCHEME));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_is_a_host_and_a_port_from_1),
        cmocka_unit_test(acc_39_an_absolute_form_is_host_and_path),
        cmocka_unit_test(acc_74_other_targets_are_not_forwarded),
        cmocka_unit_test(acc_74_only_http_1_0_may_come_without_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
