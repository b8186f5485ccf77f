/*
 * Dialling (RFC 8305, "happy eyeballs"): the names' A and AAAA are asked apart, addresses are tried in turn,
 * families alternating, a new one every 250 ms or as soon as one fails; the first that connects
 * wins and the others are closed.
 *
 *     RESOLVING --> an answer, the preferred family or 50 ms later the other --> TRYING
 *     TRYING    --> one is connected --> done(ERR_NONE)
 *               --> none is left, neither to try nor to come --> done(why)
 *
 * The time limit is the caller's. Addresses that policy denies are skipped. Of several failures the one that says
 * most is told: a refusal says more than an unreachable network.
 */
#ifndef SOCKEYE_FLOW_DIAL_H
#define SOCKEYE_FLOW_DIAL_H

#include "flow/outbound.h"
#include "io/socket.h"

/* Opens a TCP connection to opening->target; opening->state is dial's. As outbound_ops.open. The
 * options are borrowed until it is over; NULL: none. */
NODISCARD enum err dial_open(struct opening *opening, const struct sock_options *options);
void dial_cancel(struct opening *opening);

/* The size of the objects in env->dials. */
size_t dial_bytes(void);

#endif
