/*
 * One reading of the configuration and all that follows from it: the ruleset that flows hold, and
 * the limits that workers copy. It lives as long as its ruleset is held by anyone.
 */
#ifndef SOCKEYE_DAEMON_RUNTIME_H
#define SOCKEYE_DAEMON_RUNTIME_H

#include "config/config.h"
#include "flow/env.h"
#include "flow/inbound.h"
#include "flow/outbound.h"
#include "flow/ruleset.h"
#include "tunnel/tunnels.h"

struct runtime {
    struct ruleset ruleset; /* inbounds and outbounds stand in the order of the configuration's */
    struct config *config;  /* owned */
    struct flow_shared *shared;
    struct tunnels *tunnels;
    struct flow_limits limits;
    enum dial_prefer prefer;
};

/*
 * Takes the configuration when it succeeds; `shared` and `tunnels` are borrowed for as long as anyone
 * holds the runtime, which whoever calls this does first. ERR_MEMORY. With tunnels ERR_NOT_FOUND (there is no libcrypto).
 */
NODISCARD enum err runtime_new(struct runtime **out, struct config *config,
                               struct flow_shared *shared, struct tunnels *tunnels);
/* Why it failed. */
const char *runtime_complaint(enum err err);

/* Says what is listened on, n addresses, which are copied: before flows come. ERR_MEMORY. */
NODISCARD enum err runtime_set_listening(struct runtime *runtime, const struct addr *addrs,
                                         size_t n);

/* Says what cannot be remembered over restarts, as there is no file for it, and what follows from that. */
void runtime_warn_of_state(const struct runtime *runtime, struct log *log);

void runtime_hold(struct runtime *runtime);
void runtime_release(struct runtime *runtime); /* NULL is fine */

#endif
