/* ACCEPTANCE 70: each allocation fails in its turn, those of c-ares too, while flows run. */
#include "plays.h"

/* Returns false when the nth comes after the play's end. */
static bool play_with_fault(const struct play *play, const void *arg, uint64_t n)
{
    world_open(*(const enum loop_backend *)arg, play);
    allocator_fail(n);
    world_play(play);
    bool was_hit = n_allocations >= n;
    allocator_fail(0);
    world_assert_suffering(play, was_hit ? "allocation" : NULL, n);
    world_assert_serves(play);
    world_close(play);
    return was_hit;
}

static void acc_70_each_allocation_fails(void **state)
{
    world_play_each(plays, N_ITEMS(plays), play_with_fault, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(acc_70_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
