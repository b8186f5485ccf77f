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

static bool has_type(const struct key *key, int type)
{
    return key->types == 0 || type < 0 || (key->types & TYPE(type)) != 0;
}

/* That of the type, where several types have a key of this name, each its own. */
static bool find_key(const struct table *table, const char *name, int type, size_t *out)
{
    bool is_found = false;

    for (size_t i = 0; i < table->n_keys; i++) {
        if (strcmp(table->keys[i].name, name) != 0 ||
            (is_found && !has_type(&table->keys[i], type)))
            continue;
        *out = i;
        is_found = true;
    }
    return is_found;
}

#define TYPE_UNKNOWN (-2)

/* The `type` of what begins with one; TYPE_UNKNOWN where it is missing or wrong, or where there are
 * no types. */
static int type_of(const struct table *table, const struct node *entry)
{
    const struct node *value = node_get(entry, table->keys[0].name);

    if (!table->begins_with_type || value == NULL)
        return TYPE_UNKNOWN;
    for (const struct choice *c = table->keys[0].choices; c->name != NULL; c++)
        if (strcmp(c->name, value->text) == 0)
            return c->value;
    return TYPE_UNKNOWN;
}

/* Whether the key is one that something of this type may have. */
static bool is_offered(const struct key *key, int type)
{
    return key->kind != &kind_later && has_type(key, type);
}

/* Writes "a, b or c". */
static void list_types(char *out, size_t cap, const struct choice *choices, unsigned types)
{
    size_t used = 0, n = 0, seen = 0;

    for (const struct choice *c = choices; c->name != NULL; c++)
        n += c->value >= 0 && (types & TYPE(c->value)) != 0;
    for (const struct choice *c = choices; c->name != NULL && used < cap; c++) {
        if (c->value < 0 || (types & TYPE(c->value)) == 0)
            continue;
        seen++;
        const char *before = seen == 1 ? "" : seen == n ? " or " : ", ";
        used += (size_t)snprintf(out + used, cap - used, "%s%s", before, c->name);
    }
}

/* Writes "a, b, c". */
static void list_keys(char *out, size_t cap, const struct table *table, int type)
{
    const char *before = "";
    size_t used = 0;

    for (size_t i = 0; i < table->n_keys && used < cap; i++) {
        if (!is_offered(&table->keys[i], type))
            continue;
        used += (size_t)snprintf(out + used, cap - used, "%s%s", before, table->keys[i].name);
        before = ", ";
    }
}

/* Returns the key that is likely meant, or NULL. */
static const char *say_unknown(struct report *report, const struct table *table,
                               const struct node *key, int type)
{
    struct suggest suggest = suggest_for(key->text);
    struct quoted q;
    char names[320];

    if (report_is_full(report)) {
        report->n_errors++;
        return NULL;
    }
    for (size_t i = 0; i < table->n_keys; i++)
        if (is_offered(&table->keys[i], type))
            suggest_offer(&suggest, table->keys[i].name);
    const char *name = quote(&q, key->text, key->n_text);
    list_keys(names, sizeof names, table, type);
    if (suggest.best != NULL)
        report_error(report, key->at, "unknown key %s%s; did you mean \"%s\"?", name, table->place,
                     suggest.best);
    else
        report_error(report, key->at, "unknown key%s%s%s; known are %s",
                     table->has_secret ? "" : " ", table->has_secret ? "" : name, table->place,
                     names);
    return suggest.best;
}

/* The types that have a key of this name. */
static unsigned types_of(const struct table *table, const char *name)
{
    unsigned types = 0;

    for (size_t i = 0; i < table->n_keys; i++)
        if (strcmp(table->keys[i].name, name) == 0)
            types |= table->keys[i].types;
    return types;
}

/* Says that something of this type has no such key. */
static void say_foreign(struct report *report, const struct table *table, const struct key *key,
                        const struct node *value, int type)
{
    char here[32], there[96];

    list_types(here, sizeof here, table->keys[0].choices, TYPE(type));
    if ((key->later & TYPE(type)) != 0) {
        report_error(report, value->key->at,
                     "this version does not have the key \"%s\"%s of type %s", key->name,
                     table->place, here);
        return;
    }
    list_types(there, sizeof there, table->keys[0].choices, types_of(table, key->name));
    report_error(report, value->key->at,
                 "the key \"%s\" does not belong%s of type %s; it is for %s", key->name,
                 table->place, here, there);
}

