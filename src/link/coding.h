/*
 * How the bytes of a flight become bytes on the wire, and back (doc/protocol.md, section 10): a table of families behind one
 * interface; the server's key chooses family and parameters. There is one way only to write each thing.
 */
#ifndef SOCKEYE_LINK_CODING_H
#define SOCKEYE_LINK_CODING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct coding; /* parameters of one server, immutable */

/* Where an encoder or decoder of one flight stands. */
struct coding_state {
    uint64_t n_plain, n_wire;
    uint8_t place[48]; /* the family's own */
};

struct coding_family {
    const char *name;
    /* Writes the next n plain bytes as wire bytes; ERR_TOO_LONG: there is no room for them in `cap`. */
    enum err (*encode)(const struct coding *, struct coding_state *, const uint8_t *plain, size_t n,
                       uint8_t *wire, size_t cap, size_t *n_wire);
    /* Reads wire bytes until `n` plain bytes are whole: ERR_NONE and *used. ERR_MORE: all were used, *n_plain are there.
     * ERR_BAD: nobody writes so. */
    enum err (*decode)(const struct coding *, struct coding_state *, const uint8_t *wire,
                       size_t n_wire, size_t *used, uint8_t *plain, size_t n, size_t *n_plain);
};

extern const struct coding_family coding_none;

#endif
