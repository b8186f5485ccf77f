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
 * Only what comes from the address of the TCP connection is taken, and from the port that was
 * announced, or else that of the first datagram. A way is opened when the first datagram is to go
 * by it; what comes meanwhile waits, up to a bound. At rest an association owns its sockets and no
 * buffer.
 *
 * A client that comes by a tunnel has a stream in place of connection and socket (struct packets), whose datagrams name their
 * targets themselves.
 */
#ifndef SOCKEYE_FLOW_ASSOCIATION_H
#define SOCKEYE_FLOW_ASSOCIATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "flow/packets.h"
#include "io/datagram.h"
#include "io/slab.h"

struct flow;
struct request;
struct way;

struct association {
    struct list link; /* in env->associated */
    struct flow *flow;
    struct datagram_sock sock; /* towards the client ... */
    struct packets *by_tunnel; /* ... or this, which is part of flow->client; NULL: the socket */
    struct addr client;        /* port 0: not known yet */
    struct list ways;          /* those of the outbounds that were needed so far */
    struct list questions;     /* targets whose rules want their addresses first */
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

/*
 * Makes an association for the flow; *at becomes where it takes datagrams, family NONE by a tunnel. ERR_COMMAND: the client
 * has come by no IP. ERR_LIMIT, ERR_PORTS, ERR_DESCRIPTORS, ERR_MEMORY: no room, and none could be made.
 */
NODISCARD enum err association_new(struct association **out, struct flow *flow,
                                   const struct request *request, struct addr *at);
void association_free(struct association *association); /* NULL is fine */

#endif
