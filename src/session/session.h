/*
 * A session: streams with byte offsets, over links that come and go (doc/protocol.md, sections 7 and 8).
 * It knows links by their numbers only, and neither keys nor carriers.
 *
 *     application --stream_write--> chunks --session_pull--> a record's payload --> link
 *     application <--stream_peek--- chunks <--session_receive-- a record's payload <-- link
 *
 * Every byte of a stream has an offset. A sender keeps what it has sent until it is acknowledged; what a
 * lost link had beyond its last acknowledgement goes out again on another. A receiver puts bytes in order
 * and drops what it has.
 *
 * Nothing here calls back: what happened is asked for with session_next_event(). Times are microseconds of a clock
 * that only grows.
 */
#ifndef SOCKEYE_SESSION_SESSION_H
#define SOCKEYE_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/chunk.h"
#include "base/err.h"
#include "base/piece.h"

struct session;
struct stream;

#define SESSION_RECORD_MAX_BYTES ((size_t)64 * 1024)
#define SESSION_ROOM_MIN_BYTES 512 /* what an opening takes, and more */

struct session_options {
    bool is_client;
    uint64_t
        window_bytes; /* what may be granted and not consumed, over all streams, beside 4,096 bytes for each */
    uint64_t stream_window_bytes; /* the same for one */
    struct chunk_source *chunks;  /* borrowed */
};

/* Returns owned. ERR_MEMORY. */
NODISCARD enum err session_new(struct session **out, const struct session_options *options);
/* Streams that are left are freed too, without a word to anybody. NULL is fine. */
void session_free(struct session *session);

/* ---- streams ---- */

/* By its numbers on the wire. The client opens the others, the server those of its listeners. */
enum stream_kind {
    STREAM_CONNECTION = 0,
    STREAM_ASSOCIATION = 1, /* datagrams to and from anywhere */
    STREAM_ACCEPTED =
        2,              /* a connection that a listener has taken; the target is where it came to */
    STREAM_RELAYED = 3, /* datagrams of one whose connection a listener has taken */
    STREAM_SPEED = 4,   /* a client measures: the server discards what comes and sends zeros */
};

struct stream_request {
    enum stream_kind kind;
    uint64_t of;          /* of ACCEPTED: its listener; of RELAYED: the connection's stream */
    bool has_target;      /* else it is the far end's own */
    struct target target; /* where it shall lead to */
    struct addr source;   /* the client's address, family NONE: unknown */
};

enum stream_reset {
    STREAM_RESET_APPLICATION,
    STREAM_RESET_LIMIT,
    STREAM_RESET_LOST,
    STREAM_RESET_DRAIN
};

/* Opens a stream; bytes may be written at once. ERR_MEMORY, ERR_LIMIT (no id is free until older
 * openings are acknowledged, or there are too many streams), ERR_EOF (the session has ended, or the other end takes no more). */
NODISCARD enum err session_open(struct session *session, const struct stream_request *request,
                                struct stream **out);
/* The request of a stream that the other end has opened; borrowed until it is answered. */
const struct stream_request *stream_request(const struct stream *stream);
/* Answers it: 0 and our address towards the target, or one of RFC 1928's codes, which ends the stream. ERR_MEMORY. */
NODISCARD enum err stream_answer(struct stream *stream, uint8_t code, const struct addr *bound);
/* The answer to a stream of ours, once STREAM_ANSWERED was told. */
uint8_t stream_code(const struct stream *stream, struct addr *bound);

/* Lends room for at least one byte to be written to. ERR_AGAIN: what is not sent yet is enough;
 * STREAM_WRITABLE follows. ERR_RESET: the stream is dead. ERR_MEMORY. Followed by stream_commit() (0 bytes: none), before anything else. */
NODISCARD enum err stream_reserve(struct stream *stream, uint8_t **bytes, size_t *n);
void stream_commit(struct stream *stream, size_t n);
/* The same by a copy; *n says how many bytes were taken. Never more than 64 KiB are unsent by that. */
NODISCARD enum err stream_write(struct stream *stream, const void *bytes, size_t given, size_t *n);
/* No more bytes follow. */
void stream_finish(struct stream *stream);

/* Lends bytes that have come, in order. ERR_AGAIN: none; STREAM_READABLE follows. ERR_EOF: the fin, and all before it
 * was consumed. ERR_RESET. They lie there until they are consumed, or the session is next given a record or settled. */
NODISCARD enum err stream_peek(struct stream *stream, const uint8_t **bytes, size_t *n);
void stream_consume(struct stream *stream, size_t n);

