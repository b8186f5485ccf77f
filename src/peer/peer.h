/*
 * A peer: one half of one session with its links, near (it connects) or far (it listens). Carriers' bytes and a time go
 * in; bytes, events and the next deadline come out. It is all that the program (tunnel/) and the simulator (tests/sim/) see of
 * link/ and session/.
 *
 *     carrier --peer_link_room, peer_link_received--> link: handshake, opens records --> session --> streams
 *     carrier <--peer_link_output, peer_link_sent---- link: seals records <-- session_pull <-- streams
 *
 * At the far end a carrier belongs to no peer before its first flight was judged: it stands at the *gate* (peer/gate.h),
 * which then makes a peer of it, gives it to the peer whose session it joins, says that another worker owns that, or
 * lets it fall silent.
 *
 * Nothing here calls back. After any call that takes a time, and any of a stream's: ask for events until there are none, write
 * what the links want to send that peer_next_wanting() names, and set a timer for the deadline. Then, as the turn is over, peer_settle().
 */
#ifndef SOCKEYE_PEER_PEER_H
#define SOCKEYE_PEER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chunk.h"
#include "base/err.h"
#include "base/rng.h"
#include "link/handshake.h"
#include "session/session.h"

struct peer;
struct peer_link;

/* The time, by all clocks that are needed. */
struct peer_time {
    uint64_t now_us;  /* CLOCK_MONOTONIC's like: only grows */
    uint64_t boot_ms; /* CLOCK_BOOTTIME's like: counts while the machine sleeps */
    uint64_t wall_ms; /* since 1970, and may be wrong */
};

enum peer_event_kind {
    PEER_STREAM,   /* `session_event` is one of STREAM_... */
    PEER_LISTENER, /* `session_event` is SESSION_LISTEN, SESSION_LISTENING or SESSION_UNLISTEN */
    PEER_BEGUN, /* far: its first record behind the handshake has come, so that it is this session which the client has taken: those before it of the same peer_who() are to end */
    PEER_RENEWED, /* near: another session has taken the place of one that was lost, with its listeners */
    PEER_WANTS_CARRIER, /* near: open one, and give it by peer_dialled(); peer_dial_failed() otherwise */
    PEER_LINK_UP,
    PEER_LINK_PROVED, /* far: its other end is alive and, where that is demanded, has shown who it is: a record has come behind the handshake */
    PEER_LINK_CLOSE, /* its carrier is to be closed; `is_clean`: once what peer_link_output() has is sent, by a fin. Then peer_link_ended() */
    PEER_LINK_SILENT, /* far: its carrier takes the silent path; the link is freed when the next event is asked for */
    PEER_DRAIN, /* the other end takes no more streams in this session, and ends it in so many `seconds` */
    PEER_SIGN,  /* a signature is wanted off the loop: peer_sign_job(), peer_signed() */
    PEER_ENDED, /* the session is over, its last link gone, and the peer to be freed. Unless peer_end() was called, streams that were closed before were released */
};

struct peer_event {
    enum peer_event_kind kind;
    struct session_event session_event;
    struct peer_link *link;
    bool is_clean;
    uint64_t seconds;
    const char *why; /* for the log, static; NULL: nothing to say */
};

/* False: nothing more. */
bool peer_next_event(struct peer *peer, struct peer_event *event);

/* ---- carriers ---- */

/* Near: a carrier is there; the first flight is to be sent. Returns a link of the peer's; NULL: out of memory, and the carrier is
 * wanted still. */
struct peer_link *peer_dialled(struct peer *peer, const struct peer_time *time);
/* Near: the carrier that was wanted could not be had. */
void peer_dial_failed(struct peer *peer, const struct peer_time *time);
/* Near: the network has changed: tries at once what it would try later, and anew what is under way. The carriers that were wanted
 * are not awaited any more: whoever dials has given them up. */
void peer_network_changed(struct peer *peer, const struct peer_time *time);

/* Near: carriers go another way from now on, or those there are may be dead: others take their place, and they end when these stand; what
 * is under way is given up, as by peer_network_changed(), for that reason, which is static. */
void peer_move(struct peer *peer, const char *why, const struct peer_time *time);

/* Near: whether all carriers it has or waits for stand still, since they are streams of sessions that have no link. Then nothing that is awaited on
 * them is late, and no further one is asked for; when they move again, each time goes on where it was. How long the session is kept without a link goes on. */
