/* Where connections go out: what direct dials from, upstream proxies, and chains of them. */
#include "config_fixture.h"

#define OUT(text) GOOD "outbounds: [" text "]\n"

static void direct_dials_from_what_it_is_told(void **state)
{
    struct config *config =
        parse_good(OUT("{type: direct, name: a, bind: 192.0.2.1, interface: eth0, fwmark: "
                       "4294967295, fast_open: true},\n"
                       "{type: direct, name: b, bind: ['fe80::1%2', '::ffff:192.0.2.2']},\n"
                       "{type: direct, name: direct, interface: a-name.of_15by}"),
                   NULL, 0);
    const struct config_outbound *out = config->outbounds;

    (void)state;
    assert_int_equal(config->n_outbounds, 4);
    assert_addr(&out[0].bind4, "192.0.2.1");
    assert_int_equal(out[0].bind6.family, ADDR_NONE);
    assert_string_equal(out[0].interface, "eth0");
    assert_int_equal(out[0].fwmark, UINT32_MAX);
    assert_true(out[0].fast_open);
    assert_addr(&out[1].bind4, "192.0.2.2");
    assert_addr(&out[1].bind6, "fe80::1%2");
    assert_null(out[1].interface);
    assert_int_equal(out[1].fwmark, 0);
    assert_false(out[1].fast_open);
    assert_string_equal(out[2].interface, "a-name.of_15by");
    assert_string_equal(out[3].name, "block");
    config_free(config);
}

