/* E of doc/protocol.md, section 1: every use of a key has a label of its own. */
#ifndef SOCKEYE_LINK_DERIVE_H
#define SOCKEYE_LINK_DERIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/piece.h"

/* Fills out with n bytes: Expand(prk, "sockeye-v1 " || label || 0x00 || context, n). */
void link_derive(uint8_t *out, size_t n, const uint8_t prk[static 32], const char *label,
                 struct piece context);

#endif
