/* The loop's one rule, on both backends; what its handlers may do; and that it sleeps. */
#include "loops.h"

#include <fcntl.h>
#include <stdlib.h>

#include "io/sys.h"
#include "tcp.h"

/* A watch on one end of a connection, and what its handler was told. */
struct watched {
    struct watch watch;
    int theirs;
    unsigned n_runs;
    unsigned last, all; /* events */
    void (*then)(struct watched *);
    void *arg;
};

static void on_event(struct watch *watch, unsigned events)
{
    struct watched *watched = CONTAINER_OF(watch, struct watched, watch);
    watched->n_runs++;
    watched->last = events;
    watched->all |= events;
    if (watched->then != NULL)
        watched->then(watched);
}

static void begin(struct watched *watched, struct loop *loop, unsigned want)
{
    int fds[2];
    tcp_pair(fds);
    *watched = (struct watched){.theirs = fds[1]};
    assert_int_equal(loop_add(loop, &watched->watch, fds[0], want, on_event), ERR_NONE);
}

static void end(struct watched *watched)
{
    loop_remove(&watched->watch);
    close(watched->watch.fd);
    if (watched->theirs >= 0)
        close(watched->theirs);
}

static struct loop *new_loop(void **state)
{
    struct loop *loop = loop_new(backend_of(state));
    assert_non_null(loop);
    return loop;
}

static void end_loop(struct loop *loop)
{
    assert_int_equal(loop_n_watches(loop), 0);
    loop_free(loop);
}

/* Reads until there is no more, as a handler that means it does. */
static void read_all(struct watched *watched)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(watched->watch.fd, bytes, sizeof bytes, 0)) > 0)
        ;
    loop_used_up(&watched->watch, LOOP_READ);
}

static void what_is_ready_is_told_each_turn_until_it_is_used_up(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_READ);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 0);
    tcp_send(watched.theirs, "x", 1);
    TURN_UNTIL(loop, watched.n_runs == 1);
    turn_at_once(loop, 4);
    assert_int_equal(watched.n_runs, 5);
    assert_int_equal(watched.all, LOOP_READ);
    read_all(&watched);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 5);
    tcp_send(watched.theirs, "y", 1);
    TURN_UNTIL(loop, watched.n_runs == 6);
    end(&watched);
    end_loop(loop);
}

static void a_watch_that_wants_nothing_rests_and_its_readiness_is_remembered(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_READ);
    tcp_send(watched.theirs, "x", 1);
    TURN_UNTIL(loop, watched.n_runs == 1);
    loop_want(&watched.watch, 0);
    turn_at_once(loop, 3);
    tcp_send(watched.theirs, "y", 1);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 1);
    loop_want(&watched.watch, LOOP_READ);
    turn_at_once(loop, 1);
    assert_int_equal(watched.n_runs, 2);
    end(&watched);
    end_loop(loop);
}

static void what_came_while_nothing_was_wanted_is_told_when_it_is(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, 0);
    tcp_send(watched.theirs, "x", 1);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 0);
    loop_want(&watched.watch, LOOP_READ | LOOP_WRITE);
    TURN_UNTIL(loop, (watched.all & LOOP_READ) && (watched.all & LOOP_WRITE));
    end(&watched);
    end_loop(loop);
}

static void room_to_write_is_told_again_when_the_peer_has_read(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    static char bytes[1 << 16];
    begin(&watched, loop, LOOP_WRITE);
    TURN_UNTIL(loop, watched.last == LOOP_WRITE);
    tcp_fill(watched.watch.fd);
    loop_used_up(&watched.watch, LOOP_WRITE);
    watched.n_runs = 0;
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 0);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (watched.n_runs == 0 && now_ms() < give_up) {
        while (tcp_receive(watched.theirs, bytes, sizeof bytes) > 0)
            ;
        assert_true(loop_turn(loop, 1));
    }
    assert_int_equal(watched.last, LOOP_WRITE);
    end(&watched);
    end_loop(loop);
}

static void a_fin_is_told_as_hangup_and_something_to_read(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_READ);
    shutdown(watched.theirs, SHUT_WR);
    TURN_UNTIL(loop, watched.n_runs > 0);
    assert_int_equal(watched.last, LOOP_READ | LOOP_HANGUP);
    end(&watched);
    end_loop(loop);
}

