/*
 * Dialling (RFC 8305) in a made-up Internet: the linker's --wrap lets sys_connect() below decide
 * what becomes of each address, and the loop's clock is the test's, so that 250 ms are exactly that.
 */
#include "resolver_fixture.h"

#include "flow/dial.h"
#include "flow/env.h"
#include "flow/inbound.h"
#include "flow/ruleset.h"
#include "io/socket.h"
#include "io/sys.h"
#include "tcp.h"

#define PORT 80

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_sys_connect(int fd, const struct sockaddr *sa, socklen_t n);
int __wrap_sys_connect(int fd, const struct sockaddr *sa, socklen_t n);
uint64_t __wrap_sys_monotonic_us(void);
/* NOLINTEND(bugprone-reserved-identifier) */

enum how { NOT_THERE, ANSWERS, REFUSES, HANGS, UNREACHABLE };

struct host {
    const char *ip;
    enum how how;
};

static struct {
    const struct host *hosts;
    size_t n_hosts;
    /* Where connections to them really go, by family (0: IPv4). */
    struct addr live[2], closed[2], full[2];
    int live_fds[2], full_fds[2], fillers[2];
    struct {
        char ip[ADDR_TEXT_BYTES];
        uint64_t at_ms;
    } seen[64];
    size_t n_seen;
    uint64_t now_ms;
    bool self_connects;
} net;

static struct fixture fixture;
static struct flow_env env;
static struct flow_shared shared;
static struct ruleset ruleset;
static struct inbound inbound;
static struct target_rule denied[1];
static struct opening opening;
static unsigned n_done;
static enum err outcome;

/* ---- the made-up Internet ---- */

uint64_t __wrap_sys_monotonic_us(void)
{
    return net.now_ms * 1000;
}

static enum how how_of(const char *ip)
{
    for (size_t i = 0; i < net.n_hosts; i++)
        if (strcmp(net.hosts[i].ip, ip) == 0)
            return net.hosts[i].how;
    return NOT_THERE;
}

static int connect_to(int fd, const struct addr *addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    return __real_sys_connect(fd, (struct sockaddr *)&sa, n);
}

int __wrap_sys_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    struct addr to;
    assert_int_equal(sys_addr_from_sockaddr(&to, sa, n), ERR_NONE);
    if (net.self_connects)
        assert_int_equal(bind(fd, sa, n), 0);
    if (to.port != PORT)
        return __real_sys_connect(fd, sa, n);
    assert_true(net.n_seen < N_ITEMS(net.seen));
    addr_format_ip(&to, net.seen[net.n_seen].ip);
    net.seen[net.n_seen].at_ms = net.now_ms;
    size_t which = to.family == ADDR_V6;
    switch (how_of(net.seen[net.n_seen++].ip)) {
    case ANSWERS:
        return connect_to(fd, &net.live[which]);
    case REFUSES:
        return connect_to(fd, &net.closed[which]);
    case HANGS:
        return connect_to(fd, &net.full[which]);
    case UNREACHABLE:
        errno = ENETUNREACH;
        return -1;
    case NOT_THERE:
        break;
    }
    fail_msg("%s was tried", net.seen[net.n_seen - 1].ip);
    return -1;
}

/* Listens where nobody accepts, and fills the queue: further connections hang. */
static bool open_full(size_t which)
{
    if (!tcp_try_listen(&net.full_fds[which], &net.full[which], 0))
        return false;
    net.fillers[which] = tcp_connect(&net.full[which]);
    struct pollfd pollfd = {.fd = net.fillers[which], .events = POLLOUT};
    return poll(&pollfd, 1, PATIENCE_MS) == 1;
}

static int open_net(void **state)
{
    (void)state;
    static const char *const ips[] = {"127.0.0.1", "::1"};
    net.now_ms = 1000000;
    for (size_t i = 0; i < 2; i++) {
        int fd;
        net.live[i] = net.closed[i] = net.full[i] = tcp_addr(ips[i], 0);
        if (!tcp_try_listen(&net.live_fds[i], &net.live[i], 128) || !open_full(i) ||
            !tcp_try_listen(&fd, &net.closed[i], 1)) {
            print_message("These tests need %s.\n", ips[i]);
            return -1;
        }
        close(fd);
    }
    return 0;
}

