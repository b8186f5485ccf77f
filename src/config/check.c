/*
 * Lists of the configuration and of the tree run in step here: the nth inbound was read from the
 * nth entry of `inbounds`, broken or not. Anything may be missing where its error has been said.
 */
#include "config/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"
#include "config/suggest.h"

/* The nth entry's place in the file, and those after it. */
static const struct node *entries_of(const struct node *map, const char *key)
{
    const struct node *list = node_get(map, key);

    return list != NULL && list->kind == NODE_LIST ? list->first : NULL;
}

/* A name in use. */
struct use {
    const char *name;
    struct mark at;
    bool is_made_up; /* ours, for something without a name */
};

struct uses {
    struct use *items;
    size_t n;
};

static struct uses new_uses(struct reading *reading, size_t cap)
{
    struct uses uses = {.items = arena_alloc(reading->scratch, cap, sizeof *uses.items)};

    if (uses.items == NULL)
        reading->report->no_memory = true;
    return uses;
}

static void add_use(struct uses *uses, const char *name, struct mark at, bool is_made_up)
{
    uses->items[uses->n++] = (struct use){name, at, is_made_up};
}

static int compare_uses(const void *left, const void *right)
{
    const struct use *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : mark_compare(a->at, b->at);
}

/* Says each name that is there a second time. */
static void check_unique(struct report *report, struct uses *uses, const char *what)
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
    const struct node *node = entries_of(root, "outbounds");
    struct config_outbound *all =
        value_alloc(reading, config->n_outbounds + 2, sizeof *config->outbounds);

    if (all == NULL)
        return;
    for (size_t i = 0; i < config->n_outbounds; i++, node = node->next) {
        all[i] = config->outbounds[i];
        all[i].line = (int)node->at.line;
    }
    config->outbounds = all;
    for (const struct choice *type = schema_outbound_types; type->value != CHOICE_LATER; type++) {
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
    for (const struct choice *c = schema_outbound_types; c->value != CHOICE_LATER; c++)
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
    const struct node *node = entries_of(root, "outbounds");
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
        add_use(uses, name, at->at, false);
    }
}

/* Gives the nth inbound a name after its type and place. */
static void make_up_name(struct reading *reading, struct config_inbound *inbound, size_t place)
{
    static const char *const types[] = {
        [INBOUND_SOCKS] = "socks", [INBOUND_HTTP] = "http", [INBOUND_MIXED] = "mixed"};
    char name[32];

    int n = snprintf(name, sizeof name, "%s-%zu", types[inbound->type], place);
    inbound->name = arena_text(reading->keep, name, (size_t)n);
    reading->report->no_memory |= inbound->name == NULL;
}

static void name_inbounds(struct reading *reading, const struct node *root, struct config *config,
                          struct uses *uses)
{
    const struct node *node = entries_of(root, "inbounds");
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
        add_use(uses, inbound->name, is_made_up ? node->at : at->at, is_made_up);
    }
}

static void check_names(struct reading *reading, const struct node *root, struct config *config,
                        size_t n_outbounds)
{
    struct uses uses = new_uses(reading, config->n_inbounds + config->n_outbounds);

    if (uses.items == NULL)
        return;
    name_outbounds(reading, root, config, n_outbounds, &uses);
    name_inbounds(reading, root, config, &uses);
    check_unique(reading->report, &uses, "name");
}

static void check_users(struct reading *reading, const struct node *node,
                        const struct config_inbound *inbound)
{
    struct uses uses = new_uses(reading, inbound->n_users);
    const struct node *user = entries_of(node, "users");

    if (uses.items == NULL)
        return;
    for (size_t i = 0; i < inbound->n_users; i++, user = user->next) {
        const char *name = inbound->users[i].name;
        if (name == NULL)
            continue;
        const struct node *at = node_get(user, "name");
        if (strchr(name, ':') != NULL)
            report_error(reading->report, at->at,
                         "a user's name cannot hold \":\", as HTTP ends it there");
        add_use(&uses, name, at->at, false);
    }
    check_unique(reading->report, &uses, "user");
}

