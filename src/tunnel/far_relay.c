#include "tunnel/far_relay.h"

#include <stdlib.h>

#include "flow/flow.h"
#include "flow/udp_relay.h"
#include "io/socket.h"

struct far_relay {
    struct udp_relay relay;
    struct deferred freeing;
};

static void free_relay(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct far_relay, freeing));
}

static void close_relay(struct packets *packets)
{
    struct udp_relay *relay = CONTAINER_OF(packets, struct udp_relay, packets);
    struct far_relay *mine = CONTAINER_OF(relay, struct far_relay, relay);
    udp_relay_close(relay);
    loop_defer(relay->env->loop, &mine->freeing, free_relay);
}

enum err far_relay_open(struct outbound *outbound, struct opening *opening)
{
    static const struct packets_ops ops = {.send = udp_relay_send, .close = close_relay};
    const struct endpoint *client = opening->state;
    struct far_relay *mine = calloc(1, sizeof *mine);
    (void)outbound;
    if (mine == NULL)
        return ERR_MEMORY;
    enum err err = sock_addr_of(client->fd, &opening->bound);
    if (err == ERR_NONE)
        err = udp_relay_open(&mine->relay, client->owner, &opening->target, &opening->bound);
    if (err != ERR_NONE) {
        free(mine);
        return err;
    }
    mine->relay.packets.ops = &ops;
    opening->packets = &mine->relay.packets;
    return ERR_NONE;
}
