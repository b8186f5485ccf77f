/*
 * What all workers share: the configuration in the form that flows use. It does not change while
 * workers run, but for the counts in it.
 */
#ifndef SOCKEYE_DAEMON_RUNTIME_H
#define SOCKEYE_DAEMON_RUNTIME_H

#include "config/config.h"
#include "flow/env.h"
#include "flow/inbound.h"
#include "flow/outbound.h"

struct runtime {
    const struct config *config; /* borrowed */
    struct inbound *inbounds;    /* as many as the configuration's */
    struct outbound *outbounds;
    struct flow_shared shared;
    struct flow_limits limits;
    enum dial_prefer prefer;
};

/* Borrows the configuration for as long as it lives. ERR_MEMORY. What is listened on, and how many
 * connections the descriptors allow, is for the caller to fill in. */
NODISCARD enum err runtime_init(struct runtime *runtime, const struct config *config);
void runtime_deinit(struct runtime *runtime);

#endif
