/* What a configuration that is right comes to, and that printing it gives it back. */
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

static void say(struct config_messages *messages, const char *message)
{
    (void)messages;
    print_error("%s\n", message);
}

static void say_nothing(struct config_messages *messages, const char *message)
{
    (void)messages;
    (void)message;
}

static const char *environment(const char *name)
{
    if (strcmp(name, "PORT") == 0)
        return "1081";
    if (strcmp(name, "PASSWORD") == 0)
        return "12${PORT}$$\"\\ \xc3\xa9";
    if (strcmp(name, "SERVER_KEY") == 0)
        return "QUJDREVGR0hJSktMTU5PUA==";
    if (strcmp(name, "ANN_KEY") == 0)
        return "QU5OU0tFWUhKS0xNTk9QUQ==";
    if (strcmp(name, "BOB_KEY") == 0)
        return "Qk9CU0tFWUhKS0xNTk9QUQ==";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    return NULL;
}

#define PEM(label, body) "-----BEGIN " label "-----\n" body "\n-----END " label "-----\n"

/* Files that examples of the documentation name: of users, of a password, of domains, of keys. */
static enum err read_example(const char *path, size_t max_bytes, char **text, size_t *n)
{
    const char *content = strcmp(path, "tunnel.users") == 0  ? "cid:UVJTVFVWV1hZWmFiY2RlZg==\n"
                          : strstr(path, "users") != NULL    ? "ann:$6$x$y\n"
                          : strstr(path, "password") != NULL ? "secret\n"
                          : strstr(path, "domains") != NULL  ? "example.com\n"
                          : strcmp(path, "tunnel.key") == 0  ? "QUJDREVGR0hJSktMTU5PUA==\n"
                          : strstr(path, ".key") != NULL     ? PEM("PRIVATE KEY", "QQ==")
                          : strcmp(path, "ann.pub") == 0     ? PEM("PUBLIC KEY", "QQ==")
                          : strstr(path, ".pub") != NULL     ? PEM("PUBLIC KEY", "Qg==")
                                                             : NULL;

    if (content == NULL)
        return ERR_NOT_FOUND;
    *n = strlen(content);
    assert_true(*n <= max_bytes);
    *text = malloc(*n + 1);
    assert_non_null(*text);
    memcpy(*text, content, *n + 1);
    return ERR_NONE;
}

static const struct config_sources sources = {.getenv = environment, .read_file = read_example};

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    struct config_messages messages = {.say = say};

    assert_int_equal(config_parse(&config, "s.yaml", text, strlen(text), &sources, &messages),
                     ERR_NONE);
    assert_int_equal(messages.n_errors, 0);
    return config;
}

struct printed {
    char text[16384];
    size_t n;
};

static void append(void *arg, const char *text, size_t n)
{
    struct printed *printed = arg;

    assert_true(n < sizeof printed->text - printed->n);
    memcpy(printed->text + printed->n, text, n);
    printed->n += n;
    printed->text[printed->n] = '\0';
}

static const char *print(struct printed *printed, const struct config *config)
{
    *printed = (struct printed){.n = 0};
    config_print(config, append, printed);
    return printed->text;
}

static void assert_addr(const struct addr *addr, const char *text)
{
    char found[ADDR_TEXT_BYTES];

    addr_format(addr, found);
    assert_string_equal(found, text);
}

