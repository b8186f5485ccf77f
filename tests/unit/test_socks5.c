#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "prefixes.h"
#include "wire/socks5.h"

#define BYTES(literal) literal, sizeof(literal) - 1

static void describe_greeting(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct socks5_greeting greeting;
    size_t used = SIZE_MAX;
    enum err err = socks5_parse_greeting(bytes, n, &greeting, &used);

    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    text += sprintf(text, "%zu:", used);
    for (size_t i = 0; i < greeting.n_methods; i++)
        text += sprintf(text, " %u", greeting.methods[i]);
}

static void describe_login(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct socks5_login login;
    size_t used = SIZE_MAX;
    enum err err = socks5_parse_login(bytes, n, &login, &used);

    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    snprintf(text, DESCRIPTION_BYTES, "'%.*s' '%.*s' %zu", (int)login.user.n, login.user.at,
             (int)login.password.n, login.password.at, used);
}

static void describe_request(char text[static DESCRIPTION_BYTES], const uint8_t *bytes, size_t n)
{
    struct socks5_request request;
    char target[TARGET_TEXT_BYTES];
    size_t used = SIZE_MAX;
    enum err err = socks5_parse_request(bytes, n, &request, &used);

    if (err != ERR_NONE) {
        snprintf(text, DESCRIPTION_BYTES, "%s", err_text(err));
        return;
    }
    target_format(&request.target, target);
    assert_target_reads_as(&request.target, target);
    snprintf(text, DESCRIPTION_BYTES, "%u %s%s %zu", request.command,
             request.target.name_bytes > 0 ? "name " : "", target, used);
}

static const char *greeting(const void *bytes, size_t n)
{
    return describe_all_prefixes(describe_greeting, bytes, n);
}

static const char *login(const void *bytes, size_t n)
{
    return describe_all_prefixes(describe_login, bytes, n);
}

static const char *request(const void *bytes, size_t n)
{
    return describe_all_prefixes(describe_request, bytes, n);
}

static void a_greeting_is_a_list_of_methods(void **state)
{
    (void)state;
    assert_string_equal(greeting(BYTES("\x05\x01\x00")), "3: 0");
    assert_string_equal(greeting(BYTES("\x05\x03\x00\x01\x02")), "5: 0 1 2");
    assert_string_equal(greeting(BYTES("\x05\x00")), "2:");
    assert_string_equal(greeting(BYTES("\x05\x01\x02\x01\x03\x61\x6e\x6e")), "3: 2");
}

static void the_longest_greeting_needs_no_more_than_its_bound(void **state)
{
    uint8_t bytes[SOCKS5_GREETING_MAX_BYTES] = {5, 255};
    struct socks5_greeting parsed;
    size_t used = 0;

    (void)state;
    assert_int_equal(socks5_parse_greeting(bytes, sizeof bytes - 1, &parsed, &used), ERR_MORE);
    assert_int_equal(socks5_parse_greeting(bytes, sizeof bytes, &parsed, &used), ERR_NONE);
    assert_int_equal(used, sizeof bytes);
    assert_int_equal(parsed.n_methods, 255);
}

static void a_method_is_offered_if_it_is_in_the_list(void **state)
{
    const uint8_t methods[] = {1, 2, 0xff};
    struct socks5_greeting some = {.methods = methods, .n_methods = 3};
    struct socks5_greeting none = {.methods = methods, .n_methods = 0};

    (void)state;
    assert_true(socks5_offers(&some, SOCKS5_METHOD_PASSWORD));
    assert_false(socks5_offers(&some, SOCKS5_METHOD_NONE));
    assert_false(socks5_offers(&some, SOCKS5_METHOD_UNACCEPTABLE));
    assert_false(socks5_offers(&none, SOCKS5_METHOD_PASSWORD));
}

static void other_versions_are_refused_at_once(void **state)
{
    (void)state;
    for (int version = 0; version < 256; version++) {
        uint8_t byte = (uint8_t)version;
        const char *socks5 = err_text(version == 5 ? ERR_MORE : ERR_VERSION);
        assert_string_equal(greeting(&byte, 1), socks5);
        assert_string_equal(request(&byte, 1), socks5);
        assert_string_equal(login(&byte, 1), err_text(version == 1 ? ERR_MORE : ERR_VERSION));
    }
}

