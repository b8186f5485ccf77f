/* Changes are made in a network of this test's own, so that nothing else makes any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "io/netwatch.h"
#include "io/sys.h"

static bool has_own_network;
static uint64_t now_us; /* 0: the system's clock */

uint64_t __real_sys_monotonic_us(void);
uint64_t __wrap_sys_monotonic_us(void);

uint64_t __wrap_sys_monotonic_us(void)
{
    return now_us != 0 ? now_us : __real_sys_monotonic_us();
}

static void set_loopback_up(bool is_up)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = (short)(is_up ? IFF_UP : 0)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

static unsigned n_told;

static void on_changed(struct netwatch *netwatch)
{
    (void)netwatch;
    n_told++;
}

static void turn_for(struct loop *loop, uint64_t ms)
{
    uint64_t start = sys_monotonic_ms();
    while (sys_monotonic_ms() - start < ms)
        assert_true(loop_turn(loop, 10));
}

static void a_burst_of_changes_is_told_once(void **state)
{
    enum loop_backend *backend = *state;
    if (!has_own_network)
        skip();
    struct loop *loop = loop_new(*backend);
    struct netwatch netwatch;
    n_told = 0;
    set_loopback_up(false);
    assert_int_equal(netwatch_init(&netwatch, loop, on_changed), ERR_NONE);
    turn_for(loop, 2 * NETWATCH_SETTLE_MS);
    assert_int_equal(n_told, 0);

    uint64_t start = sys_monotonic_ms();
    set_loopback_up(true);
    while (n_told == 0 && sys_monotonic_ms() - start < 10000)
        assert_true(loop_turn(loop, 10));
    assert_true(sys_monotonic_ms() - start >= NETWATCH_SETTLE_MS);
    turn_for(loop, 2 * NETWATCH_SETTLE_MS);
    assert_int_equal(n_told, 1);
    /* At rest it does not wake the loop. */
    assert_true(timer_heap_next(loop_timers(loop)) == UINT64_MAX);

    set_loopback_up(false);
    turn_for(loop, 3 * NETWATCH_SETTLE_MS);
    assert_int_equal(n_told, 2);
    netwatch_deinit(&netwatch);
    loop_free(loop);
}

static void a_network_that_never_rests_is_told_of_too(void **state)
{
    enum loop_backend *backend = *state;
    if (!has_own_network)
        skip();
    struct loop *loop = loop_new(*backend);
    struct netwatch netwatch;
    n_told = 0;
    assert_int_equal(netwatch_init(&netwatch, loop, on_changed), ERR_NONE);
    for (int i = 0; i < 12; i++) {
        set_loopback_up(i % 2 == 0);
        turn_for(loop, NETWATCH_SETTLE_MS / 4);
    }
    assert_true(n_told >= 1);
    netwatch_deinit(&netwatch);
    loop_free(loop);
}

static void pass(struct loop *loop, uint64_t ms)
{
    now_us += ms * 1000;
    assert_true(loop_turn(loop, 0));
}

/* Whoever connects anew each time has enough time for that at last, and no change waits for much longer than they have gone on. */
static void changes_that_do_not_end_are_told_of_less_and_less_often(void **state)
{
    enum { STEP_MS = 50, ATTEMPT_MS = 10000 };
    enum loop_backend *backend = *state;
    if (!has_own_network)
        skip();
    now_us = 1000000000;
    struct loop *loop = loop_new(*backend);
    struct netwatch netwatch;
    n_told = 0;
    assert_int_equal(netwatch_init(&netwatch, loop, on_changed), ERR_NONE);
    uint64_t began_ms = loop_now_ms(loop), told_ms = began_ms, longest_ms = 0;
    for (unsigned i = 0; loop_now_ms(loop) - began_ms < 60000; i++) {
        unsigned n_before = n_told;
        set_loopback_up(i % 2 == 0);
        pass(loop, STEP_MS);
        if (n_told == n_before)
            continue;
        uint64_t pause_ms = loop_now_ms(loop) - told_ms;
        assert_in_range(pause_ms, NETWATCH_SETTLE_MS, told_ms - began_ms + 2 * NETWATCH_SETTLE_MS);
        longest_ms = pause_ms > longest_ms ? pause_ms : longest_ms;
        told_ms = loop_now_ms(loop);
    }
    assert_in_range(longest_ms, ATTEMPT_MS, 2 * ATTEMPT_MS);
    assert_in_range(n_told, 5, 10);

    /* What was not told yet is, and one behind a rest at once. */
    for (unsigned n_steps = 0; n_steps < 2 * ATTEMPT_MS / STEP_MS; n_steps++)
        pass(loop, STEP_MS);
    n_told = 0;
    set_loopback_up(true);
    set_loopback_up(false);
    pass(loop, 0);
    pass(loop, NETWATCH_SETTLE_MS);
    assert_int_equal(n_told, 1);
    netwatch_deinit(&netwatch);
    loop_free(loop);
    now_us = 0;
}

