#include "config/conflicts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"

/* Each far end is another machine: 0 is this one. */
static size_t place_of(const struct listen_use *use)
{
    return use->inbound->has_listen_via ? use->inbound->listen_via + 1 : 0;
}

static int compare_listens(const void *left, const void *right)
{
    const struct listen_use *a = left, *b = right;
    bool any_a = addr_is_unspecified(&a->addr), any_b = addr_is_unspecified(&b->addr);

    if (place_of(a) != place_of(b))
        return place_of(a) < place_of(b) ? -1 : 1;
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
    if (place_of(a) != place_of(b) || a->addr.family != b->addr.family)
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
        for (size_t k = 0; k < config->inbounds[i].n_listens && !config->inbounds[i].has_listen_via;
             k++)
            if (reaches(target, &config->inbounds[i].listens[k].addr))
                return i;
    return i;
}

/* By what a connection to an outbound's server leaves this machine: the last of its chain. One that leads in a circle was told of. */
static size_t find_last(const struct config *config, size_t outbound)
{
    for (size_t i = 0; i < config->n_outbounds && config->outbounds[outbound].has_via; i++)
        if (config->outbounds[config->outbounds[outbound].via].type != OUTBOUND_DIRECT)
            outbound = config->outbounds[outbound].via;
        else
            break;
    return outbound;
}

/* By what all goes that comes in here; n_outbounds: it depends. */
static size_t find_way(const struct config *config, const struct config_inbound *inbound)
{
    if (!inbound->has_outbound && config->n_rules > 0)
        return config->n_outbounds;
    return find_last(config, inbound->outbound);
}

/* Where an inbound certainly leads: to which inbound of ours, or n_inbounds. To the far end of an
 * upstream the same address is another machine's. */
static size_t find_next(const struct config *config, const struct config_inbound *inbound)
{
    size_t way = find_way(config, inbound);
    const struct config_outbound *outbound = &config->outbounds[way];

    if (way == config->n_outbounds)
        return config->n_inbounds;
    if (outbound->type == OUTBOUND_DIRECT && inbound->type == INBOUND_RELAY)
        return find_listener(config, &inbound->target);
    return outbound->n_servers == 1 ? find_listener(config, &outbound->servers[0])
                                    : config->n_inbounds;
}

/* What an entry says by this key; NULL: nothing, and that is an error of its own. */
static const struct node *find_said(const struct node *root, const char *list, size_t place,
                                    const char *key)
{
    const struct node *node = check_entries(root, list);

    for (size_t i = 0; i < place && node != NULL; i++)
        node = node->next;
    return node == NULL ? NULL : node_get(node, key);
}

/* Of relays that dial. */
static void say_relay(struct reading *reading, const struct node *root, const struct config *config,
                      size_t place, size_t next)
{
    const struct node *target = find_said(root, "inbounds", place, "target");
    const char *name = config->inbounds[next].name;
    struct quoted q;

    if (target == NULL)
        return;
    if (next == place)
        report_error(reading->report, target->at,
                     "target: this relay listens there itself: it would connect to itself without "
                     "end");
    else
        report_error(reading->report, target->at,
                     "target: the %s %s listens there, which leads back to this one without end",
                     config->inbounds[next].type == INBOUND_RELAY ? "relay" : "inbound",
                     quote(&q, name, strlen(name)));
}

/* Writes ` -> "name"`; what does not fit is left out. */
static size_t add_name(char *out, size_t cap, size_t used, const char *name)
{
    struct quoted q;

    if (cap - used < 2 * sizeof q)
        return used;
    return used + (size_t)snprintf(out + used, cap - used, " -> %s", quote(&q, name, strlen(name)));
}

/* The outbounds that lead out of it, one through the other. */
static size_t add_way(char *out, size_t cap, size_t used, const struct config *config,
                      const struct config_inbound *inbound)
{
    size_t last = find_way(config, inbound);

    for (size_t i = inbound->outbound;; i = config->outbounds[i].via) {
        if (config->outbounds[i].name != NULL)
            used = add_name(out, cap, used, config->outbounds[i].name);
        if (i == last)
            return used;
    }
}

/* Of what goes on by an outbound whose server we are ourselves. */
static void say_ring(struct reading *reading, const struct node *root, const struct config *config,
                     size_t place, const size_t *next)
{
    size_t way = find_way(config, &config->inbounds[place]), i = place, used = 0;
    const struct node *server = find_said(root, "outbounds", way, "server");
    const char *own = config->inbounds[next[place]].name;
    char ring[960] = "";
    struct quoted q;

    if (server == NULL)
        return;
    do {
        used = add_name(ring, sizeof ring, used, config->inbounds[i].name);
        used = add_way(ring, sizeof ring, used, config, &config->inbounds[i]);
        i = next[i];
    } while (i != place);
    add_name(ring, sizeof ring, used, config->inbounds[place].name);
    report_error(
        reading->report, server->at,
        "server: our own inbound %s listens there, and what comes in leads in a circle: %s",
        quote(&q, own, strlen(own)), ring + sizeof " -> " - 1);
}

static void say_circle(struct reading *reading, const struct node *root,
                       const struct config *config, size_t place, const size_t *next)
{
    size_t i = place;

    do {
        if (config->inbounds[i].name == NULL)
            return; /* it has an error of its own */
        i = next[i];
    } while (i != place);
    if (config->outbounds[find_way(config, &config->inbounds[place])].type == OUTBOUND_DIRECT)
        say_relay(reading, root, config, place, next[place]);
    else
        say_ring(reading, root, config, place, next);
}

/* Each inbound leads to one place: who follows them and meets one met since he set out is in a
 * circle. Returns whether there is any. */
static bool check_circles(struct reading *reading, const struct node *root,
                          const struct config *config)
{
    size_t n = config->n_inbounds;
    size_t *next = arena_alloc(reading->scratch, n, sizeof *next);
    size_t *met_by = arena_alloc(reading->scratch, n, sizeof *met_by);
    bool any = false;

    if (next == NULL || met_by == NULL) {
        reading->report->no_memory = true;
        return true;
    }
    for (size_t i = 0; i < n; i++)
        next[i] = find_next(config, &config->inbounds[i]);
    for (size_t start = 0; start < n; start++) {
        size_t i = start;
        for (; i < n && met_by[i] == 0; i = next[i])
            met_by[i] = start + 1;
        if (i == n || met_by[i] != start + 1)
            continue;
        say_circle(reading, root, config, i, next);
        any = true;
    }
    return any;
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

    const struct node *said = node_get(node, "server");
    if (said == NULL || own == config->n_inbounds || config->inbounds[own].name == NULL ||
        leads_elsewhere(&config->inbounds[own], outbound))
        return;
    const char *name = config->inbounds[own].name;
    report_warning(reading->report, said->at,
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
    if (!check_circles(reading, root, config))
        check_servers(reading, root, config);
}
