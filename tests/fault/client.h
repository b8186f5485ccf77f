/*
 * The outside of the proxy under test: a client and its origin in one thread, with plain blocking
 * sockets of their own, so that nothing of it is what fault injection hits. It allocates nothing.
 */
#ifndef SOCKEYE_TESTS_CLIENT_H
#define SOCKEYE_TESTS_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum way { WAY_SOCKS5, WAY_SOCKS5_LOGIN, WAY_SOCKS4A, WAY_HTTP };
enum expectation { EXPECT_OPEN, EXPECT_REFUSED, EXPECT_DENIED };

struct scenario {
    const char *name;
    enum way way;
    enum expectation expectation;
    size_t n_up, n_down;
    bool origin_closes_first;
    bool sends_early; /* the first bytes leave together with the request */
};

enum verdict {
    FINE,     /* all as it must be without a fault */
    SUFFERED, /* refused with a reason, or both sides reset: what a fault may do to one flow */
    WRONG,    /* what must not be, whatever fails: see `what` */
};

struct client {
    const struct scenario *scenario;
    uint16_t proxy_port;
    pthread_t thread;
    atomic_bool is_done;
    enum verdict verdict;
    const char *what;            /* why it is not FINE */
    int conn, origin, listening; /* -1: none */
};

/* Starts a client's thread; it sets is_done when `verdict` holds, and is to be joined. */
void client_start(struct client *client, const struct scenario *scenario, uint16_t proxy_port);

#endif
