#include "io/loop.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "io/loop_backend.h"
#include "io/sys.h"

/* How long a loop rests that cannot wait for events. */
#define SHORTAGE_PAUSE_MS 10

/* Where memory has run out, a worker that is not busy can still end whoever is silent for too long. */
#define TIMERS_RESERVED 32

/* Who waits, and goes on so much later than it was to, was stopped, or its machine was. */
#define STOPPED_US 500000

/* Said whether it is wanted or not. */
#define ALWAYS_TOLD LOOP_ERROR

static_assert(LOOP_NAP_US < 1000, "a nap is over before any timer that is not due");

static void read_clock(struct loop *loop)
{
    loop->now_us = sys_monotonic_us();
    loop->now_ms = loop->now_us / 1000;
}

struct loop *loop_new(enum loop_backend backend)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->ops = backend == LOOP_EPOLL ? &loop_epoll_ops : &loop_poll_ops;
    loop->epoll_fd = -1;
    list_init(&loop->running);
    list_init(&loop->napping);
    list_init(&loop->dying);
    timer_heap_init(&loop->timers);
    read_clock(loop);
    if (timer_heap_reserve(&loop->timers, TIMERS_RESERVED) != ERR_NONE ||
        loop->ops->init(loop) != ERR_NONE) {
        timer_heap_deinit(&loop->timers);
        free(loop);
        return NULL;
    }
    return loop;
}

void loop_run_deferred(struct loop *loop)
{
    while (!list_empty(&loop->dying)) {
        struct deferred *deferred = CONTAINER_OF(loop->dying.next, struct deferred, link);
        list_remove(&deferred->link);
        deferred->run(deferred);
    }
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_run_deferred(loop);
    loop->ops->deinit(loop);
    timer_heap_deinit(&loop->timers);
    free(loop->slots);
    free(loop);
}

/* Room for a descriptor among the slots; the backend's arrays follow by themselves. */
static enum err make_room(struct loop *loop, int fd)
{
    size_t needed = (size_t)fd + 1;
    if (needed <= loop->n_slots)
        return ERR_NONE;
    size_t n = loop->n_slots == 0 ? 64 : loop->n_slots;
    while (n < needed)
        n *= 2;
    struct watch **slots = realloc(loop->slots, n * sizeof *slots);
    if (slots == NULL)
        return ERR_MEMORY;
    for (size_t i = loop->n_slots; i < n; i++)
        slots[i] = NULL;
    loop->slots = slots;
    loop->n_slots = n;
    return ERR_NONE;
}

enum err loop_add(struct loop *loop, struct watch *watch, int fd, unsigned want,
                  void (*on_event)(struct watch *, unsigned events))
{
    enum err err = make_room(loop, fd);
    if (err != ERR_NONE)
        return err;
    assert(loop->slots[fd] == NULL);
    *watch = (struct watch){.loop = loop, .fd = fd, .want = (uint8_t)want, .on_event = on_event};
    list_init(&watch->running);
    watch->generation = ++loop->generation;
    loop->slots[fd] = watch;
    err = loop->ops->arm(loop, watch);
    if (err != ERR_NONE) {
        loop->slots[fd] = NULL;
        watch->loop = NULL;
        return err;
    }
    watch->want &= (uint8_t)~LOOP_SHARED;
    loop->n_watches++;
    return ERR_NONE;
}

void loop_add_source(struct loop *loop, struct watch *watch, unsigned want,
                     void (*on_event)(struct watch *, unsigned events))
{
    *watch = (struct watch){.loop = loop, .fd = -1, .want = (uint8_t)want, .on_event = on_event};
    list_init(&watch->running);
    loop->n_watches++;
}

static void end_nap(struct watch *watch)
{
    list_remove(&watch->running);
    watch->is_napping = false;
    watch->ready |= LOOP_READ;
}

/* Keeps the rule: among the running ones exactly while something wanted is ready. */
static void place(struct watch *watch)
{
    bool runs = (watch->ready & (watch->want | ALWAYS_TOLD)) != 0;
    if (watch->is_napping && runs)
        end_nap(watch);
    if (watch->is_napping)
        return;
    if (!runs)
        list_remove(&watch->running);
    else if (list_empty(&watch->running))
        list_append(&watch->loop->running, &watch->running);
}

/* The system is told what is awaited, if it does not know. */
static void arm(struct watch *watch)
{
    if (watch->fd >= 0 && (loop_awaits(watch) & ~(unsigned)watch->armed) != 0 &&
        watch->loop->ops->arm(watch->loop, watch) != ERR_NONE) {
        watch->is_lost = true;
        watch->ready |= LOOP_ERROR;
    }
}

void loop_want(struct watch *watch, unsigned want)
{
    if (watch->loop == NULL || watch->want == want)
        return;
    watch->want = (uint8_t)want;
    arm(watch);
    place(watch);
}

void loop_used_up(struct watch *watch, unsigned events)
{
    watch->ready &= (uint8_t)~events;
    if (watch->loop == NULL)
        return;
    arm(watch); /* it may have napped */
    place(watch);
}

/* From one nap to the next the system is told nothing. */
void loop_nap(struct watch *watch)
{
    struct loop *loop = watch->loop;
    watch->ready &= (uint8_t)~LOOP_READ;
    if (loop == NULL || watch->is_napping)
        return;
    watch->is_napping = true;
    if (watch->armed & LOOP_READ) {
        watch->armed &= (uint8_t)~LOOP_READ;
        if (loop->ops->arm(loop, watch) != ERR_NONE)
            watch->armed |= LOOP_READ; /* it is woken as before */
    }
    if (list_empty(&loop->napping))
        loop->nap_ends_us = loop->now_us + LOOP_NAP_US;
    list_remove(&watch->running);
    list_append(&loop->napping, &watch->running);
    place(watch);
}

