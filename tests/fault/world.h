/*
 * A proxy with its surroundings in one thread: a real loop, a real listener, inbounds, the direct
 * outbound, a resolver with a DNS server beside it; and players who use it (player.h). It may have an
 * upstream, which is the same proxy by another listener. A play is a
 * few of them at once. Faults happen while they play; then the proxy must serve as before, and
 * when it is gone nothing of it may be left. Include it once.
 */
#ifndef SOCKEYE_TESTS_WORLD_H
#define SOCKEYE_TESTS_WORLD_H

#include <ares.h>
#include <signal.h>

#include "../unit/resolver_fixture.h"
#include "faults.h"
#include "flow/flow.h"
#include "flow/ruleset.h"
#include "flow/users.h"
#include "inbound/protocols.h"
#include "io/listener.h"
#include "io/sys.h"
#include "outbound/outbounds.h"
#include "player.h"

#define WORLD_PLAYERS 4

/* Players at once, and what is set up for them. */
struct play {
    const char *title;
    struct script scripts[WORLD_PLAYERS];
    size_t n;
    bool has_users, counts_clients;
    enum { NO_UPSTREAM, BY_SOCKS, BY_HTTP_VIA_SOCKS } upstream;
    unsigned n_may_suffer; /* of one fault; 0: one */
    bool may_time_out;
    unsigned handshake_ms, idle_ms; /* 0: so long that nobody meets them */
};

static struct {
    struct fixture fixture;
    struct flow_env env;
    struct flow_shared shared;
    struct ruleset ruleset;
    struct inbound inbound;
    struct inbound_counts counts;
    struct outbound_direct outbound;
    struct target_rule denied;
    struct log log;
    uint64_t n_flow_lines;
    struct listener listener;
    struct addr proxy;
    struct inbound behind; /* where upstreams lead to */
    struct listener behind_listener;
    struct target behind_target;
    struct outbound *upstreams[2]; /* NULL: none */
    struct player players[WORLD_PLAYERS];
    /* A port where connecting hangs, for all worlds. */
    struct addr hanging;
    int hanging_fd, filler_fd;
} world;

/* ---- surroundings ---- */

static char world_ip[ADDR_TEXT_BYTES];

static struct dns_rule world_names[] = {
    {.name = "origin.test", .type = DNS_A, .addrs = {world_ip}},
    {.name = "both.test", .type = DNS_A, .addrs = {world_ip}},
    {.name = "both.test", .type = DNS_AAAA, .addrs = {"::1"}},
    {.name = "silent.test", .type = DNS_A, .is_silent = true},
    {.name = "silent.test", .type = DNS_AAAA, .is_silent = true},
};

static inline uint64_t world_wall_ms(struct log *log)
{
    (void)log;
    return 0;
}

static inline void world_emit(struct log *log, enum log_level level, const char *line, size_t n)
{
    (void)log;
    (void)level;
    assert_null(memmem(line, n, PLAYER_PASSWORD, strlen(PLAYER_PASSWORD)));
    world.n_flow_lines += memmem(line, n, " flow ", 6) != NULL;
}

static inline void world_on_ended(struct flow_env *env)
{
    assert_ptr_equal(env, &world.env);
    listener_wake(&world.listener);
    if (world.upstreams[0] != NULL)
        listener_wake(&world.behind_listener);
}

static inline bool world_has_room(struct listener *listener)
{
    (void)listener;
    return true;
}

static inline void world_on_accept(struct listener *listener, int fd, const struct addr *from)
{
    (void)listener;
    flow_accept(&world.env, &world.inbound, fd, from);
}

static inline void world_on_accept_behind(struct listener *listener, int fd,
                                          const struct addr *from)
{
    (void)listener;
    flow_accept(&world.env, &world.behind, fd, from);
}

static inline void world_on_shortage(struct listener *listener, enum err err)
{
    (void)listener;
    flow_env_refuse(&world.env, err == ERR_MEMORY ? REFUSAL_MEMORY : REFUSAL_DESCRIPTORS, "in",
                    NULL);
}

static inline void world_set_inbound(const struct play *play)
{
    static const struct user user = {PLAYER_USER, PLAYER_PASSWORD, false};
    world.outbound.base = (struct outbound){.ops = &outbound_direct, .name = "direct"};
    world.denied = (struct target_rule){
        .port_from = PLAYER_DENIED_PORT, .port_to = PLAYER_DENIED_PORT, .has_port = true};
    world.inbound.protocol = &inbound_mixed;
    world.inbound.name = "in";
    world.inbound.outbound = &world.outbound.base;
    world.inbound.deny_targets = (struct target_rule_list){&world.denied, 1};
    if (play->has_users)
        assert_int_equal(users_new(&world.inbound.users, &user, 1), ERR_NONE);
    if (play->counts_clients)
        world.inbound.max_per_client = 10;
}

