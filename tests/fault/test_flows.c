/*
 * Flows under faults (ACCEPTANCE 66, 69, 70). One long-lived process has a real loop, listeners,
 * inbounds and outbounds, and drives two clients of one kind at a time through them. First without
 * a fault; then, for each n, the nth system call or allocation fails, is short, or is late. After
 * each round nothing may have leaked, nothing hangs, no byte is wrong, and no more than one of the
 * two flows has suffered; a short or a late call harms none.
 *
 * Short and late calls need the poll backend: under edge-triggered epoll a socket that is said
 * to be empty and is not is told of no more.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "allocator.h"
#include "client.h"
#include "flow/flow.h"
#include "inbound/protocols.h"
#include "io/listener.h"
#include "io/sys.h"
#include "loops.h"
#include "outbound/outbounds.h"

#define BULK ((size_t)1500 * 1000)
#define ROUNDS_MAX 1500

static const struct scenario scenarios[] = {
    {.name = "socks5, client closes first", .way = WAY_SOCKS5, .n_up = 100, .n_down = 3000},
    {.name = "socks5 with a password, early bytes, origin closes first",
     .way = WAY_SOCKS5_LOGIN,
     .n_up = 100,
     .n_down = 100,
     .origin_closes_first = true,
     .sends_early = true},
    {.name = "socks4a by name, early bytes",
     .way = WAY_SOCKS4A,
     .n_up = 40000,
     .n_down = 10,
     .sends_early = true},
    {.name = "http, early bytes",
     .way = WAY_HTTP,
     .n_up = 10,
     .n_down = 40000,
     .origin_closes_first = true,
     .sends_early = true},
    {.name = "bulk both ways", .way = WAY_SOCKS5, .n_up = BULK, .n_down = BULK},
    {.name = "refused target", .way = WAY_SOCKS5, .expectation = EXPECT_REFUSED},
    {.name = "denied target", .way = WAY_SOCKS5, .expectation = EXPECT_DENIED},
};

struct door {
    struct listener listener;
    struct inbound *inbound;
    struct addr addr;
};

static struct {
    struct loop *loop;
    struct flow_env *env;
    struct flow_shared shared;
    struct log log;
    struct outbound direct;
    struct inbound open, closed;
    struct door doors[2];
    struct target_rule denied;
    size_t n_fds, n_watches;
    int64_t n_blocks;
} world;

static uint64_t wall_ms(struct log *log)
{
    (void)log;
    return 0;
}

static void drop_line(struct log *log, enum log_level level, const char *line, size_t n)
{
    (void)log;
    (void)level;
    (void)line;
    (void)n;
}

static void nothing(struct flow_env *env)
{
    (void)env;
}

static bool has_room(struct listener *listener)
{
    (void)listener;
    return true;
}

static void on_accept(struct listener *listener, int fd, const struct addr *from)
{
    flow_accept(world.env, CONTAINER_OF(listener, struct door, listener)->inbound, fd, from);
}

static void on_shortage(struct listener *listener, enum err err)
{
    (void)listener;
    (void)err;
}

static void open_door(struct door *door, struct inbound *inbound)
{
    static const struct listener_options options = {0};
    int fd;
    assert_int_equal(addr_parse(&door->addr, "127.0.0.1:0", 11), ERR_NONE);
    assert_int_equal(listener_open(&fd, &door->addr, &options), ERR_NONE);
    door->inbound = inbound;
    door->listener =
        (struct listener){.has_room = has_room, .on_accept = on_accept, .on_shortage = on_shortage};
    assert_int_equal(listener_start(&door->listener, world.loop, fd), ERR_NONE);
}

static void set_up_inbounds(void)
{
    static const struct credential ann = {.user = "ann", .password = "pw"};
    world.direct = (struct outbound){.ops = &outbound_direct, .name = "direct"};
    assert_int_equal(cidr_parse(&world.denied.cidr, "127.0.0.2", 9), ERR_NONE);
    world.denied.port_to = 65535;
    world.open.protocol = &inbound_mixed;
    world.open.name = "open";
    world.open.outbound = &world.direct;
    world.open.max_per_client = 100;
    world.open.deny_targets = (struct target_rule_list){&world.denied, 1};
    world.closed.protocol = &inbound_socks;
    world.closed.name = "closed";
    world.closed.outbound = &world.direct;
    world.closed.credentials = &ann;
    world.closed.n_credentials = 1;
}

static int set_up(void **state)
{
    sys_fault_set(SYS_FAULT_NONE, 0);
    allocator_fail(0);
    signal(SIGPIPE, SIG_IGN);
    memset(&world, 0, sizeof world);
    world.loop = loop_new(*(enum loop_backend *)*state);
    world.env = calloc(1, sizeof *world.env);
    world.log = (struct log){.level = LOG_LEVEL_ERROR, .wall_ms = wall_ms, .emit = drop_line};
    clients_init(&world.shared.clients);
    world.env->shared = &world.shared;
    world.env->loop = world.loop;
    world.env->log = &world.log;
    world.env->limits = (struct flow_limits){
        .connect_ms = 8000, .handshake_ms = 8000, .idle_ms = 8000, .half_closed_ms = 8000};
    world.env->on_ended = nothing;
    flow_env_init(world.env);
    assert_int_equal(resolver_new(&world.env->resolver, world.loop, &(struct resolver_options){0}),
                     ERR_NONE);
    set_up_inbounds();
    open_door(&world.doors[0], &world.open);
    open_door(&world.doors[1], &world.closed);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    listener_stop(&world.doors[0].listener);
    listener_stop(&world.doors[1].listener);
    resolver_free(world.env->resolver);
    loop_run_deferred(world.loop);
    flow_env_deinit(world.env);
    clients_deinit(&world.shared.clients);
    loop_free(world.loop);
    free(world.env);
    return 0;
}

static bool is_quiet(void)
{
    return list_empty(&world.env->live) && world.env->flows.n_used == 0 &&
           world.env->socks.n_used == 0 && world.doors[0].listener.watch.want != 0 &&
           world.doors[1].listener.watch.want != 0;
}

/* Both clients have their verdict and the proxy has nothing left to do. Turns may fail: waiting is
 * a system call like others. */
