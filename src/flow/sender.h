/*
 * A way for datagrams by sockets of this machine: one for each family, opened when it is first
 * needed and used for every target, so that what anyone sends there reaches the client (RFC 4787:
 * endpoint-independent mapping and filtering). Names are looked up here (flow/aliases.h).
 */
#ifndef SOCKEYE_FLOW_SENDER_H
#define SOCKEYE_FLOW_SENDER_H

#include <stddef.h>

#include "flow/outbound.h"

struct sock_options;

/* As outbound_ops.associate, always at once; borrows the options as long as it lives. */
NODISCARD enum err sender_open(struct opening *opening, const struct sock_options *options);

size_t sender_bytes(void);

#endif