static void whoever_waits_for_a_hangup_alone_is_told_of_it_and_not_of_data(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_HANGUP);
    tcp_send(watched.theirs, "x", 1);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 0);
    shutdown(watched.theirs, SHUT_WR);
    TURN_UNTIL(loop, watched.n_runs > 0);
    assert_int_equal(watched.last, LOOP_HANGUP);
    end(&watched);
    end_loop(loop);
}

static void an_error_is_told_once_wanted_or_not(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    static const unsigned wants[] = {0, LOOP_READ, LOOP_HANGUP};
    for (size_t i = 0; i < N_ITEMS(wants); i++) {
        begin(&watched, loop, wants[i]);
        turn_at_once(loop, 1);
        tcp_reset(watched.theirs);
        watched.theirs = -1;
        TURN_UNTIL(loop, watched.n_runs > 0);
        assert_true(watched.last & LOOP_ERROR);
        /* From then on only what is wanted. */
        watched.all = watched.n_runs = 0;
        turn_at_once(loop, 5);
        assert_false(watched.all & LOOP_ERROR);
        assert_int_equal(watched.n_runs, wants[i] == 0 ? 0 : 5);
        end(&watched);
    }
    end_loop(loop);
}

/* The loop must sleep for the whole time, whatever it was told before. */
static void assert_sleeps(struct loop *loop)
{
    turn_at_once(loop, 5);
    uint64_t before = now_ms();
    assert_true(loop_turn(loop, 60));
    assert_true(now_ms() - before >= 59);
}

static void send_fin(struct watched *watched)
{
    shutdown(watched->theirs, SHUT_WR);
}

static void close_both_ways(struct watched *watched)
{
    shutdown(watched->watch.fd, SHUT_WR);
    close(watched->theirs);
    watched->theirs = -1;
}

static void reset(struct watched *watched)
{
    tcp_reset(watched->theirs);
    watched->theirs = -1;
}

static void send_urgent(struct watched *watched)
{
    assert_int_equal(send(watched->theirs, "!", 1, MSG_OOB), 1);
}

static void an_unwanted_descriptor_lets_the_loop_sleep_whatever_has_come_of_it(void **state)
{
    static void (*const happenings[])(struct watched *) = {send_fin, close_both_ways, reset,
                                                           send_urgent};
    struct loop *loop = new_loop(state);
    for (size_t i = 0; i < N_ITEMS(happenings); i++) {
        struct watched watched;
        begin(&watched, loop, 0);
        happenings[i](&watched);
        assert_sleeps(loop);
        end(&watched);
    }
    end_loop(loop);
}

static void a_used_up_descriptor_lets_the_loop_sleep_though_it_has_hung_up(void **state)
{
    static void (*const happenings[])(struct watched *) = {send_fin, send_urgent};
    struct loop *loop = new_loop(state);
    for (size_t i = 0; i < N_ITEMS(happenings); i++) {
        struct watched watched;
        begin(&watched, loop, LOOP_WRITE);
        tcp_fill(watched.watch.fd);
        turn_at_once(loop, 1);
        loop_used_up(&watched.watch, LOOP_WRITE);
        happenings[i](&watched);
        assert_sleeps(loop);
        end(&watched);
    }
    end_loop(loop);
}

static void an_idle_loop_sleeps(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_READ);
    assert_sleeps(loop);
    assert_int_equal(watched.n_runs, 0);
    end(&watched);
    end_loop(loop);
}

static void urgent_data_is_told(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_READ);
    int on = 1;
    setsockopt(watched.watch.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    send_urgent(&watched);
    TURN_UNTIL(loop, watched.all == (LOOP_READ | LOOP_URGENT));
    end(&watched);
    end_loop(loop);
}

/* ---- closing ---- */

static struct watched two[2], fresh;

/* Whichever of the two is run first closes the other, whose number goes to a new connection that
 * is watched too, and silent. */
static void replace_other(struct watched *watched)
{
    struct watched *other = &two[watched == &two[0]];
    struct loop *loop = watched->watch.loop;
    if (other->watch.loop == NULL)
        return;
    int fds[2], fd = other->watch.fd;
    tcp_pair(fds);
    loop_remove(&other->watch);
    assert_int_equal(dup3(fds[0], fd, O_CLOEXEC), fd);
    close(fds[0]);
    fresh = (struct watched){.theirs = fds[1]};
    assert_int_equal(loop_add(loop, &fresh.watch, fd, LOOP_READ, on_event), ERR_NONE);
    read_all(watched);
}

