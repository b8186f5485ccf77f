/*
 * A flow moves to another worker, once, at its start: what its outbound needs is there (outbound_ops.home), and no byte
 * of it shall ever cross threads. Between request and opening a flow owns little: its client's descriptor, what was held of the client's
 * bytes and of answers, and the request.
 *
 *     OPENING here --> MOVED          OPENING there, by the same outbound
 *                 `----- mail: descriptor, flow, request ----^
 */
#ifndef SOCKEYE_FLOW_MOVING_H
#define SOCKEYE_FLOW_MOVING_H

#include <stdbool.h>

#include "base/err.h"

struct flow;
struct flow_env;

/* Whether the flow can: its client has a socket. */
bool moving_can(const struct flow *flow);

/* Sends off a flow whose opening is set up and not begun; the flow is gone then. ERR_MEMORY: it stays as it is. */
NODISCARD enum err moving_begin(struct flow *flow, struct flow_env *to);

#endif
