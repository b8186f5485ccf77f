/* The configuration's tunnels turned into those that run; of convert.c only. */
#ifndef SOCKEYE_DAEMON_CONVERT_TUNNEL_H
#define SOCKEYE_DAEMON_CONVERT_TUNNEL_H

#include "config/config.h"
#include "flow/inbound.h"
#include "flow/outbound.h"
#include "tunnel/tunnels.h"

/* Of the configuration `from` is an outbound. Returned owned. ERR_NOT_FOUND: there is no libcrypto; ERR_BAD: a key file has changed since it was checked;
 * ERR_MEMORY. */
NODISCARD enum err convert_tunnel_outbound(struct outbound **out, struct tunnels *tunnels,
                                           const struct config *config,
                                           const struct config_outbound *from);

/* Gives a tunnel inbound what all workers share of it, and whom it lets in; to be released and freed, whatever this returns. `state` is
 * the folder for what must survive a restart, NULL: there is none. As above. */
NODISCARD enum err convert_tunnel_inbound(struct inbound *inbound, struct tunnels *tunnels,
                                          const char *state, const struct config *config,
                                          const struct config_inbound *from);

#endif
