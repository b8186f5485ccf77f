/*
 * Every allocation fails in its turn, libyaml's too: this program has libyaml linked into it, and
 * the linker turns all calls of malloc and its family into those here (--wrap).
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *old);
/* NOLINTEND(bugprone-reserved-identifier) */

static bool is_watching;
static bool only_ours;         /* libyaml calls no calloc, our arenas nothing else */
static size_t n_until_failure; /* 0: none fails */
static size_t n_calls;
static long n_live;

static const char *secret; /* what no freed memory may hold; NULL: whatever it likes */
static size_t n_exposed;

static bool must_fail(bool is_ours)
{
    if (!is_watching || (only_ours && !is_ours))
        return false;
    n_calls++;
    return n_calls == n_until_failure;
}

static void *count(void *got)
{
    if (is_watching && got != NULL)
        n_live++;
    return got;
}

void *__wrap_malloc(size_t size)
{
    return must_fail(false) ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return must_fail(true) ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (must_fail(false))
        return NULL;
    void *got = __real_realloc(old, size);
    return old == NULL ? count(got) : got;
}

char *__wrap_strdup(const char *text)
{
    return must_fail(false) ? NULL : count(__real_strdup(text));
}

void __wrap_free(void *old)
{
    if (is_watching && old != NULL) {
        n_live--;
        if (secret != NULL && memmem(old, malloc_usable_size(old), secret, strlen(secret)) != NULL)
            n_exposed++;
    }
    __real_free(old);
}

static size_t n_said;

static void say(struct config_messages *messages, const char *message)
{
    (void)messages;
    (void)message;
    n_said++;
}

static const char *environment(const char *name)
{
    return strcmp(name, "PASSWORD") == 0 ? "hunter2" : NULL;
}

/* The base64 of "hunter2hunter2!!". */
#define KEY "aHVudGVyMmh1bnRlcjIhIQ=="

/* What is in a file is told by the first letter of its name. */
static enum err read_file(const char *path, size_t max_bytes, char **text, size_t *n)
{
    const char *content = path[0] == 'u'   ? "eve:hunter2\ncarl:$6$hunter2\n"
                          : path[0] == 'p' ? "hunter2\n"
                          : path[0] == 'd' ? "Example.com\n*.example.org\n"
                          : path[0] == 'k' ? KEY "\n"
                          : path[0] == 'i' ? "-----BEGIN PRIVATE KEY-----\n" KEY "\n-----END "
                          : path[0] == 'c' ? "-----BEGIN PUBLIC KEY-----\nA=\n-----END "
                                           : "x\n/y\n:z\n";

    *n = strlen(content);
    assert_true(*n <= max_bytes);
    *text = malloc(*n + 1);
    if (*text == NULL)
        return ERR_MEMORY;
    memcpy(*text, content, *n + 1);
    return ERR_NONE;
}

static const struct config_sources sources = {.getenv = environment, .read_file = read_file};

/* Parses while the nth allocation fails; frees what came of it. */
static enum err parse(const char *text, size_t n)
{
    struct config *config = NULL;
    struct config_messages messages = {.say = say};

    n_said = n_calls = 0;
    n_live = 0;
    n_until_failure = n;
    is_watching = true;
    enum err err = config_parse(&config, "s.yaml", text, strlen(text), &sources, &messages);
    config_free(config);
    is_watching = false;
    return err;
}

static void assert_every_failure_is_clean(const char *text, enum err expected)
{
    assert_int_equal(parse(text, 0), expected);
    assert_int_equal(n_live, 0);
    size_t n_needed = n_calls;
    assert_true(n_needed > 1);
    for (size_t n = 1; n <= n_needed; n++) {
        if (parse(text, n) != ERR_MEMORY)
            fail_msg("allocation %zu failed and was not noticed", n);
        assert_int_equal(n_said, 0);
        assert_int_equal(n_live, 0);
    }
}

static const char good[] =
    "workers: 2\nuser: x${PASSWORD}y\n"
    "dns: {servers: [192.0.2.1]}\n"
    "inbounds:\n"
    "  - type: mixed\n"
    "    listen: [1080, '*:1081']\n"
    "    allow: [10.0.0.0/8]\n"
    "    deny_targets: ['*:25']\n"
    "    users: [{name: ann, password: '${PASSWORD}'}, {name: bob, password: \"\\x41\"}]\n"
    "  - {type: http, name: web, listen: [8080, 'unix:/x'], outbound: out, users_file: u}\n"
    "  - {type: tunnel, listen: 4194, key: " KEY ", identity: i, peers: c}\n"
    "outbounds: [{type: direct, name: out, interface: eth0, bind: 192.0.2.1},\n"
    "  {type: socks, name: s, server: 'x:1', username: u, password_file: p, via: out},\n"
    "  {type: tunnel, name: t, server: ['x:1', 'y:1'], key_file: k, peer: c, via: s}]\n"
    "routes: ['DOMAIN,a,out', 'DOMAIN-SET,d,s', 'IP-CIDR,10.0.0.0/8,s', 'IN-NAME,web,s']\n"
    "admin: {socket: ./y}\n";

static void acc_70_a_good_configuration_survives_any_failed_allocation(void **state)
{
    (void)state;
    assert_every_failure_is_clean(good, ERR_NONE);
    assert_true(n_calls > 20);
}

