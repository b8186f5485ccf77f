#include "flow/aliases.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "flow/env.h"
#include "flow/packets.h"

struct alias {
    struct aliases *aliases;
    struct list link; /* in its `known` */
    struct lookup lookup;
    struct addr addr;      /* family NONE: it is being looked up; the port means nothing */
    struct target to;      /* with the port that it was first sent to */
    bool is_second_family; /* the other one has been asked in vain */
    bool is_denied;        /* it had addresses, which are denied */
    bool is_shadowed;      /* the client has sent to the address itself since */
};

void aliases_init(struct aliases *aliases, struct flow_env *env,
                  bool (*allows)(struct aliases *, const struct target *, const struct addr *),
                  void (*send)(struct aliases *, const struct addr *, uint8_t *, size_t))
{
    *aliases = (struct aliases){.env = env, .allows = allows, .send = send};
    list_init(&aliases->known);
    packet_queue_init(&aliases->waiting);
}

static struct alias *first_of(const struct aliases *aliases)
{
    return CONTAINER_OF(aliases->known.next, struct alias, link);
}

static void forget(struct alias *alias, enum drop why)
{
    struct aliases *aliases = alias->aliases;
    resolver_cancel(&alias->lookup);
    packet_queue_drop(&aliases->waiting, aliases->env, &alias->to, why);
    list_remove(&alias->link);
    aliases->n--;
    datagram_pool_release(&aliases->env->datagrams, sizeof *alias);
    free(alias);
}

static void fail(struct alias *alias)
{
    forget(alias, alias->is_denied ? DROP_DENIED : DROP_LOOKUP);
}

void aliases_deinit(struct aliases *aliases)
{
    while (!list_empty(&aliases->known))
        forget(first_of(aliases), DROP_UNSENT);
}

/* Looks from the end: what was used last is likely to be meant. */
static struct alias *find(const struct aliases *aliases, const struct target *to)
{
    for (struct list *at = aliases->known.prev; at != &aliases->known; at = at->prev) {
        struct alias *alias = CONTAINER_OF(at, struct alias, link);
        if (target_same_name(&alias->to, to))
            return alias;
    }
    return NULL;
}

static struct alias *find_address(const struct aliases *aliases, const struct addr *addr)
{
    for (struct list *at = aliases->known.prev; at != &aliases->known; at = at->prev) {
        struct alias *alias = CONTAINER_OF(at, struct alias, link);
        if (addr_equal(&alias->addr, addr, false))
            return alias;
    }
    return NULL;
}

/* Where the table is full, the one not used for the longest goes, but none that is being looked up:
 * so a client has no more questions under way than the table has places. */
static bool make_room(struct aliases *aliases)
{
    if (aliases->n < ALIASES_MAX)
        return true;
    for (struct list *at = aliases->known.next; at != &aliases->known; at = at->next) {
        struct alias *alias = CONTAINER_OF(at, struct alias, link);
        if (alias->lookup.pending)
            continue;
        forget(alias, DROP_FULL);
        return true;
    }
    return false;
}

/* They live as long as the association, so they count as what it holds. */
static struct alias *allocate(struct datagram_pool *pool)
{
    if (!datagram_pool_hold(pool, sizeof(struct alias)))
        return NULL;
    struct alias *alias = malloc(sizeof *alias);
    if (alias == NULL)
        datagram_pool_release(pool, sizeof *alias);
    return alias;
}

/* NULL: no memory, or no room. */
static struct alias *add(struct aliases *aliases, const struct target *to)
{
    struct alias *alias = make_room(aliases) ? allocate(&aliases->env->datagrams) : NULL;
    if (alias == NULL)
        return NULL;
    *alias = (struct alias){.aliases = aliases, .to = *to};
    list_init(&alias->lookup.link);
    list_init(&alias->link);
    assert(aliases->known.prev != NULL); /* which clang's analyzer does not see */
    list_append(&aliases->known, &alias->link);
    aliases->n++;
    return alias;
}

static void pass_on(struct alias *alias, const struct target *to, uint8_t *bytes, size_t n)
{
    struct aliases *aliases = alias->aliases;
    struct addr addr = alias->addr;
    addr.port = to->addr.port;
    if (aliases->allows(aliases, to, &addr))
        aliases->send(aliases, &addr, bytes, n);
    else
        aliases->env->counters.dropped[DROP_DENIED]++;
}

