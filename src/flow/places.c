#include "flow/places.h"

#include <string.h>

#include "flow/association.h"
#include "flow/flow.h"
#include "flow/ruleset.h"
#include "flow/stages.h"

/* Whom limits count, by what we know ourselves. Of IPv6 the /64, of which one client has every address. */
static struct addr client_key(const struct flow *flow)
{
    struct addr key = flow->carrier;
    if (key.family == ADDR_V6)
        memset(key.ip + 8, 0, 8);
    return key;
}

static uint64_t count_of_client(const struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct addr key = client_key(flow);
    return clients_count(&shared->clients,
                         &(struct counted){.of = &shared->n_associations, .at = &key});
}

/* Of the worker's, of this inbound's (NULL: all) and of this client's (NULL: all). NULL: there is none. */
static struct flow *find_longest_unused(struct flow_env *env,
                                        const struct inbound_counts *of_inbound,
                                        const struct addr *of_client)
{
    for (struct list *at = env->associated.next; at != &env->associated; at = at->next) {
        struct flow *flow = CONTAINER_OF(at, struct association, link)->flow;
        struct addr key = client_key(flow);
        if ((of_inbound == NULL || flow->inbound->counts == of_inbound) &&
            (of_client == NULL || addr_equal(&key, of_client, false)))
            return flow;
    }
    return NULL;
}

/* Who has more of them than the one it belongs to gives up one of its own instead: nobody drives out others by asking
 * for many. */
bool places_make_room(struct flow *asking, const struct inbound_counts *of_inbound)
{
    struct flow *leaving = find_longest_unused(asking->env, of_inbound, NULL);
    if (leaving == NULL)
        return false;
    if (count_of_client(asking) > count_of_client(leaving)) {
        struct addr key = client_key(asking);
        struct flow *own = find_longest_unused(asking->env, of_inbound, &key);
        leaving = own == NULL ? leaving : own;
    }
    flow_close(leaving, FLOW_END_LIMIT, true);
    return true;
}

static bool enter(_Atomic(uint64_t) *n, uint64_t max)
{
    if (atomic_fetch_add(n, 1) < max)
        return true;
    atomic_fetch_sub(n, 1);
    return false;
}

void places_leave(struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct addr key = client_key(flow);
    clients_leave(&shared->clients, &(struct counted){.of = &shared->n_associations, .at = &key});
    atomic_fetch_sub(&flow->inbound->counts->n_associations, 1);
    atomic_fetch_sub(&shared->n_associations, 1);
}

/* Finds a place, for which others may have to go. */
static enum err find_place(struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct inbound_counts *counts = flow->inbound->counts;
    uint64_t max = atomic_load(&shared->max_by_descriptors) / 4;
    max = max == 0 ? 1 : max;
    uint64_t max_of_inbound = flow->inbound->ruleset->n_inbounds > 1 ? (max + 1) / 2 : max;
    for (;;) {
        bool has_place = enter(&counts->n_associations, max_of_inbound);
        if (has_place && enter(&shared->n_associations, max))
            return ERR_NONE;
        if (has_place)
            atomic_fetch_sub(&counts->n_associations, 1);
        if (!places_make_room(flow, has_place ? NULL : counts))
            return ERR_LIMIT;
    }
}

enum err places_enter(struct flow *flow)
{
    struct flow_shared *shared = flow->env->shared;
    struct addr key = client_key(flow);
    enum err err = find_place(flow);
    if (err != ERR_NONE)
        return err;
    err = clients_enter(&shared->clients,
                        &(struct counted){.of = &shared->n_associations, .at = &key}, UINT64_MAX);
    if (err != ERR_NONE) {
        atomic_fetch_sub(&flow->inbound->counts->n_associations, 1);
        atomic_fetch_sub(&shared->n_associations, 1);
    }
    return err;
}
