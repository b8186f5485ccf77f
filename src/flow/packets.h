/*
 * A way for datagrams, as an outbound gives it for an association: each is sent to a target of its
 * own, and each that comes in has the target that sent it.
 *
 * Bytes have room in front of them, both ways, for a header of SOCKS5 with the target that they come with, which whoever has them may
 * overwrite: so each layer puts its header in front, and none copies. It takes PACKET_HEADROOM bytes at most.
 */
#ifndef SOCKEYE_FLOW_PACKETS_H
#define SOCKEYE_FLOW_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/list.h"
#include "flow/counters.h"

/* RSV, FRAG, ATYP, a length, a name and a port: the largest header of RFC 1928 section 7. */
#define PACKET_HEADROOM 262

/* What UDP carries over IPv4 at most. */
#define PACKET_MAX_BYTES 65507

struct flow_env;
struct packets;

struct packets_ops {
    /* Never blocks: what cannot go is dropped and counted. */
    void (*send)(struct packets *, const struct target *to, uint8_t *bytes, size_t n);
    /* Ends and gives back; nothing is called any more. */
    void (*close)(struct packets *);
};

struct packets {
    const struct packets_ops *ops;
    void (*on_packet)(struct packets *, const struct target *from, uint8_t *bytes, size_t n);
    /* Whether what is sent to a name may go to this address of it, for whoever looks names up. */
    bool (*may_go)(const struct packets *, const struct target *to, const struct addr *addr);
    /* It will carry no more, and is still to be closed. */
    void (*on_broken)(struct packets *, enum err);
    void *owner; /* of whoever set these */
};

/* Datagrams that wait until a way is open or a name is known: no more than so much, what they are
 * kept in included; it counts as memory that flows hold. */
#define PACKET_QUEUE_BYTES ((size_t)64 * 1024)

struct packet {
    struct list link;
    struct target to;
    size_t n;
    uint8_t room[]; /* PACKET_HEADROOM, then n bytes */
};

struct packet_queue {
    struct list packets;
    size_t n_bytes;
};

void packet_queue_init(struct packet_queue *queue);
/* Keeps a copy; what there is no room for is dropped and counted. */
void packet_queue_put(struct packet_queue *queue, struct flow_env *env, const struct target *to,
                      const uint8_t *bytes, size_t n);
/* Returns the first, owned (free), of those to this target's name or, with NULL, of all. NULL: there
 * is none. */
struct packet *packet_queue_take(struct packet_queue *queue, struct flow_env *env,
                                 const struct target *to);
/* Drops those, counted so. */
void packet_queue_drop(struct packet_queue *queue, struct flow_env *env, const struct target *to,
                       enum drop why);

#endif
