/* What the files of the direct outbound need of one another; private to outbound/. */
#ifndef SOCKEYE_OUTBOUND_DIRECT_H
#define SOCKEYE_OUTBOUND_DIRECT_H

#include "outbound/outbounds.h"

/* direct_bind.c: BIND (RFC 1928 section 4), by a listening socket of our own. */
NODISCARD enum err direct_bind(struct opening *opening, const struct sock_options *options);
void direct_bind_cancel(struct opening *opening);

#endif
