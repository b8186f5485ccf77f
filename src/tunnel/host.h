/*
 * A peer in the program: its carriers, its streams and its timer, at either end. The near end (tunnel/near.h) and the far end embed
 * it and say by its ops what they do about what is theirs alone.
 */
#ifndef SOCKEYE_TUNNEL_HOST_H
#define SOCKEYE_TUNNEL_HOST_H

#include "peer/peer.h"
#include "tunnel/carrier.h"
#include "tunnel/env.h"
#include "tunnel/stream.h"

struct host;
struct tunnel_session_report; /* tunnel/report.h */

/* END's codes. */
enum { END_PROGRAM_ENDS = 0, END_NO_RIGHT = 2, END_LIMIT = 3 };

/* Called while it is settled. */
struct host_ops {
    /* The other end has opened a stream. NULL: it may not, and is refused. */
    void (*on_incoming)(struct host *, struct stream *);
    /* A stream of ours, whose `opening` is not NULL, was answered or is dead. NULL: there are none. */
    void (*on_answered)(struct host *, struct tunnel_stream *);
    /* PEER_BEGUN, or PEER_RENEWED. NULL: never, or of no interest. */
    void (*on_begun)(struct host *);
    /* Something is said of a listener: SESSION_LISTEN, SESSION_LISTENING or SESSION_UNLISTEN. NULL: nothing ever is. */
    void (*on_listener)(struct host *, const struct session_event *);
    /* A carrier is wanted. NULL: never. */
    void (*on_wanted)(struct host *);
    void (*on_up)(struct host *, struct carrier *);
    /* The other end takes no more streams, and ends the session in so many seconds. */
    void (*on_drained)(struct host *, uint64_t seconds);
    /* A carrier has ended, `how` as told by carrier.h. NULL: nobody cares. */
    void (*on_gone)(struct host *, const struct carrier *, enum err how);
    /* Near: all of this turn is done. NULL: nobody cares. */
    void (*on_settled)(struct host *, const struct peer_time *now);
    /* The carrier's link takes the silent path: it is the host's no more (carrier_release()). NULL: never. */
    void (*on_silent)(struct host *, struct carrier *, const char *why);
    /* Tells by tunnel_report_listener() what is listened on. NULL: nothing ever. */
    void (*report_listeners)(struct host *, struct tunnel_session_report *);
    /* The session is over and its carriers are closed; `why` may be NULL. The host is to be taken down by host_deinit(). */
    void (*on_ended)(struct host *, const char *why);
};

struct host {
    struct tended tended;
    struct list link; /* in env->hosts */
    const struct host_ops *ops;
    const char *name;  /* of the inbound or outbound, borrowed; for the log */
    const char *user;  /* far: whose session it is, likewise; NULL: there are no users */
    struct peer *peer; /* owned */
    struct list carriers, streams;
    size_t
        n_riders; /* carriers of other sessions' that are its streams, by which those have last words to say */
    struct timer deadline;
    size_t n_carriers;    /* as of when ... */
    uint64_t deadline_us; /* likewise */
    uint64_t looked_us;   /* ... all were asked for theirs */
    uint64_t serial;      /* of its worker's hosts */
    uint64_t n_cut; /* carriers that ended without a word of either end, after their links stood */
    bool is_near;
    bool is_moving;   /* near: a link stands, and what carries it moves too */
    bool is_leaving;  /* it ends with its last stream */
    bool has_waited;  /* for those that go through it to end */
    bool is_drained;  /* for one of the two ends takes no more */
    uint64_t end_us;  /* and at the latest then */
    uint64_t wait_us; /* not before, as long as the other end may not know that it is drained */
    bool is_ending;   /* it was told to */
    bool is_over;     /* the session is; its last carriers are being closed */
    const char *why;
};

/* Takes the peer when it succeeds. ERR_MEMORY. */
NODISCARD enum err host_init(struct host *host, struct tunnel_env *env, const struct host_ops *ops,
                             const char *name, struct peer *peer);
/* Ends what carriers are left, by resets, and frees the peer. Its streams are dead. */
void host_deinit(struct host *host);

/* Ends the session; the other end is told where a link stands. on_ended() follows. */
void host_end(struct host *host, uint8_t code);

/* No more streams are taken, which the other end is told: it ends with the last, or in so many seconds. */
void host_drain(struct host *host, uint64_t seconds);

/* The same when its last stream is closed: what was handed to it is delivered before. */
void host_leave(struct host *host);

/* One of its peer's links has this carrier now: takes the endpoint. ERR_MEMORY: the endpoint is the caller's still, and the link to be ended. */
NODISCARD enum err host_add_carrier(struct host *host, struct endpoint *endpoint,
                                    struct peer_link *of, const struct addr *remote);
/* The same of one that stood at a gate. */
void host_adopt_carrier(struct host *host, struct carrier *carrier);

/* Answers a stream that the other end has opened: why it may not. The stream is gone. */
void host_refuse(struct host *host, struct stream *stream, enum err why);

/* Writes what its links have to send now, before the turn is over. */
void host_write(struct host *host);

/* Whether its streams stand still until it has a link again. The far end cannot know. */
static inline bool host_is_suspended(const struct host *host)
{
    return host->is_near && !host->is_moving && !host->is_over;
}

static inline void host_touch(struct host *host)
{
    tended_touch(&host->tended);
}

#endif
