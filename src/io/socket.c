#include "io/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "io/sys.h"

/* How long a SYN waits for bytes to take along: a client who speaks first has been told to, and one
 * who waits for the target to speak hardly notices. */
#define HELLO_MS 50

/* Where so many ports in a row are taken, the rest is not worth the time. */
#define PORTS_TRIED_MAX 1024

struct sock *sock_of(struct endpoint *ep)
{
    return CONTAINER_OF(ep, struct sock, ep);
}

static void on_event(struct watch *watch, unsigned events)
{
    struct sock *sock = CONTAINER_OF(watch, struct sock, watch);
    sock->ep.on_ready(&sock->ep, events);
}

static enum err sock_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    struct watch *watch = &sock_of(ep)->watch;
    ssize_t got = sys_recv(ep->fd, buf, cap, 0);
    if (got < 0) {
        enum err err = sys_err(errno);
        if (err == ERR_AGAIN)
            loop_used_up(watch, LOOP_READ | LOOP_URGENT);
        return err;
    }
    if (got == 0) {
        loop_used_up(watch, LOOP_READ | LOOP_HANGUP);
        enum err met = (enum err)sock_of(ep)->met;
        return met != ERR_NONE ? met : ERR_EOF;
    }
    /* A short read has emptied the socket, and asking again would only be told EAGAIN; but a fin
     * may wait behind it, and at an urgent byte reading stops short with more to come. */
    if ((size_t)got < cap && !(watch->ready & (LOOP_HANGUP | LOOP_URGENT)))
        loop_used_up(watch, LOOP_READ);
    *n = (size_t)got;
    return ERR_NONE;
}

static void forget_hello(struct sock *sock)
{
    if (timer_is_set(&sock->hello))
        timer_clear(loop_timers(sock->watch.loop), &sock->hello);
}

static enum err sock_write(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    forget_hello(sock_of(ep));
    ssize_t sent = sys_send(ep->fd, buf, given, 0);
    if (sent < 0) {
        enum err err = sys_err(errno);
        if (err == ERR_AGAIN)
            loop_used_up(&sock_of(ep)->watch, LOOP_WRITE);
        return err;
    }
    if ((size_t)sent < given)
        loop_used_up(&sock_of(ep)->watch, LOOP_WRITE);
    *n = (size_t)sent;
    return ERR_NONE;
}

static enum err sock_shutdown(struct endpoint *ep)
{
    return sys_shutdown(ep->fd, SHUT_WR) < 0 ? sys_err(errno) : ERR_NONE;
}

static void free_sock(struct deferred *deferred)
{
    struct sock *sock = CONTAINER_OF(deferred, struct sock, freeing);
    slab_put(sock->slab, sock);
}

static void sock_close(struct endpoint *ep, bool reset)
{
    struct sock *sock = sock_of(ep);
    struct loop *loop = sock->watch.loop;
    if (reset) {
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)sys_setsockopt(ep->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    forget_hello(sock);
    loop_remove(&sock->watch);
    sys_close(ep->fd);
    ep->fd = -1;
    loop_defer(loop, &sock->freeing, free_sock);
}

int sock_release(struct endpoint *ep)
{
    struct sock *sock = sock_of(ep);
    struct loop *loop = sock->watch.loop;
    int fd = ep->fd;
    forget_hello(sock);
    loop_release(&sock->watch);
    ep->fd = -1;
    loop_defer(loop, &sock->freeing, free_sock);
    return fd;
}

static void sock_want(struct endpoint *ep, unsigned events)
{
    loop_want(&sock_of(ep)->watch, events);
}

static void sock_used_up(struct endpoint *ep, unsigned events)
{
    loop_used_up(&sock_of(ep)->watch, events);
}

/* None of these is worth failing a connection for. */
static void set_option(int fd, int level, int name, int value)
{
    (void)sys_setsockopt(fd, level, name, &value, sizeof value);
}

void sock_bound_unsent(struct endpoint *ep, unsigned bytes)
{
    if (ep->fd >= 0)
        set_option(ep->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)bytes);
}

