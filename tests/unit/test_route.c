/* Rules: each kind, their order, names to be looked up; and, over random rules and queries, the same
 * answers as the plainest matcher gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "allocator.h"
#include "naive_route.h"
#include "random.h"

enum { FALLBACK = 99, NEEDS_ADDRESS = 100 };

static struct addr ip(const char *text)
{
    struct addr addr;
    assert_int_equal(addr_parse_ip(&addr, text, strlen(text)), ERR_NONE);
    return addr;
}

static struct route_rule text_rule(enum route_kind kind, const char *text, uint32_t outbound)
{
    return (struct route_rule){
        .kind = kind, .text = text, .n_text = strlen(text), .outbound = outbound};
}

static struct route_rule block_rule(enum route_kind kind, const char *text, uint32_t outbound)
{
    struct route_rule rule = {.kind = kind, .outbound = outbound};
    assert_int_equal(cidr_parse(&rule.cidr, text, strlen(text)), ERR_NONE);
    return rule;
}

static struct route_rule resolving(struct route_rule rule)
{
    rule.resolve = true;
    return rule;
}

static struct route_rule port_rule(uint16_t from, uint16_t to, uint32_t outbound)
{
    return (struct route_rule){
        .kind = ROUTE_DST_PORT, .port_from = from, .port_to = to, .outbound = outbound};
}

static struct route_table *table_of(const struct route_rule *rules, size_t n)
{
    struct route_table *table = NULL;
    assert_int_equal(route_table_new(&table, rules, n, FALLBACK), ERR_NONE);
    return table;
}

#define TABLE(...)                               \
    table_of((struct route_rule[]){__VA_ARGS__}, \
             sizeof(struct route_rule[]){__VA_ARGS__} / sizeof(struct route_rule))

static uint32_t ask(const struct route_table *table, const struct route_query *query)
{
    uint32_t outbound = FALLBACK + 2;

    if (route_find(table, query, &outbound) == ROUTE_NEEDS_ADDRESS) {
        assert_int_equal(outbound, FALLBACK + 2);
        return NEEDS_ADDRESS;
    }
    return outbound;
}

static uint32_t ask_name(const struct route_table *table, const char *name)
{
    return ask(table, &(struct route_query){.name = name, .n_name = strlen(name), .port = 443});
}

static uint32_t ask_ip(const struct route_table *table, const char *text)
{
    struct addr addr = ip(text);
    return ask(table, &(struct route_query){.addrs = &addr, .n_addrs = 1, .port = 443});
}

static uint32_t ask_resolved(const struct route_table *table, const char *a, const char *b)
{
    struct addr addrs[2];
    size_t n = 0;

    if (a != NULL)
        addrs[n++] = ip(a);
    if (b != NULL)
        addrs[n++] = ip(b);
    return ask(table, &(struct route_query){.name = "example.com",
                                            .n_name = 11,
                                            .addrs = addrs,
                                            .n_addrs = n,
                                            .is_resolved = true,
                                            .port = 443});
}

static void test_no_rule_leaves_the_fallback(void **state)
{
    (void)state;
    struct route_table *table = table_of(NULL, 0);

    assert_int_equal(ask_name(table, "example.com"), FALLBACK);
    assert_int_equal(ask_ip(table, "::1"), FALLBACK);
    route_table_free(table);
    route_table_free(NULL);
}

static void test_domain_is_the_name_itself(void **state)
{
    (void)state;
    struct route_table *table = TABLE(text_rule(ROUTE_DOMAIN, "Example.com", 1));

    assert_int_equal(ask_name(table, "example.com"), 1);
    assert_int_equal(ask_name(table, "eXample.COM."), 1);
    assert_int_equal(ask_name(table, "www.example.com"), FALLBACK);
    assert_int_equal(ask_name(table, "notexample.com"), FALLBACK);
    assert_int_equal(ask_name(table, "example.com.."), FALLBACK);
    assert_int_equal(ask_name(table, "com"), FALLBACK);
    assert_int_equal(ask_name(table, "."), FALLBACK);
    route_table_free(table);
}

static void test_suffix_is_by_labels(void **state)
{
    (void)state;
    struct route_table *table = TABLE(text_rule(ROUTE_DOMAIN_SUFFIX, "example.com", 1));

    assert_int_equal(ask_name(table, "example.com"), 1);
    assert_int_equal(ask_name(table, "a.b.EXAMPLE.com."), 1);
    assert_int_equal(ask_name(table, "notexample.com"), FALLBACK);
    assert_int_equal(ask_name(table, "example.com.evil.net"), FALLBACK);
    assert_int_equal(ask_name(table, ".example.com"), 1);
    assert_int_equal(ask_name(table, "example.co"), FALLBACK);
    assert_int_equal(ask_ip(table, "192.0.2.1"), FALLBACK);
    route_table_free(table);
}

static void test_keyword_is_anywhere_in_the_name(void **state)
{
    (void)state;
    struct route_table *table = TABLE(text_rule(ROUTE_DOMAIN_KEYWORD, "Track", 1),
                                      text_rule(ROUTE_DOMAIN_KEYWORD, "ads.", 2));

    assert_int_equal(ask_name(table, "track"), 1);
    assert_int_equal(ask_name(table, "x.sideTRACKed.org"), 1);
    assert_int_equal(ask_name(table, "ads.example"), 2);
    assert_int_equal(ask_name(table, "ads.tracker"), 1);
    assert_int_equal(ask_name(table, "ads."), FALLBACK);
    assert_int_equal(ask_name(table, "trac.k"), FALLBACK);
    route_table_free(table);
}

static void test_set_is_a_suffix_a_line(void **state)
{
    (void)state;
    struct route_table *table = TABLE(text_rule(ROUTE_DOMAIN_SET,
                                                "# list\r\n\n  one.example \r\n+.two.example\n"
                                                "*.Three.example # why\n.four.example.\n*.\n"
                                                "..\n+.\n.\n   \nlast.example",
                                                1));
    const char *const in[] = {"one.example",     "w.one.example", "two.example", "w.two.example",
                              "w.three.example", "four.example",  "last.example"};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++)
        assert_int_equal(ask_name(table, in[i]), 1);
    assert_int_equal(ask_name(table, "example"), FALLBACK);
    assert_int_equal(ask_name(table, "xlast.example"), FALLBACK);
    assert_int_equal(ask_name(table, "list"), FALLBACK);
    route_table_free(table);
}

static void test_names_as_long_as_can_be(void **state)
{
    (void)state;
    char name[300], dots[256];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 2 == 0 ? 'a' : '.';
    memset(dots, '.', sizeof dots);
    struct route_rule long_one = {.kind = ROUTE_DOMAIN, .text = name, .n_text = 255, .outbound = 1};
    struct route_rule too_long = {
        .kind = ROUTE_DOMAIN_SUFFIX, .text = name, .n_text = 257, .outbound = 2};
    struct route_table *table = TABLE(long_one, too_long, text_rule(ROUTE_DOMAIN_KEYWORD, "b", 3),
                                      text_rule(ROUTE_DOMAIN_SUFFIX, "a.a", 4));
    struct route_query query = {.name = name, .n_name = 255};

    assert_int_equal(ask(table, &query), 1);
    query.n_name = 253;
    assert_int_equal(ask(table, &query), 4);
    query.n_name = 257;
    assert_int_equal(ask(table, &query), FALLBACK);
    query = (struct route_query){.name = dots, .n_name = 256};
    assert_int_equal(ask(table, &query), FALLBACK);
    route_table_free(table);
}

static void test_blocks_hold_addresses_of_their_family(void **state)
{
    (void)state;
    struct route_table *table = TABLE(
        block_rule(ROUTE_IP_CIDR, "10.1.0.0/16", 1), block_rule(ROUTE_IP_CIDR, "10.0.0.0/8", 2),
        block_rule(ROUTE_IP_CIDR, "2001:db8::/32", 3), block_rule(ROUTE_IP_CIDR, "::/0", 4),
        block_rule(ROUTE_IP_CIDR, "255.255.255.255", 5));

    assert_int_equal(ask_ip(table, "10.1.2.3"), 1);
    assert_int_equal(ask_ip(table, "10.2.0.0"), 2);
    assert_int_equal(ask_ip(table, "10.0.255.255"), 2);
    assert_int_equal(ask_ip(table, "9.255.255.255"), FALLBACK);
    assert_int_equal(ask_ip(table, "11.0.0.0"), FALLBACK);
    assert_int_equal(ask_ip(table, "255.255.255.255"), 5);
    assert_int_equal(ask_ip(table, "255.255.255.254"), FALLBACK);
    assert_int_equal(ask_ip(table, "::ffff:10.1.2.3"), 1);
    assert_int_equal(ask_ip(table, "::ffff:11.1.2.3"), FALLBACK);
    assert_int_equal(ask_ip(table, "2001:db8:ffff::"), 3);
    assert_int_equal(ask_ip(table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 4);
    assert_int_equal(ask_name(table, "example.com"), FALLBACK);
    assert_int_equal(ask_resolved(table, "10.1.2.3", NULL), FALLBACK);
    route_table_free(table);

    table = TABLE(block_rule(ROUTE_IP_CIDR, "*", 1));
    assert_int_equal(ask_ip(table, "192.0.2.1"), 1);
    assert_int_equal(ask_ip(table, "2001:db8::1"), 1);
    route_table_free(table);
}

static void test_source_port_inbound_and_user(void **state)
{
    (void)state;
    struct route_table *table =
        TABLE(text_rule(ROUTE_IN_USER, "ann", 1), text_rule(ROUTE_IN_NAME, "lan", 2),
              port_rule(8000, 8999, 3), port_rule(22, 22, 4), port_rule(8500, 65535, 5),
              port_rule(0, 0, 6), block_rule(ROUTE_SRC_IP_CIDR, "192.168.0.0/16", 7));
    struct addr inside = ip("::ffff:192.168.1.1"), outside = ip("192.0.2.1"), none = {0};
    struct route_query query = {.name = "x", .n_name = 1, .port = 80, .from = &inside};

    assert_int_equal(ask(table, &query), 7);
    query.from = &outside;
    assert_int_equal(ask(table, &query), FALLBACK);
    query.from = &none;
    assert_int_equal(ask(table, &query), FALLBACK);
    const uint16_t ports[][2] = {{7999, FALLBACK}, {8000, 3},      {8999, 3}, {9000, 5},
                                 {65535, 5},       {21, FALLBACK}, {22, 4},   {23, FALLBACK},
                                 {0, 6},           {1, FALLBACK}};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        query.port = ports[i][0];
        assert_int_equal(ask(table, &query), ports[i][1]);
    }
    query.inbound = "lan";
    assert_int_equal(ask(table, &query), 2);
    query.user = "ann";
    assert_int_equal(ask(table, &query), 1);
    query.user = "Ann";
    assert_int_equal(ask(table, &query), 2);
    query.inbound = "lan2";
    query.user = "";
    assert_int_equal(ask(table, &query), FALLBACK);
    route_table_free(table);
}

static void test_the_first_rule_wins(void **state)
{
    (void)state;
    struct route_table *table =
        TABLE(text_rule(ROUTE_DOMAIN, "www.example.com", 1),
              text_rule(ROUTE_DOMAIN_SUFFIX, "example.com", 2),
              text_rule(ROUTE_DOMAIN, "mail.example.com", 3),
              text_rule(ROUTE_DOMAIN_SUFFIX, "example.com", 4),
              text_rule(ROUTE_DOMAIN_SET, "com\nb.org\n", 5), text_rule(ROUTE_DOMAIN, "com", 6),
              text_rule(ROUTE_MATCH, "", 7), text_rule(ROUTE_DOMAIN_SUFFIX, "net", 8));

    assert_int_equal(ask_name(table, "www.example.com"), 1);
    assert_int_equal(ask_name(table, "www.www.example.com"), 2);
    assert_int_equal(ask_name(table, "mail.example.com"), 2);
    assert_int_equal(ask_name(table, "other.com"), 5);
    assert_int_equal(ask_name(table, "com"), 5);
    assert_int_equal(ask_name(table, "example.net"), 7);
    assert_int_equal(ask_ip(table, "192.0.2.1"), 7);
    route_table_free(table);
}

static void test_an_address_is_needed_only_where_it_decides(void **state)
{
    (void)state;
    struct route_table *table = TABLE(text_rule(ROUTE_DOMAIN_SUFFIX, "early.example", 1),
                                      resolving(block_rule(ROUTE_IP_CIDR, "10.0.0.0/8", 2)),
                                      text_rule(ROUTE_DOMAIN_SUFFIX, "same.example", 2),
                                      text_rule(ROUTE_DOMAIN_SUFFIX, "late.example", 3),
                                      resolving(block_rule(ROUTE_IP_CIDR, "2001:db8::/32", 4)),
                                      text_rule(ROUTE_DOMAIN_SUFFIX, "both.example", 2));

    assert_int_equal(ask_name(table, "early.example"), 1);
    assert_int_equal(ask_name(table, "same.example"), 2);
    assert_int_equal(ask_name(table, "late.example"), NEEDS_ADDRESS);
    assert_int_equal(ask_name(table, "both.example"), NEEDS_ADDRESS);
    assert_int_equal(ask_name(table, "example.com"), NEEDS_ADDRESS);
    assert_int_equal(ask_ip(table, "10.1.1.1"), 2);
    assert_int_equal(ask_ip(table, "192.0.2.1"), FALLBACK);
    assert_int_equal(ask_resolved(table, "192.0.2.1", NULL), FALLBACK);
    assert_int_equal(ask_resolved(table, NULL, NULL), FALLBACK);
    assert_int_equal(ask_resolved(table, "192.0.2.1", "10.1.1.1"), 2);
    assert_int_equal(ask_resolved(table, "10.1.1.1", "192.0.2.1"), 2);
    assert_int_equal(ask_resolved(table, "2001:db8::1", "192.0.2.1"), 4);
    route_table_free(table);
}

static void test_a_text_beyond_all_bounds_is_refused(void **state)
{
    (void)state;
    char *text = calloc(1, 65536);
    struct route_table *table = NULL;
    struct route_rule rule = {.kind = ROUTE_IN_USER, .text = text, .n_text = 65536};

    assert_non_null(text);
    memset(text, 'a', 65535);
    assert_int_equal(route_table_new(&table, &rule, 1, 0), ERR_TOO_LONG);
    assert_null(table);
    rule.n_text = 65535;
    rule.outbound = 1;
    table = TABLE(rule);
    assert_int_equal(ask(table, &(struct route_query){.name = "x", .n_name = 1, .user = text}), 1);
    route_table_free(table);
    free(text);
}

/* A small world, in which rules and queries meet often. */
enum { MAX_RULES = 24, RANDOM_TEXT_BYTES = 96 };
struct random_rules {
    struct route_rule rules[MAX_RULES];
    char texts[MAX_RULES][RANDOM_TEXT_BYTES];
    size_t n;
};

