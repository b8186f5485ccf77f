/* The options of `sockeye socks` and `osocks`: meanings, defaults, and what is said of wrong
 * ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cli/socks_options.h"

#define MAX_WORDS 16

static char message[SOCKS_MESSAGE_BYTES];

/* Parses words parted by spaces, after the program's name. */
static enum socks_wish parse(struct socks_options *options, bool is_osocks, const char *line)
{
    static char words[256];
    char *argv[MAX_WORDS + 1] = {(char[]){"osocks"}};
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < MAX_WORDS);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    message[0] = '\0';
    return socks_options_parse(options, is_osocks, argc, argv, message);
}

static struct socks_options parsed(bool is_osocks, const char *line)
{
    struct socks_options options;
    assert_int_equal(parse(&options, is_osocks, line), SOCKS_SERVE);
    return options;
}

static void assert_listens(const struct socks_options *options, size_t i, const char *expected)
{
    char text[ADDR_TEXT_BYTES];
    assert_true(i < options->n_listens);
    addr_format(&options->listens[i].addr, text);
    assert_string_equal(text, expected);
}

static void test_acc_49_defaults_are_the_seeds(void **state)
{
    (void)state;
    for (int is_osocks = 0; is_osocks < 2; is_osocks++) {
        struct socks_options options = parsed(is_osocks, "");
        assert_int_equal(options.n_listens, 1);
        assert_listens(&options, 0, is_osocks ? "0.0.0.0:1080" : "127.0.0.1:1080");
        assert_int_equal(options.connections, 0);
        assert_int_equal(options.idle_ms, 64000);
        assert_int_equal(options.connect_ms, 8000);
        assert_int_equal(options.family, 0);
        assert_int_equal(options.verbosity, 0);
        assert_false(options.to_syslog);
        assert_int_equal(socks_options_are_exposed(&options), is_osocks);
    }
}

static void test_acc_49_every_option_is_taken(void **state)
{
    (void)state;
    struct socks_options options =
        parsed(true, "-l 192.0.2.1 -p 7001 -n 12 -I 3000 -T 500 -4 -s -v");
    assert_listens(&options, 0, "192.0.2.1:7001");
    assert_int_equal(options.connections, 12);
    assert_int_equal(options.idle_ms, 3000);
    assert_int_equal(options.connect_ms, 500);
    assert_int_equal(options.family, 4);
    assert_true(options.to_syslog);
    assert_int_equal(options.verbosity, 1);
    assert_null(options.users_file);
    assert_string_equal(parsed(true, "--users-file a/users -p 1").users_file, "a/users");
    assert_string_equal(parsed(false, "--users-file=a/users").users_file, "a/users");
    assert_int_equal(parsed(true, "-6").family, 6);
    assert_int_equal(parsed(true, "-svv").verbosity, 2);
    assert_int_equal(parse(&options, true, "-V"), SOCKS_VERSION);
    assert_int_equal(parse(&options, true, "--version"), SOCKS_VERSION);
    assert_int_equal(parse(&options, true, "-h"), SOCKS_HELP);
    assert_int_equal(parse(&options, true, "--help"), SOCKS_HELP);
}

static void test_address_and_port_may_come_in_either_order(void **state)
{
    (void)state;
    struct socks_options options = parsed(false, "-p 0 -l ::1");
    assert_listens(&options, 0, "[::1]:0");
    options = parsed(false, "-l ::ffff:192.0.2.1 -p 65535");
    assert_listens(&options, 0, "192.0.2.1:65535");
    options = parsed(false, "-l * -p 7");
    assert_int_equal(options.n_listens, 2);
    assert_listens(&options, 0, "0.0.0.0:7");
    assert_listens(&options, 1, "[::]:7");
    assert_true(options.listens[0].optional && options.listens[1].optional);
    assert_int_equal(options.listens[0].group, options.listens[1].group);
    options = parsed(false, "-p 7 -l * -l 127.0.0.9");
    assert_int_equal(options.n_listens, 1);
    assert_listens(&options, 0, "127.0.0.9:7");
    assert_false(options.listens[0].optional);
}

static void test_exposed_is_what_others_can_reach(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool is_exposed;
    } cases[] = {{"-l 127.1.2.3", false}, {"-l ::1", false},      {"-l ::ffff:127.0.0.1", false},
                 {"-l *", true},          {"-l 192.0.2.1", true}, {"-l ::", true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct socks_options options = parsed(false, cases[i].line);
        assert_int_equal(socks_options_are_exposed(&options), cases[i].is_exposed);
    }
}

