/*
 * ACCEPTANCE 60, 75: an association from its request to its end, with datagrams to an address and
 * to a name, while each system call and each allocation fails, is short or late in its turn. A
 * datagram may get lost; but the client is answered or cut off, what comes is what was sent, an
 * association that lives goes on to serve, and nothing is left of it.
 */
#include "../unit/resolver_fixture.h"
#include "../unit/udp.h"
#include "faults.h"
#include "flow/flow.h"
#include "flow/ruleset.h"
#include "inbound/protocols.h"
#include "outbound/outbounds.h"
#include "wire/socks5.h"

#define REQUEST "\5\1\0\5\3\0\1\0\0\0\0\0\0"
#define N_REQUEST 13
#define N_REPLY 12
#define STEPS 30
#define PAYLOAD "payload"
#define N_PAYLOAD 7

static struct fixture fixture;
static struct flow_env env;
static struct flow_shared shared;
static struct ruleset ruleset;
static struct inbound inbound;
static struct inbound_counts counts;
static struct outbound_direct direct;
static struct log quiet;
static int control, client, target; /* the far ends */
static struct addr proxy, client_at, target_at;
static uint8_t reply[N_REPLY];
static size_t n_reply;
static bool is_over; /* the proxy has ended the connection */
static unsigned n_back;

static void on_ended(struct flow_env *ended)
{
    assert_ptr_equal(ended, &env);
}

static void open_world(enum loop_backend backend)
{
    static struct dns_rule rules[] = {
        {.name = "target.test", .type = DNS_A, .addrs = {"127.0.0.1"}},
    };
    fixture_init(&fixture, backend, rules, N_ITEMS(rules), "", "options timeout:1 attempts:2\n");
    fixture.turn_ms = 0;
    fixture.server->again_ms = 1;
    fixture.server->step_ms = 1;
    fixture_resolve(&fixture, (struct resolver_options){0});
    memset(&env, 0, sizeof env);
    flow_shared_init(&shared);
    shared.max_by_descriptors = 100;
    quiet = (struct log){.level = LOG_LEVEL_ERROR};
    env.shared = &shared;
    env.loop = fixture.loop;
    env.resolver = fixture.resolver;
    env.log = &quiet;
    env.on_ended = on_ended;
    flow_env_init(&env);
    ruleset_init(&ruleset, NULL);
    direct.base = (struct outbound){.ops = &outbound_direct, .name = "direct"};
    inbound = (struct inbound){.ruleset = &ruleset,
                               .protocol = &inbound_socks,
                               .name = "in",
                               .outbound = &direct.base,
                               .counts = &counts,
                               .udp.is_enabled = true};
    client_at = target_at = tcp_addr("127.0.0.1", 0);
    client = udp_open(&client_at);
    target = udp_open(&target_at);
    n_reply = n_back = 0;
    is_over = false;
}

