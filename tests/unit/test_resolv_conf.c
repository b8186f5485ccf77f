#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "io/resolv_conf.h"

/* From an allocation of exactly its length, so that ASan sees a read beyond it. */
static struct resolv_conf parse(const char *text)
{
    struct resolv_conf conf;
    size_t n = strlen(text);
    char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    resolv_conf_parse(&conf, copy, n);
    free(copy);
    return conf;
}

static void assert_servers(const char *text, const char *expected)
{
    char joined[1024] = "", ip[ADDR_TEXT_BYTES];
    struct resolv_conf conf = parse(text);
    for (size_t i = 0; i < conf.n_servers; i++) {
        addr_format_ip(&conf.servers[i], ip);
        strcat(strcat(joined, i > 0 ? "," : ""), ip);
    }
    assert_string_equal(joined, expected);
}

static void assert_domains(const char *text, const char *expected)
{
    char joined[2048] = "";
    struct resolv_conf conf = parse(text);
    for (size_t i = 0; i < conf.n_domains; i++)
        strcat(strcat(joined, i > 0 ? "," : ""), resolv_conf_domain(&conf, i));
    assert_string_equal(joined, expected);
}

static void an_empty_file_has_the_defaults(void **state)
{
    (void)state;
    struct resolv_conf conf = parse("");
    assert_int_equal(conf.n_servers, 0);
    assert_int_equal(conf.n_domains, 0);
    assert_false(conf.has_domains);
    assert_int_equal(conf.ndots, 1);
    assert_int_equal(conf.timeout_ms, 2000);
    assert_int_equal(conf.n_attempts, 3);
    assert_false(conf.rotate);
    assert_false(conf.use_tcp);
}

static void servers_are_taken_in_their_order(void **state)
{
    (void)state;
    assert_servers("nameserver 192.0.2.1\nnameserver\t2001:db8::1  # home\r\nnameserver 192.0.2.2",
                   "192.0.2.1,2001:db8::1,192.0.2.2");
    assert_servers("# nameserver 192.0.2.1\n; nameserver 192.0.2.2\n nameserver 192.0.2.3\n"
                   "nameserver\nnameserver example.com\nnameserver #192.0.2.4\n"
                   "nameservers 192.0.2.5\nNAMESERVER 192.0.2.6\nnameserver 192.0.2.7 192.0.2.8\n",
                   "192.0.2.7");
    assert_servers("nameserver fe80::1%2\nnameserver fe80::1%lo\nnameserver fe80::1%\n"
                   "nameserver fe80::1%no-such-interface\nnameserver 192.0.2.1%lo\n"
                   "nameserver fe80::1%a-name-longer-than-any-interface-has\n",
                   "fe80::1%2,fe80::1%1");
}

static void the_last_list_of_domains_counts(void **state)
{
    (void)state;
    assert_domains("search a.example\tb.example.  c.example\n", "a.example,b.example,c.example");
    assert_domains("domain a.example b.example\n", "a.example");
    assert_domains("search a.example b.example\ndomain c.example\n", "c.example");
    assert_domains("domain c.example\nsearch a.example b.example", "a.example,b.example");
    assert_domains("search a.example\nsearch .\n", "");
    assert_domains("search a.example . ... b.example ; c.example\n", "a.example,b.example");
    assert_true(parse("search .\n").has_domains);
    assert_true(parse("domain\n").has_domains);
}

static void options_are_brought_within_the_systems_bounds(void **state)
{
    (void)state;
    struct resolv_conf conf = parse("options ndots:3 timeout:5 attempts:4 rotate use-vc\n");
    assert_int_equal(conf.ndots, 3);
    assert_int_equal(conf.timeout_ms, 5000);
    assert_int_equal(conf.n_attempts, 4);
    assert_true(conf.rotate);
    assert_true(conf.use_tcp);
    conf = parse("options ndots:99999999999999999999 timeout:4294967297\noptions attempts:100");
    assert_int_equal(conf.ndots, 15);
    assert_int_equal(conf.timeout_ms, 30000);
    assert_int_equal(conf.n_attempts, 5);
    conf = parse("options ndots:0 timeout:0 attempts:0");
    assert_int_equal(conf.ndots, 0);
    assert_int_equal(conf.timeout_ms, 1000);
    assert_int_equal(conf.n_attempts, 1);
    conf = parse("options ndots: timeout:-1 attempts:x rotated edns0 timeout");
    assert_int_equal(conf.ndots, 1);
    assert_int_equal(conf.timeout_ms, 2000);
    assert_int_equal(conf.n_attempts, 3);
    assert_false(conf.rotate);
}

static void more_than_there_is_room_for_is_left_out(void **state)
{
    (void)state;
    char text[8192] = "";
    for (int i = 0; i < 40; i++)
        snprintf(text + strlen(text), 40, "nameserver 192.0.2.%d\n", i);
    strcat(text, "search");
    for (int i = 0; i < 40; i++)
        snprintf(text + strlen(text), 40, " d%d.example", i);
    struct resolv_conf conf = parse(text);
    assert_int_equal(conf.n_servers, RESOLV_CONF_MAX_SERVERS);
    assert_int_equal(conf.servers[conf.n_servers - 1].ip[3], RESOLV_CONF_MAX_SERVERS - 1);
    assert_int_equal(conf.n_domains, RESOLV_CONF_MAX_DOMAINS);
    assert_string_equal(resolv_conf_domain(&conf, conf.n_domains - 1), "d15.example");

    strcpy(text, "search ");
    memset(text + 7, 'x', 1023);
    strcpy(text + 7 + 1023, " b.example");
    conf = parse(text);
    assert_int_equal(conf.n_domains, 1);
    assert_int_equal(strlen(resolv_conf_domain(&conf, 0)), 1023);
    memset(text + 7, 'x', 1024);
    strcpy(text + 7 + 1024, " b.example");
    conf = parse(text);
    assert_int_equal(conf.n_domains, 1);
    assert_string_equal(resolv_conf_domain(&conf, 0), "b.example");
}

static void the_machines_own_domain_can_be_set(void **state)
{
    (void)state;
    struct resolv_conf conf = parse("");
    resolv_conf_set_domain(&conf, "corp.example.");
    assert_int_equal(conf.n_domains, 1);
    assert_string_equal(resolv_conf_domain(&conf, 0), "corp.example");
    resolv_conf_set_domain(&conf, "");
    assert_int_equal(conf.n_domains, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_has_the_defaults),
        cmocka_unit_test(servers_are_taken_in_their_order),
        cmocka_unit_test(the_last_list_of_domains_counts),
        cmocka_unit_test(options_are_brought_within_the_systems_bounds),
        cmocka_unit_test(more_than_there_is_room_for_is_left_out),
        cmocka_unit_test(the_machines_own_domain_can_be_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
