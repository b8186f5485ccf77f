#include "flow/dial.h"
#include "outbound/outbounds.h"

static enum err open_direct(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    return dial_open(opening);
}

static void cancel_direct(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    dial_cancel(opening);
}

const struct outbound_ops outbound_direct = {.open = open_direct, .cancel = cancel_direct};