static void acc_70_a_bad_configuration_survives_any_failed_allocation(void **state)
{
    static const char text[] = "wokers: 2\nuser: 1\nstate: ${UNSET}\nlog: {to: x, level: *x }\n"
                               "inbounds: [{type: mixd, listen: [x, 1, 1], allow: 10.0.0.1/8,\n"
                               "  outbound: y, users: [{name: a, password: b}, {name: a}]}]\n";

    (void)state;
    assert_every_failure_is_clean(text, ERR_BAD);
    assert_every_failure_is_clean(
        "inbounds: [{type: relay, listen: 'unix:x', target: y, users: []},\n"
        "  {type: http, listen: ['unix:/x', 'unix:/x'], users_file: w}]\n"
        "outbounds: [{type: socks, name: a, server: x, via: b, username: u},\n"
        "  {type: http, name: b, server: 'x:1', via: a, password_file: w}]\n"
        "routes: ['DOMAIN-SET,w,a', 'DOMAN,x,y', 'DOMAIN,a b,c', 'IN-NAME,x,a', 'MATCH,a']\n",
        ERR_BAD);
}

static void acc_70_what_is_no_yaml_survives_any_failed_allocation(void **state)
{
    (void)state;
    assert_every_failure_is_clean("inbounds:\n  - type: mixed\n\tlisten: 1080\n", ERR_BAD);
}

/* Our arenas allocate in chunks: with every length of a text before it, each of their users is the
 * one that needs a new chunk. */
static void assert_clean_behind_every_length(const char *rest)
{
    static char text[sizeof good + 8192], filler[4000 + 1];

    memset(filler, 'x', sizeof filler - 1);
    only_ours = true;
    for (size_t padding = 0; padding < 8000; padding += 16) {
        size_t n_state = padding < 4000 ? padding : 4000;
        snprintf(text, sizeof text, "state: \"%.*s\"\nlog: {to: \"/%.*s\"}\n%s", (int)n_state,
                 filler, (int)(padding - n_state), filler, rest);
        assert_every_failure_is_clean(text, ERR_NONE);
    }
    only_ours = false;
}

static void acc_70_every_piece_may_be_the_one_without_memory(void **state)
{
    (void)state;
    assert_clean_behind_every_length(good);
    /* So short that the checks, which come last, are still in the first chunk. */
    assert_clean_behind_every_length(
        "inbounds: [{type: mixed, listen: 1, users: [{name: a, password: b}]}]\n");
}

/* Enough of everything that libyaml's stacks and our arenas have to grow. */
static void acc_70_a_long_configuration_survives_any_failed_allocation(void **state)
{
    static char text[16384];
    size_t n =
        (size_t)snprintf(text, sizeof text,
                         "inbounds: [{type: mixed, listen: 1, deny: [[[[[[[[[[[[]]]]]]]]]]]],"
                         "allow: [");

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "192.0.2.%u,\n", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "]}]\nuser: \"");
    memset(text + n, 'x', 5000);
    n += 5000;
    snprintf(text + n, sizeof text - n, "\"\n");
    assert_every_failure_is_clean(text, ERR_BAD);
}

static void acc_70_the_plain_proxy_survives_any_failed_allocation(void **state)
{
    struct config *config = NULL;
    enum err err = ERR_MEMORY;
    size_t n = 0;

    (void)state;
    while (err == ERR_MEMORY) {
        n_calls = 0;
        n_live = 0;
        n_until_failure = ++n;
        is_watching = true;
        err = config_new_plain(&config);
        is_watching = false;
        if (err == ERR_MEMORY)
            assert_int_equal(n_live, 0);
    }
    assert_int_equal(err, ERR_NONE);
    assert_true(n > 20);
    config_free(config);
}

static void acc_70_the_status_socket_is_found_or_memory_is_out(void **state)
{
    static const char text[] = "admin: {socket: ./x}\nuser: ${UNSET}\n";
    struct config_messages messages = {.say = say};
    enum err err = ERR_MEMORY;
    char *found = NULL;
    size_t n = 0;

    (void)state;
    while (err == ERR_MEMORY) {
        n_said = n_calls = 0;
        n_live = 0;
        n_until_failure = ++n;
        is_watching = true;
        err = config_find_admin_socket(&found, "s.yaml", text, strlen(text), &sources, &messages);
        is_watching = false;
        if (err == ERR_MEMORY)
            assert_int_equal(n_live, 0);
        assert_int_equal(n_said, 0);
    }
    assert_int_equal(err, ERR_NONE);
    assert_string_equal(found, "./x");
    free(found);
}

static void acc_37_what_is_freed_holds_no_password(void **state)
{
    static const char text[] = "inbounds: [{type: mixed, listen: 1, users: [\n"
                               "  {name: a, password: hunter2}, {name: b, password: 'hunter2'},\n"
                               "  {name: c, password: \"hunter2\"},\n"
                               "  {name: d, password: \"x${PASSWORD}\"}], users_file: u}]\n"
                               "outbounds: [{type: socks, name: s, server: 'x:1', username: u, "
                               "password_file: p}]\n";

    (void)state;
    secret = "hunter2";
    n_exposed = 0;
    assert_int_equal(parse(text, 0), ERR_NONE);
    assert_int_equal(parse(good, 0), ERR_NONE); /* a tunnel's key, as bytes */
    secret = KEY;
    assert_int_equal(parse(good, 0), ERR_NONE);
    secret = NULL;
    assert_int_equal(n_exposed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acc_70_a_good_configuration_survives_any_failed_allocation),
        cmocka_unit_test(acc_70_a_bad_configuration_survives_any_failed_allocation),
        cmocka_unit_test(acc_70_what_is_no_yaml_survives_any_failed_allocation),
        cmocka_unit_test(acc_70_every_piece_may_be_the_one_without_memory),
        cmocka_unit_test(acc_70_a_long_configuration_survives_any_failed_allocation),
        cmocka_unit_test(acc_70_the_status_socket_is_found_or_memory_is_out),
        cmocka_unit_test(acc_37_what_is_freed_holds_no_password),
        cmocka_unit_test(acc_70_the_plain_proxy_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
