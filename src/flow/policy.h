/*
 * Which addresses an inbound's clients may reach. Denied unless its allow_targets names them:
 * every address and port we listen on ourselves (only an entry with that port lifts it), 0.0.0.0/8
 * and ::, multicast, link-local, and loopback for an inbound that others than this machine can
 * reach. deny_targets denies further ones, and allow_targets lifts that too. A user of a tunnel may have
 * lists of his own, which decide before those.
 */
#ifndef SOCKEYE_FLOW_POLICY_H
#define SOCKEYE_FLOW_POLICY_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/err.h"

struct inbound;
struct opening;
struct user_rights;

/* `rights` are those of the user, asked first; NULL: there are none. */
bool policy_allows(const struct inbound *inbound, const struct user_rights *rights,
                   const struct addr *to);

/* The same for an outbound that sends the target on to whoever reaches it: a name is theirs to judge.
 * ERR_DENIED; ERR_ADDRESS_TYPE: an address with a zone, which is this machine's own. */
NODISCARD enum err policy_judge_sent_on(const struct opening *opening);

#endif
