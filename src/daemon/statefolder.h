/* The folder for what must survive a restart. */
#ifndef SOCKEYE_DAEMON_STATEFOLDER_H
#define SOCKEYE_DAEMON_STATEFOLDER_H

#include "config/config.h"
#include "daemon/paths.h"

/*
 * Finds it: what `state` says, or else $STATE_DIRECTORY, /var/lib/sockeye for root, and for others
 * $XDG_STATE_HOME/sockeye or ~/.local/state/sockeye. ERR_NOT_FOUND: there is none. ERR_TOO_LONG: so is
 * its path. Then `out` is "".
 */
NODISCARD enum err statefolder_find(char out[static PATHS_BYTES], const struct config *config);

/*
 * The same; where it is not there it is made, with the folders above it, for the user that the process
 * goes on as. ERR_PERMITTED, ERR_SYSTEM too: it could not be made; errno has the system's word, and
 * `out` its path.
 */
NODISCARD enum err statefolder_make(char out[static PATHS_BYTES], const struct config *config);

#endif
