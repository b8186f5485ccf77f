/*
 * The UDP relay of RFC 1928 section 7, for one client: a socket of ours to which it sends, each datagram behind a header that says
 * where to, and from which it gets what comes back, likewise. To whoever uses it it is a way (flow/packets.h) without headers.
 *
 *     client --header, payload--> socket --packets.on_packet(target, payload)-->
 *            <--header, payload-- socket <--packets.ops->send(sender, payload)--
 *
 * Only what comes from the client's address is taken, and from the port that it has announced, or else that of its first datagram.
 * Nothing goes to where nothing has come from: who may have us relay may not have us send to whatever port of its host.
 */
#ifndef SOCKEYE_FLOW_UDP_RELAY_H
#define SOCKEYE_FLOW_UDP_RELAY_H

#include "base/addr.h"
#include "flow/packets.h"
#include "io/datagram.h"

struct flow;
struct flow_env;

struct udp_relay {
    struct packets packets;
    struct flow_env *env;
    struct datagram_sock sock;
    struct addr client; /* port 0: not known yet */
    bool has_come;      /* something, from there */
};

/* Opens it, all zero before, for the client of a flow, whose inbound's `udp` has the ports; *at, by which address of ours the client
 * has reached us, becomes that of the socket. `announced` is where it will send from by its own account, of which nothing need be
 * true. ERR_PORTS, ERR_DESCRIPTORS: there is none, and no other association could make room. ERR_MEMORY, ERR_SYSTEM. */
NODISCARD enum err udp_relay_open(struct udp_relay *relay, struct flow *flow,
                                  const struct target *announced, struct addr *at);
/* As packets_ops.send, for ops of others. */
void udp_relay_send(struct packets *packets, const struct target *from, uint8_t *bytes, size_t n);
/* Nothing is called any more; what it is part of is freed by loop_defer(). */
void udp_relay_close(struct udp_relay *relay);

#endif
