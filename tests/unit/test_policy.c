/* Which addresses may be reached: our own listeners, what is never a target, and what lifts that. */
#include "loops.h"

#include "flow/inbound.h"
#include "flow/policy.h"
#include "flow/ruleset.h"
#include "tcp.h"

static struct ruleset ruleset;
static struct inbound inbound;
static struct addr listening[4];
static struct target_rule allowed[4], denied[4], users_allowed[4], users_denied[4];
static struct user_rights rights;

static int begin(void **state)
{
    (void)state;
    ruleset = (struct ruleset){.listening = listening};
    inbound = (struct inbound){
        .ruleset = &ruleset, .allow_targets.items = allowed, .deny_targets.items = denied};
    rights = (struct user_rights){.allow_targets.items = users_allowed,
                                  .deny_targets.items = users_denied};
    return 0;
}

static void listen_on(const char *ip, uint16_t port)
{
    listening[ruleset.n_listening++] = tcp_addr(ip, port);
}

static struct target_rule rule(const char *cidr, int port)
{
    struct target_rule rule = {.port_to = 65535, .has_port = port >= 0};
    assert_int_equal(cidr_parse(&rule.cidr, cidr, strlen(cidr)), ERR_NONE);
    if (port >= 0)
        rule.port_from = rule.port_to = (uint16_t)port;
    return rule;
}

static void allow(const char *cidr, int port)
{
    allowed[inbound.allow_targets.n++] = rule(cidr, port);
}

static void deny(const char *cidr, int port)
{
    denied[inbound.deny_targets.n++] = rule(cidr, port);
}

static void allow_user(const char *cidr, int port)
{
    users_allowed[rights.allow_targets.n++] = rule(cidr, port);
}

static void deny_user(const char *cidr, int port)
{
    users_denied[rights.deny_targets.n++] = rule(cidr, port);
}

static bool may_user_reach(const char *ip, uint16_t port)
{
    struct addr to = tcp_addr(ip, port);
    return policy_allows(&inbound, &rights, &to);
}

static bool may_reach(const char *ip, uint16_t port)
{
    struct addr to = tcp_addr(ip, port);
    return policy_allows(&inbound, NULL, &to);
}

static void without_rules_the_world_may_be_reached(void **state)
{
    (void)state;
    static const char *const targets[] = {"192.0.2.1", "10.0.0.1", "127.0.0.1", "2001:db8::1",
                                          "::1"};
    for (size_t i = 0; i < N_ITEMS(targets); i++)
        assert_true(may_reach(targets[i], 80));
}

static void what_is_no_host_is_never_a_target_unless_allowed(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "0.0.0.0", "0.1.2.3", "224.0.0.1",      "255.255.255.255",    "169.254.169.254",  "::",
        "ff02::1", "fe80::1", "::ffff:0.0.0.0", "::ffff:169.254.1.1", "::ffff:224.0.0.1",
    };
    for (size_t i = 0; i < N_ITEMS(targets); i++)
        assert_false(may_reach(targets[i], 80));
    allow("*", -1);
    for (size_t i = 0; i < N_ITEMS(targets); i++)
        assert_true(may_reach(targets[i], 80));
}