static void test_acc_49_what_is_wrong_is_named_with_what_is_expected(void **state)
{
    (void)state;
    static const struct {
        const char *line, *named, *expected;
    } cases[] = {
        {"-p 65536", "-p 65536", "a port"},
        {"-p -1", "-p -1", "a port"},
        {"-p 80x", "-p 80x", "a port"},
        {"-l localhost", "-l localhost", "an address"},
        {"-l 127.1", "-l 127.1", "an address"},
        {"-l 127.0.0.1:80", "-l 127.0.0.1:80", "an address"},
        {"-n -1", "-n -1", "a number of connections"},
        {"-n 4294967296", "-n 4294967296", "a number of connections"},
        {"-n 99999999999999999999999", "-n 9999", "a number of connections"},
        {"-I 1.5", "-I 1.5", "milliseconds"},
        {"-I 2147483648", "-I 2147483648", "milliseconds"},
        {"-T 8s", "-T 8s", "milliseconds"},
        {"-T +1", "-T +1", "milliseconds"},
        {"-4 -6", "-4 and -6", "exclude"},
        {"-p", "-p", "needs a value"},
        {"-x", "no such option", "-x"},
        {"--frobnicate", "no such option", "--frobnicate"},
        {"1080", "one word too many", "1080"},
        {"--users-file", "--users-file", "needs a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct socks_options options;
        assert_int_equal(parse(&options, false, cases[i].line), SOCKS_WRONG);
        assert_non_null(strstr(message, cases[i].named));
        assert_non_null(strstr(message, cases[i].expected));
    }
}

/* As config_new_plain() makes it, as far as options touch it. */
static struct config apply(struct socks_options *options, struct config_inbound *inbound)
{
    static struct config_listen before = {.addr = {.family = ADDR_V4, .ip = {127, 0, 0, 1}}};
    struct config config = {
        .user = NULL,
        .limits = {.connect_ms = 1, .idle_ms = 1, .half_closed_ms = 300000, .drain_s = 30},
        .inbounds = inbound,
        .n_inbounds = 1,
    };
    *inbound = (struct config_inbound){.listens = &before, .n_listens = 1};
    socks_options_apply(options, &config);
    return config;
}

static void test_options_become_a_configuration(void **state)
{
    (void)state;
    struct config_inbound inbound;
    struct socks_options options = parsed(false, "-l :: -p 7 -n 12 -I 3000 -T 500 -6 -s -vv");
    struct config config = apply(&options, &inbound);
    assert_ptr_equal(inbound.listens, options.listens);
    assert_int_equal(inbound.n_listens, 1);
    assert_true(inbound.is_exposed);
    assert_int_equal(inbound.allow_targets.n, 0);
    assert_int_equal(config.limits.connections, 12);
    assert_int_equal(config.limits.connect_ms, 500);
    assert_int_equal(config.limits.idle_ms, 3000);
    assert_int_equal(config.limits.half_closed_ms, 3000);
    assert_int_equal(config.limits.drain_s, 0);
    assert_int_equal(config.dns.prefer, 6);
    assert_true(config.dns.only);
    assert_int_equal(config.log.sink, LOG_TO_SYSLOG);
    assert_int_equal(config.log.level, LOG_LEVEL_TRACE);
}

static void test_no_idle_limit_leaves_half_closed_sessions_theirs(void **state)
{
    (void)state;
    struct config_inbound inbound;
    struct socks_options options = parsed(false, "-I 0");
    struct config config = apply(&options, &inbound);
    assert_int_equal(config.limits.idle_ms, 0);
    assert_int_equal(config.limits.half_closed_ms, 300000);
    assert_false(config.dns.only);
    assert_int_equal(config.log.sink, LOG_TO_STDERR);
    assert_int_equal(config.log.level, LOG_LEVEL_INFO);
}

static void test_osocks_alone_lets_clients_reach_loopback(void **state)
{
    (void)state;
    struct config_inbound inbound;
    struct socks_options options = parsed(true, "");
    apply(&options, &inbound);
    static const struct {
        const char *address;
        bool is_allowed;
    } cases[] = {{"127.0.0.1", true},  {"127.255.0.9", true}, {"::1", true},
                 {"128.0.0.1", false}, {"::2", false},        {"10.0.0.1", false}};
    assert_int_equal(inbound.allow_targets.n, 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct addr addr;
        bool is_allowed = false;
        assert_int_equal(addr_parse_ip(&addr, cases[i].address, strlen(cases[i].address)),
                         ERR_NONE);
        for (size_t k = 0; k < inbound.allow_targets.n; k++) {
            const struct target_rule *rule = &inbound.allow_targets.items[k];
            assert_int_equal(rule->port_from, 0);
            assert_int_equal(rule->port_to, 65535);
            assert_false(rule->has_port); /* our own listeners stay denied */
            is_allowed |= cidr_contains(&rule->cidr, &addr);
        }
        assert_int_equal(is_allowed, cases[i].is_allowed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acc_49_defaults_are_the_seeds),
        cmocka_unit_test(test_acc_49_every_option_is_taken),
        cmocka_unit_test(test_address_and_port_may_come_in_either_order),
        cmocka_unit_test(test_exposed_is_what_others_can_reach),
        cmocka_unit_test(test_acc_49_what_is_wrong_is_named_with_what_is_expected),
        cmocka_unit_test(test_options_become_a_configuration),
        cmocka_unit_test(test_no_idle_limit_leaves_half_closed_sessions_theirs),
        cmocka_unit_test(test_osocks_alone_lets_clients_reach_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
