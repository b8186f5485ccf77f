/*
 * Says that this machine's network has changed: links, addresses or routes came or went
 * (rtnetlink(7)). Answers of DNS servers and idle connections from before may be worth nothing then.
 */
#ifndef SOCKEYE_IO_NETWATCH_H
#define SOCKEYE_IO_NETWATCH_H

#include "base/err.h"
#include "io/loop.h"

/* A change comes as many messages. One call is made this long after the first of them; what comes
 * later makes the next call, so that a network that never rests is told of too. Where it does not, each
 * call waits twice as long as the one before, up to 12.8 s, so that who connects anew at each comes
 * through at last: no change waits for much longer than others have come before it. */
#define NETWATCH_SETTLE_MS 200

struct netwatch {
    struct loop *loop;
    struct watch watch;
    struct timer timer;
    int fd;
    uint64_t noted_ms;   /* the last message */
    unsigned n_restless; /* calls since the last rest */
    void (*changed)(struct netwatch *);
};

/* Any error: the system has no such thing for us (a sandbox, no descriptors); go on without. */
NODISCARD enum err netwatch_init(struct netwatch *netwatch, struct loop *loop,
                                 void (*changed)(struct netwatch *));
/* Harmless when the initialisation failed. */
void netwatch_deinit(struct netwatch *netwatch);

#endif