static int close_net(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        close(net.live_fds[i]);
        close(net.full_fds[i]);
        close(net.fillers[i]);
    }
    return 0;
}

/* ---- one dialling ---- */

static void begin_with(void **state, struct dns_rule *rules, size_t n_rules,
                       const struct host *hosts, size_t n_hosts)
{
    net.hosts = hosts;
    net.n_hosts = n_hosts;
    net.n_seen = 0;
    net.self_connects = false;
    fixture_init(&fixture, backend_of(state), rules, n_rules, "", "");
    fixture_resolve(&fixture, (struct resolver_options){0});
    shared = (struct flow_shared){0};
    inbound = (struct inbound){.ruleset = &ruleset};
    memset(&env, 0, sizeof env);
    env.shared = &shared;
    env.loop = fixture.loop;
    env.resolver = fixture.resolver;
    flow_env_init(&env);
}

#define BEGIN(state, rules, hosts) begin_with(state, rules, N_ITEMS(rules), hosts, N_ITEMS(hosts))

static void on_done(struct opening *done, enum err err)
{
    assert_ptr_equal(done, &opening);
    n_done++;
    outcome = err;
}

static enum err dial(const char *host, uint16_t port)
{
    n_done = 0;
    opening = (struct opening){.env = &env, .inbound = &inbound, .done = on_done};
    assert_int_equal(target_set_host(&opening.target, host, strlen(host), port), ERR_NONE);
    enum err err = dial_open(&opening, NULL);
    assert_int_equal(n_done, 0);
    if (err != ERR_AGAIN) {
        n_done = 1;
        outcome = err;
    }
    return err;
}

#define UNTIL(condition)                                                   \
    do {                                                                   \
        uint64_t until_end = now_ms() + PATIENCE_MS;                       \
        while (!(condition)) {                                             \
            if (now_ms() > until_end)                                      \
                fail_msg("not within %d ms: %s", PATIENCE_MS, #condition); \
            fixture_turn(&fixture);                                        \
        }                                                                  \
    } while (0)

/* Everything that can happen without time passing happens. */
static void settle(void)
{
    for (int i = 0; i < 8; i++)
        fixture_turn(&fixture);
}

static void pass(uint64_t ms)
{
    net.now_ms += ms;
    settle();
}

/* That these addresses, with commas between, have been tried, in this order. */
static void assert_tried(const char *expected)
{
    char text[sizeof net.seen] = "";
    for (size_t i = 0; i < net.n_seen; i++) {
        strcat(text, i > 0 ? "," : "");
        strcat(text, net.seen[i].ip);
    }
    assert_string_equal(text, expected);
}

static void assert_dialled(const char *ip)
{
    struct addr expected = tcp_addr(ip, PORT);
    if (outcome != ERR_NONE)
        fail_msg("instead of %s: %s", ip, err_text(outcome));
    assert_true(addr_equal(&opening.dialled, &expected, true));
}

/* Nothing of the dialling may be left, but for the endpoint that was won. */
static void end(void)
{
    if (n_done > 0 && outcome == ERR_NONE)
        endpoint_close(opening.endpoint, false);
    settle();
    assert_null(opening.state);
    assert_int_equal(env.dials.n_used, 0);
    assert_int_equal(env.socks.n_used, 0);
    resolver_refresh(fixture.resolver);
    settle();
    assert_idle(&fixture);
    flow_env_deinit(&env);
    for (size_t i = 0; i < 2; i++)
        for (int fd; (fd = accept(net.live_fds[i], NULL, NULL)) >= 0;)
            close(fd);
    fixture_deinit(&fixture);
}

/* ---- addresses and families ---- */

static void an_address_is_dialled_without_asking_anybody(void **state)
{
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}, {"2001:db8::1", ANSWERS}};
    for (size_t i = 0; i < N_ITEMS(hosts); i++) {
        begin_with(state, NULL, 0, hosts, N_ITEMS(hosts));
        assert_int_equal(dial(hosts[i].ip, PORT), ERR_AGAIN);
        UNTIL(n_done > 0);
        assert_dialled(hosts[i].ip);
        assert_true(addr_is_loopback(&opening.bound));
        assert_int_not_equal(opening.bound.port, 0);
        assert_int_equal(fixture.server->n_asked, 0);
        end();
    }
}