/* Finds the outbound that an inbound names; without a name it stays the first. */
static void find_outbound(struct reading *reading, const struct node *node,
                          const struct config *config, struct config_inbound *inbound)
{
    const struct node *wanted = node_get(node, "outbound");
    struct quoted q, best;

    if (wanted == NULL || !value_stands_for_text(wanted))
        return;
    struct suggest suggest = suggest_for(wanted->text);
    for (size_t i = 0; i < config->n_outbounds; i++) {
        const char *name = config->outbounds[i].name;
        if (name != NULL && strcmp(name, wanted->text) == 0) {
            inbound->outbound = i;
            inbound->has_outbound = true;
            return;
        }
    }
    for (size_t i = 0; i < config->n_outbounds && !report_is_full(reading->report); i++)
        if (config->outbounds[i].name != NULL)
            suggest_offer(&suggest, config->outbounds[i].name);
    const char *wanted_text = wanted->from_env ? "so" : quote(&q, wanted->text, wanted->n_text);
    if (suggest.best == NULL)
        report_error(reading->report, wanted->at, "there is no outbound named %s", wanted_text);
    else
        report_error(reading->report, wanted->at, "there is no outbound named %s; did you mean %s?",
                     wanted_text, quote(&best, suggest.best, strlen(suggest.best)));
}

static void check_inbound(struct reading *reading, const struct node *node,
                          const struct config *config, struct config_inbound *inbound)
{
    inbound->line = (int)node->at.line;
    inbound->has_users = node_get(node, "users") != NULL;
    if (inbound->is_exposed && !inbound->has_users && node_get(node, "allow") == NULL)
        report_error(reading->report, node_get(node, "listen")->at,
                     "anybody who reaches this address could use the proxy: add users, or allow "
                     "with the addresses of its clients (allow: [\"*\"] if it is for everybody)");
    check_users(reading, node, inbound);
    find_outbound(reading, node, config, inbound);
}

static int compare_listens(const void *left, const void *right)
{
    const struct listen_use *a = left, *b = right;
    bool any_a = addr_is_unspecified(&a->addr), any_b = addr_is_unspecified(&b->addr);

    if (a->addr.family != b->addr.family)
        return a->addr.family < b->addr.family ? -1 : 1;
    if (a->addr.port != b->addr.port)
        return a->addr.port < b->addr.port ? -1 : 1;
    if (any_a != any_b)
        return any_a ? -1 : 1;
    int order = memcmp(a->addr.ip, b->addr.ip, sizeof a->addr.ip);
    if (order != 0)
        return order;
    if (a->addr.scope != b->addr.scope)
        return a->addr.scope < b->addr.scope ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void say_conflict(struct report *report, const struct listen_use *a,
                         const struct listen_use *b)
{
    const struct listen_use *first = a->order < b->order ? a : b;
    const struct listen_use *second = first == a ? b : a;
    char here[ADDR_TEXT_BYTES], there[ADDR_TEXT_BYTES];

    addr_format(&second->addr, here);
    addr_format(&first->addr, there);
    if (strcmp(here, there) == 0)
        report_error(report, second->at, "%s is already listened on in line %u", here,
                     (unsigned)first->at.line);
    else
        report_error(report, second->at, "%s gets in the way of %s in line %u", here, there,
                     (unsigned)first->at.line);
}

/* Sorted, all entries of one port are neighbours, and one for all addresses stands first. */
static void check_listens(struct reading *reading)
{
    size_t n = reading->n_listens, first = 0;
    struct listen_use *all = arena_alloc(reading->scratch, n, sizeof *all);

    if (all == NULL) {
        reading->report->no_memory = true;
        return;
    }
    for (const struct listen_use *use = reading->listens; use != NULL; use = use->next)
        all[use->order] = *use;
    qsort(all, n, sizeof *all, compare_listens);
    for (size_t i = 1; i < n; i++) {
        if (all[i].addr.family != all[first].addr.family ||
            all[i].addr.port != all[first].addr.port)
            first = i;
        else if (all[i].addr.port == 0)
            continue;
        else if (addr_equal(&all[i].addr, &all[i - 1].addr, true))
            say_conflict(reading->report, &all[i - 1], &all[i]);
        else if (addr_is_unspecified(&all[first].addr))
            say_conflict(reading->report, &all[first], &all[i]);
    }
}

void check_config(struct reading *reading, const struct node *root, struct config *config)
{
    const struct node *node = entries_of(root, "inbounds");
    size_t n_outbounds = config->n_outbounds;

    add_outbounds(reading, root, config);
    if (reading->report->no_memory)
        return;
    check_names(reading, root, config, n_outbounds);
    for (size_t i = 0; i < config->n_inbounds && !reading->report->no_memory;
         i++, node = node->next)
        check_inbound(reading, node, config, &config->inbounds[i]);
    check_listens(reading);
}
