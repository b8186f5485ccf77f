/* Timers: their order, moving and clearing them, and what handlers may do. */
#include "loops.h"

#include <stdlib.h>

#include "allocator.h"
#include "base/list.h"
#include "io/timer.h"
#include "random.h"

static struct timer *fired[1024];
static size_t n_fired;

static void note(struct timer *timer)
{
    assert_false(timer_is_set(timer));
    assert_true(n_fired < N_ITEMS(fired));
    fired[n_fired++] = timer;
}

static void set(struct timer_heap *heap, struct timer *timer, uint64_t at_ms)
{
    assert_int_equal(timer_set(heap, timer, at_ms), ERR_NONE);
    assert_true(timer_is_set(timer));
}

static int begin(void **state)
{
    (void)state;
    n_fired = 0;
    return 0;
}

static void timers_fire_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    static const uint64_t at_ms[] = {50, 10, 40, 20, 30};
    struct timer timers[N_ITEMS(at_ms)];
    struct timer_heap heap;
    timer_heap_init(&heap);
    for (size_t i = 0; i < N_ITEMS(at_ms); i++) {
        timer_init(&timers[i], note);
        set(&heap, &timers[i], at_ms[i]);
    }
    timer_heap_fire(&heap, 9);
    assert_int_equal(n_fired, 0);
    assert_int_equal(timer_heap_next(&heap), 10);
    timer_heap_fire(&heap, 30);
    assert_int_equal(n_fired, 3);
    timer_heap_fire(&heap, 1000);
    assert_int_equal(n_fired, 5);
    for (size_t i = 0; i < n_fired; i++)
        assert_int_equal(fired[i]->at_ms, 10 * (i + 1));
    assert_true(timer_heap_next(&heap) == UINT64_MAX);
    timer_heap_deinit(&heap);
}

static void a_moved_timer_fires_at_its_new_time_only(void **state)
{
    (void)state;
    struct timer early, late;
    struct timer_heap heap;
    timer_heap_init(&heap);
    timer_init(&early, note);
    timer_init(&late, note);
    set(&heap, &early, 10);
    set(&heap, &late, 20);
    set(&heap, &early, 30);
    set(&heap, &late, 5);
    assert_int_equal(timer_heap_next(&heap), 5);
    timer_heap_fire(&heap, 29);
    assert_int_equal(n_fired, 1);
    assert_ptr_equal(fired[0], &late);
    timer_heap_fire(&heap, 30);
    assert_int_equal(n_fired, 2);
    timer_heap_deinit(&heap);
}

static void a_cleared_timer_does_not_fire_and_clearing_twice_is_harmless(void **state)
{
    (void)state;
    struct timer one, other;
    struct timer_heap heap;
    timer_heap_init(&heap);
    timer_init(&one, note);
    timer_init(&other, note);
    timer_clear(&heap, &one);
    set(&heap, &one, 10);
    set(&heap, &other, 10);
    timer_clear(&heap, &one);
    timer_clear(&heap, &one);
    timer_heap_fire(&heap, 10);
    assert_int_equal(n_fired, 1);
    assert_ptr_equal(fired[0], &other);
    timer_heap_deinit(&heap);
}

static struct timer_heap *heap_of_handlers;
static struct timer other_timer;

static void set_again_at_once(struct timer *timer)
{
    note(timer);
    set(heap_of_handlers, timer, timer->at_ms);
}

static void a_timer_that_sets_itself_again_does_not_keep_the_loop(void **state)
{
    (void)state;
    struct timer timer;
    struct timer_heap heap;
    timer_heap_init(&heap);
    heap_of_handlers = &heap;
    timer_init(&timer, set_again_at_once);
    set(&heap, &timer, 10);
    timer_heap_fire(&heap, 10);
    assert_int_equal(n_fired, 1);
    assert_int_equal(timer_heap_next(&heap), 10);
    timer_heap_fire(&heap, 10);
    assert_int_equal(n_fired, 2);
    timer_heap_deinit(&heap);
}

static void clear_the_other(struct timer *timer)
{
    note(timer);
    timer_clear(heap_of_handlers, &other_timer);
}