static void what_is_not_said_has_its_default(void **state)
{
    struct config *config = parse("inbounds: [{type: mixed, listen: 1080}]");
    static struct printed printed;

    (void)state;
    assert_string_equal(print(&printed, config), "workers: 0\n"
                                                 "state: \"\"\n"
                                                 "user: \"nobody\"\n"
                                                 "limits:\n"
                                                 "  connections: 0\n"
                                                 "  memory_mb: 0\n"
                                                 "  connect_ms: 8000\n"
                                                 "  handshake_ms: 10000\n"
                                                 "  idle_ms: 7200000\n"
                                                 "  half_closed_ms: 300000\n"
                                                 "  udp_idle_ms: 300000\n"
                                                 "  keepalive_s: 600\n"
                                                 "  drain_s: 30\n"
                                                 "dns:\n"
                                                 "  servers: []\n"
                                                 "  prefer: auto\n"
                                                 "log:\n"
                                                 "  level: info\n"
                                                 "  format: text\n"
                                                 "  to: stderr\n"
                                                 "  access: true\n"
                                                 "admin:\n"
                                                 "  socket: \"auto\"\n"
                                                 "inbounds:\n"
                                                 "  - type: mixed\n"
                                                 "    name: \"mixed-1\"\n"
                                                 "    listen: [1080]\n"
                                                 "    allow: [\"*\"]\n"
                                                 "    deny: []\n"
                                                 "    allow_targets: []\n"
                                                 "    deny_targets: []\n"
                                                 "    connections: 0\n"
                                                 "    per_client: 0\n"
                                                 "    reuse_port: false\n"
                                                 "    udp:\n"
                                                 "      enabled: true\n"
                                                 "      ports: 0\n"
                                                 "    bind:\n"
                                                 "      enabled: false\n"
                                                 "      ports: 0\n"
                                                 "outbounds:\n"
                                                 "  - type: direct\n"
                                                 "    name: \"direct\"\n"
                                                 "    fwmark: 0\n"
                                                 "    fast_open: false\n"
                                                 "  - type: block\n"
                                                 "    name: \"block\"\n");
    assert_int_equal(config->inbounds[0].allow.n, 0);
    assert_false(config->inbounds[0].has_users);
    config_free(config);
}

static void every_key_outside_the_inbounds_is_stored(void **state)
{
    struct config *config = parse(
        "workers: 3\nstate: /var/lib/x\nuser: ''\n"
        "limits: {connections: 1, memory_mb: 2, connect_ms: 3, handshake_ms: 4, idle_ms: 5,\n"
        "  half_closed_ms: 6, udp_idle_ms: 7, keepalive_s: 8, drain_s: 9}\n"
        "dns: {servers: [192.0.2.53, '192.0.2.54:5353', '2001:db8::53', '[2001:db8::54]:54'],\n"
        "  prefer: 6}\n"
        "log: {level: trace, format: json, to: ./x.log, access: false}\n"
        "admin: {socket: ''}\n"
        "inbounds: [{type: http, listen: 1}]\n");
    const struct config_limits *limits = &config->limits;
    const struct config_dns *dns = &config->dns;

    (void)state;
    assert_int_equal(config->workers, 3);
    assert_string_equal(config->state, "/var/lib/x");
    assert_string_equal(config->user, "");
    assert_int_equal(limits->connections, 1);
    assert_int_equal(limits->memory_mb, 2);
    assert_int_equal(limits->connect_ms, 3);
    assert_int_equal(limits->handshake_ms, 4);
    assert_int_equal(limits->idle_ms, 5);
    assert_int_equal(limits->half_closed_ms, 6);
    assert_int_equal(limits->udp_idle_ms, 7);
    assert_int_equal(limits->keepalive_s, 8);
    assert_int_equal(limits->drain_s, 9);
    assert_int_equal(dns->n_servers, 4);
    assert_addr(&dns->servers[0], "192.0.2.53:53");
    assert_addr(&dns->servers[1], "192.0.2.54:5353");
    assert_addr(&dns->servers[2], "[2001:db8::53]:53");
    assert_addr(&dns->servers[3], "[2001:db8::54]:54");
    assert_int_equal(dns->prefer, 6);
    assert_int_equal(config->log.level, LOG_LEVEL_TRACE);
    assert_int_equal(config->log.format, LOG_FORMAT_JSON);
    assert_int_equal(config->log.sink, LOG_TO_FILE);
    assert_string_equal(config->log.path, "./x.log");
    assert_false(config->log.access);
    assert_string_equal(config->admin.socket, "");
    config_free(config);
}

