#include "config/conflicts.h"

#include <stdlib.h>
#include <string.h>

#include "config/check.h"

static int compare_listens(const void *left, const void *right)
{
    const struct listen_use *a = left, *b = right;
    bool any_a = addr_is_unspecified(&a->addr), any_b = addr_is_unspecified(&b->addr);

    if (a->addr.family != b->addr.family)
        return a->addr.family < b->addr.family ? -1 : 1;
    if (a->path != NULL && strcmp(a->path, b->path) != 0)
        return strcmp(a->path, b->path);
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

    if (a->path != NULL) {
        report_error(report, second->at, "this unix socket is already listened on in line %u",
                     (unsigned)first->at.line);
        return;
    }
    addr_format(&second->addr, here);
    addr_format(&first->addr, there);
    if (strcmp(here, there) == 0)
        report_error(report, second->at, "%s is already listened on in line %u", here,
                     (unsigned)first->at.line);
    else
        report_error(report, second->at, "%s gets in the way of %s in line %u", here, there,
                     (unsigned)first->at.line);
}

static bool shares_port(const struct listen_use *a, const struct listen_use *b)
{
    if (a->addr.family != b->addr.family)
        return false;
    return a->path != NULL ? strcmp(a->path, b->path) == 0 : a->addr.port == b->addr.port;
}

/* Sorted, all entries of one port are neighbours, and one for all addresses stands first. */
void conflicts_check_listens(struct reading *reading)
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
        if (!shares_port(&all[i], &all[first]))
            first = i;
        else if (all[i].addr.port == 0 && all[i].path == NULL)
            continue;
        else if (addr_equal(&all[i].addr, &all[i - 1].addr, true))
            say_conflict(reading->report, &all[i - 1], &all[i]);
        else if (addr_is_unspecified(&all[first].addr))
            say_conflict(reading->report, &all[first], &all[i]);
    }
}

/* Whether who connects to the target reaches what listens on the address. Of names, only one is
 * known to stand for this machine. */
static bool reaches(const struct target *target, const struct addr *listen)
{
    bool is_any = addr_is_unspecified(listen);

    if (listen->port == 0 || listen->port != target->addr.port)
        return false;
    if (target->name_bytes > 0)
        return strcmp(target->name, "localhost") == 0 && (is_any || addr_is_loopback(listen));
    if (is_any)
        return listen->family == target->addr.family && addr_is_loopback(&target->addr);
    return addr_equal(listen, &target->addr, true);
}

/* The place among n_inbounds of the one that listens there; n_inbounds: none does. */
static size_t find_listener(const struct config *config, const struct target *target)
{
    size_t i = 0;

    for (; i < config->n_inbounds; i++)
        for (size_t k = 0; k < config->inbounds[i].n_listens; k++)
            if (reaches(target, &config->inbounds[i].listens[k].addr))
                return i;
    return i;
}

/* Where a relay certainly leads: to which inbound of ours, or n_inbounds. To the far end of an
 * upstream the same address is another machine's. */
static size_t find_next(const struct config *config, const struct config_inbound *inbound)
{
    bool is_certain = inbound->has_outbound || config->n_rules == 0;
    size_t outbound = inbound->has_outbound ? inbound->outbound : 0;

    if (inbound->type != INBOUND_RELAY || !is_certain ||
        config->outbounds[outbound].type != OUTBOUND_DIRECT)
        return config->n_inbounds;
    return find_listener(config, &inbound->target);
}

static void say_circle(struct reading *reading, const struct node *root,
                       const struct config *config, size_t place, size_t next)
{
    const struct node *node = check_entries(root, "inbounds");
    const char *name = config->inbounds[next].name;
    struct quoted q;

    for (size_t i = 0; i < place; i++)
        node = node->next;
    if (next == place)
        report_error(reading->report, node_get(node, "target")->at,
                     "target: this relay listens there itself: it would connect to itself without "
                     "end");
    else if (name != NULL)
        report_error(reading->report, node_get(node, "target")->at,
                     "target: the relay %s listens there, which leads back to this one without end",
                     quote(&q, name, strlen(name)));
}

/* Each relay leads to one place: who follows them and meets one met since he set out is in a
 * circle. */
static void check_relays(struct reading *reading, const struct node *root,
                         const struct config *config)
{
    size_t n = config->n_inbounds;
    size_t *next = arena_alloc(reading->scratch, n, sizeof *next);
    size_t *met_by = arena_alloc(reading->scratch, n, sizeof *met_by);

    if (next == NULL || met_by == NULL) {
        reading->report->no_memory = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        next[i] = find_next(config, &config->inbounds[i]);
    for (size_t start = 0; start < n; start++) {
        size_t i = start;
        for (; i < n && met_by[i] == 0; i = next[i])
            met_by[i] = start + 1;
        if (i < n && met_by[i] == start + 1)
            say_circle(reading, root, config, i, next[i]);
    }
}

/* Both ends of a tunnel may be in one process, where what comes out of it has a way of its own. */
static bool leads_elsewhere(const struct config_inbound *inbound, size_t outbound)
{
    return inbound->type == INBOUND_TUNNEL && inbound->has_outbound &&
           inbound->outbound != outbound;
}

static void check_server(struct reading *reading, const struct node *node,
                         const struct config *config, size_t outbound, const struct target *server)
{
    size_t own = find_listener(config, server);
    struct quoted q;

    if (own == config->n_inbounds || config->inbounds[own].name == NULL ||
        leads_elsewhere(&config->inbounds[own], outbound))
        return;
    const char *name = config->inbounds[own].name;
    report_warning(reading->report, node_get(node, "server")->at,
                   "server: our own inbound %s listens there: what comes in by it and goes "
                   "out here goes in a circle",
                   quote(&q, name, strlen(name)));
}

/* What goes by way of another outbound does not end at this machine. */
static void check_servers(struct reading *reading, const struct node *root,
                          const struct config *config)
{
    const struct node *node = check_entries(root, "outbounds");

    for (size_t i = 0; node != NULL; i++, node = node->next) {
        const struct config_outbound *outbound = &config->outbounds[i];
        for (size_t k = 0; k < outbound->n_servers && !outbound->has_via; k++)
            check_server(reading, node, config, i, &outbound->servers[k]);
    }
}

void conflicts_check_targets(struct reading *reading, const struct node *root,
                             const struct config *config)
{
    check_relays(reading, root, config);
    check_servers(reading, root, config);
}
