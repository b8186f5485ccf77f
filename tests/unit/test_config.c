/* What a configuration must not say, and the words in which that is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

/* The rest of a configuration that is right but for the line before it. */
#define GOOD "inbounds: [{type: mixed, listen: 1080}]\n"

struct said {
    struct config_messages messages; /* first: it is what say() gets */
    char text[32768];
    size_t n;
};

static void say(struct config_messages *messages, const char *message)
{
    struct said *said = (struct said *)(void *)messages;
    int n = snprintf(said->text + said->n, sizeof said->text - said->n, "%s\n", message);

    assert_true(n > 0 && (size_t)n < sizeof said->text - said->n);
    said->n += (size_t)n;
}

/* A variable so long that 64 of it are all that one file may bring in. */
static char big[64 * 1024 + 1];

static const char *environment(const char *name)
{
    if (strcmp(name, "BIG") == 0)
        return big;
    if (strcmp(name, "SECRET") == 0)
        return "hunter2";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    if (strcmp(name, "BYTES") == 0)
        return "hunter\xff";
    return NULL;
}

static enum err no_file(const char *path, size_t max_bytes, char **text, size_t *n)
{
    (void)path;
    (void)max_bytes;
    (void)text;
    (void)n;
    return ERR_NOT_FOUND;
}

static const struct config_sources sources = {.getenv = environment, .read_file = no_file};

static enum err parse(struct said *said, const char *text, size_t n)
{
    struct config *config = NULL;
    /* Exactly as long as the text, so that a sanitizer sees a read beyond it. */
    char *copy = malloc(n > 0 ? n : 1);

    assert_non_null(copy);
    memcpy(copy, text, n);
    *said = (struct said){.messages = {.say = say}};
    enum err err = config_parse(&config, "s.yaml", copy, n, &sources, &said->messages);
    free(copy);
    if (err == ERR_NONE)
        config_free(config);
    return err;
}

