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

/* The inbound that listens there, or NULL. */
static const struct config_inbound *find_listener(const struct config *config,
                                                  const struct target *target)
{
    for (size_t i = 0; i < config->n_inbounds; i++)
        for (size_t k = 0; k < config->inbounds[i].n_listens; k++)
            if (reaches(target, &config->inbounds[i].listens[k].addr))
                return &config->inbounds[i];
    return NULL;
}

void conflicts_check_targets(struct reading *reading, const struct node *root,
                             const struct config *config)
{
    const struct node *node = check_entries(root, "inbounds");
    struct quoted q;

    for (size_t i = 0; i < config->n_inbounds; i++, node = node->next) {
        const struct config_inbound *inbound = &config->inbounds[i];
        if (inbound->type == INBOUND_RELAY && find_listener(config, &inbound->target) == inbound)
            report_error(reading->report, node_get(node, "target")->at,
                         "target: this relay listens there itself: it would connect to itself "
                         "without end");
    }
    node = check_entries(root, "outbounds");
    for (size_t i = 0; node != NULL; i++, node = node->next) {
        const struct target *server = &config->outbounds[i].server;
        const struct config_inbound *own =
            server->addr.port > 0 ? find_listener(config, server) : NULL;
        if (own != NULL && own->name != NULL)
            report_warning(reading->report, node_get(node, "server")->at,
                           "server: our own inbound %s listens there: what comes in by it and goes "
                           "out here goes in a circle",
                           quote(&q, own->name, strlen(own->name)));
    }
}
