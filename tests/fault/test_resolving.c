/*
 * A day of a resolver's life, again and again: each allocation (those of c-ares too) fails in its
 * turn, and each system call fails, is short or is late in its turn. Whoever asked is told once,
 * the truth or an error; then the resolver serves as before; and when it is gone, nothing of it is
 * left.
 */
#include "../unit/resolver_fixture.h"

#include <ares.h>

#include "faults.h"

static struct dns_rule rules[] = {
    {.name = "a.test", .type = DNS_A, .addrs = {"192.0.2.1"}, .ttl_s = 60},
    {.name = "a.test", .type = DNS_AAAA, .addrs = {"2001:db8::1"}, .ttl_s = 60},
    {.name = "www.test", .type = DNS_A, .cname = "cdn.test", .addrs = {"192.0.2.2"}},
    {.name = "long.test", .type = DNS_A, .addrs = {"192.0.2.3"}, .is_truncated = true},
    {.name = "short.corp.test", .type = DNS_A, .addrs = {"192.0.2.4"}, .ttl_s = 60},
    {.name = "late.test", .type = DNS_A, .addrs = {"192.0.2.5"}, .delay_ms = 3},
    {.name = "after.test", .type = DNS_A, .addrs = {"192.0.2.6"}},
    {.name = "changed.new.test", .type = DNS_A, .addrs = {"192.0.2.7"}},
};

static const struct question {
    const char *name;
    enum addr_family family;
    const char *answer; /* NULL: there is none */
} questions[] = {
    {"a.test", ADDR_V4, "192.0.2.1"},    {"a.test", ADDR_V6, "2001:db8::1"},
    {"www.test", ADDR_V4, "192.0.2.2"},  {"long.test", ADDR_V4, "192.0.2.3"},
    {"short", ADDR_V4, "192.0.2.4"},     {"in.hosts", ADDR_V4, "10.0.0.1"},
    {"nothing.test", ADDR_V4, NULL},     {"late.test", ADDR_V4, "192.0.2.5"},
    {"localhost", ADDR_V4, "127.0.0.1"},
};

static void ask_all(struct fixture *fixture, struct asker askers[static N_ITEMS(questions)])
{
    for (size_t i = 0; i < N_ITEMS(questions); i++)
        ask(fixture, &askers[i], questions[i].name, questions[i].family);
}

/* What is short or late, but does not fail, must not be noticed. */
static bool may_fail;

static void check_answer(const struct question *question, const struct asker *asker)
{
    assert_int_equal(asker->n_told, 1);
    enum err err = asker->err;
    if (err == ERR_NONE) {
        assert_non_null(question->answer);
        assert_answer(asker, question->answer);
    } else if (err == ERR_LOOKUP) {
        assert_true(may_fail || question->answer == NULL);
    } else if (!may_fail || (err != ERR_TIMEOUT && err != ERR_MEMORY && err != ERR_DESCRIPTORS)) {
        fail_msg("%s: %s", question->name, err_text(err));
    }
}

static void wait_for_all(struct asker askers[static N_ITEMS(questions)])
{
    for (size_t i = 0; i < N_ITEMS(questions); i++) {
        wait_for(&askers[i]);
        check_answer(&questions[i], &askers[i]);
    }
}

/* The resolver may not come to life at all. */
static void live(struct fixture *fixture)
{
    struct asker askers[N_ITEMS(questions)] = {0};
    struct resolver_options options = {.servers = &fixture->server_addr,
                                       .n_servers = 1,
                                       .hosts_path = fixture->hosts,
                                       .resolv_path = fixture->resolv};
    if (resolver_new(&fixture->resolver, fixture->loop, &options) != ERR_NONE) {
        fixture->resolver = NULL;
        return;
    }
    ask_all(fixture, askers);
    wait_for_all(askers);
    ask_all(fixture, askers);
    fixture_turn(fixture);
    /* resolv.conf changes while some wait. */
    write_file(fixture->resolv, "search corp.test new.test\noptions timeout:1 attempts:2\n");
    resolver_refresh(fixture->resolver);
    wait_for_all(askers);
    ask_all(fixture, askers);
    fixture_turn(fixture);
    resolver_refresh(fixture->resolver);
    wait_for_all(askers);
}

static void assert_alive(struct fixture *fixture)
{
    if (fixture->resolver == NULL)
        return;
    assert_finds(fixture, "after.test.", ADDR_V4, "192.0.2.6");
    /* What could not be read of the files is read when they are looked at again. */
    resolver_refresh(fixture->resolver);
    assert_finds(fixture, "changed", ADDR_V4, "192.0.2.7");
    assert_finds(fixture, "in.hosts", ADDR_V4, "10.0.0.1");
}

static void live_with_fault(struct fault *fault)
{
    struct fixture fixture;
    fixture_init(&fixture, fault->backend, rules, N_ITEMS(rules), "10.0.0.1 in.hosts\n",
                 "search corp.test\noptions timeout:1 attempts:2\n");
    /* Where c-ares has no memory to look at an answer it waits for another one: do not let it wait
     * for its time-out. */
    fixture.server->again_ms = 1;
    fixture.server->step_ms = 1;
    fixture.turn_ms = 0;
    may_fail = fault->kind <= SYS_FAULT_FAIL;
    fault_begin(fault);
    live(&fixture);
    fault_end(fault);
    assert_alive(&fixture);
    fixture_deinit(&fixture);
}

static void with_each_fault(void **state)
{
    fault_each(*state, live_with_fault, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_70", with_each_fault),
        EACH_CALL_IS_SHORT_OR_LATE("acc_70", with_each_fault),
        EACH_ALLOCATION_FAILS("acc_70", with_each_fault),
    };
    if (ares_library_init_mem(ARES_LIB_INIT_ALL, __wrap_malloc, __wrap_free, __wrap_realloc) !=
        ARES_SUCCESS)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
