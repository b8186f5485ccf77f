/* ACCEPTANCE 70: each system call fails in its turn, while flows run. */
#include "plays.h"

struct plan {
    enum loop_backend backend;
    enum sys_fault fault;
    unsigned n_may_suffer;
};

/* Returns false when the nth comes after the play's end. */
static bool play_with_fault(const struct play *play, const struct plan *plan, uint64_t n)
{
    world_open(plan->backend, play);
    sys_fault_set(plan->fault, n);
    world_play(play);
    const char *hit = sys_fault_hit();
    sys_fault_set(SYS_FAULT_NONE, 0);
    unsigned n_may = plan->n_may_suffer == 0 || hit == NULL ? 0
                     : play->n_may_suffer > 0               ? play->n_may_suffer
                                                            : plan->n_may_suffer;
    if (world_count_suffering(play) > n_may)
        fail_msg("%s: call %d, %s: %u suffered", play->title, (int)n, hit == NULL ? "-" : hit,
                 world_count_suffering(play));
    world_assert_serves(play);
    world_close();
    return hit != NULL;
}

static void play_with_each_fault(void **state)
{
    const struct plan *plan = *state;
    unsigned n_all = 0;
    for (size_t i = 0; i < N_ITEMS(plays); i++) {
        int64_t n_blocks_before = n_blocks;
        uint64_t n = 1, begin = now_ms();
        while (play_with_fault(&plays[i], plan, n)) {
            if (n_blocks != n_blocks_before)
                fail_msg("%s: call %d: %d blocks are left", plays[i].title, (int)n,
                         (int)(n_blocks - n_blocks_before));
            n++;
        }
        n_all += (unsigned)n - 1;
        print_message("  %s: %u, %u ms\n", plays[i].title, (unsigned)n - 1, (unsigned)(now_ms() - begin));
    }
    print_message("             %u calls\n", n_all);
    assert_true(n_all > 500);
}

int main(void)
{
    static struct plan fail_epoll = {LOOP_EPOLL, SYS_FAULT_FAIL, 1};
    static struct plan fail_poll = {LOOP_POLL, SYS_FAULT_FAIL, 1};
    static struct plan short_poll = {LOOP_POLL, SYS_FAULT_SHORT, 0};
    static struct plan late_poll = {LOOP_POLL, SYS_FAULT_LATE, 0};
    const struct CMUnitTest tests[] = {
        {"acc_70 each call fails (epoll)", play_with_each_fault, NULL, NULL, &fail_epoll},
        {"acc_70 each call fails (poll)", play_with_each_fault, NULL, NULL, &fail_poll},
        {"acc_70 each call is short (poll)", play_with_each_fault, NULL, NULL, &short_poll},
        {"acc_70 each call is late (poll)", play_with_each_fault, NULL, NULL, &late_poll},
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
