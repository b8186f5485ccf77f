/*
 * UDP sockets, many datagrams to a system call.
 *
 *     recvmmsg --> the worker's slots --> on_datagram() for each --> datagram_send() --> gathered
 *                                                                                          |
 *     when the batch is over, or another socket sends:                   sendmmsg <--------+
 *                        what the system does not take now is copied and queued, up to a bound;
 *                        what is beyond it is dropped and counted
 *
 * The slots belong to the worker and are mapped when the first datagram comes, so a socket at rest
 * owns nothing but itself, and a process without UDP pays nothing. An error that some router or
 * host reports (ICMP) ends no socket.
 *
 * To be woken costs what many datagrams do. So where they come one by one and densely, those of 0.1 ms are read together, as network
 * cards do for the same reason (interrupt moderation): the socket naps (io/loop.h) from one reading to the next, as long as that
 * brings several each time. One that is asked and answers, however fast, is hardly ever late by that: when a nap has brought no
 * second one, there is none for a while.
 */
#ifndef SOCKEYE_IO_DATAGRAM_H
#define SOCKEYE_IO_DATAGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "io/loop.h"

struct sock_options;

/* In front of the bytes that on_datagram() is given there is so much room, to be overwritten. */
#define DATAGRAM_HEADROOM 264

/* What a socket keeps at most of what the system does not take. */
#define DATAGRAM_QUEUE_BYTES ((size_t)256 * 1024)

struct datagram_sock;
struct datagram_batch;

/* What the sockets of a worker share. */
struct datagram_pool {
    struct loop *loop;
    struct datagram_batch *batch;  /* NULL: not needed yet */
    struct datagram_sock *sending; /* whose datagrams are gathered; NULL: nobody's */
    unsigned n_gathered;
    bool is_gathering;
    /* The bytes that all queues hold are counted here, with others, and may not be more than this
     * (0: no limit). */
    _Atomic(uint64_t) *n_held_bytes;
    const uint64_t *max_held_bytes;
    /* Dropped: a queue was full, or memory; the system refused it; it came faster than we read. */
    uint64_t n_full, n_unsent, n_overrun;
};

void datagram_pool_init(struct datagram_pool *pool, struct loop *loop,
                        _Atomic(uint64_t) *n_held_bytes, const uint64_t *max_held_bytes);
void datagram_pool_deinit(struct datagram_pool *pool); /* every socket is closed */

/* Sends what is gathered now: for whoever cannot keep the bytes that it sent. */
void datagram_pool_flush(struct datagram_pool *pool);

/* While it is on what is sent is gathered, and its bytes must stay; then it goes. For whoever sends many at once. */
void datagram_pool_gather(struct datagram_pool *pool, bool is_on);

/* Takes n bytes of the budget of queues. False: it is used up. */
NODISCARD bool datagram_pool_hold(struct datagram_pool *pool, size_t n);
void datagram_pool_release(struct datagram_pool *pool, size_t n);

/* A socket; embedded, all zero while it is not open. It is freed by loop_defer() after it is closed. */
struct datagram_sock {
    struct watch watch; /* its loop is NULL while it is not open */
    struct datagram_pool *pool;
    /* The bytes are valid until it returns, and for datagram_send() a little longer. */
    void (*on_datagram)(struct datagram_sock *, const struct addr *from, uint8_t *bytes, size_t n);
    uint64_t counted_us; /* since when, or from when on, wakings are counted */
    uint8_t n_wakings;
    bool naps;
    struct list queue;
    size_t queued_bytes;
    bool is_connected;
    bool is_plain; /* each goes by itself: the system would not take several as one */
};

/*
 * Opens a socket bound to this address, at a free port from one to another (0, 0: any), of which
 * *at gets the one chosen. ERR_PORTS: all are taken. ERR_DESCRIPTORS, ERR_MEMORY, ERR_SYSTEM.
 */
NODISCARD enum err datagram_open_at(struct datagram_sock *sock, struct datagram_pool *pool,
                                    struct addr *at, uint16_t port_from, uint16_t port_to,
                                    void (*on_datagram)(struct datagram_sock *, const struct addr *,
                                                        uint8_t *, size_t));

/* Opens a socket of that family for whatever target; what the options say (NULL: nothing) holds.
 * Errors are those of sock_apply_options() and the above. */
NODISCARD enum err datagram_open_towards(
    struct datagram_sock *sock, struct datagram_pool *pool, enum addr_family family,
    const struct sock_options *options,
    void (*on_datagram)(struct datagram_sock *, const struct addr *, uint8_t *, size_t));

/* From now on it exchanges datagrams with this address only, and needs no look-up of the way for
 * each. Where the system refuses that, it goes on as it was. */
void datagram_connect(struct datagram_sock *sock, const struct addr *to);

/*
 * Sends a datagram, at the latest when the batch that is being received is over: so long the bytes
 * must stay what they are, as those that on_datagram() is given do. Never blocks: what cannot go is
 * queued, or dropped and counted. A connected socket sends to whom it is connected to.
 */
void datagram_send(struct datagram_sock *sock, const struct addr *to, uint8_t *bytes, size_t n);

/* What is gathered goes, what is queued is dropped. Harmless when not open. */
void datagram_close(struct datagram_sock *sock);

static inline bool datagram_is_open(const struct datagram_sock *sock)
{
    return sock->watch.loop != NULL;
}

#endif
