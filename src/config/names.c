#include "config/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/schema.h"
#include "config/suggest.h"

struct uses uses_new(struct reading *reading, size_t cap)
{
    struct uses uses = {.items = arena_alloc(reading->scratch, cap, sizeof *uses.items)};

    if (uses.items == NULL)
        reading->report->no_memory = true;
    return uses;
}

void uses_add(struct uses *uses, const char *name, struct mark at, bool is_made_up)
{
    uses->items[uses->n++] = (struct use){name, at, is_made_up};
}

static int compare_uses(const void *left, const void *right)
{
    const struct use *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : mark_compare(a->at, b->at);
}

void uses_check_unique(struct report *report, struct uses *uses, const char *what)
{
    struct quoted q;

    qsort(uses->items, uses->n, sizeof *uses->items, compare_uses);
    for (size_t i = 1; i < uses->n; i++) {
        const struct use *first = &uses->items[i - 1], *second = &uses->items[i];
        if (strcmp(first->name, second->name) != 0)
            continue;
        const char *name = quote(&q, first->name, strlen(first->name));
        if (first->is_made_up || second->is_made_up)
            report_error(report, (first->is_made_up ? first : second)->at,
                         "this needs a name: the one it would get, %s, is used in line %u", name,
                         (unsigned)(first->is_made_up ? second : first)->at.line);
        else
            report_error(report, second->at, "the %s %s is already used in line %u", what, name,
                         (unsigned)first->at.line);
    }
}

/* The outbounds of the file come first, so that the first of them is the default. */
static void add_outbounds(struct reading *reading, const struct node *root, struct config *config)
{
    const struct node *node = check_entries(root, "outbounds");
    struct config_outbound *all =
        value_alloc(reading, config->n_outbounds + 2, sizeof *config->outbounds);

    if (all == NULL)
        return;
    for (size_t i = 0; i < config->n_outbounds; i++, node = node->next) {
        all[i] = config->outbounds[i];
        all[i].line = (int)node->at.line;
    }
    config->outbounds = all;
    for (const struct choice *type = schema_built_in; type->name != NULL; type++) {
        size_t i = 0;
        while (i < config->n_outbounds &&
               (all[i].name == NULL || strcmp(all[i].name, type->name) != 0))
            i++;
        if (i < config->n_outbounds)
            continue;
        all[i].type = (enum config_outbound_type)type->value;
        all[i].name = arena_text(reading->keep, type->name, strlen(type->name));
        reading->report->no_memory |= all[i].name == NULL;
        config->n_outbounds++;
    }
}

static bool is_reserved(const char *name, enum config_outbound_type *type)
{
    for (const struct choice *c = schema_built_in; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0) {
            *type = (enum config_outbound_type)c->value;
            return true;
        }
    return false;
}

/* The first n outbounds are the file's. */
static void name_outbounds(struct reading *reading, const struct node *root,
                           const struct config *config, size_t n, struct uses *uses)
{
    const struct node *node = check_entries(root, "outbounds");
    enum config_outbound_type type;

    for (size_t i = 0; i < n; i++, node = node->next) {
        const char *name = config->outbounds[i].name;
        const struct node *type_node = node_get(node, "type");
        if (name == NULL)
            continue;
        const struct node *at = node_get(node, "name");
        if (is_reserved(name, &type) && type_node != NULL && strcmp(type_node->text, name) != 0)
            report_error(reading->report, at->at,
                         "the name \"%s\" belongs to the outbound of type %s: take another", name,
                         name);
        uses_add(uses, name, at->at, false);
    }
}

/* Gives the nth inbound a name after its type and place. */
static void make_up_name(struct reading *reading, struct config_inbound *inbound, size_t place)
{
    char name[32];

    int n = snprintf(name, sizeof name, "%s-%zu", schema_inbound_type(inbound->type), place);
    inbound->name = arena_text(reading->keep, name, (size_t)n);
    reading->report->no_memory |= inbound->name == NULL;
}

static void name_inbounds(struct reading *reading, const struct node *root, struct config *config,
                          struct uses *uses)
{
    const struct node *node = check_entries(root, "inbounds");
    enum config_outbound_type type;

    for (size_t i = 0; i < config->n_inbounds; i++, node = node->next) {
        struct config_inbound *inbound = &config->inbounds[i];
        const struct node *at = node_get(node, "name");
        bool is_made_up = at == NULL;
        if (is_made_up)
            make_up_name(reading, inbound, i + 1);
        if (inbound->name == NULL)
            continue;
        if (!is_made_up && is_reserved(inbound->name, &type))
            report_error(reading->report, at->at,
                         "the name \"%s\" belongs to an outbound that always exists: take another",
                         inbound->name);
        uses_add(uses, inbound->name, is_made_up ? node->at : at->at, is_made_up);
    }
}

void names_complete(struct reading *reading, const struct node *root, struct config *config)
{
    size_t n_outbounds = config->n_outbounds;

    add_outbounds(reading, root, config);
    if (reading->report->no_memory)
        return;
    struct uses uses = uses_new(reading, config->n_inbounds + config->n_outbounds);
    if (uses.items == NULL)
        return;
    name_outbounds(reading, root, config, n_outbounds, &uses);
    name_inbounds(reading, root, config, &uses);
    uses_check_unique(reading->report, &uses, "name");
}

static void say_no_such(struct reading *reading, const char *what, const struct reference *wanted,
                        const struct suggest *suggest)
{
    struct quoted q, best;
    const char *shown = wanted->is_secret ? "so" : quote(&q, wanted->text, strlen(wanted->text));

    if (suggest->best == NULL)
        report_error(reading->report, wanted->at, "there is no %s named %s", what, shown);
    else
        report_error(reading->report, wanted->at, "there is no %s named %s; did you mean %s?", what,
                     shown, quote(&best, suggest->best, strlen(suggest->best)));
}

bool names_find_outbound(struct reading *reading, const struct config *config,
                         const struct reference *wanted, size_t *out)
{
    struct suggest suggest = suggest_for(wanted->text);

    for (size_t i = 0; i < config->n_outbounds; i++) {
        const char *name = config->outbounds[i].name;
        if (name != NULL && strcmp(name, wanted->text) == 0) {
            *out = i;
            return true;
        }
    }
    for (size_t i = 0; i < config->n_outbounds && !report_is_full(reading->report); i++)
        if (config->outbounds[i].name != NULL)
            suggest_offer(&suggest, config->outbounds[i].name);
    say_no_such(reading, "outbound", wanted, &suggest);
    return false;
}

bool names_check_inbound(struct reading *reading, const struct config *config,
                         const struct reference *wanted)
{
    struct suggest suggest = suggest_for(wanted->text);

    for (size_t i = 0; i < config->n_inbounds; i++) {
        const char *name = config->inbounds[i].name;
        if (name != NULL && strcmp(name, wanted->text) == 0)
            return true;
    }
    for (size_t i = 0; i < config->n_inbounds && !report_is_full(reading->report); i++)
        if (config->inbounds[i].name != NULL)
            suggest_offer(&suggest, config->inbounds[i].name);
    say_no_such(reading, "inbound", wanted, &suggest);
    return false;
}
