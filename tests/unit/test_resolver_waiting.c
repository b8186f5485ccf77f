/* Several who ask the same, who change their mind, and who ask again when they are told. */
#include "resolver_fixture.h"

static void those_who_ask_the_same_share_one_query(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .is_held = true},
        {.name = "a.test", .type = DNS_AAAA, .addrs = {"2001:db8::1"}, .is_held = true},
        {.name = "gone.test", .type = DNS_A, .rcode = DNS_NXDOMAIN, .is_held = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker v4[5] = {0}, v6[5] = {0}, gone[5] = {0};
    for (size_t i = 0; i < 5; i++) {
        ask(&fixture, &v4[i], i % 2 ? "A.test" : "a.test", ADDR_V4);
        ask(&fixture, &v6[i], "a.test", ADDR_V6);
        ask(&fixture, &gone[i], "gone.test", ADDR_V4);
        fixture_turn(&fixture);
    }
    for (size_t i = 0; i < N_ITEMS(rules); i++)
        rules[i].is_held = false;
    for (size_t i = 0; i < 5; i++) {
        wait_for(&v4[i]);
        wait_for(&v6[i]);
        wait_for(&gone[i]);
        assert_answer(&v4[i], "192.0.2.1");
        assert_answer(&v6[i], "2001:db8::1");
        assert_int_equal(gone[i].err, ERR_LOOKUP);
    }
    for (size_t i = 0; i < N_ITEMS(rules); i++)
        assert_int_equal(rules[i].n_asked, 1);
    fixture_deinit(&fixture);
}

static void who_takes_back_a_question_is_not_told_and_the_others_are(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .is_held = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker askers[3] = {0};
    resolver_cancel(&askers[0].lookup); /* not asked yet */
    for (size_t i = 0; i < 3; i++)
        ask(&fixture, &askers[i], "a.test", ADDR_V4);
    resolver_cancel(&askers[0].lookup);
    fixture_pass(&fixture, 10);
    resolver_cancel(&askers[1].lookup);
    resolver_cancel(&askers[1].lookup);
    rules[0].is_held = false;
    wait_for(&askers[2]);
    resolver_cancel(&askers[2].lookup); /* answered already */
    assert_answer(&askers[2], "192.0.2.1");
    assert_int_equal(askers[0].n_told + askers[1].n_told, 0);
    /* One that was taken back can be asked again. */
    ask_and_wait(&fixture, &askers[0], "a.test", ADDR_V4);
    fixture_deinit(&fixture);
}

static void an_answer_nobody_waits_for_any_more_is_kept(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60, .delay_ms = 30},
        {.name = "0.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .ttl_s = 0, .delay_ms = 30},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker a = {0}, zero = {0};
    ask(&fixture, &a, "a.test", ADDR_V4);
    ask(&fixture, &zero, "0.test", ADDR_V4);
    resolver_cancel(&a.lookup);
    resolver_cancel(&zero.lookup);
    fixture_pass(&fixture, 200);
    assert_idle(&fixture);
    assert_int_equal(a.n_told + zero.n_told, 0);
    ask(&fixture, &a, "a.test", ADDR_V4);
    assert_true(a.at_once);
    assert_answer(&a, "192.0.2.1");
    assert_int_equal(rules[0].n_asked, 1);
    assert_int_equal(rules[1].n_asked, 1);
    fixture_deinit(&fixture);
}

/* For those who do something as soon as they are told. */
static struct asker *other;

static void cancel_other(struct asker *asker)
{
    (void)asker;
    resolver_cancel(&other->lookup);
}

static void who_is_told_may_take_back_anothers_question(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .delay_ms = 20},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker askers[3] = {{.then = cancel_other}};
    other = &askers[1];
    for (size_t i = 0; i < 3; i++)
        ask(&fixture, &askers[i], "a.test", ADDR_V4);
    wait_for(&askers[2]);
    assert_int_equal(askers[0].n_told, 1);
    assert_int_equal(askers[1].n_told, 0);
    assert_answer(&askers[2], "192.0.2.1");
    fixture_deinit(&fixture);
}

static void ask_other(struct asker *asker)
{
    ask(asker->fixture, other, "a.test", ADDR_V4);
}

static void who_is_told_may_ask_for_the_same_name(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
    };
    struct fixture fixture;
    for (uint32_t ttl_s = 0; ttl_s <= 60; ttl_s += 60) {
        rules[0].ttl_s = ttl_s;
        rules[0].n_asked = 0;
        fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
        fixture_resolve(&fixture, (struct resolver_options){0});
        struct asker first = {.then = ask_other}, second = {0}, again = {0};
        other = &again;
        ask(&fixture, &first, "a.test", ADDR_V4);
        ask(&fixture, &second, "a.test", ADDR_V4);
        wait_for(&first);
        assert_int_equal(second.n_told, 1);
        assert_int_equal(again.at_once, ttl_s > 0);
        wait_for(&again);
        assert_answer(&again, "192.0.2.1");
        assert_int_equal(rules[0].n_asked, ttl_s > 0 ? 1 : 2);
        fixture_deinit(&fixture);
    }
}

static void refresh_now(struct asker *asker)
{
    resolver_refresh(asker->fixture->resolver);
}

