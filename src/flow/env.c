#include "flow/env.h"

#include "flow/association.h"
#include "flow/dial.h"
#include "flow/flow.h"
#include "flow/sender.h"
#include "flow/stages.h"
#include "flow/way.h"
#include "io/socket.h"

/* How long an answered client may take to close. */
#define LINGER_MS 1000

/* Most connections are over by then, and need not pay for what only long ones do. */
#define SETTLE_MS 1000

/* How long BIND waits for its peer: as the SOCKS4 protocol has it. */
#define BIND_MS 120000

/* A trouble that goes on is said again after this. */
#define COMPLAIN_EVERY_MS 60000

void flow_shared_init(struct flow_shared *shared)
{
    *shared = (struct flow_shared){0};
    clients_init(&shared->clients);
    counts_init(&shared->counts);
}

void flow_shared_deinit(struct flow_shared *shared)
{
    verifier_free(shared->verifier);
    clients_deinit(&shared->clients);
    counts_deinit(&shared->counts);
}

uint64_t flow_shared_n_used(const struct flow_shared *shared)
{
    uint64_t n_single = atomic_load(&shared->n_carriers) + atomic_load(&shared->n_silent) +
                        atomic_load(&shared->n_listened);
    /* An association has as many sockets again as a connection, which may have two descriptors. */
    return atomic_load(&shared->n_connections) + atomic_load(&shared->n_associations) +
           (n_single + 1) / 2;
}

static uint64_t settle_ms(const struct flow_limits *limits)
{
    return limits->keepalive_s == 0 ? 0 : SETTLE_MS;
}

void flow_env_init(struct flow_env *env)
{
    const struct flow_limits *limits = &env->limits;
    struct loop *loop = env->loop;
    pipe_pool_init(&env->pipes);
    slab_init(&env->flows, sizeof(struct flow));
    slab_init(&env->socks, sizeof(struct sock));
    slab_init(&env->openings, sizeof(struct flow_opening));
    slab_init(&env->dials, dial_bytes());
    slab_init(&env->associations, sizeof(struct association));
    slab_init(&env->ways, sizeof(struct way));
    slab_init(&env->senders, sender_bytes());
    datagram_pool_init(&env->datagrams, loop, &env->shared->n_held_bytes,
                       &env->limits.max_held_bytes);
    list_init(&env->live);
    list_init(&env->associated);
    idle_queue_init(&env->handshaking, loop, limits->handshake_ms, flow_on_expired);
    idle_queue_init(&env->connecting, loop, limits->connect_ms, flow_on_expired);
    idle_queue_init(&env->binding, loop, BIND_MS, flow_on_expired);
    idle_queue_init(&env->relaying, loop, limits->idle_ms, flow_on_expired);
    idle_queue_init(&env->half_closed, loop, limits->half_closed_ms, flow_on_expired);
    idle_queue_init(&env->penalty, loop, limits->penalty_ms, login_on_penalty_over);
    idle_queue_init(&env->lingering, loop, LINGER_MS, flow_on_expired);
    idle_queue_init(&env->settling, loop, settle_ms(limits), flow_on_settled);
    idle_queue_init(&env->associating, loop, limits->udp_idle_ms, flow_on_expired);
    idle_queue_init(&env->ways_opening, loop, limits->connect_ms, way_on_expired);
    idle_queue_be_lazy(&env->associating);
    idle_queue_be_lazy(&env->relaying);
    idle_queue_be_lazy(&env->half_closed);
    idle_queue_be_lazy(&env->settling);
}

void flow_env_set_limits(struct flow_env *env, const struct flow_limits *limits)
{
    env->limits = *limits;
    idle_queue_set_limit(&env->handshaking, limits->handshake_ms);
    idle_queue_set_limit(&env->connecting, limits->connect_ms);
    idle_queue_set_limit(&env->relaying, limits->idle_ms);
    idle_queue_set_limit(&env->half_closed, limits->half_closed_ms);
    idle_queue_set_limit(&env->penalty, limits->penalty_ms);
    idle_queue_set_limit(&env->associating, limits->udp_idle_ms);
    idle_queue_set_limit(&env->ways_opening, limits->connect_ms);
    idle_queue_set_limit(&env->settling, settle_ms(limits));
}

void flow_env_deinit(struct flow_env *env)
{
    idle_queue_deinit(&env->handshaking);
    idle_queue_deinit(&env->connecting);
    idle_queue_deinit(&env->binding);
    idle_queue_deinit(&env->relaying);
    idle_queue_deinit(&env->half_closed);
    idle_queue_deinit(&env->penalty);
    idle_queue_deinit(&env->lingering);
    idle_queue_deinit(&env->settling);
    idle_queue_deinit(&env->associating);
    idle_queue_deinit(&env->ways_opening);
    slab_deinit(&env->flows);
    slab_deinit(&env->socks);
    slab_deinit(&env->openings);
    slab_deinit(&env->dials);
    slab_deinit(&env->associations);
    slab_deinit(&env->ways);
    slab_deinit(&env->senders);
    datagram_pool_deinit(&env->datagrams);
    pipe_pool_deinit(&env->pipes);
}

void flow_env_refuse(struct flow_env *env, enum refusal refusal, const char *inbound,
                     const struct addr *from)
{
    env->counters.refused[refusal]++;
    flow_env_complain(env, refusal, inbound, from);
}

void flow_log_from(struct log_line *line, const struct addr *from)
{
    if (from != NULL && from->family == ADDR_NONE)
        log_str(line, "from", "unix");
    else
        log_addr(line, "from", from);
}

void flow_env_complain(struct flow_env *env, enum refusal refusal, const char *inbound,
                       const struct addr *from)
{
    struct flow_complaint *complaint = &env->complaints[refusal];
    uint64_t now_ms = loop_now_ms(env->loop);
    complaint->n_since++;
    if (complaint->was_said && now_ms - complaint->said_at_ms < COMPLAIN_EVERY_MS)
        return;
    struct log_line line;
    log_begin(&line, env->log, LOG_LEVEL_WARN, "refused");
    log_str(&line, "in", inbound);
    flow_log_from(&line, from);
    log_str(&line, "why", refusal_text(refusal));
    log_u64(&line, "n", complaint->n_since);
    log_end(&line);
    *complaint = (struct flow_complaint){.said_at_ms = now_ms, .was_said = true};
}
