/*
 * ACCEPTANCE 70: each system call fails in its turn, is short or is late, while flows run. One that
 * fails may harm its own flow; short and late ones nobody. (These two need the poll backend: they
 * make up a socket that is used up, and epoll will not say again that it is not.)
 */
#include "plays.h"

#include <sys/time.h>

struct plan {
    enum loop_backend backend;
    enum sys_fault fault;
};

/* Calls that must have suffered at least once, or the plays are not what they should be. */
static const char *const expected[] = {
    "accept",   "connect", "getsockname", "getsockopt", "map",    "pipe",   "pipe_set_size", "recv",
    "recvfrom", "send",    "shutdown",    "setsockopt", "socket", "splice", "writev",
};
static bool was_hit[N_ITEMS(expected)];

static void note_hit(const char *hit)
{
    for (size_t i = 0; i < N_ITEMS(expected); i++)
        was_hit[i] |= strcmp(expected[i], hit) == 0;
}

/* Returns false when the nth comes after the play's end. */
static bool play_with_fault(const struct play *play, const void *arg, uint64_t n)
{
    const struct plan *plan = arg;
    world_open(plan->backend, play);
    sys_fault_set(plan->fault, n);
    world_play(play);
    const char *hit = sys_fault_hit();
    sys_fault_set(SYS_FAULT_NONE, 0);
    world_assert_suffering(play, plan->fault == SYS_FAULT_FAIL ? hit : NULL, n);
    world_assert_serves(play);
    world_close(play);
    if (hit != NULL)
        note_hit(hit);
    return hit != NULL;
}

static void each_call(void **state)
{
    memset(was_hit, 0, sizeof was_hit);
    if (SLAB_USES_MALLOC)
        note_hit("map"); /* slabs do without it */
    world_play_each(plays, N_ITEMS(plays), play_with_fault, *state);
    for (size_t i = 0; i < N_ITEMS(expected); i++)
        if (!was_hit[i])
            fail_msg("%s was never called", expected[i]);
}

static void on_alarm(int signal)
{
    (void)signal;
}

static void acc_70_signals_all_the_time_are_not_noticed(void **state)
{
    struct sigaction action = {.sa_handler = on_alarm}, before; /* without SA_RESTART */
    struct itimerval often = {.it_interval.tv_usec = 300, .it_value.tv_usec = 300}, never = {0};
    for (size_t i = 0; i < N_ITEMS(plays); i++) {
        world_open(backend_of(state), &plays[i]);
        assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
        assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
        world_play(&plays[i]);
        assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
        assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
        world_assert_suffering(&plays[i], NULL, 0);
        world_close(&plays[i]);
    }
}

int main(void)
{
    static struct plan fail_epoll = {LOOP_EPOLL, SYS_FAULT_FAIL};
    static struct plan fail_poll = {LOOP_POLL, SYS_FAULT_FAIL};
    static struct plan short_poll = {LOOP_POLL, SYS_FAULT_SHORT};
    static struct plan late_poll = {LOOP_POLL, SYS_FAULT_LATE};
    const struct CMUnitTest tests[] = {
        {"acc_70_each_call_fails (epoll)", each_call, world_forget_faults, NULL, &fail_epoll},
        {"acc_70_each_call_fails (poll)", each_call, world_forget_faults, NULL, &fail_poll},
        {"acc_70_each_call_is_short (poll)", each_call, world_forget_faults, NULL, &short_poll},
        {"acc_70_each_call_is_late (poll)", each_call, world_forget_faults, NULL, &late_poll},
        ON_BOTH(acc_70_signals_all_the_time_are_not_noticed),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