/* Of the name's addresses the first that is allowed. False: there is none. */
static bool choose(struct alias *alias)
{
    const struct lookup *lookup = &alias->lookup;
    for (size_t i = 0; lookup->err == ERR_NONE && i < lookup->n_addrs; i++) {
        struct addr addr = lookup->addrs[i];
        addr.port = alias->to.addr.port;
        addr_unmap(&addr);
        alias->is_denied = !alias->aliases->allows(alias->aliases, &alias->to, &addr);
        if (!alias->is_denied) {
            alias->addr = addr;
            return true;
        }
    }
    return false;
}

static void on_looked_up(struct lookup *lookup);

/*
 * IPv4 first unless IPv6 is preferred: no datagram tells that its family leads nowhere, so there
 * is no trying both. False: the answer is there.
 */
static bool ask(struct alias *alias)
{
    struct flow_env *env = alias->aliases->env;
    bool is_v6_first = env->prefer == DIAL_V6_FIRST || env->prefer == DIAL_V6_ONLY;
    enum addr_family family = is_v6_first != alias->is_second_family ? ADDR_V6 : ADDR_V4;
    return resolver_ask(env->resolver, &alias->lookup, alias->to.name, family, on_looked_up) ==
           ERR_AGAIN;
}

/* An answer is there: takes it, or asks for the other family. ERR_AGAIN: that is under way. */
static enum err settle(struct alias *alias)
{
    enum dial_prefer prefer = alias->aliases->env->prefer;
    bool is_last = prefer == DIAL_V4_ONLY || prefer == DIAL_V6_ONLY;
    for (;;) {
        if (choose(alias))
            return ERR_NONE;
        if (is_last || alias->is_second_family)
            return ERR_LOOKUP;
        alias->is_second_family = true;
        if (ask(alias))
            return ERR_AGAIN;
    }
}

static void on_looked_up(struct lookup *lookup)
{
    struct alias *alias = CONTAINER_OF(lookup, struct alias, lookup);
    struct aliases *aliases = alias->aliases;
    struct packet *packet;
    enum err err = settle(alias);
    if (err == ERR_AGAIN)
        return;
    if (err != ERR_NONE) {
        fail(alias);
        return;
    }
    while ((packet = packet_queue_take(&aliases->waiting, aliases->env, &alias->to)) != NULL) {
        pass_on(alias, &packet->to, packet->room + PACKET_HEADROOM, packet->n);
        datagram_pool_flush(&aliases->env->datagrams);
        free(packet);
    }
}

static void send_anew(struct aliases *aliases, const struct target *to, uint8_t *bytes, size_t n)
{
    struct alias *alias = add(aliases, to);
    if (alias == NULL) {
        aliases->env->counters.dropped[DROP_FULL]++;
        return;
    }
    enum err err = ask(alias) ? ERR_AGAIN : settle(alias);
    if (err == ERR_NONE) {
        pass_on(alias, to, bytes, n);
        return;
    }
    packet_queue_put(&aliases->waiting, aliases->env, to, bytes, n);
    if (err != ERR_AGAIN)
        fail(alias);
}

void aliases_send(struct aliases *aliases, const struct target *to, uint8_t *bytes, size_t n)
{
    struct alias *alias = find(aliases, to);
    if (alias == NULL) {
        send_anew(aliases, to, bytes, n);
        return;
    }
    alias->is_shadowed = false;
    list_remove(&alias->link);
    list_append(&aliases->known, &alias->link);
    if (alias->addr.family == ADDR_NONE)
        packet_queue_put(&aliases->waiting, aliases->env, to, bytes, n);
    else
        pass_on(alias, to, bytes, n);
}

void aliases_shadow(struct aliases *aliases, const struct addr *to)
{
    struct alias *alias = find_address(aliases, to);
    if (alias != NULL)
        alias->is_shadowed = true;
}

void aliases_restore(const struct aliases *aliases, struct target *from)
{
    const struct alias *alias = find_address(aliases, &from->addr);
    if (alias == NULL || alias->is_shadowed)
        return;
    memcpy(from->name, alias->to.name, (size_t)alias->to.name_bytes + 1);
    from->name_bytes = alias->to.name_bytes;
    from->addr = (struct addr){.port = from->addr.port};
}
