/* Addresses with ports: those to listen on, and name servers. */
#include "config/keys.h"

#include <stdio.h>
#include <string.h>

#define DNS_PORT 53
#define MAX_SOCKET_PATH 107 /* what struct sockaddr_un holds */

/* The addresses that `1080` and `*:1080` stand for, IPv4 first. */
static const struct addr loopbacks[] = {
    {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
    {.family = ADDR_V6, .ip = {[15] = 1}},
};
static const struct addr wildcards[] = {{.family = ADDR_V4}, {.family = ADDR_V6}};

static void add_listen(struct reading *reading, struct config_inbound *inbound,
                       struct config_listen listen, const struct node *node)
{
    struct listen_use *use = arena_alloc(reading->scratch, 1, sizeof *use);

    if (use == NULL) {
        reading->report->no_memory = true;
        return;
    }
    *use = (struct listen_use){.next = reading->listens,
                               .inbound = inbound,
                               .addr = listen.addr,
                               .path = listen.path,
                               .at = node->at,
                               .order = reading->n_listens++};
    reading->listens = use;
    inbound->listens[inbound->n_listens++] = listen;
}

static void add_pair(struct reading *reading, struct config_inbound *inbound, uint16_t group,
                     const struct addr pair[static 2], uint16_t port, const struct node *node)
{
    for (size_t i = 0; i < 2; i++) {
        struct config_listen listen = {.addr = pair[i], .group = group, .optional = true};
        listen.addr.port = port;
        add_listen(reading, inbound, listen, node);
    }
}

/* Says what is wrong with an address to listen on. */
static void say_bad_listen(struct reading *reading, const struct key *key, const struct node *node)
{
    struct addr addr;
    struct quoted q;
    const char *shown = node->from_env ? "this" : quote(&q, node->text, node->n_text);

    if (addr_parse_ip(&addr, node->text, node->n_text) == ERR_NONE)
        report_error(reading->report, node->at, "%s: %s has no port; write \"%s%s%s:1080\"",
                     key->name, shown, addr.family == ADDR_V6 ? "[" : "",
                     node->from_env ? "ADDRESS" : node->text, addr.family == ADDR_V6 ? "]" : "");
    else
        value_unexpected(reading, key, node);
}

/* The path must be whole, as the socket outlives the folder that the process started in. */
static void read_unix(struct reading *reading, const struct key *key, const struct node *node,
                      struct config_inbound *inbound, uint16_t group)
{
    const char *path = node->text + strlen("unix:");
    size_t n = node->n_text - strlen("unix:");

    if (path[0] != '/') {
        report_error(reading->report, node->at,
                     "%s: a unix socket needs an absolute path, such as \"unix:/run/x.sock\"",
                     key->name);
    } else if (n > MAX_SOCKET_PATH) {
        report_error(reading->report, node->at,
                     "%s: the path of a unix socket has up to %d bytes, this one has %zu",
                     key->name, MAX_SOCKET_PATH, n);
    } else {
        struct config_listen listen = {.group = group, .path = arena_text(reading->keep, path, n)};
        reading->report->no_memory |= listen.path == NULL;
        if (listen.path != NULL)
            add_listen(reading, inbound, listen, node);
    }
}

static void read_listen_entry(struct reading *reading, const struct key *key, uint16_t group,
                              const struct node *node, struct config_inbound *inbound)
{
    struct config_listen listen = {.group = group};
    uint16_t port;

    if (node->kind == NODE_PLAIN && addr_parse_port(&port, node->text, node->n_text) == ERR_NONE) {
        add_pair(reading, inbound, group, loopbacks, port, node);
        return;
    }
    if (!value_is_text(reading, key, node))
        return;
    if (addr_parse_port(&port, node->text, node->n_text) == ERR_NONE) {
        add_pair(reading, inbound, group, loopbacks, port, node);
    } else if (node->n_text > 2 && memcmp(node->text, "*:", 2) == 0 &&
               addr_parse_port(&port, node->text + 2, node->n_text - 2) == ERR_NONE) {
        add_pair(reading, inbound, group, wildcards, port, node);
    } else if (strncmp(node->text, "unix:", 5) == 0) {
        read_unix(reading, key, node, inbound, group);
    } else if (addr_parse(&listen.addr, node->text, node->n_text) == ERR_NONE) {
        addr_unmap(&listen.addr);
        add_listen(reading, inbound, listen, node);
    } else {
        say_bad_listen(reading, key, node);
    }
}

static void read_listen(struct reading *reading, const struct key *key, const struct node *value,
                        void *base)
{
    struct config_inbound *inbound = base;
    struct entries entries;

    if (!value_list(reading, key, value, &entries))
        return;
    inbound->listens = value_alloc(reading, 2 * entries.n, sizeof *inbound->listens);
    if (inbound->listens == NULL)
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next)
        read_listen_entry(reading, key, (uint16_t)i, entries.next, inbound);
    for (size_t i = 0; i < inbound->n_listens; i++)
        inbound->is_exposed |=
            inbound->listens[i].path == NULL && !addr_is_loopback(&inbound->listens[i].addr);
}