void sock_acknowledge(struct endpoint *ep)
{
#ifdef TCP_QUICKACK
    if (ep->fd >= 0)
        set_option(ep->fd, IPPROTO_TCP, TCP_QUICKACK, 1); /* until the system thinks otherwise */
#else
    (void)ep;
#endif
}

uint64_t sock_retransmits(const struct endpoint *ep)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    if (ep->fd < 0 || sys_getsockopt(ep->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
        return 0;
    return info.tcpi_total_retrans;
}

static void sock_keep_alive(struct endpoint *ep, unsigned seconds)
{
    if (seconds > 0) {
        set_option(ep->fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)seconds);
        set_option(ep->fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)seconds);
    }
    set_option(ep->fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0);
}

static bool sock_is_broken(struct endpoint *ep)
{
    const struct sock *sock = sock_of(ep);
    return sock->watch.is_lost || sock->met != ERR_NONE || sys_socket_error(ep->fd) != ERR_NONE;
}

static bool sock_is_ready(struct endpoint *ep, unsigned events)
{
    return (sock_of(ep)->watch.ready & events) != 0;
}

static const struct endpoint_ops sock_ops = {
    .read = sock_read,
    .write = sock_write,
    .shutdown = sock_shutdown,
    .close = sock_close,
    .want = sock_want,
    .used_up = sock_used_up,
    .is_broken = sock_is_broken,
    .keep_alive = sock_keep_alive,
    .is_ready = sock_is_ready,
};

enum err sock_new(struct sock **out, struct loop *loop, struct slab *slab, int fd, unsigned want,
                  void (*on_ready)(struct endpoint *, unsigned events), void *owner)
{
    struct sock *sock = slab_get(slab);
    if (sock == NULL)
        return ERR_MEMORY;
    sock->slab = slab;
    sock->ep = (struct endpoint){.ops = &sock_ops, .on_ready = on_ready, .owner = owner, .fd = fd};
    enum err err = loop_add(loop, &sock->watch, fd, want, on_event);
    if (err != ERR_NONE) {
        slab_put(slab, sock);
        return err;
    }
    *out = sock;
    return ERR_NONE;
}

static enum err bind_from(int fd, const struct addr *from)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(from, &sa);
    /* The port is chosen when the target is known, so that many targets can share one. */
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (sys_bind(fd, (struct sockaddr *)&sa, n) == 0)
        return ERR_NONE;
    return errno == EADDRNOTAVAIL ? ERR_HOST_UNREACH : sys_err(errno);
}

static enum err bind_to_interface(int fd, const char *interface)
{
    socklen_t n = (socklen_t)strlen(interface);
    if (sys_setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, n) == 0)
        return ERR_NONE;
    return errno == ENODEV ? ERR_NET_UNREACH : sys_err(errno);
}

enum err sock_apply_options(int fd, enum addr_family family, const struct sock_options *options)
{
    const struct addr *from = family == ADDR_V4 ? &options->bind4 : &options->bind6;
    bool is_bound = options->bind4.family != ADDR_NONE || options->bind6.family != ADDR_NONE;
    enum err err = ERR_NONE;
    if (options->mark != 0 &&
        sys_setsockopt(fd, SOL_SOCKET, SO_MARK, &options->mark, sizeof options->mark) < 0)
        err = sys_err(errno);
    if (err == ERR_NONE && options->interface != NULL)
        err = bind_to_interface(fd, options->interface);
    if (err == ERR_NONE && is_bound)
        err = from->family == ADDR_NONE ? ERR_NET_UNREACH : bind_from(fd, from);
    return err;
}

/* Urgent bytes stay where they are in the stream, or they would be lost on the way. */
static enum err prepare(int fd, const struct addr *to, const struct sock_options *options)
{
    set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options == NULL)
        return ERR_NONE;
    if (options->fast_open)
        set_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    return sock_apply_options(fd, (enum addr_family)to->family, options);
}

/* Nobody has had anything to say: the SYN goes alone, or the target could never speak first. Where it
 * has gone, this sends nothing. */
