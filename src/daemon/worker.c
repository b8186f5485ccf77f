#include "daemon/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "flow/flow.h"
#include "io/sys.h"

static void before_waiting(void *arg)
{
    struct worker *worker = arg;
    logsink_flush(worker->port);
}

static bool has_room(struct listener *listener)
{
    const struct worker *worker = CONTAINER_OF(listener, struct worker_listener, listener)->worker;
    struct flow_shared *shared = worker->env.shared;
    /* An association has as many sockets again as a connection. */
    uint64_t n = atomic_load(&shared->n_connections) + atomic_load(&shared->n_associations);
    return n < atomic_load(&shared->max_by_descriptors);
}

static void on_accept(struct listener *listener, int fd, const struct addr *from)
{
    struct worker_listener *mine = CONTAINER_OF(listener, struct worker_listener, listener);
    flow_accept(&mine->worker->env, mine->inbound, fd, from);
}

static void on_shortage(struct listener *listener, enum err err)
{
    struct worker_listener *mine = CONTAINER_OF(listener, struct worker_listener, listener);
    enum refusal why = err == ERR_MEMORY ? REFUSAL_MEMORY : REFUSAL_DESCRIPTORS;
    flow_env_complain(&mine->worker->env, why, mine->inbound->name, NULL); /* it waits */
}

static void tell_drained(struct worker *worker)
{
    if (worker->is_draining && list_empty(&worker->env.live) && worker->on_drained != NULL) {
        timer_clear(loop_timers(worker->loop), &worker->drained_by);
        void (*on_drained)(struct worker *) = worker->on_drained;
        worker->on_drained = NULL;
        on_drained(worker);
    }
}

static void on_flow_ended(struct flow_env *env)
{
    struct worker *worker = env->owner;
    for (size_t i = 0; i < worker->n_listeners; i++)
        listener_wake(&worker->listeners[i].listener);
    tell_drained(worker);
}

static void on_drain_over(struct timer *timer)
{
    flow_end_all(&CONTAINER_OF(timer, struct worker, drained_by)->env);
}

static void drain(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, orders.drain);
    worker->is_draining = true;
    for (size_t i = 0; i < worker->n_listeners; i++)
        listener_stop(&worker->listeners[i].listener);
    uint64_t drain_ms = worker->runtime->config->limits.drain_s * 1000;
    uint64_t at_ms = loop_now_ms(worker->loop) + drain_ms;
    if (drain_ms == 0 ||
        timer_set(loop_timers(worker->loop), &worker->drained_by, at_ms) != ERR_NONE)
        flow_end_all(&worker->env);
    tell_drained(worker);
}

static void end_flows(struct mail *mail)
{
    flow_end_all(&CONTAINER_OF(mail, struct worker, orders.end)->env);
}

static void refresh(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, orders.refresh);
    atomic_store(&worker->orders.is_refreshing, false);
    resolver_refresh(worker->env.resolver);
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

void worker_order_stop(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->orders.stop);
}

static enum err start_listeners(struct worker *worker, struct listening *listening)
{
    worker->listeners = calloc(listening->n, sizeof *worker->listeners);
    if (worker->listeners == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < listening->n; i++) {
        struct worker_listener *mine = &worker->listeners[i];
        int *fd = &listening->items[i].fds[worker->index];
        mine->worker = worker;
        mine->inbound = &worker->runtime->ruleset.inbounds[listening->items[i].inbound];
        mine->listener = (struct listener){
            .has_room = has_room, .on_accept = on_accept, .on_shortage = on_shortage};
        enum err err = listener_start(&mine->listener, worker->loop, *fd);
        if (err != ERR_NONE)
            return err;
        *fd = -1;
        worker->n_listeners++;
    }
    return ERR_NONE;
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
        err = start_listeners(worker, listening);
    return err;
}

enum err worker_new(struct worker **out, struct runtime *runtime, struct listening *listening,
                    size_t index, struct logsink *sink, enum loop_backend backend)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return ERR_MEMORY;
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
    for (size_t i = 0; i < worker->n_listeners; i++)
        listener_stop(&worker->listeners[i].listener);
    free(worker->listeners);
    if (worker->env.loop != NULL) {
        resolver_free(worker->env.resolver);
        loop_run_deferred(worker->loop);
        flow_env_deinit(&worker->env);
    }
    loop_free(worker->loop);
    logsink_port_free(worker->port);
    runtime_release(worker->runtime);
    free(worker);
}