static void a_descriptor_closed_and_taken_again_in_one_batch_is_told_nothing(void **state)
{
    struct loop *loop = new_loop(state);
    for (size_t i = 0; i < 2; i++) {
        begin(&two[i], loop, LOOP_READ);
        two[i].then = replace_other;
    }
    /* Registered descriptors outlive their numbers where something else has them open. */
    int spares[] = {dup(two[0].watch.fd), dup(two[1].watch.fd)};
    for (size_t i = 0; i < 2; i++)
        tcp_send(two[i].theirs, "x", 1);
    TURN_UNTIL(loop, fresh.watch.loop != NULL);
    for (size_t i = 0; i < 2; i++)
        tcp_send(two[i].theirs, "y", 1);
    turn_at_once(loop, 5);
    assert_int_equal(two[0].n_runs == 0, two[1].n_runs != 0);
    assert_int_equal(fresh.n_runs, 0);
    tcp_send(fresh.theirs, "z", 1);
    TURN_UNTIL(loop, fresh.n_runs > 0);
    for (size_t i = 0; i < 2; i++) {
        if (two[i].watch.loop != NULL)
            end(&two[i]);
        else
            close(two[i].theirs);
        close(spares[i]);
    }
    end(&fresh);
    end_loop(loop);
}

static void remove_myself(struct watched *watched)
{
    loop_remove(&watched->watch);
}

static void a_handler_may_remove_its_own_watch(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_READ | LOOP_WRITE);
    watched.then = remove_myself;
    TURN_UNTIL(loop, watched.n_runs > 0);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 1);
    loop_want(&watched.watch, LOOP_READ);
    loop_used_up(&watched.watch, LOOP_READ);
    end(&watched);
    end_loop(loop);
}

/* ---- turns ---- */

static char order[64];

static void note(char what)
{
    size_t n = strlen(order);
    assert_true(n + 1 < sizeof order);
    order[n] = what;
}

static void note_handler(struct watched *watched)
{
    note('h');
    if (watched->arg != NULL)
        loop_defer(watched->watch.loop, watched->arg, ((struct deferred *)watched->arg)->run);
    watched->arg = NULL;
}

static void note_timer(struct timer *timer)
{
    (void)timer;
    note('t');
}

static void note_deferred(struct deferred *deferred)
{
    (void)deferred;
    note('d');
}

static struct loop *loop_of_deferred;
static struct deferred second_deferred;

static void note_and_defer(struct deferred *deferred)
{
    (void)deferred;
    note('d');
    loop_defer(loop_of_deferred, &second_deferred, note_deferred);
}

static void note_hook(void *arg)
{
    assert_ptr_equal(arg, order);
    note('.');
}

static void a_turn_is_hook_handlers_timers_and_then_what_was_deferred(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    struct timer timer;
    struct deferred deferred = {.run = note_and_defer};
    memset(order, 0, sizeof order);
    loop_of_deferred = loop;
    begin(&watched, loop, LOOP_WRITE);
    TURN_UNTIL(loop, watched.n_runs > 0);
    watched.then = note_handler;
    watched.arg = &deferred;
    timer_init(&timer, note_timer);
    assert_int_equal(timer_set(loop_timers(loop), &timer, 0), ERR_NONE);
    loop_set_hook(loop, note_hook, order);
    turn_at_once(loop, 2);
    assert_string_equal(order, ".htdd.h");
    end(&watched);
    end_loop(loop);
}

static void what_was_deferred_and_never_turned_is_run_when_the_loop_goes(void **state)
{
    struct loop *loop = new_loop(state);
    struct deferred deferred;
    memset(order, 0, sizeof order);
    loop_defer(loop, &deferred, note_deferred);
    end_loop(loop);
    assert_string_equal(order, "d");
}

