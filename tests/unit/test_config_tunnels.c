/* Tunnels: what opens them, and what they may be told. */
#include "config_fixture.h"

#define KEY16 "QUJDREVGR0hJSktMTU5PUA=="
#define KEY24 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
#define KEY32 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
#define BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"

#define OUT(list) GOOD "outbounds: [" list "]\n"

#define TUNNEL(keys) "inbounds: [{type: tunnel, listen: 4194, " keys "}]\n"
#define LENGTHS "a key has 16, 24 or 32 bytes (128, 192 or 256 bits), this one has "
#define NOT_BASE64 "this is not base64 with its padding; `sockeye keygen` makes a key\n"

#define OTHER16 "MDEyMzQ1Njc4OWFiY2RlZg=="
#define OTHER32 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

#define PRIVATE "-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----\n"
#define PUBLIC(body) "-----BEGIN PUBLIC KEY-----\n" body "\n-----END PUBLIC KEY-----\n"

static const struct text_file files[] = {
    {"k", KEY32 "\n", 0, ERR_NONE},
    {"bom", "\xef\xbb\xbf" KEY16 " \r\n\n", 0, ERR_NONE},
    {"short", "QUJD\n", 0, ERR_NONE},
    {"empty", "\n \r\n", 0, ERR_NONE},
    {"two", "\n" KEY32 "\n" KEY16 " \n", 0, ERR_NONE},
    {"same", KEY16 "\n" KEY16 "\n", 0, ERR_NONE},
    {"pair", KEY32 ":" KEY24 "\n", 0, ERR_NONE},
    {"guests", "# ours\ncarl:" KEY24 "\n\ndora:" KEY32 "\n", 0, ERR_NONE},
    {"wrong",
     "carl:QUJD\ndora:" KEY16 "\nbob:" KEY24 "\nemil:" OTHER16 "\nfay:" KEY32
     "\ngus:hunter2\nnobody\n",
     0, ERR_NONE},
    {"own.key", PRIVATE, 0, ERR_NONE},
    {"ann.pub", PUBLIC("QQ=="), 0, ERR_NONE},
    {"bob.pub", PUBLIC("Qg=="), 0, ERR_NONE},
    {"ann2.pub", PUBLIC("\r\n  Q\r\nQ==\r\n"), 0, ERR_NONE},
    {"locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nA\n-----END ENCRYPTED PRIVATE KEY-----",
     0, ERR_NONE},
    {"no.pem", "hunter2", 0, ERR_NONE},
    {"zero.pub", "\0" PUBLIC("QQ=="), sizeof PUBLIC("QQ=="), ERR_NONE},
};

static void acc_77_keys_have_three_lengths(void **state)
{
    struct config *config = parse_good("inbounds:\n"
                                       "- {type: tunnel, listen: '*:4194', key: " KEY16 "}\n"
                                       "- {type: tunnel, listen: 1, key: '" KEY24 "'}\n"
                                       "- {type: tunnel, listen: 2, key: " KEY32 "}\n"
                                       "- {type: tunnel, listen: 3, key_file: k}\n"
                                       "- {type: tunnel, listen: 4, key_file: bom}\n",
                                       files, N_ITEMS(files));
    static const uint8_t n_bytes[] = {16, 24, 32, 32, 16};

    (void)state;
    for (size_t i = 0; i < N_ITEMS(n_bytes); i++) {
        const struct config_inbound *inbound = &config->inbounds[i];
        assert_int_equal(inbound->type, INBOUND_TUNNEL);
        assert_int_equal(inbound->keys[0].n_bytes, n_bytes[i]);
        assert_memory_equal(inbound->keys[0].bytes, BYTES, n_bytes[i]);
        assert_true(inbound->is_exposed);
        assert_int_equal(inbound->target.addr.port, 0);
        assert_int_equal(inbound->early_data, EARLY_NONE);
        assert_int_equal(inbound->keep_s, 600);
        assert_int_equal(inbound->clock_skew_s, 60);
    }
    assert_string_equal(config->inbounds[0].name, "tunnel-1");
    assert_null(config->inbounds[0].key_file);
    assert_string_equal(config->inbounds[3].key_file, "k");
    config_free(config);
}