/* Without faults, as the start is not what is played here. */
static inline void world_set_upstream(const struct play *play)
{
    static const struct listener_options plain = {0};
    int fd;
    memset(world.upstreams, 0, sizeof world.upstreams);
    if (play->upstream == NO_UPSTREAM)
        return;
    world.behind = world.inbound;
    world.behind.name = "behind";
    world.behind_target.addr = world.proxy;
    world.behind_target.addr.port = 0;
    world.behind_listener = (struct listener){.has_room = world_has_room,
                                              .on_accept = world_on_accept_behind,
                                              .on_shortage = world_on_shortage};
    assert_int_equal(listener_open(&fd, &world.behind_target.addr, &plain), ERR_NONE);
    assert_int_equal(listener_start(&world.behind_listener, world.fixture.loop, fd), ERR_NONE);
    const struct upstream_server server = {&world.behind_target,
                                           play->has_users ? PLAYER_USER : NULL,
                                           play->has_users ? PLAYER_PASSWORD : NULL};
    world.upstreams[0] = outbound_socks_new("socks", &server);
    if (play->upstream == BY_HTTP_VIA_SOCKS) {
        world.upstreams[1] = world.upstreams[0];
        world.upstreams[0] = outbound_http_new("http", &server);
        world.upstreams[0]->via = world.upstreams[1];
    }
    world.inbound.outbound = world.upstreams[0];
}

static inline void world_set_env(const struct play *play)
{
    struct flow_env *env = &world.env;
    world.log = (struct log){
        .level = LOG_LEVEL_TRACE, .access = true, .wall_ms = world_wall_ms, .emit = world_emit};
    flow_shared_init(&world.shared);
    env->shared = &world.shared;
    env->loop = world.fixture.loop;
    env->resolver = world.fixture.resolver;
    env->log = &world.log;
    env->limits = (struct flow_limits){
        .handshake_ms = play->handshake_ms > 0 ? play->handshake_ms : 3000,
        .connect_ms = 3000,
        .idle_ms = play->idle_ms > 0 ? play->idle_ms : 15000,
        .half_closed_ms = 15000,
        .penalty_ms = 1, /* nobody is kept waiting */
        .keepalive_s = 60,
    };
    env->on_ended = world_on_ended;
    flow_env_init(env);
}

/* Each world has an address of its own, because connections that have ended keep their ports for
 * a minute, and there would soon be none left. */
static inline struct addr world_next_addr(void)
{
    static unsigned n_worlds;
    unsigned n = n_worlds++;
    struct addr addr = {.family = ADDR_V4,
                        .ip = {127, (uint8_t)(1 + getpid() % 250), (uint8_t)(n / 250 % 250),
                               (uint8_t)(1 + n % 250)}};
    addr_format_ip(&addr, world_ip);
    return addr;
}

static inline void world_open(enum loop_backend backend, const struct play *play)
{
    static const struct listener_options plain = {0};
    int fd;
    memset(&world.env, 0, sizeof world.env);
    world.inbound = (struct inbound){.ruleset = &world.ruleset, .counts = &world.counts};
    ruleset_init(&world.ruleset, NULL);
    world.n_flow_lines = 0;
    fixture_init(&world.fixture, backend, world_names, N_ITEMS(world_names), "",
                 "options timeout:1 attempts:2\n");
    /* Where c-ares has no memory to look at an answer it waits for another one: do not let it wait
     * for its time-out. */
    world.fixture.server->again_ms = 1;
    world.fixture.server->step_ms = 1;
    fixture_resolve(&world.fixture, (struct resolver_options){0});
    world_set_inbound(play);
    world_set_env(play);
    world.proxy = world_next_addr();
    world.listener = (struct listener){
        .has_room = world_has_room, .on_accept = world_on_accept, .on_shortage = world_on_shortage};
    assert_int_equal(listener_open(&fd, &world.proxy, &plain), ERR_NONE);
    assert_int_equal(listener_start(&world.listener, world.fixture.loop, fd), ERR_NONE);
    world_set_upstream(play);
}

/* All flows have ended: nothing is left of them, and in the end nothing of the proxy. */
static inline void world_close(const struct play *play)
{
    struct flow_env *env = &world.env;
    assert_true(list_empty(&env->live));
    if (!play->may_time_out)
        assert_int_equal(env->counters.ended[FLOW_END_TIMEOUT] + env->counters.ended[FLOW_END_IDLE],
                         0);
    assert_int_equal(env->counters.flows_now, 0);
    assert_int_equal(world.n_flow_lines, env->counters.flows_total);
    assert_int_equal(world.shared.n_connections, 0);
    assert_int_equal(world.shared.n_held_bytes, 0);
    assert_int_equal(world.counts.n_connections, 0);
    assert_int_equal(env->flows.n_used, 0);
    assert_int_equal(env->socks.n_used, 0);
    assert_int_equal(env->openings.n_used, 0);
    assert_int_equal(env->dials.n_used, 0);
    assert_int_equal(env->pipes.n_held, 0);
    assert_int_equal(n_bad_closes, 0);
    /* What is asked for still is dropped, as nobody waits for it; then nothing may be timed. */
    resolver_refresh(world.fixture.resolver);
    assert_true(timer_heap_next(loop_timers(env->loop)) == UINT64_MAX);
    listener_stop(&world.listener);
    if (world.upstreams[0] != NULL)
        listener_stop(&world.behind_listener);
    free(world.upstreams[0]);
    free(world.upstreams[1]);
    flow_env_deinit(env);
    flow_shared_deinit(&world.shared);
    users_free(world.inbound.users);
    assert_int_equal(world.ruleset.n_holders, 1);
    fixture_deinit(&world.fixture);
}

