#include "io/datagram.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "io/socket.h"
#include "io/sys.h"

/* How many datagrams one system call moves at most, and how many such calls a turn makes. */
#define BATCH 32
#define BATCHES_A_TURN 4

#define MAX_BYTES 65535

/* Being woken so often in so short a time, a socket begins to nap; and goes on while that brings so many. When it does not, it is
 * left alone for a while. */
#define DENSE_WAKINGS 16
#define DENSE_US 1500
#define NAP_DATAGRAMS 2
#define NAPLESS_US 30000

/* Not a multiple of a page, so that the beginnings of slots do not meet in the same cache lines. */
#define SLOT_BYTES (DATAGRAM_HEADROOM + MAX_BYTES + 1 + 256)

/* Some milliseconds of a busy sender must find room while we do something else. */
#define RECEIVE_BUFFER_BYTES (1024 * 1024)

/* Datagrams of one size to one address go to the system as one (UDP_SEGMENT), unless they are so
 * large that they may have to be sent in fragments, which that cannot do. */
#define SEGMENT_MAX_BYTES 1472

static_assert(BATCH * SEGMENT_MAX_BYTES <= MAX_BYTES - 28, "a run fits what IP carries");

/* The control message that tells the size of a run's datagrams. */
union segment_size {
    struct cmsghdr header;
    uint8_t room[CMSG_SPACE(sizeof(uint16_t))];
};

/* One mapping; of a slot only the pages that a datagram has filled are ever touched. */
struct datagram_batch {
    struct mmsghdr in[BATCH];
    struct sockaddr_in6 in_from[BATCH]; /* or a sockaddr_in */
    struct iovec in_iov[BATCH];
    struct addr out_to[BATCH];
    struct iovec out_iov[BATCH];
    struct mmsghdr runs[BATCH]; /* of what is out, those that go together */
    struct sockaddr_storage run_to[BATCH];
    union segment_size run_sizes[BATCH];
    uint8_t slots[BATCH][SLOT_BYTES];
};

struct queued {
    struct list link;
    struct addr to;
    uint16_t n;
    uint8_t bytes[];
};

void datagram_pool_init(struct datagram_pool *pool, struct loop *loop,
                        _Atomic(uint64_t) *n_held_bytes, const uint64_t *max_held_bytes)
{
    *pool = (struct datagram_pool){
        .loop = loop, .n_held_bytes = n_held_bytes, .max_held_bytes = max_held_bytes};
}

void datagram_pool_deinit(struct datagram_pool *pool)
{
    if (pool->batch != NULL)
        sys_unmap(pool->batch, sizeof *pool->batch);
    pool->batch = NULL;
}

bool datagram_pool_hold(struct datagram_pool *pool, size_t n)
{
    uint64_t held = atomic_fetch_add(pool->n_held_bytes, n) + n;
    if (*pool->max_held_bytes == 0 || held <= *pool->max_held_bytes)
        return true;
    datagram_pool_release(pool, n);
    return false;
}

void datagram_pool_release(struct datagram_pool *pool, size_t n)
{
    atomic_fetch_sub(pool->n_held_bytes, n);
}

/* Returns NULL where there is no memory for it. */
static struct datagram_batch *batch_of(struct datagram_pool *pool)
{
    if (pool->batch != NULL)
        return pool->batch;
    struct datagram_batch *batch = sys_map(sizeof *batch);
    if (batch == NULL)
        return NULL;
    for (unsigned i = 0; i < BATCH; i++) {
        batch->in_iov[i] =
            (struct iovec){.iov_base = batch->slots[i] + DATAGRAM_HEADROOM, .iov_len = MAX_BYTES};
        batch->in[i].msg_hdr = (struct msghdr){.msg_name = &batch->in_from[i],
                                               .msg_namelen = sizeof batch->in_from[i],
                                               .msg_iov = &batch->in_iov[i],
                                               .msg_iovlen = 1};
    }
    pool->batch = batch;
    return batch;
}

/* ---- the queue ---- */

static size_t cost_of(size_t n)
{
    return sizeof(struct queued) + n;
}

static void enqueue(struct datagram_sock *sock, const struct addr *to, const uint8_t *bytes,
                    size_t n)
{
    struct queued *queued = NULL;
    size_t cost = cost_of(n);
    if (sock->queued_bytes + cost <= DATAGRAM_QUEUE_BYTES && datagram_pool_hold(sock->pool, cost)) {
        queued = malloc(cost);
        if (queued == NULL)
            datagram_pool_release(sock->pool, cost);
    }
    if (queued == NULL) {
        sock->pool->n_full++;
        return;
    }
    queued->to = *to;
    queued->n = (uint16_t)n;
    if (n > 0)
        memcpy(queued->bytes, bytes, n);
    list_init(&queued->link);
    list_append(&sock->queue, &queued->link);
    sock->queued_bytes += cost;
}