static void one_that_never_stops_keeps_no_other_waiting(void **state)
{
    enum { N = 5, TURNS = 20 };
    struct loop *loop = new_loop(state);
    struct watched watched[N];
    struct timer timer;
    memset(order, 0, sizeof order);
    for (size_t i = 0; i < N; i++) {
        begin(&watched[i], loop, LOOP_READ);
        tcp_send(watched[i].theirs, "x", 1);
    }
    TURN_UNTIL(loop, watched[0].n_runs && watched[1].n_runs && watched[2].n_runs &&
                         watched[3].n_runs && watched[4].n_runs);
    for (size_t i = 0; i < N; i++)
        watched[i].n_runs = 0;
    timer_init(&timer, note_timer);
    assert_int_equal(timer_set(loop_timers(loop), &timer, 0), ERR_NONE);
    turn_at_once(loop, TURNS);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(watched[i].n_runs, TURNS);
    assert_string_equal(order, "t");
    for (size_t i = 0; i < N; i++)
        end(&watched[i]);
    end_loop(loop);
}

static void the_loop_sleeps_until_the_earliest_timer_and_no_less(void **state)
{
    struct loop *loop = new_loop(state);
    struct timer timers[2];
    memset(order, 0, sizeof order);
    uint64_t begin_ms = now_ms();
    for (size_t i = 0; i < 2; i++) {
        timer_init(&timers[i], note_timer);
        assert_int_equal(timer_set(loop_timers(loop), &timers[i], begin_ms + 50 + 3600000 * i),
                         ERR_NONE);
    }
    uint64_t n_turns = loop_n_turns(loop);
    while (order[0] == '\0')
        assert_true(loop_turn(loop, -1));
    assert_true(now_ms() - begin_ms >= 50);
    assert_in_range(loop_n_turns(loop) - n_turns, 1, 2);
    timer_clear(loop_timers(loop), &timers[1]);
    end_loop(loop);
}

static void stop(struct watched *watched)
{
    loop_stop(watched->watch.loop);
}

static void a_loop_runs_until_it_is_stopped(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    begin(&watched, loop, LOOP_WRITE);
    watched.then = stop;
    loop_run(loop);
    assert_int_equal(watched.n_runs, 1);
    loop_run(loop);
    assert_int_equal(watched.n_runs, 2);
    end(&watched);
    end_loop(loop);
}

static void hundreds_of_watches_are_each_told_of_their_own(void **state)
{
    enum { N = 200 };
    static struct watched watched[N];
    struct loop *loop = new_loop(state);
    for (size_t i = 0; i < N; i++)
        begin(&watched[i], loop, LOOP_READ);
    assert_int_equal(loop_n_watches(loop), N);
    for (size_t i = 0; i < N; i += 3)
        tcp_send(watched[i].theirs, "x", 1);
    for (size_t i = 0; i < N; i += 3)
        TURN_UNTIL(loop, watched[i].n_runs > 0);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(watched[i].n_runs > 0, i % 3 == 0);
        end(&watched[i]);
    }
    end_loop(loop);
}

/* ---- what the system refuses ---- */

static void what_cannot_be_registered_is_not_added(void **state)
{
    (void)state;
    struct loop *loop = loop_new(LOOP_EPOLL);
    struct watched watched = {0};
    int fds[2];
    tcp_pair(fds);
    sys_fault_set(SYS_FAULT_FAIL, 1);
    assert_int_equal(loop_add(loop, &watched.watch, fds[0], LOOP_READ, on_event), ERR_MEMORY);
    assert_string_equal(sys_fault_hit(), "epoll_ctl");
    sys_fault_set(SYS_FAULT_NONE, 0);
    assert_int_equal(loop_n_watches(loop), 0);
    loop_remove(&watched.watch);
    assert_int_equal(loop_add(loop, &watched.watch, fds[0], LOOP_READ, on_event), ERR_NONE);
    watched.theirs = fds[1];
    end(&watched);
    end_loop(loop);
}

static void what_can_never_be_told_is_an_error_of_the_watch(void **state)
{
    (void)state;
    struct loop *loop = loop_new(LOOP_EPOLL);
    struct watched watched;
    begin(&watched, loop, LOOP_READ);
    sys_fault_set(SYS_FAULT_FAIL, 1);
    loop_want(&watched.watch, LOOP_READ | LOOP_WRITE);
    assert_string_equal(sys_fault_hit(), "epoll_ctl");
    sys_fault_set(SYS_FAULT_NONE, 0);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 1);
    assert_int_equal(watched.all, LOOP_ERROR);
    end(&watched);
    end_loop(loop);
}

