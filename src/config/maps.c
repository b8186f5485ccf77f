/* Kinds that hold tables of their own: a mapping, and a list of mappings. */
#include "config/keys.h"

#include <string.h>

static void default_map(struct reading *reading, const struct key *key, void *base)
{
    walk_defaults(reading, key->table, (char *)base + key->offset);
}

static void read_map(struct reading *reading, const struct key *key, const struct node *value,
                     void *base)
{
    if (value->kind == NODE_MAP)
        walk_read(reading, key->table, value, (char *)base + key->offset);
    else
        value_unexpected(reading, key, value);
}

static void print_map(struct printer *printer, const struct key *key, const void *base)
{
    print_section(printer, key->name);
    printer->indent += 2;
    walk_print(printer, key->table, (const char *)base + key->offset);
    printer->indent -= 2;
}

const struct kind kind_map = {.expects = "a mapping of keys to values",
                              .set_default = default_map,
                              .read = read_map,
                              .print = print_map};

static void read_entry(struct reading *reading, const struct key *key, const struct node *entry,
                       void *base)
{
    if (entry->kind == NODE_BROKEN)
        return;
    if (entry->kind != NODE_MAP)
        value_unexpected(reading, key, entry);
    else
        walk_read(reading, key->table, entry, base);
}

static void read_maps(struct reading *reading, const struct key *key, const struct node *value,
                      void *base)
{
    if (value->kind != NODE_LIST) {
        value_unexpected(reading, key, value);
        return;
    }
    if (value->n_children < key->min || value->n_children > key->max) {
        value_wrong_count(reading, key, value);
        return;
    }
    char *items = value_alloc(reading, value->n_children, key->table->size);
    if (items == NULL)
        return;
    memcpy((char *)base + key->offset, &items, sizeof items);
    memcpy((char *)base + key->n_offset, &value->n_children, sizeof value->n_children);
    for (const struct node *entry = value->first; entry != NULL; entry = entry->next) {
        read_entry(reading, key, entry, items);
        items += key->table->size;
    }
}

static void print_maps(struct printer *printer, const struct key *key, const void *base)
{
    const char *items;
    size_t n;

    memcpy(&items, (const char *)base + key->offset, sizeof items);
    memcpy(&n, (const char *)base + key->n_offset, sizeof n);
    if (n == 0)
        return;
    print_section(printer, key->name);
    printer->indent += 4;
    for (size_t i = 0; i < n; i++) {
        printer->begins_entry = true;
        walk_print(printer, key->table, items + i * key->table->size);
    }
    printer->indent -= 4;
}

const struct kind kind_maps = {
    .expects = "a list of mappings", .read = read_maps, .print = print_maps};

/* A key of later versions: better said than taken for a typing error. */
static void read_later(struct reading *reading, const struct key *key, const struct node *value,
                       void *base)
{
    (void)base;
    report_error(reading->report, value->key->at, "this version does not have the key \"%s\"",
                 key->name);
}

const struct kind kind_later = {.read = read_later};
