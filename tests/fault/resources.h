/*
 * Counts the memory that the program maps itself, and the descriptors that it closes without having
 * them, by -Wl,--wrap=sys_map,--wrap=sys_map_file,--wrap=sys_unmap,--wrap=sys_close. Include it once.
 */
#ifndef SOCKEYE_TESTS_RESOURCES_H
#define SOCKEYE_TESTS_RESOURCES_H

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_sys_map(size_t n);
void *__real_sys_map_file(int fd, size_t n);
void __real_sys_unmap(void *memory, size_t n);
int __real_sys_close(int fd);
void *__wrap_sys_map(size_t n);
void *__wrap_sys_map_file(int fd, size_t n);
void __wrap_sys_unmap(void *memory, size_t n);
int __wrap_sys_close(int fd);

static _Atomic(int64_t) n_mapped_bytes; /* and not unmapped */
static _Atomic(unsigned) n_bad_closes;

void *__wrap_sys_map(size_t n)
{
    void *memory = __real_sys_map(n);
    n_mapped_bytes += memory == NULL ? 0 : (int64_t)n;
    return memory;
}

void *__wrap_sys_map_file(int fd, size_t n)
{
    void *memory = __real_sys_map_file(fd, n);
    n_mapped_bytes += memory == NULL ? 0 : (int64_t)n;
    return memory;
}

void __wrap_sys_unmap(void *memory, size_t n)
{
    n_mapped_bytes -= (int64_t)n;
    __real_sys_unmap(memory, n);
}

int __wrap_sys_close(int fd)
{
    int result = __real_sys_close(fd);
    n_bad_closes += result < 0 && errno == EBADF;
    return result;
}
/* NOLINTEND(bugprone-reserved-identifier) */

#endif