static size_t random_name(uint64_t *random, char *out)
{
    static const char *const labels[] = {"a", "b", "ab", "A", "example", "com"};
    size_t n = 0;

    for (unsigned n_labels = 1 + random_below(random, 4); n_labels > 0; n_labels--)
        n += (size_t)sprintf(out + n, "%s%s", labels[random_below(random, 6)],
                             n_labels > 1 ? "." : "");
    if (random_below(random, 8) == 0)
        out[n++] = '.';
    out[n] = '\0';
    return n;
}

static size_t random_set(uint64_t *random, char *out)
{
    static const char *const before[] = {"", "", "+.", "*.", ".", " "};
    static const char *const after[] = {"\n", "\r\n", " # a\n", "\n\n", "\n#b.com\n"};
    size_t n = 0;

    for (unsigned lines = random_below(random, 3); lines > 0; lines--) {
        char name[40];
        random_name(random, name);
        n += (size_t)sprintf(out + n, "%s%s%s", before[random_below(random, 6)], name,
                             after[random_below(random, 5)]);
    }
    return n;
}

static struct addr random_addr(uint64_t *random)
{
    struct addr addr = {.family = random_below(random, 2) == 0 ? ADDR_V4 : ADDR_V6};
    size_t n = addr.family == ADDR_V4 ? 4 : 16;

