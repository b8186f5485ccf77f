/*
 * Lists of address blocks (allow, deny), of blocks with ports (allow_targets, deny_targets), and of what a peer may have us listen on
 * (allow_reverse), which always has ports: a port alone is one of loopback.
 * An IPv6 block with a port has brackets, around the block or around its address:
 *
 *     10.0.0.0/8:80-90    [2001:db8::/32]:443    [2001:db8::]/32:443    *:25
 */
#include "config/keys.h"

#include <stdio.h>
#include <string.h>

void block_format(char out[static BLOCK_TEXT_BYTES], const struct cidr *block)
{
    struct addr addr = {.family = block->family};
    char ip[ADDR_TEXT_BYTES];

    if (block->family == ADDR_NONE) {
        memcpy(out, "*", 2);
        return;
    }
    memcpy(addr.ip, block->ip, sizeof addr.ip);
    addr_format_ip(&addr, ip);
    snprintf(out, BLOCK_TEXT_BYTES, "%s/%u", ip, (unsigned)block->prefix_bits);
}

bool block_correct(char out[static BLOCK_TEXT_BYTES], const char *text, size_t n)
{
    const char *slash = memchr(text, '/', n);
    struct cidr block = {0};
    struct addr addr;
    uint64_t bits;

    if (slash == NULL || addr_parse_ip(&addr, text, (size_t)(slash - text)) != ERR_NONE ||
        addr.scope != 0)
        return false;
    size_t n_bits = n - (size_t)(slash + 1 - text);
    if (!value_parse_number(&bits, addr.family == ADDR_V4 ? 32 : 128, slash + 1, n_bits))
        return false;
    block.family = addr.family;
    block.prefix_bits = (uint8_t)bits;
    for (size_t i = 0; i < sizeof block.ip; i++) {
        uint64_t kept = bits > 8 * i ? bits - 8 * i : 0;
        unsigned mask = kept >= 8 ? 0xff : 0xffU & ~(0xffU >> kept);
        block.ip[i] = (uint8_t)(addr.ip[i] & mask);
    }
    block_format(out, &block);
    return true;
}

/* Parses a block of n bytes, which is a part of the node; says what is wrong with it. */
static bool read_block(struct reading *reading, const struct key *key, const struct node *node,
                       const char *text, size_t n, struct cidr *out)
{
    char corrected[BLOCK_TEXT_BYTES];
    struct quoted q;

    if (cidr_parse(out, text, n) == ERR_NONE)
        return true;
    if (!node->from_env && block_correct(corrected, text, n))
        report_error(reading->report, node->at,
                     "%s: %s has bits set beyond its prefix; did you mean \"%s\"?", key->name,
                     quote(&q, text, n), corrected);
    else
        value_unexpected(reading, key, node);
    return false;
}

static void read_cidrs(struct reading *reading, const struct key *key, const struct node *value,
                       void *base)
{
    struct config_cidrs *out = (void *)((char *)base + key->offset);
    struct entries entries = value_entries(value);

    if (entries.n < key->min) {
        report_error(reading->report, value->at,
                     "%s: an empty list would shut everybody out; leave the key out, "
                     "or write \"*\" for everybody",
                     key->name);
        return;
    }
    out->items = value_alloc(reading, entries.n, sizeof *out->items);
    if (out->items == NULL)
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next) {
        const struct node *node = entries.next;
        if (value_is_text(reading, key, node) &&
            read_block(reading, key, node, node->text, node->n_text, &out->items[out->n]))
            out->n++;
    }
}

static void print_cidrs(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_cidrs *cidrs = (const void *)((const char *)base + key->offset);
    char text[BLOCK_TEXT_BYTES];

    print_key(printer, key->name);
    /* Where a list must not be empty, its absence means all. */
    print_raw(printer, cidrs->n == 0 && key->min > 0 ? "[\"*\"" : "[");
    for (size_t i = 0; i < cidrs->n; i++) {
        block_format(text, &cidrs->items[i]);
        print_raw(printer, i > 0 ? ", " : "");
        print_quoted(printer, text);
    }
    print_raw(printer, "]\n");
}

const struct kind kind_cidrs = {.expects = "an address, a block such as \"10.0.0.0/8\", \"*\", or "
                                           "a list of them",
                                .read = read_cidrs,
                                .print = print_cidrs};

/* A target rule taken apart: a block, as the file writes it or put together of two parts, and
 * what follows its colon. */
struct rule_text {
    char joined[BLOCK_TEXT_BYTES];
    const char *block;
    size_t n_block;
    const char *ports; /* NULL: none */
    size_t n_ports;
};

static bool split_bracketed(struct rule_text *out, const char *text, size_t n)
{
    const char *close = memchr(text, ']', n), *end = text + n;

    if (close == NULL)
        return false;
    const char *rest = close + 1;
    const char *colon = rest < end ? memchr(rest, ':', (size_t)(end - rest)) : NULL;
    size_t n_inner = (size_t)(close - text) - 1;
    size_t n_prefix = (size_t)((colon != NULL ? colon : end) - rest);
    if (n_inner + n_prefix >= sizeof out->joined || memchr(text + 1, ':', n_inner) == NULL ||
        (n_prefix > 0 && *rest != '/'))
        return false;
    memcpy(out->joined, text + 1, n_inner);
    memcpy(out->joined + n_inner, rest, n_prefix);
    out->block = out->joined;
    out->n_block = n_inner + n_prefix;
    if (colon != NULL) {
        out->ports = colon + 1;
        out->n_ports = (size_t)(end - colon) - 1;
    }
    return true;
}

