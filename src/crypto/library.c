#include "crypto/library.h"

#include <dlfcn.h>
#include <string.h>

bool library_find(void *library, const struct library_function *functions, size_t n, void *into)
{
    for (size_t i = 0; i < n; i++) {
        void *function = dlsym(library, functions[i].name);
        if (function == NULL)
            return false;
        /* POSIX lets a pointer to a function be stored so. */
        memcpy((char *)into + functions[i].offset, &function, sizeof function);
    }
    return true;
}
