/* What the resolver answers, and how often it asks for it. */
#include "resolver_fixture.h"

static void addresses_of_both_families_are_asked_for_apart(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1", "192.0.2.2"}, .ttl_s = 60},
        {.name = "a.test", .type = DNS_AAAA, .addrs = {"2001:db8::1"}, .ttl_s = 60},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1,192.0.2.2");
    assert_int_equal(rules[1].n_asked, 0);
    assert_finds(&fixture, "a.test", ADDR_V6, "2001:db8::1");
    assert_int_equal(fixture.server->n_asked, 2);
    assert_idle(&fixture);
    fixture_deinit(&fixture);
}

static void case_does_not_matter(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "A.tEsT", ADDR_V4, "192.0.2.1");
    assert_finds(&fixture, "a.TEST", ADDR_V4, "192.0.2.1");
    assert_int_equal(fixture.server->n_asked, 1);
    fixture_deinit(&fixture);
}

static void duplicate_addresses_are_given_once(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test",
         .type = DNS_A,
         .addrs = {"192.0.2.1", "192.0.2.2", "192.0.2.1"},
         .ttl_s = 60},
        {.name = "mapped.test", .type = DNS_AAAA, .addrs = {"::ffff:192.0.2.1"}, .ttl_s = 60},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1,192.0.2.2");
    /* It is for the rules to judge this as IPv4; the answer stays what it is. */
    assert_finds(&fixture, "mapped.test", ADDR_V6, "::ffff:192.0.2.1");
    fixture_deinit(&fixture);
}

static void aliases_are_followed_and_kept_for_the_lowest_ttl(void **state)
{
    struct dns_rule rules[] = {
        {.name = "www.test",
         .type = DNS_A,
         .cname = "host.cdn.test",
         .cname_ttl_s = 2,
         .addrs = {"192.0.2.1"},
         .ttl_s = 300},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "www.test", ADDR_V4, "192.0.2.1");
    assert_finds(&fixture, "www.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(rules[0].n_asked, 1);
    fixture_pass(&fixture, 2100);
    assert_finds(&fixture, "www.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(rules[0].n_asked, 2);
    fixture_deinit(&fixture);
}

static void what_is_not_there_is_a_failed_lookup_and_kept_a_moment(void **state)
{
    struct dns_rule rules[] = {
        {.name = "v4only.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
        {.name = "broken.test", .type = DNS_A, .rcode = DNS_SERVFAIL},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    static const char *const names[] = {"nothing.test", "v4only.test", "broken.test"};
    enum addr_family families[] = {ADDR_V4, ADDR_V6, ADDR_V4};
    for (size_t i = 0; i < N_ITEMS(names); i++)
        assert_fails(&fixture, names[i], families[i], ERR_LOOKUP);
    unsigned n_asked = fixture.server->n_asked;
    for (size_t i = 0; i < N_ITEMS(names); i++)
        assert_fails(&fixture, names[i], families[i], ERR_LOOKUP);
    assert_int_equal(fixture.server->n_asked, n_asked);
    fixture_pass(&fixture, 3100);
    for (size_t i = 0; i < N_ITEMS(names); i++)
        assert_fails(&fixture, names[i], families[i], ERR_LOOKUP);
    assert_int_equal(fixture.server->n_asked, 2 * n_asked);
    fixture_deinit(&fixture);
}

static void answers_without_ttl_are_given_and_not_kept(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 0},
        {.name = "b.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .ttl_s = 0x80000000},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    for (unsigned i = 1; i <= 2; i++) {
        assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
        assert_finds(&fixture, "b.test", ADDR_V4, "192.0.2.2");
        assert_int_equal(rules[0].n_asked, i);
        assert_int_equal(rules[1].n_asked, i);
    }
    fixture_deinit(&fixture);
}

static void no_answer_is_kept_for_longer_than_max_ttl(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 86400},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){.max_ttl_s = 1});
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    fixture_pass(&fixture, 1100);
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(rules[0].n_asked, 2);
    fixture_deinit(&fixture);
}

static void the_longest_unused_answer_makes_room(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
        {.name = "b.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .ttl_s = 60},
        {.name = "c.test", .type = DNS_A, .addrs = {"192.0.2.3"}, .ttl_s = 60},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){.max_entries = 2});
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    assert_finds(&fixture, "b.test", ADDR_V4, "192.0.2.2");
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1"); /* used: b goes */
    assert_finds(&fixture, "c.test", ADDR_V4, "192.0.2.3");
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(rules[0].n_asked, 1);
    assert_finds(&fixture, "b.test", ADDR_V4, "192.0.2.2");
    assert_int_equal(rules[1].n_asked, 2);
    assert_int_equal(rules[2].n_asked, 1);
    fixture_deinit(&fixture);
}

