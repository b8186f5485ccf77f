#include "tunnel/env.h"

#include "io/sys.h"
#include "tunnel/carrier.h"
#include "tunnel/datagrams.h"
#include "tunnel/host.h"
#include "tunnel/near.h"
#include "tunnel/stream.h"
#include "tunnel/tunnels.h"

/* The clocks that tell of sleep and of the date are read so often; whoever asks more often is told what they said then. */
#define CLOCKS_US 1000

/* A clock that stands while the machine sleeps and one that does not differ by so much more: it has slept. */
#define SLEEP_MS 2000

static int64_t boot_ahead_ms(const struct peer_time *now)
{
    return (int64_t)now->boot_ms - (int64_t)(now->now_us / 1000);
}

void tunnel_env_init(struct tunnel_env *env, struct tunnels *tunnels, size_t index,
                     struct flow_env *flow, struct rng *rng)
{
    *env = (struct tunnel_env){
        .flow = flow, .rng = rng, .tunnels = tunnels, .index = index, .turn = UINT64_MAX};
    struct peer_time now = tunnel_now(env);
    env->boot_ahead_ms = boot_ahead_ms(&now);
    strangers_init(&env->strangers, flow, rng, tunnels->n_workers);
    pool_init(&env->pool, flow);
    slab_init(&env->streams, sizeof(struct tunnel_stream));
    slab_init(&env->datagrams, sizeof(struct tunnel_datagrams));
    slab_init(&env->carriers, sizeof(struct carrier));
    list_init(&env->touched);
    list_init(&env->hosts);
    list_init(&env->fars);
    list_init(&env->resting);
    flow->tunnels = env;
}

void tunnel_env_deinit(struct tunnel_env *env)
{
    strangers_deinit(&env->strangers);
    slab_deinit(&env->streams);
    slab_deinit(&env->datagrams);
    slab_deinit(&env->carriers);
    pool_deinit(&env->pool);
    env->flow->tunnels = NULL;
}

void tunnel_env_drain(struct tunnel_env *env, uint64_t seconds)
{
    env->is_draining = true;
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next)
        host_drain(CONTAINER_OF(at, struct host, link), seconds);
}

bool tunnel_env_end(struct tunnel_env *env, bool is_now)
{
    env->ends_now |= is_now;
    env->awaits_riders = false;
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        env->awaits_riders |= host->n_riders > 0;
        if (is_now && host->n_riders == 0)
            host_end(host, 0);
        else
            host_leave(host);
    }
    return list_empty(&env->hosts);
}

void tunnel_env_cut(struct tunnel_env *env)
{
    while (!list_empty(&env->hosts)) {
        struct host *host = CONTAINER_OF(env->hosts.next, struct host, link);
        host->ops->on_ended(host, "the program ends");
    }
}

struct peer_time tunnel_now(struct tunnel_env *env)
{
    const struct loop *loop = env->flow->loop;
    if (env->turn != loop_n_turns(loop)) {
        env->turn = loop_n_turns(loop);
        env->now.now_us = loop_now_us(loop) - loop_stopped_us(loop);
        if (loop_now_us(loop) - env->clocks_us >= CLOCKS_US) {
            env->clocks_us = loop_now_us(loop);
            env->now.boot_ms = sys_boot_ms();
            env->now.wall_ms = sys_wall_ms();
        }
    }
    return env->now;
}

/* Whoever has slept, or was stopped, may be elsewhere, and what was under way has been given up by others, or was forgotten without a word. */
static void notice_sleep(struct tunnel_env *env, const struct peer_time *now)
{
    int64_t ahead_ms = boot_ahead_ms(now);
    bool has_slept = ahead_ms - env->boot_ahead_ms > SLEEP_MS;
    env->boot_ahead_ms = ahead_ms;
    if (has_slept)
        near_renew_all(env);
}

void tunnel_env_settle(struct tunnel_env *env)
{
    if (env->owes_listening) {
        env->owes_listening = false;
        near_turn_all(env, env->in_force);
    }
    if (list_empty(&env->touched) && list_empty(&env->hosts))
        return;
    struct peer_time now = tunnel_now(env);
    notice_sleep(env, &now); /* each turn: stops that are short do not add up */
    while (!list_empty(&env->touched)) {
        struct tended *tended = CONTAINER_OF(env->touched.next, struct tended, link);
        list_remove(&tended->link);
        tended->settle(tended, &now);
    }
}

void tended_init(struct tended *tended, struct tunnel_env *env,
                 void (*settle)(struct tended *, const struct peer_time *now))
{
    *tended = (struct tended){.env = env, .settle = settle};
    list_init(&tended->link);
}

void tended_touch(struct tended *tended)
{
    if (list_empty(&tended->link))
        list_append(&tended->env->touched, &tended->link);
}

void tended_forget(struct tended *tended)
{
    list_remove(&tended->link);
}
