/*
 * An endpoint: anything that bytes can be read from and written to. Sockets are endpoints
 * (io/socket.h), and so are streams of a tunnel, which lend the memory that their bytes are kept in
 * anyway: who has a stream on one side and a socket on the other needs no buffer between.
 *
 * Whoever holds an endpoint sets `on_ready` and says with endpoint_want() what to be told of.
 * Being told again while anything wanted is ready is the loop's rule (io/loop.h) and every
 * endpoint's.
 */
#ifndef SOCKEYE_IO_ENDPOINT_H
#define SOCKEYE_IO_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/loop.h"

struct endpoint;

struct endpoint_ops {
    /* ERR_NONE: *n > 0 bytes were read. ERR_AGAIN: none now. ERR_EOF: the peer's fin. Else it is broken. */
    enum err (*read)(struct endpoint *, void *buf, size_t cap, size_t *n);
    /* ERR_NONE: *n > 0 bytes were taken, perhaps fewer than given. ERR_AGAIN: none now. Else it is broken. */
    enum err (*write)(struct endpoint *, const void *buf, size_t given, size_t *n);
    /* Sends our fin; reading goes on. */
    enum err (*shutdown)(struct endpoint *);
    /* Ends and gives back the endpoint, by a fin or, with `reset`, so that the peer sees a reset. */
    void (*close)(struct endpoint *, bool reset);
    void (*want)(struct endpoint *, unsigned events);
    /* What was met outside of read and write, by splice: `events` are used up. */
    void (*used_up)(struct endpoint *, unsigned events);
    /* Whether LOOP_ERROR means that it is broken, and not only that both sides have ended. */
    bool (*is_broken)(struct endpoint *);
    /* Asks the system to notice, by probes every so many seconds, when the peer has vanished; 0: no more. */
    void (*keep_alive)(struct endpoint *, unsigned seconds);
    /* Whether, as far as is known, reading or writing would not meet ERR_AGAIN. */
    bool (*is_ready)(struct endpoint *, unsigned events);
    /* Whether it stands still since what carries it is being replaced: it is not late, and not broken. NULL: never. */
    bool (*is_suspended)(struct endpoint *);

    /* What an endpoint may lend; both of a pair are NULL where it does not. What is lent stays the
     * endpoint's, and nothing else is done to the endpoint before it is given back. */

    /* Instead of write(). ERR_NONE: up to *cap > 0 bytes may be written at *room, until commit() says
     * how many were, 0 included. Else as write(), and there is nothing to commit. */
    enum err (*reserve)(struct endpoint *, uint8_t **room, size_t *cap);
    void (*commit)(struct endpoint *, size_t n);
    /* Instead of read(). ERR_NONE: *n > 0 bytes, perhaps not all there are, lie at *bytes until
     * consume() says how many are done with, 0 included. Else as read(), and there is nothing to
     * consume. */
    enum err (*peek)(struct endpoint *, const uint8_t **bytes, size_t *n);
    void (*consume)(struct endpoint *, size_t n);
};

struct endpoint {
    const struct endpoint_ops *ops;
    void (*on_ready)(struct endpoint *,
                     unsigned events); /* LOOP_READ, LOOP_WRITE, LOOP_HANGUP, LOOP_ERROR */
    void *owner;                       /* of whoever set on_ready */
    int fd;                            /* -1: it has none, and cannot be spliced */
};

NODISCARD static inline enum err endpoint_read(struct endpoint *ep, void *buf, size_t cap,
                                               size_t *n)
{
    return ep->ops->read(ep, buf, cap, n);
}

NODISCARD static inline enum err endpoint_write(struct endpoint *ep, const void *buf, size_t given,
                                                size_t *n)
{
    return ep->ops->write(ep, buf, given, n);
}

NODISCARD static inline enum err endpoint_shutdown(struct endpoint *ep)
{
    return ep->ops->shutdown(ep);
}

static inline void endpoint_close(struct endpoint *ep, bool reset)
{
    if (ep != NULL)
        ep->ops->close(ep, reset);
}

static inline void endpoint_want(struct endpoint *ep, unsigned events)
{
    ep->ops->want(ep, events);
}

static inline void endpoint_used_up(struct endpoint *ep, unsigned events)
{
    ep->ops->used_up(ep, events);
}

static inline bool endpoint_is_broken(struct endpoint *ep)
{
    return ep->ops->is_broken(ep);
}

static inline void endpoint_keep_alive(struct endpoint *ep, unsigned seconds)
{
    ep->ops->keep_alive(ep, seconds);
}

static inline bool endpoint_is_ready(struct endpoint *ep, unsigned events)
{
    return ep->ops->is_ready(ep, events);
}

static inline bool endpoint_is_suspended(struct endpoint *ep)
{
    return ep->ops->is_suspended != NULL && ep->ops->is_suspended(ep);
}

static inline bool endpoint_lends_room(const struct endpoint *ep)
{
    return ep->ops->reserve != NULL;
}

static inline bool endpoint_lends_bytes(const struct endpoint *ep)
{
    return ep->ops->peek != NULL;
}

#endif
