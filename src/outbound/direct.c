#include "outbound/direct.h"

#include "base/list.h"
#include "flow/dial.h"
#include "flow/sender.h"

static const struct sock_options *options_of(struct outbound *outbound)
{
    return &CONTAINER_OF(outbound, struct outbound_direct, base)->options;
}

static enum err open_direct(struct outbound *outbound, struct opening *opening)
{
    return dial_open(opening, options_of(outbound));
}

static enum err associate_direct(struct outbound *outbound, struct opening *opening)
{
    return sender_open(opening, options_of(outbound));
}

static enum err bind_direct(struct outbound *outbound, struct opening *opening)
{
    return direct_bind(opening, options_of(outbound));
}

static void cancel_direct(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    if (opening->is_bind)
        direct_bind_cancel(opening);
    else
        dial_cancel(opening);
}

const struct outbound_ops outbound_direct = {
    .open = open_direct,
    .associate = associate_direct,
    .bind = bind_direct,
    .cancel = cancel_direct,
};
