/*
 * When a tunnel's links are replaced by others, and at which ports:
 *
 *     handover: {every: "20m-30m", after: "200M-400M", ports: [4195, "5000-5010"]}
 *
 * Times and sizes are drawn anew for each link from what is given; one alone is taken as it is.
 */
#include <stdio.h>
#include <string.h>

#include "config/keys.h"

#define MAX_PAUSE_S 604800 /* a week */

static const struct {
    char letter;
    uint64_t seconds;
} time_units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

/* Parses "90", "90s", "20m", "2h" or "1d", to seconds. */
static bool parse_time(uint64_t *out, const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof time_units / sizeof time_units[0]; i++) {
        if (n == 0 || text[n - 1] != time_units[i].letter)
            continue;
        if (!value_parse_number(out, MAX_PAUSE_S / time_units[i].seconds, text, n - 1))
            return false;
        *out *= time_units[i].seconds;
        return true;
    }
    return value_parse_number(out, MAX_PAUSE_S, text, n);
}

static bool parse_size(uint64_t *out, const char *text, size_t n)
{
    return value_parse_size(out, UINT64_MAX, text, n);
}

static void read_range(struct reading *reading, const struct key *key, const struct node *value,
                       void *base, bool (*parse)(uint64_t *, const char *, size_t))
{
    struct config_range range;
    bool is_scalar = value->kind == NODE_PLAIN || value->kind == NODE_TEXT;
    const char *dash = is_scalar ? memchr(value->text, '-', value->n_text) : NULL;
    size_t n_from = dash != NULL ? (size_t)(dash - value->text) : value->n_text;

    if (!is_scalar || !parse(&range.from, value->text, n_from)) {
        value_unexpected(reading, key, value);
        return;
    }
    range.to = range.from;
    if (dash != NULL && !parse(&range.to, dash + 1, value->n_text - n_from - 1))
        value_unexpected(reading, key, value);
    else if (range.from < key->min || range.to > key->max || range.from > range.to)
        report_error(reading->report, value->at, "%s: expected one or two of %s, the smaller first",
                     key->name, key->example);
    else
        memcpy((char *)base + key->offset, &range, sizeof range);
}

static void read_times(struct reading *reading, const struct key *key, const struct node *value,
                       void *base)
{
    read_range(reading, key, value, base, parse_time);
}

static void read_sizes(struct reading *reading, const struct key *key, const struct node *value,
                       void *base)
{
    read_range(reading, key, value, base, parse_size);
}

static void format_time(char out[static SIZE_TEXT_BYTES], uint64_t seconds)
{
    size_t i = 0;
    while (seconds % time_units[i].seconds != 0)
        i++;
    snprintf(out, SIZE_TEXT_BYTES, "%llu%c", (unsigned long long)(seconds / time_units[i].seconds),
             time_units[i].letter);
}

static void print_range(struct printer *printer, const struct key *key, const void *base,
                        void (*format)(char[static SIZE_TEXT_BYTES], uint64_t))
{
    const struct config_range *range = (const void *)((const char *)base + key->offset);
    char text[SIZE_TEXT_BYTES];

    if (range->to == 0)
        return;
    print_key(printer, key->name);
    format(text, range->from);
    print_raw(printer, text);
    if (range->to > range->from) {
        format(text, range->to);
        print_raw(printer, "-");
        print_raw(printer, text);
    }
    print_raw(printer, "\n");
}

static void print_times(struct printer *printer, const struct key *key, const void *base)
{
    print_range(printer, key, base, format_time);
}

static void print_sizes(struct printer *printer, const struct key *key, const void *base)
{
    print_range(printer, key, base, value_format_size);
}

const struct kind kind_time_range = {.expects = "a time or a range of them, such as 20m-30m",
                                     .read = read_times,
                                     .print = print_times};
const struct kind kind_size_range = {.expects = "a size or a range of them, such as 200M-400M",
                                     .read = read_sizes,
                                     .print = print_sizes};

/* ---- ports ---- */

static bool read_some_ports(struct reading *reading, const struct key *key,
                            const struct node *value, struct config_ports *ports)
{
    if ((value->kind == NODE_PLAIN || value->kind == NODE_TEXT) &&
        value_parse_ports(&ports->from, &ports->to, value->text, value->n_text) && ports->from > 0)
        return true;
    value_unexpected(reading, key, value);
    return false;
}

static void read_port_list(struct reading *reading, const struct key *key, const struct node *value,
                           void *base)
{
    struct config_handover *handover = base;
    struct entries entries;

    if (!value_list(reading, key, value, &entries))
        return;
    handover->ports = value_alloc(reading, entries.n, sizeof *handover->ports);
    if (handover->ports == NULL)
        return;
    for (; entries.n > 0; entries.n--, entries.next = entries.next->next)
        handover->n_ports +=
            read_some_ports(reading, key, entries.next, &handover->ports[handover->n_ports]);
}

static void print_port_list(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_handover *handover = base;

    if (handover->n_ports == 0)
        return;
    print_key(printer, key->name);
    print_raw(printer, "[");
    for (size_t i = 0; i < handover->n_ports; i++) {
        print_raw(printer, i > 0 ? ", " : "");
        print_number(printer, handover->ports[i].from);
        if (handover->ports[i].to == handover->ports[i].from)
            continue;
        print_raw(printer, "-");
        print_number(printer, handover->ports[i].to);
    }
    print_raw(printer, "]\n");
}

const struct kind kind_port_list = {.expects = "a port or a range of them, or a list of such",
                                    .read = read_port_list,
                                    .print = print_port_list};

/* ---- the mapping ---- */

static void read_handover(struct reading *reading, const struct key *key, const struct node *value,
                          void *base)
{
    const struct config_handover *handover = (const void *)((char *)base + key->offset);

    kind_map.read(reading, key, value, base);
    if (handover->n_ports > 0 && node_get(value, "every") == NULL &&
        node_get(value, "after") == NULL)
        report_warning(reading->report, value->at,
                       "handover: without every or after, its ports are for links that are lost");
}

static void print_handover(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_handover *handover = (const void *)((const char *)base + key->offset);

    if (handover->every.to > 0 || handover->after.to > 0 || handover->n_ports > 0)
        kind_map.print(printer, key, base);
}

const struct kind kind_handover = {.expects = "a mapping of every, after and ports",
                                   .read = read_handover,
                                   .print = print_handover};