    for (size_t i = 0; i < n; i++)
        addr.ip[i] = random_below(random, 3) == 0 ? 0xff : random_below(random, 2) == 0 ? 0 : 0x80;
    if (random_below(random, 8) == 0)
        addr = ip("::ffff:128.0.0.255");
    return addr;
}

static struct cidr random_cidr(uint64_t *random)
{
    struct addr addr = random_addr(random);
    struct cidr cidr = {.family = ADDR_NONE};

    if (random_below(random, 16) == 0)
        return cidr;
    addr_unmap(&addr);
    unsigned bits = addr.family == ADDR_V4 ? 32 : 128;
    cidr.family = addr.family;
    cidr.prefix_bits = (uint8_t)random_below(random, bits + 1);
    for (size_t bit = 0; bit < cidr.prefix_bits; bit++)
        cidr.ip[bit / 8] |= (uint8_t)(addr.ip[bit / 8] & 0x80 >> bit % 8);
    return cidr;
}

static const char *const random_words[] = {"lan", "home", "ann", ""};

static void random_rule(uint64_t *random, struct route_rule *rule, char *text)
{
    /* MATCH, which ends the list, is rare. */
    unsigned kind = random_below(random, 4 * ROUTE_MATCH + 1);
    *rule =
        (struct route_rule){.kind = kind / 4, .text = text, .outbound = random_below(random, 3)};
    switch (rule->kind) {
    case ROUTE_DOMAIN:
    case ROUTE_DOMAIN_SUFFIX:
        rule->n_text = random_name(random, text);
        break;
    case ROUTE_DOMAIN_KEYWORD:
        rule->n_text = random_name(random, text) % (1 + random_below(random, 6));
        break;
    case ROUTE_DOMAIN_SET:
        rule->n_text = random_set(random, text);
        break;
    case ROUTE_IP_CIDR:
    case ROUTE_SRC_IP_CIDR:
        rule->cidr = random_cidr(random);
        rule->resolve = random_below(random, 2) == 0;
        break;
    case ROUTE_DST_PORT:
        rule->port_from = (uint16_t)random_below(random, 6);
        rule->port_to = (uint16_t)(rule->port_from + random_below(random, 4));
        if (random_below(random, 4) == 0)
            rule->port_to = 65535;
        break;
    default:
        rule->n_text = (size_t)sprintf(text, "%s", random_words[random_below(random, 4)]);
    }
}