/* ---- sources, which have no descriptor ---- */

static void report_again(struct watched *watched)
{
    loop_used_up(&watched->watch, LOOP_READ);
    loop_report(&watched->watch, LOOP_READ);
}

static void a_source_is_told_what_is_reported_of_it_by_the_same_rule(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched = {.theirs = -1};
    loop_add_source(loop, &watched.watch, LOOP_READ, on_event);
    assert_int_equal(loop_n_watches(loop), 1);
    loop_report(&watched.watch, LOOP_WRITE);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 0);
    loop_report(&watched.watch, LOOP_READ);
    assert_int_equal(watched.n_runs, 0);
    /* With something to tell a turn does not wait. */
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(loop_turn(loop, -1));
        assert_int_equal(watched.n_runs, i);
    }
    loop_used_up(&watched.watch, LOOP_READ);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 3);
    loop_want(&watched.watch, LOOP_WRITE);
    turn_at_once(loop, 1);
    assert_int_equal(watched.last, LOOP_WRITE);
    loop_want(&watched.watch, 0);
    loop_report(&watched.watch, LOOP_ERROR);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 5);
    assert_int_equal(watched.last, LOOP_ERROR);
    loop_remove(&watched.watch);
    loop_report(&watched.watch, LOOP_ERROR);
    turn_at_once(loop, 3);
    assert_int_equal(watched.n_runs, 5);
    end_loop(loop);
}

/* ---- naps ---- */

static void nap(struct watched *watched)
{
    loop_nap(&watched->watch);
}

/* It has been told of a byte, which it has not read, and naps. Returns since when. */
static uint64_t begin_nap(struct watched *watched, struct loop *loop)
{
    begin(watched, loop, LOOP_READ);
    watched->then = nap;
    tcp_send(watched->theirs, "x", 1);
    TURN_UNTIL(loop, watched->n_runs == 1);
    return loop_now_us(loop);
}

static void one_that_naps_is_told_when_its_nap_is_over_whatever_comes_meanwhile(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    uint64_t since_us = begin_nap(&watched, loop);
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(watched.n_runs, i);
        tcp_send(watched.theirs, "y", 1);
        assert_true(loop_turn(loop, -1));
        assert_true(loop_now_us(loop) - since_us >= LOOP_NAP_US);
        since_us = loop_now_us(loop);
    }
    assert_int_equal(watched.last, LOOP_READ);
    end(&watched);
    end_loop(loop);
}

static void a_turn_waits_no_longer_than_it_may_though_one_naps(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    uint64_t since_us = begin_nap(&watched, loop);
    turn_at_once(loop, 1);
    if (loop_now_us(loop) - since_us < LOOP_NAP_US)
        assert_int_equal(watched.n_runs, 1);
    TURN_UNTIL(loop, watched.n_runs == 2);
    end(&watched);
    end_loop(loop);
}

static void after_its_nap_a_watch_is_woken_as_before(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    char byte;
    (void)begin_nap(&watched, loop);
    TURN_UNTIL(loop, watched.n_runs == 2);
    watched.then = NULL;
    TURN_UNTIL(loop, watched.n_runs == 3); /* that was a nap too */
    assert_int_equal(tcp_receive(watched.watch.fd, &byte, 1), 1);
    loop_used_up(&watched.watch, LOOP_READ);
    assert_sleeps(loop);
    assert_int_equal(watched.n_runs, 3);
    tcp_send(watched.theirs, "z", 1);
    TURN_UNTIL(loop, watched.n_runs == 4);
    end(&watched);
    end_loop(loop);
}

static void whatever_else_is_told_ends_a_nap(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched;
    (void)begin_nap(&watched, loop);
    watched.then = NULL;
    loop_want(&watched.watch, LOOP_READ | LOOP_WRITE);
    TURN_UNTIL(loop, (watched.last & LOOP_WRITE) != 0);
    assert_int_equal(watched.last, LOOP_READ | LOOP_WRITE);
    end(&watched);
    end_loop(loop);
}