void peer_suspend(struct peer *peer, bool is_suspended, const struct peer_time *time);
/* Near: what the server's clock, in milliseconds since 1970, said when it made the last flight 2, moved on by the time since; false: there was none. */
bool peer_server_clock(const struct peer *peer, const struct peer_time *time, uint64_t *wall_ms);
/* Near: a link stands, and is not stalled: streams move. */
bool peer_is_moving(const struct peer *peer);
/* Near: the link's carrier is a stream of another session, which shall be the first to find out that a line is dead. */
void peer_link_set_chained(struct peer_link *link);

/* Lends room for the carrier's bytes. ERR_MEMORY. */
NODISCARD enum err peer_link_room(struct peer_link *link, uint8_t **bytes, size_t *n);
/* So many bytes were read into it; 0 gives the room back. */
void peer_link_received(struct peer_link *link, size_t n, const struct peer_time *time);
/* Whether bytes wait for more of the same record. */
bool peer_link_has_part(const struct peer_link *link);
/* Whether its carrier's end is no surprise: either end has said BYE on it, or given it up, or the near end has never used it: it was
 * an attempt that another was faster than. */
bool peer_link_is_done(const struct peer_link *link);
/* The carrier has ended, by a fin or broken. The link is gone when this returns. */
void peer_link_ended(struct peer_link *link, const struct peer_time *time);
/* A link whose carrier is to be written to: it may want to send, or was told to be closed. Each is named once until more comes up: where its
 * carrier has no room that is to be remembered. NULL: no more, in this turn. (A link that stands at a gate may want to after each read.) */
struct peer_link *peer_next_wanting(struct peer *peer, const struct peer_time *time);
/* Lends sealed bytes to be sent now, at most about `most`. 0: none. */
size_t peer_link_output(struct peer_link *link, size_t most, const struct peer_time *time,
                        const uint8_t **bytes);
void peer_link_sent(struct peer_link *link, size_t n, const struct peer_time *time);

uint64_t
peer_link_number(const struct peer_link *link); /* for session_link_stats(); of one that is up */

/* Whether it may carry so little that there are many such, one after the other. */
bool peer_link_is_brief(const struct peer_link *link);

void peer_link_set_owner(struct peer_link *link, void *owner);
void *peer_link_owner(const struct peer_link *link);

/* What PEER_SIGN and GATE_SIGN ask for: sign() with this key over these bytes, then the answer; n 0: it could not be made. */
struct sign_key;
const struct sign_key *peer_sign_job(const struct peer_link *link,
                                     uint8_t bytes[static HANDSHAKE_SIGN_BYTES]);
void peer_signed(struct peer_link *link, const uint8_t *signature, size_t n,
                 const struct peer_time *time);

/* ---- the rest ---- */

/* Whoever keeps it. NULL: not told yet. */
void peer_set_owner(struct peer *peer, void *owner);
void *peer_owner(const struct peer *peer);

/* The session that is there now. At the near end another takes its place when it is lost: the streams of the old one are dead, told so,
 * and live until they are released. */
struct session *peer_session(struct peer *peer);
/* The other end is told that we take no more streams in this session, and end it in so many seconds. */
void peer_drain(struct peer *peer, uint64_t seconds, const struct peer_time *time);
/* Whether the other end knows that; also where there is nobody to tell. */
bool peer_drain_is_known(const struct peer *peer);
/* Ends the session: the other end is told where a link stands. PEER_ENDED follows. */
void peer_end(struct peer *peer, uint8_t code, const struct peer_time *time);
void peer_free(struct peer *peer); /* at any time; NULL is fine */

/* The turn is over: session_settle() of each of its sessions. */
void peer_settle(struct peer *peer);

/* Whether there are streams that go on, that the other end is to hear the end of, or that are over and were not released. */
bool peer_has_streams(const struct peer *peer);
/* Whether it has a link now. */
bool peer_is_linked(const struct peer *peer);

#define PEER_WHO_BYTES 32

/* Far: who is behind it, once PEER_BEGUN was told: user or key, identity and instance. The same for whoever comes again. */
void peer_who(const struct peer *peer, uint8_t who[static PEER_WHO_BYTES]);

uint64_t peer_deadline_us(const struct peer *peer);
void peer_advance(struct peer *peer, const struct peer_time *time);

#endif
