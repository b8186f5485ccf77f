/* Addresses and sockets to listen on that get in each other's way. */
#ifndef SOCKEYE_CONFIG_CONFLICTS_H
#define SOCKEYE_CONFIG_CONFLICTS_H

#include "config/keys.h"

/* Says which of all that the inbounds listen on cannot be listened on beside another. */
void conflicts_check(struct reading *reading);

#endif