static void random_query(uint64_t *random, struct route_query *query, char *name,
                         struct addr addrs[static 4])
{
    *query = (struct route_query){
        .name = name, .addrs = addrs, .port = (uint16_t)random_below(random, 10)};
    if (random_below(random, 3) > 0)
        query->n_name = random_name(random, name);
    query->is_resolved = query->n_name > 0 && random_below(random, 2) == 0;
    query->n_addrs = query->n_name > 0 ? random_below(random, 4) : 1;
    for (size_t i = 0; i < 4; i++)
        addrs[i] = random_addr(random);
    if (random_below(random, 2) == 0)
        query->from = &addrs[3];
    if (random_below(random, 2) == 0)
        query->inbound = random_words[random_below(random, 4)];
    if (random_below(random, 2) == 0)
        query->user = random_words[random_below(random, 4)];
}

/* Whatever its addresses turned out to be, a name for which none were needed goes the same way. */
static void check_address_is_not_needed(const struct route_table *table, uint64_t *random,
                                        struct route_query query, uint32_t outbound)
{
    struct addr addrs[4];
    uint32_t resolved = UINT32_MAX;

    for (size_t i = 0; i < 4; i++)
        addrs[i] = random_addr(random);
    query.is_resolved = true;
    query.addrs = addrs;
    query.n_addrs = random_below(random, 4);
    assert_int_equal(route_find(table, &query, &resolved), ROUTE_FOUND);
    assert_int_equal(resolved, outbound);
}

