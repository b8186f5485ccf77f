/* A piece of text inside somebody else's bytes: borrowed, not zero terminated. */
#ifndef SOCKEYE_WIRE_SLICE_H
#define SOCKEYE_WIRE_SLICE_H

#include <stddef.h>

struct slice {
    const char *at;
    size_t n;
};

#endif
