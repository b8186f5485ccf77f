/* The configuration's structs turned into those of flows. */
#ifndef SOCKEYE_DAEMON_CONVERT_H
#define SOCKEYE_DAEMON_CONVERT_H

#include "daemon/runtime.h"

/* Fills in the ruleset and what else follows from runtime->config. ERR_MEMORY: convert_free() is for
 * the caller all the same. */
NODISCARD enum err convert_config(struct runtime *runtime);
void convert_free(struct runtime *runtime);

#endif