static void run_clients(struct client clients[2], const struct scenario *scenario)
{
    const struct door *door = &world.doors[scenario->way == WAY_SOCKS5_LOGIN];
    client_start(&clients[0], scenario, door->addr.port);
    client_start(&clients[1], scenario, door->addr.port);
    uint64_t end_ms = now_ms() + 3 * PATIENCE_MS;
    while (!(clients[0].is_done && clients[1].is_done && is_quiet())) {
        if (now_ms() > end_ms)
            fail_msg("%s: the proxy hangs after %s", scenario->name,
                     sys_fault_hit() == NULL ? "an allocation" : sys_fault_hit());
        (void)loop_turn(world.loop, 5);
    }
    pthread_join(clients[0].thread, NULL);
    pthread_join(clients[1].thread, NULL);
}

/* What a fault has hit must be gone like everything else. */
static void check_nothing_leaked(void)
{
    assert_int_equal(world.env->openings.n_used, 0);
    assert_int_equal(world.env->dials.n_used, 0);
    assert_int_equal(world.env->pipes.n_held, 0);
    assert_int_equal(world.shared.n_connections, 0);
    assert_int_equal(world.shared.n_held_bytes, 0);
    assert_int_equal(world.open.n_connections, 0);
    assert_int_equal(world.closed.n_connections, 0);
    assert_null(world.shared.clients.counts);
    assert_int_equal(loop_n_watches(world.loop), world.n_watches);
    assert_int_equal(loop_timers(world.loop)->n, 0);
    pipe_pool_deinit(&world.env->pipes);
    pipe_pool_init(&world.env->pipes);
    assert_int_equal(count_fds(), world.n_fds);
    assert_int_equal(n_blocks, world.n_blocks);
}

