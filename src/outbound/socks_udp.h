/*
 * A way for datagrams through an upstream's UDP ASSOCIATE (RFC 1928 section 7):
 *
 *     send --> header put in front --> socket --> the upstream's relay --> targets
 *     on_packet <-- header taken off <-- socket <-- from the relay only
 *
 * It lives as long as the connection by which it was asked for.
 */
#ifndef SOCKEYE_OUTBOUND_SOCKS_UDP_H
#define SOCKEYE_OUTBOUND_SOCKS_UDP_H

#include "base/addr.h"
#include "base/err.h"
#include "flow/packets.h"

struct endpoint;
struct sock_options;

/* Makes a way to the relay at that address. Takes the control connection when it succeeds. Options
 * (NULL: none) are of the socket. Errors are those of datagram_open_towards(). */
NODISCARD enum err socks_udp_new(struct packets **out, struct flow_env *env,
                                 struct endpoint *control, const struct addr *relay,
                                 const struct sock_options *options);

#endif
