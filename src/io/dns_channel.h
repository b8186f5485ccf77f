/*
 * One c-ares channel on our loop: DNS questions out, answers in. No threads, no file of the
 * system's is read, and its sockets go through io/sys.h. There is a timer while something is being
 * asked, and none otherwise.
 */
#ifndef SOCKEYE_IO_DNS_CHANNEL_H
#define SOCKEYE_IO_DNS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "io/loop.h"

#define DNS_MAX_ADDRS 32 /* of one answer; further ones are dropped */

struct dns_channel;

struct dns_channel_options {
    const struct addr *servers; /* borrowed during dns_channel_new(); port 0 is 53 */
    size_t n_servers;           /* at least one */
    unsigned timeout_ms;        /* of the first round of tries; doubled by each further one */
    unsigned n_attempts;        /* rounds */
    bool rotate;
    bool use_tcp;
    void (*settle)(
        void *owner); /* called after events, when c-ares is left and may be entered again */
    void *owner;
};

enum dns_outcome {
    DNS_FOUND,
    DNS_NO_DATA, /* the name is there, without an address of this family */
    DNS_NO_NAME,
    DNS_SERVER_FAILED, /* no server gave a proper answer */
    DNS_NOT_ASKED,     /* `err` says why: time, memory, descriptors */
};

struct dns_answer {
    enum dns_outcome outcome;
    enum err err;   /* of DNS_NOT_ASKED */
    uint32_t ttl_s; /* the lowest of all records that led to the addresses */
    size_t n_addrs;
    struct addr addrs[DNS_MAX_ADDRS]; /* no duplicates, port 0 */
};

/* One question; embedded in whoever asks, and it stays there until answered, or until the channel
 * is cancelled or freed. */
struct dns_query {
    struct dns_channel *channel;
    enum addr_family family;
    void *owner; /* the asker's, for `answered` */
    void (*answered)(struct dns_query *, const struct dns_answer *);
};

/* Returns owned. */
NODISCARD enum err dns_channel_new(struct dns_channel **out, struct loop *loop,
                                   const struct dns_channel_options *options);
/* Drops what is being asked without a call. Not from inside `answered`. */
void dns_channel_free(struct dns_channel *channel);

/*
 * Asks for the addresses of an absolute name (no final dot, no backslash). `answered` is called
 * once, perhaps before this returns; it must not enter the channel. ERR_BAD: no name that could be
 * asked for; ERR_MEMORY, ERR_SYSTEM: not asked. Then it is not called.
 */
NODISCARD enum err dns_channel_ask(struct dns_channel *channel, struct dns_query *query,
                                   const char *name, enum addr_family family,
                                   void (*answered)(struct dns_query *, const struct dns_answer *));

/* Drops what is being asked without a call, and closes the sockets. */
void dns_channel_cancel(struct dns_channel *channel);

#endif
