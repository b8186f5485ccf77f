/* The questions sys.c asks before each call in a build with fault injection. */
#ifndef SOCKEYE_IO_SYS_FAULT_H
#define SOCKEYE_IO_SYS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

bool sys_fault_fails(const char *call, int typical_errno);
bool sys_fault_late(const char *call);
size_t sys_fault_size(size_t n);
void sys_fault_pass(const char *call);

#define FAULT_FAILS(call, typical) sys_fault_fails(call, typical)
#define FAULT_LATE(call) sys_fault_late(call)
#define FAULT_SIZE(n) sys_fault_size(n)
#define FAULT_NAME(call) sys_fault_pass(call)

#endif
