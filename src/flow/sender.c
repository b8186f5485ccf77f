#include "flow/sender.h"

#include "flow/env.h"
#include "flow/aliases.h"
#include "io/socket.h"

/* A family for which there was no socket is tried again after this. */
#define RETRY_MS 1000

enum { V4, V6, N_FAMILIES };

struct sender {
    struct packets packets;
    struct flow_env *env;
    const struct sock_options *options;
    struct aliases aliases;
    struct datagram_sock socks[N_FAMILIES];
    uint64_t retry_at_ms[N_FAMILIES];
    struct deferred freeing;
};

size_t sender_bytes(void)
{
    return sizeof(struct sender);
}

static struct sender *sender_of(struct packets *packets)
{
    return CONTAINER_OF(packets, struct sender, packets);
}

static void on_datagram(struct sender *sender, const struct addr *from, uint8_t *bytes, size_t n)
{
    struct target target = {.addr = *from};
    aliases_restore(&sender->aliases, &target);
    sender->packets.on_packet(&sender->packets, &target, bytes, n);
}

static void on_datagram4(struct datagram_sock *sock, const struct addr *from, uint8_t *bytes,
                         size_t n)
{
    on_datagram(CONTAINER_OF(sock, struct sender, socks[V4]), from, bytes, n);
}

static void on_datagram6(struct datagram_sock *sock, const struct addr *from, uint8_t *bytes,
                         size_t n)
{
    on_datagram(CONTAINER_OF(sock, struct sender, socks[V6]), from, bytes, n);
}

static bool is_served(enum dial_prefer prefer, int family)
{
    return !(prefer == DIAL_V4_ONLY && family == V6) && !(prefer == DIAL_V6_ONLY && family == V4);
}

static bool is_open(struct sender *sender, int family)
{
    struct datagram_sock *sock = &sender->socks[family];
    uint64_t now_ms = loop_now_ms(sender->env->loop);
    if (datagram_is_open(sock))
        return true;
    if (!is_served(sender->env->prefer, family) || now_ms < sender->retry_at_ms[family])
        return false;
    enum err err =
        datagram_open_towards(sock, &sender->env->datagrams, family == V4 ? ADDR_V4 : ADDR_V6,
                              sender->options, family == V4 ? on_datagram4 : on_datagram6);
    if (err != ERR_NONE)
        sender->retry_at_ms[family] = now_ms + RETRY_MS;
    return err == ERR_NONE;
}

static void send_to(struct sender *sender, const struct addr *to, uint8_t *bytes, size_t n)
{
    int family = to->family == ADDR_V4 ? V4 : V6;
    if (is_open(sender, family))
        datagram_send(&sender->socks[family], to, bytes, n);
    else
        sender->env->counters.dropped[DROP_UNSENT]++;
}

static bool allows(struct aliases *aliases, const struct target *to, const struct addr *addr)
{
    const struct packets *packets = &CONTAINER_OF(aliases, struct sender, aliases)->packets;
    return packets->may_go(packets, to, addr);
}

static void send_named(struct aliases *aliases, const struct addr *to, uint8_t *bytes, size_t n)
{
    send_to(CONTAINER_OF(aliases, struct sender, aliases), to, bytes, n);
}

static void sender_send(struct packets *packets, const struct target *to, uint8_t *bytes, size_t n)
{
    struct sender *sender = sender_of(packets);
    if (to->name_bytes > 0) {
        aliases_send(&sender->aliases, to, bytes, n);
        return;
    }
    struct addr addr = to->addr;
    addr_unmap(&addr);
    aliases_shadow(&sender->aliases, &addr);
    send_to(sender, &addr, bytes, n);
}

static void free_sender(struct deferred *deferred)
{
    struct sender *sender = CONTAINER_OF(deferred, struct sender, freeing);
    slab_put(&sender->env->senders, sender);
}

static void sender_close(struct packets *packets)
{
    struct sender *sender = sender_of(packets);
    aliases_deinit(&sender->aliases);
    for (int i = 0; i < N_FAMILIES; i++)
        datagram_close(&sender->socks[i]);
    loop_defer(sender->env->loop, &sender->freeing, free_sender);
}

static const struct packets_ops sender_ops = {.send = sender_send, .close = sender_close};

enum err sender_open(struct opening *opening, const struct sock_options *options)
{
    struct flow_env *env = opening->env;
    struct sender *sender = slab_get(&env->senders);
    if (sender == NULL)
        return ERR_MEMORY;
    sender->packets.ops = &sender_ops;
    sender->env = env;
    sender->options = options;
    aliases_init(&sender->aliases, env, allows, send_named);
    opening->packets = &sender->packets;
    return ERR_NONE;
}
