#include "flow/flow.h"

#include <assert.h>
#include <stdlib.h>

#include "flow/association.h"
#include "flow/ruleset.h"
#include "flow/stages.h"
#include "io/socket.h"
#include "io/sys.h"

static const char *const state_texts[] = {
    [FLOW_HANDSHAKE] = "handshake",   [FLOW_OPENING] = "opening",
    [FLOW_RELAYING] = "relaying",     [FLOW_EXCHANGING] = "exchanging",
    [FLOW_ASSOCIATED] = "associated", [FLOW_LINGERING] = "lingering",
    [FLOW_MOVED] = "moved",           [FLOW_CLOSED] = "closed",
};
static_assert(sizeof state_texts / sizeof state_texts[0] == N_FLOW_STATES, "a state without text");

/* From each state, a bit for each state that may follow. */
static const uint16_t followers[N_FLOW_STATES] = {
    [FLOW_HANDSHAKE] = 1 << FLOW_OPENING | 1 << FLOW_LINGERING | 1 << FLOW_CLOSED,
    [FLOW_OPENING] = 1 << FLOW_RELAYING | 1 << FLOW_EXCHANGING | 1 << FLOW_ASSOCIATED |
                     1 << FLOW_LINGERING | 1 << FLOW_MOVED | 1 << FLOW_CLOSED,
    [FLOW_RELAYING] = 1 << FLOW_CLOSED,
    [FLOW_EXCHANGING] =
        1 << FLOW_OPENING | 1 << FLOW_RELAYING | 1 << FLOW_LINGERING | 1 << FLOW_CLOSED,
    [FLOW_ASSOCIATED] = 1 << FLOW_CLOSED,
    [FLOW_LINGERING] = 1 << FLOW_CLOSED,
};

void flow_set_state(struct flow *flow, enum flow_state state)
{
    assert(followers[flow->state] & 1 << state);
    if (log_wants(flow->env->log, LOG_LEVEL_TRACE)) {
        struct log_line line;
        log_begin(&line, flow->env->log, LOG_LEVEL_TRACE, "state");
        log_str(&line, "in", flow->inbound->name);
        flow_log_from(&line, &flow->from);
        log_str(&line, "was", state_texts[flow->state]);
        log_str(&line, "is", state_texts[state]);
        log_end(&line);
    }
    flow->state = (uint8_t)state;
}

enum flow_end flow_end_of(enum err err)
{
    switch (err) {
    case ERR_NONE:
    case ERR_EOF:
        return FLOW_END_CLOSED;
    case ERR_RESET:
        return FLOW_END_RESET;
    case ERR_REFUSED:
        return FLOW_END_REFUSED;
    case ERR_DENIED:
    case ERR_AUTH:
        return FLOW_END_DENIED;
    case ERR_NET_UNREACH:
    case ERR_HOST_UNREACH:
    case ERR_TTL_EXPIRED:
        return FLOW_END_UNREACHABLE;
    case ERR_LOOKUP:
        return FLOW_END_LOOKUP;
    case ERR_TIMEOUT:
    case ERR_TUNNEL:
        return FLOW_END_TIMEOUT;
    case ERR_LIMIT:
    case ERR_MEMORY:
    case ERR_DESCRIPTORS:
    case ERR_PORTS:
        return FLOW_END_LIMIT;
    default:
        return FLOW_END_ERROR;
    }
}

static void write_log(const struct flow *flow, enum flow_end end)
{
    struct log *log = flow->env->log;
    if (!log->access || !log_wants(log, LOG_LEVEL_INFO))
        return;
    if (flow->has_logged && flow->to == NULL)
        return;
    struct log_line line;
    log_begin(&line, log, LOG_LEVEL_INFO, "flow");
    log_str(&line, "in", flow->inbound->name);
    if (flow->outbound != NULL)
        log_str(&line, "out", flow->outbound->name);
    log_str(&line, "user", flow->user);
    flow_log_from(&line, &flow->from);
    log_str(&line, "to", flow->to);
    if (flow->dialled.family != ADDR_NONE)
        log_addr(&line, "addr", &flow->dialled);
    log_u64(&line, "up", flow->up.n_bytes);
    log_u64(&line, "down", flow->down.n_bytes);
    log_u64(&line, "ms", loop_now_ms(flow->env->loop) - flow->began_ms);
    log_str(&line, "end", flow_end_text(end));
    log_end(&line);
}

