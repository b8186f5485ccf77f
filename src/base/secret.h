/* Comparing and wiping what must not leak. */
#ifndef SOCKEYE_BASE_SECRET_H
#define SOCKEYE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Whether both texts are equal, in time that depends on the length of `given` only. */
bool secret_equal(const char *given, size_t n_given, const char *known, size_t n_known);

/* Overwrites n bytes; the compiler cannot leave it out. */
void secret_wipe(void *bytes, size_t n);

#endif