static struct dns_rule both_families[] = {
    {.name = "both.test", .type = DNS_A, .addrs = {"192.0.2.1", "192.0.2.2"}},
    {.name = "both.test", .type = DNS_AAAA, .addrs = {"2001:db8::1", "2001:db8::2"}},
};

static void acc_52_the_preferred_family_is_tried_first(void **state)
{
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}, {"2001:db8::1", ANSWERS}};
    static const struct {
        enum dial_prefer prefer;
        const char *ip;
    } cases[] = {
        {DIAL_AUTO, "2001:db8::1"}, {DIAL_V6_FIRST, "2001:db8::1"}, {DIAL_V4_FIRST, "192.0.2.1"}};
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        BEGIN(state, both_families, hosts);
        env.prefer = cases[i].prefer;
        dial("both.test", PORT);
        UNTIL(n_done > 0);
        assert_dialled(cases[i].ip);
        assert_tried(cases[i].ip);
        end();
    }
}

static void acc_52_only_one_family_is_asked_for_where_that_is_said(void **state)
{
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}, {"2001:db8::1", ANSWERS}};
    for (int is_v6 = 0; is_v6 < 2; is_v6++) {
        BEGIN(state, both_families, hosts);
        both_families[0].n_asked = both_families[1].n_asked = 0;
        env.prefer = is_v6 ? DIAL_V6_ONLY : DIAL_V4_ONLY;
        dial("both.test", PORT);
        UNTIL(n_done > 0);
        assert_dialled(is_v6 ? "2001:db8::1" : "192.0.2.1");
        assert_int_equal(both_families[!is_v6].n_asked, 0);
        end();
        BEGIN(state, both_families, hosts);
        env.prefer = is_v6 ? DIAL_V6_ONLY : DIAL_V4_ONLY;
        assert_int_equal(dial(is_v6 ? "192.0.2.1" : "2001:db8::1", PORT), ERR_NET_UNREACH);
        assert_tried("");
        end();
    }
}

/* ---- order and time ---- */

static void acc_52_addresses_are_tried_families_in_turn_every_250_ms(void **state)
{
    static const struct host hosts[] = {
        {"192.0.2.1", HANGS}, {"192.0.2.2", HANGS}, {"2001:db8::1", HANGS}, {"2001:db8::2", HANGS}};
    static const char *const tried[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"};
    BEGIN(state, both_families, hosts);
    uint64_t begin_ms = net.now_ms;
    dial("both.test", PORT);
    UNTIL(fixture.server->n_asked == 2 && net.n_seen == 1);
    for (size_t i = 1; i < N_ITEMS(tried); i++) {
        pass(249);
        assert_int_equal(net.n_seen, i);
        pass(1);
        assert_int_equal(net.n_seen, i + 1);
    }
    pass(10000);
    assert_int_equal(net.n_seen, N_ITEMS(tried));
    for (size_t i = 0; i < N_ITEMS(tried); i++) {
        assert_string_equal(net.seen[i].ip, tried[i]);
        assert_int_equal(net.seen[i].at_ms, begin_ms + 250 * i);
    }
    assert_int_equal(n_done, 0);
    dial_cancel(&opening);
    end();
}

static void acc_52_a_dead_address_costs_no_more_than_250_ms(void **state)
{
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}, {"2001:db8::1", HANGS}};
    BEGIN(state, both_families, hosts);
    dial("both.test", PORT);
    UNTIL(fixture.server->n_asked == 2 && net.n_seen == 1);
    settle();
    size_t n_fds = count_fds();
    net.now_ms += 250;
    UNTIL(n_done > 0);
    assert_dialled("192.0.2.1");
    settle();
    /* The winner in place of the loser. */
    assert_int_equal(count_fds(), n_fds);
    assert_int_equal(env.socks.n_used, 1);
    end();
}