/* Who comes: to which inbound, from where, by what rights. */
struct arrival {
    struct inbound *inbound;
    const struct addr *from;
    const struct user_rights *rights; /* NULL: the inbound's alone */
};

#define MAX_LIMITS 2

struct limit {
    struct counted counted;
    uint64_t max;
};

/* What counts by address: `per_client` of the inbound and of its user. Returns how many. */
static size_t limits_of(const struct arrival *arrival, struct limit limits[static MAX_LIMITS])
{
    const struct inbound *inbound = arrival->inbound;
    const struct user_rights *rights = arrival->rights;
    size_t n = 0;
    if (arrival->from->family == ADDR_NONE)
        return 0; /* by a unix socket all clients come from one place */
    if (inbound->max_per_client > 0)
        limits[n++] =
            (struct limit){{.of = inbound->counts, .at = arrival->from}, inbound->max_per_client};
    if (rights != NULL && rights->per_client > 0)
        limits[n++] = (struct limit){
            {.of = inbound->counts, .user = rights->id, .at = arrival->from}, rights->per_client};
    return n;
}

static enum err count_client(struct flow_env *env, const struct arrival *arrival)
{
    struct clients *clients = &env->shared->clients;
    struct limit limits[MAX_LIMITS];
    size_t n = limits_of(arrival, limits);
    for (size_t i = 0; i < n; i++) {
        enum err err = clients_enter(clients, &limits[i].counted, limits[i].max);
        if (err == ERR_NONE)
            continue;
        while (i-- > 0)
            clients_leave(clients, &limits[i].counted);
        return err;
    }
    return ERR_NONE;
}

static void uncount(struct flow_env *env, const struct arrival *arrival)
{
    struct limit limits[MAX_LIMITS];
    size_t n = limits_of(arrival, limits);
    for (size_t i = 0; i < n; i++)
        clients_leave(&env->shared->clients, &limits[i].counted);
    atomic_fetch_sub(&arrival->inbound->counts->n_connections, 1);
    atomic_fetch_sub(&env->shared->n_connections, 1);
}

void flow_uncount(const struct flow *flow)
{
    const struct arrival arrival = {flow->inbound, &flow->carrier, flow->rights};
    uncount(flow->env, &arrival);
}

static void free_flow(struct deferred *deferred)
{
    struct flow *flow = CONTAINER_OF(deferred, struct flow, freeing);
    ruleset_release(flow->inbound->ruleset);
    slab_put(&flow->env->flows, flow);
}

static void add_up(struct counters *counters, const struct flow *flow)
{
    counters->bytes_up += flow->up.n_bytes;
    counters->bytes_down += flow->down.n_bytes;
}

void flow_close(struct flow *flow, enum flow_end end, bool reset)
{
    struct flow_env *env = flow->env;
    opening_cancel(flow);
    login_drop(flow);
    flow_set_state(flow, FLOW_CLOSED);
    write_log(flow, end);
    idle_leave(&flow->wait);
    idle_leave(&flow->settling);
    direction_deinit(&flow->up, env);
    direction_deinit(&flow->down, env);
    endpoint_close(flow->client, reset);
    endpoint_close(flow->target, reset);
    if (flow->exchange != NULL)
        flow->protocol->exchange->deinit(flow);
    association_free(flow->association);
    free(flow->to);
    add_up(&env->counters, flow);
    env->counters.ended[end]++;
    env->counters.flows_now--;
    list_remove(&flow->link);
    flow_uncount(flow);
    loop_defer(env->loop, &flow->freeing, free_flow);
    env->on_ended(env);
}

void flow_end_target(struct flow *flow, enum flow_end end)
{
    endpoint_close(flow->target, false);
    flow->target = NULL;
    if (flow->to == NULL)
        return;
    write_log(flow, end);
    add_up(&flow->env->counters, flow);
    flow->up.n_bytes = flow->down.n_bytes = 0;
    free(flow->to);
    flow->to = NULL;
    flow->outbound = NULL;
    flow->dialled = (struct addr){0};
    flow->began_ms = loop_now_ms(flow->env->loop);
    flow->has_logged = true;
}

