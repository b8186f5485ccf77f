/* The pair of keys of an identity. */
#ifndef SOCKEYE_CLI_KEYPAIR_H
#define SOCKEYE_CLI_KEYPAIR_H

#include "crypto/sign.h"

/* Makes NAME.key, for its owner alone, and NAME.pub; neither where there is one of them. Returns 0 or
 * an exit code, after saying why. */
NODISCARD int keypair_make(enum sign_kind kind, const char *name);

#endif
