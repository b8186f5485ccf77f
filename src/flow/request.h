/* What a client asks for, whatever protocol it asked by. */
#ifndef SOCKEYE_FLOW_REQUEST_H
#define SOCKEYE_FLOW_REQUEST_H

#include <stdbool.h>

#include "base/addr.h"

struct outbound;
struct packets;

enum request_command {
    REQUEST_CONNECT,
    REQUEST_BIND,      /* the target is the peer to wait for; an unspecified address: any */
    REQUEST_ASSOCIATE, /* the target is where the client's datagrams will come from, if it knows */
    REQUEST_EXCHANGE,  /* messages to this target, perhaps others to others (struct exchange_ops) */
};

struct request {
    enum request_command command;
    struct target target;
    struct outbound *by; /* which takes it, whatever the rules say; NULL: they decide */
    void *by_what;       /* what that is to know: its opening.state at first */
    struct packets *
        packets; /* ASSOCIATE by a tunnel: the client's datagrams, part of its endpoint; else NULL */
    bool is_configured; /* the configuration names the target: no rule denies it */
};

#endif
