#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "prefixes.h"
#include "wire/socks4.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define DESCRIBE(literal) describe_all_prefixes(describe, literal, sizeof(literal) - 1)
#define HEADER_OF_A_NAME "\x04\x01\x00\x50\0\0\0\x01"
#define NAME_HEADER_BYTES 8

static void describe(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct socks4_request request;
    char target[TARGET_TEXT_BYTES];
    size_t used = SIZE_MAX;
    enum err err = socks4_parse_request(bytes, n, &request, &used);

    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    target_format(&request.target, target);
    assert_target_reads_as(&request.target, target);
    snprintf(text, DESCRIPTION_BYTES, "%u %s%s '%.*s' %zu", request.command,
             request.target.name_bytes > 0 ? "name " : "", target, (int)request.user.n,
             request.user.at, used);
}

static void a_request_has_command_address_and_user(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("\x04\x01\x00\x50\xc0\x00\x02\x01"
                                 "Fred\0"),
                        "1 192.0.2.1:80 'Fred' 13");
    assert_string_equal(DESCRIBE("\x04\x02\xff\xff\x01\x02\x03\x04\0"), "2 1.2.3.4:65535 '' 9");
    assert_string_equal(DESCRIBE("\x04\x01\x00\x50\0\0\0\0\0"), "1 0.0.0.0:80 '' 9");
    assert_string_equal(DESCRIBE("\x04\x01\x00\x50\0\0\x01\x01\0"), "1 0.0.1.1:80 '' 9");
    assert_string_equal(DESCRIBE("\x04\x01\x00\x50\0\x01\0\x01\0"), "1 0.1.0.1:80 '' 9");
    assert_string_equal(DESCRIBE("\x04\x01\x00\x50\x01\0\0\x01\0"), "1 1.0.0.1:80 '' 9");
}

static void a_request_of_4a_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "me\0example.com\0"),
                        "1 name example.com:80 'me' 23");
    assert_string_equal(DESCRIBE("\x04\x01\x01\xbb\0\0\0\xff\0x\0"), "1 name x:443 '' 11");
}

static void a_name_that_is_an_address_becomes_one(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "\0"
                                                  "192.0.2.1\0"),
                        "1 192.0.2.1:80 '' 19");
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "\0"
                                                  "2001:db8::1\0"),
                        "1 [2001:db8::1]:80 '' 21");
}

static void commands_unknown_and_port_0_are_left_to_the_caller(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("\x04\x00\x00\x00\x01\x02\x03\x04\0"), "0 1.2.3.4:0 '' 9");
    assert_string_equal(DESCRIBE("\x04\xff\x00\x00\x01\x02\x03\x04\0"), "255 1.2.3.4:0 '' 9");
}

static void what_follows_the_request_is_not_taken(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE("\x04\x01\x00\x50\xc0\x00\x02\x01\0GET / HTTP/1.1\r\n"),
                        "1 192.0.2.1:80 '' 9");
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "\0x\0\0\0early"), "1 name x:80 '' 11");
}

static void other_versions_are_refused_at_once(void **state)
{
    (void)state;
    for (int version = 0; version < 256; version++) {
        uint8_t byte = (uint8_t)version;
        assert_string_equal(describe_all_prefixes(describe, &byte, 1),
                            err_text(version == 4 ? ERR_MORE : ERR_VERSION));
    }
}

static void names_that_are_none_are_malformed(void **state)
{
    (void)state;
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "\0\0"), err_text(ERR_BAD));
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "\0a b\0"), err_text(ERR_BAD));
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "\0[::1]\0"), err_text(ERR_BAD));
    assert_string_equal(DESCRIBE(HEADER_OF_A_NAME "\0"
                                                  "127.1\0"),
                        err_text(ERR_BAD));
}

