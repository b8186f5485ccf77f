/*
 * A way for datagrams, as an outbound gives it for an association: each is sent to a target of its
 * own, and each that comes in has the target that sent it.
 *
 * Bytes have PACKET_HEADROOM bytes of room in front of them, both ways, which whoever has them may
 * overwrite: so each layer puts its header in front, and none copies.
 */
#ifndef SOCKEYE_FLOW_PACKETS_H
#define SOCKEYE_FLOW_PACKETS_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

/* RSV, FRAG, ATYP, a length, a name and a port: the largest header of RFC 1928 section 7. */
#define PACKET_HEADROOM 262

/* What UDP carries over IPv4 at most. */
#define PACKET_MAX_BYTES 65507

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
    /* It will carry no more, and is still to be closed. */
    void (*on_broken)(struct packets *, enum err);
    void *owner; /* of whoever set the two */
};

#endif
