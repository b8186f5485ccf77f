/*
 * Names to addresses, asynchronously, by c-ares driven from our loop: no threads, no blocking.
 * A and AAAA are asked apart, so that a connection can begin with whichever comes first (RFC 8305).
 *
 * Order: address literals are not names and never come here; "localhost" and names below it are
 * loopback (RFC 6761); /etc/hosts; the cache; one query for all who ask for the same name at the same time.
 * Answers are kept for their TTL, at most `max_ttl_s`, in at most `max_entries`; failures for a few
 * seconds at most. /etc/hosts and /etc/resolv.conf are read again when they have changed,
 * looked at no more than once a second and only when something is asked.
 */
#ifndef SOCKEYE_IO_RESOLVER_H
#define SOCKEYE_IO_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"

#define RESOLVER_MAX_SERVERS 16

struct resolver;

struct resolver_options {
    const struct addr *servers; /* borrowed during resolver_new(); none: the system's */
    size_t n_servers;           /* at most RESOLVER_MAX_SERVERS */
    const char *hosts_path;     /* NULL: /etc/hosts */
    const char *
        resolv_path; /* NULL: /etc/resolv.conf; its `search` and `options` hold for `servers` too */
    uint32_t max_ttl_s;   /* 0: 3600 */
    uint32_t max_entries; /* 0: 4096 */
};

/* Returns owned. ERR_LIMIT: too many servers. */
NODISCARD enum err resolver_new(struct resolver **out, struct loop *loop,
                                const struct resolver_options *options);
/* What is pending is dropped without a call. Not from inside a `done`. */
void resolver_free(struct resolver *resolver);

/* One question; embedded in whoever asks; zeroed before it is used for the first time. */
struct lookup {
    struct list link; /* among those who wait for the same answer */
    void (*done)(
        struct lookup *); /* the answer is in `err`, `addrs`, `n_addrs`, until it returns */
    enum err
        err; /* ERR_NONE; ERR_LOOKUP: no such name or no address of this family; ERR_TIMEOUT, ERR_MEMORY, ERR_DESCRIPTORS... */
    const struct addr *addrs; /* borrowed; port 0 */
    size_t n_addrs;
    bool pending;
};

/*
 * Asks for the addresses of `family` (ADDR_V4 or ADDR_V6) of a name. ERR_NONE: the answer is in
 * *lookup now (valid until the caller returns to the loop; lookup->err may still be an error), and
 * `done` is not called. ERR_AGAIN: `done` will be called, later, once. No other result.
 */
NODISCARD enum err resolver_ask(struct resolver *resolver, struct lookup *lookup, const char *name,
                                enum addr_family family, void (*done)(struct lookup *));
/* Takes a pending question back; harmless when not pending. */
void resolver_cancel(struct lookup *lookup);

/* Forgets all answers and asks what is pending anew: the network has changed. */
void resolver_refresh(struct resolver *resolver);

/*
 * Other servers (none: the system's) in two steps, of which only the first can fail: prepare, then
 * either turn to them, which asks what is pending anew, or forget them. ERR_LIMIT: too many servers;
 * ERR_MEMORY, ERR_DESCRIPTORS and the like.
 */
NODISCARD enum err resolver_prepare(struct resolver *resolver, const struct addr *servers,
                                    size_t n);
void resolver_turn(struct resolver *resolver);
void resolver_forget(struct resolver *resolver);

#endif