/* More than one colon without brackets is an IPv6 block, which then has no port. */
static bool split_rule(struct rule_text *out, const char *text, size_t n)
{
    const char *colon = memchr(text, ':', n), *end = text + n;

    *out = (struct rule_text){.block = text, .n_block = n};
    if (n > 0 && text[0] == '[')
        return split_bracketed(out, text, n);
    if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon) - 1) == NULL) {
        out->n_block = (size_t)(colon - text);
        out->ports = colon + 1;
        out->n_ports = (size_t)(end - colon) - 1;
    }
    return true;
}

static bool read_rule(struct reading *reading, const struct key *key, const struct node *node,
                      struct target_rule *out)
{
    struct target_rule rule = {.port_to = UINT16_MAX};
    struct rule_text parts;

    if (!value_is_text(reading, key, node))
        return false;
    if (!split_rule(&parts, node->text, node->n_text) ||
        (parts.ports != NULL &&
         !value_parse_ports(&rule.port_from, &rule.port_to, parts.ports, parts.n_ports))) {
        value_unexpected(reading, key, node);
        return false;
    }
    rule.has_port = parts.ports != NULL;
    if (!read_block(reading, key, node, parts.block, parts.n_block, &rule.cidr))
        return false;
    *out = rule;
    return true;
}

static void read_rules(struct reading *reading, const struct key *key, const struct node *value,
                       void *base)
{
    struct config_target_rules *out = (void *)((char *)base + key->offset);
    struct entries entries = value_entries(value);

    out->items = value_alloc(reading, entries.n, sizeof *out->items);
    if (out->items == NULL)
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next)
        if (read_rule(reading, key, entries.next, &out->items[out->n]))
            out->n++;
}

/* Where a peer may have us listen: every entry has ports, and one of ports alone is for loopback. */
static bool read_reverse_rule(struct reading *reading, const struct key *key,
                              const struct node *node, struct config_target_rules *out)
{
    static const struct cidr loopback[] = {
        {.family = ADDR_V4, .prefix_bits = 32, .ip = {127, 0, 0, 1}},
        {.family = ADDR_V6, .prefix_bits = 128, .ip = {[15] = 1}},
    };
    static const struct cidr nothing = {0};
    struct target_rule rule = {.has_port = true};

    if ((node->kind == NODE_PLAIN || node->kind == NODE_TEXT) &&
        value_parse_ports(&rule.port_from, &rule.port_to, node->text, node->n_text)) {
        for (size_t i = 0; i < 2; i++) {
            rule.cidr = loopback[i];
            out->items[out->n++] = rule;
        }
        return true;
    }
    if (!read_rule(reading, key, node, &rule))
        return false;
    if (!rule.has_port) {
        value_unexpected(reading, key, node);
        return false;
    }
    /* The address that stands for all of its family stands for each of them too. */
    bool is_one = rule.cidr.prefix_bits == (rule.cidr.family == ADDR_V4 ? 32 : 128);
    if (is_one && memcmp(rule.cidr.ip, nothing.ip, sizeof nothing.ip) == 0)
        rule.cidr.prefix_bits = 0;
    out->items[out->n++] = rule;
    return true;
}

static void read_reverse_rules(struct reading *reading, const struct key *key,
                               const struct node *value, void *base)
{
    struct config_target_rules *out = (void *)((char *)base + key->offset);
    struct entries entries = value_entries(value);

    out->items = value_alloc(reading, 2 * entries.n, sizeof *out->items);
    if (out->items == NULL)
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next)
        if (!read_reverse_rule(reading, key, entries.next, out))
            return;
}

static void print_rule(struct printer *printer, const struct target_rule *rule)
{
    char block[BLOCK_TEXT_BYTES], ports[16] = "", text[BLOCK_TEXT_BYTES + 24];
    bool needs_brackets = rule->has_port && rule->cidr.family == ADDR_V6;

    block_format(block, &rule->cidr);
    if (rule->has_port && rule->port_from == rule->port_to)
        snprintf(ports, sizeof ports, ":%u", (unsigned)rule->port_from);
    else if (rule->has_port)
        snprintf(ports, sizeof ports, ":%u-%u", (unsigned)rule->port_from, (unsigned)rule->port_to);
    snprintf(text, sizeof text, needs_brackets ? "[%s]%s" : "%s%s", block, ports);
    print_quoted(printer, text);
}

static void print_rules(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_target_rules *rules = (const void *)((const char *)base + key->offset);

    print_key(printer, key->name);
    print_raw(printer, "[");
    for (size_t i = 0; i < rules->n; i++) {
        print_raw(printer, i > 0 ? ", " : "");
        print_rule(printer, &rules->items[i]);
    }
    print_raw(printer, "]\n");
}

const struct kind kind_target_rules = {
    .expects = "a block and ports such as \"10.0.0.0/8:80-90\", \"[2001:db8::/32]:443\", \"*:25\", "
               "without ports, or a list of them",
    .read = read_rules,
    .print = print_rules};

const struct kind kind_reverse_rules = {
    .expects = "ports on loopback such as \"8080\" or \"8000-8010\", an address with them such as "
               "\"0.0.0.0:8080\" or \"*:8000-8010\", or a list of them",
    .read = read_reverse_rules,
    .print = print_rules};