/* Builds a 4a request with user and name of so many bytes; returns its length. */
static size_t build(uint8_t out[1024], size_t n_user, size_t n_name)
{
    size_t n = NAME_HEADER_BYTES;

    memcpy(out, HEADER_OF_A_NAME, n);
    memset(out + n, 'u', n_user);
    n += n_user;
    out[n++] = 0;
    memset(out + n, 'n', n_name);
    n += n_name;
    out[n++] = 0;
    return n;
}

static void user_and_name_have_at_most_255_bytes(void **state)
{
    uint8_t bytes[1024];
    char expected[DESCRIPTION_BYTES];

    (void)state;
    size_t n = build(bytes, 255, 255);
    assert_int_equal(n, SOCKS4_REQUEST_MAX_BYTES);
    snprintf(expected, sizeof expected, "1 name %.255s:80 '%.255s' %d", (char *)bytes + 264,
             (char *)bytes + 8, SOCKS4_REQUEST_MAX_BYTES);
    assert_string_equal(describe_all_prefixes(describe, bytes, n), expected);

    n = build(bytes, 256, 1);
    assert_string_equal(describe_all_prefixes(describe, bytes, n), err_text(ERR_TOO_LONG));
    n = build(bytes, 1, 256);
    assert_string_equal(describe_all_prefixes(describe, bytes, n), err_text(ERR_TOO_LONG));
}

static void beyond_the_longest_request_nothing_more_is_asked_for(void **state)
{
    uint8_t bytes[SOCKS4_REQUEST_MAX_BYTES];

    (void)state;
    for (size_t n_user = 0; n_user <= 255; n_user += 5) {
        memset(bytes, 'x', sizeof bytes);
        memcpy(bytes, HEADER_OF_A_NAME, NAME_HEADER_BYTES);
        bytes[NAME_HEADER_BYTES + n_user] = 0;
        assert_string_equal(describe_all_prefixes(describe, bytes, sizeof bytes),
                            err_text(ERR_TOO_LONG));
    }
}

static void only_no_error_is_granted(void **state)
{
    (void)state;
    for (unsigned err = 0; err < N_ERRS; err++)
        assert_int_equal(socks4_code((enum err)err), err == ERR_NONE ? 90 : 91);
}

static void replies_are_exact_to_the_byte(void **state)
{
    uint8_t out[SOCKS4_REPLY_BYTES];
    struct addr v4 = {.ip = {192, 0, 2, 1}, .port = 0x1234, .family = ADDR_V4};
    struct addr v6 = {.ip = {0x20, 1, 0xd, 0xb8}, .port = 0x1234, .family = ADDR_V6};
    struct addr none = {0};

    (void)state;
    memset(out, 0xee, sizeof out);
    socks4_write_reply(out, SOCKS4_GRANTED, &v4);
    assert_memory_equal(out, "\0\x5a\x12\x34\xc0\0\x02\x01", 8);
    memset(out, 0xee, sizeof out);
    socks4_write_reply(out, SOCKS4_GRANTED, &v6);
    assert_memory_equal(out, "\0\x5a\x12\x34\0\0\0\0", 8);
    memset(out, 0xee, sizeof out);
    socks4_write_reply(out, SOCKS4_REJECTED, &none);
    assert_memory_equal(out, "\0\x5b\0\0\0\0\0\0", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_command_address_and_user),
        cmocka_unit_test(a_request_of_4a_has_a_name),
        cmocka_unit_test(a_name_that_is_an_address_becomes_one),
        cmocka_unit_test(commands_unknown_and_port_0_are_left_to_the_caller),
        cmocka_unit_test(what_follows_the_request_is_not_taken),
        cmocka_unit_test(other_versions_are_refused_at_once),
        cmocka_unit_test(names_that_are_none_are_malformed),
        cmocka_unit_test(user_and_name_have_at_most_255_bytes),
        cmocka_unit_test(beyond_the_longest_request_nothing_more_is_asked_for),
        cmocka_unit_test(only_no_error_is_granted),
        cmocka_unit_test(replies_are_exact_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
