#include "outbound/socks_udp.h"

#include <assert.h>
#include <stdlib.h>

#include "flow/env.h"
#include "io/datagram.h"
#include "io/endpoint.h"
#include "wire/socks5.h"

static_assert(PACKET_HEADROOM >= SOCKS5_UDP_HEADER_MAX_BYTES, "a header has room in front");

struct socks_udp {
    struct packets packets;
    struct flow_env *env;
    struct endpoint *control;
    struct addr relay;
    struct datagram_sock sock;
    struct deferred freeing;
};

static struct socks_udp *socks_udp_of(struct packets *packets)
{
    return CONTAINER_OF(packets, struct socks_udp, packets);
}

static void on_datagram(struct datagram_sock *sock, const struct addr *from, uint8_t *bytes,
                        size_t n)
{
    struct socks_udp *udp = CONTAINER_OF(sock, struct socks_udp, sock);
    struct socks5_datagram header;
    size_t used;
    if (!addr_equal(from, &udp->relay, true))
        return;
    if (socks5_parse_datagram(bytes, n, &header, &used) != ERR_NONE || header.fragment != 0)
        return;
    udp->packets.on_packet(&udp->packets, &header.target, bytes + used, n - used);
}

static void send_packet(struct packets *packets, const struct target *to, uint8_t *bytes, size_t n)
{
    struct socks_udp *udp = socks_udp_of(packets);
    uint8_t *header = socks5_put_udp_header(bytes, to);
    datagram_send(&udp->sock, &udp->relay, header, n + (size_t)(bytes - header));
}

static void free_socks_udp(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct socks_udp, freeing));
}

static void close_packets(struct packets *packets)
{
    struct socks_udp *udp = socks_udp_of(packets);
    datagram_close(&udp->sock);
    endpoint_close(udp->control, false);
    loop_defer(udp->env->loop, &udp->freeing, free_socks_udp);
}

/* The upstream has nothing more to say but that it ends. */
static void on_control_ready(struct endpoint *ep, unsigned events)
{
    struct socks_udp *udp = ep->owner;
    uint8_t bytes[64];
    size_t n;
    enum err err = endpoint_read(ep, bytes, sizeof bytes, &n);
    if (err == ERR_AGAIN && events & LOOP_ERROR && endpoint_is_broken(ep))
        err = ERR_RESET;
    if (err != ERR_NONE && err != ERR_AGAIN)
        udp->packets.on_broken(&udp->packets, err);
}

enum err socks_udp_new(struct packets **out, struct flow_env *env, struct endpoint *control,
                       const struct addr *relay, const struct sock_options *options)
{
    static const struct packets_ops ops = {.send = send_packet, .close = close_packets};
    struct socks_udp *udp = calloc(1, sizeof *udp);
    if (udp == NULL)
        return ERR_MEMORY;
    enum err err = datagram_open_towards(&udp->sock, &env->datagrams,
                                         (enum addr_family)relay->family, options, on_datagram);
    if (err != ERR_NONE) {
        free(udp);
        return err;
    }
    datagram_connect(&udp->sock, relay);
    udp->packets.ops = &ops;
    udp->env = env;
    udp->control = control;
    udp->relay = *relay;
    control->on_ready = on_control_ready;
    control->owner = udp;
    endpoint_want(control, LOOP_READ);
    if (env->limits.keepalive_s > 0)
        endpoint_keep_alive(control, env->limits.keepalive_s);
    *out = &udp->packets;
    return ERR_NONE;
}