static void what_is_taken_down_tells_nothing_any_more(void **state)
{
    enum loop_backend *backend = *state;
    if (!has_own_network)
        skip();
    struct loop *loop = loop_new(*backend);
    struct netwatch netwatch;
    n_told = 0;
    set_loopback_up(false);
    assert_int_equal(netwatch_init(&netwatch, loop, on_changed), ERR_NONE);
    set_loopback_up(true);
    turn_for(loop, 50);
    assert_true(timer_is_set(&netwatch.timer));
    netwatch_deinit(&netwatch);
    netwatch_deinit(&netwatch);
    turn_for(loop, 2 * NETWATCH_SETTLE_MS);
    assert_int_equal(n_told, 0);
    assert_int_equal(loop_n_watches(loop), 0);
    loop_free(loop);
}

/* However many messages the system had to throw away. */
static void more_messages_than_are_kept_for_us_are_a_change(void **state)
{
    enum loop_backend *backend = *state;
    if (!has_own_network)
        skip();
    struct loop *loop = loop_new(*backend);
    struct netwatch netwatch;
    n_told = 0;
    assert_int_equal(netwatch_init(&netwatch, loop, on_changed), ERR_NONE);
    int smallest = 1;
    assert_int_equal(setsockopt(netwatch.fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest), 0);
    for (int i = 0; i < 20; i++)
        set_loopback_up(i % 2 == 0);
    turn_for(loop, 2 * NETWATCH_SETTLE_MS);
    assert_int_equal(n_told, 1);
    set_loopback_up(true);
    turn_for(loop, 3 * NETWATCH_SETTLE_MS);
    assert_int_equal(n_told, 2);
    netwatch_deinit(&netwatch);
    loop_free(loop);
}

static void each_call_may_fail(void **state)
{
    enum loop_backend *backend = *state;
    for (uint64_t n = 1;; n++) {
        struct loop *loop = loop_new(*backend);
        struct netwatch netwatch;
        sys_fault_set(SYS_FAULT_FAIL, n);
        enum err err = netwatch_init(&netwatch, loop, on_changed);
        bool was_hit = sys_fault_hit() != NULL;
        sys_fault_set(SYS_FAULT_NONE, 0);
        assert_true(was_hit == (err != ERR_NONE));
        assert_int_equal(loop_n_watches(loop), was_hit ? 0 : 1);
        netwatch_deinit(&netwatch);
        loop_free(loop);
        if (!was_hit) {
            assert_true(n > 2);
            return;
        }
    }
}

#define ON_BOTH(test)                                                       \
    {#test " (epoll)", test, NULL, NULL, &(enum loop_backend){LOOP_EPOLL}}, \
    {                                                                       \
#test " (poll)", test, NULL, NULL, &(enum loop_backend)             \
        {                                                                   \
            LOOP_POLL                                                       \
        }                                                                   \
    }

int main(void)
{
    /* Where neither is allowed, the tests that need it are skipped. */
    has_own_network = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_burst_of_changes_is_told_once),
        ON_BOTH(a_network_that_never_rests_is_told_of_too),
        ON_BOTH(changes_that_do_not_end_are_told_of_less_and_less_often),
        ON_BOTH(what_is_taken_down_tells_nothing_any_more),
        ON_BOTH(more_messages_than_are_kept_for_us_are_a_change),
        ON_BOTH(each_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
