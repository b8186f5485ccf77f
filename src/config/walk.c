/* Walking a table of keys: setting defaults, reading a mapping into a struct, printing it. */
#include "config/keys.h"

#include <stdio.h>
#include <string.h>

#include "config/suggest.h"

void walk_defaults(struct reading *reading, const struct table *table, void *base)
{
    for (size_t i = 0; i < table->n_keys; i++)
        if (table->keys[i].kind->set_default != NULL)
            table->keys[i].kind->set_default(reading, &table->keys[i], base);
}

static bool find_key(const struct table *table, const char *name, size_t *out)
{
    for (size_t i = 0; i < table->n_keys; i++)
        if (strcmp(table->keys[i].name, name) == 0) {
            *out = i;
            return true;
        }
    return false;
}

/* Writes "a, b, c", without those that this version lacks. */
static void list_keys(char *out, size_t cap, const struct table *table)
{
    const char *before = "";
    size_t used = 0;

    for (size_t i = 0; i < table->n_keys && used < cap; i++) {
        if (table->keys[i].kind == &kind_later)
            continue;
        used += (size_t)snprintf(out + used, cap - used, "%s%s", before, table->keys[i].name);
        before = ", ";
    }
}

/* Returns the key that is likely meant, or NULL. */
static const char *say_unknown(struct report *report, const struct table *table,
                               const struct node *key)
{
    struct suggest suggest = suggest_for(key->text);
    struct quoted q;
    char names[256];

    if (report_is_full(report)) {
        report->n_errors++;
        return NULL;
    }
    for (size_t i = 0; i < table->n_keys; i++)
        if (table->keys[i].kind != &kind_later)
            suggest_offer(&suggest, table->keys[i].name);
    const char *name = quote(&q, key->text, key->n_text);
    list_keys(names, sizeof names, table);
    if (suggest.best != NULL)
        report_error(report, key->at, "unknown key %s%s; did you mean \"%s\"?", name, table->place,
                     suggest.best);
    else
        report_error(report, key->at, "unknown key%s%s%s; known are %s",
                     table->has_secret ? "" : " ", table->has_secret ? "" : name, table->place,
                     names);
    return suggest.best;
}

static void say_missing(struct report *report, const struct table *table, const struct key *key,
                        const struct node *map)
{
    const char *example = key->example != NULL ? key->example : "";

    report_error(report, map->at, "the key \"%s\" is missing%s%s%s", key->name, table->place,
                 key->example != NULL ? "; for example " : "", example);
}

static void read_key(struct reading *reading, const struct key *key, const struct node *value,
                     void *base)
{
    if (value->kind == NODE_BROKEN)
        return;
    if (key->kind != &kind_later && value_is_null(value))
        value_unexpected(reading, key, value);
    else
        key->kind->read(reading, key, value, base);
}

/* Something of a type that is not built here has keys that are not built either: of those, nothing
 * more is said. Its name is read, so that others may use it. */
static bool is_of_later_type(const struct table *table, const struct node *entry)
{
    const struct choice *choice = table->keys[0].choices;
    const struct node *value = node_get(entry, table->keys[0].name);

    if (!table->begins_with_type || value == NULL)
        return false;
    while (choice->name != NULL && strcmp(choice->name, value->text) != 0)
        choice++;
    return choice->value == CHOICE_LATER;
}

void walk_read(struct reading *reading, const struct table *table, const struct node *map,
               void *base)
{
    const struct node *seen[MAX_TABLE_KEYS] = {NULL};
    bool is_misspelt[MAX_TABLE_KEYS] = {false};
    bool is_later = is_of_later_type(table, map);
    size_t n_keys = is_later ? 2 : table->n_keys, i;

    for (const struct node *value = map->first; value != NULL; value = value->next) {
        const struct node *key = value->key;
        if (key->kind == NODE_BROKEN)
            continue;
        bool is_known = find_key(table, key->text, &i);
        if (is_later && (!is_known || i >= n_keys))
            continue;
        if (!is_known) {
            const char *meant = say_unknown(reading->report, table, key);
            if (meant != NULL && find_key(table, meant, &i))
                is_misspelt[i] = true;
        } else if (seen[i] != NULL) {
            report_error(reading->report, key->at, "the key \"%s\" is already in line %u",
                         table->keys[i].name, (unsigned)seen[i]->key->at.line);
        } else {
            seen[i] = value;
            read_key(reading, &table->keys[i], value, base);
        }
    }
    for (i = 0; i < n_keys; i++)
        if (table->keys[i].required && seen[i] == NULL && !is_misspelt[i])
            say_missing(reading->report, table, &table->keys[i], map);
}

void walk_print(struct printer *printer, const struct table *table, const void *base)
{
    for (size_t i = 0; i < table->n_keys; i++)
        if (table->keys[i].kind->print != NULL)
            table->keys[i].kind->print(printer, &table->keys[i], base);
}
