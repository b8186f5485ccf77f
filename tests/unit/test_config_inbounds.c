/* Keys that only some types of inbounds have: relays, datagrams and BIND, unix sockets. */
#include "config_fixture.h"

static void a_relay_has_a_target(void **state)
{
    struct config *config = parse_good(
        "inbounds:\n"
        "- {type: relay, listen: 2222, target: \"192.0.2.5:22\"}\n"
        "- {type: relay, listen: 2223, target: \"[::ffff:192.0.2.5]:22\", outbound: out}\n"
        "- {type: relay, listen: 2224, target: ssh.example.com:22}\n"
        "- {type: relay, listen: '*:2225', target: \"[2001:db8::1]:22\", allow: '*'}\n"
        "outbounds: [{type: direct, name: out}]\n",
        NULL, 0);

    (void)state;
    assert_int_equal(config->inbounds[0].type, INBOUND_RELAY);
    assert_string_equal(config->inbounds[0].name, "relay-1");
    assert_target(&config->inbounds[0].target, "192.0.2.5:22");
    assert_false(config->inbounds[0].has_outbound);
    assert_false(config->inbounds[0].udp.enabled);
    assert_target(&config->inbounds[1].target, "192.0.2.5:22");
    assert_true(config->inbounds[1].has_outbound);
    assert_target(&config->inbounds[2].target, "ssh.example.com:22");
    assert_target(&config->inbounds[3].target, "[2001:db8::1]:22");
    config_free(config);
}

