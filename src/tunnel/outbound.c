#include "tunnel/outbound.h"

#include <stdlib.h>

#include "flow/env.h"
#include "flow/ruleset.h"
#include "tunnel/near.h"
#include "tunnel/opening.h"

struct tunnel_outbound {
    struct outbound base;
    struct tunnel_spec *spec; /* held */
};

static struct tunnel_outbound *of(struct outbound *outbound)
{
    return CONTAINER_OF(outbound, struct tunnel_outbound, base);
}

struct flow_env *tunnel_home(const struct tunnel_spec *spec, struct outbound *via, size_t session)
{
    struct flow_env *of_via =
        via == NULL || via->ops->home == NULL ? NULL : via->ops->home(via, NULL, session);
    return of_via != NULL ? of_via : tunnel_spec_home(spec, session)->flow;
}

/* Which of its sessions is next: of several that the worker has itself, it takes one of those. */
static size_t next_session(struct tunnel_outbound *outbound, const struct opening *opening)
{
    struct tunnel_spec *spec = outbound->spec;
    size_t n = spec->settings.n_sessions;
    size_t first = atomic_load_explicit(&spec->n_asked, memory_order_relaxed) % n;
    for (size_t i = 0; i < n; i++) {
        size_t session = (first + i) % n;
        if (tunnel_home(spec, outbound->base.via, session) == opening->env)
            return session;
    }
    return first;
}

static enum err open_by(struct outbound *outbound, struct opening *opening)
{
    struct tunnel_outbound *tunnel = of(outbound);
    size_t session = next_session(tunnel, opening);
    atomic_fetch_add_explicit(&tunnel->spec->n_asked, 1, memory_order_relaxed);
    return near_open(tunnel->spec, session, outbound->via, opening);
}

static enum err associate_by(struct outbound *outbound, struct opening *opening)
{
    opening->is_association = true;
    return open_by(outbound, opening);
}

static enum err relay_by(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    return near_relay(opening);
}

static struct flow_env *home(struct outbound *outbound, const struct opening *opening, size_t which)
{
    struct tunnel_outbound *tunnel = of(outbound);
    size_t session = which == OUTBOUND_ANY ? next_session(tunnel, opening)
                                           : which % tunnel->spec->settings.n_sessions;
    return tunnel_home(tunnel->spec, outbound->via, session);
}

static void ahead(struct outbound *outbound, struct opening *opening, const uint8_t *bytes,
                  size_t given, size_t *n)
{
    (void)outbound;
    tunnel_opening_ahead(opening, bytes, given, n);
}

static bool is_suspended(struct outbound *outbound, const struct opening *opening)
{
    (void)outbound;
    return near_is_suspended(opening);
}

static void cancel(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    tunnel_opening_cancel(opening);
}

static void free_outbound(struct outbound *outbound)
{
    tunnel_spec_release(of(outbound)->spec);
    free(of(outbound));
}

static const struct outbound_ops ops = {
    .open = open_by,
    .associate = associate_by,
    .relay = relay_by,
    .ahead = ahead,
    .home = home,
    .is_suspended = is_suspended,
    .cancel = cancel,
    .free = free_outbound,
};

enum err tunnel_outbound_new(struct outbound **out, struct tunnels *tunnels,
                             struct tunnel_settings *settings)
{
    struct tunnel_outbound *tunnel = calloc(1, sizeof *tunnel);
    struct tunnel_spec *spec;
    enum err err = tunnel_spec_hold(tunnels, settings, &spec);
    if (err == ERR_NONE && tunnel == NULL) {
        tunnel_spec_release(spec);
        err = ERR_MEMORY;
    }
    if (err != ERR_NONE) {
        free(tunnel);
        return err;
    }
    tunnel->base = (struct outbound){.ops = &ops, .name = spec->settings.name};
    tunnel->spec = spec;
    *out = &tunnel->base;
    return ERR_NONE;
}

struct tunnel_spec *tunnel_outbound_spec(struct outbound *outbound)
{
    return outbound->ops == &ops ? of(outbound)->spec : NULL;
}

struct outbound *tunnel_outbound_find(const struct ruleset *ruleset, const struct tunnel_spec *spec)
{
    for (size_t i = 0; i < ruleset->n_outbounds; i++)
        if (ruleset->outbounds[i]->ops == &ops && of(ruleset->outbounds[i])->spec == spec)
            return ruleset->outbounds[i];
    return NULL;
}

struct flow_env *tunnel_outbound_home(struct outbound *outbound)
{
    return tunnel_home(of(outbound)->spec, outbound->via, 0);
}