static void check_seed(uint64_t seed, unsigned seen[static 2])
{
    static struct random_rules set;
    uint64_t random = seed;
    struct route_table *table;

    set.n = random_below(&random, MAX_RULES + 1);
    for (size_t i = 0; i < set.n; i++)
        random_rule(&random, &set.rules[i], set.texts[i]);
    assert_int_equal(route_table_new(&table, set.rules, set.n, 2), ERR_NONE);
    for (int i = 0; i < 16; i++) {
        struct route_query query;
        struct addr addrs[4];
        char name[64];
        uint32_t expected, outbound = UINT32_MAX;
        random_query(&random, &query, name, addrs);
        enum route_answer answer = naive_find(set.rules, set.n, 2, &query, &expected);
        if (route_find(table, &query, &outbound) != answer ||
            (answer == ROUTE_FOUND && outbound != expected))
            fail_msg("seed %llu, query %d: %u instead of %u", (unsigned long long)seed, i, outbound,
                     expected);
        seen[answer]++;
        if (answer == ROUTE_FOUND && query.n_name > 0 && !query.is_resolved)
            check_address_is_not_needed(table, &random, query, outbound);
    }
    route_table_free(table);
}

static void test_random_rules_as_the_plainest_matcher(void **state)
{
    (void)state;
    unsigned seen[2] = {0};

    for (uint64_t seed = 1; seed <= 20000; seed++)
        check_seed(seed, seen);
    assert_true(seen[ROUTE_FOUND] > 1000 && seen[ROUTE_NEEDS_ADDRESS] > 1000);
}