static void every_key_of_an_inbound_is_stored(void **state)
{
    struct config *config =
        parse("inbounds:\n"
              "  - type: socks\n"
              "    name: lan\n"
              "    listen: '192.0.2.1:1080'\n"
              "    outbound: block\n"
              "    allow: [192.0.2.0/24, '2001:db8::/32']\n"
              "    deny: 192.0.2.7\n"
              "    allow_targets: ['10.0.0.1:22']\n"
              "    deny_targets: ['*:25', 10.0.0.0/8]\n"
              "    connections: 100\n"
              "    per_client: 10\n"
              "    reuse_port: true\n"
              "    users: [{name: ann, password: pw}, {name: bob, password: x}]\n"
              "  - {type: http, listen: 8080}\n");
    const struct config_inbound *lan = &config->inbounds[0];

    (void)state;
    assert_int_equal(config->n_inbounds, 2);
    assert_int_equal(lan->type, INBOUND_SOCKS);
    assert_string_equal(lan->name, "lan");
    assert_int_equal(lan->line, 2);
    assert_string_equal(config->outbounds[lan->outbound].name, "block");
    assert_int_equal(lan->allow.n, 2);
    assert_int_equal(lan->allow.items[0].prefix_bits, 24);
    assert_int_equal(lan->allow.items[1].family, ADDR_V6);
    assert_int_equal(lan->deny.n, 1);
    assert_int_equal(lan->deny.items[0].prefix_bits, 32);
    assert_int_equal(lan->connections, 100);
    assert_int_equal(lan->per_client, 10);
    assert_true(lan->reuse_port);
    assert_true(lan->has_users);
    assert_int_equal(lan->n_users, 2);
    assert_string_equal(lan->users[0].name, "ann");
    assert_string_equal(lan->users[0].password, "pw");
    assert_string_equal(lan->users[1].name, "bob");
    assert_true(lan->is_exposed);
    assert_string_equal(config->inbounds[1].name, "http-2");
    assert_int_equal(config->inbounds[1].line, 14);
    assert_false(config->inbounds[1].is_exposed);
    config_free(config);
}

static void acc_72_a_bare_port_and_a_star_stand_for_both_families(void **state)
{
    struct config *config = parse("inbounds: [{type: mixed, allow: '*', listen: [1080, '*:0', "
                                  "'[::1]:5', '0', '[::ffff:192.0.2.1]:6']}]");
    const struct config_inbound *inbound = &config->inbounds[0];
    static const struct {
        const char *text;
        uint16_t group;
        bool optional;
    } expected[] = {
        {"127.0.0.1:1080", 0, true}, {"[::1]:1080", 0, true},   {"0.0.0.0:0", 1, true},
        {"[::]:0", 1, true},         {"[::1]:5", 2, false},     {"127.0.0.1:0", 3, true},
        {"[::1]:0", 3, true},        {"192.0.2.1:6", 4, false},
    };

    (void)state;
    assert_int_equal(inbound->n_listens, N_ITEMS(expected));
    for (size_t i = 0; i < N_ITEMS(expected); i++) {
        assert_addr(&inbound->listens[i].addr, expected[i].text);
        assert_int_equal(inbound->listens[i].group, expected[i].group);
        assert_int_equal(inbound->listens[i].optional, expected[i].optional);
    }
    config_free(config);
}

static void target_rules_have_blocks_and_ports(void **state)
{
    struct config *config = parse(
        "inbounds: [{type: mixed, listen: 1, deny_targets: ['*', '*:25', '10.0.0.0/8:80-90',\n"
        "'2001:db8::/32', '[2001:db8::/32]:443', '[2001:db8::]/32:1-2', '[::1]:0', '[::1]',\n"
        "192.0.2.1, '::ffff:10.0.0.0/104']}]");
    static const struct {
        uint8_t family, bits;
        bool has_port;
        uint16_t from, to;
    } expected[] = {
        {ADDR_NONE, 0, false, 0, 65535}, {ADDR_NONE, 0, true, 25, 25},
        {ADDR_V4, 8, true, 80, 90},      {ADDR_V6, 32, false, 0, 65535},
        {ADDR_V6, 32, true, 443, 443},   {ADDR_V6, 32, true, 1, 2},
        {ADDR_V6, 128, true, 0, 0},      {ADDR_V6, 128, false, 0, 65535},
        {ADDR_V4, 32, false, 0, 65535},  {ADDR_V4, 8, false, 0, 65535},
    };
    const struct config_target_rules *rules = &config->inbounds[0].deny_targets;

    (void)state;
    assert_int_equal(rules->n, N_ITEMS(expected));
    for (size_t i = 0; i < N_ITEMS(expected); i++) {
        assert_int_equal(rules->items[i].cidr.family, expected[i].family);
        assert_int_equal(rules->items[i].cidr.prefix_bits, expected[i].bits);
        assert_int_equal(rules->items[i].has_port, expected[i].has_port);
        assert_int_equal(rules->items[i].port_from, expected[i].from);
        assert_int_equal(rules->items[i].port_to, expected[i].to);
    }
    config_free(config);
}

