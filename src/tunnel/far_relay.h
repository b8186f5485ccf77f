/*
 * Reverse, at the far end: the UDP relay (flow/udp_relay.h) of a client whose connection a listener of a session has taken and who asks
 * the near end for UDP ASSOCIATE. It is where that client can reach it, so it is here; the rest of the association is at the near end.
 *
 *     client ==UDP== relay <-- association --> stream of kind 3 ===tunnel=== association --> targets
 *       '-------TCP-- flow --> stream of kind 2 ==========tunnel============ flow: SOCKS5
 *
 * The association here is a flow of the tunnel inbound, with its limits and idle time; its only way is the relay.
 */
#ifndef SOCKEYE_TUNNEL_FAR_RELAY_H
#define SOCKEYE_TUNNEL_FAR_RELAY_H

#include "flow/outbound.h"

/* As outbound_ops.associate, always at once; opening->state is the client's endpoint. `bound` becomes where it sends to. */
NODISCARD enum err far_relay_open(struct outbound *outbound, struct opening *opening);

#endif