static void a_target_that_is_none_is_told(void **state)
{
#define RELAY(target) "inbounds: [{type: relay, listen: 1080, target: " target "}]\n"
#define EXPECTED \
    "s.yaml:1:48: target: expected \"host:port\", \"address:port\" or \"[address]:port\", found "
    static const struct bad bad[] = {
        {RELAY("'192.0.2.5'"), "s.yaml:1:48: target: \"192.0.2.5\" has no port; write "
                               "\"HOST:PORT\"\n"},
        {RELAY("example.com"), "s.yaml:1:48: target: \"example.com\" has no port; write "
                               "\"HOST:PORT\"\n"},
        {RELAY("'::1:22'"), "s.yaml:1:48: target: \"::1:22\" has no port; write "
                            "\"[ADDRESS]:PORT\"\n"},
        {RELAY("b\xc3\xbc.de:22"), "s.yaml:1:48: target: \"b\xc3\xbc.de:22\" is not ASCII; write "
                                   "such a name in punycode (xn--...)\n"},
        {RELAY("x:0"), EXPECTED "\"x:0\"\n"},
        {RELAY("x:65536"), EXPECTED "\"x:65536\"\n"},
        {RELAY("'127.1:22'"), EXPECTED "\"127.1:22\" in quotes\n"},
        {RELAY("'a b:22'"), EXPECTED "\"a b:22\" in quotes\n"},
        {RELAY("''"), EXPECTED "\"\" in quotes\n"},
        {RELAY("22"), EXPECTED "22\n"},
        {RELAY("['x:1']"), EXPECTED "a list\n"},
        {RELAY(""), "s.yaml:1:48: target: expected \"host:port\", \"address:port\" or "
                    "\"[address]:port\", found nothing\n"},
        {"inbounds: [{type: relay, listen: 1080}]",
         "s.yaml:1:12: the key \"target\" is missing in an inbound; for example target: "
         "\"192.0.2.5:22\"\n"},
        {"inbounds: [{type: relay, listen: 1080, targets: x}]",
         "s.yaml:1:40: unknown key \"targets\" in an inbound; did you mean \"target\"?\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
#undef RELAY
#undef EXPECTED
}

static void a_relay_open_to_the_network_is_refused_with_a_remedy(void **state)
{
    static const struct bad bad = {
        "inbounds: [{type: relay, listen: '0.0.0.0:1', target: 'x:1'}]",
        "s.yaml:1:34: anybody who reaches this address would reach the target: add allow with the "
        "addresses of its clients (allow: [\"*\"] if it is for everybody)\n"};

    (void)state;
    assert_all_refused(&bad, 1, NULL, 0);
}

static void a_relay_to_itself_is_told(void **state)
{
#define ITSELF "target: this relay listens there itself: it would connect to itself without end\n"
    static const struct bad bad[] = {
        {"inbounds: [{type: relay, listen: 22, target: '127.0.0.1:22'}]", "s.yaml:1:46: " ITSELF},
        {"inbounds: [{type: relay, listen: 22, target: 'localhost:22'}]", "s.yaml:1:46: " ITSELF},
        {"inbounds: [{type: relay, listen: '*:22', allow: '*', target: '[::1]:22'}]",
         "s.yaml:1:62: " ITSELF},
        {"inbounds: [{type: relay, listen: ['unix:/a', '192.0.2.1:22'], allow: '*',\n"
         "target: '192.0.2.1:22'}]",
         "s.yaml:2:9: " ITSELF},
        {"inbounds: [{type: relay, name: a, listen: 22, target: '127.0.0.1:23'},\n"
         "{type: relay, name: b, listen: 23, target: 'localhost:24', outbound: direct},\n"
         "{type: relay, name: c, listen: 24, target: '127.0.0.1:23'}]",
         "s.yaml:2:44: target: the relay \"c\" listens there, which leads back to this one without "
         "end\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
    config_free(parse_good("inbounds: [{type: relay, listen: ['*:22', 'unix:/a'], allow: '*',\n"
                           "target: '192.0.2.1:22'}, {type: relay, listen: 23, target: "
                           "'127.0.0.2:23'}, {type: relay, listen: 24, target: 'localhost:22'}]",
                           NULL, 0));
    /* At the far end of an upstream the address is another machine's. */
    config_free(parse_good("inbounds: [{type: relay, listen: 22, target: 'localhost:22'},\n"
                           "{type: relay, listen: 23, target: '[::1]:23', outbound: office}]\n"
                           "outbounds: [{type: http, name: office, server: 'x:1'}]",
                           NULL, 0));
    config_free(parse_good("inbounds: [{type: relay, listen: 22, target: 'localhost:22'}]\n"
                           "routes: ['DOMAIN,localhost,office']\n"
                           "outbounds: [{type: direct, name: out},\n"
                           "{type: http, name: office, server: 'x:1'}]",
                           NULL, 0));
#undef ITSELF
}

static void a_key_of_another_type_is_told(void **state)
{
    static const struct bad bad[] = {
        {"inbounds: [{type: relay, listen: 1080, target: 'x:1', users: [], users_file: u,\n"
         "udp: {}, bind: {}}]",
         "s.yaml:1:55: the key \"users\" does not belong in an inbound of type relay; it is for "
         "socks, http, mixed or tunnel\n"
         "s.yaml:1:66: the key \"users_file\" does not belong in an inbound of type relay; it is "
         "for socks, http, mixed or tunnel\n"
         "s.yaml:2:1: the key \"udp\" does not belong in an inbound of type relay; it is for "
         "socks, "
         "mixed or tunnel\n"
         "s.yaml:2:10: the key \"bind\" does not belong in an inbound of type relay; it is for "
         "socks or mixed\n"},
        {"inbounds: [{target: 'x:1', type: http, listen: 1080, bind: {}}]",
         "s.yaml:1:13: the key \"target\" does not belong in an inbound of type http; it is for "
         "relay or tunnel\n"
         "s.yaml:1:54: the key \"bind\" does not belong in an inbound of type http; it is for "
         "socks or mixed\n"},
        /* Where the type is not known, only what is wrong whatever the type. */
        {"inbounds: [{type: htp, listen: 1080, target: 'x:1', udp: {}, users: 1}]",
         "s.yaml:1:19: type: expected socks, http, mixed, relay or tunnel, found \"htp\"; did you "
         "mean "
         "http?\n"
         "s.yaml:1:69: users: expected a list of mappings, found a number, true or false\n"},
        {"inbounds: [{listen: 1080}]",
         "s.yaml:1:12: the key \"type\" is missing in an inbound; for example type: mixed\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static void datagrams_and_bind_have_ports_and_an_address(void **state)
{
    struct config *config = parse_good(
        "inbounds:\n"
        "- {type: socks, listen: 1080, udp: {ports: 40000-40009, advertise: 192.0.2.1}}\n"
        "- {type: mixed, listen: 1081, udp: {enabled: false, ports: '53'},\n"
        "   bind: {enabled: true, ports: 65535, advertise: '::ffff:192.0.2.2'}}\n"
        "- {type: mixed, listen: 1082, udp: {ports: 0}, bind: {advertise: '2001:db8::1'}}\n"
        "- {type: http, listen: 1083}\n",
        NULL, 0);
    const struct config_inbound *in = config->inbounds;

    (void)state;
    assert_true(in[0].udp.enabled);
    assert_int_equal(in[0].udp.ports.from, 40000);
    assert_int_equal(in[0].udp.ports.to, 40009);
    assert_addr(&in[0].udp.advertise, "192.0.2.1");
    assert_false(in[0].bind.enabled);
    assert_int_equal(in[0].bind.advertise.family, ADDR_NONE);
    assert_false(in[1].udp.enabled);
    assert_int_equal(in[1].udp.ports.from, 53);
    assert_int_equal(in[1].udp.ports.to, 53);
    assert_true(in[1].bind.enabled);
    assert_int_equal(in[1].bind.ports.to, 65535);
    assert_addr(&in[1].bind.advertise, "192.0.2.2");
    assert_true(in[2].udp.enabled);
    assert_int_equal(in[2].udp.ports.from, 0);
    assert_int_equal(in[2].udp.ports.to, 0);
    assert_false(in[2].bind.enabled);
    assert_addr(&in[2].bind.advertise, "2001:db8::1");
    assert_false(in[3].udp.enabled);
    assert_false(in[3].bind.enabled);
    config_free(config);
}

static void ports_and_addresses_that_are_none_are_told(void **state)
{
#define UDP(keys) "inbounds: [{type: mixed, listen: 1080, udp: {" keys "}}]\n"
#define PORTS "s.yaml:1:53: ports: expected a port, ports such as \"40000-40009\", or 0 for any, "
#define ADDRESS \
    "s.yaml:1:57: advertise: expected an IP address that clients can reach, without a port, "
    static const struct bad bad[] = {
        {UDP("ports: 9-5"), PORTS "found \"9-5\"\n"},
        {UDP("ports: 0-5"), PORTS "found \"0-5\"\n"},
        {UDP("ports: 5-"), PORTS "found \"5-\"\n"},
        {UDP("ports: 1-65536"), PORTS "found \"1-65536\"\n"},
        {UDP("ports: 05"), PORTS "found 05\n"},
        {UDP("ports: [1]"), PORTS "found a list\n"},
        {UDP("advertise: 0.0.0.0"), ADDRESS "found \"0.0.0.0\"\n"},
        {UDP("advertise: '::'"), ADDRESS "found \"::\" in quotes\n"},
        {UDP("advertise: 224.0.0.1"), ADDRESS "found \"224.0.0.1\"\n"},
        {UDP("advertise: '192.0.2.1:5'"), ADDRESS "found \"192.0.2.1:5\" in quotes\n"},
        {UDP("advertise: 'fe80::1%2'"), ADDRESS "found \"fe80::1%2\" in quotes\n"},
        {UDP("advertise: example.com"), ADDRESS "found \"example.com\"\n"},
        {UDP("port: 5"), "s.yaml:1:46: unknown key \"port\" in udp; did you mean \"ports\"?\n"},
        {"inbounds: [{type: mixed, listen: 1080, bind: true}]",
         "s.yaml:1:46: bind: expected a mapping of keys to values, found true\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
#undef UDP
#undef PORTS
#undef ADDRESS
}

#define TEN "0123456789"
#define LONGEST TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "012345" /* and a slash: 107 bytes */

static void unix_sockets_are_listened_on(void **state)
{
    struct config *config = parse_good(
        "inbounds: [{type: mixed, listen: ['unix:/run/s.sock', 1080, 'unix:/" LONGEST "']}]\n",
        NULL, 0);
    const struct config_inbound *inbound = &config->inbounds[0];

    (void)state;
    assert_int_equal(inbound->n_listens, 4);
    assert_string_equal(inbound->listens[0].path, "/run/s.sock");
    assert_int_equal(inbound->listens[0].addr.family, ADDR_NONE);
    assert_false(inbound->listens[0].optional);
    assert_null(inbound->listens[1].path);
    assert_int_equal(strlen(inbound->listens[3].path), 107);
    assert_false(inbound->is_exposed);
    config_free(config);
}

static void unix_sockets_that_are_none_are_told(void **state)
{
    static const struct bad bad[] = {
        {"inbounds: [{type: http, listen: ['unix:s.sock', 'unix:', unix:@x, 'unix:/" LONGEST
         "6']}]",
         "s.yaml:1:34: listen: a unix socket needs an absolute path, such as "
         "\"unix:/run/x.sock\"\n"
         "s.yaml:1:49: listen: a unix socket needs an absolute path, such as "
         "\"unix:/run/x.sock\"\n"
         "s.yaml:1:58: listen: a unix socket needs an absolute path, such as "
         "\"unix:/run/x.sock\"\n"
         "s.yaml:1:67: listen: the path of a unix socket has up to 107 bytes, this one has 108\n"},
        {"inbounds:\n- {type: http, listen: 'unix:/a'}\n- {type: socks, listen: ['unix:/b', "
         "'unix:/a', '0.0.0.0:1', 'unix:/b'], allow: '*'}",
         "s.yaml:3:37: this unix socket is already listened on in line 2\n"
         "s.yaml:3:61: this unix socket is already listened on in line 3\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static void inbounds_print_as_themselves(void **state)
{
    (void)state;
    assert_prints_as_itself(
        "inbounds:\n"
        "- {type: relay, listen: ['unix:/a', 2222], target: '[::1]:22'}\n"
        "- {type: mixed, listen: 1080, udp: {enabled: false, ports: 5-6, advertise: '::1'},\n"
        "   bind: {enabled: true, ports: 7}, outbound: block}\n",
        NULL, 0);
}

static void acc_78_json_has_the_new_keys_too(void **state)
{
    static const struct text_file files[] = {{"u", "ann:$1$x", 0, ERR_NONE},
                                             {"p", "hunter2\n", 0, ERR_NONE},
                                             {"d", "example.com\n", 0, ERR_NONE}};
    static const char text[] =
        "{\"inbounds\": [{\"type\": \"mixed\", \"listen\": [\"unix:/a\", 1080],\n"
        "  \"users_file\": \"u\", \"udp\": {\"enabled\": true, \"ports\": \"5-6\"},\n"
        "  \"bind\": {\"enabled\": true, \"advertise\": \"192.0.2.1\"}},\n"
        " {\"type\": \"relay\", \"listen\": 2222, \"target\": \"x:22\"}],\n"
        " \"outbounds\": [{\"type\": \"direct\", \"name\": \"d\", \"bind\": [\"192.0.2.1\"],\n"
        "  \"interface\": \"eth0\", \"fwmark\": 1, \"fast_open\": true},\n"
        " {\"type\": \"socks\", \"name\": \"s\", \"server\": \"x:1080\", \"username\": \"u\",\n"
        "  \"password_file\": \"p\", \"via\": \"d\"}],\n"
        " \"routes\": [\"DOMAIN-SET,d,s\", \"IP-CIDR,10.0.0.0/8,d,resolve\", \"MATCH,s\"]}\n";
    struct config *config = parse_good(text, files, N_ITEMS(files));
    static const struct bad bad[] = {
        {"{\"inbounds\": [{\"type\": \"relay\", \"listen\": 1080,\n  \"target\": 5}]}",
         "s.yaml:2:13: target: expected \"host:port\", \"address:port\" or \"[address]:port\", "
         "found 5\n"},
        {"{\"inbounds\": [{\"type\": \"mixed\", \"listen\": 1080}],\n \"routes\": [\n"
         "  \"DOMAIN,a,block\",\n  \"DOMAIN,a b,block\"]}",
         "s.yaml:4:3: routes: \"a b\" holds a character that no domain has\n"},
    };

    (void)state;
    assert_int_equal(config->inbounds[0].n_users, 1);
    assert_string_equal(config->outbounds[1].password, "hunter2");
    assert_int_equal(config->n_rules, 3);
    assert_int_equal(config->n_files, 3);
    config_free(config);
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_relay_has_a_target),
        cmocka_unit_test(a_target_that_is_none_is_told),
        cmocka_unit_test(a_relay_open_to_the_network_is_refused_with_a_remedy),
        cmocka_unit_test(a_relay_to_itself_is_told),
        cmocka_unit_test(a_key_of_another_type_is_told),
        cmocka_unit_test(datagrams_and_bind_have_ports_and_an_address),
        cmocka_unit_test(ports_and_addresses_that_are_none_are_told),
        cmocka_unit_test(unix_sockets_are_listened_on),
        cmocka_unit_test(unix_sockets_that_are_none_are_told),
        cmocka_unit_test(inbounds_print_as_themselves),
        cmocka_unit_test(acc_78_json_has_the_new_keys_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
