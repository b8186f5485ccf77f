#include "daemon/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow/flow.h"
#include "io/random.h"
#include "io/sys.h"
#include "tunnel/far.h"
#include "tunnel/far_listen.h"
#include "tunnel/near.h"

static void before_waiting(void *arg)
{
    struct worker *worker = arg;
    tunnel_env_settle(&worker->tunnels);
    logsink_flush(worker->port);
}

static bool has_room(struct listener *listener)
{
    const struct worker_listener *mine = CONTAINER_OF(listener, struct worker_listener, listener);
    const struct worker *worker = mine->worker;
    if (mine->inbound->far != NULL)
        return true; /* for whom another stranger goes, if need be */
    struct flow_shared *shared = worker->env.shared;
    return flow_shared_n_used(shared) < atomic_load(&shared->max_by_descriptors);
}

static void on_accept(struct listener *listener, int fd, const struct addr *from)
{
    struct worker_listener *mine = CONTAINER_OF(listener, struct worker_listener, listener);
    if (mine->inbound->far != NULL)
        far_accept(&mine->worker->tunnels, mine->inbound, fd, from);
    else
        flow_accept(&mine->worker->env, mine->inbound, fd, from);
}

static void on_shortage(struct listener *listener, enum err err)
{
    struct worker_listener *mine = CONTAINER_OF(listener, struct worker_listener, listener);
    /* Of those who have shown no key one makes room. */
    if (err == ERR_DESCRIPTORS && strangers_evict(&mine->worker->tunnels.strangers))
        return;
    enum refusal why = err == ERR_MEMORY ? REFUSAL_MEMORY : REFUSAL_DESCRIPTORS;
    flow_env_complain(&mine->worker->env, why, mine->inbound->name, NULL); /* it waits */
}

static void free_listener(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct worker_listener, freeing));
}

/* It is closed. */
static void drop_listener(struct worker_listener *mine)
{
    if (mine->listener.is_leaving) {
        ruleset_release(mine->inbound->ruleset);
        atomic_fetch_sub(&mine->worker->env.shared->n_leaving, 1);
    }
    list_remove(&mine->link);
    loop_defer(mine->worker->loop, &mine->freeing, free_listener);
}

/* Those who came in last, by rules that were in force no more. */
static void on_left(struct listener *listener)
{
    struct worker_listener *mine = CONTAINER_OF(listener, struct worker_listener, listener);
    struct worker *worker = mine->worker;
    drop_listener(mine);
    flow_end_exchanges(&worker->env, &worker->runtime->ruleset);
}

static void stop_listeners(struct list *listeners)
{
    while (!list_empty(listeners)) {
        struct worker_listener *mine = CONTAINER_OF(listeners->next, struct worker_listener, link);
        listener_stop(&mine->listener);
        drop_listener(mine);
    }
}

/* When the last flow has ended the sessions of tunnels are, as soon as what it left them is delivered, and say so. */
static void tell_drained(struct worker *worker)
{
    if (!worker->is_draining || !list_empty(&worker->env.live) || worker->on_drained == NULL)
        return;
    if (tunnel_env_end(&worker->tunnels, !timer_is_set(&worker->drained_by))) {
        timer_clear(loop_timers(worker->loop), &worker->drained_by);
        void (*on_drained)(struct worker *) = worker->on_drained;
        worker->on_drained = NULL;
        worker->env.is_over = true;
        on_drained(worker);
    }
}

static void on_tunnels_ended(struct tunnel_env *tunnels)
{
    tell_drained(CONTAINER_OF(tunnels, struct worker, tunnels));
}

static void wake_listeners(struct list *listeners)
{
    for (struct list *at = listeners->next; at != listeners; at = at->next)
        listener_wake(&CONTAINER_OF(at, struct worker_listener, link)->listener);
}

static void on_flow_ended(struct flow_env *env)
{
    struct worker *worker = env->owner;
    wake_listeners(&worker->listeners);
    far_listen_wake_all(&worker->tunnels);
    tell_drained(worker);
}

static void on_drain_over(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, drained_by);
    flow_end_all(&worker->env);
    tell_drained(worker);
}

static void drain(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, orders.drain);
    worker->is_draining = true;
    stop_listeners(&worker->listeners);
    far_listen_end_all(&worker->tunnels);
    near_stop_listening(&worker->tunnels);
    uint64_t drain_s = worker->runtime->config->limits.drain_s, drain_ms = drain_s * 1000;
    uint64_t at_ms = loop_now_ms(worker->loop) + drain_ms;
    tunnel_env_drain(&worker->tunnels, drain_s);
    if (drain_ms == 0 ||
        timer_set(loop_timers(worker->loop), &worker->drained_by, at_ms) != ERR_NONE)
        flow_end_all(&worker->env);
    flow_end_exchanges(&worker->env, NULL); /* of which one may be the last */
    tell_drained(worker);
}