static void drop_first(struct datagram_sock *sock)
{
    struct queued *first = CONTAINER_OF(sock->queue.next, struct queued, link);
    size_t cost = cost_of(first->n);
    list_remove(&first->link);
    sock->queued_bytes -= cost;
    datagram_pool_release(sock->pool, cost);
    free(first);
}

/* ---- sending ---- */

static void put_out(struct datagram_sock *sock, unsigned i, const struct addr *to, uint8_t *bytes,
                    size_t n)
{
    struct datagram_batch *batch = sock->pool->batch;
    batch->out_to[i] = *to;
    batch->out_iov[i] = (struct iovec){.iov_base = bytes, .iov_len = n};
}

/* How many, from this one on and before `end`, can go as one: of one size, the last perhaps less. */
static unsigned count_run(const struct datagram_sock *sock, unsigned first, unsigned end)
{
    const struct datagram_batch *batch = sock->pool->batch;
    size_t n_bytes = batch->out_iov[first].iov_len;
    unsigned n = 1;
    if (sock->is_plain || n_bytes > SEGMENT_MAX_BYTES)
        return 1;
    for (; first + n < end; n++) {
        size_t n_next = batch->out_iov[first + n].iov_len;
        if (n_next == 0 || n_next > n_bytes || batch->out_iov[first + n - 1].iov_len < n_bytes)
            break;
        if (!addr_equal(&batch->out_to[first], &batch->out_to[first + n], true))
            break;
    }
    return n;
}

static void put_segment_size(struct msghdr *header, union segment_size *control, size_t n_bytes)
{
    uint16_t size = (uint16_t)n_bytes;
    control->header = (struct cmsghdr){
        .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof size)};
    memcpy(CMSG_DATA(&control->header), &size, sizeof size);
    header->msg_control = control;
    header->msg_controllen = sizeof *control;
}

/* Makes runs of what is out from `first` to `end`; returns how many. */
static unsigned make_runs(struct datagram_sock *sock, unsigned first, unsigned end)
{
    struct datagram_batch *batch = sock->pool->batch;
    unsigned n_runs = 0;
    while (first < end) {
        unsigned n = count_run(sock, first, end);
        struct msghdr *header = &batch->runs[n_runs].msg_hdr;
        *header = (struct msghdr){.msg_iov = &batch->out_iov[first], .msg_iovlen = n};
        /* A name would make a connected socket look up the way again. */
        if (!sock->is_connected) {
            header->msg_name = &batch->run_to[n_runs];
            header->msg_namelen = sys_addr_to_sockaddr(&batch->out_to[first], header->msg_name);
        }
        if (n > 1)
            put_segment_size(header, &batch->run_sizes[n_runs], batch->out_iov[first].iov_len);
        first += n;
        n_runs++;
    }
    return n_runs;
}

/*
 * The first run could not be sent. Returns how many datagrams are given up for that. A system or
 * device that cannot send runs is not asked to again; and a connected socket may tell of what became
 * of an earlier datagram, so none is given up at its first error.
 */
static unsigned give_up(struct datagram_sock *sock, bool is_second_time)
{
    if (sock->pool->batch->runs[0].msg_hdr.msg_iovlen > 1) {
        sock->is_plain = is_second_time || !sock->is_connected;
        return 0;
    }
    if (sock->is_connected && !is_second_time)
        return 0;
    sock->pool->n_unsent++;
    return 1;
}

/* Sends n of what is out, as far as the system takes them. Returns how many are done with, sent or
 * refused for good; fewer than n: it takes no more now. */
static unsigned send_out(struct datagram_sock *sock, unsigned n)
{
    struct mmsghdr *runs = sock->pool->batch->runs;
    unsigned done = 0;
    bool has_failed = false;
    while (done < n) {
        unsigned n_runs = make_runs(sock, done, n);
        int sent = sys_sendmmsg(sock->watch.fd, runs, n_runs);
        for (int i = 0; i < sent; i++)
            done += (unsigned)runs[i].msg_hdr.msg_iovlen;
        if (sent <= 0 && sys_err(errno) == ERR_AGAIN) {
            loop_used_up(&sock->watch, LOOP_WRITE);
            return done;
        }
        if (sent <= 0)
            done += give_up(sock, has_failed);
        has_failed = sent <= 0 && !has_failed;
    }
    return done;
}

