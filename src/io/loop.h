/*
 * The event loop of one worker.
 *
 * Readiness is remembered. A watch has `want` (what its owner waits for) and `ready` (what the
 * system has said and nobody has used up). One rule holds everything together:
 *
 *     a watch whose (want & ready) is not empty is run, again and again, once a turn
 *
 * so a handler may stop in the middle (its budget is spent) and goes on next turn without asking
 * for it; and whoever meets EAGAIN says so with loop_used_up(), which is what arms it again.
 * The epoll backend registers edge-triggered, once, and modifies only when something is wanted for
 * the first time: an ordinary connection costs one epoll_ctl. The poll backend asks for
 * want & ~ready. Both give the same behaviour; kqueue would too.
 *
 * Being woken has a price, which is that of many datagrams. So a watch may nap: for LOOP_NAP_US the system need not wake us for
 * what comes, and then its owner looks at all of that at once.
 *
 *     turn:  hook -> wait -> handlers -> timers -> deferred (frees)
 *
 * Objects are never freed inside a handler: loop_defer() does it when the turn is over.
 */
#ifndef SOCKEYE_IO_LOOP_H
#define SOCKEYE_IO_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "io/timer.h"

enum loop_events {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4,  /* the peer's fin has arrived: reading will meet the end */
    LOOP_ERROR = 8,   /* error or both directions shut; always delivered, once, wanted or not */
    LOOP_URGENT = 16, /* urgent data is on its way: a short read does not mean that all was read */
    /* Wanted when it is added, with READ: other loops watch the same listening socket by descriptors
     * of their own, and one of them is enough to be told, where the system can do that. */
    LOOP_SHARED = 32,
};

struct loop;

struct watch {
    struct list running; /* in the loop's list while want & ready; while it naps, in another */
    struct loop *loop;   /* NULL while not added */
    void (*on_event)(
        struct watch *,
        unsigned events); /* what is wanted and ready, and HANGUP, ERROR, URGENT as remembered */
    int fd;               /* -1: a source without a descriptor */
    uint32_t generation;  /* tells it from others that had the descriptor before */
    uint8_t want, ready;
    uint8_t armed; /* what the backend was told */
    bool is_napping;
    bool is_lost;     /* out of memory it could not be armed: it will not be told of readiness */
    uint8_t reported; /* the backend has said HANGUP or ERROR once (poll repeats them) */
};

struct deferred {
    struct list link;
    void (*run)(struct deferred *);
};

enum loop_backend { LOOP_EPOLL, LOOP_POLL };

/* Returns owned; NULL: out of memory or descriptors. */
struct loop *loop_new(enum loop_backend backend);
void loop_free(struct loop *loop);

/* Begins to watch fd, which stays the caller's. */
NODISCARD enum err loop_add(struct loop *loop, struct watch *watch, int fd, unsigned want,
                            void (*on_event)(struct watch *, unsigned events));
/* Begins to watch something without a descriptor: its own module says by loop_report() what is ready. */
void loop_add_source(struct loop *loop, struct watch *watch, unsigned want,
                     void (*on_event)(struct watch *, unsigned events));
/* Remembers that `events` are ready. They are told from the next turn on, never from within. */
void loop_report(struct watch *watch, unsigned events);
/* Changes what is waited for. */
void loop_want(struct watch *watch, unsigned want);
/* Says that `events` are used up: EAGAIN was met (or is sure to be). */
void loop_used_up(struct watch *watch, unsigned events);

#define LOOP_NAP_US 100

/* Says that reading is used up, and that for so long nobody needs to know of more: then it counts as ready, whether there is something or
 * not, and so it does with the next other thing that is told of it. Others may end theirs at the same time: then it is shorter. */
void loop_nap(struct watch *watch);

/* Forgets the watch, whose descriptor, if any, is closed next (what only rests is loop_want(w, 0)). Harmless
 * when not added. Its handler is not called any more. */
void loop_remove(struct watch *watch);
/* The same where the descriptor lives on, to be watched by another loop. */
void loop_release(struct watch *watch);

/* Runs `run` when this turn is over. */
void loop_defer(struct loop *loop, struct deferred *deferred, void (*run)(struct deferred *));
/* Runs what was deferred now: for whoever takes things down when the loop turns no more. */
void loop_run_deferred(struct loop *loop);

/* The time of this turn. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_now_us(const struct loop *loop);
/* How much of it in all has passed while the process was stopped, or frozen: as far as it waited, and a timer was due meanwhile. */
uint64_t loop_stopped_us(const struct loop *loop);
struct timer_heap *loop_timers(struct loop *loop);

/* Called at the beginning of each turn, before waiting. One hook. */
void loop_set_hook(struct loop *loop, void (*hook)(void *arg), void *arg);

/* One turn, waiting at most max_wait_ms (-1: as long as it takes). False: the system's wait failed. */
bool loop_turn(struct loop *loop, int max_wait_ms);
/* Turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* For tests: watches added, turns made. */
size_t loop_n_watches(const struct loop *loop);
uint64_t loop_n_turns(const struct loop *loop);

#endif
