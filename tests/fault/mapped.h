/* Counts the memory that the program maps itself, by -Wl,--wrap=sys_map,--wrap=sys_unmap. Include
 * it once. */
#ifndef SOCKEYE_TESTS_MAPPED_H
#define SOCKEYE_TESTS_MAPPED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_sys_map(size_t n);
void __real_sys_unmap(void *memory, size_t n);
void *__wrap_sys_map(size_t n);
void __wrap_sys_unmap(void *memory, size_t n);

static _Atomic(int64_t) n_mapped_bytes; /* and not unmapped */

void *__wrap_sys_map(size_t n)
{
    void *memory = __real_sys_map(n);
    n_mapped_bytes += memory == NULL ? 0 : (int64_t)n;
    return memory;
}

void __wrap_sys_unmap(void *memory, size_t n)
{
    n_mapped_bytes -= (int64_t)n;
    __real_sys_unmap(memory, n);
}
/* NOLINTEND(bugprone-reserved-identifier) */

#endif
