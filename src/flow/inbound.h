/*
 * What every inbound is to a flow: a protocol that makes a request out of the client's bytes, and
 * the rules for who may come and where to. A struct inbound belongs to its ruleset and does not
 * change.
 */
#ifndef SOCKEYE_FLOW_INBOUND_H
#define SOCKEYE_FLOW_INBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/access.h"
#include "base/err.h"
#include "flow/clients.h"
#include "flow/request.h"

struct endpoint;
struct far_roster;
struct far_spec;
struct flow;
struct inbound_counts;
struct outbound;
struct ruleset;
struct users;

enum inbound_step {
    INBOUND_MORE,    /* the bytes are the beginning of a message: call again with more of them */
    INBOUND_NEXT,    /* a message was used up: call again with what follows it */
    INBOUND_REQUEST, /* *request is complete */
    INBOUND_WAIT,    /* a login is being judged: called again, later, with the same bytes */
    INBOUND_REFUSED, /* the protocol's own refusal, if it has one, was sent; *why says for what */
};

/*
 * How a protocol goes on whose requests are REQUEST_EXCHANGE: it moves the bytes between
 * flow->client and flow->target itself, message by message. flow->exchange is its own object.
 */
struct exchange_ops {
    /* flow->target is about to be opened for the request that flow->up holds, with what the client has sent behind it: puts
     * the request in its place as the target shall get it, for the outbound may send it with the opening. Else why not, which
     * reply() will say. */
    NODISCARD enum err (*prepare)(struct flow *);
    /* While it is being opened: whether the prepared request has more that is to come from the client. */
    bool (*has_more)(const struct flow *);
    /* Reads of that what has come, and puts it behind what flow->up holds. ERR_BAD: as by prepare(). Else the client is gone, or, by
     * ERR_AGAIN, says nothing now. */
    NODISCARD enum err (*take_more)(struct flow *);
    /* flow->target is open; flow->up holds what of the prepared request has not gone to it yet. */
    void (*begin)(struct flow *);
    void (*on_ready)(struct flow *, struct endpoint *, unsigned events);
    /* A time is over: handshake_ms where it waits for the client in env->handshaking, idle_ms or
     * half_closed_ms. False: it has nothing to say about that, and the flow is ended. */
    bool (*on_expired)(struct flow *);
    /* flow->is_last has become true: between two requests there is nothing to wait for. */
    void (*wind_up)(struct flow *);
    /* Frees flow->exchange, which is not NULL. */
    void (*deinit)(struct flow *);
};

struct inbound_protocol {
    const char *name;
    const struct exchange_ops *exchange; /* NULL: all its requests are of other kinds */
    bool speaks_first;                   /* advance() is called before any byte has come */
    /* Its clients are streams, which come with their request (flow_accept_request(), so advance() is
     * NULL): the near end counts idle times (flow/flow.h), and a reply that refuses ends the stream. */
    bool is_tunnel;
    /*
     * Looks at all bytes that have come and are not used up yet. Sets *used to how many it has used
     * (0 with INBOUND_MORE; with INBOUND_WAIT it has looked at so many, and gets them again). It answers with flow_answer() and may keep its place in flow->phase.
     */
    enum inbound_step (*advance)(struct flow *flow, const uint8_t *bytes, size_t n, size_t *used,
                                 struct request *request, enum err *why);
    /* Answers the request: ERR_NONE and our own address towards the target, or why not. BIND is
     * answered twice: where we listen, then whom we have. */
    void (*reply)(struct flow *flow, enum err err, const struct addr *bound);
};

/*
 * What holds for one user of a tunnel beside what his inbound says. His rules for targets are asked first: what his allow_targets
 * names he may reach, what his deny_targets names he may not, and of all else the inbound's decide.
 */
struct user_rights {
    uint8_t
        id[USER_ID_BYTES]; /* tells him from the inbound's others, and is the same after a reload */
    struct cidr_list allow; /* where his connections may come from; empty: from anywhere */
    struct target_rule_list allow_targets, deny_targets;
    struct target_rule_list allow_reverse; /* where he may have us listen; every one has ports */
    uint64_t per_client;                   /* streams from one address; 0: no limit */
    uint64_t sessions;                     /* how many at once; 0: no limit */
};

struct flow_user {
    const char *name;
    const struct user_rights *rights; /* NULL: the inbound's alone */
};

/* What a protocol may serve beside connecting: UDP ASSOCIATE, BIND. */
struct inbound_command {
    bool is_enabled;
    uint16_t port_from, port_to; /* of the sockets opened for it; 0, 0: any */
    struct addr advertise;       /* told to clients in place of our own; family NONE: not so */
};

/* An address that the far end of a tunnel is to listen on. */
struct inbound_listen {
    struct addr addr;
    bool is_optional; /* its machine may lack the family */
};

struct inbound {
    struct ruleset *ruleset; /* which it is part of */
    const struct inbound_protocol *protocol;
    const char *name;
    struct outbound *outbound;
    struct users *users; /* NULL: anyone may use it */
    struct cidr_list allow, deny;
    struct target_rule_list allow_targets, deny_targets;
    struct target_rule_list allow_reverse; /* of a tunnel: where anyone may have us listen */
    struct target target; /* where a relay leads to; of a tunnel where those lead who name none */
    struct outbound *speedtest; /* of a tunnel: who serves those who measure it; NULL: nobody */
    struct far_spec *far;       /* of a tunnel (tunnel/far_spec.h), held; else NULL */
    struct far_roster *roster;  /* likewise (tunnel/far_roster.h), owned */
    struct inbound_command udp, bind;
    struct outbound
        *listen_via; /* the tunnel by whose far end it is listened for; NULL: we listen */
    const struct inbound_listen *listens; /* then: where */
    size_t n_listens;
    bool denies_loopback;                     /* it can be reached from beyond this machine */
    uint64_t max_connections, max_per_client; /* 0: no limit */
    struct inbound_counts *counts;            /* survives reloads */
};

#endif
