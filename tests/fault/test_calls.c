/*
 * ACCEPTANCE 70: each system call fails in its turn, is short or is late, and each allocation fails, those of c-ares too, while flows
 * run. One that fails may harm its own flow; short and late ones nobody.
 */
#include "plays.h"

#include <sys/time.h>

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

static const struct play *playing;

static void play_with_fault(struct fault *fault)
{
    world_open(fault->backend, playing);
    fault_begin(fault);
    world_play(playing);
    fault_end(fault);
    world_assert_suffering(playing, fault);
    world_assert_serves(playing, fault);
    world_close(playing);
    if (fault->hit != NULL)
        note_hit(fault->hit);
}

static void play_each(struct fault *fault)
{
    uint64_t n = 0;
    for (size_t i = 0; i < N_ITEMS(plays); i++) {
        playing = &plays[i];
        fault->title = playing->title;
        n += fault_count(fault, play_with_fault);
    }
    print_message("             %u faults\n", (unsigned)n);
    assert_true(n > 100);
}

static void with_each_call(void **state)
{
    memset(was_hit, 0, sizeof was_hit);
    if (SLAB_USES_MALLOC)
        note_hit("map"); /* slabs do without it */
    play_each(*state);
    for (size_t i = 0; i < N_ITEMS(expected); i++)
        if (!was_hit[i])
            fail_msg("%s was never called", expected[i]);
}

static void with_each_allocation(void **state)
{
    play_each(*state);
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
        world_assert_suffering(&plays[i], &(struct fault){.title = plays[i].title});
        world_close(&plays[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_70", with_each_call),
        EACH_CALL_IS_SHORT_OR_LATE("acc_70", with_each_call),
        EACH_ALLOCATION_FAILS("acc_70", with_each_allocation),
        ON_BOTH(acc_70_signals_all_the_time_are_not_noticed),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