static void the_first_outbound_of_the_file_is_the_default(void **state)
{
    struct config *config = parse("inbounds: [{type: mixed, listen: 1}, {type: mixed, listen: 2, "
                                  "outbound: direct}]\n"
                                  "outbounds:\n  - {type: block, name: none}\n"
                                  "  - {type: block, name: block}\n");

    (void)state;
    assert_int_equal(config->n_outbounds, 3);
    assert_string_equal(config->outbounds[0].name, "none");
    assert_int_equal(config->outbounds[0].type, OUTBOUND_BLOCK);
    assert_int_equal(config->outbounds[0].line, 3);
    assert_string_equal(config->outbounds[1].name, "block");
    assert_string_equal(config->outbounds[2].name, "direct");
    assert_int_equal(config->outbounds[2].type, OUTBOUND_DIRECT);
    assert_int_equal(config->inbounds[0].outbound, 0);
    assert_int_equal(config->inbounds[1].outbound, 2);
    config_free(config);
}

static void variables_are_expanded_once_and_numbers_of_them_are_numbers(void **state)
{
    struct config *config =
        parse("workers: ${EMPTY}2\nstate: a$b$$c$${d}${EMPTY}\nuser: 'x${PORT}y'\n"
              "inbounds: [{type: mixed, listen: '${PORT}', users: [{name: '${PORT}',\n"
              "  password: \"${PASSWORD}\"}]}]");

    (void)state;
    assert_int_equal(config->workers, 2);
    assert_string_equal(config->state, "a$b$$c${d}");
    assert_string_equal(config->user, "x1081y");
    assert_int_equal(config->inbounds[0].listens[0].addr.port, 1081);
    assert_string_equal(config->inbounds[0].users[0].name, "1081");
    assert_string_equal(config->inbounds[0].users[0].password, environment("PASSWORD"));
    config_free(config);
}

static void acc_78_json_is_read(void **state)
{
    struct config *config = parse("{\n\t\"workers\":2,\"user\" : \"\\u006e\\/\\\"\\\\\\t\",\n"
                                  "\t\"log\":\t{\"access\":\tfalse},\r\n"
                                  "\t\"inbounds\":\t[\n\t\t{\"type\":\"mixed\", "
                                  "\"listen\":[\"127.0.0.1:1080\"]\t}\n\t]\n}\n");

    (void)state;
    assert_int_equal(config->workers, 2);
    assert_string_equal(config->user, "n/\"\\\t");
    assert_false(config->log.access);
    assert_int_equal(config->inbounds[0].n_listens, 1);
    config_free(config);
}

static void texts_are_what_yaml_1_2_takes_for_texts(void **state)
{
    struct config *config = parse("user: no\nstate: !!str 010\nadmin: {socket: ! 1}\n"
                                  "inbounds: [{type: mixed, listen: 1, name: 1_0},\n"
                                  "  {type: mixed, listen: 2, name: 1.2.3},\n"
                                  "  {type: mixed, listen: 3, name: 1e},\n"
                                  "  {type: mixed, listen: 4, name: 0x},\n"
                                  "  {type: mixed, listen: 5, name: -}]\n");
    static const char *const names[] = {"1_0", "1.2.3", "1e", "0x", "-"};

    (void)state;
    assert_string_equal(config->user, "no");
    assert_string_equal(config->state, "010");
    assert_string_equal(config->admin.socket, "1");
    for (size_t i = 0; i < N_ITEMS(names); i++)
        assert_string_equal(config->inbounds[i].name, names[i]);
    config_free(config);
}

