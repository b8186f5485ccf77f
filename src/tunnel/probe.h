/*
 * A probe: one handshake with a tunnel's far end and round trips on the link that comes of it, for whoever wants to know how the tunnel is
 * (`sockeye ping`). Its session is its own and carries nothing.
 *
 *     DIALLING --connected--> GREETING --flight 2--> UP --probe_ping()--> pong, as often as wanted
 *        |                       |                    |
 *        +---------- PROBE_UNREACHABLE, PROBE_LOST ---+
 */
#ifndef SOCKEYE_TUNNEL_PROBE_H
#define SOCKEYE_TUNNEL_PROBE_H

#include "flow/outbound.h"
#include "tunnel/host.h"
#include "tunnel/tunnels.h"

enum probe_news {
    PROBE_UNREACHABLE, /* an address of the server's: `why`; the next is tried where there is one */
    PROBE_CONNECTED,   /* in `us`; the handshake begins */
    PROBE_UP,          /* the handshake took `us` */
    PROBE_PONG,        /* the round trip took `us` */
    PROBE_LOST,        /* the connection has ended: `why`, or why the handshake failed */
};

struct probe {
    struct host host;
    struct tunnel_spec *spec;      /* held */
    const struct inbound *inbound; /* by whose rules it dials */
    struct outbound *via;          /* NULL: it dials */
    struct opening opening;
    bool is_dialling, is_over;
    size_t n_tried; /* of the server's addresses */
    uint64_t link;  /* its number */
    uint64_t began_us;
    uint64_t n_pongs;
    struct deferred freeing;
    /* What is told, and to whom. */
    void (*tell)(struct probe *, enum probe_news);
    void *owner;
    enum err err;
    const char *why;             /* in words */
    const struct target *server; /* the address that it is about */
    uint64_t us;
    int64_t clock_ahead_ms; /* the server's, of ours, once it is up */
};

/* Begins; `tell` follows, never from within. Returned owned; ERR_MEMORY. */
NODISCARD enum err probe_new(struct probe **out, struct tunnel_env *env, struct outbound *tunnel,
                             const struct inbound *inbound,
                             void (*tell)(struct probe *, enum probe_news), void *owner);
/* The address that is dialled has had its time. */
void probe_skip(struct probe *probe);
/* Asks for a pong, once it is up. */
void probe_ping(struct probe *probe);
/* Tells the far end where it can, and frees itself; nothing more is told. */
void probe_end(struct probe *probe);

#endif
