/*
 * Slabs: what they hand out, and that memory goes back to the system. Under AddressSanitizer a
 * slab's objects are malloc's, so there the tests of chunks have nothing to test and say so.
 */
#include "loops.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/slab.h"
#include "io/sys.h"
#include "random.h"

enum { OBJECT_BYTES = 600, N_MANY = 2000 };

static void skip_without_chunks(void)
{
#if SLAB_USES_MALLOC
    skip();
#endif
}

/* Whether the page that holds the address is still mapped. */
static bool is_mapped(const void *address)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char resident;
    void *begin = (void *)((uintptr_t)address & ~(page - 1));
    if (mincore(begin, 1, &resident) == 0)
        return true;
    assert_int_equal(errno, ENOMEM);
    return false;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void objects_are_zeroed_the_second_time_too(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES);
    for (int i = 0; i < 3; i++) {
        uint8_t *object = slab_get(&slab);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % 16, 0);
        assert_true(is_zero(object, OBJECT_BYTES));
        memset(object, 0xff, OBJECT_BYTES);
        assert_int_equal(slab.n_used, 1);
        slab_put(&slab, object);
    }
    slab_put(&slab, NULL);
    assert_int_equal(slab.n_used, 0);
    slab_deinit(&slab);
}

/* Objects are filled with their own number: an overlap would show. */
static void random_use_never_overlaps(void **state)
{
    (void)state;
    static uint8_t *objects[N_MANY];
    struct slab slab;
    uint64_t seed = 2;
    size_t n_used = 0;
    slab_init(&slab, OBJECT_BYTES);
    for (unsigned step = 0; step < 5 * N_MANY; step++) {
        unsigned which = random_below(&seed, N_MANY);
        uint8_t mark = (uint8_t)(which * 7 + 1);
        if (objects[which] == NULL) {
            objects[which] = slab_get(&slab);
            assert_true(is_zero(objects[which], OBJECT_BYTES));
            memset(objects[which], mark, OBJECT_BYTES);
            n_used++;
        } else {
            for (size_t i = 0; i < OBJECT_BYTES; i++)
                assert_int_equal(objects[which][i], mark);
            slab_put(&slab, objects[which]);
            objects[which] = NULL;
            n_used--;
        }
        assert_int_equal(slab.n_used, n_used);
    }
    for (size_t i = 0; i < N_MANY; i++) {
        slab_put(&slab, objects[i]);
        objects[i] = NULL;
    }
    assert_int_equal(slab.n_used, 0);
    slab_deinit(&slab);
}

static size_t count_mapped(void *const *objects, size_t n)
{
    size_t n_mapped = 0;
    for (size_t i = 0; i < n; i++)
        n_mapped += is_mapped(objects[i]);
    return n_mapped;
}

static void memory_of_a_burst_goes_back_but_for_one_chunk(void **state)
{
    (void)state;
    skip_without_chunks();
    static void *objects[N_MANY];
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES);
    for (size_t i = 0; i < N_MANY; i++)
        objects[i] = slab_get(&slab);
    assert_int_equal(count_mapped(objects, N_MANY), N_MANY);
    for (size_t i = 0; i < N_MANY; i++)
        slab_put(&slab, objects[i]);
    /* A chunk's objects lie in its 64 KiB. */
    size_t n_mapped = count_mapped(objects, N_MANY);
    assert_true(n_mapped > 0 && n_mapped <= 64 * 1024 / OBJECT_BYTES);
    slab_deinit(&slab);
    assert_int_equal(count_mapped(objects, N_MANY), 0);
}

static void a_slab_that_goes_up_and_down_by_one_does_not_map_and_unmap(void **state)
{
    (void)state;
    skip_without_chunks();
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES);
    slab_put(&slab, slab_get(&slab));
    sys_fault_set(SYS_FAULT_NONE, 0);
    for (int i = 0; i < 100; i++)
        slab_put(&slab, slab_get(&slab));
    assert_int_equal(sys_fault_count(), 0);
    slab_deinit(&slab);
}

static void without_memory_it_says_so_and_serves_again_later(void **state)
{
    (void)state;
    skip_without_chunks();
    struct slab slab;
    slab_init(&slab, OBJECT_BYTES);
    sys_fault_set(SYS_FAULT_FAIL, 1);
    assert_null(slab_get(&slab));
    assert_string_equal(sys_fault_hit(), "map");
    sys_fault_set(SYS_FAULT_NONE, 0);
    assert_int_equal(slab.n_used, 0);
    void *object = slab_get(&slab);
    assert_non_null(object);
    slab_put(&slab, object);
    slab_deinit(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_the_second_time_too),
        cmocka_unit_test(random_use_never_overlaps),
        cmocka_unit_test(memory_of_a_burst_goes_back_but_for_one_chunk),
        cmocka_unit_test(a_slab_that_goes_up_and_down_by_one_does_not_map_and_unmap),
        cmocka_unit_test(without_memory_it_says_so_and_serves_again_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