static void the_network_may_change_while_many_are_told(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
        {.name = "b.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .ttl_s = 60, .is_held = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker first = {.then = refresh_now}, second = {0}, b = {0};
    ask(&fixture, &first, "a.test", ADDR_V4);
    ask(&fixture, &second, "a.test", ADDR_V4);
    ask(&fixture, &b, "b.test", ADDR_V4);
    wait_for(&first);
    assert_int_equal(second.n_told, 1);
    assert_answer(&second, "192.0.2.1");
    assert_int_equal(b.n_told, 0);
    rules[1].is_held = false;
    wait_for(&b);
    assert_answer(&b, "192.0.2.2");
    assert_int_equal(b.n_told, 1);
    assert_int_equal(rules[1].n_asked, 2);
    fixture_deinit(&fixture);
}

static void change_files_and_refresh(struct asker *asker)
{
    write_file(asker->fixture->resolv, "search changed.test\n");
    resolver_refresh(asker->fixture->resolver);
}

/* The channel that the news came from is taken away under it: by an answer, and by a time-out. */
static void whom_to_ask_may_change_while_many_are_told(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
        {.name = "b.changed.test", .type = DNS_A, .addrs = {"192.0.2.2"}},
    };
    for (int is_silent = 0; is_silent <= 1; is_silent++) {
        struct fixture fixture;
        rules[0].is_silent = is_silent;
        fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "",
                     "options timeout:1 attempts:1\n");
        fixture_resolve(&fixture, (struct resolver_options){0});
        struct asker first = {.then = change_files_and_refresh}, second = {0}, b = {0};
        ask(&fixture, &first, "a.test", ADDR_V4);
        ask(&fixture, &second, "a.test", ADDR_V4);
        ask(&fixture, &b, "b", ADDR_V4);
        resolver_cancel(&b.lookup);
        wait_for(&first);
        assert_int_equal(first.err, is_silent ? ERR_TIMEOUT : ERR_NONE);
        assert_int_equal(second.err, first.err);
        assert_finds(&fixture, "b", ADDR_V4, "192.0.2.2");
        fixture_deinit(&fixture);
    }
}

static void refreshing_forgets_answers_and_asks_anew(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
        {.name = "b.test", .type = DNS_A, .is_silent = true},
        {.name = "c.test", .type = DNS_A, .is_silent = true},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.1");
    struct asker b = {0}, c = {0};
    ask(&fixture, &b, "b.test", ADDR_V4);
    ask(&fixture, &c, "c.test", ADDR_V4);
    fixture_pass(&fixture, 50);
    resolver_cancel(&c.lookup);
    rules[0].addrs[0] = "192.0.2.3";
    rules[1] = (struct dns_rule){
        .name = "b.test", .type = DNS_A, .addrs = {"192.0.2.2"}, .n_asked = rules[1].n_asked};
    resolver_refresh(fixture.resolver);
    assert_int_equal(b.n_told, 0);
    wait_for(&b);
    assert_answer(&b, "192.0.2.2");
    assert_int_equal(rules[1].n_asked, 2);
    assert_int_equal(rules[2].n_asked, 1); /* nobody waits for it */
    assert_finds(&fixture, "a.test", ADDR_V4, "192.0.2.3");
    assert_idle(&fixture);
    fixture_deinit(&fixture);
}

static void freeing_with_questions_out_tells_nobody(void **state)
{
    struct dns_rule rules[] = {
        {.name = "a.test", .type = DNS_A, .is_silent = true},
        {.name = "b.test", .type = DNS_A, .n_made_up = 100, .delay_ms = 100},
    };
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), rules, N_ITEMS(rules), "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    struct asker a = {0}, too = {0}, b = {0};
    ask(&fixture, &a, "a.test", ADDR_V4);
    ask(&fixture, &too, "a.test", ADDR_V4);
    ask(&fixture, &b, "b.test", ADDR_V4);
    while (fixture.server->n_asked_by_tcp == 0)
        fixture_turn(&fixture);
    fixture_deinit(&fixture);
    assert_int_equal(a.n_told + too.n_told + b.n_told, 0);
    assert_false(a.lookup.pending || too.lookup.pending || b.lookup.pending);
    resolver_cancel(&a.lookup);
}

static void too_many_servers_are_refused(void **state)
{
    struct addr servers[RESOLVER_MAX_SERVERS + 1];
    struct fixture fixture;
    fixture_init(&fixture, backend_of(state), NULL, 0, "", "");
    for (size_t i = 0; i < N_ITEMS(servers); i++)
        servers[i] = fixture.server_addr;
    struct resolver_options options = {.servers = servers, .n_servers = N_ITEMS(servers)};
    assert_int_equal(resolver_new(&fixture.resolver, fixture.loop, &options), ERR_LIMIT);
    options.n_servers--;
    assert_int_equal(resolver_new(&fixture.resolver, fixture.loop, &options), ERR_NONE);
    fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(those_who_ask_the_same_share_one_query),
        ON_BOTH(who_takes_back_a_question_is_not_told_and_the_others_are),
        ON_BOTH(an_answer_nobody_waits_for_any_more_is_kept),
        ON_BOTH(who_is_told_may_take_back_anothers_question),
        ON_BOTH(who_is_told_may_ask_for_the_same_name),
        ON_BOTH(the_network_may_change_while_many_are_told),
        ON_BOTH(whom_to_ask_may_change_while_many_are_told),
        ON_BOTH(refreshing_forgets_answers_and_asks_anew),
        ON_BOTH(freeing_with_questions_out_tells_nobody),
        ON_BOTH(too_many_servers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
