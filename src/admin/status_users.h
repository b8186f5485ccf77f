/* Users of tunnels that have sessions, each with what his sessions add up to. */
#ifndef SOCKEYE_ADMIN_STATUS_USERS_H
#define SOCKEYE_ADMIN_STATUS_USERS_H

#include "daemon/status.h"

struct status_user {
    const char *name, *inbound; /* of the status */
    uint64_t n_sessions, n_links, streams_now, sent_bytes, received_bytes;
};

struct status_users {
    struct status_user *items; /* owned (free()), by name */
    size_t n;
};

/* ERR_MEMORY. */
NODISCARD enum err status_users_gather(struct status_users *out, const struct status *status);

#endif
