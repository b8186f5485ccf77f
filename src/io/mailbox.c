#include "io/mailbox.h"

#include <errno.h>
#include <stdint.h>

#include "io/sys.h"

bool mailbox_deliver(struct mailbox *mailbox)
{
    struct mail *mail = atomic_exchange(&mailbox->newest, NULL);
    struct mail *in_order = NULL;
    bool has_any = mail != NULL;
    while (mail != NULL) {
        struct mail *older = mail->next;
        mail->next = in_order;
        in_order = mail;
        mail = older;
    }
    while (in_order != NULL) {
        struct mail *next = in_order->next;
        in_order->deliver(in_order);
        in_order = next;
    }
    return has_any;
}

static void on_event(struct watch *watch, unsigned events)
{
    (void)events;
    struct mailbox *mailbox = CONTAINER_OF(watch, struct mailbox, watch);
    uint64_t n_wakes;
    ssize_t got = sys_read(watch->fd, &n_wakes, sizeof n_wakes);
    (void)got; /* the count says nothing; what is in the box does */
    loop_used_up(watch, LOOP_READ);
    mailbox_deliver(mailbox);
}

enum err mailbox_init(struct mailbox *mailbox, struct loop *loop)
{
    *mailbox = (struct mailbox){0};
    int fd = sys_eventfd();
    if (fd < 0)
        return sys_err(errno);
    enum err err = loop_add(loop, &mailbox->watch, fd, LOOP_READ, on_event);
    if (err != ERR_NONE)
        sys_close(fd);
    return err;
}

void mailbox_deinit(struct mailbox *mailbox)
{
    if (mailbox->watch.loop == NULL)
        return;
    while (mailbox_deliver(mailbox))
        ;
    loop_remove(&mailbox->watch);
    sys_close(mailbox->watch.fd);
}

/* With a full counter (EAGAIN) the owner is awake already. Nothing else is known to go wrong, but
 * mail without its wake-up would lie there for ever. */
static void wake_owner(struct mailbox *mailbox)
{
    uint64_t one = 1;
    while (sys_write(mailbox->watch.fd, &one, sizeof one) < 0 && errno != EAGAIN)
        ;
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
    struct mail *older = atomic_load(&mailbox->newest);
    do
        mail->next = older;
    while (!atomic_compare_exchange_weak(&mailbox->newest, &older, mail));
    /* Only the first in an empty box wakes the owner; it takes all. */
    if (older == NULL)
        wake_owner(mailbox);
}
