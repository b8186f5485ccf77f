#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "io/hosts.h"

/* From an allocation of exactly its length, so that ASan sees a read beyond it. */
static struct hosts *parse_bytes(const char *text, size_t n)
{
    struct hosts *hosts;
    char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    assert_int_equal(hosts_parse(&hosts, copy, n), ERR_NONE);
    free(copy);
    return hosts;
}

static struct hosts *parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

/* That the name has these addresses, with commas between; NULL: the file does not have it. */
static void assert_has(const struct hosts *hosts, const char *name, enum addr_family family,
                       const char *expected)
{
    char text[4096] = "", ip[ADDR_TEXT_BYTES];
    const struct addr *addrs;
    size_t n;
    assert_true(hosts_find(hosts, name, family, &addrs, &n) == (expected != NULL));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(addrs[i].family, family);
        assert_int_equal(addrs[i].port, 0);
        addr_format_ip(&addrs[i], ip);
        strcat(text, i > 0 ? "," : "");
        strcat(text, ip);
    }
    assert_string_equal(text, expected != NULL ? expected : "");
}

static void a_line_gives_all_its_names_the_address(void **state)
{
    (void)state;
    struct hosts *hosts = parse("127.0.0.1\tlocalhost\n"
                                "192.0.2.1 host.example host  h\t\r\n"
                                "2001:db8::1 host.example");
    assert_has(hosts, "localhost", ADDR_V4, "127.0.0.1");
    assert_has(hosts, "host.example", ADDR_V4, "192.0.2.1");
    assert_has(hosts, "host", ADDR_V4, "192.0.2.1");
    assert_has(hosts, "h", ADDR_V4, "192.0.2.1");
    assert_has(hosts, "host.example", ADDR_V6, "2001:db8::1");
    assert_has(hosts, "h", ADDR_V6, "");
    assert_has(hosts, "example", ADDR_V4, NULL);
    assert_has(hosts, "", ADDR_V4, NULL);
    assert_has(hosts, "192.0.2.1", ADDR_V4, NULL);
    hosts_free(hosts);
}

static void comments_and_what_is_no_line_are_passed_over(void **state)
{
    (void)state;
    struct hosts *hosts = parse("# 192.0.2.1 a\n"
                                "192.0.2.2 b # c\n"
                                "192.0.2.3#d e\n"
                                "\n \t\n"
                                "192.0.2.4\n"
                                "nothing f\n"
                                "192.0.2.256 g\n"
                                "192.0.2 h\n"
                                "  192.0.2.5 i\n"
                                "192.0.2.6 . j. .k\n"
                                "#");
    assert_has(hosts, "a", ADDR_V4, NULL);
    assert_has(hosts, "b", ADDR_V4, "192.0.2.2");
    assert_has(hosts, "c", ADDR_V4, NULL);
    assert_has(hosts, "d", ADDR_V4, NULL);
    assert_has(hosts, "e", ADDR_V4, NULL);
    assert_has(hosts, "f", ADDR_V4, NULL);
    assert_has(hosts, "g", ADDR_V4, NULL);
    assert_has(hosts, "h", ADDR_V4, NULL);
    assert_has(hosts, "i", ADDR_V4, "192.0.2.5");
    assert_has(hosts, "", ADDR_V4, NULL);
    assert_has(hosts, "j", ADDR_V4, "192.0.2.6");
    hosts_free(hosts);
}

static void several_lines_add_up_in_their_order(void **state)
{
    (void)state;
    struct hosts *hosts = parse("192.0.2.9 b a\n2001:db8::9 a\n192.0.2.1 A\n192.0.2.9 a\n"
                                "2001:db8::1 a\n192.0.2.5 a a\n");
    assert_has(hosts, "a", ADDR_V4, "192.0.2.9,192.0.2.1,192.0.2.5");
    assert_has(hosts, "a", ADDR_V6, "2001:db8::9,2001:db8::1");
    assert_has(hosts, "b", ADDR_V4, "192.0.2.9");
    assert_has(hosts, "b", ADDR_V6, "");
    hosts_free(hosts);
}

