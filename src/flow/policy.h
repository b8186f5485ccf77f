/*
 * Which addresses an inbound's clients may reach. Denied unless its allow_targets names them:
 * every address and port we listen on ourselves (only an entry with that port lifts it), 0.0.0.0/8
 * and ::, multicast, link-local, and loopback for an inbound that others than this machine can
 * reach. deny_targets denies further ones, and allow_targets lifts that too.
 */
#ifndef SOCKEYE_FLOW_POLICY_H
#define SOCKEYE_FLOW_POLICY_H

#include <stdbool.h>

#include "base/addr.h"

struct inbound;

bool policy_allows(const struct inbound *inbound, const struct addr *to);

#endif