static unsigned count_lines(const char *text)
{
    unsigned n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

struct bad {
    const char *text;
    const char *messages;
    size_t n; /* of a text with zeros in it */
};

static void assert_refused(const struct bad *bad)
{
    static struct said said;
    size_t n = bad->n > 0 ? bad->n : strlen(bad->text);

    assert_int_equal(parse(&said, bad->text, n), ERR_BAD);
    assert_string_equal(said.text, bad->messages);
    assert_int_equal(said.messages.n_errors + said.messages.n_warnings, count_lines(bad->messages));
}

static void assert_all_refused(const struct bad *bad, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_refused(&bad[i]);
}

static void acc_78_what_is_no_yaml_is_told_with_its_place(void **state)
{
    static const struct bad bad[] = {
        {"a:\n\tb: 1", "s.yaml:2:1: a tab cannot indent YAML: use spaces\n", 0},
        {"a: b\n\tc: d", "s.yaml:2:1: a tab cannot indent YAML: use spaces\n", 0},
        {"a: |\n\tx", "s.yaml:2:1: a tab cannot indent YAML: use spaces\n", 0},
        {"\t{\"a\": 1}", "s.yaml:1:1: a tab cannot indent YAML: use spaces\n", 0},
        {"a: [*]", "s.yaml:1:6: a text that begins with * must be in quotes, as \"*\"\n", 0},
        {"listen: *:1080", "s.yaml:1:10: a text that begins with * must be in quotes, as \"*\"\n",
         0},
        {"listen: [::1]:1080",
         "s.yaml:1:10: an address with [ ] or with : at its start must be in quotes, as "
         "\"[::1]:1080\"\n",
         0},
        {"listen: [2001:db8::1]:80",
         "s.yaml:1:22: an address with [ ] or with : at its start must be in quotes, as "
         "\"[::1]:1080\"\n",
         0},
        {"a: {p: ${SECRET}}", "s.yaml:1:9: within [ ] and { }, a text with ${ must be in quotes\n",
         0},
        {"a: 1\n b: 2",
         "s.yaml:2:3: unexpected \":\": is a line indented wrongly, or does a text with \": \" "
         "need "
         "quotes?\n",
         0},
        {"a:\n  b: 1\n c: 2",
         "s.yaml:3:2: expected a key here: is it indented like the keys beside it?\n", 0},
        {"- a\nb: c",
         "s.yaml:2:1: expected \"- \" here: is it indented like the entries above it?\n", 0},
        {"a: 1\nb", "s.yaml:2:1: expected \"key: value\", with a space after the colon\n", 0},
        {"a: [1,\n2\nb: 3", "s.yaml:3:2: expected \",\" or \"]\" for what began in line 1\n", 0},
        {"a: {b: c", "s.yaml:2:1: expected \",\" or \"}\" for what began in line 1\n", 0},
        {"a: [1,, 2]", "s.yaml:1:7: expected a value here\n", 0},
        {"{\"a\": 1}}",
         "s.yaml:1:9: expected nothing more: the configuration has ended before this\n", 0},
        {"a: \"x\n\n", "s.yaml:1:4: a quote opened here is never closed\n", 0},
        {"a: @x", "s.yaml:1:4: a text cannot begin with this character: put it in quotes\n", 0},
        {"a: \"\\q\"",
         "s.yaml:1:5: unknown escape: write \\\\ for a backslash, or use single quotes\n", 0},
        {"{\"a\": \"\\ud83d\\ude00\"}",
         "s.yaml:1:10: this escape is no character: one beyond \\uFFFF is written as it is, or as "
         "\\U and eight digits\n",
         0},
        {"%YAML 3.0\n---\na: 1", "s.yaml:1:1: found incompatible YAML document\n", 0},
        /* A byte order mark is no character of the line. */
        {"\xef\xbb\xbf@", "s.yaml:1:1: a text cannot begin with this character: put it in quotes\n",
         0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void what_is_no_text_is_refused(void **state)
{
    static const struct bad bad[] = {
        {"user: a\0b",
         "s.yaml:1:8: character U+0000 cannot stand in YAML as it is; is this a text "
         "file in UTF-8?\n",
         9},
        {"user: a\nstate: \x01", "s.yaml:2:8: character U+0001 cannot stand in YAML as it is\n", 0},
        {"user: \x7f", "s.yaml:1:7: character U+007F cannot stand in YAML as it is\n", 0},
        {"user: \xff", "s.yaml:1:7: byte 0xff: this is not UTF-8 text\n", 0},
        {"user: \xc3\xa9\xc3", "s.yaml:1:8: byte 0xc3: this is not UTF-8 text\n", 0},
        {"user: \xc3(", "s.yaml:1:7: byte 0xc3: this is not UTF-8 text\n", 0},
        {"user: \xc0\xaf", "s.yaml:1:7: byte 0xc0: this is not UTF-8 text\n", 0},
        {"user: \xed\xa0\x80", "s.yaml:1:7: byte 0xed: this is not UTF-8 text\n", 0},
        {"user: \xf4\x90\x80\x80", "s.yaml:1:7: byte 0xf4: this is not UTF-8 text\n", 0},
        {"user: \"\\0\"\n" GOOD, "s.yaml:1:7: a text cannot hold the character \\0\n", 0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void what_yaml_has_beyond_plain_data_is_refused(void **state)
{
    static const struct bad bad[] = {
        {"user: *x\n" GOOD,
         "s.yaml:1:7: YAML aliases are not supported; a text that begins with * must be in "
         "quotes\n",
         0},
        {"user: &x nobody\n" GOOD,
         "s.yaml:1:7: YAML anchors are not supported; a text that begins with & must be in "
         "quotes\n",
         0},
        {"*x : 1\n" GOOD,
         "s.yaml:1:1: YAML aliases are not supported; a text that begins with * must be in "
         "quotes\n",
         0},
        {"limits: &x {}\n" GOOD,
         "s.yaml:1:9: YAML anchors are not supported; a text that begins with & must be in "
         "quotes\n",
         0},
        {"user: !x y\nlimits: !x {}\n" GOOD,
         "s.yaml:1:7: this YAML tag is not supported here; a text that begins with ! must be in "
         "quotes\n"
         "s.yaml:2:9: this YAML tag is not supported here; a text that begins with ! must be in "
         "quotes\n",
         0},
        {GOOD "---\n" GOOD, "s.yaml:2:1: a second YAML document begins here; one file holds one\n",
         0},
        {"? [a]\n: b", "s.yaml:1:3: expected a word as key, found a list or a mapping\n", 0},
        {"[[[[[[[[[[[[[[[[[", "s.yaml:1:17: nested more than 16 levels deep\n", 0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void a_file_without_inbounds_is_refused_with_a_remedy(void **state)
{
    static const char empty[] = "s.yaml: the file is empty; the least that works is "
                                "\"inbounds: [{type: mixed, listen: 1080}]\"\n";
    static const struct bad bad[] = {
        {"", empty, 0},
        {"# nothing but words\n", empty, 0},
        {"---\n", empty, 0},
        {"inbounds\n",
         "s.yaml:1:1: expected keys with values, such as \"inbounds: [{type: mixed, listen: "
         "1080}]\"\n",
         0},
        {"workers: 1",
         "s.yaml:1:1: the key \"inbounds\" is missing; for example inbounds: [{type: mixed, "
         "listen: "
         "1080}]\n",
         0},
        {"inbounds: []",
         "s.yaml:1:11: inbounds: expected 1 to 4096 entries, found 0; for example inbounds: "
         "[{type: mixed, listen: 1080}]\n",
         0},
        {"inbounds:", "s.yaml:1:10: inbounds: expected a list of mappings, found nothing\n", 0},
        {"inbounds: {type: mixed}",
         "s.yaml:1:11: inbounds: expected a list of mappings, found a mapping\n", 0},
        {"inbounds: [mixed]",
         "s.yaml:1:12: inbounds: expected a list of mappings, found \"mixed\"\n", 0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void acc_78_an_unknown_key_is_named_with_the_nearest_known_one(void **state)
{
    static const struct bad bad[] = {
        {"inbounds:\n  - type: mixed\n    lisen: 1080\n",
         "s.yaml:3:5: unknown key \"lisen\" in an inbound; did you mean \"listen\"?\n", 0},
        {"{\"inbounds\": [{\"type\": \"mixed\",\n\t\"lisetn\": 1080}]}",
         "s.yaml:2:2: unknown key \"lisetn\" in an inbound; did you mean \"listen\"?\n", 0},
        {"inbound: []", "s.yaml:1:1: unknown key \"inbound\"; did you mean \"inbounds\"?\n", 0},
        {"limits: {conections: 1, connect: 5}\n" GOOD,
         "s.yaml:1:10: unknown key \"conections\" in limits; did you mean \"connections\"?\n"
         "s.yaml:1:25: unknown key \"connect\" in limits; did you mean \"connect_ms\"?\n",
         0},
        {"dns: {lookup: 1}\n" GOOD,
         "s.yaml:1:7: unknown key \"lookup\" in dns; known are servers, prefer\n", 0},
        {"log: {xy: 1}\n" GOOD,
         "s.yaml:1:7: unknown key \"xy\" in log; known are level, format, to, access\n", 0},
        /* Nothing of a file moves the cursor of whoever reads the message. */
        {"\"\\e[2J\\u202a\\n\": 1\n" GOOD,
         "s.yaml:1:1: unknown key \"\\x1b[2J\xe2\x80\xaa\\x0a\"; known are workers, state, user, "
         "limits, dns, log, admin, inbounds, outbounds, routes\n",
         0},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: "
         "1\n" GOOD,
         "s.yaml:1:1: unknown key "
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"; known "
         "are "
         "workers, state, user, limits, dns, log, admin, inbounds, outbounds, routes\n",
         0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void a_key_that_is_there_twice_or_missing_is_told(void **state)
{
    static const struct bad bad[] = {
        {"user: a\nuser: b\n" GOOD, "s.yaml:2:1: the key \"user\" is already in line 1\n", 0},
        {"limits:\n  drain_s: 1\n  drain_s: 1\n" GOOD,
         "s.yaml:3:3: the key \"drain_s\" is already in line 2\n", 0},
        {"inbounds: [{}]",
         "s.yaml:1:12: the key \"type\" is missing in an inbound; for example type: mixed\n"
         "s.yaml:1:12: the key \"listen\" is missing in an inbound; for example listen: 1080\n",
         0},
        {GOOD "outbounds: [{}]",
         "s.yaml:2:13: the key \"type\" is missing in an outbound; for example type: direct\n"
         "s.yaml:2:13: the key \"name\" is missing in an outbound\n",
         0},
        {"inbounds: [{type: mixed, listen: 1080, users: [{}]}]",
         "s.yaml:1:48: the key \"name\" is missing in a user\n"
         "s.yaml:1:48: the key \"password\" is missing in a user\n",
         0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void a_value_of_the_wrong_kind_is_told_with_what_is_expected(void **state)
{
    static const struct bad bad[] = {
        {"workers: many\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found \"many\"\n", 0},
        {"workers: 1025\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found 1025\n", 0},
        {"workers: 18446744073709551617\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found "
         "18446744073709551617\n",
         0},
        {"workers: -1\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found -1\n", 0},
        {"workers: 1.5\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found 1.5\n", 0},
        {"workers: \"2\"\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found \"2\" in quotes; "
         "write it without quotes\n",
         0},
        {"workers: 010\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found 010; write it "
         "without leading zeros\n",
         0},
        {"workers:\nuser: ~\n" GOOD,
         "s.yaml:1:9: workers: expected a whole number from 0 to 1024, found nothing\n"
         "s.yaml:2:7: user: expected a text, found nothing\n",
         0},
        {"workers: [1]\n" GOOD,
         "s.yaml:1:10: workers: expected a whole number from 0 to 1024, found a list\n", 0},
        {"user: 1000\nstate: true\nadmin: {socket: 1e3}\n" GOOD,
         "s.yaml:1:7: user: expected a text, found 1000; put it in quotes\n"
         "s.yaml:2:8: state: expected a text, found true; put it in quotes\n"
         "s.yaml:3:17: socket: expected a text, found 1e3; put it in quotes\n",
         0},
        {"user: 0x1F\nstate: 0o17\nadmin: {socket: -.5}\n" GOOD,
         "s.yaml:1:7: user: expected a text, found 0x1F; put it in quotes\n"
         "s.yaml:2:8: state: expected a text, found 0o17; put it in quotes\n"
         "s.yaml:3:17: socket: expected a text, found -.5; put it in quotes\n",
         0},
        {"user: !!int root\nstate: [a]\n" GOOD,
         "s.yaml:2:8: state: expected a text, found a list\n", 0},
        {"log: {access: yes}\n" GOOD,
         "s.yaml:1:15: access: expected true or false, found \"yes\"\n", 0},
        {"log: {access: True}\n" GOOD,
         "s.yaml:1:15: access: expected true or false, found \"True\"\n", 0},
        {"log: {access: \"true\"}\n" GOOD,
         "s.yaml:1:15: access: expected true or false, found \"true\" in quotes; write it without "
         "quotes\n",
         0},
        {"log: {level: inf}\n" GOOD,
         "s.yaml:1:14: level: expected error, warn, info, debug or trace, found \"inf\"; did you "
         "mean info?\n",
         0},
        {"dns: {prefer: 5}\n" GOOD, "s.yaml:1:15: prefer: expected auto, 4 or 6, found 5\n", 0},
        {"dns: {servers: [1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1,\n"
         "1.1.1.1]}\n" GOOD,
         "s.yaml:1:16: servers: expected 0 to 8 entries, found 9\n", 0},
        {"limits: []\n" GOOD,
         "s.yaml:1:9: limits: expected a mapping of keys to values, found a list\n", 0},
        {"log: {to: []}\n" GOOD,
         "s.yaml:1:11: to: expected stderr, syslog or a path, found a list\n", 0},
        {"log: {to: \"\"}\n" GOOD,
         "s.yaml:1:11: to: expected stderr, syslog or a path, found \"\" in quotes\n", 0},
        {"dns: {servers: [dns.example, \"192.0.2.1:0\"]}\n" GOOD,
         "s.yaml:1:17: servers: expected a list of addresses, each with or without a port, found "
         "\"dns.example\"\n"
         "s.yaml:1:30: servers: expected a list of addresses, each with or without a port, found "
         "\"192.0.2.1:0\" in quotes\n",
         0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void limits_end_where_sums_would_overflow(void **state)
{
    static const struct bad bad[] = {
        {"limits: {connections: 10000001, memory_mb: 1048577, connect_ms: 2147483648,\n"
         "handshake_ms: 2147483648, idle_ms: 2147483648, half_closed_ms: 2147483648,\n"
         "udp_idle_ms: 2147483648, keepalive_s: 32768, drain_s: 86401}\n" GOOD,
         "s.yaml:1:23: connections: expected a whole number from 0 to 10000000, found 10000001\n"
         "s.yaml:1:44: memory_mb: expected a whole number from 0 to 1048576, found 1048577\n"
         "s.yaml:1:65: connect_ms: expected a whole number from 0 to 2147483647, found 2147483648\n"
         "s.yaml:2:15: handshake_ms: expected a whole number from 0 to 2147483647, found "
         "2147483648\n"
         "s.yaml:2:36: idle_ms: expected a whole number from 0 to 2147483647, found 2147483648\n"
         "s.yaml:2:64: half_closed_ms: expected a whole number from 0 to 2147483647, found "
         "2147483648\n"
         "s.yaml:3:14: udp_idle_ms: expected a whole number from 0 to 2147483647, found "
         "2147483648\n"
         "s.yaml:3:39: keepalive_s: expected a whole number from 0 to 32767, found 32768\n"
         "s.yaml:3:55: drain_s: expected a whole number from 0 to 86400, found 86401\n",
         0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void what_is_not_built_yet_is_said_plainly(void **state)
{
    static const struct bad bad[] = {
        {"inbounds: [{type: mixed, listen: 1080, decoy: y, key: }]",
         "s.yaml:1:40: this version does not have the key \"decoy\"\n"
         "s.yaml:1:50: the key \"key\" does not belong in an inbound of type mixed; it is for "
         "tunnel\n",
         0},
        /* Of a type that is not there, the type alone is told; its name can be referred to. */
        {"inbounds:\n"
         "  - {type: http, listen: 8080, outbound: best}\n"
         "outbounds: [{type: fastest, name: best, nonsense: x}]\n",
         "s.yaml:3:20: type: this version does not have \"fastest\"\n", 0},
        {GOOD "outbounds: [{type: http, name: out, server: \"x:1\", shape: 1}]",
         "s.yaml:2:52: this version does not have the key \"shape\"\n", 0},
        {GOOD "routes: [\"GEOIP,DE,direct\"]",
         "s.yaml:2:10: routes: this version does not have GEOIP\n", 0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void an_address_that_is_none_is_told(void **state)
{
    static const struct bad bad[] = {
        {"inbounds: [{type: mixed, listen: [localhost:1080, \"127.0.0.1\", \"::1\", 65536, \"\", "
         "~,\n"
         "\"[::1]\", true, \"*\", [1080], \"010.0.0.1:80\"]}]",
         "s.yaml:1:35: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found \"localhost:1080\"\n"
         "s.yaml:1:51: listen: \"127.0.0.1\" has no port; write \"127.0.0.1:1080\"\n"
         "s.yaml:1:64: listen: \"::1\" has no port; write \"[::1]:1080\"\n"
         "s.yaml:1:71: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found 65536\n"
         "s.yaml:1:78: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found \"\" in quotes\n"
         "s.yaml:1:82: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found nothing\n"
         "s.yaml:2:1: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found \"[::1]\" in quotes\n"
         "s.yaml:2:10: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found true\n"
         "s.yaml:2:16: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found \"*\" in quotes\n"
         "s.yaml:2:21: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found a list\n"
         "s.yaml:2:29: listen: expected a port, \"address:port\", \"*:port\", \"unix:/path\" or a "
         "list of them, "
         "found \"010.0.0.1:80\" in quotes\n",
         0},
        {"inbounds: [{type: mixed, listen: [1080, '${NOT_SET}', *x ]}]",
         "s.yaml:1:41: the environment variable \"NOT_SET\" is not set\n"
         "s.yaml:1:55: YAML aliases are not supported; a text that begins with * must be in "
         "quotes\n",
         0},
        {"inbounds: [{type: mixed, listen: []}]",
         "s.yaml:1:34: listen: expected 1 to 256 entries, found 0; for example listen: 1080\n", 0},
        {"inbounds: [{type: mixed, listen: 1080, allow: [], deny: example.org}]",
         "s.yaml:1:47: allow: an empty list would shut everybody out; leave the key out, or write "
         "\"*\" for everybody\n"
         "s.yaml:1:57: deny: expected an address, a block such as \"10.0.0.0/8\", \"*\", or a list "
         "of them, found \"example.org\"\n",
         0},
        {"inbounds: [{type: mixed, listen: 1080, allow: [10.1.2.3/8, \"2001:db8::1/32\", "
         "1.2.3.4/0,\n"
         "10.0.0.0/33, 192.0.2.255/31]}]",
         "s.yaml:1:48: allow: \"10.1.2.3/8\" has bits set beyond its prefix; did you mean "
         "\"10.0.0.0/8\"?\n"
         "s.yaml:1:60: allow: \"2001:db8::1/32\" has bits set beyond its prefix; did you mean "
         "\"2001:db8::/32\"?\n"
         "s.yaml:1:78: allow: \"1.2.3.4/0\" has bits set beyond its prefix; did you mean "
         "\"0.0.0.0/0\"?\n"
         "s.yaml:2:1: allow: expected an address, a block such as \"10.0.0.0/8\", \"*\", or a list "
         "of them, found \"10.0.0.0/33\"\n"
         "s.yaml:2:14: allow: \"192.0.2.255/31\" has bits set beyond its prefix; did you mean "
         "\"192.0.2.254/31\"?\n",
         0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void a_target_rule_that_is_none_is_told(void **state)
{
#define EXPECTS                                                               \
    "deny_targets: expected a block and ports such as \"10.0.0.0/8:80-90\", " \
    "\"[2001:db8::/32]:443\", \"*:25\", without ports, or a list of them, found "
    static const struct bad bad[] = {
        {"inbounds:\n"
         "  - type: mixed\n"
         "    listen: 1080\n"
         "    deny_targets:\n"
         "      - \"*:90-80\"\n"
         "      - \"*:\"\n"
         "      - 10.0.0.0/8:65536\n"
         "      - 10.0.0.0/8:1-\n"
         "      - 2001:db8::/32:443\n"
         "      - \"[10.0.0.0/8]:80\"\n"
         "      - \"[2001:db8::]x:80\"\n"
         "      - \"[2001:db8::\"\n"
         "      - example.org:80\n"
         "      - 5\n"
         "      - 10.0.0.1/8:80\n"
         "      - \"[2001:db8::1]/32:80\"\n",
         "s.yaml:5:9: " EXPECTS "\"*:90-80\" in quotes\n"
         "s.yaml:6:9: " EXPECTS "\"*:\" in quotes\n"
         "s.yaml:7:9: " EXPECTS "\"10.0.0.0/8:65536\"\n"
         "s.yaml:8:9: " EXPECTS "\"10.0.0.0/8:1-\"\n"
         "s.yaml:9:9: " EXPECTS "\"2001:db8::/32:443\"\n"
         "s.yaml:10:9: " EXPECTS "\"[10.0.0.0/8]:80\" in quotes\n"
         "s.yaml:11:9: " EXPECTS "\"[2001:db8::]x:80\" in quotes\n"
         "s.yaml:12:9: " EXPECTS "\"[2001:db8::\" in quotes\n"
         "s.yaml:13:9: " EXPECTS "\"example.org:80\"\n"
         "s.yaml:14:9: " EXPECTS "5\n"
         "s.yaml:15:9: deny_targets: \"10.0.0.1/8\" has bits set beyond its prefix; did you mean "
         "\"10.0.0.0/8\"?\n"
         "s.yaml:16:9: deny_targets: \"2001:db8::1/32\" has bits set beyond its prefix; did you "
         "mean \"2001:db8::/32\"?\n",
         0},
    };
#undef EXPECTS
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void a_name_that_is_taken_is_told_with_the_line_that_has_it(void **state)
{
    static const struct bad bad[] = {
        {"inbounds:\n"
         "  - {type: socks, name: lan, listen: 1}\n"
         "  - {type: http, name: lan, listen: 2}\n"
         "outbounds:\n"
         "  - {type: direct, name: out}\n"
         "  - {type: block, name: out}\n"
         "  - {type: block, name: lan}\n",
         "s.yaml:3:24: the name \"lan\" is already used in line 2\n"
         "s.yaml:6:25: the name \"out\" is already used in line 5\n"
         "s.yaml:7:25: the name \"lan\" is already used in line 3\n",
         0},
        {"inbounds:\n"
         "  - {type: socks, name: http-2, listen: 1}\n"
         "  - {type: http, listen: 2}\n",
         "s.yaml:3:5: this needs a name: the one it would get, \"http-2\", is used in line 2\n", 0},
        {"inbounds: [{type: socks, name: block, listen: 1}]",
         "s.yaml:1:32: the name \"block\" belongs to an outbound that always exists: take "
         "another\n",
         0},
        {GOOD "outbounds: [{type: block, name: direct}]",
         "s.yaml:2:33: the name \"direct\" belongs to the outbound of type direct: take another\n",
         0},
        {"inbounds: [{type: mixed, listen: 1, outbound: hmoe}, {type: mixed, listen: 2, outbound: "
         "x}, {type: mixed, listen: 3, outbound: 4}]\n"
         "outbounds: [{type: direct, name: home}]",
         "s.yaml:1:47: there is no outbound named \"hmoe\"; did you mean \"home\"?\n"
         "s.yaml:1:89: there is no outbound named \"x\"\n"
         "s.yaml:1:128: outbound: expected the name of an outbound, found 4\n",
         0},
        {"inbounds: [{type: mixed, listen: 1, outbound: \"\\e[3J\"}]\n"
         "outbounds: [{type: direct, name: \"\\e[2J\"}]",
         "s.yaml:1:47: there is no outbound named \"\\x1b[3J\"; did you mean \"\\x1b[2J\"?\n", 0},
        {"inbounds: [{type: mixed, listen: 1080, name: \"\"}]",
         "s.yaml:1:46: name: expected 1 to 255 bytes, found 0\n", 0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void an_address_that_is_taken_is_told_with_the_line_that_has_it(void **state)
{
    static const struct bad bad[] = {
        {"inbounds:\n"
         "  - {type: socks, listen: [1080, \"127.0.0.1:0\", \"127.0.0.1:0\"]}\n"
         "  - {type: http, listen: \"[::1]:1080\"}\n",
         "s.yaml:3:26: [::1]:1080 is already listened on in line 2\n", 0},
        {"inbounds:\n"
         "  - {type: socks, listen: 8080, allow: \"*\"}\n"
         "  - {type: http, listen: \"0.0.0.0:8080\", allow: \"*\"}\n"
         "  - {type: http, listen: \"[::]:8081\", allow: \"*\"}\n"
         "  - {type: http, listen: \"127.0.0.1:8081\"}\n",
         "s.yaml:3:26: 0.0.0.0:8080 gets in the way of 127.0.0.1:8080 in line 2\n", 0},
        {"inbounds:\n"
         "  - {type: socks, listen: \"*:80\", allow: \"*\"}\n"
         "  - {type: http, listen: [\"[2001:db8::1]:80\", \"*:80\"], allow: \"*\"}\n",
         "s.yaml:3:27: [2001:db8::1]:80 gets in the way of [::]:80 in line 2\n"
         "s.yaml:3:47: 0.0.0.0:80 is already listened on in line 2\n"
         "s.yaml:3:47: [::]:80 is already listened on in line 2\n",
         0},
        /* The same address, written as IPv6. */
        {"inbounds:\n"
         "  - {type: socks, listen: [\"127.0.0.1:80\", \"[::ffff:127.0.0.1]:80\"]}\n",
         "s.yaml:2:44: 127.0.0.1:80 is already listened on in line 2\n", 0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void a_proxy_open_to_the_network_must_say_that_it_is_meant(void **state)
{
#define REMEDY                                                                            \
    "anybody who reaches this address could use the proxy: add users, or allow with the " \
    "addresses of its clients (allow: [\"*\"] if it is for everybody)\n"
    static const struct bad bad[] = {
        {"inbounds: [{type: mixed, listen: \"*:1080\"}]", "s.yaml:1:34: " REMEDY, 0},
        {"inbounds: [{type: mixed, listen: \"192.0.2.1:1080\"}]", "s.yaml:1:34: " REMEDY, 0},
        {"inbounds: [{type: mixed, listen: [1080, \"[fe80::1%3]:1080\"]}]", "s.yaml:1:34: " REMEDY,
         0},
    };
#undef REMEDY
    static const char *const good[] = {
        "inbounds: [{type: mixed, listen: \"*:1080\", allow: \"*\"}]",
        "inbounds: [{type: mixed, listen: \"*:1080\", users: [{name: a, password: b}]}]",
        "inbounds: [{type: mixed, listen: [1080, \"127.255.0.1:1\"]}]",
    };
    static struct said said;

    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
    for (size_t i = 0; i < N_ITEMS(good); i++)
        assert_int_equal(parse(&said, good[i], strlen(good[i])), ERR_NONE);
}

static void users_must_have_names_of_their_own_and_passwords(void **state)
{
    static const struct bad bad[] = {
        {"inbounds:\n"
         "  - type: mixed\n"
         "    listen: 1080\n"
         "    users:\n"
         "      - {name: ann, password: \"hunter2\"}\n"
         "      - {name: bob, password: \"hunter2\"}\n"
         "      - {name: ann, password: \"hunter2\"}\n"
         "      - {name: \"a:b\", password: \"hunter2\"}\n",
         "s.yaml:7:16: the user \"ann\" is already used in line 5\n"
         "s.yaml:8:16: a user's name cannot hold \":\", as HTTP ends it there\n",
         0},
        {"inbounds: [{type: mixed, listen: 1080, users: []}]",
         "s.yaml:1:47: users: expected 1 to 1000000 entries, found 0; for example users: [{name: "
         "ann, password: \"...\"}]\n",
         0},
        {"inbounds: [{type: mixed, listen: 1080, users: [{name: \"\", password: \"\"}]}]",
         "s.yaml:1:55: name: expected 1 to 255 bytes, found 0\n"
         "s.yaml:1:69: password: expected 1 to 255 bytes, found 0\n",
         0},
        {"inbounds: [{type: mixed, listen: 1080, users: [{name: 7, password: x, key: y}]}]",
         "s.yaml:1:55: name: expected a text, found 7; put it in quotes\n"
         "s.yaml:1:71: unknown key in a user; known are name, password\n",
         0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void acc_37_no_secret_is_in_a_message(void **state)
{
    /* Passwords in every wrong place and shape that people put them. */
    static const char *const texts[] = {
        "inbounds: [{type: mixed, listen: 1, users: [{name: ann, password: [hunter2]}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{name: ann, password: {hunter2: 1}}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{name: ann, password: 8888888}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{name: ann, password: &hunter2 1}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{name: ann, password: *hunter2 }]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{name: ann, password: !hunter2 1}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{name: ann, passwrd: hunter2}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{ann: hunter2}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [{ann:hunter2}]}]",
        "inbounds: [{type: mixed, listen: 1, users: [\"ann:hunter2\"]}]",
        "inbounds: [{type: mixed, listen: 1, users: \"ann:hunter2\"}]",
        "inbounds: [{type: mixed, listen: 1, users: {ann: hunter2}}]",
        "inbounds: [{type: mixed, listen: 1, password: hunter2}]",
        "workers: ${SECRET}\n" GOOD,
        "log: {level: \"${SECRET}\", access: \"${SECRET}\"}\n" GOOD,
        "user: ${BYTES}\n" GOOD,
        "dns: {servers: \"${SECRET}\"}\n" GOOD,
        "inbounds: [{type: \"${SECRET}\", listen: \"${SECRET}\", outbound: \"${SECRET}\",\n"
        "allow: \"${SECRET}\", allow_targets: \"${SECRET}\"}]",
    };
    static struct said said;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(texts); i++) {
        assert_int_equal(parse(&said, texts[i], strlen(texts[i])), ERR_BAD);
        assert_true(said.messages.n_errors > 0);
        if (strstr(said.text, "hunter") != NULL || strstr(said.text, "8888888") != NULL)
            fail_msg("'%s' gives '%s'", texts[i], said.text);
    }
}

static void an_environment_variable_that_cannot_be_used_is_told(void **state)
{
    static const struct bad bad[] = {
        {"user: ${NOT_SET}\n" GOOD, "s.yaml:1:7: the environment variable \"NOT_SET\" is not set\n",
         0},
        {"user: a${BYTES}\n" GOOD,
         "s.yaml:1:7: the environment variable \"BYTES\" is not UTF-8 text\n", 0},
        {"user: ${}\nstate: ${1A}\nadmin: {socket: \"${A\"}\n" GOOD,
         "s.yaml:1:7: \"${\" without the name of an environment variable and \"}\"; for the text "
         "\"${\" write \"$${\"\n"
         "s.yaml:2:8: \"${\" without the name of an environment variable and \"}\"; for the text "
         "\"${\" write \"$${\"\n"
         "s.yaml:3:17: \"${\" without the name of an environment variable and \"}\"; for the text "
         "\"${\" write \"$${\"\n",
         0},
        {"inbounds: [{type: mixed, listen: 1080, name: \"${EMPTY}\"}]",
         "s.yaml:1:46: name: expected 1 to 255 bytes, found 0\n", 0},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad));
}

static void variables_bring_in_4_mib_at_most(void **state)
{
    static struct said said;
    static char text[1024];
    size_t n = (size_t)snprintf(text, sizeof text, "zzz: [");

    (void)state;
    memset(big, 'x', sizeof big - 1);
    for (unsigned i = 0; i < 65; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "'${BIG}',\n");
    n += (size_t)snprintf(text + n, sizeof text - n, "]\n" GOOD);
    assert_int_equal(parse(&said, text, n), ERR_BAD);
    assert_int_equal(said.messages.n_errors, 2);
    assert_non_null(strstr(said.text, "\ns.yaml:65:1: environment variables bring in more than 4 "
                                      "MiB\n"));
}

static void a_file_name_without_a_folder_for_the_log_is_warned_of(void **state)
{
    static const char text[] = "log: {to: stdout}\n" GOOD;
    static struct said said;

    (void)state;
    assert_int_equal(parse(&said, text, strlen(text)), ERR_NONE);
    assert_string_equal(said.text,
                        "s.yaml:1:11: warning: to: \"stdout\" is taken for a file; write "
                        "\"./\" before it if it is meant\n");
    assert_int_equal(said.messages.n_warnings, 1);
    assert_int_equal(said.messages.n_errors, 0);
}

static void a_file_beyond_4_mib_is_refused(void **state)
{
    const size_t max = (size_t)4 * 1024 * 1024;
    char *text = malloc(max + 1);
    static struct said said;

    (void)state;
    assert_non_null(text);
    memset(text, '#', max + 1);
    memcpy(text, GOOD, strlen(GOOD));
    assert_int_equal(parse(&said, text, max), ERR_NONE);
    assert_int_equal(parse(&said, text, max + 1), ERR_BAD);
    assert_string_equal(said.text, "s.yaml: the file is larger than 4 MiB; lists that long belong "
                                   "into files of their own\n");
    free(text);
}

static void all_errors_are_counted_and_the_first_hundred_shown(void **state)
{
    static struct said said;
    static char text[8192];
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < 123; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "zzz%u: 1\n", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "workers: x\nworkers: y\nlog: {to: x}\n");
    n += (size_t)snprintf(text + n, sizeof text - n, GOOD);
    assert_int_equal(parse(&said, text, n), ERR_BAD);
    assert_int_equal(said.messages.n_errors, 125);
    assert_int_equal(said.messages.n_warnings, 1);
    assert_int_equal(count_lines(said.text), 101);
    assert_non_null(strstr(said.text, "s.yaml:100:1: unknown key \"zzz99\""));
    assert_non_null(strstr(said.text, "\ns.yaml: 26 more messages not shown\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acc_78_what_is_no_yaml_is_told_with_its_place),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(what_yaml_has_beyond_plain_data_is_refused),
        cmocka_unit_test(a_file_without_inbounds_is_refused_with_a_remedy),
        cmocka_unit_test(acc_78_an_unknown_key_is_named_with_the_nearest_known_one),
        cmocka_unit_test(a_key_that_is_there_twice_or_missing_is_told),
        cmocka_unit_test(a_value_of_the_wrong_kind_is_told_with_what_is_expected),
        cmocka_unit_test(limits_end_where_sums_would_overflow),
        cmocka_unit_test(what_is_not_built_yet_is_said_plainly),
        cmocka_unit_test(an_address_that_is_none_is_told),
        cmocka_unit_test(a_target_rule_that_is_none_is_told),
        cmocka_unit_test(a_name_that_is_taken_is_told_with_the_line_that_has_it),
        cmocka_unit_test(an_address_that_is_taken_is_told_with_the_line_that_has_it),
        cmocka_unit_test(a_proxy_open_to_the_network_must_say_that_it_is_meant),
        cmocka_unit_test(users_must_have_names_of_their_own_and_passwords),
        cmocka_unit_test(acc_37_no_secret_is_in_a_message),
        cmocka_unit_test(an_environment_variable_that_cannot_be_used_is_told),
        cmocka_unit_test(variables_bring_in_4_mib_at_most),
        cmocka_unit_test(a_file_name_without_a_folder_for_the_log_is_warned_of),
        cmocka_unit_test(a_file_beyond_4_mib_is_refused),
        cmocka_unit_test(all_errors_are_counted_and_the_first_hundred_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
