/* Reverse: what the far end of a tunnel listens on, as both ends write it. */
#include "config_fixture.h"

#define KEY "QUJDREVGR0hJSktMTU5PUA=="
#define FAR(list) \
    "inbounds: [{type: tunnel, listen: 4194, key: " KEY ", allow_reverse: " list "}]\n"
#define NEAR(keys)                               \
    "inbounds: [{listen_via: home, " keys "}]\n" \
    "outbounds: [{type: tunnel, name: home, server: '192.0.2.5:4194', key: " KEY "}]\n"

static void assert_rule(const struct target_rule *rule, const char *at, uint8_t bits, uint16_t from,
                        uint16_t to)
{
    struct cidr cidr = {0};
    struct addr addr;

    assert_int_equal(addr_parse_ip(&addr, at, strlen(at)), ERR_NONE);
    cidr.family = addr.family;
    cidr.prefix_bits = bits;
    memcpy(cidr.ip, addr.ip, sizeof cidr.ip);
    assert_int_equal(rule->cidr.family, cidr.family);
    assert_int_equal(rule->cidr.prefix_bits, bits);
    assert_memory_equal(rule->cidr.ip, cidr.ip, sizeof cidr.ip);
    assert_true(rule->has_port);
    assert_int_equal(rule->port_from, from);
    assert_int_equal(rule->port_to, to);
}

static void a_far_end_allows_nothing_unless_it_says_so(void **state)
{
    struct config *config =
        parse_good("inbounds: [{type: tunnel, listen: 4194, key: " KEY "}]\n", NULL, 0);

    (void)state;
    assert_int_equal(config->inbounds[0].allow_reverse.n, 0);
    config_free(config);
}

static void what_may_be_listened_on_is_written_in_many_ways(void **state)
{
    struct config *config = parse_good(
        FAR("[8888, '9000-9010', '192.0.2.7:80', '0.0.0.0:81', '[::]:82', '[2001:db8::1]:83-84', "
            "'*:85']"),
        NULL, 0);
    const struct config_target_rules *rules = &config->inbounds[0].allow_reverse;

    (void)state;
    assert_int_equal(rules->n, 9);
    assert_rule(&rules->items[0], "127.0.0.1", 32, 8888, 8888);
    assert_rule(&rules->items[1], "::1", 128, 8888, 8888);
    assert_rule(&rules->items[2], "127.0.0.1", 32, 9000, 9010);
    assert_rule(&rules->items[4], "192.0.2.7", 32, 80, 80);
    assert_rule(&rules->items[5], "0.0.0.0", 0, 81, 81);
    assert_rule(&rules->items[6], "::", 0, 82, 82);
    assert_rule(&rules->items[7], "2001:db8::1", 128, 83, 84);
    assert_int_equal(rules->items[8].cidr.family, ADDR_NONE);
    assert_int_equal(rules->items[8].port_from, 85);
    config_free(config);
}

#define EXPECTED                                                                                  \
    "expected ports on loopback such as \"8080\" or \"8000-8010\", an address with them such as " \
    "\"0.0.0.0:8080\" or \"*:8000-8010\", or a list of them, found "