/*
 * Datagrams, by streams of the kinds that carry them, which carry nothing else. Each is sent at most once, and dropped where the
 * stream has many that wait or it has waited for long while others could go: whoever sends is never stopped.
 */

/* Whether it carries them. */
bool stream_has_datagrams(const struct stream *stream);
/* Sends a copy. Times are as elsewhere, those of the calls that take one. */
void stream_send_datagram(struct stream *stream, const struct target *address, const uint8_t *bytes,
                          size_t n, uint64_t now_us);
/* Lends the next that has come, with room in front of it for a header of SOCKS5 with that address, to be overwritten; until the
 * session is next given a record or settled, which drops what was not taken. ERR_AGAIN: none; STREAM_READABLE follows. ERR_EOF: the fin.
 * ERR_RESET. */
NODISCARD enum err stream_take_datagram(struct stream *stream, struct target *address,
                                        uint8_t **bytes, size_t *n);
/* How many were dropped since this was last asked. */
uint64_t stream_dropped_datagrams(struct stream *stream);

/* Kills both directions. Harmless on a stream that is dead. */
void stream_reset(struct stream *stream, enum stream_reset code);
/* Why it is dead, once STREAM_DEAD was told. */
enum stream_reset stream_reset_code(const struct stream *stream);

/* The application is through with it; the session goes on delivering what it has to, then frees it. No
 * event about it follows. A stream that is neither finished nor dead is reset, and so is one that has unread bytes, or that more
 * come for: as closing a socket does. */
void stream_release(struct stream *stream);

void stream_set_owner(struct stream *stream, void *owner);
void *stream_owner(const struct stream *stream);
uint64_t stream_id(const struct stream *stream); /* 0: its opening was not sent yet */
/* What a request of kind RELAYED is about: the stream of the connection; NULL: it is gone. */
struct stream *session_accepted(const struct session *session, uint64_t id);

/* ---- listeners: at the server, for the client (doc/protocol.md, "Listening") ---- */

#define SESSION_MAX_LISTENERS 64

/* By its number on the wire: there is one kind. */
#define LISTENER_CONNECTIONS 0

/* LISTENING's codes. */
enum listener_code { LISTENER_BOUND, LISTENER_FAILED, LISTENER_DENIED, LISTENER_IN_USE };

/* Client: asks for one; SESSION_LISTENING follows, again where the server has to close it. ERR_LIMIT: there are as many as
 * may be. ERR_EOF: the session has ended. ERR_MEMORY. */
NODISCARD enum err session_listen(struct session *session, const struct addr *at, uint64_t *number);
/* Client: nothing more is wanted of it; streams that came of it stay. Harmless on one that is not there. */
void session_unlisten(struct session *session, uint64_t number);
/* Server: answers SESSION_LISTEN, or says later that a listener is there no more. Harmless likewise. */
void session_listening(struct session *session, uint64_t number, enum listener_code code,
                       const struct addr *bound);
/* Server: while it is on SESSION_LISTEN waits, as it is not sure yet that the client stays with this session. */
void session_hold_listens(struct session *session, bool is_on);

/* ---- what happened ---- */

enum session_event_kind {
    STREAM_INCOMING, /* the other end has opened it */
    STREAM_ANSWERED, /* ours: stream_code() */
    STREAM_READABLE, /* bytes or the fin, at first and after ERR_AGAIN; they may have been read meanwhile */
    STREAM_WRITABLE,    /* room, after ERR_AGAIN */
    STREAM_DEAD,        /* by the other end, or the session's end */
    SESSION_LINK_LOST,  /* the other end says so: close its carrier */
    SESSION_LINK_BYE,   /* no more records will come on it */
    SESSION_LINK_SPENT, /* the stream whose own it was is closed */
    SESSION_LISTEN,     /* server: `listener` is wanted, of kind `code` at `addr` */
    SESSION_LISTENING, /* client: the answer about `listener`, `code` and `addr`; unless it is LISTENER_BOUND it is there no more */
    SESSION_UNLISTEN,  /* server: `listener` is wanted no more */
    SESSION_AUTH,      /* a signature has come: session_auth() */
    SESSION_DRAIN,     /* the other end takes no more streams, and ends it in so many seconds */
    SESSION_ENDED,     /* by the other end, or END was acknowledged */
};

struct session_event {
    enum session_event_kind kind;
    struct stream *stream; /* of STREAM_... */
    uint64_t link;         /* of SESSION_LINK_... */
    uint8_t code;          /* of SESSION_ENDED, LISTEN, LISTENING */
    uint64_t listener;     /* of SESSION_LISTEN, LISTENING, UNLISTEN */
    struct addr addr;
    uint64_t seconds; /* of SESSION_DRAIN */
};

