/*
 * Making a table takes two passes over the rules for names (the texts are counted, then added, so that what
 * is allocated is as large as needed and no larger) and one for each table of ranges.
 */
#include "route/route.h"

#include <stdlib.h>
#include <string.h>

#include "route/lines.h"
#include "route/names.h"
#include "route/ranges.h"

/* One for each family, as nothing of the one is in a block of the other. */
struct blocks {
    struct ranges v4, v6;
};

struct route_table {
    uint32_t *outbounds; /* of each rule, then the fallback's */
    uint32_t n_rules;    /* that can be reached: none behind a MATCH */
    struct names domains, keywords, inbounds, users;
    struct blocks literal, resolved, from; /* IP-CIDR without and with `resolve`, SRC-IP-CIDR */
    struct ranges ports;
    /* The first rule with `resolve`, and the first of those that leads elsewhere than that one;
     * n_rules: there is none. */
    uint32_t first_resolve, other_resolve;
};

static struct names *names_for(struct route_table *table, enum route_kind kind)
{
    switch (kind) {
    case ROUTE_DOMAIN:
    case ROUTE_DOMAIN_SUFFIX:
    case ROUTE_DOMAIN_SET:
        return &table->domains;
    case ROUTE_DOMAIN_KEYWORD:
        return &table->keywords;
    case ROUTE_IN_NAME:
        return &table->inbounds;
    case ROUTE_IN_USER:
        return &table->users;
    default:
        return NULL;
    }
}

static bool is_of_domains(enum route_kind kind)
{
    return kind == ROUTE_DOMAIN || kind == ROUTE_DOMAIN_SUFFIX || kind == ROUTE_DOMAIN_SET ||
           kind == ROUTE_DOMAIN_KEYWORD;
}

static struct slice lower_case(char out[static HOST_NAME_MAX_BYTES], struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return (struct slice){out, text.n};
}

/* What a rule's text, or a line of its set, is compared as; false: it matches nothing. */
static bool text_of(const struct route_rule *rule, struct slice *text,
                    char lowered[static HOST_NAME_MAX_BYTES])
{
    if (!is_of_domains(rule->kind))
        return true;
    bool is_name = rule->kind == ROUTE_DOMAIN || rule->kind == ROUTE_DOMAIN_SUFFIX;
    if (is_name && text->n > 0 && text->at[text->n - 1] == '.')
        text->n--;
    if (text->n == 0 || text->n > HOST_NAME_MAX_BYTES)
        return false;
    *text = lower_case(lowered, *text);
    return true;
}

static enum err count_text(struct names *names, const struct route_rule *rule, struct slice text)
{
    char lowered[HOST_NAME_MAX_BYTES];

    if (text.n > NAMES_MAX_TEXT_BYTES)
        return ERR_TOO_LONG;
    if (text_of(rule, &text, lowered))
        names_count(names, text.n);
    return ERR_NONE;
}

/* Never NULL, which may not even be compared with nothing. */
static struct slice rule_text(const struct route_rule *rule)
{
    return (struct slice){rule->n_text > 0 ? rule->text : "", rule->n_text};
}

static enum err count_texts(struct route_table *table, const struct route_rule *rule)
{
    struct names *names = names_for(table, rule->kind);
    struct slice rest = rule_text(rule), line;
    enum err err = ERR_NONE;

    if (names == NULL)
        return ERR_NONE;
    if (rule->kind != ROUTE_DOMAIN_SET)
        return count_text(names, rule, rest);
    while (err == ERR_NONE && lines_next(&rest, &line))
        err = count_text(names, rule, line);
    return err;
}

static void add_text(struct names *names, const struct route_rule *rule, struct slice text,
                     uint32_t number)
{
    char lowered[HOST_NAME_MAX_BYTES];

    if (text_of(rule, &text, lowered))
        names_add(names, text, number, rule->kind == ROUTE_DOMAIN);
}

static void add_texts(struct route_table *table, const struct route_rule *rule, uint32_t number)
{
    struct names *names = names_for(table, rule->kind);
    struct slice rest = rule_text(rule), line;

    if (names == NULL)
        return;
    if (rule->kind != ROUTE_DOMAIN_SET) {
        add_text(names, rule, rest, number);
        return;
    }
    while (lines_next(&rest, &line))
        add_text(names, rule, line, number);
}

static enum err fill_names(struct route_table *table, const struct route_rule *rules)
{
    struct names *all[] = {&table->domains, &table->keywords, &table->inbounds, &table->users};
    enum err err = ERR_NONE;