static void acc_77_a_wrong_key_is_refused_by_name(void **state)
{
    static const struct bad bad[] = {
        {TUNNEL("key: QUJD"), "s.yaml:1:46: key: " LENGTHS "3\n"},
        {TUNNEL("key: ''"), "s.yaml:1:46: key: " LENGTHS "0\n"},
        {TUNNEL("key: QUJDREVGR0hJSktMTU5PUFE="), "s.yaml:1:46: key: " LENGTHS "17\n"},
        {TUNNEL("key: " KEY24 KEY32), "s.yaml:1:46: key: " LENGTHS "56\n"},
        {TUNNEL("key: " KEY24 KEY24 KEY24 KEY24 KEY32), "s.yaml:1:46: key: " LENGTHS "more\n"},
        {TUNNEL("key: QUJDREVGR0hJSktMTU5PUA"), "s.yaml:1:46: key: " NOT_BASE64},
        {TUNNEL("key: QUJDREVGR0hJSktMTU5PUB=="), "s.yaml:1:46: key: " NOT_BASE64},
        {TUNNEL("key: 'QUJDREVGR0hJSktMTU5PU_=='"), "s.yaml:1:46: key: " NOT_BASE64},
        {TUNNEL("key: '${SECRET}'"), "s.yaml:1:46: key: " NOT_BASE64},
        {TUNNEL("key: " KEY16 ":" KEY16),
         "s.yaml:1:46: key: SERVER:USER is what a client has; here the server's key stands alone, "
         "and users have theirs in users or users_file\n"},
        {TUNNEL("key: [" KEY16 ", QUJD]"), "s.yaml:1:73: key: " LENGTHS "3\n"},
        {TUNNEL("key: [" KEY16 ", " KEY16 "]"), "s.yaml:1:73: key: the same key twice\n"},
        {TUNNEL("key: []"), "s.yaml:1:46: key: expected 1 to 4 entries, found 0\n"},
        {TUNNEL("key_file: same"), "s.yaml:1:51: key_file: the same key twice\n"},
        {TUNNEL("key: 12345678"), "s.yaml:1:46: key: expected a text, found a number, true or "
                                  "false; put it in quotes\n"},
        {TUNNEL("key: {a: b}"),
         "s.yaml:1:46: key: expected a text, or a list of them, found a mapping\n"},
        {TUNNEL("key_file: short"), "s.yaml:1:51: key_file: " LENGTHS "3\n"},
        {TUNNEL("key_file: empty"), "s.yaml:1:51: key_file: expected a key in its first line\n"},
        {TUNNEL("key_file: own.key"), "s.yaml:1:51: key_file: " NOT_BASE64},
        {TUNNEL("key_file: none"), "s.yaml:1:51: key_file: \"none\": there is no such file\n"},
        {TUNNEL("key: " KEY16 ", key_file: k"),
         "s.yaml:1:72: key and key_file: expected one of them\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', key: QUJD}"),
         "s.yaml:2:57: key: " LENGTHS "3\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), files, N_ITEMS(files));
}

static void a_server_may_have_several_keys(void **state)
{
    struct config *config = parse_good("inbounds:\n"
                                       "- {type: tunnel, listen: 1, key: [" KEY32 ", " KEY16 "]}\n"
                                       "- {type: tunnel, listen: 2, key_file: two}\n",
                                       files, N_ITEMS(files));

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct config_inbound *inbound = &config->inbounds[i];
        assert_int_equal(inbound->n_keys, 2);
        assert_int_equal(inbound->keys[0].n_bytes, 32);
        assert_int_equal(inbound->keys[1].n_bytes, 16);
        assert_memory_equal(inbound->keys[1].bytes, BYTES, 16);
    }
    config_free(config);
}

static void a_client_has_the_servers_key_and_its_own(void **state)
{
    struct config *config =
        parse_good(OUT("{type: tunnel, name: a, server: 'x:1', key: '" KEY32 ":" KEY24 "'},\n"
                       "{type: tunnel, name: b, server: 'x:1', key_file: pair},\n"
                       "{type: tunnel, name: c, server: 'x:1', key: " KEY16 "}"),
                   files, N_ITEMS(files));

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(config->outbounds[i].key.n_bytes, 32);
        assert_int_equal(config->outbounds[i].user_key.n_bytes, 24);
        assert_memory_equal(config->outbounds[i].user_key.bytes, BYTES, 24);
    }
    assert_int_equal(config->outbounds[2].user_key.n_bytes, 0);
    config_free(config);
}

