/* Idle queues against a clock of the test's own: the loop's notion of now is set, not waited for. */
#include "loops.h"

#include "allocator.h"
#include "flow/idle.h"
#include "io/loop_backend.h"
#include "random.h"

enum { N_WAITS = 300 };

struct waiting {
    struct idle_wait wait;
    uint64_t touched_ms, expired_ms; /* 0: not */
};

static struct loop *loop;
static struct waiting waits[N_WAITS];
static size_t n_expired;

static void on_expired(struct idle_wait *wait)
{
    struct waiting *waiting = CONTAINER_OF(wait, struct waiting, wait);
    assert_null(wait->queue);
    waiting->expired_ms = loop_now_ms(loop);
    n_expired++;
}

/* As the loop would: it wakes for each timer when that is due. */
static void pass(uint64_t ms)
{
    uint64_t end = loop->now_ms + ms;
    for (;;) {
        uint64_t next = timer_heap_next(&loop->timers);
        if (next > end)
            break;
        loop->now_ms = next > loop->now_ms ? next : loop->now_ms;
        timer_heap_fire(&loop->timers, loop->now_ms);
    }
    loop->now_ms = end;
}

static int begin(void **state)
{
    (void)state;
    loop = loop_new(LOOP_EPOLL);
    loop->now_ms = 1000000;
    n_expired = 0;
    for (size_t i = 0; i < N_WAITS; i++) {
        waits[i] = (struct waiting){0};
        idle_wait_init(&waits[i].wait);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_true(timer_heap_next(&loop->timers) == UINT64_MAX);
    loop_free(loop);
    return 0;
}

static void an_exact_queue_expires_at_its_limit_and_not_before(void **state)
{
    (void)state;
    struct idle_queue queue;
    idle_queue_init(&queue, loop, 10000, on_expired);
    for (size_t i = 0; i < 10; i++) {
        waits[i].touched_ms = loop->now_ms;
        idle_enter(&queue, &waits[i].wait);
        pass(7);
    }
    pass(9929);
    assert_int_equal(n_expired, 0);
    pass(10000);
    assert_int_equal(n_expired, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(waits[i].expired_ms - waits[i].touched_ms, 10000);
    idle_queue_deinit(&queue);
}

static void a_wait_lives_while_it_is_touched_and_not_much_longer(void **state)
{
    (void)state;
    struct idle_queue queue;
    idle_queue_init(&queue, loop, 1000, on_expired);
    idle_queue_be_lazy(&queue);
    idle_enter(&queue, &waits[0].wait);
    for (int i = 0; i < 100; i++) {
        pass(100);
        waits[0].touched_ms = loop->now_ms;
        idle_touch(&waits[0].wait);
    }
    assert_int_equal(n_expired, 0);
    pass(5000);
    assert_in_range(waits[0].expired_ms - waits[0].touched_ms, 1000, 1250);
    idle_queue_deinit(&queue);
}

/* Each of many that come, are touched, leave and come again at random. */
static void every_wait_expires_between_its_limit_and_a_quarter_more(void **state)
{
    (void)state;
    enum { LIMIT_MS = 8000, STEPS = 30000 };
    struct idle_queue queue;
    uint64_t seed = 3;
    idle_queue_init(&queue, loop, LIMIT_MS, on_expired);
    idle_queue_be_lazy(&queue);
    for (unsigned step = 0; step < STEPS; step++) {
        /* Few are touched often enough to live. */
        unsigned which = random_below(&seed, random_below(&seed, 4) == 0 ? N_WAITS : N_WAITS / 10);
        struct waiting *waiting = &waits[which];
        if (waiting->expired_ms != 0)
            assert_in_range(waiting->expired_ms - waiting->touched_ms, LIMIT_MS, LIMIT_MS * 5 / 4);
        if (waiting->wait.queue == NULL) {
            idle_enter(&queue, &waiting->wait);
        } else if (random_below(&seed, 50) == 0) {
            idle_leave(&waiting->wait);
        } else {
            idle_touch(&waiting->wait);
        }
        waiting->touched_ms = loop->now_ms;
        waiting->expired_ms = 0;
        pass(random_below(&seed, 150));
        for (size_t i = 0; i < N_WAITS; i++)
            if (waits[i].wait.queue != NULL)
                assert_true(loop->now_ms - waits[i].touched_ms <= LIMIT_MS * 5 / 4);
    }
    assert_true(n_expired > 100);
    for (size_t i = 0; i < N_WAITS; i++)
        idle_leave(&waits[i].wait);
    idle_queue_deinit(&queue);
}

static void a_class_has_one_timer_and_none_while_it_is_empty(void **state)
{
    (void)state;
    struct idle_queue queue;
    idle_queue_init(&queue, loop, 1000, on_expired);
    for (size_t i = 0; i < N_WAITS; i++) {
        idle_enter(&queue, &waits[i].wait);
        pass(1);
    }
    assert_int_equal(loop->timers.n, 1);
    for (size_t i = 0; i < N_WAITS; i++)
        idle_leave(&waits[i].wait);
    idle_leave(&waits[0].wait);
    assert_int_equal(loop->timers.n, 0);
    idle_queue_deinit(&queue);
}

static void those_who_came_one_after_the_other_do_not_wake_the_loop_one_by_one(void **state)
{
    (void)state;
    struct idle_queue queue;
    idle_queue_init(&queue, loop, 80000, on_expired);
    idle_queue_be_lazy(&queue);
    for (size_t i = 0; i < N_WAITS; i++) {
        idle_enter(&queue, &waits[i].wait);
        pass(10);
    }
    unsigned n_wakes = 0;
    while (n_expired < N_WAITS) {
        uint64_t next = timer_heap_next(&loop->timers);
        assert_true(next != UINT64_MAX);
        pass(next - loop->now_ms);
        n_wakes++;
    }
    assert_in_range(n_wakes, 1, 3);
    idle_queue_deinit(&queue);
}

static void without_a_limit_nobody_expires(void **state)
{
    (void)state;
    struct idle_queue queue;
    idle_queue_init(&queue, loop, 0, on_expired);
    idle_queue_be_lazy(&queue);
    idle_enter(&queue, &waits[0].wait);
    idle_touch(&waits[0].wait);
    assert_int_equal(loop->timers.n, 0);
    pass(UINT64_C(100) * 365 * 86400 * 1000);
    assert_int_equal(n_expired, 0);
    idle_leave(&waits[0].wait);
    idle_queue_deinit(&queue);
}

/* Each way between three limits, with one who waits since 500 ms. */
static void another_limit_holds_for_those_who_wait_already(void **state)
{
    (void)state;
    static const struct {
        uint64_t before_ms, after_ms, expires_in_ms;
    } changes[] = {{1000, 3000, 2500}, {3000, 1000, 500}, {3000, 100, 0},
                   {0, 3000, 2500},    {0, 200, 0},       {1000, 1000, 500}};
    for (size_t i = 0; i < N_ITEMS(changes); i++) {
        struct idle_queue queue;
        n_expired = 0;
        idle_queue_init(&queue, loop, changes[i].before_ms, on_expired);
        idle_enter(&queue, &waits[0].wait);
        pass(500);
        idle_queue_set_limit(&queue, changes[i].after_ms);
        uint64_t due_ms = loop->now_ms + changes[i].expires_in_ms;
        pass(10000);
        assert_int_equal(n_expired, 1);
        assert_int_equal(waits[0].expired_ms, due_ms);
        idle_queue_deinit(&queue);
    }
}

static void a_limit_taken_away_lets_everyone_wait_and_given_again_is_lazy(void **state)
{
    (void)state;
    struct idle_queue queue;
    idle_queue_init(&queue, loop, 1000, on_expired);
    idle_queue_be_lazy(&queue);
    idle_enter(&queue, &waits[0].wait);
    idle_queue_set_limit(&queue, 0);
    assert_int_equal(loop->timers.n, 0);
    pass(100000);
    assert_int_equal(n_expired, 0);
    idle_touch(&waits[0].wait);
    idle_queue_set_limit(&queue, 8000);
    assert_int_equal(queue.touch_ms, 1000);
    pass(8000);
    assert_int_equal(n_expired, 0);
    pass(2000);
    assert_int_equal(n_expired, 1);
    idle_queue_deinit(&queue);
}

static void entering_another_queue_leaves_the_first(void **state)
{
    (void)state;
    struct idle_queue first, second;
    idle_queue_init(&first, loop, 1000, on_expired);
    idle_queue_init(&second, loop, 3000, on_expired);
    idle_enter(&first, &waits[0].wait);
    pass(500);
    idle_enter(&second, &waits[0].wait);
    waits[0].touched_ms = loop->now_ms;
    pass(2999);
    assert_int_equal(n_expired, 0);
    pass(1);
    assert_int_equal(n_expired, 1);
    idle_queue_deinit(&first);
    idle_queue_deinit(&second);
}

static struct idle_queue *queue_of_handlers;

static void enter_again_and_send_away_the_next(struct idle_wait *wait)
{
    on_expired(wait);
    idle_enter(queue_of_handlers, wait);
    idle_leave(&waits[1].wait);
}

static void an_expired_wait_may_enter_again_and_send_others_away(void **state)
{
    (void)state;
    struct idle_queue queue;
    queue_of_handlers = &queue;
    idle_queue_init(&queue, loop, 1000, enter_again_and_send_away_the_next);
    idle_enter(&queue, &waits[0].wait);
    idle_enter(&queue, &waits[1].wait);
    pass(1000);
    assert_int_equal(n_expired, 1);
    assert_ptr_equal(waits[0].wait.queue, &queue);
    pass(1000);
    assert_int_equal(n_expired, 2);
    idle_leave(&waits[0].wait);
    idle_queue_deinit(&queue);
}

static void fail_to_fire(struct timer *timer)
{
    (void)timer;
    fail_msg("nothing is due");
}

static void without_memory_for_its_timer_the_next_who_enters_gets_it(void **state)
{
    (void)state;
    static struct timer others[1000];
    struct idle_queue queue;
    idle_queue_init(&queue, loop, 1000, on_expired);
    /* A quiet loop has room for its timers from the beginning. */
    allocator_fail(1);
    idle_enter(&queue, &waits[0].wait);
    assert_int_equal(loop->timers.n, 1);
    idle_leave(&waits[0].wait);
    size_t n_others = 0;
    while (n_others < loop->timers.cap) {
        timer_init(&others[n_others], fail_to_fire);
        assert_int_equal(timer_set(&loop->timers, &others[n_others++], UINT64_MAX), ERR_NONE);
    }
    idle_enter(&queue, &waits[0].wait);
    assert_int_equal(loop->timers.n, n_others);
    allocator_fail(0);
    pass(100);
    idle_enter(&queue, &waits[1].wait);
    pass(900);
    assert_int_equal(waits[0].expired_ms, loop->now_ms);
    pass(100);
    assert_int_equal(n_expired, 2);
    idle_queue_deinit(&queue);
    while (n_others > 0)
        timer_clear(&loop->timers, &others[--n_others]);
}

#define EACH_ANEW(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ANEW(an_exact_queue_expires_at_its_limit_and_not_before),
        EACH_ANEW(a_wait_lives_while_it_is_touched_and_not_much_longer),
        EACH_ANEW(every_wait_expires_between_its_limit_and_a_quarter_more),
        EACH_ANEW(a_class_has_one_timer_and_none_while_it_is_empty),
        EACH_ANEW(those_who_came_one_after_the_other_do_not_wake_the_loop_one_by_one),
        EACH_ANEW(without_a_limit_nobody_expires),
        EACH_ANEW(another_limit_holds_for_those_who_wait_already),
        EACH_ANEW(a_limit_taken_away_lets_everyone_wait_and_given_again_is_lazy),
        EACH_ANEW(entering_another_queue_leaves_the_first),
        EACH_ANEW(an_expired_wait_may_enter_again_and_send_others_away),
        EACH_ANEW(without_memory_for_its_timer_the_next_who_enters_gets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