static void end_flows(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, orders.end);
    flow_end_all(&worker->env);
    tunnel_env_cut(&worker->tunnels);
}

static void refresh(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, orders.refresh);
    atomic_store(&worker->orders.is_refreshing, false);
    resolver_refresh(worker->env.resolver);
    near_wake_all(&worker->tunnels);
}

static void stop(struct mail *mail)
{
    loop_stop(CONTAINER_OF(mail, struct worker, orders.stop)->loop);
}

void worker_order_drain(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->orders.drain);
}

void worker_order_end(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->orders.end);
}

void worker_order_refresh(struct worker *worker)
{
    if (!atomic_exchange(&worker->orders.is_refreshing, true))
        mailbox_post(&worker->mailbox, &worker->orders.refresh);
}

static void ping(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, orders.ping);
    worker->on_pinged(worker);
}

void worker_order_ping(struct worker *worker)
{
    worker->orders.ping.deliver = ping;
    mailbox_post(&worker->mailbox, &worker->orders.ping);
}

void worker_order_stop(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->orders.stop);
}

/* A listener that waits to be woken. */
static enum err add_listener(struct worker *worker, struct list *listeners, struct inbound *inbound,
                             struct listensock *socket)
{
    struct worker_listener *mine = calloc(1, sizeof *mine);
    if (mine == NULL)
        return ERR_MEMORY;
    mine->worker = worker;
    mine->inbound = inbound;
    mine->socket = socket;
    mine->listener = (struct listener){.has_room = has_room,
                                       .on_accept = on_accept,
                                       .on_shortage = on_shortage,
                                       .on_left = on_left,
                                       .is_shared = socket->is_shared};
    enum err err = listener_start(&mine->listener, worker->loop, socket->fds[worker->index]);
    if (err != ERR_NONE) {
        free(mine);
        return err;
    }
    socket->fds[worker->index] = -1;
    listener_pause(&mine->listener);
    list_append(listeners, &mine->link);
    return ERR_NONE;
}

static enum err add_new_listeners(struct worker *worker, struct list *listeners,
                                  struct runtime *runtime, struct listening *listening)
{
    enum err err = ERR_NONE;
    for (size_t i = 0; i < listening->n && err == ERR_NONE; i++) {
        const struct listening_on *on = &listening->items[i];
        if (on->is_new)
            err = add_listener(worker, listeners, &runtime->ruleset.inbounds[on->inbound],
                               on->socket);
    }
    return err;
}

/* From now on they accept. */
static void begin_to_listen(struct worker *worker, struct list *listeners)
{
    wake_listeners(listeners);
    list_move_all(&worker->listeners, listeners);
}

/* ---- turning to another reading of the configuration ---- */

static void prepare(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, turning.mail);
    struct worker_turning *turning = &worker->turning;
    const struct config_dns *dns = &turning->runtime->config->dns;
    turning->err = resolver_prepare(worker->env.resolver, dns->servers, dns->n_servers);
    if (turning->err == ERR_NONE)
        turning->err =
            add_new_listeners(worker, &turning->listeners, turning->runtime, turning->listening);
    worker->on_turned(worker);
}

static void forget(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, turning.mail);
    resolver_forget(worker->env.resolver);
    stop_listeners(&worker->turning.listeners);
    worker->on_turned(worker);
}

static struct inbound *inbound_of(struct worker_turning *turning, const struct listensock *socket)
{
    for (size_t i = 0; i < turning->listening->n; i++) {
        const struct listening_on *on = &turning->listening->items[i];
        if (on->socket == socket)
            return &turning->runtime->ruleset.inbounds[on->inbound];
    }
    return NULL;
}

/* Kept ones go by the new rules, the others serve who came before by the old ones. */
static void turn_listeners(struct worker *worker)
{
    for (struct list *at = worker->listeners.next; at != &worker->listeners; at = at->next) {
        struct worker_listener *mine = CONTAINER_OF(at, struct worker_listener, link);
        if (mine->listener.is_leaving)
            continue;
        struct inbound *inbound = inbound_of(&worker->turning, mine->socket);
        if (inbound != NULL) {
            mine->inbound = inbound;
            continue;
        }
        mine->socket = NULL;
        ruleset_hold(mine->inbound->ruleset);
        atomic_fetch_add(&worker->env.shared->n_leaving, 1);
        listener_leave(&mine->listener);
    }
}

static void use_settings(struct worker *worker, const struct runtime *runtime)
{
    flow_env_set_limits(&worker->env, &runtime->limits);
    worker->env.prefer = runtime->prefer;
    logsink_port_turn(worker->port, &runtime->config->log);
}

