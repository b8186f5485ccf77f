/* What tests of a running loop share: both backends, patience, time, open descriptors. */
#ifndef SOCKEYE_TESTS_LOOPS_H
#define SOCKEYE_TESTS_LOOPS_H

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/loop.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define PATIENCE_MS 20000 /* for what must happen; nothing here is a matter of speed */

static inline uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline size_t count_fds(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* Turns until the condition holds, which it must in time. */
#define TURN_UNTIL(loop, condition)                                        \
    do {                                                                   \
        uint64_t turn_end = now_ms() + PATIENCE_MS;                        \
        while (!(condition)) {                                             \
            if (now_ms() > turn_end)                                       \
                fail_msg("not within %d ms: %s", PATIENCE_MS, #condition); \
            assert_true(loop_turn(loop, 1));                               \
        }                                                                  \
    } while (0)

/* Turns without waiting: what the system has to say is heard, and nothing else passes. */
static inline void turn_at_once(struct loop *loop, unsigned n)
{
    while (n-- > 0)
        assert_true(loop_turn(loop, 0));
}

static inline void turn_for(struct loop *loop, unsigned ms)
{
    uint64_t end = now_ms() + ms;
    while (now_ms() < end)
        assert_true(loop_turn(loop, 5));
}

/* Turns it until this process has been stopped for so long while it waited. */
static inline void turn_stopped_for(struct loop *loop, unsigned ms)
{
    uint64_t before_us = loop_stopped_us(loop);
    for (int i = 0; i < 5 && loop_stopped_us(loop) - before_us < ms * UINT64_C(500); i++) {
        pid_t us = getpid(), it = fork();
        assert_true(it >= 0);
        if (it == 0) {
            usleep(50000);
            kill(us, SIGSTOP);
            usleep(ms * 1000);
            kill(us, SIGCONT);
            _exit(0);
        }
        while (waitpid(it, NULL, WNOHANG) == 0)
            assert_true(loop_turn(loop, 100));
    }
}

static inline enum loop_backend backend_of(void **state)
{
    return *(enum loop_backend *)*state;
}

/* A test on each backend. */
#define ON_BOTH(test)                                                       \
    {#test " (epoll)", test, NULL, NULL, &(enum loop_backend){LOOP_EPOLL}}, \
    {                                                                       \
#test " (poll)", test, NULL, NULL, &(enum loop_backend)             \
        {                                                                   \
            LOOP_POLL                                                       \
        }                                                                   \
    }

#endif
