/*
 * BIND: one connection is awaited from the peer that the request names.
 *
 *     the peer's name is looked up --> LISTENING, told by opening->listening()
 *         --> the peer connects --> done(ERR_NONE)
 *         --> somebody else does: closed, and the wait goes on
 *
 * The socket listens on the address that `bind` of the outbound names, or on all of the family that
 * the peer has, else of the one by which the client reached us. The time limit is the caller's.
 */
#include <stdlib.h>
#include <string.h>

#include "flow/env.h"
#include "flow/inbound.h"
#include "flow/policy.h"
#include "io/listener.h"
#include "io/sys.h"
#include "outbound/direct.h"

#define PEERS_MAX 32

enum { LOOKUP_V4, LOOKUP_V6, N_LOOKUPS };

struct binding {
    struct opening *opening;
    const struct sock_options *options;
    struct question {
        struct lookup lookup;
        struct binding *binding;
    } questions[N_LOOKUPS];
    struct addr peers[PEERS_MAX]; /* who may connect, by address; none: anyone */
    size_t n_peers;
    struct listener listener;
    struct deferred freeing;
};

static void free_binding(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct binding, freeing));
}

static void end(struct binding *binding)
{
    struct loop *loop = binding->opening->env->loop;
    for (int i = 0; i < N_LOOKUPS; i++)
        resolver_cancel(&binding->questions[i].lookup);
    listener_stop(&binding->listener);
    binding->opening->state = NULL;
    loop_defer(loop, &binding->freeing, free_binding);
}

void direct_bind_cancel(struct opening *opening)
{
    end(opening->state);
}

static void tell(struct binding *binding, enum err err)
{
    struct opening *opening = binding->opening;
    end(binding);
    opening->done(opening, err);
}

static bool is_expected(const struct binding *binding, const struct addr *from)
{
    const struct opening *opening = binding->opening;
    bool is_named = binding->n_peers == 0;
    for (size_t i = 0; i < binding->n_peers && !is_named; i++)
        is_named = addr_equal(&binding->peers[i], from, false);
    return is_named && policy_allows(opening->inbound, opening->rights, from);
}

/* Takes the connection that was waited for. */
static void take(struct binding *binding, int fd, const struct addr *from)
{
    struct opening *opening = binding->opening;
    struct flow_env *env = opening->env;
    struct sock *sock;
    enum err err = sock_new(&sock, env->loop, &env->socks, fd, 0, NULL, NULL);
    if (err == ERR_NONE)
        opening->endpoint = &sock->ep;
    else
        sys_close(fd);
    opening->dialled = *from;
    tell(binding, err);
}

static bool has_room(struct listener *listener)
{
    (void)listener;
    return true;
}

static void on_accept(struct listener *listener, int fd, const struct addr *from)
{
    struct binding *binding = CONTAINER_OF(listener, struct binding, listener);
    if (is_expected(binding, from))
        take(binding, fd, from);
    else
        sys_close(fd);
}

static void on_shortage(struct listener *listener, enum err err)
{
    tell(CONTAINER_OF(listener, struct binding, listener), err);
}

static struct addr address_to_listen_on(const struct binding *binding)
{
    const struct opening *opening = binding->opening;
    bool is_v4 = opening->bound.family != ADDR_V6;
    if (binding->n_peers > 0)
        is_v4 = binding->peers[0].family == ADDR_V4;
    const struct addr *own = is_v4 ? &binding->options->bind4 : &binding->options->bind6;
    if (own->family != ADDR_NONE)
        return *own;
    return (struct addr){.family = is_v4 ? ADDR_V4 : ADDR_V6};
}

/* Where the peer shall connect to: what is advertised stands for our address of that family, else
 * one that is open for the one by which the client came. */
static struct addr address_to_tell(const struct opening *opening, const struct addr *at)
{
    const struct addr *advertise = &opening->inbound->bind.advertise;
    struct addr told = *at;
    if (advertise->family == at->family)
        told = *advertise;
    else if (addr_is_unspecified(at) && opening->bound.family == at->family)
        told = opening->bound;
    told.port = at->port;
    return told;
}