static void an_attempt_that_fails_is_followed_by_the_next_at_once(void **state)
{
    static const struct host hosts[] = {{"192.0.2.1", UNREACHABLE},
                                        {"192.0.2.2", ANSWERS},
                                        {"2001:db8::1", REFUSES},
                                        {"2001:db8::2", REFUSES}};
    BEGIN(state, both_families, hosts);
    dial("both.test", PORT);
    UNTIL(n_done > 0);
    assert_tried("2001:db8::1,192.0.2.1,2001:db8::2,192.0.2.2");
    assert_dialled("192.0.2.2");
    end();
}

static void more_addresses_than_may_be_tried_at_once_wait(void **state)
{
    static struct dns_rule rules[] = {{.name = "many.test", .type = DNS_A, .n_made_up = 20}};
    static struct host hosts[20];
    static char ips[20][16];
    for (size_t i = 0; i < N_ITEMS(hosts); i++) {
        snprintf(ips[i], sizeof ips[i], "10.0.0.%zu", i);
        hosts[i] = (struct host){ips[i], HANGS};
    }
    BEGIN(state, rules, hosts);
    env.prefer = DIAL_V4_ONLY;
    dial("many.test", PORT);
    UNTIL(net.n_seen == 1);
    for (size_t i = 1; i < 30; i++)
        pass(250);
    assert_int_equal(net.n_seen, 8);
    assert_int_equal(n_done, 0);
    dial_cancel(&opening);
    end();
}

/* ---- answers that come apart ---- */

static struct dns_rule slow_v6[] = {
    {.name = "slow.test", .type = DNS_A, .addrs = {"192.0.2.1", "192.0.2.2"}},
    {.name = "slow.test", .type = DNS_AAAA, .addrs = {"2001:db8::1"}},
};

/* The answer of the one family waits until it is let go. */
static void begin_slow(void **state, const struct host *hosts, size_t n_hosts)
{
    slow_v6[0].n_asked = slow_v6[1].n_asked = 0;
    slow_v6[1].is_held = true;
    begin_with(state, slow_v6, N_ITEMS(slow_v6), hosts, n_hosts);
    dial("slow.test", PORT);
    UNTIL(slow_v6[0].n_asked == 1 && slow_v6[1].n_asked == 1);
    settle();
}

/* A reply that was delayed is on its way when the server has none left. */
static bool is_answered(void)
{
    for (size_t i = 0; i < DNS_SERVER_REPLIES; i++)
        if (fixture.server->replies[i].is_used)
            return false;
    return true;
}

static void an_answer_of_the_other_family_waits_50_ms_for_the_preferred_one(void **state)
{
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}};
    begin_slow(state, hosts, N_ITEMS(hosts));
    assert_tried("");
    pass(49);
    assert_tried("");
    net.now_ms++;
    UNTIL(n_done > 0);
    assert_tried("192.0.2.1");
    assert_dialled("192.0.2.1");
    end();
}

static void the_preferred_answer_is_tried_first_when_it_comes_within_50_ms(void **state)
{
    static const struct host hosts[] = {{"2001:db8::1", ANSWERS}};
    begin_slow(state, hosts, N_ITEMS(hosts));
    assert_tried("");
    net.now_ms += 49;
    slow_v6[1].is_held = false;
    UNTIL(n_done > 0);
    assert_tried("2001:db8::1");
    end();
}

static void a_later_answer_waits_for_the_attempt_that_runs(void **state)
{
    static const struct host hosts[] = {
        {"192.0.2.1", HANGS}, {"192.0.2.2", HANGS}, {"2001:db8::1", ANSWERS}};
    begin_slow(state, hosts, N_ITEMS(hosts));
    net.now_ms += 50;
    UNTIL(net.n_seen == 1);
    slow_v6[1].is_held = false;
    UNTIL(is_answered());
    settle();
    pass(249);
    assert_tried("192.0.2.1");
    net.now_ms++;
    UNTIL(n_done > 0);
    assert_tried("192.0.2.1,2001:db8::1");
    end();
}

static void an_answer_that_comes_when_all_others_have_had_their_time_is_tried_at_once(void **state)
{
    static const struct host hosts[] = {
        {"192.0.2.1", HANGS}, {"192.0.2.2", HANGS}, {"2001:db8::1", ANSWERS}};
    begin_slow(state, hosts, N_ITEMS(hosts));
    pass(50);
    pass(250);
    pass(250);
    assert_tried("192.0.2.1,192.0.2.2");
    slow_v6[1].is_held = false;
    UNTIL(n_done > 0);
    assert_tried("192.0.2.1,192.0.2.2,2001:db8::1");
    end();
}

