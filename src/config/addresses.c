/* Where to go to and from: targets, ranges of ports, addresses and interfaces of this machine. */
#include "config/keys.h"

#include <stdio.h>
#include <string.h>

/* Says what is wrong with a target, where it is one of the usual mistakes. */
static void say_bad_target(struct reading *reading, const struct key *key, const struct node *node)
{
    struct target target;
    struct quoted q;
    const char *shown = node->from_env ? "this" : quote(&q, node->text, node->n_text);

    if (!value_is_ascii(node->text, node->n_text))
        report_error(reading->report, node->at,
                     "%s: %s is not ASCII; write such a name in punycode (xn--...)", key->name,
                     shown);
    else if (target_set_host(&target, node->text, node->n_text, 1) == ERR_NONE)
        report_error(reading->report, node->at, "%s: %s has no port; write \"%s\"", key->name,
                     shown, target.addr.family == ADDR_V6 ? "[ADDRESS]:PORT" : "HOST:PORT");
    else
        value_unexpected(reading, key, node);
}

static bool parse_target(struct reading *reading, const struct key *key, const struct node *node,
                         struct target *out)
{
    if (!value_is_text(reading, key, node))
        return false;
    if (target_parse(out, node->text, node->n_text) != ERR_NONE || out->addr.port == 0 ||
        !value_is_ascii(node->text, node->n_text)) {
        say_bad_target(reading, key, node);
        return false;
    }
    addr_unmap(&out->addr);
    return true;
}

static void read_target(struct reading *reading, const struct key *key, const struct node *value,
                        void *base)
{
    struct target target;

    if (parse_target(reading, key, value, &target))
        memcpy((char *)base + key->offset, &target, sizeof target);
}

static void print_quoted_target(struct printer *printer, const struct target *target)
{
    char text[TARGET_TEXT_BYTES];

    target_format(target, text);
    print_quoted(printer, text);
}

static void print_target(struct printer *printer, const struct key *key, const void *base)
{
    const struct target *target = (const void *)((const char *)base + key->offset);

    if (target->addr.port == 0)
        return;
    print_key(printer, key->name);
    print_quoted_target(printer, target);
    print_raw(printer, "\n");
}

const struct kind kind_target = {.expects = "\"host:port\", \"address:port\" or \"[address]:port\"",
                                 .read = read_target,
                                 .print = print_target};

static void read_upstream_servers(struct reading *reading, const struct key *key,
                                  const struct node *value, void *base)
{
    struct config_outbound *outbound = base;
    struct entries entries;

    if (!value_list(reading, key, value, &entries))
        return;
    outbound->servers = value_alloc(reading, entries.n, sizeof *outbound->servers);
    if (outbound->servers == NULL)
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next)
        if (parse_target(reading, key, entries.next, &outbound->servers[outbound->n_servers]))
            outbound->n_servers++;
}

static void print_upstream_servers(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_outbound *outbound = base;
    bool is_list = outbound->n_servers > 1;

    print_key(printer, key->name);
    print_raw(printer, is_list ? "[" : "");
    for (size_t i = 0; i < outbound->n_servers; i++) {
        print_raw(printer, i > 0 ? ", " : "");
        print_quoted_target(printer, &outbound->servers[i]);
    }
    print_raw(printer, is_list ? "]\n" : "\n");
}

const struct kind kind_upstream_servers = {
    .expects = "\"host:port\", \"address:port\" or \"[address]:port\"",
    .read = read_upstream_servers,
    .print = print_upstream_servers};

/* One port may be a number; 0 alone is any. */
static void read_ports(struct reading *reading, const struct key *key, const struct node *value,
                       void *base)
{
    struct config_ports ports = {0};

    if ((value->kind == NODE_PLAIN || value->kind == NODE_TEXT) &&
        value_parse_ports(&ports.from, &ports.to, value->text, value->n_text) &&
        (ports.from > 0 || ports.to == 0))
        memcpy((char *)base + key->offset, &ports, sizeof ports);
    else
        value_unexpected(reading, key, value);
}

