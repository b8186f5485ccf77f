/* A relay to a fixed target: the client says nothing to us, and is answered by nobody but the target. */
#include "flow/flow.h"
#include "inbound/protocols.h"

static enum inbound_step advance(struct flow *flow, const uint8_t *bytes, size_t n, size_t *used,
                                 struct request *request, enum err *why)
{
    (void)bytes;
    (void)n;
    (void)why;
    *used = 0;
    request->target = flow->inbound->target;
    request->is_configured = true;
    return INBOUND_REQUEST;
}

static void reply(struct flow *flow, enum err err, const struct addr *bound)
{
    (void)bound;
    /* Whoever takes us for the target must not take a failure for its clean end. */
    flow->is_cut_off = err != ERR_NONE;
}

const struct inbound_protocol inbound_relay = {
    .name = "relay",
    .speaks_first = true,
    .advance = advance,
    .reply = reply,
};
