/* TCP sockets as endpoints. */
#ifndef SOCKEYE_IO_SOCKET_H
#define SOCKEYE_IO_SOCKET_H

#include "base/addr.h"
#include "io/endpoint.h"
#include "io/loop.h"
#include "io/slab.h"

struct sock {
    struct endpoint ep;
    struct watch watch;
    struct slab *slab; /* where it came from */
    uint8_t met;       /* enum err, that the system has told and will not tell again */
    union {
        struct timer hello;      /* set while the SYN may be waiting for the first bytes */
        struct deferred freeing; /* once closed */
    };
};

/* How sockets towards targets are made; all zero: in the ordinary way. */
struct sock_options {
    struct addr bind4, bind6; /* spoken from, port 0; family NONE: the system chooses. Where only
                                 one is set, the other family is not spoken at all */
    const char *interface;    /* all goes by it (SO_BINDTODEVICE); NULL: by the routes */
    uint32_t mark;            /* SO_MARK; 0: none */
    bool fast_open;           /* the first bytes go with the SYN, which waits a moment for them;
                                 connecting then always succeeds */
};

/* Gives a new socket of that family what the options say, but for fast_open. ERR_NET_UNREACH: no
 * such interface, or the family has no address. ERR_PERMITTED, ERR_HOST_UNREACH (not our address). */
NODISCARD enum err sock_apply_options(int fd, enum addr_family family,
                                      const struct sock_options *options);

/* A slab for sockets is made with slab_init(slab, sizeof(struct sock)). */

/* Makes an endpoint of a connected descriptor, which it takes when it succeeds. */
NODISCARD enum err sock_new(struct sock **out, struct loop *loop, struct slab *slab, int fd,
                            unsigned want, void (*on_ready)(struct endpoint *, unsigned events),
                            void *owner);

/*
 * Begins to connect to an address. ERR_NONE: *out is owned; when it is ready for writing,
 * sock_connect_result() tells what came of it. Else why not even the beginning was possible;
 * ERR_PORTS: no local port is left for it. Options may be NULL.
 */
NODISCARD enum err sock_connect(struct sock **out, struct loop *loop, struct slab *slab,
                                const struct addr *to, const struct sock_options *options,
                                void (*on_ready)(struct endpoint *, unsigned events), void *owner);

/* ERR_NONE: connected. ERR_AGAIN: not yet. Else why not. `events` are those on_ready was given. */
NODISCARD enum err sock_connect_result(struct sock *sock, unsigned events);

/* No more than so many bytes wait in it for the network to take them, whatever room there is. Harmless for
 * endpoints that are no sockets. */
void sock_bound_unsent(struct endpoint *ep, unsigned bytes);

/* Acknowledges what was read now, and does not wait for something to send along with it. Harmless where the system knows no such thing, and for
 * endpoints that are no sockets. */
void sock_acknowledge(struct endpoint *ep);

/* How many segments it has sent again since it was connected; 0 where the system does not tell, and for endpoints that are no TCP sockets. */
uint64_t sock_retransmits(const struct endpoint *ep);

/* Our own address of a connected socket. */
NODISCARD enum err sock_local_addr(const struct sock *sock, struct addr *out);

/* The same of any descriptor. */
NODISCARD enum err sock_addr_of(int fd, struct addr *out);

/* Binds to the address at a free port from one to another (0, 0: any), beginning anywhere among them
 * so that the next one cannot be guessed; *at gets the one chosen. ERR_PORTS: as many as were tried
 * are taken. ERR_HOST_UNREACH: not our address. */
NODISCARD enum err sock_bind_port(int fd, struct addr *at, uint16_t port_from, uint16_t port_to);

/* Whether an address is one of this machine's own, now. */
bool sock_addr_is_ours(const struct addr *addr);

struct sock *sock_of(struct endpoint *ep);

/* Gives back the descriptor, for another loop to watch. The endpoint is gone. */
int sock_release(struct endpoint *ep);

#endif
