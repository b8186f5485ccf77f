/* The outbounds of this folder (flow/outbound.h says what one is). */
#ifndef SOCKEYE_OUTBOUND_OUTBOUNDS_H
#define SOCKEYE_OUTBOUND_OUTBOUNDS_H

#include "flow/outbound.h"

/* Connects to the target itself. */
extern const struct outbound_ops outbound_direct;

/* Denies everything. */
extern const struct outbound_ops outbound_block;

#endif
