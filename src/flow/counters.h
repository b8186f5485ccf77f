/*
 * What a worker counts. Each worker owns one struct and is the only one to touch it; whoever wants
 * a sum asks for copies through the mailbox and adds them up with counters_add().
 */
#ifndef SOCKEYE_FLOW_COUNTERS_H
#define SOCKEYE_FLOW_COUNTERS_H

#include <stdint.h>

/* How a flow ended: `end` in its log line. */
enum flow_end {
    FLOW_END_CLOSED,      /* both sides had sent their fin */
    FLOW_END_RESET,       /* a side was reset, or the client was gone before its answer */
    FLOW_END_IDLE,        /* idle_ms or half_closed_ms was over */
    FLOW_END_REFUSED,     /* the target refused */
    FLOW_END_DENIED,      /* a rule of ours says no */
    FLOW_END_UNREACHABLE, /* no way to the network or to the host */
    FLOW_END_LOOKUP,      /* the name does not resolve */
    FLOW_END_TIMEOUT,     /* connect_ms or handshake_ms was over */
    FLOW_END_LIMIT, /* a limit, or descriptors or memory had run out, here or at a tunnel's other end */
    FLOW_END_SHUTDOWN, /* the program ended first */
    FLOW_END_ERROR,    /* anything else */
    N_FLOW_ENDS
};

/* Why a connection was closed, or a login refused, before there was a flow. */
enum refusal {
    REFUSAL_CONNECTIONS, /* `connections`, of the whole or of the inbound, was reached */
    REFUSAL_PER_CLIENT,  /* `per_client` was reached by that address */
    REFUSAL_CLIENT,      /* `allow` and `deny` say no to that address */
    REFUSAL_DESCRIPTORS, /* descriptors had run out */
    REFUSAL_MEMORY,      /* memory had run out */
    REFUSAL_PORTS,       /* local ports had run out */
    REFUSAL_LOGIN,       /* wrong credentials, or no method in common */
    REFUSAL_UNVERIFIED, /* a password whose hash could not be computed: too many at once, or a shortage */
    REFUSAL_HANDSHAKE, /* a request that is none, or that never came */
    REFUSAL_FLIGHT, /* at a tunnel: a good key and a wrong time, a flight that came before, and so on */
    N_REFUSALS
};

/* Why a datagram went no further. */
enum drop {
    DROP_FOREIGN,   /* not from the client of the association */
    DROP_MALFORMED, /* no header of SOCKS5 before it, or a fragment */
    DROP_DENIED,    /* a rule says no to its target */
    DROP_LOOKUP,    /* its name does not resolve */
    DROP_UNSERVED,  /* the outbound carries no datagrams, or is not to be had now */
    DROP_FULL,      /* a queue, or memory */
    DROP_UNSENT,    /* the system would not send it */
    DROP_OVERRUN,   /* it came faster than we read */
    N_DROPS
};

struct counters {
    uint64_t accepted;    /* connections taken in, whatever became of them */
    uint64_t flows_now;   /* being served */
    uint64_t flows_total; /* ever begun, those of flows_now too */
    uint64_t bytes_up;    /* from clients to targets, of ended flows and running ones */
    uint64_t bytes_down;
    uint64_t ended[N_FLOW_ENDS];
    uint64_t refused[N_REFUSALS];
    uint64_t associations_now;
    uint64_t datagrams_up; /* for which there was a way; their bytes are in bytes_up */
    uint64_t datagrams_down;
    uint64_t dropped[N_DROPS];
    /* Connections at tunnel inbounds of which nobody knows whether the other end has the key (tunnel/strangers.h): */
    uint64_t strangers_now;
    uint64_t strangers_silenced; /* found wanting, and read to their end */
    uint64_t strangers_evicted;  /* closed, as descriptors ran short */
};

/* The word in log lines and in JSON, such as "closed"; never NULL. */
const char *flow_end_text(enum flow_end end);

/* One word, such as "per_client"; never NULL. */
const char *refusal_text(enum refusal refusal);

/* One word, such as "denied"; never NULL. */
const char *drop_text(enum drop drop);

/* Adds every field of `more` to `sum`. */
void counters_add(struct counters *sum, const struct counters *more);

#endif
