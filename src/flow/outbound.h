/*
 * What every outbound is to a flow: it opens an endpoint towards a target, or says why it cannot.
 */
#ifndef SOCKEYE_FLOW_OUTBOUND_H
#define SOCKEYE_FLOW_OUTBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "flow/packets.h"
#include "io/endpoint.h"

struct flow_env;
struct inbound;
struct outbound;
struct user_rights;

/* One attempt to open; embedded in whoever asks, who waits for `done`. */
struct opening {
    struct flow_env *env;
    const struct inbound *inbound;    /* whose rules hold */
    const struct user_rights *rights; /* and of whom; NULL: the inbound's alone */
    struct target target;
    /* Where rules have had the target's name looked up: its addresses, borrowed until it is over.
     * Whoever asked again could be given others than those that the rules have judged. */
    const struct addr *addrs;
    size_t n_addrs;
    bool is_looked_up;
    struct addr source; /* where the client is; family NONE: unknown */
    /* What the client has sent already, borrowed while open() runs: an outbound may send the first
     * n_ahead_taken bytes of it along with its request, and then nobody else does. */
    const uint8_t *ahead;
    size_t n_ahead, n_ahead_taken;
    enum err
        late; /* what it means that time is up, for the outbound to say; ERR_NONE: ERR_TIMEOUT */
    bool is_configured;  /* the configuration names the target: no rule denies it */
    bool is_speedtest;   /* for a tunnel: there is no target, its far end is to be measured */
    bool is_association; /* for associate(), set by outbounds for whom it is much the same */
    bool is_bind;        /* for bind(); `bound` is by which address of ours the client reached us */
    struct endpoint *client; /* for relay(): whose datagrams they are */
    /* BIND: the peer shall connect to `at`, whose address may be left open; called once, before `done`. */
    void (*listening)(struct opening *, const struct addr *at);
    /* Called once, from the loop, never from inside open(). On ERR_NONE the results are set. */
    void (*done)(struct opening *, enum err);

    struct endpoint *endpoint; /* result: owned by who asked; nothing is wanted of it yet */
    struct packets *packets;   /* result of associate() and relay(): likewise */
    uint8_t *early; /* result: bytes that the target has sent already, owned (free) by who
                                  asked, to be passed on before others; NULL: none */
    size_t n_early;
    struct addr bound;   /* our own address, family NONE where it is unknown */
    struct addr dialled; /* the address finally reached; family NONE: none */

    void *state; /* the outbound's own while it works; at first request.by_what */
};

#define OUTBOUND_ANY SIZE_MAX

struct outbound_ops {
    /* ERR_AGAIN: `done` will be called. ERR_NONE: opened at once, results set. Else: why not. */
    NODISCARD enum err (*open)(struct outbound *, struct opening *);
    /* The same for a way for datagrams, whose targets come with each. NULL: carries none. */
    NODISCARD enum err (*associate)(struct outbound *, struct opening *);
    /* The same for the datagrams of a client that has come by a listener of its far end's (`listen_via`), which become
     * `packets`; `target` is where the client has said that it will send from, and `bound` becomes where it sends to. NULL: it has no far end. */
    NODISCARD enum err (*relay)(struct outbound *, struct opening *);
    /* The same for one connection from the target, `listening` being called on the way. NULL: not
     * offered. `dialled` becomes the peer's address. */
    NODISCARD enum err (*bind)(struct outbound *, struct opening *);
    /* While it is under way: sends on what the client says, of which it takes *n bytes. NULL: what the client
     * says waits until it is open. */
    void (*ahead)(struct outbound *, struct opening *, const uint8_t *bytes, size_t given,
                  size_t *n);
    /* Which worker's flows it serves; NULL: any worker's. A flow that can moves there first, and one that
     * cannot is served where it is. NULL: any worker's, always. `which`: of several workers the one
     * that is the same for the same number; OUTBOUND_ANY: the next in turn, for which alone the
     * opening is looked at. */
    struct flow_env *(*home)(struct outbound *, const struct opening *, size_t which);
    /* Whether what is under way stands still, as a session that has no link is in its way: time does not count then. NULL: never. */
    bool (*is_suspended)(struct outbound *, const struct opening *);
    /* Gives up what is under way; `done` is not called. */
    void (*cancel)(struct outbound *, struct opening *);
    void (*free)(struct outbound *); /* NULL: it is no more than a struct outbound from malloc */
};

struct outbound {
    const struct outbound_ops *ops;
    const char *name;     /* borrowed */
    struct outbound *via; /* that leads to its server; NULL: none, or it has no server */
};

#endif
