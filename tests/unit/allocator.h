/*
 * An allocator whose nth call can be made to fail. A test that uses it is linked with
 *
 *     -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=free
 *
 * which turns the calls of everything linked into the program into those below. Include it once.
 */
#ifndef SOCKEYE_TESTS_ALLOCATOR_H
#define SOCKEYE_TESTS_ALLOCATOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t n);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t n);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static _Atomic(uint64_t) n_allocations;      /* since allocator_fail() */
static _Atomic(uint64_t) failing_allocation; /* 0: none fails */
static _Atomic(int64_t) n_blocks;            /* not freed yet */

/* From now on the nth allocation fails (1 is the next); 0: none. Counting begins anew. */
static inline void allocator_fail(uint64_t n)
{
    n_allocations = 0;
    failing_allocation = n;
}

static bool allocation_fails(void)
{
    return ++n_allocations == failing_allocation;
}

static void *count_block(void *memory)
{
    n_blocks += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t n)
{
    return allocation_fails() ? NULL : count_block(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : count_block(__real_calloc(n, size));
}

void *__wrap_realloc(void *memory, size_t n)
{
    if (allocation_fails())
        return NULL;
    return memory == NULL ? count_block(__real_malloc(n)) : __real_realloc(memory, n);
}

char *__wrap_strdup(const char *text)
{
    return allocation_fails() ? NULL : count_block(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    n_blocks -= memory != NULL;
    __real_free(memory);
}
/* NOLINTEND(bugprone-reserved-identifier) */

#endif