static void a_login_is_user_and_password(void **state)
{
    (void)state;
    assert_string_equal(login(BYTES("\x01\x03"
                                    "ann"
                                    "\x02"
                                    "pw")),
                        "'ann' 'pw' 8");
    assert_string_equal(login(BYTES("\x01\x01x\x00")), "'x' '' 4");
    assert_string_equal(login(BYTES("\x01\x01x\x01y\x05\x01\x00")), "'x' 'y' 5");
}

static void a_user_without_a_name_is_malformed(void **state)
{
    (void)state;
    assert_string_equal(login(BYTES("\x01\x00")), err_text(ERR_BAD));
    assert_string_equal(login(BYTES("\x01\x00\x02pw")), err_text(ERR_BAD));
}

static void the_longest_login_needs_no_more_than_its_bound(void **state)
{
    uint8_t bytes[SOCKS5_LOGIN_MAX_BYTES];
    struct socks5_login parsed;
    size_t used = 0;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    bytes[0] = 1;
    bytes[1] = bytes[257] = 255;
    assert_int_equal(socks5_parse_login(bytes, sizeof bytes - 1, &parsed, &used), ERR_MORE);
    assert_int_equal(socks5_parse_login(bytes, sizeof bytes, &parsed, &used), ERR_NONE);
    assert_int_equal(used, sizeof bytes);
    assert_int_equal(parsed.user.n, 255);
    assert_int_equal(parsed.password.n, 255);
}

static void acc_36_a_request_has_an_ipv4_an_ipv6_or_a_domain_target(void **state)
{
    (void)state;
    assert_string_equal(request(BYTES("\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50")),
                        "1 192.0.2.1:80 10");
    assert_string_equal(
        request(BYTES("\x05\x03\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb")),
        "3 [2001:db8::1]:443 22");
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x0b"
                                      "example.com\x01\xbb")),
                        "1 name example.com:443 18");
}

static void a_domain_that_is_an_address_becomes_one(void **state)
{
    (void)state;
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x09"
                                      "192.0.2.1\x00\x50")),
                        "1 192.0.2.1:80 16");
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x03::1\x00\x50")), "1 [::1]:80 10");
}

static void domains_that_are_none_are_malformed(void **state)
{
    (void)state;
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x00")), err_text(ERR_BAD));
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x00\x00\x50")), err_text(ERR_BAD));
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x03x\0y\x00\x50")), err_text(ERR_BAD));
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x01\0\x00\x50")), err_text(ERR_BAD));
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x03x y\x00\x50")), err_text(ERR_BAD));
    assert_string_equal(request(BYTES("\x05\x01\x00\x03\x05[::1]\x00\x50")), err_text(ERR_BAD));
}

static void commands_port_0_and_the_reserved_byte_are_left_to_the_caller(void **state)
{
    (void)state;
    assert_string_equal(request(BYTES("\x05\x00\x00\x01\x01\x02\x03\x04\x00\x00")),
                        "0 1.2.3.4:0 10");
    assert_string_equal(request(BYTES("\x05\xff\xff\x01\x01\x02\x03\x04\x00\x00")),
                        "255 1.2.3.4:0 10");
}

static void a_client_may_not_know_where_its_datagrams_will_come_from(void **state)
{
    (void)state;
    assert_string_equal(request(BYTES("\x05\x03\0\x03\x01"
                                      "0\0\0")),
                        "3 0.0.0.0:0 8");
    assert_string_equal(request(BYTES("\x05\x03\0\x03\x01"
                                      "0\x12\x34")),
                        "3 0.0.0.0:4660 8");
    assert_string_equal(request(BYTES("\x05\x01\0\x03\x01"
                                      "0\0\0")),
                        err_text(ERR_BAD));
    assert_string_equal(request(BYTES("\x05\x03\0\x03\0\0\0")), err_text(ERR_BAD));
}

static void address_types_unknown_are_refused_by_that_name(void **state)
{
    (void)state;
    for (int type = 0; type < 256; type++) {
        uint8_t bytes[] = {5, 1, 0, (uint8_t)type};
        bool known = type == 1 || type == 3 || type == 4;
        assert_string_equal(request(bytes, sizeof bytes),
                            err_text(known ? ERR_MORE : ERR_ADDRESS_TYPE));
    }
}

