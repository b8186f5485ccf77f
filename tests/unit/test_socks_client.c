/* SOCKS as clients speak it: what is sent, byte for byte, and what is made of any answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "prefixes.h"
#include "wire/socks4.h"
#include "wire/socks5.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static struct target target_of(const char *text)
{
    struct target target;
    assert_int_equal(target_parse(&target, text, strlen(text)), ERR_NONE);
    return target;
}

static struct slice slice_of(const char *text)
{
    return (struct slice){.at = text, .n = strlen(text)};
}

/* ---- SOCKS5 ---- */

static void a_greeting_offers_a_password_only_where_there_is_one(void **state)
{
    uint8_t out[SOCKS5_OFFER_BYTES];
    (void)state;
    assert_int_equal(socks5_write_greeting(out, false), 3);
    assert_memory_equal(out, "\x05\x01\0", 3);
    assert_int_equal(socks5_write_greeting(out, true), 4);
    assert_memory_equal(out, "\x05\x02\0\x02", 4);
}

static void describe_method(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    uint8_t method;
    size_t used = SIZE_MAX;
    enum err err = socks5_parse_method(bytes, n, &method, &used);
    if (err == ERR_NONE)
        snprintf(text, DESCRIPTION_BYTES, "%u %zu", method, used);
    else
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
}

static void a_method_is_taken_as_it_is(void **state)
{
    (void)state;
    assert_string_equal(describe_all_prefixes(describe_method, "\x05\0\x05", 3), "0 2");
    assert_string_equal(describe_all_prefixes(describe_method, "\x05\xff", 2), "255 2");
    assert_string_equal(describe_all_prefixes(describe_method, "\x05\x01", 2), "1 2");
    assert_string_equal(describe_all_prefixes(describe_method, "\x04\0", 2), "unknown version");
    assert_string_equal(describe_all_prefixes(describe_method, "\0\x5b", 2), "unknown version");
    assert_string_equal(describe_all_prefixes(describe_method, "HTTP/1.1 400", 12),
                        "unknown version");
}

static void a_login_is_what_the_other_side_reads(void **state)
{
    uint8_t out[SOCKS5_LOGIN_MAX_BYTES];
    char longest[256];
    struct socks5_login login;
    size_t used;

    (void)state;
    assert_int_equal(socks5_write_login(out, slice_of("ann"), slice_of("pw")), 8);
    assert_memory_equal(out,
                        "\x01\x03"
                        "ann\x02"
                        "pw",
                        8);
    assert_int_equal(socks5_write_login(out, slice_of("a"), slice_of("")), 4);
    assert_memory_equal(out,
                        "\x01\x01"
                        "a\0",
                        4);
    memset(longest, 'x', 255);
    longest[255] = '\0';
    size_t n = socks5_write_login(out, slice_of(longest), slice_of(longest));
    assert_int_equal(n, sizeof out);
    assert_int_equal(socks5_parse_login(out, n, &login, &used), ERR_NONE);
    assert_int_equal(used, n);
    assert_int_equal(login.password.n, 255);
}

static void describe_login_reply(char text[static DESCRIPTION_BYTES], const uint8_t *bytes,
                                 size_t n)
{
    size_t used = SIZE_MAX;
    enum err err = socks5_parse_login_reply(bytes, n, &used);
    if (err == ERR_NONE)
        snprintf(text, DESCRIPTION_BYTES, "right %zu", used);
    else
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
}

static void only_a_zero_says_that_the_login_is_right(void **state)
{
    (void)state;
    assert_string_equal(describe_all_prefixes(describe_login_reply, "\x01\0", 2), "right 2");
    assert_string_equal(describe_all_prefixes(describe_login_reply, "\x05\0", 2), "right 2");
    for (unsigned status = 1; status < 256; status++) {
        uint8_t bytes[] = {1, (uint8_t)status};
        assert_string_equal(describe_all_prefixes(describe_login_reply, bytes, 2),
                            err_text(ERR_AUTH));
    }
    assert_string_equal(describe_all_prefixes(describe_login_reply, "\0\0", 2), "unknown version");
}

