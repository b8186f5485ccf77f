/* A folder of a test's own. */
#ifndef SOCKEYE_TESTS_FOLDER_H
#define SOCKEYE_TESTS_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* In memory where that can be: who makes thousands of them does not wait for a disk. */
static inline void folder_make(char path[static 32])
{
    strcpy(path, "/dev/shm/sockeye-test-XXXXXX");
    if (mkdtemp(path) != NULL)
        return;
    strcpy(path, "/tmp/sockeye-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

#endif