static void what_is_printed_is_read_and_printed_alike(void **state)
{
    static const char *const texts[] = {
        "inbounds: [{type: mixed, listen: 1080}]",
        "inbounds: [{type: mixed, listen: [1080, '*:0', '[::1]:5', '0.0.0.0:9', '*:81'],\n"
        "  allow: ['*', 10.0.0.0/8], deny: '2001:db8::/32', users: [{name: a, password: b},\n"
        "  {name: \"\\t\\x85\\u2028\\ufeff'\\\"\\\\$${x}$$${y}\\U0001f600\xc3\xa9\", password: "
        "x}],\n"
        "  deny_targets: ['*', '*:25', '10.0.0.0/8:80-90', '[2001:db8::/32]:443', '::1'],\n"
        "  allow_targets: ['[::]/0:0-65535'], reuse_port: true, per_client: 10000000,\n"
        "  connections: 9},\n"
        " {type: http, listen: 82, outbound: x}, {type: socks, name: s, listen: 83,\n"
        "  outbound: direct}]\n"
        "outbounds: [{type: block, name: first}, {type: direct, name: x}]\n"
        "log: {to: syslog, level: error, format: json}\ndns: {prefer: 4, servers: ['::1', "
        "1.2.3.4]}",
        "inbounds: [{type: mixed, listen: 1080}]\nlog: {to: './stderr'}\nworkers: 1024",
    };
    static struct printed first, second;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(texts); i++) {
        struct config *config = parse(texts[i]);
        print(&first, config);
        config_free(config);
        config = parse(first.text);
        print(&second, config);
        config_free(config);
        assert_string_equal(first.text, second.text);
    }
}

static void acc_37_no_password_is_printed(void **state)
{
    struct config *config = parse("inbounds: [{type: mixed, listen: 1, users: [{name: ann, "
                                  "password: hunter2}]}]");
    static struct printed printed;

    (void)state;
    print(&printed, config);
    assert_null(strstr(printed.text, "hunter2"));
    assert_non_null(strstr(printed.text, "password: \"***\""));
    config_free(config);
}

static void the_plain_proxy_is_the_seeds(void **state)
{
    struct config *config = NULL;

    (void)state;
    assert_int_equal(config_new_plain(&config), ERR_NONE);
    assert_int_equal(config->n_inbounds, 1);
    assert_int_equal(config->inbounds[0].type, INBOUND_SOCKS);
    assert_string_equal(config->inbounds[0].name, "socks");
    assert_int_equal(config->inbounds[0].n_listens, 1);
    assert_addr(&config->inbounds[0].listens[0].addr, "127.0.0.1:1080");
    assert_false(config->inbounds[0].is_exposed);
    assert_string_equal(config->outbounds[config->inbounds[0].outbound].name, "direct");
    assert_int_equal(config->limits.connections, 0);
    assert_int_equal(config->limits.connect_ms, 8000);
    assert_int_equal(config->limits.idle_ms, 64000);
    assert_int_equal(config->limits.drain_s, 0);
    assert_int_equal(config->limits.handshake_ms, 10000);
    assert_int_equal(config->log.sink, LOG_TO_STDERR);
    assert_string_equal(config->user, "nobody");
    config_free(config);
}

static void ipv6_zones_are_addresses_of_their_own(void **state)
{
    struct config *config = parse("inbounds: [{type: mixed, allow: '*', listen: ['[fe80::1%2]:80', "
                                  "'[fe80::1%3]:80', '[::1]:80', '[::1]:81']}]");

    (void)state;
    assert_int_equal(config->inbounds[0].n_listens, 4);
    assert_int_equal(config->inbounds[0].listens[1].addr.scope, 3);
    config_free(config);
}

static void long_lists_are_kept_whole(void **state)
{
    enum { N = 20000 };
    size_t cap = N * 24 + 100, n;
    char *text = malloc(cap);

    (void)state;
    assert_non_null(text);
    n = (size_t)snprintf(text, cap, "inbounds:\n  - type: mixed\n    listen: 1080\n    allow:\n");
    for (unsigned i = 0; i < N; i++)
        n += (size_t)snprintf(text + n, cap - n, "      - 10.0.%u.%u\n", i >> 8, i & 0xff);
    struct config *config = parse(text);
    const struct config_cidrs *allow = &config->inbounds[0].allow;
    assert_int_equal(allow->n, N);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(allow->items[i].ip[2] << 8 | allow->items[i].ip[3], i);
    config_free(config);
    free(text);
}

