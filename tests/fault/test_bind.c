/*
 * ACCEPTANCE 60, 70: BIND by the direct outbound, whose peer is looked up by name, comes after
 * somebody else, and is let in: as it is, and while each system call and each allocation fails,
 * is short or late in its turn. It ends with a connection or with a reason, and leaves nothing.
 */
#include "../unit/resolver_fixture.h"
#include "../unit/tcp.h"
#include "flow/env.h"
#include "flow/inbound.h"
#include "flow/ruleset.h"
#include "faults.h"
#include "io/socket.h"
#include "outbound/outbounds.h"

static struct fixture fixture;
static struct flow_env env;
static struct flow_shared shared;
static struct ruleset ruleset;
static struct inbound inbound;
static struct outbound_direct direct;
static struct opening opening;
static unsigned n_told, n_done;
static enum err outcome;
static struct addr told;

static void on_listening(struct opening *told_by, const struct addr *at)
{
    assert_ptr_equal(told_by, &opening);
    assert_int_equal(n_done, 0);
    n_told++;
    told = *at;
}

static void on_done(struct opening *done, enum err err)
{
    assert_ptr_equal(done, &opening);
    n_done++;
    outcome = err;
}

static void open_world(enum loop_backend backend)
{
    static struct dns_rule rules[] = {
        {.name = "peer.test", .type = DNS_A, .addrs = {"127.0.0.4"}},
        {.name = "peer.test", .type = DNS_AAAA},
    };
    fixture_init(&fixture, backend, rules, N_ITEMS(rules), "", "");
    fixture.server->again_ms = 1;
    fixture.server->step_ms = 1;
    fixture_resolve(&fixture, (struct resolver_options){0});
    memset(&env, 0, sizeof env);
    env.shared = &shared;
    env.loop = fixture.loop;
    env.resolver = fixture.resolver;
    flow_env_init(&env);
    inbound = (struct inbound){.ruleset = &ruleset, .bind.is_enabled = true};
    direct.base = (struct outbound){.ops = &outbound_direct, .name = "direct"};
    n_told = n_done = 0;
}

static void close_world(void)
{
    fixture_turn(&fixture);
    loop_run_deferred(fixture.loop);
    flow_env_deinit(&env);
    fixture_deinit(&fixture);
}

static void begin(const char *peer)
{
    opening = (struct opening){.env = &env,
                               .inbound = &inbound,
                               .is_bind = true,
                               .listening = on_listening,
                               .done = on_done};
    opening.bound = tcp_addr("127.0.0.1", 0);
    assert_int_equal(target_set_host(&opening.target, peer, strlen(peer), 0), ERR_NONE);
    enum err err = direct.base.ops->bind(&direct.base, &opening);
    assert_int_equal(n_done, 0);
    if (err != ERR_AGAIN)
        on_done(&opening, err);
}

static int connect_from(const char *ip)
{
    struct addr from = tcp_addr(ip, 0), to = told;
    struct sockaddr_storage sa;
    if (addr_is_unspecified(&to))
        to = tcp_addr("127.0.0.1", told.port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t n = sys_addr_to_sockaddr(&from, &sa);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    n = sys_addr_to_sockaddr(&to, &sa);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, n), 0);
    return fd;
}

/* Until something happens, or time has passed. */
static bool turn_until(const unsigned *n)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    while (*n == 0 && n_done == 0 && now_ms() < end)
        fixture_turn(&fixture);
    return *n > 0 || n_done > 0;
}

/* One BIND from its beginning to its end. */
static void play(void)
{
    begin("peer.test");
    assert_true(turn_until(&n_told));
    if (n_done > 0)
        return;
    int stranger = connect_from("127.0.0.3");
    int peer = connect_from("127.0.0.4");
    assert_true(turn_until(&n_done));
    if (outcome == ERR_NONE) {
        struct addr from = opening.dialled;
        from.port = 0;
        assert_true(
            addr_equal(&from, &(struct addr){.family = ADDR_V4, .ip = {127, 0, 0, 4}}, false));
        endpoint_close(opening.endpoint, false);
    }
    close(stranger);
    close(peer);
}

static void play_with_fault(struct fault *fault)
{
    open_world(fault->backend);
    fault_begin(fault);
    play();
    fault_end(fault);
    if (outcome != ERR_NONE && !fault_may_harm(fault))
        FAULT_FAIL(fault, "%s", err_text(outcome));
    close_world();
}

static void with_each_fault(void **state)
{
    fault_each(*state, play_with_fault, 3);
}

/* Whoever gives up in the middle leaves nothing either. */
static void acc_60_giving_up_leaves_nothing(void **state)
{
    int64_t n_blocks_before = n_blocks;
    static const char *const peers[] = {"peer.test", "127.0.0.4", "0.0.0.0"};
    for (size_t i = 0; i < N_ITEMS(peers); i++) {
        open_world(backend_of(state));
        begin(peers[i]);
        assert_int_equal(n_done, 0);
        direct.base.ops->cancel(&direct.base, &opening);
        close_world();
        assert_int_equal(n_done, 0);
    }
    assert_int_equal(n_blocks, n_blocks_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_70", with_each_fault),
        EACH_CALL_IS_SHORT_OR_LATE("acc_70", with_each_fault),
        EACH_ALLOCATION_FAILS("acc_70", with_each_fault),
        ON_BOTH(acc_60_giving_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
