#include "link/coding.h"

#include <string.h>

static enum err encode_none(const struct coding *coding, struct coding_state *state,
                            const uint8_t *plain, size_t n, uint8_t *wire, size_t cap,
                            size_t *n_wire)
{
    (void)coding;
    if (n > cap)
        return ERR_TOO_LONG;
    if (n > 0)
        memcpy(wire, plain, n);
    state->n_plain += n;
    state->n_wire += n;
    *n_wire = n;
    return ERR_NONE;
}

static enum err decode_none(const struct coding *coding, struct coding_state *state,
                            const uint8_t *wire, size_t n_wire, size_t *used, uint8_t *plain,
                            size_t n, size_t *n_plain)
{
    (void)coding;
    *used = *n_plain = n_wire < n ? n_wire : n;
    if (*used > 0)
        memcpy(plain, wire, *used);
    state->n_plain += *used;
    state->n_wire += *used;
    return *used == n ? ERR_NONE : ERR_MORE;
}

const struct coding_family coding_none = {
    .name = "none",
    .encode = encode_none,
    .decode = decode_none,
};