/* The command line's bytes take this way. */
static void what_is_no_text_prints_as_text(void **state)
{
    static struct printed printed;
    static char bytes[] = "x\xff\xc3";
    struct config *config = NULL;

    (void)state;
    assert_int_equal(config_new_plain(&config), ERR_NONE);
    config->user = bytes;
    assert_non_null(strstr(print(&printed, config), "\nuser: \"x??\"\n"));
    config_free(config);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 65536);

    assert_non_null(file);
    assert_non_null(text);
    size_t n = fread(text, 1, 65535, file);
    assert_true(n > 0 && n < 65535);
    fclose(file);
    return text;
}

/* Examples that are not whole are made so. */
static void every_example_of_the_documentation_is_right(void **state)
{
    static const char rest[] = "inbounds: [{type: mixed, listen: 1080}]\n";
    char *page = read_file("../../doc/configuration.md"), *end;
    unsigned n = 0;

    (void)state;
    for (char *at = page; (at = strstr(at, "```yaml\n")) != NULL; at = end + 1) {
        char text[4096];
        at += strlen("```yaml\n");
        end = strstr(at, "```");
        assert_non_null(end);
        *end = '\0';
        snprintf(text, sizeof text, "%s%s", at, strstr(at, "inbounds:") != NULL ? "" : rest);
        config_free(parse(text));
        n++;
    }
    assert_true(n >= 8);
    free(page);
}

static void the_packaged_example_is_right(void **state)
{
    char *text = read_file("../../packaging/sockeye.yaml");

    (void)state;
    config_free(parse(text));
    free(text);
}

static void the_status_socket_is_found_whatever_else_is_wrong(void **state)
{
    static const struct {
        const char *text, *socket; /* NULL: refused */
    } cases[] = {
        {"inbounds: [{type: mixed, listen: 1080}]", "auto"},
        {"admin: {socket: /x/y}", "/x/y"},
        {"admin: {socket: ''}", ""},
        {"admin: {}", "auto"},
        {"user: ${UNSET}\nadmin: {socket: \"/x/${PORT}\"}\nnonsense: 1", "/x/1081"},
        {"admin: {socket: \"${UNSET}\"}", NULL},
        {"admin: {socket: 5}", NULL},
        {"admin: {sokcet: a}", NULL},
        {"admin: /x", NULL},
        {"admin: [", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        struct config_messages messages = {.say = say_nothing};
        char *found = NULL;
        enum err err = config_find_admin_socket(&found, "s.yaml", cases[i].text,
                                                strlen(cases[i].text), &sources, &messages);
        assert_int_equal(err, cases[i].socket != NULL ? ERR_NONE : ERR_BAD);
        assert_int_equal(messages.n_errors > 0, cases[i].socket == NULL);
        if (cases[i].socket != NULL)
            assert_string_equal(found, cases[i].socket);
        free(found);
    }
}

static void no_configuration_can_be_freed(void **state)
{
    (void)state;
    config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(every_key_outside_the_inbounds_is_stored),
        cmocka_unit_test(every_key_of_an_inbound_is_stored),
        cmocka_unit_test(acc_72_a_bare_port_and_a_star_stand_for_both_families),
        cmocka_unit_test(target_rules_have_blocks_and_ports),
        cmocka_unit_test(the_first_outbound_of_the_file_is_the_default),
        cmocka_unit_test(variables_are_expanded_once_and_numbers_of_them_are_numbers),
        cmocka_unit_test(acc_78_json_is_read),
        cmocka_unit_test(texts_are_what_yaml_1_2_takes_for_texts),
        cmocka_unit_test(what_is_printed_is_read_and_printed_alike),
        cmocka_unit_test(acc_37_no_password_is_printed),
        cmocka_unit_test(the_plain_proxy_is_the_seeds),
        cmocka_unit_test(ipv6_zones_are_addresses_of_their_own),
        cmocka_unit_test(long_lists_are_kept_whole),
        cmocka_unit_test(what_is_no_text_prints_as_text),
        cmocka_unit_test(every_example_of_the_documentation_is_right),
        cmocka_unit_test(the_packaged_example_is_right),
        cmocka_unit_test(the_status_socket_is_found_whatever_else_is_wrong),
        cmocka_unit_test(no_configuration_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