static void one_that_naps_may_be_removed(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched watched, other;
    (void)begin_nap(&watched, loop);
    (void)begin_nap(&other, loop);
    unsigned n_runs = watched.n_runs;
    end(&watched);
    TURN_UNTIL(loop, other.n_runs == 2);
    assert_int_equal(watched.n_runs, n_runs);
    end(&other);
    turn_at_once(loop, 2);
    end_loop(loop);
}

static void what_a_source_reports_in_its_handler_is_told_in_the_next_turn(void **state)
{
    struct loop *loop = new_loop(state);
    struct watched source = {.theirs = -1, .then = report_again}, other;
    begin(&other, loop, LOOP_WRITE);
    TURN_UNTIL(loop, other.n_runs == 1);
    loop_add_source(loop, &source.watch, LOOP_READ, on_event);
    loop_report(&source.watch, LOOP_READ);
    turn_at_once(loop, 5);
    assert_int_equal(source.n_runs, 5);
    assert_int_equal(other.n_runs, 6);
    loop_remove(&source.watch);
    end(&other);
    end_loop(loop);
}

static void fire(struct timer *timer)
{
    (void)timer;
}

/* And what a turn takes that is busy is no such time. */
static void the_time_in_which_the_process_was_stopped_is_known(void **state)
{
    struct loop *loop = new_loop(state);
    struct timer timer;
    timer_init(&timer, fire);
    assert_int_equal(timer_set(loop_timers(loop), &timer, loop_now_ms(loop) + 100), ERR_NONE);
    usleep(700000);
    assert_true(loop_turn(loop, -1));
    assert_false(timer_is_set(&timer));
    assert_int_equal(loop_stopped_us(loop), 0);
    turn_stopped_for(loop, 800);
    assert_in_range(loop_stopped_us(loop), 500000, loop_now_us(loop));
    end_loop(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(what_is_ready_is_told_each_turn_until_it_is_used_up),
        ON_BOTH(a_watch_that_wants_nothing_rests_and_its_readiness_is_remembered),
        ON_BOTH(what_came_while_nothing_was_wanted_is_told_when_it_is),
        ON_BOTH(room_to_write_is_told_again_when_the_peer_has_read),
        ON_BOTH(a_fin_is_told_as_hangup_and_something_to_read),
        ON_BOTH(whoever_waits_for_a_hangup_alone_is_told_of_it_and_not_of_data),
        ON_BOTH(an_error_is_told_once_wanted_or_not),
        ON_BOTH(an_unwanted_descriptor_lets_the_loop_sleep_whatever_has_come_of_it),
        ON_BOTH(a_used_up_descriptor_lets_the_loop_sleep_though_it_has_hung_up),
        ON_BOTH(an_idle_loop_sleeps),
        ON_BOTH(urgent_data_is_told),
        ON_BOTH(a_descriptor_closed_and_taken_again_in_one_batch_is_told_nothing),
        ON_BOTH(a_handler_may_remove_its_own_watch),
        ON_BOTH(a_turn_is_hook_handlers_timers_and_then_what_was_deferred),
        ON_BOTH(what_was_deferred_and_never_turned_is_run_when_the_loop_goes),
        ON_BOTH(one_that_never_stops_keeps_no_other_waiting),
        ON_BOTH(the_loop_sleeps_until_the_earliest_timer_and_no_less),
        ON_BOTH(a_loop_runs_until_it_is_stopped),
        ON_BOTH(the_time_in_which_the_process_was_stopped_is_known),
        ON_BOTH(hundreds_of_watches_are_each_told_of_their_own),
        ON_BOTH(a_source_is_told_what_is_reported_of_it_by_the_same_rule),
        ON_BOTH(what_a_source_reports_in_its_handler_is_told_in_the_next_turn),
        ON_BOTH(one_that_naps_is_told_when_its_nap_is_over_whatever_comes_meanwhile),
        ON_BOTH(a_turn_waits_no_longer_than_it_may_though_one_naps),
        ON_BOTH(after_its_nap_a_watch_is_woken_as_before),
        ON_BOTH(whatever_else_is_told_ends_a_nap),
        ON_BOTH(one_that_naps_may_be_removed),
        cmocka_unit_test(what_cannot_be_registered_is_not_added),
        cmocka_unit_test(what_can_never_be_told_is_an_error_of_the_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
