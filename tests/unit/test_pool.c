/* Large chunks of a worker's tunnels: which are kept, whom they serve, and when they go back. */
#include "loops.h"

#include "flow/env.h"
#include "io/sys.h"
#include "tunnel/pool.h"

enum { SMALL = 60 * 1024, MIDDLE = 90 * 1024, LARGE = 250 * 1024, HUGE_BYTES = 1024 * 1024 };

static size_t n_mapped;

void *__real_sys_map(size_t n);
void __real_sys_unmap(void *memory, size_t n);
void *__wrap_sys_map(size_t n);
void __wrap_sys_unmap(void *memory, size_t n);

void *__wrap_sys_map(size_t n)
{
    n_mapped++;
    return __real_sys_map(n);
}

void __wrap_sys_unmap(void *memory, size_t n)
{
    n_mapped--;
    __real_sys_unmap(memory, n);
}

static struct {
    struct flow_shared shared;
    struct flow_env flow;
    struct pool pool;
} test;

static int set_up(void **state)
{
    (void)state;
    test.flow = (struct flow_env){.loop = loop_new(LOOP_EPOLL), .shared = &test.shared};
    pool_init(&test.pool, &test.flow);
    n_mapped = 0;
    return test.flow.loop == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    pool_deinit(&test.pool);
    loop_free(test.flow.loop);
    return n_mapped != 0 || atomic_load(&test.shared.n_held_bytes) != 0;
}

static struct chunk *get(size_t n)
{
    struct chunk *chunk = chunk_get(&test.pool.source, n);
    assert_non_null(chunk);
    assert_true(chunk->cap >= n);
    return chunk;
}

static void get_and_release(size_t n, size_t times)
{
    struct chunk *chunks[16];
    for (size_t i = 0; i < times; i++)
        chunks[i] = get(n);
    for (size_t i = 0; i < times; i++)
        chunk_release(chunks[i]);
}

static void a_spare_one_is_found_however_many_of_another_size_were_kept_behind_it(void **state)
{
    (void)state;
    get_and_release(LARGE, 1);
    get_and_release(SMALL, 16);
    assert_int_equal(n_mapped, 17);
    struct chunk *chunk = get(LARGE);
    assert_int_equal(n_mapped, 17);
    chunk_release(chunk);
}

static void a_spare_one_serves_who_needs_half_of_it_and_nobody_who_needs_less(void **state)
{
    (void)state;
    get_and_release(LARGE, 1);
    struct chunk *small = get(SMALL);
    assert_int_equal(n_mapped, 2);
    struct chunk *larger = get(LARGE * 2 / 3);
    assert_int_equal(n_mapped, 2);
    chunk_release(small);
    chunk_release(larger);
    struct chunk *middle = get(MIDDLE);
    assert_int_equal(n_mapped, 3);
    chunk_release(middle);
}

static void one_that_is_larger_than_any_that_is_wanted_goes_back_at_once(void **state)
{
    (void)state;
    get_and_release(HUGE_BYTES, 1);
    assert_int_equal(n_mapped, 0);
}

static void what_nobody_wants_for_a_while_goes_back_and_what_is_wanted_stays(void **state)
{
    (void)state;
    get_and_release(SMALL, 3);
    get_and_release(LARGE, 1);
    /* Whoever wants one again and again finds it. */
    TURN_UNTIL(test.flow.loop, (get_and_release(LARGE, 1), n_mapped == 1));
    TURN_UNTIL(test.flow.loop, n_mapped == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_spare_one_is_found_however_many_of_another_size_were_kept_behind_it),
        TEST(a_spare_one_serves_who_needs_half_of_it_and_nobody_who_needs_less),
        TEST(one_that_is_larger_than_any_that_is_wanted_goes_back_at_once),
        TEST(what_nobody_wants_for_a_while_goes_back_and_what_is_wanted_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