static void what_could_not_be_meant_is_refused(void **state)
{
    static const struct bad bad[] = {
        {FAR("192.0.2.7"), "s.yaml:1:87: allow_reverse: " EXPECTED "\"192.0.2.7\"\n"},
        {FAR("'*'"), "s.yaml:1:87: allow_reverse: " EXPECTED "\"*\" in quotes\n"},
        {FAR("x"), "s.yaml:1:87: allow_reverse: " EXPECTED "\"x\"\n"},
        {FAR("70000"), "s.yaml:1:87: allow_reverse: " EXPECTED "70000\n"},
        {"inbounds: [{type: mixed, listen: 1080, allow_reverse: 80}]",
         "s.yaml:1:40: the key \"allow_reverse\" does not belong in an inbound of type mixed; it "
         "is "
         "for tunnel\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static void an_inbound_may_be_listened_for_by_a_far_end(void **state)
{
    struct config *config = parse_good(
        "inbounds:\n"
        "  - {type: mixed, listen: 8080}\n"
        "  - {type: relay, name: rdp, listen_via: home, listen: '0.0.0.0:8888', allow: ['*'], "
        "target: '127.0.0.1:3389'}\n"
        "  - {type: socks, listen_via: home, listen: 8080}\n" /* the same, elsewhere */
        "  - {type: socks, listen_via: away, listen: 8080}\n" /* and there */
        "outbounds:\n"
        "  - {type: tunnel, name: home, server: '192.0.2.5:4194', key: " KEY "}\n"
        "  - {type: tunnel, name: away, server: '192.0.2.6:4194', key: " KEY "}\n",
        NULL, 0);

    (void)state;
    assert_false(config->inbounds[0].has_listen_via);
    assert_true(config->inbounds[1].has_listen_via);
    assert_int_equal(config->inbounds[1].listen_via, 0);
    assert_int_equal(config->inbounds[3].listen_via, 1);
    /* Who comes so comes from anywhere, whatever the address. */
    assert_true(config->inbounds[2].is_exposed);
    config_free(config);
}

static void acc_42_what_would_be_open_to_all_at_the_far_end_is_refused(void **state)
{
    static const struct bad bad[] = {
        {NEAR("type: relay, listen: '0.0.0.0:8888', target: '127.0.0.1:3389'"),
         "s.yaml:1:52: anybody who reaches this address would reach the target: add allow with the "
         "addresses of its clients (allow: [\"*\"] if it is for everybody)\n"},
        {NEAR("type: socks, listen: '*:8888'"),
         "s.yaml:1:52: anybody who reaches this address could use the proxy: add users, or allow "
         "with the addresses of its clients (allow: [\"*\"] if it is for everybody)\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
    config_free(parse_good(NEAR("type: socks, listen: '*:8888', users: [{name: a, password: b}]"),
                           NULL, 0));
    config_free(parse_good(NEAR("type: socks, listen: 8888"), NULL, 0));
}

static void what_a_far_end_cannot_do_is_refused(void **state)
{
    static const struct bad bad[] = {
        {NEAR("type: socks, listen: 'unix:/run/x'"),
         "s.yaml:1:52: listen: with listen_via it is an address of the far end's machine, not a "
         "unix socket\n"},
        {NEAR("type: socks, listen: 0"),
         "s.yaml:1:52: listen: with listen_via the port cannot be 0: write the one that the far "
         "end's allow_reverse names\n"},
        {NEAR("type: socks, listen: 1, reuse_port: true"),
         "s.yaml:1:55: reuse_port: with listen_via the far end listens, which shares no port\n"},
        {NEAR("type: socks, listen: 1, udp: {ports: 5000}, bind: {enabled: true}"),
         "s.yaml:1:61: udp: with listen_via clients send to the far end: \"ports\" is for its "
         "tunnel inbound to say\n"
         "s.yaml:1:75: bind: with listen_via it needs advertise, the address of this machine that "
         "peers are to connect to\n"},
        {NEAR("type: mixed, listen: 1, udp: {advertise: 192.0.2.1}"),
         "s.yaml:1:61: udp: with listen_via clients send to the far end: \"advertise\" is for its "
         "tunnel inbound to say\n"},
        {NEAR("type: relay, listen: 1"),
         "s.yaml:1:12: the key \"target\" is missing in an inbound; for example target: "
         "\"192.0.2.5:22\"\n"},
        {"inbounds: [{type: socks, listen: 1, listen_via: direct}]",
         "s.yaml:1:49: listen_via: it must name an outbound of type tunnel, by whose far end this "
         "is listened for\n"},
        {"inbounds: [{type: socks, listen: 1, listen_via: hom}]\n"
         "outbounds: [{type: tunnel, name: home, server: 'x:1', key: " KEY "}]\n",
         "s.yaml:1:49: there is no outbound named \"hom\"; did you mean \"home\"?\n"},
        {"inbounds: [{type: socks, listen: 7, listen_via: home}, {type: http, listen: 7, "
         "listen_via: home}]\n"
         "outbounds: [{type: tunnel, name: home, server: 'x:1', key: " KEY "}]\n",
         "s.yaml:1:77: 127.0.0.1:7 is already listened on in line 1\n"
         "s.yaml:1:77: [::1]:7 is already listened on in line 1\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static void datagrams_go_to_the_far_end_and_bind_waits_here(void **state)
{
    (void)state;
    struct config *config = parse_good(
        NEAR("type: socks, listen: 1, bind: {enabled: true, advertise: 192.0.2.1}"), NULL, 0);
    assert_true(config->inbounds[0].udp.enabled);
    assert_true(config->inbounds[0].bind.enabled);
    config_free(config);
    config =
        parse_good("inbounds: [{type: tunnel, listen: 4194, key: " KEY
                   ", allow_reverse: [1], udp: {ports: '40000-40009', advertise: 192.0.2.1}}]\n",
                   NULL, 0);
    assert_int_equal(config->inbounds[0].udp.ports.from, 40000);
    assert_int_equal(config->inbounds[0].udp.ports.to, 40009);
    assert_int_equal(config->inbounds[0].udp.advertise.family, ADDR_V4);
    config_free(config);
}

static void a_tunnel_has_64_addresses_at_most(void **state)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text,
                                "inbounds: [{listen_via: home, type: socks, listen: [1");
    static struct said said;
    struct config *config;

    for (int port = 2; port <= 33; port++)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %d", port);
    snprintf(text + n, sizeof text - n,
             "]}]\noutbounds: [{type: tunnel, name: home, server: 'x:1', key: " KEY "}]\n");
    (void)state;
    assert_int_equal(parse_among(&config, &said, "s.yaml", text, NULL, 0), ERR_BAD);
    assert_string_equal(said.text,
                        "s.yaml:1:52: listen: more than 64 addresses by the tunnel home\n");
}

static void it_prints_as_itself(void **state)
{
    static const struct text_file files[] = {{"k", KEY "\n", 0, ERR_NONE}};

    (void)state;
    assert_prints_as_itself("inbounds: [{type: tunnel, listen: 4194, key_file: k, allow_reverse: "
                            "['127.0.0.1:80-90', '*:81', '[::1]:82', 83]}]\n",
                            files, N_ITEMS(files));
    assert_prints_as_itself("inbounds: [{type: socks, listen: 8888, listen_via: home}]\n"
                            "outbounds: [{type: tunnel, name: home, server: 'x:1', key_file: k}]\n",
                            files, N_ITEMS(files));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_far_end_allows_nothing_unless_it_says_so),
        cmocka_unit_test(what_may_be_listened_on_is_written_in_many_ways),
        cmocka_unit_test(what_could_not_be_meant_is_refused),
        cmocka_unit_test(an_inbound_may_be_listened_for_by_a_far_end),
        cmocka_unit_test(acc_42_what_would_be_open_to_all_at_the_far_end_is_refused),
        cmocka_unit_test(what_a_far_end_cannot_do_is_refused),
        cmocka_unit_test(datagrams_go_to_the_far_end_and_bind_waits_here),
        cmocka_unit_test(a_tunnel_has_64_addresses_at_most),
        cmocka_unit_test(it_prints_as_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
