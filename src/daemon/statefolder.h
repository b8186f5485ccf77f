/* The folder for what must survive a restart. */
#ifndef SOCKEYE_DAEMON_STATEFOLDER_H
#define SOCKEYE_DAEMON_STATEFOLDER_H

#include "config/config.h"
#include "daemon/paths.h"

/*
 * Finds it: what `state` says, or else $STATE_DIRECTORY, /var/lib/sockeye for root, and for others
 * $XDG_STATE_HOME/sockeye or ~/.local/state/sockeye. Where it is not there it is made, with the folders
 * above it, for the user that the process goes on as. Its path is in `out` whatever comes back, "" if
 * there is none to be had.
 *
 * ERR_NOT_FOUND: there is none. ERR_TOO_LONG: so is its path. ERR_PERMITTED, ERR_SYSTEM: it could not be
 * made; errno has the system's word.
 */
NODISCARD enum err statefolder_make(char out[static PATHS_BYTES], const struct config *config);

#endif