static void an_answer_that_comes_when_all_others_have_failed_is_tried_at_once(void **state)
{
    static const struct host hosts[] = {
        {"192.0.2.1", REFUSES}, {"192.0.2.2", UNREACHABLE}, {"2001:db8::1", ANSWERS}};
    begin_slow(state, hosts, N_ITEMS(hosts));
    net.now_ms += 50;
    UNTIL(net.n_seen == 2);
    slow_v6[1].is_held = false;
    UNTIL(n_done > 0);
    assert_tried("192.0.2.1,192.0.2.2,2001:db8::1");
    assert_dialled("2001:db8::1");
    end();
}

/* ---- why not ---- */

static void of_several_failures_the_one_that_says_most_is_told(void **state)
{
    static struct dns_rule rules[] = {
        {.name = "v4.test", .type = DNS_A, .addrs = {"192.0.2.1", "192.0.2.2"}},
        {.name = "broken.test", .type = DNS_A, .rcode = DNS_SERVFAIL},
        {.name = "broken.test", .type = DNS_AAAA, .addrs = {"2001:db8::1"}},
    };
    static const struct {
        const char *name;
        struct host hosts[2];
        enum err expected;
    } cases[] = {
        {"nothing.test", {{"-", ANSWERS}}, ERR_LOOKUP},
        {"v4.test", {{"192.0.2.1", UNREACHABLE}, {"192.0.2.2", REFUSES}}, ERR_REFUSED},
        {"v4.test", {{"192.0.2.1", REFUSES}, {"192.0.2.2", UNREACHABLE}}, ERR_REFUSED},
        {"v4.test", {{"192.0.2.1", UNREACHABLE}, {"192.0.2.2", UNREACHABLE}}, ERR_NET_UNREACH},
        {"broken.test", {{"2001:db8::1", REFUSES}}, ERR_REFUSED},
        {"broken.test", {{"2001:db8::1", UNREACHABLE}}, ERR_NET_UNREACH},
    };
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        begin_with(state, rules, N_ITEMS(rules), cases[i].hosts, 2);
        dial(cases[i].name, PORT);
        UNTIL(n_done > 0);
        assert_string_equal(err_text(outcome), err_text(cases[i].expected));
        end();
    }
}

static void one_family_without_an_answer_does_no_harm(void **state)
{
    static struct dns_rule rules[] = {
        {.name = "broken.test", .type = DNS_AAAA, .rcode = DNS_SERVFAIL},
        {.name = "broken.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
        {.name = "v4.test", .type = DNS_A, .addrs = {"192.0.2.1"}},
    };
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}};
    static const char *const names[] = {"broken.test", "v4.test"};
    for (size_t i = 0; i < N_ITEMS(names); i++) {
        BEGIN(state, rules, hosts);
        dial(names[i], PORT);
        UNTIL(n_done > 0);
        assert_dialled("192.0.2.1");
        end();
    }
}

static void deny(const char *cidr)
{
    denied[0] = (struct target_rule){.port_to = 65535};
    assert_int_equal(cidr_parse(&denied[0].cidr, cidr, strlen(cidr)), ERR_NONE);
    inbound.deny_targets = (struct target_rule_list){denied, 1};
}

static void denied_addresses_are_skipped_and_it_is_denied_when_none_is_left(void **state)
{
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}};
    BEGIN(state, both_families, hosts);
    deny("2001:db8::/32");
    dial("both.test", PORT);
    UNTIL(n_done > 0);
    assert_tried("192.0.2.1");
    assert_dialled("192.0.2.1");
    end();
    BEGIN(state, both_families, hosts);
    deny("*");
    dial("both.test", PORT);
    UNTIL(n_done > 0);
    assert_tried("");
    assert_int_equal(outcome, ERR_DENIED);
    end();
}