static void test_many_rules_as_the_plainest_matcher(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct route_rule *rules = calloc(N, sizeof *rules);
    char(*texts)[RANDOM_TEXT_BYTES] = calloc(N, sizeof *texts);
    uint64_t random = 7;

    assert_true(rules != NULL && texts != NULL);
    for (size_t i = 0; i < N; i++) {
        do
            random_rule(&random, &rules[i], texts[i]);
        while (rules[i].kind == ROUTE_MATCH ||
               (rules[i].kind >= ROUTE_IP_CIDR && rules[i].cidr.prefix_bits < 20) ||
               rules[i].kind == ROUTE_DST_PORT);
        if (rules[i].kind <= ROUTE_DOMAIN_KEYWORD)
            rules[i].n_text = (size_t)sprintf(texts[i], "n%u.example", random_below(&random, 5000));
        rules[i].outbound = (uint32_t)i;
    }
    struct route_table *table = table_of(rules, N);
    for (int i = 0; i < 5000; i++) {
        struct route_query query;
        struct addr addrs[4];
        char name[64];
        uint32_t expected, outbound = UINT32_MAX;
        random_query(&random, &query, name, addrs);
        query.is_resolved = query.n_name > 0;
        if (query.n_name > 0)
            query.n_name = (size_t)sprintf(name, "w.n%u.example", random_below(&random, 6000));
        assert_int_equal(naive_find(rules, N, FALLBACK, &query, &expected), ROUTE_FOUND);
        assert_int_equal(route_find(table, &query, &outbound), ROUTE_FOUND);
        assert_int_equal(outbound, expected);
    }
    route_table_free(table);
    free(rules);
    free(texts);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct route_rule rules[] = {text_rule(ROUTE_DOMAIN, "a.example", 1),
                                 text_rule(ROUTE_DOMAIN_SET, "b.example\nc.example", 2),
                                 text_rule(ROUTE_DOMAIN_KEYWORD, "word", 3),
                                 text_rule(ROUTE_IN_NAME, "lan", 4),
                                 text_rule(ROUTE_IN_USER, "ann", 5),
                                 port_rule(1, 2, 6),
                                 block_rule(ROUTE_IP_CIDR, "10.0.0.0/8", 7),
                                 block_rule(ROUTE_IP_CIDR, "2001:db8::/32", 8),
                                 resolving(block_rule(ROUTE_IP_CIDR, "11.0.0.0/8", 9)),
                                 block_rule(ROUTE_SRC_IP_CIDR, "12.0.0.0/8", 10)};
    enum err err = ERR_MEMORY;
    uint64_t nth = 0;

    for (; err == ERR_MEMORY; nth++) {
        struct route_table *table = NULL;
        int64_t before = n_blocks;
        allocator_fail(nth + 1);
        err = route_table_new(&table, rules, sizeof rules / sizeof rules[0], FALLBACK);
        allocator_fail(0);
        assert_int_equal(table != NULL, err == ERR_NONE);
        route_table_free(table);
        assert_int_equal(n_blocks, before);
    }
    assert_int_equal(err, ERR_NONE);
    assert_true(nth > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rule_leaves_the_fallback),
        cmocka_unit_test(test_domain_is_the_name_itself),
        cmocka_unit_test(test_suffix_is_by_labels),
        cmocka_unit_test(test_keyword_is_anywhere_in_the_name),
        cmocka_unit_test(test_set_is_a_suffix_a_line),
        cmocka_unit_test(test_names_as_long_as_can_be),
        cmocka_unit_test(test_blocks_hold_addresses_of_their_family),
        cmocka_unit_test(test_source_port_inbound_and_user),
        cmocka_unit_test(test_the_first_rule_wins),
        cmocka_unit_test(test_an_address_is_needed_only_where_it_decides),
        cmocka_unit_test(test_a_text_beyond_all_bounds_is_refused),
        cmocka_unit_test(test_random_rules_as_the_plainest_matcher),
        cmocka_unit_test(test_many_rules_as_the_plainest_matcher),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