/* ---- playing ---- */

/* A turn waits where it is for a time to pass; players keep nobody waiting. */
static inline void world_turn(const struct play *play)
{
    bool is_for_time = play->handshake_ms > 0 || play->idle_ms > 0;
    dns_server_step(world.fixture.server);
    /* A wait that fails is not the loop's end (see loop_run()). */
    (void)loop_turn(world.fixture.loop, is_for_time ? 2 : 0);
}

static inline void world_tell_of_hang(const struct play *play)
{
    for (size_t i = 0; i < play->n; i++) {
        const struct player *player = &world.players[i];
        print_message("player %zu: outcome %d, said %zu of %zu, heard %zu, up %zu %zu %zu, "
                      "down %zu %zu %zu, client %d, origin %d\n",
                      i, (int)player->outcome, player->n_sent, player->n_said, player->n_heard,
                      player->up.n, player->up.n_sent, player->up.n_received, player->down.n,
                      player->down.n_sent, player->down.n_received, player->client, player->origin);
    }
    for (struct list *at = world.env.live.next; at != &world.env.live; at = at->next) {
        const struct flow *flow = CONTAINER_OF(at, struct flow, link);
        print_message("flow to %s: state %d\n", flow->to == NULL ? "-" : flow->to, flow->state);
    }
    fail_msg("%s: not over within %d ms", play->title, PATIENCE_MS);
}

static inline bool world_is_quiet(const struct play *play)
{
    for (size_t i = 0; i < play->n; i++)
        if (!player_is_over(&world.players[i]))
            return false;
    return list_empty(&world.env.live);
}

/* Plays until everybody has come to an end, and the backlogs are empty. */
static inline void world_play(const struct play *play)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    for (unsigned i = 0; i < play->n; i++)
        player_begin(&world.players[i], &play->scripts[i], &world.proxy, &world.hanging, i);
    for (int n_quiet = 0; n_quiet < 2;) {
        if (now_ms() > give_up)
            world_tell_of_hang(play);
        world_turn(play);
        for (size_t i = 0; i < play->n; i++)
            player_step(&world.players[i]);
        n_quiet = world_is_quiet(play) ? n_quiet + 1 : 0;
    }
    for (size_t i = 0; i < play->n; i++)
        player_end(&world.players[i]);
}

static inline unsigned world_count_suffering(const struct play *play)
{
    unsigned n = 0;
    for (size_t i = 0; i < play->n; i++)
        n += player_has_suffered(&world.players[i]);
    return n;
}

/* That no more have suffered than a fault may harm. */
static inline void world_assert_suffering(const struct play *play, const struct fault *fault)
{
    unsigned n_may = !fault_may_harm(fault) ? 0 : play->n_may_suffer == 0 ? 1 : play->n_may_suffer;
    if (world_count_suffering(play) <= n_may)
        return;
    for (size_t i = 0; i < play->n; i++)
        print_message("player %zu: outcome %d, code %d\n", i, (int)world.players[i].outcome,
                      world.players[i].code);
    FAULT_FAIL(fault, "more than %u suffered", n_may);
}

/* After a fault a flow of each kind must do as if nothing had been. */
static inline void world_assert_serves(const struct play *before, const struct fault *fault)
{
    struct play after = {
        .title = "afterwards",
        .scripts = {{.protocol = SOCKS5,
                     .login = before->has_users ? RIGHT_LOGIN : NO_LOGIN,
                     .name = "origin.test",
                     .n_up = 1000,
                     .n_down = 1000,
                     .ending = CLIENT_FIRST,
                     .outcome = COMPLETED}},
        .n = 1,
    };
    world_play(&after);
    if (world_count_suffering(&after) > 0)
        FAULT_FAIL(fault, "nobody is served afterwards");
}

/* ---- the whole ---- */

static inline int world_begin(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    leave_network();
    world.hanging = tcp_addr("127.0.0.1", 0);
    if (!tcp_try_listen(&world.hanging_fd, &world.hanging, 0))
        return -1;
    world.filler_fd = tcp_connect(&world.hanging);
    /* So that libraries' allocations are counted with ours, and fail in their turn. */
    return ares_library_init_mem(ARES_LIB_INIT_ALL, __wrap_malloc, __wrap_free, __wrap_realloc) ==
                   ARES_SUCCESS
               ? 0
               : -1;
}

static inline int world_end(void **state)
{
    (void)state;
    close(world.hanging_fd);
    close(world.filler_fd);
    ares_library_cleanup();
    return 0;
}

#endif