static void print_addr(struct printer *printer, const struct addr *addr)
{
    char text[ADDR_TEXT_BYTES];

    addr_format(addr, text);
    print_quoted(printer, text);
}

/* A pair goes back to the entry that it was made of: both ends of it must share a port. */
static size_t print_listen_entry(struct printer *printer, const struct config_listen *listen)
{
    if (listen->path != NULL) {
        char text[MAX_SOCKET_PATH + sizeof "unix:"];
        snprintf(text, sizeof text, "unix:%s", listen->path);
        print_quoted(printer, text);
        return 1;
    }
    if (!listen->optional) {
        print_addr(printer, &listen->addr);
        return 1;
    }
    if (addr_is_unspecified(&listen->addr)) {
        print_raw(printer, "\"*:");
        print_number(printer, listen->addr.port);
        print_raw(printer, "\"");
    } else {
        print_number(printer, listen->addr.port);
    }
    return 2;
}

static void print_listen(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_inbound *inbound = base;
    size_t i = 0;

    print_key(printer, key->name);
    print_raw(printer, "[");
    while (i < inbound->n_listens) {
        if (i > 0)
            print_raw(printer, ", ");
        i += print_listen_entry(printer, &inbound->listens[i]);
    }
    print_raw(printer, "]\n");
}

const struct kind kind_listen = {
    .expects = "a port, \"address:port\", \"*:port\", \"unix:/path\" or a list of them",
    .read = read_listen,
    .print = print_listen};

static void read_servers(struct reading *reading, const struct key *key, const struct node *value,
                         void *base)
{
    struct config_dns *dns = base;
    struct entries entries = value_entries(value);

    if (entries.n > key->max) {
        value_wrong_count(reading, key, value);
        return;
    }
    dns->servers = value_alloc(reading, entries.n, sizeof *dns->servers);
    if (dns->servers == NULL)
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next) {
        const struct node *node = entries.next;
        struct addr addr;
        if (!value_is_text(reading, key, node))
            continue;
        if (addr_parse_ip(&addr, node->text, node->n_text) == ERR_NONE) {
            addr.port = DNS_PORT;
        } else if (addr_parse(&addr, node->text, node->n_text) != ERR_NONE || addr.port == 0) {
            value_unexpected(reading, key, node);
            continue;
        }
        dns->servers[dns->n_servers++] = addr;
    }
}

static void print_servers(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_dns *dns = base;

    print_key(printer, key->name);
    print_raw(printer, "[");
    for (size_t i = 0; i < dns->n_servers; i++) {
        if (i > 0)
            print_raw(printer, ", ");
        print_addr(printer, &dns->servers[i]);
    }
    print_raw(printer, "]\n");
}

const struct kind kind_servers = {.expects = "a list of addresses, each with or without a port",
                                  .read = read_servers,
                                  .print = print_servers};