static void on_silence(struct timer *timer)
{
    struct sock *sock = CONTAINER_OF(timer, struct sock, hello);
    enum err err = sys_send(sock->ep.fd, "", 0, 0) < 0 ? sys_err(errno) : ERR_NONE;
    if (err == ERR_NONE || err == ERR_AGAIN)
        return;
    sock->met = (uint8_t)err;
    loop_report(&sock->watch, LOOP_ERROR);
}

static void await_hello(struct sock *sock, struct loop *loop)
{
    timer_init(&sock->hello, on_silence);
    if (timer_set(loop_timers(loop), &sock->hello, loop_now_ms(loop) + HELLO_MS) != ERR_NONE)
        on_silence(&sock->hello);
}

enum err sock_connect(struct sock **out, struct loop *loop, struct slab *slab,
                      const struct addr *to, const struct sock_options *options,
                      void (*on_ready)(struct endpoint *, unsigned events), void *owner)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(to, &sa);
    int fd = sys_socket(sa.ss_family, SOCK_STREAM, IPPROTO_TCP);
    if (fd < 0)
        return sys_err(errno);
    enum err err = prepare(fd, to, options);
    if (err == ERR_NONE && sys_connect(fd, (struct sockaddr *)&sa, n) < 0)
        err = errno == EADDRNOTAVAIL ? ERR_PORTS : sys_err(errno);
    if (err == ERR_NONE || err == ERR_AGAIN)
        err = sock_new(out, loop, slab, fd, LOOP_READ | LOOP_WRITE, on_ready, owner);
    if (err != ERR_NONE)
        sys_close(fd);
    else if (options != NULL && options->fast_open)
        await_hello(*out, loop);
    return err;
}

enum err sock_connect_result(struct sock *sock, unsigned events)
{
    if (sock->met != ERR_NONE)
        return (enum err)sock->met;
    if (events & LOOP_ERROR) {
        enum err err = sys_socket_error(sock->ep.fd);
        if (err != ERR_NONE)
            return err;
    }
    return events & LOOP_WRITE ? ERR_NONE : ERR_AGAIN;
}

enum err sock_addr_of(int fd, struct addr *out)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    if (sys_getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
        return sys_err(errno);
    return sys_addr_from_sockaddr(out, (struct sockaddr *)&sa, n);
}

enum err sock_local_addr(const struct sock *sock, struct addr *out)
{
    return sock_addr_of(sock->ep.fd, out);
}

enum err sock_bind_port(int fd, struct addr *at, uint16_t port_from, uint16_t port_to)
{
    unsigned n = (unsigned)(port_to - port_from) + 1;
    uint16_t first = 0;
    enum err err = sys_random(&first, sizeof first);
    for (unsigned i = 0; i < n && i < PORTS_TRIED_MAX && err == ERR_NONE; i++) {
        struct sockaddr_storage sa;
        at->port = (uint16_t)(port_from + (first + i) % n);
        socklen_t sa_bytes = sys_addr_to_sockaddr(at, &sa);
        if (sys_bind(fd, (struct sockaddr *)&sa, sa_bytes) == 0)
            return sock_addr_of(fd, at);
        if (errno != EADDRINUSE)
            err = errno == EADDRNOTAVAIL ? ERR_HOST_UNREACH : sys_err(errno);
    }
    return err == ERR_NONE ? ERR_PORTS : err;
}

bool sock_addr_is_ours(const struct addr *addr)
{
    if (addr_is_loopback(addr))
        return true;
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    int fd = sys_socket(sa.ss_family, SOCK_DGRAM, 0);
    if (fd < 0)
        return true; /* who cannot find out must not let it pass */
    /* Towards itself a machine speaks from the very address; nothing is sent. */
    struct addr source;
    bool is_ours = sys_connect(fd, (struct sockaddr *)&sa, n) == 0 &&
                   sock_addr_of(fd, &source) == ERR_NONE && addr_equal(&source, addr, false);
    sys_close(fd);
    return is_ours;
}