static void want_as_needed(struct datagram_sock *sock)
{
    loop_want(&sock->watch, LOOP_READ | (list_empty(&sock->queue) ? 0u : LOOP_WRITE));
}

void datagram_pool_flush(struct datagram_pool *pool)
{
    struct datagram_sock *sock = pool->sending;
    unsigned n = pool->n_gathered;
    pool->sending = NULL;
    pool->n_gathered = 0;
    if (sock == NULL)
        return;
    /* Behind those that wait, lest they be overtaken. */
    unsigned done = list_empty(&sock->queue) ? send_out(sock, n) : 0;
    if (done == n)
        return;
    for (unsigned i = done; i < n; i++) {
        const struct iovec *iov = &pool->batch->out_iov[i];
        enqueue(sock, &pool->batch->out_to[i], iov->iov_base, iov->iov_len);
    }
    want_as_needed(sock);
}

void datagram_pool_gather(struct datagram_pool *pool, bool is_on)
{
    pool->is_gathering = is_on;
    if (!is_on)
        datagram_pool_flush(pool);
}

static void send_queued(struct datagram_sock *sock)
{
    while (!list_empty(&sock->queue)) {
        unsigned n = 0;
        for (struct list *at = sock->queue.next; at != &sock->queue && n < BATCH; at = at->next) {
            struct queued *queued = CONTAINER_OF(at, struct queued, link);
            put_out(sock, n++, &queued->to, queued->bytes, queued->n);
        }
        unsigned done = send_out(sock, n);
        for (unsigned i = 0; i < done; i++)
            drop_first(sock);
        if (done < n)
            break;
    }
    want_as_needed(sock);
}

void datagram_send(struct datagram_sock *sock, const struct addr *to, uint8_t *bytes, size_t n)
{
    struct datagram_pool *pool = sock->pool;
    if (batch_of(pool) == NULL || n > MAX_BYTES) {
        pool->n_unsent++;
        return;
    }
    if (pool->sending != sock || pool->n_gathered == BATCH)
        datagram_pool_flush(pool);
    pool->sending = sock;
    put_out(sock, pool->n_gathered++, to, bytes, n);
    if (!pool->is_gathering)
        datagram_pool_flush(pool);
}

/* ---- receiving ---- */

static void deliver(struct datagram_sock *sock, unsigned n)
{
    struct datagram_pool *pool = sock->pool;
    struct datagram_batch *batch = pool->batch;
    datagram_pool_gather(pool, true);
    for (unsigned i = 0; i < n; i++) {
        struct addr from;
        struct msghdr *header = &batch->in[i].msg_hdr;
        enum err err = sys_addr_from_sockaddr(&from, header->msg_name, header->msg_namelen);
        header->msg_namelen = sizeof batch->in_from[i];
        /* A datagram before may have closed the socket. */
        if (err == ERR_NONE && datagram_is_open(sock))
            sock->on_datagram(sock, &from, batch->slots[i] + DATAGRAM_HEADROOM,
                              batch->in[i].msg_len);
    }
    datagram_pool_gather(pool, false);
}

static bool is_dense(struct datagram_sock *sock, uint64_t now_us)
{
    if (now_us < sock->counted_us)
        return false;
    if (now_us - sock->counted_us > DENSE_US) {
        sock->counted_us = now_us;
        sock->n_wakings = 0;
    }
    sock->n_wakings++;
    /* A clock that stands tells nothing. */
    return sock->n_wakings >= DENSE_WAKINGS && now_us > sock->counted_us;
}

/* All that had come was read, so many. */
static void rest(struct datagram_sock *sock, unsigned n)
{
    uint64_t now_us = loop_now_us(sock->pool->loop);
    bool has_napped = sock->naps;
    sock->naps = has_napped ? n >= NAP_DATAGRAMS : is_dense(sock, now_us);
    if (sock->naps) {
        loop_nap(&sock->watch);
        return;
    }
    if (has_napped) {
        sock->counted_us = now_us + NAPLESS_US;
        sock->n_wakings = 0;
    }
    loop_used_up(&sock->watch, LOOP_READ);
}