static void the_longest_request_needs_no_more_than_its_bound(void **state)
{
    uint8_t bytes[SOCKS5_REQUEST_MAX_BYTES];
    struct socks5_request parsed;
    size_t used = 0;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "\x05\x01\x00\x03\xff", 5);
    assert_int_equal(socks5_parse_request(bytes, sizeof bytes - 1, &parsed, &used), ERR_MORE);
    assert_int_equal(socks5_parse_request(bytes, sizeof bytes, &parsed, &used), ERR_NONE);
    assert_int_equal(used, sizeof bytes);
    assert_int_equal(parsed.target.name_bytes, 255);
}

static void acc_51_each_error_has_its_reply_code(void **state)
{
    (void)state;
    for (unsigned err = 0; err < N_ERRS; err++) {
        int expected = 1;
        switch (err) {
        case ERR_NONE:
            expected = 0;
            break;
        case ERR_DENIED:
            expected = 2;
            break;
        case ERR_NET_UNREACH:
            expected = 3;
            break;
        case ERR_HOST_UNREACH:
        case ERR_LOOKUP:
        case ERR_TIMEOUT:
            expected = 4;
            break;
        case ERR_REFUSED:
            expected = 5;
            break;
        case ERR_TTL_EXPIRED:
            expected = 6;
            break;
        case ERR_COMMAND:
            expected = 7;
            break;
        case ERR_ADDRESS_TYPE:
            expected = 8;
            break;
        }
        assert_int_equal(socks5_code((enum err)err), expected);
    }
    assert_int_equal(socks5_code(N_ERRS), 1);
}

static void short_replies_are_exact_to_the_byte(void **state)
{
    uint8_t out[2];

    (void)state;
    socks5_write_method(out, SOCKS5_METHOD_PASSWORD);
    assert_memory_equal(out, "\x05\x02", 2);
    socks5_write_method(out, SOCKS5_METHOD_UNACCEPTABLE);
    assert_memory_equal(out, "\x05\xff", 2);
    socks5_write_login_reply(out, true);
    assert_memory_equal(out, "\x01\x00", 2);
    socks5_write_login_reply(out, false);
    assert_memory_equal(out, "\x01\x01", 2);
}

static void replies_are_exact_to_the_byte(void **state)
{
    uint8_t out[SOCKS5_REPLY_MAX_BYTES];
    struct addr v4 = {.ip = {192, 0, 2, 1}, .port = 0x1234, .family = ADDR_V4};
    struct addr v6 = {.ip = {0x20, 1, 0xd, 0xb8, [15] = 1}, .port = 0x1234, .family = ADDR_V6};
    struct addr none = {0};

    (void)state;
    memset(out, 0xee, sizeof out);
    assert_int_equal(socks5_write_reply(out, SOCKS5_SUCCEEDED, &v4), 10);
    assert_memory_equal(out, "\x05\0\0\x01\xc0\0\x02\x01\x12\x34\xee", 11);
    assert_int_equal(socks5_write_reply(out, SOCKS5_SUCCEEDED, &v6), 22);
    assert_memory_equal(out, "\x05\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34", 22);
    memset(out, 0xee, sizeof out);
    assert_int_equal(socks5_write_reply(out, SOCKS5_REFUSED, &none), 10);
    assert_memory_equal(out, "\x05\x05\0\x01\0\0\0\0\0\0\xee", 11);
}

/* What a datagram's header says, its bytes at the end of an allocation of exactly their length. */
static const char *datagram(const void *bytes, size_t n)
{
    static char text[TARGET_TEXT_BYTES + 64];
    char target[TARGET_TEXT_BYTES];
    struct socks5_datagram header;
    size_t used = SIZE_MAX;
    uint8_t *copy = malloc(n > 0 ? n : 1);

    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, bytes, n);
    enum err err = socks5_parse_datagram(n > 0 ? copy : copy + 1, n, &header, &used);
    free(copy);
    if (err != ERR_NONE)
        return err_text(err);
    target_format(&header.target, target);
    assert_target_reads_as(&header.target, target);
    snprintf(text, sizeof text, "%u %s%s %zu", header.fragment,
             header.target.name_bytes > 0 ? "name " : "", target, used);
    return text;
}

static void a_datagram_has_a_target_before_its_payload(void **state)
{
    (void)state;
    assert_string_equal(datagram(BYTES("\0\0\0\x01\xc0\0\x02\x01\x00\x35payload")),
                        "0 192.0.2.1:53 10");
    assert_string_equal(datagram(BYTES("\0\0\0\x01\xc0\0\x02\x01\x00\x35")), "0 192.0.2.1:53 10");
    assert_string_equal(
        datagram(BYTES("\0\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x35x")),
        "0 [2001:db8::1]:53 22");
    assert_string_equal(datagram(BYTES("\0\0\0\x03\x07one.two\x00\x35x")), "0 name one.two:53 14");
    assert_string_equal(datagram(BYTES("\xff\xfe\x81\x03\x07"
                                       "1.2.3.4\x00\x00")),
                        "129 1.2.3.4:0 14");
}

