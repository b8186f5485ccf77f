#include "config/conflicts.h"

#include <stdlib.h>
#include <string.h>

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
void conflicts_check(struct reading *reading)
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