static void turn(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, turning.mail);
    struct runtime *before = worker->runtime;
    worker->runtime = worker->turning.runtime;
    runtime_hold(worker->runtime);
    resolver_turn(worker->env.resolver);
    use_settings(worker, worker->runtime);
    turn_listeners(worker);
    flow_end_exchanges(&worker->env, &worker->runtime->ruleset);
    near_turn_all(&worker->tunnels, &worker->runtime->ruleset);
    far_turn_all(&worker->tunnels, &worker->runtime->ruleset);
    begin_to_listen(worker, &worker->turning.listeners);
    if (worker->is_draining)
        stop_listeners(&worker->listeners);
    runtime_release(before);
    worker->on_turned(worker);
}

static void order(struct worker *worker, void (*deliver)(struct mail *))
{
    worker->turning.mail.deliver = deliver;
    mailbox_post(&worker->mailbox, &worker->turning.mail);
}

void worker_order_prepare(struct worker *worker, struct runtime *runtime,
                          struct listening *listening)
{
    worker->turning.runtime = runtime;
    worker->turning.listening = listening;
    order(worker, prepare);
}

void worker_order_turn(struct worker *worker)
{
    order(worker, turn);
}

void worker_order_forget(struct worker *worker)
{
    order(worker, forget);
}

enum loop_backend worker_backend(void)
{
    const char *name = getenv("SOCKEYE_BACKEND");
    return name != NULL && strcmp(name, "poll") == 0 ? LOOP_POLL : LOOP_EPOLL;
}

static enum err set_up_env(struct worker *worker)
{
    struct flow_env *env = &worker->env;
    struct runtime *runtime = worker->runtime;
    const struct config_dns *dns = &runtime->config->dns;
    const struct resolver_options options = {.servers = dns->servers, .n_servers = dns->n_servers};
    env->shared = runtime->shared;
    env->loop = worker->loop;
    env->mailbox = &worker->mailbox;
    env->log = logsink_log(worker->port);
    env->limits = runtime->limits;
    env->prefer = runtime->prefer;
    env->on_ended = on_flow_ended;
    env->owner = worker;
    flow_env_init(env);
    tunnel_env_init(&worker->tunnels, runtime->tunnels, worker->index, env, &system_rng);
    worker->tunnels.on_empty = on_tunnels_ended;
    worker->tunnels.in_force = &runtime->ruleset;
    return resolver_new(&env->resolver, worker->loop, &options);
}

static enum err set_up(struct worker *worker, struct listening *listening, struct logsink *sink,
                       enum loop_backend backend)
{
    worker->port = logsink_port_new(sink);
    worker->loop = loop_new(backend);
    if (worker->loop == NULL)
        return sys_err(errno);
    if (worker->port == NULL)
        return ERR_MEMORY;
    timer_init(&worker->drained_by, on_drain_over);
    worker->orders.drain.deliver = drain;
    worker->orders.end.deliver = end_flows;
    worker->orders.refresh.deliver = refresh;
    worker->orders.stop.deliver = stop;
    loop_set_hook(worker->loop, before_waiting, worker);
    enum err err = set_up_env(worker);
    if (err == ERR_NONE)
        err = mailbox_init(&worker->mailbox, worker->loop);
    if (err == ERR_NONE)
        err = add_new_listeners(worker, &worker->listeners, worker->runtime, listening);
    wake_listeners(&worker->listeners);
    return err;
}

enum err worker_new(struct worker **out, struct runtime *runtime, struct listening *listening,
                    size_t index, struct logsink *sink, enum loop_backend backend)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return ERR_MEMORY;
    list_init(&worker->listeners);
    list_init(&worker->turning.listeners);
    runtime_hold(runtime);
    worker->runtime = runtime;
    worker->index = index;
    enum err err = set_up(worker, listening, sink, backend);
    if (err != ERR_NONE) {
        worker_free(worker);
        return err;
    }
    *out = worker;
    return ERR_NONE;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    /* Orders that come too late for the loop still find everything in its place. */
    mailbox_deinit(&worker->mailbox);
    stop_listeners(&worker->listeners);
    stop_listeners(&worker->turning.listeners);
    if (worker->env.loop != NULL) {
        tunnel_env_cut(&worker->tunnels);
        far_free_all(&worker->tunnels);
        resolver_free(worker->env.resolver);
        loop_run_deferred(worker->loop);
        tunnel_env_deinit(&worker->tunnels);
        flow_env_deinit(&worker->env);
    }
    loop_free(worker->loop);
    logsink_port_free(worker->port);
    runtime_release(worker->runtime);
    free(worker);
}
