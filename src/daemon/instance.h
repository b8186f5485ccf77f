/* By what the far ends of tunnels know this installation again: 16 random bytes, kept over restarts. */
#ifndef SOCKEYE_DAEMON_INSTANCE_H
#define SOCKEYE_DAEMON_INSTANCE_H

#include <stdint.h>

#include "base/err.h"
#include "session/session.h"

/* Reads them from the file in the folder for what must survive a restart. Where there is none it is made of those at
 * `instance`, which stay where that cannot be: the next start is another installation then, and so is a second process that
 * shares the folder with a first, as their sessions would take each other's place. Returns a descriptor that holds the file as long as
 * it is open, or -1. */
NODISCARD int instance_load(uint8_t instance[static INSTANCE_BYTES], const char *folder);

#endif
