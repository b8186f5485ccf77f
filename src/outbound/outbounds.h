/* The outbounds of this folder (flow/outbound.h says what one is). */
#ifndef SOCKEYE_OUTBOUND_OUTBOUNDS_H
#define SOCKEYE_OUTBOUND_OUTBOUNDS_H

#include "flow/outbound.h"
#include "io/socket.h"

/* Connects to the target itself; it is the `base` of a struct outbound_direct. */
extern const struct outbound_ops outbound_direct;

struct outbound_direct {
    struct outbound base;
    struct sock_options options; /* its texts are borrowed */
};

/* Denies everything. */
extern const struct outbound_ops outbound_block;

/* Serves who measures a tunnel (speedtest.c); for whoever was asked for that and allows it. It has no state. */
extern struct outbound outbound_speedtest;

/* So long it serves one. */
#define OUTBOUND_SPEEDTEST_MS 70000

/* An upstream proxy. All is borrowed for as long as the outbound lives. */
struct upstream_server {
    const struct target *at;
    const char *username, *password; /* 1 to 255 and 0 to 255 bytes; NULL: no login */
};

/*
 * Asks a SOCKS proxy to connect: by SOCKS5, or by SOCKS4a where that is all the proxy speaks and no
 * login is set. Names are sent on as they are. Returns owned; NULL: out of memory.
 */
struct outbound *outbound_socks_new(const char *name, const struct upstream_server *server);

/* Asks an HTTP proxy by CONNECT, with Basic credentials. As above. */
struct outbound *outbound_http_new(const char *name, const struct upstream_server *server);

#endif