static void print_ports(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_ports *ports = (const void *)((const char *)base + key->offset);

    print_key(printer, key->name);
    print_number(printer, ports->from);
    if (ports->to > ports->from) {
        print_raw(printer, "-");
        print_number(printer, ports->to);
    }
    print_raw(printer, "\n");
}

const struct kind kind_ports = {.expects = "a port, ports such as \"40000-40009\", or 0 for any",
                                .read = read_ports,
                                .print = print_ports};

/* Parses an address that one interface can have. */
static bool parse_own_addr(struct addr *out, const struct node *node)
{
    if (addr_parse_ip(out, node->text, node->n_text) != ERR_NONE)
        return false;
    addr_unmap(out);
    return !addr_is_unspecified(out) && !addr_is_multicast(out);
}

static void read_advertise(struct reading *reading, const struct key *key, const struct node *value,
                           void *base)
{
    struct addr addr;

    if (!value_is_text(reading, key, value))
        return;
    if (parse_own_addr(&addr, value) && addr.scope == 0)
        memcpy((char *)base + key->offset, &addr, sizeof addr);
    else
        value_unexpected(reading, key, value);
}

static void print_ip(struct printer *printer, const struct addr *addr)
{
    char text[ADDR_TEXT_BYTES];

    addr_format_ip(addr, text);
    print_quoted(printer, text);
}

static void print_advertise(struct printer *printer, const struct key *key, const void *base)
{
    const struct addr *addr = (const void *)((const char *)base + key->offset);

    if (addr->family == ADDR_NONE)
        return;
    print_key(printer, key->name);
    print_ip(printer, addr);
    print_raw(printer, "\n");
}

const struct kind kind_advertise = {.expects =
                                        "an IP address that clients can reach, without a port",
                                    .read = read_advertise,
                                    .print = print_advertise};

static void read_source_addrs(struct reading *reading, const struct key *key,
                              const struct node *value, void *base)
{
    struct config_outbound *outbound = base;
    struct entries entries;

    if (!value_list(reading, key, value, &entries))
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next) {
        const struct node *node = entries.next;
        struct addr addr;
        if (!value_is_text(reading, key, node))
            continue;
        if (!parse_own_addr(&addr, node)) {
            value_unexpected(reading, key, node);
            continue;
        }
        struct addr *out = addr.family == ADDR_V4 ? &outbound->bind4 : &outbound->bind6;
        if (out->family != ADDR_NONE)
            report_error(reading->report, node->at, "%s: a second IPv%u address; one is enough",
                         key->name, (unsigned)addr.family);
        *out = addr;
    }
}

static void print_source_addrs(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_outbound *outbound = base;
    bool has4 = outbound->bind4.family != ADDR_NONE, has6 = outbound->bind6.family != ADDR_NONE;

    if (!has4 && !has6)
        return;
    print_key(printer, key->name);
    print_raw(printer, "[");
    if (has4)
        print_ip(printer, &outbound->bind4);
    if (has4 && has6)
        print_raw(printer, ", ");
    if (has6)
        print_ip(printer, &outbound->bind6);
    print_raw(printer, "]\n");
}

const struct kind kind_source_addrs = {.expects =
                                           "an address of this machine, or one of each family",
                                       .read = read_source_addrs,
                                       .print = print_source_addrs};

/* What the kernel takes for a name (dev_valid_name in net/core/dev.c). */
static bool is_interface(const char *text, size_t n)
{
    return n > 0 && n <= 15 && strcmp(text, ".") != 0 && strcmp(text, "..") != 0 &&
           strpbrk(text, "/: \t\r\n\v\f") == NULL;
}

static void read_interface(struct reading *reading, const struct key *key, const struct node *value,
                           void *base)
{
    if (!value_is_text(reading, key, value))
        return;
    if (is_interface(value->text, value->n_text))
        kind_text.read(reading, key, value, base);
    else
        value_unexpected(reading, key, value);
}

static void print_interface(struct printer *printer, const struct key *key, const void *base)
{
    kind_text.print(printer, key, base);
}

const struct kind kind_interface = {.expects = "the name of a network interface, such as eth0",
                                    .read = read_interface,
                                    .print = print_interface};