static void what_nothing_can_be_dialled_from_is_told(void **state)
{
#define DIRECT(keys) OUT("{type: direct, name: a, " keys "}")
#define ADDRESS "s.yaml:2:43: bind: expected an address of this machine, or one of each family, "
#define INTERFACE "s.yaml:2:48: interface: expected the name of a network interface, such as eth0, "
    static const struct bad bad[] = {
        {DIRECT("bind: 0.0.0.0"), ADDRESS "found \"0.0.0.0\"\n"},
        {DIRECT("bind: ff02::1"), ADDRESS "found \"ff02::1\"\n"},
        {DIRECT("bind: '192.0.2.1:80'"), ADDRESS "found \"192.0.2.1:80\" in quotes\n"},
        {DIRECT("bind: eth0"), ADDRESS "found \"eth0\"\n"},
        {DIRECT("bind: []"), "s.yaml:2:43: bind: expected 1 to 2 entries, found 0\n"},
        {DIRECT("bind: [192.0.2.1, 192.0.2.2]"),
         "s.yaml:2:55: bind: a second IPv4 address; one is enough\n"},
        {DIRECT("bind: ['::1', '::2', '::3']"),
         "s.yaml:2:43: bind: expected 1 to 2 entries, found 3\n"},
        {DIRECT("interface: eth0/1"), INTERFACE "found \"eth0/1\"\n"},
        {DIRECT("interface: 'a b'"), INTERFACE "found \"a b\" in quotes\n"},
        {DIRECT("interface: a-name-of-16-byt"), INTERFACE "found \"a-name-of-16-byt\"\n"},
        {DIRECT("interface: ''"), INTERFACE "found \"\" in quotes\n"},
        {DIRECT("interface: '..'"), INTERFACE "found \"..\" in quotes\n"},
        {DIRECT("fwmark: 4294967296"), "s.yaml:2:45: fwmark: expected a whole number from 0 to "
                                       "4294967295, found 4294967296\n"},
        {DIRECT("fast_open: 1"), "s.yaml:2:48: fast_open: expected true or false, found 1\n"},
        {DIRECT("server: 'x:1', username: u, password: hunter2, password_file: p, via: block"),
         "s.yaml:2:37: the key \"server\" does not belong in an outbound of type direct; it is for "
         "socks, http or tunnel\n"
         "s.yaml:2:52: the key \"username\" does not belong in an outbound of type direct; it is "
         "for socks or http\n"
         "s.yaml:2:65: the key \"password\" does not belong in an outbound of type direct; it is "
         "for socks or http\n"
         "s.yaml:2:84: the key \"password_file\" does not belong in an outbound of type direct; it "
         "is for socks or http\n"
         "s.yaml:2:102: the key \"via\" does not belong in an outbound of type direct; it is for "
         "socks, http or tunnel\n"},
        {OUT("{type: block, name: a, fwmark: 1}"),
         "s.yaml:2:36: the key \"fwmark\" does not belong in an outbound of type block; it is for "
         "direct\n"},
        {OUT("{type: socks, name: direct, server: 'x:1'}"),
         "s.yaml:2:33: the name \"direct\" belongs to the outbound of type direct: take another\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
#undef DIRECT
#undef ADDRESS
#undef INTERFACE
}

static void upstreams_have_a_server_and_a_login(void **state)
{
    static const struct text_file files[] = {{"p", "hunter2\r\nmore\n", 0, ERR_NONE},
                                             {"q",
                                              "\xef\xbb\xbf"
                                              "a b ",
                                              0, ERR_NONE}};
    struct config *config =
        parse_good(OUT("{type: socks, name: a, server: '10.1.1.1:1080', username: 'u:v', "
                       "password: '${SECRET}'},\n"
                       "{type: http, name: b, server: proxy.example.com:3128, username: u, "
                       "password_file: p},\n"
                       "{type: http, name: c, server: '[::1]:1', username: u, password_file: q},\n"
                       "{type: socks, name: d, server: 'x:1', via: c},\n"
                       "{type: socks, name: e, server: 'x:1', via: direct}"),
                   files, N_ITEMS(files));
    const struct config_outbound *out = config->outbounds;

    (void)state;
    assert_int_equal(out[0].type, OUTBOUND_SOCKS);
    assert_target(&out[0].servers[0], "10.1.1.1:1080");
    assert_string_equal(out[0].username, "u:v");
    assert_string_equal(out[0].password, "hunter2");
    assert_false(out[0].has_via);
    assert_int_equal(out[1].type, OUTBOUND_HTTP);
    assert_target(&out[1].servers[0], "proxy.example.com:3128");
    assert_string_equal(out[1].password, "hunter2");
    assert_string_equal(out[1].password_file, "p");
    assert_string_equal(out[2].password, "a b ");
    assert_true(out[3].has_via);
    assert_int_equal(out[3].via, 2);
    assert_null(out[3].username);
    assert_true(out[4].has_via);
    assert_string_equal(out[out[4].via].name, "direct");
    config_free(config);
}

static void a_login_that_is_none_is_told(void **state)
{
    static const struct text_file files[] = {
        {"empty", "\nhunter2", 0, ERR_NONE},  {"zero", "hunter2\0\n", 9, ERR_NONE},
        {"closed", "", 0, ERR_PERMITTED},     {"none", "", 0, ERR_NONE},
        {"password", "hunter2", 0, ERR_NONE},
    };
#define SOCKS(keys) OUT("{type: socks, name: a, server: 'x:1', " keys "}")
#define FIRST_LINE "password_file: expected a password of 1 to 255 bytes in its first line\n"
    static const struct bad bad[] = {
        {SOCKS("username: u"),
         "s.yaml:2:51: username: expected a password too (password or password_file)\n"},
        {SOCKS("password: hunter2"), "s.yaml:2:51: a password is of no use without username\n"},
        {SOCKS("password_file: password"),
         "s.yaml:2:51: a password is of no use without username\n"},
        {SOCKS("username: u, password: hunter2, password_file: password"),
         "s.yaml:2:83: password and password_file: expected one of them\n"},
        {SOCKS("username: u, password: 12"),
         "s.yaml:2:74: password: expected a text, found a number, true or false; put it in "
         "quotes\n"},
        {SOCKS("username: '', password: ''"),
         "s.yaml:2:61: username: expected 1 to 255 bytes, found 0\n"
         "s.yaml:2:75: password: expected 1 to 255 bytes, found 0\n"},
        {SOCKS("username: u, password_file: empty"), "s.yaml:2:79: " FIRST_LINE},
        {SOCKS("username: u, password_file: zero"), "s.yaml:2:79: " FIRST_LINE},
        {SOCKS("username: u, password_file: none"), "s.yaml:2:79: " FIRST_LINE},
        {SOCKS("username: u, password_file: closed"),
         "s.yaml:2:79: password_file: \"closed\": reading it is not permitted\n"},
        {SOCKS("username: u, password_file: '${SECRET}'"),
         "s.yaml:2:79: password_file: the file: there is no such file\n"},
        {OUT("{type: http, name: a, server: 'x:1', username: 'u:v', password: hunter2}"),
         "s.yaml:2:60: username: it cannot hold \":\", as HTTP ends it there\n"},
        {OUT("{type: socks, name: a}"),
         "s.yaml:2:13: the key \"server\" is missing in an outbound; for example server: "
         "\"192.0.2.5:1080\"\n"},
        {SOCKS("fwmark: 1"),
         "s.yaml:2:51: the key \"fwmark\" does not belong in an outbound of type socks; it is for "
         "direct\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), files, N_ITEMS(files));
#undef SOCKS
#undef FIRST_LINE
}

static void a_password_file_has_a_bound(void **state)
{
    static char content[70000];
    static const struct bad bad = {
        OUT("{type: socks, name: a, server: 'x:1', username: u, password_file: p}"),
        "s.yaml:2:79: password_file: \"p\": the file is too large\n"};

    (void)state;
    memset(content, 'x', sizeof content - 1);
    const struct text_file file = {"p", content, 0, ERR_NONE};
    assert_all_refused(&bad, 1, &file, 1);
}

static void chains_that_lead_nowhere_are_told(void **state)
{
#define VIA(name, via) "{type: socks, name: " name ", server: 'x:1', via: " via "}"
    static const struct bad bad[] = {
        {OUT(VIA("a", "a")), "s.yaml:2:56: via: this leads in a circle: \"a\" -> \"a\"\n"},
        {OUT(VIA("a", "b") ",\n" VIA("b", "c") ",\n" VIA("c", "b") ",\n" VIA("d", "a")),
         "s.yaml:3:44: via: this leads in a circle: \"b\" -> \"c\" -> \"b\"\n"},
        {OUT(VIA("a", "b") ",\n" VIA("b", "a") ",\n" VIA("c", "d") ",\n" VIA("d", "c")),
         "s.yaml:2:56: via: this leads in a circle: \"a\" -> \"b\" -> \"a\"\n"
         "s.yaml:4:44: via: this leads in a circle: \"c\" -> \"d\" -> \"c\"\n"},
        {OUT(VIA("a", "block")), "s.yaml:2:56: via: an outbound of type block leads nowhere\n"},
        {OUT(VIA("first", "frist")),
         "s.yaml:2:60: there is no outbound named \"frist\"; did you mean \"first\"?\n"},
        {OUT(VIA("a", "'${SECRET}'")), "s.yaml:2:56: there is no outbound named so\n"},
        {OUT(VIA("a", "5")), "s.yaml:2:56: via: expected the name of an outbound, found 5\n"},
        {OUT(VIA("a", "lan")), "s.yaml:2:56: there is no outbound named \"lan\"\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

/* As many links as there may be outbounds: found in one walk, told without going round forever. */
static void the_longest_circle_is_found(void **state)
{
    enum { N = 4096 };
    static struct said said;
    size_t cap = N * 80 + 200, n;
    char *text = malloc(cap);
    struct config *config;

    (void)state;
    assert_non_null(text);
    n = (size_t)snprintf(text, cap, GOOD "outbounds:\n");
    for (int i = 0; i < N; i++)
        n += (size_t)snprintf(
            text + n, cap - n,
            "- {type: http, name: outbound-%d, server: 'x:1', via: outbound-%d}\n", i, (i + 1) % N);
    assert_int_equal(parse_among(&config, &said, "s.yaml", text, NULL, 0), ERR_BAD);
    assert_int_equal(said.messages.n_errors, 1);
    assert_non_null(strstr(said.text, "s.yaml:3:54: via: this leads in a circle: \"outbound-0\" -> "
                                      "\"outbound-1\" -> "));
    assert_non_null(strstr(said.text, "... -> \"outbound-0\"\n"));
    free(text);
}

static void a_server_of_our_own_is_warned_of(void **state)
{
    static struct said said;
    struct config *config;

    (void)state;
    assert_int_equal(
        parse_among(
            &config, &said, "s.yaml",
            OUT("{type: direct, name: out}, {type: socks, name: a, server: 'localhost:1080'},\n"
                "{type: socks, name: b, server: 'localhost:1081'},\n"
                "{type: http, name: c, server: '[::1]:1080'},\n"
                "{type: http, name: d, server: '[::1]:1080', via: b}"),
            NULL, 0),
        ERR_NONE);
    assert_string_equal(said.text,
                        "s.yaml:2:71: warning: server: our own inbound \"lan\" listens there: what "
                        "comes in by it and goes out here goes in a circle\n"
                        "s.yaml:4:31: warning: server: our own inbound \"lan\" listens there: what "
                        "comes in by it and goes out here goes in a circle\n");
    config_free(config);
}

static void outbounds_print_as_themselves(void **state)
{
    static const struct text_file file = {"p", "hunter2\n", 0, ERR_NONE};

    (void)state;
    assert_prints_as_itself(
        OUT("{type: direct, name: a, bind: ['::1', 127.0.0.1], interface: lo, fwmark: 3, "
            "fast_open: true},\n"
            "{type: socks, name: b, server: '[::1]:1', username: u, password: hunter2},\n"
            "{type: http, name: c, server: 'x:1', username: u, password_file: p, via: b},\n"
            "{type: http, name: d, server: 'x:1', via: direct}"),
        &file, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_dials_from_what_it_is_told),
        cmocka_unit_test(what_nothing_can_be_dialled_from_is_told),
        cmocka_unit_test(upstreams_have_a_server_and_a_login),
        cmocka_unit_test(a_login_that_is_none_is_told),
        cmocka_unit_test(a_password_file_has_a_bound),
        cmocka_unit_test(chains_that_lead_nowhere_are_told),
        cmocka_unit_test(the_longest_circle_is_found),
        cmocka_unit_test(a_server_of_our_own_is_warned_of),
        cmocka_unit_test(outbounds_print_as_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