static void users_have_keys_and_rights(void **state)
{
    struct config *config = parse_good(
        TUNNEL(
            "key: " KEY16 ", users_file: guests, users: [{name: ann, key: " OTHER16 "},\n"
            "{name: bob, key: " OTHER32 ", allow: 192.0.2.0/24, allow_targets: '10.0.0.1:22',\n"
            "deny_targets: '*', allow_reverse: [8080, '*:9000-9010', '[::]:53'], per_client: 3,\n"
            "sessions: 2}]"),
        files, N_ITEMS(files));
    static const char *const names[] = {"ann", "bob", "carl", "dora"};
    static const char *const keys[] = {OTHER16, OTHER32, KEY24, KEY32};
    const struct config_inbound *inbound = &config->inbounds[0];

    (void)state;
    assert_true(inbound->has_users);
    assert_int_equal(inbound->n_tunnel_users, 2);
    assert_int_equal(inbound->n_users, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(inbound->users[i].name, names[i]);
        assert_string_equal(inbound->users[i].password, keys[i]);
    }
    const struct config_tunnel_user *ann = &inbound->tunnel_users[0], *bob = ann + 1;
    assert_int_equal(ann->allow.n + ann->allow_targets.n + ann->deny_targets.n, 0);
    assert_int_equal(ann->allow_reverse.n + ann->per_client + ann->sessions, 0);
    assert_int_equal(bob->allow.n, 1);
    assert_int_equal(bob->allow_targets.n, 1);
    assert_int_equal(bob->deny_targets.n, 1);
    assert_int_equal(bob->per_client, 3);
    assert_int_equal(bob->sessions, 2);
    assert_int_equal(bob->allow_reverse.n, 4); /* a bare port is that of both loopbacks */
    for (size_t i = 0; i < 4; i++)
        assert_true(bob->allow_reverse.items[i].has_port);
    assert_int_equal(bob->allow_reverse.items[1].cidr.family, ADDR_V6);
    assert_int_equal(bob->allow_reverse.items[1].port_from, 8080);
    assert_int_equal(bob->allow_reverse.items[2].port_to, 9010);
    config_free(config);
}

static void users_that_are_wrong_are_named(void **state)
{
#define WITH_USERS(list) TUNNEL("key: " KEY16 ", users: [" list "]")
#define UNTOLD "who of them came could not be told\n"
    static const struct bad bad[] = {
        {WITH_USERS("{name: ann, key: QUJD}"),
         "s.yaml:1:97: the key of the user \"ann\": " LENGTHS "3\n"},
        {WITH_USERS("{name: ann, key: hunter2}"),
         "s.yaml:1:97: the key of the user \"ann\": " NOT_BASE64},
        {WITH_USERS("{name: ann, key: " KEY16 "}"),
         "s.yaml:1:97: the key of the user \"ann\": this is the server's own key, which all its "
         "users have\n"},
        {WITH_USERS("{name: ann}"), "s.yaml:1:80: the key \"key\" is missing in a user\n"},
        {WITH_USERS("{name: ann, key: " KEY32 "},\n{name: ann, key: " KEY24 "}"),
         "s.yaml:2:8: the user \"ann\" is already used in line 1\n"},
        {WITH_USERS("{name: ann, key: " KEY32 "},\n{name: bob, key: " KEY32 "}"),
         "s.yaml:2:18: the user \"bob\" has the key of \"ann\", in line 1: " UNTOLD},
        {WITH_USERS("{name: 'a:b', key: " KEY32 "}"),
         "s.yaml:1:87: a user's name cannot hold \":\", as a users_file ends it there\n"},
        {WITH_USERS("{name: ann, key: " KEY32 ", allow_reverse: 10.0.0.1}"),
         "s.yaml:1:158: allow_reverse: expected ports on loopback such as \"8080\" or "
         "\"8000-8010\", an address with them such as \"0.0.0.0:8080\" or \"*:8000-8010\", or a "
         "list of them, found \"10.0.0.1\"\n"},
        {WITH_USERS("{name: ann, password: pw}"),
         "s.yaml:1:80: the key \"key\" is missing in a user\n"
         "s.yaml:1:92: unknown key in a user; known are name, key, allow, allow_targets, "
         "deny_targets, allow_reverse, per_client, sessions\n"},
        {TUNNEL("identity: own.key, users: [{name: ann, key: " KEY32 "}]"),
         "s.yaml:1:60: users have a key each beside the server's, which is missing: add key or "
         "key_file\n"},
        {TUNNEL("key: " KEY16 ", users_file: wrong, users: [{name: bob, key: " OTHER16 "}]"),
         "wrong:1: the key of the user \"carl\": " LENGTHS "3\n"
         "wrong:2: the key of the user \"dora\": this is the server's own key, which "
         "all its users have\n"
         "wrong:3: the user \"bob\" is already in line 1 of s.yaml\n"
         "wrong:4: the user \"emil\" has the key of \"bob\", in line 1 of "
         "s.yaml: " UNTOLD "wrong:6: the key of the user \"gus\": " NOT_BASE64
         "wrong:7: expected \"name:key\"\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', key: '" KEY32 ":QUJD'}"),
         "s.yaml:2:57: key: the user's key, behind the colon: " LENGTHS "3\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', key: '" KEY32 ":" KEY32 "'}"),
         "s.yaml:2:57: key: the user's key, behind the colon: it is the server's, but must be the "
         "user's own\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', key: ':" KEY32 "'}"),
         "s.yaml:2:57: key: " LENGTHS "0\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', key_file: two}"),
         "s.yaml:2:62: key_file: more than one line: a client has one key\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), files, N_ITEMS(files));
}

