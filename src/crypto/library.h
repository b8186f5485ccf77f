/* Functions of a library that is loaded when it is first wanted. For this folder only. */
#ifndef SOCKEYE_CRYPTO_LIBRARY_H
#define SOCKEYE_CRYPTO_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* Where in a struct the pointer to the function of this name belongs. */
struct library_function {
    const char *name;
    size_t offset;
};

/* Fills the struct in. False: the library, as dlopen() gives it, lacks one of them. */
bool library_find(void *library, const struct library_function *functions, size_t n, void *into);

#endif
