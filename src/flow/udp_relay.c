#include "flow/udp_relay.h"

#include <assert.h>

#include "flow/flow.h"
#include "flow/places.h"
#include "wire/socks5.h"

static_assert(PACKET_HEADROOM >= SOCKS5_UDP_HEADER_MAX_BYTES, "room for a header of SOCKS5");
static_assert(DATAGRAM_HEADROOM >= PACKET_HEADROOM, "what a socket gives has the room");

/* An announced address that is not the connection's was changed on the way, and then the port was too. */
static struct addr client_of(const struct flow *flow, const struct target *announced)
{
    struct addr client = flow->from;
    struct addr said = announced->addr;
    addr_unmap(&said);
    said.scope = client.scope; /* the request has no room for it */
    bool is_same = addr_is_unspecified(&said) || addr_equal(&said, &client, false);
    client.port = announced->name_bytes == 0 && is_same ? said.port : 0;
    return client;
}

static void on_datagram(struct datagram_sock *sock, const struct addr *from, uint8_t *bytes,
                        size_t n)
{
    struct udp_relay *relay = CONTAINER_OF(sock, struct udp_relay, sock);
    struct counters *counters = &relay->env->counters;
    if (!addr_equal(from, &relay->client, relay->client.port != 0)) {
        counters->dropped[DROP_FOREIGN]++;
        return;
    }
    struct socks5_datagram header;
    size_t n_header;
    if (socks5_parse_datagram(bytes, n, &header, &n_header) != ERR_NONE || header.fragment != 0 ||
        header.target.addr.port == 0) {
        counters->dropped[DROP_MALFORMED]++;
        return;
    }
    relay->has_come = true;
    if (relay->client.port == 0) {
        relay->client.port = from->port;
        datagram_connect(sock, from);
    }
    relay->packets.on_packet(&relay->packets, &header.target, bytes + n_header, n - n_header);
}

void udp_relay_send(struct packets *packets, const struct target *from, uint8_t *bytes, size_t n)
{
    struct udp_relay *relay = CONTAINER_OF(packets, struct udp_relay, packets);
    if (!relay->has_come) {
        relay->env->counters.dropped[DROP_UNSENT]++;
        return;
    }
    uint8_t *whole = socks5_put_udp_header(bytes, from);
    datagram_send(&relay->sock, &relay->client, whole, (size_t)(bytes - whole) + n);
}

void udp_relay_close(struct udp_relay *relay)
{
    datagram_close(&relay->sock);
}

static void close_relay(struct packets *packets)
{
    udp_relay_close(CONTAINER_OF(packets, struct udp_relay, packets));
}

static const struct packets_ops ops = {.send = udp_relay_send, .close = close_relay};

enum err udp_relay_open(struct udp_relay *relay, struct flow *flow, const struct target *announced,
                        struct addr *at)
{
    const struct inbound_command *udp = &flow->inbound->udp;
    relay->packets.ops = &ops;
    relay->env = flow->env;
    relay->client = client_of(flow, announced);
    for (bool has_tried = false;; has_tried = true) {
        enum err err = datagram_open_at(&relay->sock, &flow->env->datagrams, at, udp->port_from,
                                        udp->port_to, on_datagram);
        if (err == ERR_NONE && relay->client.port != 0)
            datagram_connect(&relay->sock, &relay->client);
        bool is_short = err == ERR_PORTS || err == ERR_DESCRIPTORS;
        if (!is_short || has_tried)
            return err;
        if (!places_make_room(flow, err == ERR_PORTS ? flow->inbound->counts : NULL))
            return err;
    }
}