void flow_on_client_ready(struct endpoint *ep, unsigned events)
{
    struct flow *flow = ep->owner;
    switch ((enum flow_state)flow->state) {
    case FLOW_HANDSHAKE:
        handshake_on_ready(flow, events);
        break;
    case FLOW_OPENING:
        opening_on_ready(flow, events);
        break;
    case FLOW_RELAYING:
        relaying_on_ready(flow, ep, events);
        break;
    case FLOW_EXCHANGING:
        exchanging_on_ready(flow, ep, events);
        break;
    case FLOW_ASSOCIATED:
        associating_on_ready(flow);
        break;
    case FLOW_LINGERING:
        lingering_on_ready(flow);
        break;
    case FLOW_MOVED:
    case FLOW_CLOSED:
    case N_FLOW_STATES:
        break;
    }
}

/* A client that its rules do not allow has its line like other flows; what a flood or a full
 * house turns away is said once in a while. */
static void log_denied(struct flow_env *env, const struct inbound *inbound, const struct addr *from)
{
    env->counters.refused[REFUSAL_CLIENT]++;
    if (!env->log->access)
        return;
    struct log_line line;
    log_begin(&line, env->log, LOG_LEVEL_INFO, "flow");
    log_str(&line, "in", inbound->name);
    flow_log_from(&line, from);
    log_str(&line, "end", flow_end_text(FLOW_END_DENIED));
    log_end(&line);
}

static bool is_full(_Atomic(uint64_t) *n, uint64_t max)
{
    return atomic_fetch_add(n, 1) >= max && max > 0;
}

/* Counts a connection where there is room for it. */
static bool admit(struct flow_env *env, const struct arrival *arrival)
{
    struct flow_shared *shared = env->shared;
    struct inbound *inbound = arrival->inbound;
    enum refusal why = REFUSAL_CONNECTIONS;
    bool is_over = is_full(&shared->n_connections, env->limits.max_connections);
    is_over |= is_full(&inbound->counts->n_connections, inbound->max_connections);
    if (!is_over) {
        enum err err = count_client(env, arrival);
        is_over = err != ERR_NONE;
        why = err == ERR_MEMORY ? REFUSAL_MEMORY : REFUSAL_PER_CLIENT;
    }
    if (!is_over)
        return true;
    atomic_fetch_sub(&inbound->counts->n_connections, 1);
    atomic_fetch_sub(&shared->n_connections, 1);
    flow_env_refuse(env, why, inbound->name, arrival->from);
    return false;
}

/* Counted if it may come in; else its refusal is counted and said. */
static bool is_welcome(struct flow_env *env, const struct arrival *arrival)
{
    env->counters.accepted++;
    /* Who comes by a unix socket is on this machine. */
    static const struct addr this_machine = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
    const struct inbound *inbound = arrival->inbound;
    bool has_addr = arrival->from->family != ADDR_NONE;
    if (access_client(&inbound->allow, &inbound->deny, has_addr ? arrival->from : &this_machine))
        return admit(env, arrival);
    log_denied(env, inbound, arrival->from);
    return false;
}

static void turn_away(struct flow_env *env, const struct arrival *arrival)
{
    uncount(env, arrival);
    flow_env_refuse(env, REFUSAL_MEMORY, arrival->inbound->name, arrival->from);
}

/* A flow of a client that was counted, who is at `from`; NULL: out of memory. */
static struct flow *make(struct flow_env *env, const struct arrival *arrival,
                         struct endpoint *client, const struct addr *from)
{
    struct flow *flow = slab_get(&env->flows);
    if (flow == NULL) {
        turn_away(env, arrival);
        return NULL;
    }
    ruleset_hold(arrival->inbound->ruleset);
    flow->env = env;
    flow->inbound = arrival->inbound;
    flow->protocol = arrival->inbound->protocol;
    flow->rights = arrival->rights;
    flow->client = client;
    flow->from = *from;
    flow->carrier = *arrival->from;
    flow->began_ms = loop_now_ms(env->loop);
    idle_wait_init(&flow->wait);
    idle_wait_init(&flow->settling);
    list_append(&env->live, &flow->link);
    env->counters.flows_now++;
    env->counters.flows_total++;
    client->owner = flow;
    client->on_ready = flow_on_client_ready;
    return flow;
}