/* ERR_AGAIN: the peer is waited for. */
static enum err begin_to_listen(struct binding *binding)
{
    struct opening *opening = binding->opening;
    const struct inbound_command *ports = &opening->inbound->bind;
    const struct listener_options options = {
        .options = binding->options, .port_from = ports->port_from, .port_to = ports->port_to};
    struct addr at = address_to_listen_on(binding);
    int fd;
    enum err err = listener_open(&fd, &at, &options);
    if (err != ERR_NONE)
        return err;
    binding->listener =
        (struct listener){.has_room = has_room, .on_accept = on_accept, .on_shortage = on_shortage};
    err = listener_start(&binding->listener, opening->env->loop, fd);
    if (err != ERR_NONE) {
        sys_close(fd);
        return err;
    }
    struct addr told = address_to_tell(opening, &at);
    opening->bound = at;
    opening->listening(opening, &told);
    return ERR_AGAIN;
}

static void keep_peer(struct binding *binding, struct addr addr)
{
    addr_unmap(&addr);
    if (binding->n_peers < PEERS_MAX)
        binding->peers[binding->n_peers++] = addr;
}

static void keep_answer(struct binding *binding, const struct lookup *lookup)
{
    for (size_t i = 0; lookup->err == ERR_NONE && i < lookup->n_addrs; i++)
        keep_peer(binding, lookup->addrs[i]);
}

/* ERR_AGAIN: an answer, or the peer, is waited for. */
static enum err go_on(struct binding *binding)
{
    for (int i = 0; i < N_LOOKUPS; i++) {
        if (binding->questions[i].lookup.pending)
            return ERR_AGAIN;
    }
    if (binding->opening->target.name_bytes > 0 && binding->n_peers == 0)
        return ERR_LOOKUP;
    return begin_to_listen(binding);
}

static void on_looked_up(struct lookup *lookup)
{
    struct binding *binding = CONTAINER_OF(lookup, struct question, lookup)->binding;
    keep_answer(binding, lookup);
    enum err err = go_on(binding);
    if (err != ERR_AGAIN)
        tell(binding, err);
}

static void ask(struct binding *binding, int which, enum addr_family family)
{
    const struct opening *opening = binding->opening;
    struct lookup *lookup = &binding->questions[which].lookup;
    if (resolver_ask(opening->env->resolver, lookup, opening->target.name, family, on_looked_up) !=
        ERR_AGAIN)
        keep_answer(binding, lookup);
}

/* Whether the address is 0.0.0.0 or ::, which names nobody. */
static bool is_zero(const struct addr *addr)
{
    static const uint8_t zero[sizeof addr->ip];
    return memcmp(addr->ip, zero, sizeof zero) == 0;
}

static enum err begin(struct binding *binding)
{
    const struct opening *opening = binding->opening;
    const struct target *peer = &opening->target;
    if (opening->is_looked_up) {
        for (size_t i = 0; i < opening->n_addrs; i++)
            keep_peer(binding, opening->addrs[i]);
    } else if (peer->name_bytes > 0) {
        ask(binding, LOOKUP_V4, ADDR_V4);
        ask(binding, LOOKUP_V6, ADDR_V6);
    } else if (!is_zero(&peer->addr)) {
        if (!policy_allows(opening->inbound, opening->rights, &peer->addr))
            return ERR_DENIED;
        keep_peer(binding, peer->addr);
    }
    return go_on(binding);
}

enum err direct_bind(struct opening *opening, const struct sock_options *options)
{
    struct binding *binding = calloc(1, sizeof *binding);
    if (binding == NULL)
        return ERR_MEMORY;
    binding->opening = opening;
    binding->options = options;
    for (int i = 0; i < N_LOOKUPS; i++) {
        binding->questions[i].binding = binding;
        list_init(&binding->questions[i].lookup.link);
    }
    opening->state = binding;
    enum err err = begin(binding);
    if (err != ERR_AGAIN)
        end(binding);
    return err;
}
