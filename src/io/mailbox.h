/*
 * Messages between workers: any thread posts, the owner's loop delivers, in order. The only way one
 * worker touches another's state.
 */
#ifndef SOCKEYE_IO_MAILBOX_H
#define SOCKEYE_IO_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "io/loop.h"

/* Embedded in what is sent; belongs to the receiver from mailbox_post() on. */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *); /* runs on the receiver's thread */
};

struct mailbox {
    struct watch watch;
    _Atomic(struct mail *) newest; /* a stack, turned round by the receiver */
};

NODISCARD enum err mailbox_init(struct mailbox *mailbox, struct loop *loop);
/* Delivers what has been posted so far, in the order of posting, as the loop does by itself; false: nothing
 * had been. Of use where the loop has ended. */
bool mailbox_deliver(struct mailbox *mailbox);
/* No thread may post any more; undelivered mail is delivered. */
void mailbox_deinit(struct mailbox *mailbox);
/* Never fails and never blocks. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

#endif
