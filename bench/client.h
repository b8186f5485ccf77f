/*
 * Connections of the load generator, up to the point where the origin has its request line. Each
 * goes the way of `struct path`: straight to an address, or through a SOCKS5 proxy, whose answers
 * are waited for as a real client does (RFC 1928, method 0 only).
 *
 *   DIALLING --connected--> METHOD --05 00--> REPLY --05 00 ...--> OPEN
 *        `---------------------- without a proxy ------------------^
 *
 * Descriptors are edge-triggered for reading and writing from the start, so a short connection
 * costs the generator one epoll_ctl. A fleet is a set of clients and the loop that serves them.
 */
#ifndef SOCKEYE_BENCH_CLIENT_H
#define SOCKEYE_BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct path {
    struct sockaddr_in first;  /* where to connect to */
    struct sockaddr_in origin; /* what the proxy is asked for */
    bool socks;
};

enum client_step { CLIENT_UNUSED, CLIENT_DIALLING, CLIENT_METHOD, CLIENT_REPLY, CLIENT_OPEN };

struct client {
    int fd;
    enum client_step step;
    size_t n_got;       /* bytes of the proxy's current answer, later of the origin's */
    uint8_t answer[32]; /* a reply with an IPv6 address has 22 */
    int64_t since_ns;   /* when the current exchange began */
};

struct fleet {
    const struct path *path;
    const char *line; /* the request line for the origin, with its newline */
    int epoll_fd;
    size_t n_clients;
    size_t n_opening;
    size_t n_open;
    uint64_t n_failed;
    struct client *clients;

    /* The client is open and its line is sent. */
    void (*opened)(struct fleet *fleet, struct client *client);
    /* An open client has events. */
    void (*served)(struct fleet *fleet, struct client *client, uint32_t events);
    /* The client has failed, open or not; it is closed already and counted. */
    void (*failed)(struct fleet *fleet, struct client *client);
    void *own; /* the mode's own data */
};

/* Makes room for n clients. */
void fleet_init(struct fleet *fleet, const struct path *path, size_t n);

/* Resets what is open and frees the rest. */
void fleet_deinit(struct fleet *fleet);

/* Starts an unused client. */
void fleet_open(struct fleet *fleet, struct client *client);

/* Closes a client (with a fin) and makes it unused. */
void fleet_close(struct fleet *fleet, struct client *client);

/* The same where the mode finds that something is wrong: counts it and calls failed(). */
void fleet_fail(struct fleet *fleet, struct client *client);

/* Changes an open client to level-triggered `events`. */
void fleet_watch(struct fleet *fleet, struct client *client, uint32_t events);

/* Serves what has happened, waiting for it until then. */
void fleet_turn(struct fleet *fleet, int64_t until_ns);

/* Serves until then. */
void fleet_run(struct fleet *fleet, int64_t until_ns);

/* Opens all clients, at most 64 at a time, so that nobody's queue of connections runs over.
 * Returns false where they are not all open within the time, or one has failed. */
bool fleet_open_all(struct fleet *fleet, int64_t time_ns);

/* Sends all of it or says false: for messages that an empty socket always has room for. */
bool send_all(int fd, const void *bytes, size_t len);

#endif