/* Whether there may be one: cheap, for those who ask with each record. */
bool session_has_event(const struct session *session);
/* False: nothing more. Each thing is told once until it happens anew. */
bool session_next_event(struct session *session, struct session_event *event);

/* ---- links ---- */

/* Records may go and come on the link: at a client from its flight on. ERR_MEMORY. ERR_BAD: the number was used, or given up by the
 * other end. */
NODISCARD enum err session_add_link(struct session *session, uint64_t link, uint64_t now_us);
/* It is for one stream: at a client the next that is opened, at a server the one whose opening comes by it. */
void session_own_link(struct session *session, uint64_t link);
/* How many of those are up whose stream has not come yet. */
size_t session_ready_links(const struct session *session);
/* Its handshake has succeeded: the other end knows of it. */
void session_link_stands(struct session *session, uint64_t link);
/* It is gone: what it had goes out again on others, and the other end is told. */
void session_lose_link(struct session *session, uint64_t link, uint64_t now_us);
/* Early records were refused: those that the link has sent so far never were. */
void session_retract(struct session *session, uint64_t link, uint64_t now_us);

/*
 * One record that was accepted, in the order of its link; `payload` lies in `chunk`, which is held where bytes of it
 * are kept. What is not consumed when session_settle() is called is copied into chunks of its size. ERR_BAD: the
 * protocol was violated, the session is over. ERR_MEMORY: likewise, since a hole cannot be mended.
 */
NODISCARD enum err session_receive(struct session *session, uint64_t link, struct chunk *chunk,
                                   uint8_t *payload, size_t n, uint64_t now_us);
/* The turn is over: lets go of the chunks that were given. */
void session_settle(struct session *session);

#define SESSION_FILL_PIECES 64
#define SESSION_FILL_HEAD_BYTES 4096 /* AUTH of the largest keys among them */

/* How much room the next record of the link needs lest something that cannot be divided has to wait: it may be more than
 * the caller would give. 0: as it likes. Drops datagrams that are too old. */
size_t session_room(struct session *session, uint64_t link, uint64_t now_us);

/* The payload of one record, scattered: heads of frames in `heads`, streams' bytes where they lie. Valid until
 * the session is next called. */
struct session_fill {
    struct piece pieces[SESSION_FILL_PIECES];
    size_t n_pieces;
    size_t n_bytes; /* in all */
    uint8_t heads[SESSION_FILL_HEAD_BYTES];
};

/*
 * Fills the link's next record with at most `room` bytes, from SESSION_ROOM_MIN_BYTES (for AUTH what it takes) to
 * SESSION_RECORD_MAX_BYTES, of what is most urgent: acknowledgements, answers, new and small streams before bulk ones, those in turns. It counts as sent. Returns the
 * bytes, 0: nothing is to be sent on this link now.
 */
size_t session_pull(struct session *session, uint64_t link, size_t room, uint64_t now_us,
                    struct session_fill *fill);
/* What a link's last record has room for, if nothing else shall go in it: an acknowledgement and BYE. */
#define SESSION_LAST_ROOM_BYTES 26

/* Whether session_pull() would give anything. */
bool session_wants(struct session *session, uint64_t link);
/* Who asks the link, told by session_next_wanting(). NULL: nobody (any more). */
void session_keep_link(struct session *session, uint64_t link, void *keeper);
/* Who keeps it; NULL: nobody, or there is no such link. */
void *session_link_keeper(const struct session *session, uint64_t link);
/*
 * The keeper of a link that may want to send, as something has come up that it alone can carry; each is told of once, until more comes up.
 * What any of several may carry waits until session_offer(): then those are told of that may take it. Of links that are not told of
 * session_wants() is false, but for those that were and have not taken all since. NULL: there is none.
 */
void *session_next_wanting(struct session *session);
void session_offer(struct session *session);
/* The next record of the link begins with AUTH; the signature is copied. ERR_MEMORY. */
NODISCARD enum err session_put_auth(struct session *session, const uint8_t *spki, size_t n_spki,
                                    const uint8_t *signature, size_t n_signature);
/* What SESSION_AUTH was about; borrowed until the session is next called. */
void session_auth(const struct session *session, const uint8_t **spki, size_t *n_spki,
                  const uint8_t **signature, size_t *n_signature);
/* The first frame of all must be AUTH: SESSION_AUTH is told, and what is behind it waits for session_admit(), before which no other
 * record may be given. */
