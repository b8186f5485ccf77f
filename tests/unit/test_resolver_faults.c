/*
 * A day of a resolver's life, again and again: each allocation (those of c-ares too) fails in its
 * turn, and each system call fails, is short or is late in its turn. Whoever asked is told once,
 * the truth or an error; then the resolver serves as before; and when it is gone, nothing of it is
 * left. The linker's --wrap puts the four functions below in place of the allocator's.
 */
#include "resolver_fixture.h"

#include <ares.h>

#include "io/sys.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t n);
void __real_free(void *memory);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t n);
void __wrap_free(void *memory);

static uint64_t n_allocations, failing_allocation; /* 0: none fails */
static int64_t n_blocks;

static bool allocation_fails(void)
{
    return ++n_allocations == failing_allocation;
}

static void *count_block(void *memory)
{
    n_blocks += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t n)
{
    return allocation_fails() ? NULL : count_block(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : count_block(__real_calloc(n, size));
}

void *__wrap_realloc(void *memory, size_t n)
{
    if (allocation_fails())
        return NULL;
    return memory == NULL ? count_block(__real_malloc(n)) : __real_realloc(memory, n);
}

void __wrap_free(void *memory)
{
    n_blocks -= memory != NULL;
    __real_free(memory);
}

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

struct plan {
    enum loop_backend backend;
    enum sys_fault fault; /* NONE: allocations fail */
};

/* Returns false when the nth comes after the day's end. */
static bool live_with_fault(const struct plan *plan, uint64_t n)
{
    struct fixture fixture;
    bool was_hit;
    fixture_init(&fixture, plan->backend, rules, N_ITEMS(rules), "10.0.0.1 in.hosts\n",
                 "search corp.test\noptions timeout:1 attempts:2\n");
    /* Where c-ares has no memory to look at an answer it waits for another one: do not let it wait
     * for its time-out. */
    fixture.server->again_ms = 1;
    fixture.turn_ms = 0;
    if (plan->fault == SYS_FAULT_NONE) {
        n_allocations = 0;
        failing_allocation = n;
        live(&fixture);
        was_hit = n_allocations >= n;
        failing_allocation = 0;
    } else {
        sys_fault_set(plan->fault, n);
        live(&fixture);
        was_hit = sys_fault_hit() != NULL;
        sys_fault_set(SYS_FAULT_NONE, 0);
    }
    assert_alive(&fixture);
    fixture_deinit(&fixture);
    return was_hit;
}

static void live_with_each_fault(void **state)
{
    const struct plan *plan = *state;
    int64_t n_blocks_before = n_blocks;
    uint64_t n = 1;
    may_fail = plan->fault == SYS_FAULT_NONE || plan->fault == SYS_FAULT_FAIL;
    while (live_with_fault(plan, n)) {
        if (n_blocks != n_blocks_before)
            fail_msg("fault %d, number %d: %d blocks are left", plan->fault, (int)n,
                     (int)(n_blocks - n_blocks_before));
        n++;
    }
    print_message("             %d of them\n", (int)(n - 1));
    assert_true(n > 50);
}

int main(void)
{
    static struct plan memory_epoll = {LOOP_EPOLL, SYS_FAULT_NONE};
    static struct plan memory_poll = {LOOP_POLL, SYS_FAULT_NONE};
    static struct plan fail_epoll = {LOOP_EPOLL, SYS_FAULT_FAIL};
    static struct plan fail_poll = {LOOP_POLL, SYS_FAULT_FAIL};
    static struct plan short_epoll = {LOOP_EPOLL, SYS_FAULT_SHORT};
    static struct plan late_poll = {LOOP_POLL, SYS_FAULT_LATE};
    const struct CMUnitTest tests[] = {
        {"each allocation fails (epoll)", live_with_each_fault, NULL, NULL, &memory_epoll},
        {"each allocation fails (poll)", live_with_each_fault, NULL, NULL, &memory_poll},
        {"each call fails (epoll)", live_with_each_fault, NULL, NULL, &fail_epoll},
        {"each call fails (poll)", live_with_each_fault, NULL, NULL, &fail_poll},
        {"each call is short (epoll)", live_with_each_fault, NULL, NULL, &short_epoll},
        {"each call is late (poll)", live_with_each_fault, NULL, NULL, &late_poll},
    };
    if (ares_library_init_mem(ARES_LIB_INIT_ALL, __wrap_malloc, __wrap_free, __wrap_realloc) !=
        ARES_SUCCESS)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
