/*
 * Fault injection: calls are counted, and the nth suffers. One process, one plan; the counters are
 * atomic so that tests with several workers may run with a plan too.
 */
#include "io/sys_fault.h"

#include <errno.h>
#include <stdatomic.h>

#include "io/sys.h"

static _Atomic(enum sys_fault) plan;
static _Atomic(uint64_t) plan_nth;
static _Atomic(uint64_t) n_calls;
static _Atomic(bool) is_hit_now; /* the call being made is the one */
static _Atomic(const char *) last_hit;

void sys_fault_set(enum sys_fault fault, uint64_t n)
{
    plan = fault;
    plan_nth = n;
    n_calls = 0;
    is_hit_now = false;
    last_hit = NULL;
}

uint64_t sys_fault_count(void)
{
    return n_calls;
}

const char *sys_fault_hit(void)
{
    return last_hit;
}

void sys_fault_pass(const char *call)
{
    uint64_t mine = ++n_calls;
    is_hit_now = plan != SYS_FAULT_NONE && (plan_nth == 0 || mine == plan_nth);
    if (is_hit_now)
        last_hit = call;
}

bool sys_fault_fails(const char *call, int typical_errno)
{
    sys_fault_pass(call);
    if (!is_hit_now || plan != SYS_FAULT_FAIL)
        return false;
    errno = typical_errno;
    return true;
}

bool sys_fault_late(const char *call)
{
    (void)call;
    if (!is_hit_now || plan != SYS_FAULT_LATE)
        return false;
    errno = EAGAIN;
    return true;
}

size_t sys_fault_size(size_t n)
{
    return is_hit_now && plan == SYS_FAULT_SHORT && n > 1 ? 1 : n;
}