void session_demand_auth(struct session *session);
/* The signature is good, or nothing is demanded any more. Errors as of session_receive(), about the frames that have waited. */
NODISCARD enum err session_admit(struct session *session, uint64_t now_us);
/* While it is off streams' bytes are held back (early data). It is on at first. */
void session_deliver(struct session *session, bool is_on);

#define INSTANCE_BYTES 16

/* Client: the link's next record says which installation of the client's this is. */
void session_say_instance(struct session *session, uint64_t link,
                          const uint8_t instance[static INSTANCE_BYTES]);
/* Server: what the client has said. NULL: nothing. */
const uint8_t *session_instance(const struct session *session);

void session_ping(struct session *session, uint64_t link, uint64_t now_us);
/* The link's last record is the next: BYE. */
void session_bye(struct session *session, uint64_t link);
/* The other end is told to open no more streams; those that were under way come still. The owner ends the session in so many seconds. */
void session_drain(struct session *session, uint64_t seconds);
/* Whether the other end knows of that. */
bool session_drain_is_known(const struct session *session);
/* The other end has said so: session_open() fails. */
bool session_is_drained(const struct session *session);
/* Client: streams of which the other end cannot know, as their opening was not sent or was retracted, become another session's, with
 * what is to be sent by them. Those that concern another stream stay, those that were answered all the same, and those for which there
 * is no memory. */
void session_move_untold(struct session *from, struct session *to);
/* Ends the session: streams die that are not closed, END is sent. */
void session_end(struct session *session, uint8_t code, uint64_t now_us);
/* Those that are closed and were not released die too. */
void session_kill_closed(struct session *session);

/* When session_advance() wants to be called next; UINT64_MAX: not before something comes. */
uint64_t session_deadline_us(const struct session *session);
void session_advance(struct session *session, uint64_t now_us);

/* ---- what is known of it ---- */

struct session_link_stats {
    uint64_t n_sent_records, n_acked_records, n_accepted_records;
    uint64_t n_unacked_bytes;
    uint64_t
        unacked_since_us; /* the last time that an acknowledgement advanced, or the first record since; 0: nothing is unacknowledged */
    uint64_t srtt_us, min_rtt_us; /* 0: unknown */
    uint64_t last_received_us;
    uint64_t rate;             /* at which streams' bytes were acknowledged, a second; 0: unknown */
    bool is_own;               /* of one stream */
    bool is_ready;             /* which has not come yet */
    uint64_t n_pongs, pong_us; /* answers to PING, and what the last one took */
};

struct session_stream_stats {
    uint64_t id;
    uint64_t srtt_us,
        min_rtt_us; /* from sending to the acknowledgement, but for what the other end has put it off by; 0: unknown */
    uint64_t n_sent_bytes, n_acked_bytes, n_received_bytes; /* each once; 0 of one for datagrams */
    uint64_t n_resent_bytes;
};

struct session_stats {
    uint64_t n_streams, n_opened; /* now, ever */
    uint64_t n_dead;              /* refused or reset, which the other end is to hear of still */
    uint64_t n_closed; /* that are over, and were not released: there may be something to be read */
    uint64_t n_listeners;                                    /* that the client wants */
    uint64_t n_sent_bytes, n_received_bytes, n_resent_bytes; /* of streams */
    uint64_t n_acked_bytes;                                  /* likewise: each once */
    uint64_t n_sent_datagrams, n_received_datagrams, n_dropped_datagrams;
    uint64_t n_held_bytes;    /* in chunks, both ways */
    uint64_t n_granted_bytes; /* of window_bytes */
};

/* The links have stood still for so long, through no fault of theirs: what is awaited on them is not late by that, and no round trip
 * is measured by what was sent before. */
void session_excuse(struct session *session, uint64_t pause_us, uint64_t now_us);
/* When what began then would have begun without the pause: what began meanwhile has not waited for it. */
uint64_t session_excused(uint64_t since_us, uint64_t pause_us, uint64_t now_us);

/* Whether bytes of streams that had not come before, or datagrams, have come by it, or what went by it was acknowledged; it may be lost. */
bool session_link_has_carried(const struct session *session, uint64_t link);
bool session_link_stats(const struct session *session, uint64_t link,
                        struct session_link_stats *stats);
void session_stats(const struct session *session, struct session_stats *stats);
/* Of the oldest that live and have an id, at most `max`; returns how many. */
size_t session_stream_stats(const struct session *session, struct session_stream_stats *stats,
                            size_t max);

#endif
