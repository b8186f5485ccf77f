#include "io/random.h"

#include <stdlib.h>

#include "io/sys.h"

static void fill(struct rng *rng, void *bytes, size_t n)
{
    (void)rng;
    /* getrandom() fails where the kernel lacks it or a filter forbids it. Keys cannot be made of
     * anything else, and whoever draws has no way on. */
    if (sys_random(bytes, n) != ERR_NONE)
        abort();
}

struct rng system_rng = {.fill = fill};
