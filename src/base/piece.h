/* Bytes that lie somewhere, borrowed. Arrays of them are how scattered bytes are given as one. */
#ifndef SOCKEYE_BASE_PIECE_H
#define SOCKEYE_BASE_PIECE_H

#include <stddef.h>

struct piece {
    const void *bytes;
    size_t n;
};

#endif
