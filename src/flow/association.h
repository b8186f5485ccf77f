/*
 * An association (RFC 1928 section 7): a client's datagrams, each to a target of its own, and what
 * comes back.
 *
 *                     TCP connection: as long as it lives, so does the association
 *     client  ----------------------------------------------------------------------  flow
 *        |                                                                             |
 *        +-- header, payload --> socket of ours --> rules --> way of an outbound ------+--> target
 *        +<- header, payload --- socket of ours <------------ way of an outbound <-----+--- anyone
 *
 * Whom datagrams are taken from says flow/udp_relay.h. A way is opened when the first datagram is to go
 * by it; what comes meanwhile waits, up to a bound. At rest an association owns its sockets and no
 * buffer.
 *
 * The client's side may be elsewhere, and its datagrams come by a tunnel (struct packets), whose targets they name themselves: at a
 * far end by the stream that is connection and socket at once, and at a near end that is listened for (`listen_via`) by one from
 * where the client is, beside that of its connection. So the far end of that one has an association too: its client is the stream,
 * its only way the relay.
 */
#ifndef SOCKEYE_FLOW_ASSOCIATION_H
#define SOCKEYE_FLOW_ASSOCIATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "flow/packets.h"
#include "flow/udp_relay.h"
#include "io/slab.h"

struct flow;
struct way;

struct association {
    struct list link; /* in env->associated */
    struct flow *flow;
    struct packets *client; /* its datagrams: `relay`, or what came by a tunnel */
    bool is_own;            /* `client` is part of flow->client, with which it is closed */
    struct udp_relay relay;
    struct list ways;      /* those of the outbounds that were needed so far */
    struct way *only;      /* by which all go, whatever rules say; NULL: they decide */
    struct list questions; /* targets whose rules want their addresses first */
    unsigned n_questions;
    struct packet_queue waiting; /* for those answers */
    /* The address that was sent to last, for datagrams come in runs. */
    struct addr last;
    bool is_last_allowed;
    struct way *last_way;
    uint64_t last_at_ms;
    struct slab *slab; /* where it came from */
    struct deferred freeing;
};

/* What one begins with. */
struct association_start {
    struct target announced; /* where the client will send from, if it knows */
    struct packets
        *client;    /* its datagrams, where they come by a tunnel; NULL: by a relay of ours */
    bool is_own;    /* they are part of flow->client; else taken when it succeeds */
    struct addr at; /* where the client sends to, with them; family NONE: unknown */
};

/*
 * Makes an association for the flow; start->at becomes where the relay is that was made. ERR_COMMAND: the client
 * has come by no IP. ERR_LIMIT, ERR_PORTS, ERR_DESCRIPTORS, ERR_MEMORY: no room, and none could be made.
 */
NODISCARD enum err association_new(struct association **out, struct flow *flow,
                                   struct association_start *start);
void association_free(struct association *association); /* NULL is fine */

#endif