    for (uint32_t i = 0; err == ERR_NONE && i < table->n_rules; i++)
        err = count_texts(table, &rules[i]);
    for (size_t i = 0; err == ERR_NONE && i < sizeof all / sizeof all[0]; i++)
        err = names_reserve(all[i]);
    for (uint32_t i = 0; err == ERR_NONE && i < table->n_rules; i++)
        add_texts(table, &rules[i], i);
    return err;
}

/* Which rules a table of ranges is made of. */
struct selection {
    enum route_kind kind;
    bool resolve;
    enum addr_family family; /* NONE: of ports */
};

static bool is_selected(const struct selection *selection, const struct route_rule *rule)
{
    if (rule->kind != selection->kind)
        return false;
    if (rule->kind == ROUTE_DST_PORT)
        return rule->port_from <= rule->port_to;
    if (rule->kind == ROUTE_IP_CIDR && rule->resolve != selection->resolve)
        return false;
    return rule->cidr.family == selection->family || rule->cidr.family == ADDR_NONE;
}

static void port_key(uint8_t key[static 2], uint16_t port)
{
    key[0] = (uint8_t)(port >> 8);
    key[1] = (uint8_t)port;
}

static struct range range_of(const struct route_rule *rule, size_t key_bytes, uint32_t number)
{
    struct range range = {.rule = number};

    if (rule->kind == ROUTE_DST_PORT) {
        port_key(range.from, rule->port_from);
        port_key(range.to, rule->port_to);
        return range;
    }
    memcpy(range.from, rule->cidr.ip, key_bytes);
    memcpy(range.to, rule->cidr.ip, key_bytes);
    for (size_t bit = rule->cidr.prefix_bits; bit < 8 * key_bytes; bit++)
        range.to[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return range;
}

static enum err fill_ranges(const struct route_table *table, const struct route_rule *rules,
                            struct selection selection, struct ranges *out)
{
    size_t key_bytes = selection.family == ADDR_V4 ? 4 : selection.family == ADDR_V6 ? 16 : 2;
    struct range *items = NULL;
    size_t n = 0;

    for (uint32_t i = 0; i < table->n_rules; i++)
        n += is_selected(&selection, &rules[i]);
    if (n == 0)
        return ERR_NONE;
    items = calloc(n, sizeof *items);
    if (items == NULL)
        return ERR_MEMORY;
    n = 0;
    for (uint32_t i = 0; i < table->n_rules; i++) {
        if (is_selected(&selection, &rules[i]))
            items[n++] = range_of(&rules[i], key_bytes, i);
    }
    enum err err = ranges_init(out, key_bytes, items, n);
    free(items);
    return err;
}

static enum err fill_blocks(const struct route_table *table, const struct route_rule *rules,
                            enum route_kind kind, bool resolve, struct blocks *out)
{
    struct selection v4 = {kind, resolve, ADDR_V4}, v6 = {kind, resolve, ADDR_V6};
    enum err err = fill_ranges(table, rules, v4, &out->v4);

    return err == ERR_NONE ? fill_ranges(table, rules, v6, &out->v6) : err;
}

static enum err fill_all_ranges(struct route_table *table, const struct route_rule *rules)
{
    struct selection ports = {ROUTE_DST_PORT, false, ADDR_NONE};
    enum err err = fill_blocks(table, rules, ROUTE_IP_CIDR, false, &table->literal);

