#include "tunnel/strangers.h"

#include <errno.h>
#include <stdlib.h>

#include "io/sys.h"

/* What one silent connection throws away before it rests, and for how long: who sends without end has the window closed
 * most of the time, and costs little. Who sends less than that is read, and closed behind its fin, as soon as at the gate. */
#define DISCARD_BYTES ((size_t)64 * 1024)
#define REST_MS 100

/* Of the descriptors that there are for connections, one in so many may be strangers'. */
#define SHARE 2

/* So many come in whoever has the descriptors: a link that is lost may have been of the very session whose streams have them all, and only
 * by another is it heard which of those are over. */
#define AT_LEAST 4

static void on_rested(struct idle_wait *rest)
{
    endpoint_want(CONTAINER_OF(rest, struct stranger, rest)->endpoint, LOOP_READ);
}

void strangers_init(struct strangers *strangers, struct flow_env *flow, struct rng *rng,
                    size_t n_workers)
{
    *strangers = (struct strangers){.flow = flow, .rng = rng, .share = SHARE * n_workers};
    slab_init(&strangers->slab, sizeof(struct stranger));
    idle_queue_init(&strangers->resting, flow->loop, REST_MS, on_rested);
}

void strangers_close_all(struct strangers *strangers)
{
    while (strangers->n > 0 && strangers_evict(strangers))
        continue;
}

void strangers_deinit(struct strangers *strangers)
{
    idle_queue_deinit(&strangers->resting);
    slab_deinit(&strangers->slab);
    free(strangers->all);
}

static void free_stranger(struct deferred *freeing)
{
    struct stranger *stranger = CONTAINER_OF(freeing, struct stranger, freeing);
    slab_put(&stranger->among->slab, stranger);
}

void stranger_leave(struct stranger *stranger)
{
    struct strangers *among = stranger->among;
    struct stranger *last = among->all[--among->n];
    among->flow->counters.strangers_now--;
    among->all[stranger->place] = last;
    last->place = stranger->place;
    idle_leave(&stranger->rest);
    if (stranger->endpoint != NULL)
        atomic_fetch_sub(&among->flow->shared->n_silent, 1);
    loop_defer(among->flow->loop, &stranger->freeing, free_stranger);
}

/* ---- room ---- */

/* Whether one more would take from what is kept for others. */
static bool are_many(const struct strangers *strangers)
{
    const struct flow_shared *shared = strangers->flow->shared;
    uint64_t max = atomic_load(&shared->max_by_descriptors);
    bool are_beyond = flow_shared_n_used(shared) >= max || strangers->n >= max / strangers->share;
    return are_beyond && strangers->n >= AT_LEAST;
}

static void go(struct stranger *stranger)
{
    if (stranger->endpoint == NULL) {
        stranger->on_evicted(stranger);
        return;
    }
    endpoint_close(stranger->endpoint, false);
    stranger_leave(stranger);
}

bool strangers_evict(struct strangers *strangers)
{
    if (strangers->n == 0)
        return false;
    strangers->flow->counters.strangers_evicted++;
    go(strangers->all[rng_below(strangers->rng, strangers->n)]);
    return true;
}

static enum err make_place(struct strangers *strangers)
{
    if (strangers->n < strangers->cap)
        return ERR_NONE;
    size_t cap = strangers->cap == 0 ? 64 : 2 * strangers->cap;
    struct stranger **all = realloc(strangers->all, cap * sizeof(struct stranger *));
    if (all == NULL)
        return ERR_MEMORY;
    strangers->all = all;
    strangers->cap = cap;
    return ERR_NONE;
}

struct stranger *strangers_admit(struct strangers *strangers, void (*on_evicted)(struct stranger *),
                                 void *owner)
{
    if (are_many(strangers))
        (void)strangers_evict(strangers);
    struct stranger *stranger = slab_get(&strangers->slab);
    if (stranger == NULL || make_place(strangers) != ERR_NONE) {
        slab_put(&strangers->slab, stranger);
        return NULL;
    }
    stranger->among = strangers;
    stranger->on_evicted = on_evicted;
    stranger->owner = owner;
    stranger->place = strangers->n;
    idle_wait_init(&stranger->rest);
    strangers->all[strangers->n++] = stranger;
    strangers->flow->counters.strangers_now++;
    return stranger;
}

/* ---- silence ---- */

/* Throws away what has come: of TCP the kernel does so without showing it. */
static enum err discard(struct stranger *stranger, size_t *n)
{
    struct endpoint *ep = stranger->endpoint;
    ssize_t got = sys_recv(ep->fd, stranger->among->flow->scratch, FLOW_READ_BYTES, MSG_TRUNC);
    if (got == 0)
        return ERR_EOF;
    enum err err = got < 0 ? sys_err(errno) : ERR_NONE;
    if (err == ERR_AGAIN)
        endpoint_used_up(ep, LOOP_READ);
    *n = got < 0 ? 0 : (size_t)got;
    return err;
}

static void on_silent_ready(struct endpoint *ep, unsigned events)
{
    struct stranger *stranger = ep->owner;
    size_t n = 0;
    enum err err = discard(stranger, &n);
    stranger->n_discarded += n;
    bool is_broken = events & LOOP_ERROR && endpoint_is_broken(ep);
    if ((err != ERR_NONE && err != ERR_AGAIN) || is_broken) {
        go(stranger);
    } else if (stranger->n_discarded >= DISCARD_BYTES) {
        stranger->n_discarded = 0;
        endpoint_want(ep, 0);
        idle_enter(&stranger->among->resting, &stranger->rest);
    }
}

void stranger_silence(struct stranger *stranger, struct endpoint *endpoint)
{
    stranger->among->flow->counters.strangers_silenced++;
    atomic_fetch_add(&stranger->among->flow->shared->n_silent, 1);
    stranger->endpoint = endpoint;
    endpoint->owner = stranger;
    endpoint->on_ready = on_silent_ready;
    endpoint_keep_alive(endpoint, 0); /* it may have been a session's */
    endpoint_want(endpoint, LOOP_READ);
}
