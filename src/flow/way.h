/* How an association's datagrams go by one outbound; private to flow/. */
#ifndef SOCKEYE_FLOW_WAY_H
#define SOCKEYE_FLOW_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/idle.h"
#include "flow/outbound.h"
#include "flow/packets.h"
#include "io/slab.h"

struct association;

struct way {
    struct list link; /* in its association's */
    struct association *association;
    struct outbound *outbound;
    struct opening opening;
    struct packets *packets; /* NULL: not open */
    bool is_opening;
    struct idle_wait wait; /* for that */
    struct packet_queue waiting;
    uint64_t retry_at_ms; /* after a failure */
    struct slab *slab;    /* where it came from */
    struct deferred freeing;
};

/* Returns it as one of the association's, not open yet; NULL: out of memory. */
struct way *way_new(struct association *association, struct outbound *outbound);
void way_free(struct way *way);
/* It is open already, by these. */
void way_take(struct way *way, struct packets *packets);

/* Sends by it, which opens it first where it is not open. */
void way_send(struct way *way, const struct target *to, uint8_t *bytes, size_t n);

/* What env->ways_opening calls. */
void way_on_expired(struct idle_wait *wait);

/* association.c: what came by a way. */
void association_on_packet(struct association *association, const struct target *from,
                           uint8_t *bytes, size_t n);

#endif