static void a_request_is_what_the_other_side_reads(void **state)
{
    static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:65535", "example.com:443"};
    (void)state;
    for (size_t i = 0; i < N_ITEMS(texts); i++) {
        uint8_t out[SOCKS5_REQUEST_MAX_BYTES];
        char text[TARGET_TEXT_BYTES];
        struct socks5_request request;
        size_t used;
        struct target target = target_of(texts[i]);
        size_t n = socks5_write_request(out, SOCKS5_BIND, &target);
        assert_int_equal(socks5_parse_request(out, n, &request, &used), ERR_NONE);
        assert_int_equal(used, n);
        assert_int_equal(request.command, 2);
        target_format(&request.target, text);
        assert_string_equal(text, texts[i]);
    }
}

static void the_longest_name_fits_a_request(void **state)
{
    uint8_t out[SOCKS5_REQUEST_MAX_BYTES];
    struct target target = {.name_bytes = HOST_NAME_MAX_BYTES};
    (void)state;
    memset(target.name, 'a', HOST_NAME_MAX_BYTES);
    assert_int_equal(socks5_write_request(out, SOCKS5_CONNECT, &target), sizeof out);
}

static void describe_reply5(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct socks5_answer answer;
    char bound[ADDR_TEXT_BYTES] = "none";
    size_t used = SIZE_MAX;
    enum err err = socks5_parse_reply(bytes, n, &answer, &used);
    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    if (answer.bound.family != ADDR_NONE)
        addr_format(&answer.bound, bound);
    snprintf(text, DESCRIPTION_BYTES, "%s, %s, %zu", err_text(answer.err), bound, used);
}

static const char *reply5(const void *bytes, size_t n)
{
    return describe_all_prefixes(describe_reply5, bytes, n);
}

static void a_reply_says_where_we_are_bound(void **state)
{
    (void)state;
    assert_string_equal(reply5("\x05\0\0\x01\xc0\0\x02\x01\0\x50more", 14),
                        "no error, 192.0.2.1:80, 10");
    assert_string_equal(
        reply5("\x05\0\xee\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50", 22),
        "no error, [2001:db8::1]:80, 22");
}

static void a_domain_in_a_reply_is_stepped_over_whatever_it_is(void **state)
{
    (void)state;
    assert_string_equal(reply5("\x05\0\0\x03\x03"
                               "a.b\0\x50more",
                               14),
                        "no error, none, 10");
    assert_string_equal(reply5("\x05\0\0\x03\0\0\x50more", 11), "no error, none, 7");
    assert_string_equal(reply5("\x05\0\0\x03\x02\xff\n\0\x50", 9), "no error, none, 9");
    uint8_t longest[SOCKS5_ANSWER_MAX_BYTES] = {5, 0, 0, 3, 255};
    assert_string_equal(reply5(longest, sizeof longest), "no error, none, 262");
}

static void what_is_no_reply_is_refused_as_soon_as_that_is_known(void **state)
{
    (void)state;
    assert_string_equal(reply5("\x04\0\0\x01\0\0\0\0\0\0", 10), "unknown version");
    assert_string_equal(reply5("\x05\0\0\x02\0\0\0\0\0\0", 10), "malformed");
    assert_string_equal(reply5("\x05\0\0\0", 4), "malformed");
    assert_string_equal(reply5("", 0), "more input needed");
}

static void acc_61_each_code_of_a_refusal_comes_out_as_it_went_in(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 256; code++) {
        uint8_t bytes[] = {5, (uint8_t)code, 0, 1, 0, 0, 0, 0, 0, 0};
        struct socks5_answer answer;
        size_t used;
        assert_int_equal(socks5_parse_reply(bytes, sizeof bytes, &answer, &used), ERR_NONE);
        assert_int_equal(used, code == 0 ? 10 : 2);
        assert_int_equal(answer.err == ERR_NONE, code == 0);
        assert_int_equal(socks5_code(answer.err), code <= 8 ? code : 1);
    }
}

static void acc_61_a_refusal_needs_no_more_than_its_code(void **state)
{
    (void)state;
    assert_string_equal(reply5("\x05\x05", 2), "connection refused, none, 2");
    assert_string_equal(reply5("\x05\x06\0\x09garbage", 11), "time to live expired, none, 2");
}

/* ---- SOCKS4 ---- */