void loop_remove(struct watch *watch)
{
    struct loop *loop = watch->loop;
    if (loop == NULL)
        return;
    if (watch->fd >= 0) {
        loop->ops->remove(loop, watch);
        loop->slots[watch->fd] = NULL;
    }
    loop->n_watches--;
    list_remove(&watch->running);
    watch->is_napping = false;
    watch->loop = NULL;
}

void loop_release(struct watch *watch)
{
    watch->armed |= LOOP_SHARED; /* it is taken out by hand */
    loop_remove(watch);
}

struct watch *loop_find(struct loop *loop, int fd, uint32_t generation)
{
    struct watch *watch = loop->slots[fd];
    return watch != NULL && watch->generation == generation ? watch : NULL;
}

void loop_report(struct watch *watch, unsigned events)
{
    watch->ready |= (uint8_t)events;
    if (watch->loop != NULL)
        place(watch);
}

void loop_defer(struct loop *loop, struct deferred *deferred, void (*run)(struct deferred *))
{
    deferred->run = run;
    list_append(&loop->dying, &deferred->link);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

uint64_t loop_stopped_us(const struct loop *loop)
{
    return loop->stopped_us;
}

struct timer_heap *loop_timers(struct loop *loop)
{
    return &loop->timers;
}

void loop_set_hook(struct loop *loop, void (*hook)(void *arg), void *arg)
{
    loop->hook = hook;
    loop->hook_arg = arg;
}

/* Runs each watch that was running when the turn began, once: none can keep the others waiting. */
static void run_watches(struct loop *loop)
{
    struct list turn;
    list_init(&turn);
    list_move_all(&turn, &loop->running);
    while (!list_empty(&turn)) {
        struct watch *watch = CONTAINER_OF(turn.next, struct watch, running);
        list_remove(&watch->running);
        unsigned events = watch->ready & (watch->want | ALWAYS_TOLD | LOOP_HANGUP | LOOP_URGENT);
        watch->ready &= (uint8_t)~LOOP_ERROR;
        watch->on_event(watch, events);
        if (watch->loop != NULL)
            place(watch);
    }
}

static void end_naps(struct loop *loop)
{
    while (!list_empty(&loop->napping) && loop->now_us >= loop->nap_ends_us) {
        struct watch *watch = CONTAINER_OF(loop->napping.next, struct watch, running);
        end_nap(watch);
        place(watch);
    }
}

/* Reading the clock once more would make a timer no later than the turn has taken. -1: none is set. */
static int timer_wait_ms(const struct loop *loop)
{
    uint64_t next = timer_heap_next(&loop->timers);
    if (next == UINT64_MAX)
        return -1;
    uint64_t wait = next <= loop->now_ms ? 0 : next - loop->now_ms;
    return wait > INT_MAX ? INT_MAX : (int)wait;
}

/* -1: as long as it takes. */
static int64_t wait_us(const struct loop *loop, int max_wait_ms)
{
    if (!list_empty(&loop->running) || !list_empty(&loop->dying))
        return 0;
    int wait_ms = timer_wait_ms(loop);
    if (wait_ms < 0 || (max_wait_ms >= 0 && wait_ms > max_wait_ms))
        wait_ms = max_wait_ms;
    if (list_empty(&loop->napping) || wait_ms == 0)
        return wait_ms < 0 ? -1 : (int64_t)wait_ms * 1000;
    return loop->nap_ends_us <= loop->now_us ? 0 : (int64_t)(loop->nap_ends_us - loop->now_us);
}

static void note_stop(struct loop *loop, uint64_t due_us)
{
    if (loop->now_us > due_us && loop->now_us - due_us > STOPPED_US)
        loop->stopped_us += loop->now_us - due_us;
}

bool loop_turn(struct loop *loop, int max_wait_ms)
{
    if (loop->hook != NULL)
        loop->hook(loop->hook_arg);
    int64_t wait = wait_us(loop, max_wait_ms);
    /* By another look at the clock: what the turn before has taken is no stop. */
    uint64_t due_us = wait <= 0 ? UINT64_MAX : sys_monotonic_us() + (uint64_t)wait;
    bool ok = loop->ops->wait(loop, wait);
    loop->n_turns++;
    read_clock(loop);
    note_stop(loop, due_us);
    end_naps(loop);
    run_watches(loop);
    timer_heap_fire(&loop->timers, loop->now_ms);
    loop_run_deferred(loop);
    return ok;
}

/* Nobody cancels a thread here. Where that is said so, and that it would be at any time, glibc's calls that could be cancelled do not
 * announce themselves, which takes two locked operations for each. */
static void be_uncancellable(void)
{
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    (void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
}

void loop_run(struct loop *loop)
{
    be_uncancellable();
    while (!loop->is_stopping) {
        /* It fails for want of memory only, which others may give back. */
        if (!loop_turn(loop, -1))
            sys_pause(SHORTAGE_PAUSE_MS);
    }
    loop->is_stopping = false;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
}

size_t loop_n_watches(const struct loop *loop)
{
    return loop->n_watches;
}

uint64_t loop_n_turns(const struct loop *loop)
{
    return loop->n_turns;
}