static void say_missing(struct report *report, const struct table *table, const struct key *key,
                        const struct node *map)
{
    const char *example = key->example != NULL ? key->example : "";

    report_error(report, map->at, "the key \"%s\" is missing%s%s%s", key->name, table->place,
                 key->example != NULL ? "; for example " : "", example);
}

/* A text that the file itself holds, or a list of such. */
static bool is_written_here(const struct node *value)
{
    if (value->kind == NODE_LIST && value->first != NULL)
        value = value->first;
    return (value->kind == NODE_TEXT || value->kind == NODE_PLAIN) && !value->from_env;
}

static void read_key(struct reading *reading, const struct key *key, const struct node *value,
                     void *base)
{
    reading->has_secret |= key->secret && is_written_here(value);
    if (value->kind == NODE_BROKEN)
        return;
    if (key->kind != &kind_later && value_is_null(value))
        value_unexpected(reading, key, value);
    else
        key->kind->read(reading, key, value, base);
}

/* What a walk over one mapping has met. */
struct met {
    const struct node *values[MAX_TABLE_KEYS];
    bool is_misspelt[MAX_TABLE_KEYS];
    int type;
};

static void read_entry(struct reading *reading, const struct table *table, struct met *met,
                       const struct node *value, void *base)
{
    const struct node *key = value->key;
    size_t i;

    if (!find_key(table, key->text, met->type, &i)) {
        const char *meant = say_unknown(reading->report, table, key, met->type);
        if (meant != NULL && find_key(table, meant, met->type, &i))
            met->is_misspelt[i] = true;
    } else if (met->values[i] != NULL) {
        report_error(reading->report, key->at, "the key \"%s\" is already in line %u",
                     table->keys[i].name, (unsigned)met->values[i]->key->at.line);
    } else {
        met->values[i] = value;
        if (has_type(&table->keys[i], met->type))
            read_key(reading, &table->keys[i], value, base);
        else
            say_foreign(reading->report, table, &table->keys[i], value, met->type);
    }
}

/* Gives what was not there its default, and says so where there is none. */
static void complete(struct reading *reading, const struct table *table, const struct met *met,
                     const struct node *map, void *base)
{
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct key *key = &table->keys[i];
        if (met->values[i] != NULL || !has_type(key, met->type))
            continue;
        if (key->kind->set_default != NULL)
            key->kind->set_default(reading, key, base);
        bool is_sure = key->types == 0 || met->type >= 0;
        if (key->required && is_sure && !met->is_misspelt[i])
            say_missing(reading->report, table, key, map);
    }
}

/* Something of a type that is not built here has keys that are not built either: of those, nothing
 * is said. Its name is read, so that others may use it. */
static void read_name(struct reading *reading, const struct table *table, const struct node *map,
                      void *base)
{
    for (size_t i = 0; i < 2; i++) {
        const struct node *value = node_get(map, table->keys[i].name);
        if (value != NULL)
            read_key(reading, &table->keys[i], value, base);
        else if (table->keys[i].required)
            say_missing(reading->report, table, &table->keys[i], map);
    }
}

void walk_read(struct reading *reading, const struct table *table, const struct node *map,
               void *base)
{
    struct met met = {.type = type_of(table, map)};

    if (met.type == CHOICE_LATER) {
        read_name(reading, table, map, base);
        return;
    }
    for (const struct node *value = map->first; value != NULL; value = value->next)
        if (value->key->kind != NODE_BROKEN)
            read_entry(reading, table, &met, value, base);
    complete(reading, table, &met, map, base);
}

void walk_print(struct printer *printer, const struct table *table, const void *base)
{
    uint32_t type = 0;

    if (table->begins_with_type)
        memcpy(&type, (const char *)base + table->keys[0].offset, sizeof type);
    for (size_t i = 0; i < table->n_keys; i++)
        if (table->keys[i].kind->print != NULL &&
            (!table->begins_with_type || has_type(&table->keys[i], (int)type)))
            table->keys[i].kind->print(printer, &table->keys[i], base);
}
