#include "outbound/outbounds.h"

static enum err open_block(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    (void)opening;
    return ERR_DENIED;
}

/* Never called: nothing is ever under way. */
static void cancel_block(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    (void)opening;
}

const struct outbound_ops outbound_block = {.open = open_block, .cancel = cancel_block};