static void thousands_of_names_are_found_again(void **state)
{
    enum { N = 1500, LOT = 50 };
    static struct dns_rule rules[N];
    static char names[N][24];
    static struct asker askers[N];
    memset(askers, 0, sizeof askers);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "n%d.test", i);
        rules[i] = (struct dns_rule){
            .name = names[i], .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 600};
    }
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N, "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    for (int i = 0; i < N; i++) {
        ask(&fixture, &askers[i], names[i], ADDR_V4);
        for (int k = i - LOT + 1; i % LOT == LOT - 1 && k <= i; k++)
            wait_for(&askers[k]);
    }
    unsigned n_asked = fixture.server->n_asked;
    assert_true(n_asked >= N);
    for (int i = 0; i < N; i++) {
        ask(&fixture, &askers[i], names[i], ADDR_V4);
        assert_true(askers[i].at_once);
        assert_answer(&askers[i], "192.0.2.1");
    }
    assert_int_equal(fixture.server->n_asked, n_asked);
    fixture_deinit(&fixture);
}

static void a_long_answer_comes_by_tcp(void **state)
{
    struct dns_rule rules[] = {
        {.name = "many.test", .type = DNS_A, .n_made_up = 100, .ttl_s = 60},
        {.name = "short.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .is_truncated = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker asker = {0};
    ask_and_wait(&fixture, &asker, "many.test", ADDR_V4);
    assert_int_equal(asker.err, ERR_NONE);
    assert_int_equal(asker.n_addrs, DNS_MAX_ADDRS);
    assert_finds(&fixture, "short.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(fixture.server->n_asked, 4);
    assert_int_equal(fixture.server->n_asked_by_tcp, 2);
    assert_idle(&fixture);
    fixture_deinit(&fixture);
}

static void a_tcp_answer_may_come_byte_by_byte(void **state)
{
    struct dns_rule rules[] = {
        {.name = "many.test", .type = DNS_A, .n_made_up = 30, .is_dripped = true, .ttl_s = 60},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "options use-vc\n");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker asker = {0};
    ask_and_wait(&fixture, &asker, "many.test", ADDR_V4);
    assert_int_equal(asker.err, ERR_NONE);
    assert_int_equal(asker.n_addrs, 30);
    assert_int_equal(fixture.server->n_asked, 1);
    assert_int_equal(fixture.server->n_asked_by_tcp, 1);
    fixture_deinit(&fixture);
}

static void a_tcp_connection_that_breaks_is_a_failed_lookup(void **state)
{
    struct dns_rule rules[] = {
        {.name = "cut.test", .type = DNS_A, .n_made_up = 100, .is_cut = true},
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_fails(&fixture, "cut.test", ADDR_V4, ERR_LOOKUP);
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    fixture_deinit(&fixture);
}

static void a_slow_name_delays_no_other(void **state)
{
    struct dns_rule rules[] = {
        {.name = "slow.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .is_held = true},
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.2"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker slow = {0};
    ask(&fixture, &slow, "slow.test", ADDR_V4);
    for (int i = 0; i < 5; i++)
        assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.2");
    assert_int_equal(slow.n_told, 0);
    rules[0].is_held = false;
    wait_for(&slow);
    assert_answer(&slow, "192.0.2.1");
    fixture_deinit(&fixture);
}

static void the_loop_sleeps_while_an_answer_is_awaited(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
        {.name = "long.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .is_truncated = true},
        {.name = "silent.test", .type = DNS_A, .is_silent = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker silent = {0};
    ask(&fixture, &silent, "silent.test", ADDR_V4);
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    assert_finds(&fixture, "long.test", ADDR_V4, "192.0.2.2");
    uint64_t n_turns = loop_n_turns(fixture.loop), start_ms = dns_server_now_ms();
    while (dns_server_now_ms() - start_ms < 300)
        assert_true(loop_turn(fixture.loop, 100));
    assert_true(loop_n_turns(fixture.loop) - n_turns < 10);
    fixture_deinit(&fixture);
}

static void answers_nobody_asked_for_are_passed_over(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .is_foreign = true},
        {.name = "b.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .is_garbage = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "",
                 "options timeout:1 attempts:1\n");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    assert_int_equal(fixture.server->n_asked, 1);
    assert_fails(&fixture, "b.test", ADDR_V4, ERR_TIMEOUT);
    fixture_deinit(&fixture);
}

static void a_silent_server_is_asked_as_often_as_told_and_times_out(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .is_silent = true},
        {.name = "b.test", .type = DNS_A, .is_silent = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "",
                 "options timeout:1 attempts:2\n");
    fixture_resolve(&fixture, (struct resolver_options){0});
    uint64_t start_ms = dns_server_now_ms();
    struct asker first = {0}, second = {0};
    ask(&fixture, &first, "a.test", ADDR_V4);
    fixture_pass(&fixture, 300);
    ask(&fixture, &second, "b.test", ADDR_V4);
    wait_for(&first);
    assert_int_equal(first.err, ERR_TIMEOUT);
    /* One second, and then two. */
    assert_true(dns_server_now_ms() - start_ms >= 2990);
    wait_for(&second);
    assert_int_equal(second.err, ERR_TIMEOUT);
    assert_int_equal(rules[0].n_asked, 2);
    assert_int_equal(rules[1].n_asked, 2);
    assert_idle(&fixture);
    /* It is not kept: the server may be back. */
    ask(&fixture, &first, "a.test", ADDR_V4);
    assert_false(first.at_once);
    fixture_deinit(&fixture);
    assert_int_equal(first.n_told, 0);
}

static void a_dead_server_is_passed_over(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    struct addr servers[2] = {fixture.server_addr, fixture.server_addr};
    servers[0].ip[3] = 77; /* nobody listens there: the system says so at once */
    fixture_resolve(&fixture, (struct resolver_options){.servers = servers, .n_servers = 2});
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    resolver_free(fixture.resolver);
    fixture_resolve(&fixture, (struct resolver_options){.servers = servers, .n_servers = 1});
    assert_fails(&fixture, "a.test", ADDR_V4, ERR_LOOKUP);
    fixture_deinit(&fixture);
}

static void names_that_nobody_can_have_are_not_asked_for(void **state)
{
    char label[80], text[300];
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), NULL, 0, "", "search corp.test\n");
    fixture_resolve(&fixture, (struct resolver_options){0});
    static const char *const names[] = {
        "",      ".",         "..",         "a..test",      ".test", "a.test..",     "a b.test",
        "a\\.b", "a\tb.test", "a\x7f.test", "secret.onion", "onion", "Secret.ONION."};
    for (size_t i = 0; i < N_ITEMS(names); i++)
        assert_fails(&fixture, names[i], ADDR_V4, ERR_LOOKUP);
    memset(label, 'a', 64);
    strcpy(label + 64, ".test");
    assert_fails(&fixture, label, ADDR_V4, ERR_LOOKUP);
    for (size_t i = 0; i < 256; i++)
        text[i] = i % 50 == 49 ? '.' : 'a';
    text[256] = '\0';
    assert_fails(&fixture, text, ADDR_V6, ERR_LOOKUP);
    text[255] = '\0'; /* as long as SOCKS allows, but two too long for DNS */
    assert_fails(&fixture, text, ADDR_V6, ERR_LOOKUP);
    assert_int_equal(fixture.server->n_asked, 0);
    text[253] = '\0';
    assert_fails(&fixture, text, ADDR_V6, ERR_LOOKUP);
    assert_int_equal(fixture.server->n_asked, 1);
    fixture_deinit(&fixture);
}

static void localhost_is_this_machine_whatever_dns_says(void **state)
{
    struct dns_rule rules[] = {
        {.name = "localhost", .type = DNS_A, .addrs = {"192.0.2.1"}},
        {.name = "notlocalhost", .type = DNS_A, .addrs = {"192.0.2.2"}},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "192.0.2.9 localhost\n", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    static const char *const names[] = {"localhost", "LocalHost", "localhost.", "a.b.localhost",
                                        "a.LOCALHOST."};
    for (size_t i = 0; i < N_ITEMS(names); i++) {
        assert_finds(&fixture, names[i], ADDR_V4, "127.0.0.1");
        assert_finds(&fixture, names[i], ADDR_V6, "::1");
    }
    assert_int_equal(fixture.server->n_asked, 0);
    assert_finds(&fixture, "notlocalhost", ADDR_V4, "192.0.2.2");
    fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(addresses_of_both_families_are_asked_for_apart),
        ON_BOTH(case_does_not_matter),
        ON_BOTH(duplicate_addresses_are_given_once),
        ON_BOTH(aliases_are_followed_and_kept_for_the_lowest_ttl),
        ON_BOTH(what_is_not_there_is_a_failed_lookup_and_kept_a_moment),
        ON_BOTH(answers_without_ttl_are_given_and_not_kept),
        ON_BOTH(no_answer_is_kept_for_longer_than_max_ttl),
        ON_BOTH(the_longest_unused_answer_makes_room),
        ON_BOTH(thousands_of_names_are_found_again),
        ON_BOTH(a_long_answer_comes_by_tcp),
        ON_BOTH(a_tcp_answer_may_come_byte_by_byte),
        ON_BOTH(a_tcp_connection_that_breaks_is_a_failed_lookup),
        ON_BOTH(a_slow_name_delays_no_other),
        ON_BOTH(the_loop_sleeps_while_an_answer_is_awaited),
        ON_BOTH(answers_nobody_asked_for_are_passed_over),
        ON_BOTH(a_silent_server_is_asked_as_often_as_told_and_times_out),
        ON_BOTH(a_dead_server_is_passed_over),
        ON_BOTH(names_that_nobody_can_have_are_not_asked_for),
        ON_BOTH(localhost_is_this_machine_whatever_dns_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
