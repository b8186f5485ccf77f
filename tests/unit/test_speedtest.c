/* What a far end gives whoever measures: zeros without end, room without end, for a bounded time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "flow/env.h"
#include "outbound/outbounds.h"

struct bench {
    struct flow_env *env;
    struct endpoint *ep;
    unsigned events, n_calls;
};

static void on_ready(struct endpoint *ep, unsigned events)
{
    struct bench *bench = ep->owner;
    bench->events = events;
    bench->n_calls++;
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    bench->env = calloc(1, sizeof *bench->env);
    bench->env->loop = loop_new(LOOP_POLL);
    struct opening opening = {.env = bench->env, .is_speedtest = true};
    assert_int_equal(outbound_speedtest.ops->open(&outbound_speedtest, &opening), ERR_NONE);
    bench->ep = opening.endpoint;
    bench->ep->owner = bench;
    bench->ep->on_ready = on_ready;
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    endpoint_close(bench->ep, true);
    loop_run_deferred(bench->env->loop);
    assert_int_equal(loop_n_watches(bench->env->loop), 0);
    loop_free(bench->env->loop);
    free(bench->env);
    free(bench);
    return 0;
}

static void it_gives_zeros_and_takes_anything_until_the_fin(void **state)
{
    const struct bench *bench = *state;
    static uint8_t bytes[100000];
    static const uint8_t zeros[sizeof bytes];
    size_t n;

    for (int i = 0; i < 3; i++) {
        memset(bytes, 1, sizeof bytes);
        assert_int_equal(endpoint_read(bench->ep, bytes, sizeof bytes, &n), ERR_NONE);
        assert_int_equal(n, sizeof bytes);
        assert_memory_equal(bytes, zeros, n);
        assert_int_equal(endpoint_write(bench->ep, bytes, sizeof bytes, &n), ERR_NONE);
        assert_int_equal(n, sizeof bytes);
    }
    assert_int_equal(endpoint_shutdown(bench->ep), ERR_NONE);
    assert_int_equal(endpoint_read(bench->ep, bytes, sizeof bytes, &n), ERR_EOF);
}

static void it_is_always_ready_and_wakes_nobody_who_wants_nothing(void **state)
{
    struct bench *bench = *state;

    assert_true(endpoint_is_ready(bench->ep, LOOP_READ) &&
                endpoint_is_ready(bench->ep, LOOP_WRITE));
    assert_true(loop_turn(bench->env->loop, 0));
    assert_int_equal(bench->n_calls, 0);
    endpoint_want(bench->ep, LOOP_WRITE);
    for (unsigned i = 1; i <= 3; i++) {
        endpoint_used_up(bench->ep, LOOP_WRITE);
        assert_true(loop_turn(bench->env->loop, 0));
        assert_int_equal(bench->n_calls, i);
        assert_int_equal(bench->events, LOOP_WRITE);
    }
}

static void it_is_over_when_it_has_lasted(void **state)
{
    struct bench *bench = *state;
    struct loop *loop = bench->env->loop;
    uint64_t now_ms = loop_now_ms(loop);
    uint8_t byte = 0;
    size_t n;

    timer_heap_fire(loop_timers(loop), now_ms + OUTBOUND_SPEEDTEST_MS - 1000);
    assert_false(endpoint_is_broken(bench->ep));
    timer_heap_fire(loop_timers(loop), now_ms + OUTBOUND_SPEEDTEST_MS + 1000);
    assert_true(endpoint_is_broken(bench->ep));
    assert_true(loop_turn(loop, 0));
    assert_int_equal(bench->events & LOOP_ERROR, LOOP_ERROR);
    assert_int_equal(endpoint_read(bench->ep, &byte, 1, &n), ERR_LIMIT);
    assert_int_equal(endpoint_write(bench->ep, &byte, 1, &n), ERR_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_gives_zeros_and_takes_anything_until_the_fin),
        TEST(it_is_always_ready_and_wakes_nobody_who_wants_nothing),
        TEST(it_is_over_when_it_has_lasted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
