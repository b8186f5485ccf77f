#include "flow/moving.h"

#include <stdlib.h>

#include "flow/ruleset.h"
#include "flow/stages.h"
#include "io/mailbox.h"
#include "io/socket.h"
#include "io/sys.h"

struct moving {
    struct mail mail;
    struct flow_env *to;
    struct flow flow; /* as it was; its lists and waits say nothing */
    int fd;
    struct request request;
};

bool moving_can(const struct flow *flow)
{
    return flow->client->fd >= 0;
}

/* There is no memory for it here. */
static void turn_away(struct moving *moving)
{
    struct flow *flow = &moving->flow;
    struct flow_env *env = moving->to;
    direction_deinit(&flow->up, env);
    direction_deinit(&flow->down, env);
    if (flow->exchange != NULL)
        flow->protocol->exchange->deinit(flow);
    free(flow->to);
    env->counters.flows_now--;
    flow_uncount(flow);
    flow_env_refuse(env, REFUSAL_MEMORY, flow->inbound->name, &flow->from);
    ruleset_release(flow->inbound->ruleset);
    sys_close(moving->fd);
}

/* It is a flow of this worker's now. NULL: out of memory. */
static struct flow *settle_in(struct moving *moving)
{
    struct flow_env *env = moving->to;
    struct flow *flow = slab_get(&env->flows);
    struct sock *client;
    if (flow == NULL)
        return NULL;
    if (sock_new(&client, env->loop, &env->socks, moving->fd, 0, flow_on_client_ready, flow) !=
        ERR_NONE) {
        slab_put(&env->flows, flow);
        return NULL;
    }
    *flow = moving->flow;
    flow->client = &client->ep;
    idle_wait_init(&flow->wait);
    idle_wait_init(&flow->settling);
    list_append(&env->live, &flow->link);
    return flow;
}

static void arrive(struct mail *mail)
{
    struct moving *moving = CONTAINER_OF(mail, struct moving, mail);
    struct flow_env *env = moving->to;
    moving->flow.env = env;
    env->counters.flows_now++;
    struct flow *flow = settle_in(moving);
    if (flow == NULL) {
        turn_away(moving);
    } else if (env->is_over) {
        flow_close(flow, FLOW_END_SHUTDOWN, true);
    } else {
        /* Those that were here when the rules changed were told then. */
        flow->is_last |= env->in_force_is_known && flow->inbound->ruleset != env->in_force;
        opening_go_on(flow, &moving->request);
    }
    free(moving);
}

static void free_moved(struct deferred *deferred)
{
    struct flow *flow = CONTAINER_OF(deferred, struct flow, freeing);
    slab_put(&flow->env->flows, flow);
}

enum err moving_begin(struct flow *flow, struct flow_env *to)
{
    struct flow_env *env = flow->env;
    struct moving *moving = malloc(sizeof *moving);
    if (moving == NULL)
        return ERR_MEMORY;
    moving->mail.deliver = arrive;
    moving->to = to;
    moving->request = (struct request){
        .command = (enum request_command)flow->command,
        .target = flow->opening->target,
        .is_configured = flow->opening->is_configured,
    };
    opening_drop(flow);
    moving->fd = sock_release(flow->client);
    flow->client = NULL;
    idle_leave(&flow->wait);
    idle_leave(&flow->settling);
    list_remove(&flow->link);
    moving->flow = *flow;
    flow_set_state(flow, FLOW_MOVED);
    env->counters.flows_now--;
    loop_defer(env->loop, &flow->freeing, free_moved);
    mailbox_post(to->mailbox, &moving->mail);
    env->on_ended(env);
    return ERR_NONE;
}