    if (err == ERR_NONE)
        err = fill_blocks(table, rules, ROUTE_IP_CIDR, true, &table->resolved);
    if (err == ERR_NONE)
        err = fill_blocks(table, rules, ROUTE_SRC_IP_CIDR, false, &table->from);
    return err == ERR_NONE ? fill_ranges(table, rules, ports, &table->ports) : err;
}

static void find_resolves(struct route_table *table, const struct route_rule *rules)
{
    uint32_t i = 0;

    while (i < table->n_rules && !(rules[i].kind == ROUTE_IP_CIDR && rules[i].resolve))
        i++;
    table->first_resolve = i;
    while (i < table->n_rules && !(rules[i].kind == ROUTE_IP_CIDR && rules[i].resolve &&
                                   rules[i].outbound != rules[table->first_resolve].outbound))
        i++;
    table->other_resolve = i;
}

static enum err fill(struct route_table *table, const struct route_rule *rules, uint32_t fallback)
{
    table->outbounds = calloc((size_t)table->n_rules + 1, sizeof *table->outbounds);
    if (table->outbounds == NULL)
        return ERR_MEMORY;
    for (uint32_t i = 0; i < table->n_rules; i++)
        table->outbounds[i] = rules[i].outbound;
    table->outbounds[table->n_rules] = fallback;
    find_resolves(table, rules);
    enum err err = fill_names(table, rules);
    return err == ERR_NONE ? fill_all_ranges(table, rules) : err;
}

static void init_empty(struct route_table *table)
{
    /* Where the system puts it is the one thing that nobody who writes a list can know. */
    uint64_t seed = (uint64_t)(uintptr_t)table * UINT64_C(0x9e3779b97f4a7c15);
    struct ranges none = {.earliest = UINT32_MAX};

    names_init(&table->domains, seed);
    names_init(&table->keywords, seed);
    names_init(&table->inbounds, seed);
    names_init(&table->users, seed);
    table->literal = table->resolved = table->from = (struct blocks){none, none};
    table->ports = none;
}

enum err route_table_new(struct route_table **out, const struct route_rule *rules, size_t n,
                         uint32_t fallback)
{
    size_t n_reached = 0;

    while (n_reached < n && rules[n_reached].kind != ROUTE_MATCH)
        n_reached++;
    if (n_reached < n)
        fallback = rules[n_reached].outbound;
    if (n_reached >= NAMES_MAX_RULES)
        return ERR_TOO_LONG;
    struct route_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return ERR_MEMORY;
    table->n_rules = (uint32_t)n_reached;
    init_empty(table);
    enum err err = fill(table, rules, fallback);
    if (err != ERR_NONE) {
        route_table_free(table);
        return err;
    }
    *out = table;
    return ERR_NONE;
}

static void blocks_deinit(struct blocks *blocks)
{
    ranges_deinit(&blocks->v4);
    ranges_deinit(&blocks->v6);
}

void route_table_free(struct route_table *table)
{
    if (table == NULL)
        return;
    names_deinit(&table->domains);
    names_deinit(&table->keywords);
    names_deinit(&table->inbounds);
    names_deinit(&table->users);
    blocks_deinit(&table->literal);
    blocks_deinit(&table->resolved);
    blocks_deinit(&table->from);
    ranges_deinit(&table->ports);
    free(table->outbounds);
    free(table);
}

static uint32_t blocks_find(const struct blocks *blocks, const struct addr *addr, uint32_t best)
{
    struct addr plain = *addr;

    addr_unmap(&plain);
    if (plain.family == ADDR_V4)
        return ranges_find(&blocks->v4, plain.ip, best);
    return plain.family == ADDR_V6 ? ranges_find(&blocks->v6, plain.ip, best) : best;
}

static uint32_t find_text(const struct names *names, const char *text, uint32_t best)
{
    return text != NULL ? names_find(names, (struct slice){text, strlen(text)}, best) : best;
}

static uint32_t find_name(const struct route_table *table, const struct route_query *query,
                          uint32_t best)
{
    char lowered[HOST_NAME_MAX_BYTES];
    struct slice name = {query->name, query->n_name};

    if (name.n > 0 && name.at[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > HOST_NAME_MAX_BYTES)
        return best;
    name = lower_case(lowered, name);
    best = names_find_domain(&table->domains, name, best);
    return names_find_within(&table->keywords, name, best);
}

/* By everything but the addresses that a name has. */
static uint32_t find_certain(const struct route_table *table, const struct route_query *query)
{
    uint8_t port[2];
    uint32_t best = table->n_rules;

    port_key(port, query->port);
    best = ranges_find(&table->ports, port, best);
    best = find_text(&table->inbounds, query->inbound, best);
    best = find_text(&table->users, query->user, best);
    if (query->from != NULL)
        best = blocks_find(&table->from, query->from, best);
    if (query->n_name > 0)
        return find_name(table, query, best);
    for (size_t i = 0; i < query->n_addrs; i++)
        best = blocks_find(&table->literal, &query->addrs[i], best);
    return best;
}

/* Whether a rule before `best` that asks for addresses leads elsewhere. */
static bool depends_on_address(const struct route_table *table, uint32_t best)
{
    uint32_t first = table->first_resolve;

    if (first < best && table->outbounds[first] == table->outbounds[best])
        first = table->other_resolve;
    return first < best;
}

enum route_answer route_find(const struct route_table *table, const struct route_query *query,
                             uint32_t *outbound)
{
    uint32_t best = find_certain(table, query);

    if (query->n_name > 0 && !query->is_resolved) {
        if (depends_on_address(table, best))
            return ROUTE_NEEDS_ADDRESS;
    } else {
        for (size_t i = 0; i < query->n_addrs; i++)
            best = blocks_find(&table->resolved, &query->addrs[i], best);
    }
    *outbound = table->outbounds[best];
    return ROUTE_FOUND;
}