static void check_verdicts(const struct client clients[2], const char *hit, uint64_t n,
                           int may_suffer)
{
    int n_suffered = 0;
    for (int i = 0; i < 2; i++) {
        if (clients[i].verdict == WRONG)
            fail_msg("%s, call %d (%s): %s", clients[i].scenario->name, (int)n, hit,
                     clients[i].what);
        n_suffered += clients[i].verdict == SUFFERED;
    }
    if (n_suffered > may_suffer)
        fail_msg("%s, call %d (%s): %d of 2 flows suffered: %s", clients[0].scenario->name, (int)n,
                 hit, n_suffered, clients[clients[0].verdict == FINE].what);
}

/* Without a fault all is fine; it also lets grow what grows once. */
static void measure_world(const struct scenario *scenario)
{
    struct client clients[2];
    for (int i = 0; i < 2; i++) {
        run_clients(clients, scenario);
        check_verdicts(clients, "no fault", 0, 0);
    }
    pipe_pool_deinit(&world.env->pipes);
    pipe_pool_init(&world.env->pipes);
    world.n_fds = count_fds();
    world.n_watches = loop_n_watches(world.loop);
    world.n_blocks = n_blocks;
}

static void sweep_calls(enum sys_fault fault, int may_suffer)
{
    for (size_t i = 0; i < N_ITEMS(scenarios); i++) {
        measure_world(&scenarios[i]);
        uint64_t n = 0;
        bool is_hit = true;
        while (is_hit && ++n < ROUNDS_MAX) {
            struct client clients[2];
            sys_fault_set(fault, n);
            run_clients(clients, &scenarios[i]);
            const char *hit = sys_fault_hit();
            is_hit = hit != NULL;
            sys_fault_set(SYS_FAULT_NONE, 0);
            check_verdicts(clients, is_hit ? hit : "none", n, may_suffer);
            check_nothing_leaked();
        }
        assert_true(n > 20); /* it was not over before it began */
    }
}

static void acc_70_each_call_that_fails_harms_one_flow_at_most(void **state)
{
    (void)state;
    sweep_calls(SYS_FAULT_FAIL, 1);
}

static void acc_70_each_call_that_is_short_harms_nobody(void **state)
{
    (void)state;
    sweep_calls(SYS_FAULT_SHORT, 0);
}

static void acc_70_each_call_that_is_late_harms_nobody(void **state)
{
    (void)state;
    sweep_calls(SYS_FAULT_LATE, 0);
}

static void acc_70_each_allocation_that_fails_harms_one_flow_at_most(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(scenarios); i++) {
        measure_world(&scenarios[i]);
        uint64_t n = 0;
        bool is_hit = true;
        while (is_hit && ++n < ROUNDS_MAX) {
            struct client clients[2];
            allocator_fail(n);
            run_clients(clients, &scenarios[i]);
            is_hit = n_allocations >= n;
            allocator_fail(0);
            check_verdicts(clients, "allocation", n, 1);
            check_nothing_leaked();
        }
        assert_true(n > 1);
    }
}

/* ACCEPTANCE 69: bulk goes on by copying. */
static void acc_69_without_pipes_bulk_is_copied(void **state)
{
    (void)state;
    const struct scenario *bulk = &scenarios[4];
    measure_world(bulk);
    world.env->pipes.retry_at_ms = UINT64_MAX; /* as if each new one had been refused */
    struct client clients[2];
    run_clients(clients, bulk);
    check_verdicts(clients, "no pipes", 0, 0);
    assert_int_equal(world.env->pipes.n_spare, 0);
    check_nothing_leaked();
}

#define ON(backend, test)                                                      \
    {                                                                          \
#test " (" #backend ")", test, set_up, tear_down, &(enum loop_backend) \
        {                                                                      \
            backend                                                            \
        }                                                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(LOOP_EPOLL, acc_70_each_call_that_fails_harms_one_flow_at_most),
        ON(LOOP_POLL, acc_70_each_call_that_fails_harms_one_flow_at_most),
        ON(LOOP_POLL, acc_70_each_call_that_is_short_harms_nobody),
        ON(LOOP_POLL, acc_70_each_call_that_is_late_harms_nobody),
        ON(LOOP_EPOLL, acc_70_each_allocation_that_fails_harms_one_flow_at_most),
        ON(LOOP_EPOLL, acc_69_without_pipes_bulk_is_copied),
        ON(LOOP_POLL, acc_69_without_pipes_bulk_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