/* Without memory for slots what comes is lost: left where it is, it would let the loop never rest. */
static void discard(struct datagram_sock *sock)
{
    for (int i = 0; i < BATCH; i++) {
        uint8_t byte;
        if (sys_recv(sock->watch.fd, &byte, sizeof byte, 0) >= 0) {
            sock->pool->n_full++;
        } else if (sys_err(errno) == ERR_AGAIN) {
            loop_used_up(&sock->watch, LOOP_READ);
            return;
        }
    }
}

static void receive(struct datagram_sock *sock)
{
    struct datagram_batch *batch = batch_of(sock->pool);
    if (batch == NULL) {
        discard(sock);
        return;
    }
    unsigned n_all = 0;
    for (int i = 0; i < BATCHES_A_TURN && datagram_is_open(sock); i++) {
        int n = sys_recvmmsg(sock->watch.fd, batch->in, BATCH);
        if (n < 0) {
            if (sys_err(errno) == ERR_AGAIN) {
                rest(sock, n_all);
                return;
            }
            continue; /* what an ICMP message has told is told once */
        }
        deliver(sock, (unsigned)n);
        n_all += (unsigned)n;
        if (n < BATCH && datagram_is_open(sock)) {
            rest(sock, n_all);
            return;
        }
    }
}

static void on_event(struct watch *watch, unsigned events)
{
    struct datagram_sock *sock = CONTAINER_OF(watch, struct datagram_sock, watch);
    if (events & LOOP_WRITE && !list_empty(&sock->queue))
        send_queued(sock);
    if (events & (LOOP_READ | LOOP_ERROR))
        receive(sock);
}

/* ---- opening and closing ---- */

static void set_option(int fd, int level, int name, int value)
{
    (void)sys_setsockopt(fd, level, name, &value, sizeof value);
}

static enum err open_socket(int *fd, enum addr_family family)
{
    static const int on = 1;
    *fd = sys_socket(family == ADDR_V4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    if (*fd < 0)
        return sys_err(errno);
    set_option(*fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
    if (family == ADDR_V4 || sys_setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0)
        return ERR_NONE;
    enum err err = sys_err(errno);
    sys_close(*fd);
    return err;
}

/* Takes the descriptor, or closes it. */
static enum err begin(struct datagram_sock *sock, struct datagram_pool *pool, int fd, enum err err,
                      void (*on_datagram)(struct datagram_sock *, const struct addr *, uint8_t *,
                                          size_t))
{
    *sock = (struct datagram_sock){.pool = pool, .on_datagram = on_datagram};
    list_init(&sock->queue);
    if (err == ERR_NONE)
        err = loop_add(pool->loop, &sock->watch, fd, LOOP_READ, on_event);
    if (err != ERR_NONE)
        sys_close(fd);
    return err;
}

enum err datagram_open_at(struct datagram_sock *sock, struct datagram_pool *pool, struct addr *at,
                          uint16_t port_from, uint16_t port_to,
                          void (*on_datagram)(struct datagram_sock *, const struct addr *,
                                              uint8_t *, size_t))
{
    int fd;
    enum err err = open_socket(&fd, (enum addr_family)at->family);
    if (err != ERR_NONE)
        return err;
    err = sock_bind_port(fd, at, port_from, port_to);
    return begin(sock, pool, fd, err, on_datagram);
}

enum err datagram_open_towards(struct datagram_sock *sock, struct datagram_pool *pool,
                               enum addr_family family, const struct sock_options *options,
                               void (*on_datagram)(struct datagram_sock *, const struct addr *,
                                                   uint8_t *, size_t))
{
    int fd;
    enum err err = open_socket(&fd, family);
    if (err != ERR_NONE)
        return err;
    if (options != NULL)
        err = sock_apply_options(fd, family, options);
    return begin(sock, pool, fd, err, on_datagram);
}

void datagram_connect(struct datagram_sock *sock, const struct addr *to)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(to, &sa);
    sock->is_connected = sys_connect(sock->watch.fd, (struct sockaddr *)&sa, n) == 0;
}

/* What the system has dropped because its buffer was full. */
static uint64_t count_overrun(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t n = sizeof info;
    if (sys_getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &n) < 0)
        return 0;
    return info[SK_MEMINFO_DROPS];
}

void datagram_close(struct datagram_sock *sock)
{
    if (!datagram_is_open(sock))
        return;
    if (sock->pool->sending == sock)
        datagram_pool_flush(sock->pool);
    while (!list_empty(&sock->queue)) {
        sock->pool->n_unsent++;
        drop_first(sock);
    }
    sock->pool->n_overrun += count_overrun(sock->watch.fd);
    loop_remove(&sock->watch);
    sys_close(sock->watch.fd);
}
