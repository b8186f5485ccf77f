/* Addresses and sockets to listen on: those that get in each other's way, and those that we would
 * connect to ourselves. */
#ifndef SOCKEYE_CONFIG_CONFLICTS_H
#define SOCKEYE_CONFIG_CONFLICTS_H

#include "config/keys.h"

/* Says which of all that the inbounds listen on cannot be listened on beside another. */
void conflicts_check_listens(struct reading *reading);

/* Says which relays and upstreams lead back to an inbound. `root` is the whole file, of which the
 * rules have been read. */
void conflicts_check_targets(struct reading *reading, const struct node *root,
                             const struct config *config);

#endif