static void the_zone_of_an_address_is_kept(void **state)
{
    (void)state;
    struct hosts *hosts = parse("fe80::1%3 a\nfe80::1%4 a\n");
    assert_has(hosts, "a", ADDR_V6, "fe80::1%3,fe80::1%4");
    hosts_free(hosts);
}

static void a_name_has_so_many_addresses_and_no_more(void **state)
{
    (void)state;
    char text[4096] = "";
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), 32, "10.0.0.%d a\n", i);
    struct hosts *hosts = parse(text);
    const struct addr *addrs;
    size_t n;
    assert_true(hosts_find(hosts, "a", ADDR_V4, &addrs, &n));
    assert_int_equal(n, HOSTS_MAX_ADDRS);
    assert_int_equal(addrs[0].ip[3], 0);
    assert_int_equal(addrs[n - 1].ip[3], HOSTS_MAX_ADDRS - 1);
    hosts_free(hosts);
}

static void names_longer_than_any_are_passed_over(void **state)
{
    (void)state;
    char text[600] = "192.0.2.1 ", name[300];
    memset(name, 'x', 256);
    name[256] = '\0';
    strcat(strcat(strcat(text, name), " ok "), name + 1);
    struct hosts *hosts = parse(text);
    assert_has(hosts, name, ADDR_V4, NULL);
    assert_has(hosts, name + 1, ADDR_V4, "192.0.2.1");
    assert_has(hosts, "ok", ADDR_V4, "192.0.2.1");
    hosts_free(hosts);
}

static void zero_bytes_do_not_end_the_file(void **state)
{
    (void)state;
    static const char text[] = "192.0.2.1 a\0b\n\0 192.0.2.2 c\n192.0.2.3 d";
    struct hosts *hosts = parse_bytes(text, sizeof text - 1);
    assert_has(hosts, "a", ADDR_V4, "192.0.2.1");
    assert_has(hosts, "b", ADDR_V4, "192.0.2.1");
    assert_has(hosts, "c", ADDR_V4, "192.0.2.2");
    assert_has(hosts, "d", ADDR_V4, "192.0.2.3");
    hosts_free(hosts);
}

static void nothing_is_an_empty_table(void **state)
{
    (void)state;
    struct hosts *hosts = parse("");
    assert_has(hosts, "a", ADDR_V4, NULL);
    hosts_free(hosts);
    assert_has(NULL, "a", ADDR_V4, NULL);
    hosts_free(NULL);
}

/* As block lists are. */
static void many_names_are_all_found(void **state)
{
    (void)state;
    enum { N = 20000 };
    char *text = malloc((size_t)N * 40), *end = text, name[32], address[32];
    assert_non_null(text);
    for (int i = 0; i < N; i++)
        end += sprintf(end, "10.0.%d.%d n%d.block.example\n", i / 256, i % 256, i * 7919 % N);
    struct hosts *hosts = parse(text);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "n%d.block.example", i * 7919 % N);
        snprintf(address, sizeof address, "10.0.%d.%d", i / 256, i % 256);
        assert_has(hosts, name, ADDR_V4, address);
    }
    assert_has(hosts, "n20000.block.example", ADDR_V4, NULL);
    hosts_free(hosts);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_gives_all_its_names_the_address),
        cmocka_unit_test(comments_and_what_is_no_line_are_passed_over),
        cmocka_unit_test(several_lines_add_up_in_their_order),
        cmocka_unit_test(the_zone_of_an_address_is_kept),
        cmocka_unit_test(a_name_has_so_many_addresses_and_no_more),
        cmocka_unit_test(names_longer_than_any_are_passed_over),
        cmocka_unit_test(zero_bytes_do_not_end_the_file),
        cmocka_unit_test(nothing_is_an_empty_table),
        cmocka_unit_test(many_names_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