static void a_tunnel_without_a_key_is_told(void **state)
{
    static const struct bad bad[] = {
        {"inbounds: [{type: tunnel, listen: 4194, peers: ann.pub}]",
         "s.yaml:1:12: a tunnel needs a key: add key or key_file, as `sockeye keygen` makes them, "
         "or identity, whose public key then opens it\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', identity: own.key}"),
         "s.yaml:2:13: a tunnel needs the server's key: add key or key_file, or peer, the "
         "server's public key, if that opens it\n"},
        {TUNNEL("identity: own.key, peers: ann.pub, early_data: open"),
         "s.yaml:1:88: early_data: it needs a shared key (key or key_file)\n"},
        {TUNNEL("key: " KEY16 ", peers: ann.pub, early_data: full"),
         "s.yaml:1:100: early_data: with peers nothing is done before the client has signed\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', peer: ann.pub, early_data: full}"),
         "s.yaml:2:79: early_data: it needs a shared key (key or key_file)\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), files, N_ITEMS(files));
}

static void identities_are_read_from_their_files(void **state)
{
    struct config *config = parse_good(
        "inbounds:\n"
        "- {type: tunnel, listen: 1, identity: own.key, peers: [ann.pub, bob.pub]}\n"
        "- {type: tunnel, listen: 2, key: " KEY16 ", peers: ann.pub, target: 'x:22', keep_s: 7,\n"
        "   clock_skew_s: 300, speedtest: true}\n"
        "- {type: tunnel, listen: 3, key: " KEY16 ", early_data: full}\n"
        "outbounds: [{type: tunnel, name: a, server: 'x:1', identity: own.key, peer: ann.pub}]",
        files, N_ITEMS(files));
    const struct config_inbound *in = config->inbounds;
    const struct config_outbound *out = config->outbounds;

    (void)state;
    assert_int_equal(in[0].n_keys, 0);
    assert_string_equal(in[0].identity.path, "own.key");
    assert_string_equal(in[0].identity.text, PRIVATE);
    assert_int_equal(in[0].identity.n, strlen(PRIVATE));
    assert_int_equal(in[0].n_peers, 2);
    assert_string_equal(in[0].peers[1].text, PUBLIC("Qg=="));
    assert_null(in[1].identity.text);
    assert_int_equal(in[1].n_peers, 1);
    assert_target(&in[1].target, "x:22");
    assert_int_equal(in[1].keep_s, 7);
    assert_int_equal(in[1].clock_skew_s, 300);
    assert_true(in[1].speedtest);
    assert_int_equal(in[2].early_data, EARLY_FULL);
    assert_false(in[2].speedtest);
    assert_string_equal(out[0].identity.text, PRIVATE);
    assert_string_equal(out[0].peer.text, PUBLIC("QQ=="));
    assert_int_equal(config->n_files, 6);
    config_free(config);
}