static void a_mapped_address_is_ipv4_to_rules_and_families(void **state)
{
    static struct dns_rule rules[] = {
        {.name = "mapped.test", .type = DNS_AAAA, .addrs = {"::ffff:192.0.2.1"}}};
    static const struct host hosts[] = {{"192.0.2.1", ANSWERS}};
    BEGIN(state, rules, hosts);
    dial("mapped.test", PORT);
    UNTIL(n_done > 0);
    assert_tried("192.0.2.1");
    end();
    BEGIN(state, rules, hosts);
    deny("192.0.2.0/24");
    dial("mapped.test", PORT);
    UNTIL(n_done > 0);
    assert_int_equal(outcome, ERR_DENIED);
    end();
    BEGIN(state, rules, hosts);
    env.prefer = DIAL_V6_ONLY;
    assert_int_equal(dial("::ffff:192.0.2.1", PORT), ERR_NET_UNREACH);
    end();
}

static void a_connection_to_itself_is_refused(void **state)
{
    struct addr addr = tcp_addr("127.0.0.1", 0);
    close(tcp_listen(&addr));
    begin_with(state, NULL, 0, NULL, 0);
    net.self_connects = true;
    dial("127.0.0.1", addr.port);
    UNTIL(n_done > 0);
    assert_int_equal(outcome, ERR_REFUSED);
    end();
}

/* ---- giving up ---- */

static void cancelling_leaves_nothing_at_whatever_stage(void **state)
{
    static const struct host hosts[] = {
        {"192.0.2.1", HANGS}, {"192.0.2.2", HANGS}, {"2001:db8::1", HANGS}};
    enum { RESOLVING, WAITING_FOR_V6, ONE_ATTEMPT, TWO_ATTEMPTS, THREE_ATTEMPTS, N_STAGES };
    for (int stage = RESOLVING; stage < N_STAGES; stage++) {
        slow_v6[1].is_silent = stage <= WAITING_FOR_V6;
        slow_v6[1].delay_ms = 0;
        begin_with(state, slow_v6, N_ITEMS(slow_v6), hosts, N_ITEMS(hosts));
        size_t n_fds = count_fds();
        dial("slow.test", PORT);
        if (stage >= WAITING_FOR_V6) {
            UNTIL(fixture.server->n_asked == 2);
            settle();
        }
        for (int i = ONE_ATTEMPT; i < stage; i++)
            pass(250);
        assert_int_equal(net.n_seen, stage < ONE_ATTEMPT ? 0 : stage - WAITING_FOR_V6);
        dial_cancel(&opening);
        assert_null(opening.state);
        resolver_refresh(fixture.resolver);
        settle();
        assert_int_equal(count_fds(), n_fds);
        pass(10000);
        assert_int_equal(n_done, 0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(an_address_is_dialled_without_asking_anybody),
        ON_BOTH(acc_52_the_preferred_family_is_tried_first),
        ON_BOTH(acc_52_only_one_family_is_asked_for_where_that_is_said),
        ON_BOTH(acc_52_addresses_are_tried_families_in_turn_every_250_ms),
        ON_BOTH(acc_52_a_dead_address_costs_no_more_than_250_ms),
        ON_BOTH(an_attempt_that_fails_is_followed_by_the_next_at_once),
        ON_BOTH(more_addresses_than_may_be_tried_at_once_wait),
        ON_BOTH(an_answer_of_the_other_family_waits_50_ms_for_the_preferred_one),
        ON_BOTH(the_preferred_answer_is_tried_first_when_it_comes_within_50_ms),
        ON_BOTH(a_later_answer_waits_for_the_attempt_that_runs),
        ON_BOTH(an_answer_that_comes_when_all_others_have_had_their_time_is_tried_at_once),
        ON_BOTH(an_answer_that_comes_when_all_others_have_failed_is_tried_at_once),
        ON_BOTH(of_several_failures_the_one_that_says_most_is_told),
        ON_BOTH(one_family_without_an_answer_does_no_harm),
        ON_BOTH(denied_addresses_are_skipped_and_it_is_denied_when_none_is_left),
        ON_BOTH(a_mapped_address_is_ipv4_to_rules_and_families),
        ON_BOTH(a_connection_to_itself_is_refused),
        ON_BOTH(cancelling_leaves_nothing_at_whatever_stage),
    };
    return cmocka_run_group_tests(tests, open_net, close_net);
}