static void loopback_is_denied_only_where_others_can_reach_the_inbound(void **state)
{
    (void)state;
    static const char *const targets[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"};
    inbound.denies_loopback = true;
    for (size_t i = 0; i < N_ITEMS(targets); i++)
        assert_false(may_reach(targets[i], 80));
    assert_true(may_reach("192.0.2.1", 80));
    allow("127.0.0.1", 80);
    assert_true(may_reach("127.0.0.1", 80));
    assert_true(may_reach("::ffff:127.0.0.1", 80));
    assert_false(may_reach("127.0.0.1", 81));
    assert_false(may_reach("127.0.0.2", 80));
}

static void acc_73_our_own_listeners_are_denied(void **state)
{
    (void)state;
    listen_on("127.0.0.1", 1080);
    listen_on("::1", 1081);
    assert_false(may_reach("127.0.0.1", 1080));
    assert_false(may_reach("::ffff:127.0.0.1", 1080));
    assert_false(may_reach("::1", 1081));
    assert_true(may_reach("127.0.0.1", 1081));
    assert_true(may_reach("127.0.0.2", 1080));
    assert_true(may_reach("::1", 1080));
    assert_true(may_reach("192.0.2.1", 1080));
}

static void acc_73_a_wildcard_listener_stands_for_every_address_of_the_machine(void **state)
{
    (void)state;
    listen_on("0.0.0.0", 1080);
    static const char *const own[] = {"127.0.0.1", "127.8.7.6", "0.0.0.0", "::ffff:127.0.0.1"};
    for (size_t i = 0; i < N_ITEMS(own); i++) {
        assert_false(may_reach(own[i], 1080));
    }
    assert_true(may_reach("192.0.2.1", 1080));
    assert_true(may_reach("127.0.0.1", 80));
    assert_true(may_reach("::1", 1080));
    listen_on("::", 1080);
    assert_false(may_reach("::1", 1080));
    assert_true(may_reach("2001:db8::1", 1080));
}

static void acc_73_only_an_entry_with_the_port_lifts_that(void **state)
{
    (void)state;
    listen_on("127.0.0.1", 1080);
    listen_on("0.0.0.0", 1081);
    allow("*", -1);
    allow("127.0.0.0/8", -1);
    assert_false(may_reach("127.0.0.1", 1080));
    assert_false(may_reach("127.0.0.1", 1081));
    assert_false(may_reach("0.0.0.0", 1081));
    allow("127.0.0.0/8", 1080);
    assert_true(may_reach("127.0.0.1", 1080));
    assert_false(may_reach("127.0.0.1", 1081));
}

static void an_unspecified_target_is_no_way_round_to_our_own_listener(void **state)
{
    (void)state;
    listen_on("127.0.0.1", 1080);
    listen_on("::1", 1080);
    allow("*", -1);
    assert_false(may_reach("0.0.0.0", 1080));
    assert_false(may_reach("::", 1080));
    assert_true(may_reach("0.0.0.0", 1081));
}

static void denied_targets_are_denied_and_allowed_ones_lifted_from_it(void **state)
{
    (void)state;
    deny("10.0.0.0/8", -1);
    deny("*", 25);
    assert_false(may_reach("10.1.2.3", 80));
    assert_false(may_reach("::ffff:10.1.2.3", 80));
    assert_false(may_reach("192.0.2.1", 25));
    assert_true(may_reach("192.0.2.1", 26));
    allow("10.0.0.5", -1);
    assert_true(may_reach("10.0.0.5", 80));
    assert_true(may_reach("10.0.0.5", 25));
    assert_false(may_reach("10.0.0.6", 80));
}

static void a_white_list_is_all_denied_beside_what_is_allowed(void **state)
{
    (void)state;
    deny("*", -1);
    allow("192.0.2.0/24", 443);
    assert_true(may_reach("192.0.2.7", 443));
    assert_false(may_reach("192.0.2.7", 80));
    assert_false(may_reach("198.51.100.1", 443));
    assert_false(may_reach("2001:db8::1", 443));
}

#define EACH_ANEW(test) cmocka_unit_test_setup(test, begin)

static void a_users_rules_are_asked_before_the_inbounds(void **state)
{
    (void)state;
    deny("10.0.0.0/8", -1);
    allow("10.1.0.0/16", -1);
    assert_false(may_user_reach("10.2.0.1", 80)); /* without rules of his own */
    assert_true(may_user_reach("10.1.0.1", 80));
    allow_user("10.2.0.1", 80);
    deny_user("10.1.0.1", -1);
    assert_true(may_user_reach("10.2.0.1", 80));
    assert_false(may_user_reach("10.2.0.1", 81));
    assert_false(may_user_reach("::ffff:10.1.0.1", 80));
    assert_true(may_user_reach("10.1.0.2", 80));
    assert_true(may_reach("10.1.0.1", 80)); /* others' are as before */
    assert_false(may_reach("10.2.0.1", 80));
}

static void a_users_white_list_is_all_that_he_may_reach(void **state)
{
    (void)state;
    deny_user("*", -1);
    allow_user("192.0.2.1", 443);
    assert_true(may_user_reach("192.0.2.1", 443));
    assert_false(may_user_reach("192.0.2.1", 80));
    assert_false(may_user_reach("198.51.100.1", 443));
}

static void only_a_port_of_his_own_lets_a_user_reach_our_listeners(void **state)
{
    (void)state;
    listen_on("127.0.0.1", 1080);
    allow_user("*", -1);
    assert_false(may_user_reach("127.0.0.1", 1080));
    allow_user("127.0.0.1", 1080);
    assert_true(may_user_reach("127.0.0.1", 1080));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ANEW(without_rules_the_world_may_be_reached),
        EACH_ANEW(what_is_no_host_is_never_a_target_unless_allowed),
        EACH_ANEW(loopback_is_denied_only_where_others_can_reach_the_inbound),
        EACH_ANEW(acc_73_our_own_listeners_are_denied),
        EACH_ANEW(acc_73_a_wildcard_listener_stands_for_every_address_of_the_machine),
        EACH_ANEW(acc_73_only_an_entry_with_the_port_lifts_that),
        EACH_ANEW(an_unspecified_target_is_no_way_round_to_our_own_listener),
        EACH_ANEW(denied_targets_are_denied_and_allowed_ones_lifted_from_it),
        EACH_ANEW(a_white_list_is_all_denied_beside_what_is_allowed),
        EACH_ANEW(a_users_rules_are_asked_before_the_inbounds),
        EACH_ANEW(a_users_white_list_is_all_that_he_may_reach),
        EACH_ANEW(only_a_port_of_his_own_lets_a_user_reach_our_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