static void turn(void)
{
    fixture_turn(&fixture);
    while (n_reply < N_REPLY && !is_over) {
        ssize_t got = recv(control, reply + n_reply, N_REPLY - n_reply, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        is_over = got <= 0;
        n_reply += got > 0 ? (size_t)got : 0;
    }
    char byte;
    if (!is_over)
        is_over = recv(control, &byte, 1, 0) >= 0 || errno != EAGAIN;
}

static bool is_granted(void)
{
    return n_reply == N_REPLY && reply[3] == 0;
}

static void send_to(const char *host)
{
    uint8_t room[SOCKS5_UDP_HEADER_MAX_BYTES + N_PAYLOAD];
    struct target to;
    uint8_t *payload = room + SOCKS5_UDP_HEADER_MAX_BYTES;
    assert_int_equal(target_set_host(&to, host, strlen(host), target_at.port), ERR_NONE);
    memcpy(payload, PAYLOAD, N_PAYLOAD);
    const uint8_t *at = socks5_put_udp_header(payload, &to);
    udp_send(client, &proxy, at, (size_t)(payload - at) + N_PAYLOAD);
}

/* The target answers, and the client takes what comes: both must be what was sent. */
static void exchange(void)
{
    uint8_t bytes[512];
    struct addr from;
    struct socks5_datagram header;
    size_t n_header;
    ssize_t n;
    while ((n = udp_receive(target, bytes, sizeof bytes, &from)) >= 0) {
        assert_int_equal(n, N_PAYLOAD);
        assert_memory_equal(bytes, PAYLOAD, N_PAYLOAD);
        udp_send(target, &from, bytes, N_PAYLOAD);
    }
    while ((n = udp_receive(client, bytes, sizeof bytes, &from)) >= 0) {
        assert_int_equal(socks5_parse_datagram(bytes, (size_t)n, &header, &n_header), ERR_NONE);
        assert_int_equal((size_t)n - n_header, N_PAYLOAD);
        assert_memory_equal(bytes + n_header, PAYLOAD, N_PAYLOAD);
        n_back++;
    }
}

static void associate(void)
{
    int fds[2];
    struct addr from = tcp_addr("127.0.0.1", 4242);
    tcp_pair(fds);
    control = fds[1];
    tcp_send(control, REQUEST, N_REQUEST);
    flow_accept(&env, &inbound, fds[0], &from);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (n_reply < N_REPLY && !is_over) {
        assert_true(now_ms() < give_up);
        turn();
    }
    proxy = tcp_addr("127.0.0.1", (uint16_t)(reply[10] << 8 | reply[11]));
}

/* An association that lives serves, though it may need a moment after a shortage. */
static void assert_serves(void)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    unsigned before = n_back;
    for (unsigned i = 0; n_back == before; i++) {
        assert_false(is_over);
        assert_true(now_ms() < give_up);
        if (i % 50 == 0)
            send_to("127.0.0.1");
        turn();
        exchange();
        if (i > 100)
            usleep(1000);
    }
}

static void play(void)
{
    associate();
    for (int i = 0; i < STEPS && is_granted() && !is_over; i++) {
        if (i % 5 == 0) {
            send_to("127.0.0.1");
            send_to("127.0.0.1");
            send_to("target.test");
        }
        turn();
        exchange();
    }
}

static void close_world(void)
{
    close(control);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (!list_empty(&env.live)) {
        assert_true(now_ms() < give_up);
        turn();
    }
    resolver_refresh(fixture.resolver);
    fixture_turn(&fixture);
    loop_run_deferred(fixture.loop);
    assert_int_equal(shared.n_connections, 0);
    assert_int_equal(shared.n_associations, 0);
    assert_int_equal(counts.n_associations, 0);
    assert_int_equal(shared.n_held_bytes, 0);
    assert_int_equal(env.associations.n_used + env.ways.n_used + env.senders.n_used, 0);
    assert_int_equal(env.flows.n_used + env.socks.n_used, 0);
    flow_env_deinit(&env);
    flow_shared_deinit(&shared);
    assert_int_equal(ruleset.n_holders, 1);
    close(client);
    close(target);
    fixture_deinit(&fixture);
}

static void play_with_fault(struct fault *fault)
{
    open_world(fault->backend);
    fault_begin(fault);
    play();
    fault_end(fault);
    if (!fault_may_harm(fault) && (!is_granted() || is_over || n_back < STEPS / 5 * 3))
        FAULT_FAIL(fault, "%u came back", n_back);
    if (is_granted() && !is_over)
        assert_serves();
    close_world();
}

static void with_each_call(void **state)
{
    fault_each(*state, play_with_fault, 50);
}

static void with_each_allocation(void **state)
{
    fault_each(*state, play_with_fault, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_75", with_each_call),
        EACH_CALL_IS_SHORT_OR_LATE("acc_75", with_each_call),
        EACH_ALLOCATION_FAILS("acc_75", with_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
