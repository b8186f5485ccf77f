/* What survives reloads, and who frees a ruleset. */
#include "loops.h"

#include "allocator.h"
#include "flow/counts.h"
#include "flow/ruleset.h"

static void the_same_name_is_the_same_object_for_as_long_as_anyone_holds_it(void **state)
{
    (void)state;
    struct counts counts;
    struct inbound_counts *first, *other, *again;
    int64_t n_blocks_before = n_blocks;
    counts_init(&counts);
    assert_int_equal(counts_hold(&counts, "lan", &first), ERR_NONE);
    assert_int_equal(counts_hold(&counts, "lab", &other), ERR_NONE);
    assert_int_equal(counts_hold(&counts, "lan", &again), ERR_NONE);
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
    first->n_connections = 7;
    counts_release(&counts, first);
    assert_int_equal(counts_hold(&counts, "lan", &first), ERR_NONE);
    assert_int_equal(first->n_connections, 7);
    counts_release(&counts, first);
    counts_release(&counts, again);
    assert_int_equal(counts_hold(&counts, "lan", &first), ERR_NONE);
    assert_int_equal(first->n_connections, 0);
    counts_release(&counts, first);
    counts_release(&counts, other);
    counts_release(&counts, NULL);
    counts_deinit(&counts);
    assert_int_equal(n_blocks, n_blocks_before);
}

static void without_memory_there_is_nothing_to_release(void **state)
{
    (void)state;
    struct counts counts;
    struct inbound_counts *held;
    counts_init(&counts);
    allocator_fail(1);
    assert_int_equal(counts_hold(&counts, "lan", &held), ERR_MEMORY);
    allocator_fail(0);
    assert_null(held);
    assert_int_equal(counts_hold(&counts, "lan", &held), ERR_NONE);
    counts_release(&counts, held);
    counts_deinit(&counts);
}

static struct ruleset *freed;

static void on_free(struct ruleset *ruleset)
{
    freed = ruleset;
}

static void the_last_to_let_go_frees_a_ruleset(void **state)
{
    (void)state;
    struct ruleset ruleset;
    ruleset_init(&ruleset, on_free);
    ruleset_hold(&ruleset);
    ruleset_release(&ruleset);
    assert_null(freed);
    ruleset_release(&ruleset);
    assert_ptr_equal(freed, &ruleset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_name_is_the_same_object_for_as_long_as_anyone_holds_it),
        cmocka_unit_test(without_memory_there_is_nothing_to_release),
        cmocka_unit_test(the_last_to_let_go_frees_a_ruleset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