static void begin(struct flow_env *env, const struct arrival *arrival, struct endpoint *client)
{
    struct flow *flow = make(env, arrival, client, arrival->from);
    if (flow == NULL) {
        endpoint_close(client, false);
        return;
    }
    idle_enter(&env->handshaking, &flow->wait);
    endpoint_want(client, LOOP_READ);
    handshake_begin(flow);
}

void flow_accept(struct flow_env *env, struct inbound *inbound, int fd, const struct addr *from)
{
    const struct arrival arrival = {.inbound = inbound, .from = from};
    struct sock *client;
    if (!is_welcome(env, &arrival)) {
        sys_close(fd);
    } else if (sock_new(&client, env->loop, &env->socks, fd, LOOP_READ, NULL, NULL) != ERR_NONE) {
        turn_away(env, &arrival);
        sys_close(fd);
    } else {
        begin(env, &arrival, &client->ep);
    }
}

enum err flow_accept_endpoint(struct flow_env *env, struct inbound *inbound,
                              struct endpoint *client, const struct addr *from,
                              void (*admitted)(struct endpoint *client))
{
    const struct arrival arrival = {.inbound = inbound, .from = from};
    if (!is_welcome(env, &arrival))
        return ERR_DENIED;
    if (admitted != NULL)
        admitted(client);
    begin(env, &arrival, client);
    return ERR_NONE;
}

enum err flow_accept_request(struct flow_env *env, struct inbound *inbound,
                             const struct flow_user *user, struct endpoint *client,
                             const struct addr *carrier, const struct addr *from,
                             const struct request *request)
{
    const struct arrival arrival = {inbound, carrier, user != NULL ? user->rights : NULL};
    env->counters.accepted++;
    if (!admit(env, &arrival))
        return ERR_LIMIT;
    struct flow *flow = make(env, &arrival, client, from);
    if (flow == NULL)
        return ERR_MEMORY;
    flow->user = user != NULL ? user->name : NULL;
    opening_begin(flow, request);
    return ERR_NONE;
}

void flow_end_all(struct flow_env *env)
{
    env->is_over = true;
    while (!list_empty(&env->live))
        flow_close(CONTAINER_OF(env->live.next, struct flow, link), FLOW_END_SHUTDOWN, true);
}

void flow_count_live(const struct flow_env *env, struct counters *counters)
{
    for (struct list *at = env->live.next; at != &env->live; at = at->next)
        add_up(counters, CONTAINER_OF(at, struct flow, link));
    counters->dropped[DROP_FULL] += env->datagrams.n_full;
    counters->dropped[DROP_UNSENT] += env->datagrams.n_unsent;
    counters->dropped[DROP_OVERRUN] += env->datagrams.n_overrun;
}

void flow_on_expired(struct idle_wait *wait)
{
    struct flow *flow = CONTAINER_OF(wait, struct flow, wait);
    switch ((enum flow_state)flow->state) {
    case FLOW_HANDSHAKE:
        flow->env->counters.refused[REFUSAL_HANDSHAKE]++;
        flow_close(flow, FLOW_END_TIMEOUT, false);
        break;
    case FLOW_OPENING:
        opening_on_timeout(flow);
        break;
    case FLOW_EXCHANGING:
        exchanging_on_timeout(flow);
        break;
    case FLOW_RELAYING:
    case FLOW_ASSOCIATED:
        flow_close(flow, FLOW_END_IDLE, true);
        break;
    case FLOW_LINGERING:
        flow_close(flow, flow->end, false);
        break;
    case FLOW_MOVED:
    case FLOW_CLOSED:
    case N_FLOW_STATES:
        break;
    }
}

void flow_on_settled(struct idle_wait *settling)
{
    struct flow *flow = CONTAINER_OF(settling, struct flow, settling);
    endpoint_keep_alive(flow->client, flow->env->limits.keepalive_s);
    if (flow->target != NULL)
        endpoint_keep_alive(flow->target, flow->env->limits.keepalive_s);
}