static void a_handler_may_clear_a_timer_that_is_due_too(void **state)
{
    (void)state;
    struct timer timer;
    struct timer_heap heap;
    timer_heap_init(&heap);
    heap_of_handlers = &heap;
    timer_init(&timer, clear_the_other);
    timer_init(&other_timer, note);
    set(&heap, &timer, 10);
    set(&heap, &other_timer, 11);
    timer_heap_fire(&heap, 20);
    assert_int_equal(n_fired, 1);
    assert_true(timer_heap_next(&heap) == UINT64_MAX);
    timer_heap_deinit(&heap);
}

static void without_memory_a_new_timer_is_refused_and_a_set_one_can_be_moved(void **state)
{
    (void)state;
    static struct timer timers[200];
    struct timer_heap heap;
    size_t n = 0;
    timer_heap_init(&heap);
    for (size_t i = 0; i < N_ITEMS(timers); i++)
        timer_init(&timers[i], note);
    enum err err = ERR_NONE;
    while (err == ERR_NONE) {
        assert_true(n < N_ITEMS(timers));
        allocator_fail(n < 10 ? 0 : 1);
        err = timer_set(&heap, &timers[n++], 100);
    }
    assert_int_equal(err, ERR_MEMORY);
    assert_false(timer_is_set(&timers[n - 1]));
    for (size_t i = 0; i < n - 1; i++)
        set(&heap, &timers[i], 50);
    allocator_fail(0);
    timer_heap_fire(&heap, 50);
    assert_int_equal(n_fired, n - 1);
    timer_heap_deinit(&heap);
}

/* ---- many operations beside a model that keeps no order at all ---- */

enum { N_TIMERS = 200, N_STEPS = 20000 };

struct model {
    bool is_set[N_TIMERS];
    uint64_t at_ms[N_TIMERS];
};

static uint64_t model_next(const struct model *model)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < N_TIMERS; i++)
        if (model->is_set[i] && model->at_ms[i] < next)
            next = model->at_ms[i];
    return next;
}

/* What fired must be what was due, once each, in order. */
static void compare_fired(struct model *model, const struct timer *timers, uint64_t now)
{
    uint64_t last = 0;
    for (size_t i = 0; i < n_fired; i++) {
        size_t which = (size_t)(fired[i] - timers);
        assert_true(model->is_set[which]);
        assert_true(model->at_ms[which] <= now && model->at_ms[which] >= last);
        last = model->at_ms[which];
        model->is_set[which] = false;
    }
    assert_true(model_next(model) > now);
}

static void thousands_of_random_changes_match_a_naive_model(void **state)
{
    (void)state;
    static struct timer timers[N_TIMERS];
    static struct model model;
    struct timer_heap heap;
    uint64_t seed = 1, now = 1000;
    timer_heap_init(&heap);
    for (size_t i = 0; i < N_TIMERS; i++)
        timer_init(&timers[i], note);
    for (size_t step = 0; step < N_STEPS; step++) {
        unsigned which = random_below(&seed, N_TIMERS), what = random_below(&seed, 10);
        if (what < 6) {
            model.at_ms[which] = now + random_below(&seed, 300);
            model.is_set[which] = true;
            set(&heap, &timers[which], model.at_ms[which]);
        } else if (what < 8) {
            model.is_set[which] = false;
            timer_clear(&heap, &timers[which]);
        } else {
            now += random_below(&seed, 30);
            n_fired = 0;
            timer_heap_fire(&heap, now);
            compare_fired(&model, timers, now);
        }
        assert_int_equal(timer_is_set(&timers[which]), model.is_set[which]);
        assert_true(timer_heap_next(&heap) == model_next(&model));
    }
    timer_heap_deinit(&heap);
}

#define EACH_ANEW(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ANEW(timers_fire_in_the_order_of_their_deadlines),
        EACH_ANEW(a_moved_timer_fires_at_its_new_time_only),
        EACH_ANEW(a_cleared_timer_does_not_fire_and_clearing_twice_is_harmless),
        EACH_ANEW(a_timer_that_sets_itself_again_does_not_keep_the_loop),
        EACH_ANEW(a_handler_may_clear_a_timer_that_is_due_too),
        EACH_ANEW(without_memory_a_new_timer_is_refused_and_a_set_one_can_be_moved),
        EACH_ANEW(thousands_of_random_changes_match_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