static void a_file_that_holds_another_key_is_told(void **state)
{
#define WITH(keys) TUNNEL("key: " KEY16 ", " keys)
#define SERVER(keys) OUT("{type: tunnel, name: a, server: 'x:1', key: " KEY16 ", " keys "}")
    static const struct bad bad[] = {
        {WITH("identity: ann.pub"),
         "s.yaml:1:82: identity: \"ann.pub\": this is a public key; expected the private one, "
         "NAME.key of `sockeye keygen --identity`\n"},
        {WITH("identity: locked.key"), "s.yaml:1:82: identity: \"locked.key\": the key is "
                                       "encrypted, and there is nobody to ask for its password\n"},
        {WITH("identity: no.pem"), "s.yaml:1:82: identity: \"no.pem\": this is no key in PEM, as "
                                   "`sockeye keygen --identity` makes them\n"},
        {WITH("identity: '${SECRET}'"), "s.yaml:1:82: identity: the file: there is no such file\n"},
        {WITH("identity: [own.key]"), "s.yaml:1:82: identity: expected the path of a file, found a "
                                      "list\n"},
        {WITH("identity: ''"),
         "s.yaml:1:82: identity: expected the path of a file, found \"\" in quotes\n"},
        {WITH("peers: [ann.pub, own.key]"),
         "s.yaml:1:89: peers: \"own.key\": this is a private key; expected the public one, "
         "NAME.pub of `sockeye keygen --identity`\n"},
        {WITH("peers: []"), "s.yaml:1:79: peers: expected 1 to 4096 entries, found 0; for example "
                            "peers: [client.pub]\n"},
        {WITH("peers: [ann.pub, 7]"),
         "s.yaml:1:89: peers: expected the path of a file, or a list of them, found 7\n"},
        {WITH("peers: [ann.pub, bob.pub, ann.pub]"),
         "s.yaml:1:98: the public key \"QQ==\" is already used in line 1\n"},
        {WITH("peers: [ann.pub,\nann2.pub]"),
         "s.yaml:2:1: the public key \"QQ==\" is already used in line 1\n"},
        {WITH("peers: [ann.pub,\nzero.pub]"),
         "s.yaml:2:1: the public key \"QQ==\" is already used in line 1\n"},
        {SERVER("peer: own.key"),
         "s.yaml:2:89: peer: \"own.key\": this is a private key; expected the public one, "
         "NAME.pub of `sockeye keygen --identity`\n"},
        {SERVER("peer: none.pub"), "s.yaml:2:89: peer: \"none.pub\": there is no such file\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), files, N_ITEMS(files));
#undef WITH
}

static void a_public_key_alone_opens_to_all_who_have_it(void **state)
{
    static struct said said;
    struct config *config;

    (void)state;
    assert_int_equal(
        parse_among(&config, &said, "s.yaml", TUNNEL("identity: own.key"), files, N_ITEMS(files)),
        ERR_NONE);
    assert_string_equal(said.text, "s.yaml:1:41: warning: identity: without key and without peers, "
                                   "all who have its public key may use this tunnel\n");
    config_free(config);
}

static void a_tunnel_leads_to_one_server(void **state)
{
    struct config *config = parse_good(
        OUT("{type: tunnel, name: a, server: ['192.0.2.1:4194', '[2001:db8::1]:1', 'x.org:2'],\n"
            "key: " KEY32 ", early_data: open, keep_s: 1, keepalive_s: 0, clock_skew_s: 1,\n"
            "window: 1G, stream_window: 65536, sessions: 4, links: 1, mode: aggregated, via: b},\n"
            "{type: tunnel, name: b, server: 'x:1', key: " KEY24 "},\n"
            "{type: tunnel, name: c, server: ['x:1'], key_file: k, window: '1M'}"),
        files, N_ITEMS(files));
    const struct config_outbound *out = config->outbounds;

    (void)state;
    assert_int_equal(out[0].type, OUTBOUND_TUNNEL);
    assert_int_equal(out[0].n_servers, 3);
    assert_target(&out[0].servers[1], "[2001:db8::1]:1");
    assert_target(&out[0].servers[2], "x.org:2");
    assert_memory_equal(out[0].key.bytes, BYTES, 32);
    assert_int_equal(out[0].early_data, EARLY_OPEN);
    assert_int_equal(out[0].keep_s, 1);
    assert_int_equal(out[0].keepalive_s, 0);
    assert_int_equal(out[0].clock_skew_s, 1);
    assert_int_equal(out[0].window, 1 << 30);
    assert_int_equal(out[0].stream_window, 65536);
    assert_int_equal(out[0].sessions, 4);
    assert_true(out[0].has_via);
    assert_int_equal(out[0].via, 1);
    assert_int_equal(out[1].n_servers, 1);
    assert_int_equal(out[1].keep_s, 600);
    assert_int_equal(out[1].keepalive_s, 60);
    assert_int_equal(out[1].clock_skew_s, 60);
    assert_int_equal(out[1].window, 64 << 20);
    assert_int_equal(out[1].stream_window, 16 << 20);
    assert_int_equal(out[1].sessions, 1);
    assert_int_equal(out[1].links, 1);
    assert_int_equal(out[1].early_data, EARLY_NONE);
    assert_int_equal(out[2].key.n_bytes, 32);
    assert_int_equal(out[2].stream_window, 1 << 20);
    config_free(config);
}

static void numbers_and_sizes_have_bounds(void **state)
{
    static const struct bad bad[] = {
        {SERVER("window: 4097M"), "s.yaml:2:91: window: expected 64K to 4G\n"},
        {SERVER("window: 65535"), "s.yaml:2:91: window: expected 64K to 4G\n"},
        {SERVER("window: 99999999999999999999"),
         "s.yaml:2:91: window: expected a size such as 65536, 64K, 16M or 1G, found "
         "99999999999999999999\n"},
        {SERVER("window: 17179869184G"), "s.yaml:2:91: window: expected a size such as 65536, 64K, "
                                         "16M or 1G, found \"17179869184G\"\n"},
        {SERVER("window: 64k"), "s.yaml:2:91: window: expected a size such as 65536, 64K, 16M or "
                                "1G, found \"64k\"\n"},
        {SERVER("window: M"), "s.yaml:2:91: window: expected a size such as 65536, 64K, 16M or 1G, "
                              "found \"M\"\n"},
        {SERVER("window: 1M, stream_window: 2M"),
         "s.yaml:2:110: stream_window: it is larger than window, which bounds all streams "
         "together\n"},
        {SERVER("sessions: 0"),
         "s.yaml:2:93: sessions: expected a whole number from 1 to 64, found 0\n"},
        {SERVER("clock_skew_s: 301"),
         "s.yaml:2:97: clock_skew_s: expected a whole number from 1 to 300, found 301\n"},
        {SERVER("keep_s: 0"),
         "s.yaml:2:91: keep_s: expected a whole number from 1 to 604800, found 0\n"},
        {SERVER("early_data: yes"),
         "s.yaml:2:95: early_data: expected none, open or full, found \"yes\"\n"},
        {OUT("{type: tunnel, name: a, server: [], key: " KEY16 "}"),
         "s.yaml:2:45: server: expected 1 to 16 entries, found 0; for example server: "
         "\"192.0.2.5:1080\"\n"},
        {OUT("{type: tunnel, name: a, server: ['x:1', y], key: " KEY16 "}"),
         "s.yaml:2:53: server: \"y\" has no port; write \"HOST:PORT\"\n"},
        {OUT("{type: socks, name: a, server: ['x:1', 'y:1']}"),
         "s.yaml:2:44: server: expected one address; a list of them is for tunnels\n"},
        {OUT("{type: tunnel, name: a, server: 'x:1', key: " KEY16 ", via: b},\n"
             "{type: tunnel, name: b, server: 'x:1', key: " KEY16 ", via: a}"),
         "s.yaml:2:88: via: this leads in a circle: \"a\" -> \"b\" -> \"a\"\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static void what_tunnels_do_not_have_yet_is_said_plainly(void **state)
{
    static const struct bad bad[] = {
        {TUNNEL("key: " KEY16 ", decoy: x, shape: x, sessions: 1, listen_via: home"),
         "s.yaml:1:72: this version does not have the key \"decoy\"\n"
         "s.yaml:1:82: this version does not have the key \"shape\"\n"
         "s.yaml:1:92: this version does not have the key \"sessions\"\n"
         "s.yaml:1:105: the key \"listen_via\" does not belong in an inbound of type tunnel; it is "
         "for socks, http, mixed or relay\n"},
        {SERVER("links: 2, mode: distributed, handover: {}, shape: {}"),
         "s.yaml:2:126: this version does not have the key \"shape\"\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static void a_relay_may_leave_its_target_to_a_tunnels_far_end(void **state)
{
#define HOME "outbounds: [{type: tunnel, name: home, server: 'x:1', key: " KEY16 "}]\n"
#define MISSING                                                                      \
    "s.yaml:1:12: the key \"target\" is missing in an inbound; for example target: " \
    "\"192.0.2.5:22\"\n"
    static const struct bad bad[] = {
        {"inbounds: [{type: relay, listen: 1, outbound: direct}]\n" HOME, MISSING},
        {"inbounds: [{type: relay, listen: 1}]\nroutes: ['MATCH,home']\n" HOME, MISSING},
        {"inbounds: [{type: relay, listen: 1, outbound: hoem}]\n" HOME,
         MISSING "s.yaml:1:47: there is no outbound named \"hoem\"; did you mean \"home\"?\n"},
    };
    struct config *config;

    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
    config = parse_good("inbounds: [{type: relay, listen: 1}, {type: relay, listen: 2, outbound: "
                        "home}]\n" HOME,
                        NULL, 0);
    assert_int_equal(config->inbounds[0].target.addr.port, 0);
    config_free(config);
    config_free(parse_good("inbounds: [{type: relay, listen: 1, outbound: home}]\n"
                           "routes: ['MATCH,direct']\n" HOME,
                           NULL, 0));
#undef HOME
#undef MISSING
}

/* Both ends in one process: a circle only where what comes out goes in again. */
static void a_tunnel_to_ourselves_is_refused_if_it_leads_in_a_circle(void **state)
{
#define FAR(name, port, outbound) \
    "{type: tunnel, name: " name ", listen: " port ", key: " KEY16 outbound "}"
#define TO(name, port, more) \
    "{type: tunnel, name: " name ", server: '127.0.0.1:" port "', key: " KEY16 more "}"
#define ENDS(inbounds, outbounds) "inbounds: [" inbounds "]\noutbounds: [\n" outbounds "]\n"
    static const struct bad bad[] = {
        {ENDS(FAR("far", "4194", ""), TO("home", "4194", "")),
         "s.yaml:3:36: server: our own inbound \"far\" listens there, and what comes in leads in a "
         "circle: \"far\" -> \"home\" -> \"far\"\n"},
        {ENDS(FAR("a", "1", ", outbound: to-b") "," FAR("b", "2", ", outbound: to-a"),
              TO("to-a", "1", "") ",\n" TO("to-b", "2", "")),
         "s.yaml:4:36: server: our own inbound \"b\" listens there, and what comes in leads in a "
         "circle: \"a\" -> \"to-b\" -> \"b\" -> \"to-a\" -> \"a\"\n"},
        /* The carriers of `in` are streams of `out`, which lead to where `in` is asked for again. */
        {ENDS(FAR("far", "4194", ""), TO("in", "9", ", via: out") ",\n" TO("out", "4194", "")),
         "s.yaml:4:35: server: our own inbound \"far\" listens there, and what comes in leads in a "
         "circle: \"far\" -> \"in\" -> \"out\" -> \"far\"\n"},
    };

    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
    config_free(parse_good(ENDS(FAR("far", "4194", ", outbound: direct"), TO("home", "4194", "")),
                           NULL, 0));
    config_free(parse_good(ENDS(FAR("far", "4194", ", outbound: direct"),
                                TO("in", "9", ", via: out") "," TO("out", "4194", "")),
                           NULL, 0));
#undef FAR
#undef TO
#undef ENDS
}

static void the_state_is_beside_the_configuration(void **state)
{
    static const struct {
        const char *text, *folder;
    } cases[] = {{GOOD, ""}, {GOOD "state: x\n", "/etc/far/x"}, {GOOD "state: /var/x\n", "/var/x"}};
    static struct said said;
    struct config *config;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        assert_int_equal(parse_among(&config, &said, "/etc/far/s.yaml", cases[i].text, NULL, 0),
                         ERR_NONE);
        assert_string_equal(config->state_folder, cases[i].folder);
        config_free(config);
    }
}

/* The keys themselves are not printed, so that they must be put in again. */
static void what_is_printed_holds_no_key(void **state)
{
    static const char text[] =
        "inbounds: [{type: tunnel, listen: 1, key: " KEY32 ", identity: own.key,\n"
        "peers: [ann.pub, bob.pub], target: 'x:1', keep_s: 5, clock_skew_s: 6},\n"
        "{type: tunnel, listen: 2, key_file: k, early_data: open}]\n"
        "outbounds: [{type: tunnel, name: a, server: ['x:1', '[::1]:2'], key: " KEY24 ",\n"
        "window: 65537, stream_window: 64K, via: b},\n"
        "{type: tunnel, name: b, server: 'x:1', key_file: k, identity: own.key, peer: ann.pub}]\n";
    static struct printed first, second;
    static char again[sizeof first.text];
    struct config *config = parse_good(text, files, N_ITEMS(files));
    size_t n = 0, n_keys = 0;

    (void)state;
    config_print(config, append, &first);
    config_free(config);
    for (const char *at = first.text; *at != '\0'; at++) {
        bool is_key = strncmp(at, "key: \"***\"", strlen("key: \"***\"")) == 0;
        n += (size_t)snprintf(again + n, sizeof again - n, "%s%c", is_key ? "key: " KEY32 " #" : "",
                              is_key ? '-' : *at);
        n_keys += is_key;
    }
    assert_int_equal(n_keys, 2);
    assert_null(strstr(first.text, "QUJD"));
    assert_null(strstr(first.text, "TUlJ"));
    config = parse_good(again, files, N_ITEMS(files));
    config_print(config, append, &second);
    config_free(config);
    assert_string_equal(first.text, second.text);
    assert_non_null(strstr(first.text, "    server: [\"x:1\", \"[::1]:2\"]\n"));
    assert_non_null(strstr(first.text, "    peers: [\"ann.pub\", \"bob.pub\"]\n"));
    assert_non_null(strstr(first.text, "    window: 65537\n    stream_window: 64K\n"));
}

static void secrets_that_others_can_read_are_warned_of(void **state)
{
    static const struct bad cases[] = {
        {"inbounds: [{type: tunnel, listen: 3, key_file: k}]\n",
         "s.yaml:1:48: warning: key_file: k has secrets, and others can read it (mode 0644): "
         "`chmod o= k`\n"},
        {"inbounds: [{type: tunnel, listen: 3, key: " KEY16 "}]\n",
         "s.yaml: warning: this file has secrets, and others can read it (mode 0644): "
         "`chmod o= s.yaml`\n"},
        {"inbounds: [{type: mixed, listen: 3}]\n", ""},
    };
    static struct said said;
    struct config *config;

    (void)state;
    for (size_t i = 0; i < 2 * N_ITEMS(cases); i++) {
        const struct bad *one = &cases[i / 2];
        text_file_mode = i % 2 == 0 ? 0644 : 0640;
        assert_int_equal(parse_among(&config, &said, "s.yaml", one->text, files, N_ITEMS(files)),
                         ERR_NONE);
        assert_string_equal(said.text, i % 2 == 0 ? one->messages : "");
        config_free(config);
    }
    text_file_mode = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acc_77_keys_have_three_lengths),
        cmocka_unit_test(secrets_that_others_can_read_are_warned_of),
        cmocka_unit_test(acc_77_a_wrong_key_is_refused_by_name),
        cmocka_unit_test(a_server_may_have_several_keys),
        cmocka_unit_test(a_client_has_the_servers_key_and_its_own),
        cmocka_unit_test(users_have_keys_and_rights),
        cmocka_unit_test(users_that_are_wrong_are_named),
        cmocka_unit_test(a_tunnel_without_a_key_is_told),
        cmocka_unit_test(identities_are_read_from_their_files),
        cmocka_unit_test(a_file_that_holds_another_key_is_told),
        cmocka_unit_test(a_public_key_alone_opens_to_all_who_have_it),
        cmocka_unit_test(a_tunnel_leads_to_one_server),
        cmocka_unit_test(numbers_and_sizes_have_bounds),
        cmocka_unit_test(what_tunnels_do_not_have_yet_is_said_plainly),
        cmocka_unit_test(a_relay_may_leave_its_target_to_a_tunnels_far_end),
        cmocka_unit_test(a_tunnel_to_ourselves_is_refused_if_it_leads_in_a_circle),
        cmocka_unit_test(the_state_is_beside_the_configuration),
        cmocka_unit_test(what_is_printed_holds_no_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