static void a_datagram_cut_short_is_malformed_at_once(void **state)
{
    static const char *const wholes[] = {
        "\1\1\1\x01\xc0\1\x02\x01\x01\x35",
        "\1\1\1\x04\x20\x01\x0d\xb8\1\1\1\1\1\1\1\1\1\1\1\x01\x01\x35",
        "\1\1\1\x03\x07one.two\x01\x35",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        size_t n = strlen(wholes[i]);
        for (size_t k = 0; k < n; k++)
            assert_string_equal(datagram(wholes[i], k), err_text(ERR_BAD));
        assert_string_not_equal(datagram(wholes[i], n), err_text(ERR_BAD));
    }
    assert_string_equal(datagram(BYTES("\0\0\0\x03\0\0\x35")), err_text(ERR_BAD));
    assert_string_equal(datagram(BYTES("\0\0\0\x02\0\0\x35")), err_text(ERR_ADDRESS_TYPE));
}

static void a_header_is_written_right_before_its_payload(void **state)
{
    static const char *const targets[] = {"192.0.2.1:53", "[2001:db8::1]:65535", "one.two:1"};
    static const char *const headers[] = {
        "\0\0\0\x01\xc0\0\x02\x01\0\x35",
        "\0\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff",
        "\0\0\0\x03\x07one.two\0\x01",
    };
    static const size_t n_headers[] = {10, 22, 14};

    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        uint8_t room[SOCKS5_UDP_HEADER_MAX_BYTES + 1];
        struct target target;
        memset(room, 0xee, sizeof room);
        assert_int_equal(target_parse(&target, targets[i], strlen(targets[i])), ERR_NONE);
        uint8_t *payload = room + SOCKS5_UDP_HEADER_MAX_BYTES;
        uint8_t *at = socks5_put_udp_header(payload, &target);
        assert_int_equal(payload - at, n_headers[i]);
        assert_memory_equal(at, headers[i], n_headers[i]);
        assert_int_equal(at[-1], 0xee);
        assert_int_equal(*payload, 0xee);
    }
}

static void the_longest_header_fits_its_room(void **state)
{
    uint8_t room[SOCKS5_UDP_HEADER_MAX_BYTES];
    struct target target = {.name_bytes = HOST_NAME_MAX_BYTES};

    (void)state;
    memset(target.name, 'a', HOST_NAME_MAX_BYTES);
    assert_ptr_equal(socks5_put_udp_header(room + sizeof room, &target), room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greeting_is_a_list_of_methods),
        cmocka_unit_test(the_longest_greeting_needs_no_more_than_its_bound),
        cmocka_unit_test(a_method_is_offered_if_it_is_in_the_list),
        cmocka_unit_test(other_versions_are_refused_at_once),
        cmocka_unit_test(a_login_is_user_and_password),
        cmocka_unit_test(a_user_without_a_name_is_malformed),
        cmocka_unit_test(the_longest_login_needs_no_more_than_its_bound),
        cmocka_unit_test(acc_36_a_request_has_an_ipv4_an_ipv6_or_a_domain_target),
        cmocka_unit_test(a_domain_that_is_an_address_becomes_one),
        cmocka_unit_test(domains_that_are_none_are_malformed),
        cmocka_unit_test(commands_port_0_and_the_reserved_byte_are_left_to_the_caller),
        cmocka_unit_test(a_client_may_not_know_where_its_datagrams_will_come_from),
        cmocka_unit_test(address_types_unknown_are_refused_by_that_name),
        cmocka_unit_test(the_longest_request_needs_no_more_than_its_bound),
        cmocka_unit_test(acc_51_each_error_has_its_reply_code),
        cmocka_unit_test(short_replies_are_exact_to_the_byte),
        cmocka_unit_test(replies_are_exact_to_the_byte),
        cmocka_unit_test(a_datagram_has_a_target_before_its_payload),
        cmocka_unit_test(a_datagram_cut_short_is_malformed_at_once),
        cmocka_unit_test(a_header_is_written_right_before_its_payload),
        cmocka_unit_test(the_longest_header_fits_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
