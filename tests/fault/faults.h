/*
 * Each fault in its turn: a scene is played again and again, and each time one more of the system calls (io/sys_fault.c) or of the
 * allocations that it makes goes wrong, until it is over before the nth has come. After each of them nothing may be left.
 *
 *     static void scene(struct fault *fault)
 *     {
 *         begin(fault->backend);
 *         fault_begin(fault);
 *         play();
 *         fault_end(fault);        // from here on fault->hit says what was met
 *         ... assert what must hold all the same ...
 *         end();
 *     }
 *
 * Include it once.
 */
#ifndef SOCKEYE_TESTS_FAULTS_H
#define SOCKEYE_TESTS_FAULTS_H

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "../unit/allocator.h"
#include "../unit/loops.h"
#include "io/sys.h"
#include "resources.h"

struct fault {
    enum loop_backend backend;
    enum sys_fault kind; /* NONE: an allocation fails */
    const char *title;   /* of what is played; NULL: there is but one */
    uint64_t nth;        /* from 1 */
    const char *hit;     /* the call that met it; NULL: it has not come */
};

static inline void fault_begin(const struct fault *fault)
{
    sys_fault_set(fault->kind, fault->nth);
    allocator_fail(fault->kind == SYS_FAULT_NONE ? fault->nth : 0);
}

static inline void fault_end(struct fault *fault)
{
    const char *allocation = n_allocations >= fault->nth ? "allocation" : NULL;
    fault->hit = fault->kind == SYS_FAULT_NONE ? allocation : sys_fault_hit();
    sys_fault_set(SYS_FAULT_NONE, 0);
    allocator_fail(0);
}

/* What is short or late, but does not fail, must not be noticed. */
static inline bool fault_may_harm(const struct fault *fault)
{
    return fault->hit != NULL && fault->kind <= SYS_FAULT_FAIL;
}

#define FAULT_FAIL(fault, ...)                                                                  \
    do {                                                                                        \
        print_message("%s: fault %u, %s:\n", (fault)->title == NULL ? "scene" : (fault)->title, \
                      (unsigned)(fault)->nth, (fault)->hit == NULL ? "none" : (fault)->hit);    \
        fail_msg(__VA_ARGS__);                                                                  \
    } while (0)

/* Returns how many have come. */
static inline uint64_t fault_count(struct fault *fault, void (*scene)(struct fault *))
{
    fault->nth = 0;
    do {
        size_t n_fds = count_fds();
        int64_t n_blocks_before = n_blocks, n_mapped_before = n_mapped_bytes;
        fault->nth++;
        fault->hit = NULL;
        scene(fault);
        int64_t n_blocks_left = n_blocks - n_blocks_before;
        int64_t n_mapped_left = n_mapped_bytes - n_mapped_before;
        int n_fds_left = (int)count_fds() - (int)n_fds;
        if (n_blocks_left != 0 || n_mapped_left != 0 || n_fds_left != 0)
            FAULT_FAIL(fault, "%d blocks, %d bytes and %d descriptors are left", (int)n_blocks_left,
                       (int)n_mapped_left, n_fds_left);
        if (n_bad_closes > 0)
            FAULT_FAIL(fault, "what was not open was closed");
    } while (fault->hit != NULL);
    return fault->nth - 1;
}

/* A scene that makes fewer calls, or allocations, than `least` is not what it should be. */
static inline void fault_each(struct fault *fault, void (*scene)(struct fault *), uint64_t least)
{
    uint64_t n = fault_count(fault, scene);
    print_message("             %u faults\n", (unsigned)n);
    assert_true(n >= least);
}

/* Thousands of connections had better end in a network of their own, where nobody else takes a port that has just become free. Who may not
 * make one plays in the machine's. */
static inline void leave_network(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWNET) != 0)
        return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    close(fd);
}

/* After a test that has failed, and leaves its fault behind. */
static inline int fault_forget(void **state)
{
    (void)state;
    sys_fault_set(SYS_FAULT_NONE, 0);
    allocator_fail(0);
    return 0;
}

/* Rows of a table of tests, which get their fault as their state. */
#define FAULT_TEST(name, test, loop, what)              \
    {                                                   \
        name, test, NULL, fault_forget, &(struct fault) \
        {                                               \
            .backend = (loop), .kind = (what)           \
        }                                               \
    }
#define EACH_CALL_FAILS(acc, test)                                                \
    FAULT_TEST(acc "_each_call_fails (epoll)", test, LOOP_EPOLL, SYS_FAULT_FAIL), \
        FAULT_TEST(acc "_each_call_fails (poll)", test, LOOP_POLL, SYS_FAULT_FAIL)
/* They make up a socket that is used up, and epoll would not say again that it is not. */
#define EACH_CALL_IS_SHORT_OR_LATE(acc, test)                                       \
    FAULT_TEST(acc "_each_call_is_short (poll)", test, LOOP_POLL, SYS_FAULT_SHORT), \
        FAULT_TEST(acc "_each_call_is_late (poll)", test, LOOP_POLL, SYS_FAULT_LATE)
#define EACH_ALLOCATION_FAILS(acc, test)                                                \
    FAULT_TEST(acc "_each_allocation_fails (epoll)", test, LOOP_EPOLL, SYS_FAULT_NONE), \
        FAULT_TEST(acc "_each_allocation_fails (poll)", test, LOOP_POLL, SYS_FAULT_NONE)

#endif
