/* The outbounds of this folder (flow/outbound.h says what one is). */
#ifndef SOCKEYE_OUTBOUND_OUTBOUNDS_H
#define SOCKEYE_OUTBOUND_OUTBOUNDS_H

#include "flow/outbound.h"
#include "io/socket.h"

/* Connects to the target itself; it is the `base` of a struct outbound_direct. */
extern const struct outbound_ops outbound_direct;

struct outbound_direct {
    struct outbound base;
    struct sock_options options; /* its texts are borrowed */
};

/* Denies everything. */
extern const struct outbound_ops outbound_block;

#endif