static void a_request_of_4a_is_what_the_other_side_reads(void **state)
{
    static const char *const texts[] = {"192.0.2.1:80", "example.com:443"};
    static const size_t n_bytes[] = {9, 9 + 12};
    (void)state;
    for (size_t i = 0; i < N_ITEMS(texts); i++) {
        uint8_t out[SOCKS4_REQUEST_MAX_BYTES];
        char text[TARGET_TEXT_BYTES];
        struct socks4_request request;
        struct target target = target_of(texts[i]);
        size_t n, used;
        assert_int_equal(socks4_write_request(out, &n, SOCKS4_CONNECT, &target), ERR_NONE);
        assert_int_equal(n, n_bytes[i]);
        assert_int_equal(socks4_parse_request(out, n, &request, &used), ERR_NONE);
        assert_int_equal(used, n);
        assert_int_equal(request.command, 1);
        assert_int_equal(request.user.n, 0);
        target_format(&request.target, text);
        assert_string_equal(text, texts[i]);
    }
}

static void ipv6_and_what_stands_for_a_name_cannot_be_asked_for_by_socks4(void **state)
{
    static const struct {
        const char *target;
        enum err expected;
    } cases[] = {{"[2001:db8::1]:80", ERR_ADDRESS_TYPE},
                 {"0.0.0.1:80", ERR_ADDRESS_TYPE},
                 {"0.0.0.0:80", ERR_NONE}};
    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        uint8_t out[SOCKS4_REQUEST_MAX_BYTES];
        struct target target = target_of(cases[i].target);
        size_t n;
        assert_int_equal(socks4_write_request(out, &n, SOCKS4_CONNECT, &target), cases[i].expected);
    }
}

static void describe_reply4(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct socks4_answer answer;
    char bound[ADDR_TEXT_BYTES] = "none";
    size_t used = SIZE_MAX;
    enum err err = socks4_parse_reply(bytes, n, &answer, &used);
    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    if (answer.bound.family != ADDR_NONE)
        addr_format(&answer.bound, bound);
    snprintf(text, DESCRIPTION_BYTES, "%s, %s, %zu", err_text(answer.err), bound, used);
}

static const char *reply4(const void *bytes, size_t n)
{
    return describe_all_prefixes(describe_reply4, bytes, n);
}

static void a_reply_of_socks4_is_granted_or_not(void **state)
{
    (void)state;
    assert_string_equal(reply4("\0\x5a\0\x50\xc0\0\x02\x01more", 12), "no error, 192.0.2.1:80, 8");
    assert_string_equal(reply4("\0\x5a\0\0\0\0\0\0", 8), "no error, 0.0.0.0:0, 8");
    assert_string_equal(reply4("\0\x5b\0\0\0\0\0\0", 8), "upstream proxy failed, none, 2");
    assert_string_equal(reply4("\0\x5d", 2), "upstream proxy failed, none, 2");
    assert_string_equal(reply4("\0\x5e\0\0\0\0\0\0", 8), "malformed");
    assert_string_equal(reply4("\0\0\0\0\0\0\0\0", 8), "malformed");
    assert_string_equal(reply4("\x05\0", 2), "unknown version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greeting_offers_a_password_only_where_there_is_one),
        cmocka_unit_test(a_method_is_taken_as_it_is),
        cmocka_unit_test(a_login_is_what_the_other_side_reads),
        cmocka_unit_test(only_a_zero_says_that_the_login_is_right),
        cmocka_unit_test(a_request_is_what_the_other_side_reads),
        cmocka_unit_test(the_longest_name_fits_a_request),
        cmocka_unit_test(a_reply_says_where_we_are_bound),
        cmocka_unit_test(a_domain_in_a_reply_is_stepped_over_whatever_it_is),
        cmocka_unit_test(what_is_no_reply_is_refused_as_soon_as_that_is_known),
        cmocka_unit_test(acc_61_each_code_of_a_refusal_comes_out_as_it_went_in),
        cmocka_unit_test(acc_61_a_refusal_needs_no_more_than_its_code),
        cmocka_unit_test(a_request_of_4a_is_what_the_other_side_reads),
        cmocka_unit_test(ipv6_and_what_stands_for_a_name_cannot_be_asked_for_by_socks4),
        cmocka_unit_test(a_reply_of_socks4_is_granted_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
