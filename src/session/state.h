/*
 * What a session consists of: for the files of session/ alone. Each owns a part of it:
 *
 *     stream.c   what an application does with a stream       incoming.c   bytes that come: order, lending, consuming
 *     table.c    streams by their ids, their births and ends  outgoing.c   bytes that go: acknowledged, lost, next
 *     link.c     records sent, their acknowledgements         loss.c       links that are lost
 *     receive.c  frames to the parts above                    pull.c       the parts above to frames
 *     session.c  events, deadlines, the end                   credit.c     windows
 *     listen.c   listeners                                    choice.c     which of several links, and when one is stalled
 *     datagrams.c   what streams of datagrams have to send and have received
 *
 * A stream waits in one of two queues while it has something to send: *urgent* with an opening, an answer, a
 * reset or the first bytes after a pause; *bulk* otherwise. While its OPEN (or OPENED) is under way on a link, its frames go behind it:
 * it is pinned to that link, and waits in the link's own queues. A stream that has a link of its own (its *home*) stays pinned to it.
 */
#ifndef SOCKEYE_SESSION_STATE_H
#define SOCKEYE_SESSION_STATE_H

#include "base/list.h"
#include "session/buffer.h"
#include "session/frame.h"
#include "session/ids.h"
#include "session/pages.h"
#include "session/ranges.h"
#include "session/session.h"

enum {
    INITIAL_FULL = 65536,   /* credit of a new stream, while little is granted */
    INITIAL_LOW = 4096,     /* which any stream has, outside the session's cap */
    UNSENT_MAX = 64 * 1024, /* a stream takes no more from its application */
    LOST_MAX = 256, /* links that are lost and not forgotten, beside as many as were up at once */
    JOINS_REACH =
        64, /* so far below a link's highest number, one that was not used may still come */
    STREAMS_MAX = 32768,
    STREAMS_CLOSING_MAX = 8192,   /* beyond these, refused or reset, which was not acknowledged */
    STREAMS_LEFT_MAX = 1024,      /* likewise, and those that have ended, while memory is short */
    LISTENERS_CLOSING_MAX = 1024, /* refused, which was not acknowledged */
    ACK_DELAY_US = 25000,
    ACK_BYTES = 256 * 1024,
    END_US = 3000000,
    COUNT_US =
        1000000, /* so long is the count of a link awaited that has ended by both ends' BYE */
};

/* Has never been sent on any link. */
#define NO_LINK UINT64_MAX

/* Where the latest value of a slot went, so that it is known whether it was lost. */
struct slot {
    uint64_t link, record; /* link: NO_LINK, nowhere */
};

/* What waits to be sent. */
struct queues {
    struct list urgent, bulk;
    struct list windows;   /* streams that are to send WINDOW */
    struct list datagrams; /* struct datagrams: those that may go */
};

/* The rare half of what is sent: after a loss, or with several links. */
struct recovery {
    struct ranges lost;  /* to be sent again */
    struct ranges acked; /* beyond `base` */
};

/* As it was measured, smoothed as RFC 6298 does, and the least; 0: unknown. */
struct round_trip {
    uint64_t smoothed_us, min_us;
};

/* Offsets: base <= next <= end + 1. The fin counts as a byte at `end`. */
struct outgoing {
    struct buffer buffer;
    uint64_t base;  /* all below it is acknowledged */
    uint64_t next;  /* sent once at least */
    uint64_t end;   /* written by the application */
    uint64_t limit; /* the other end's credit */
    struct recovery *recovery;
    uint32_t part_bytes; /* of the next part of the buffer */
    uint32_t n_flying;   /* DATA frames that may still come by the link that had them */
    uint64_t burst;      /* bytes sent of late: leaks away with time */
    uint64_t burst_us;   /* as of when */
    int32_t deficit;     /* of its turn in the bulk queue */
    uint64_t n_resent;   /* bytes */
    struct round_trip round_trip;
};

/* Offsets: consumed <= received <= highest <= limit. */
struct incoming {
    struct buffer buffer;     /* what was kept when a turn was over */
    uint32_t lent, lent_last; /* then: of session.loans, their indices + 1; 0: none */
    struct pages *pages;      /* what has come too early */
    uint64_t consumed, received, highest;
    uint64_t limit;    /* what it may send */
    uint64_t window;   /* how much more than what is consumed that shall be */
    uint64_t reserved; /* of the session's cap */
    uint64_t final_size;
    uint64_t epoch_us, epoch_bytes; /* what was consumed since */
    struct slot window_sent;
};

/* What a stream of datagrams has to send: they stand in parts, each behind a struct waiting. */
struct datagrams {
    struct list in_queue;
    struct stream *stream;
    struct datagram_part *head, *tail;
    size_t n_bytes;     /* of those that wait, with what they are kept in */
    uint64_t n_dropped; /* since somebody asked */
    int32_t deficit;    /* of its turn */
};

enum stream_needs { NEEDS_OPEN = 1, NEEDS_OPENED = 2, NEEDS_RESET = 4 };
enum queue { QUEUE_NONE, QUEUE_URGENT, QUEUE_BULK };

struct stream {
    struct session *session;
    void *owner;
    uint64_t id; /* 0: its OPEN was not sent yet */
    struct stream *next_of_bucket;
    struct list in_session, in_events, in_queue, in_windows;
    struct session_link *pin;
    struct list in_pinned;          /* of that link */
    struct list in_told;            /* of the link by which its last WINDOW went */
    struct list in_crowded_out;     /* of the session */
    struct session_link *home;      /* its own link, to which it is pinned then; NULL: none */
    struct datagrams *datagrams;    /* owned; NULL: it carries bytes */
    struct stream_request *request; /* until OPEN was acknowledged, or answered */
    struct outgoing out;
    struct incoming in;
    uint32_t claim, grant; /* of its OPEN, if it is ours */
    uint32_t n_told;       /* how often that was sent, but for what was retracted */
    struct addr bound;
    uint8_t code;   /* of OPENED */
    uint8_t reset;  /* enum stream_reset, of one that is dead */
    uint8_t needs;  /* of enum stream_needs */
    uint8_t queue;  /* enum queue */
    uint8_t events; /* bits, by enum session_event_kind */
    bool is_ours : 1;
    bool is_answered : 1; /* OPENED was sent or has come */
    bool is_finished : 1; /* a fin is to be sent at out.end */
    bool has_final : 1;   /* a fin has come */
    bool is_dead : 1;
    bool is_closed : 1; /* nothing more is sent or received: not in the table */
    bool is_released : 1;
    bool is_left : 1;   /* it is kept for the other end's acknowledgement alone */
    bool was_short : 1; /* all that its window allows has come, but for a gap */
    bool awaits_read : 1, awaits_write : 1; /* ERR_AGAIN was said */
};

/* Bytes that lie in a chunk which was given to session_receive(), until the turn is over. */
struct loan {
    struct stream *stream; /* NULL: repaid */
    const uint8_t *bytes;
    uint32_t n;
    uint32_t next; /* of the stream: index + 1, 0: none */
};

enum sent_kind {
    SENT_NOTHING,
    SENT_OPEN,
    SENT_OPENED,
    SENT_DATA,
    SENT_RESET,
    SENT_END,
    SENT_LISTEN,
    SENT_LISTENING, /* its offset is the code */
    SENT_UNLISTEN,
};

enum listener_needs { NEEDS_LISTEN = 1, NEEDS_LISTENING = 2, NEEDS_UNLISTEN = 4 };

/* At either end. It is *there* until it was unlistened, or refused. */
struct session_listener {
    struct list in_session;
    struct list in_needs; /* while it has something to send */
    uint64_t number;
    struct addr addr; /* asked for; once it is answered, bound */
    uint8_t kind, code;
    uint8_t needs; /* of enum listener_needs */
    bool is_there;
    bool is_known; /* client: LISTEN was acknowledged, so that UNLISTEN cannot overtake it */
    bool tells_listen, tells_listening, tells_unlisten;
};

/* A tracked frame that was sent; of NOTHING: so many records without any. */
struct sent {
    uint64_t id;
    uint64_t offset;
    uint32_t n; /* the fin counts as a byte */
    uint32_t at_us;
    uint8_t kind; /* enum sent_kind */
    bool is_last; /* of its record */
};

struct session_link {
    uint64_t number;
    void *keeper;           /* NULL: nobody's */
    struct list in_commons; /* unless it is one stream's own */
    struct list in_wanting; /* of the session */
    bool is_up;
    bool was_up;                     /* else it is only known as lost */
    bool has_stood;                  /* both ends know of it */
    bool lost_needed, lost_received; /* LOST is to be sent; the other end's has come */
    bool lost_told;                  /* ours was acknowledged */
    bool ack_due, asks; /* an acknowledgement is to go now; there is something to acknowledge */
    bool bye_needed, bye_sent;
    bool bye_answers; /* the other end had said it before */
    bool has_ended;   /* the other end's BYE has come */
    bool ping_needed, pong_needed, instance_needed;
    bool event_lost, event_bye, event_spent;
    bool is_own, had_owner; /* of one stream; which has come */
    bool has_carried; /* streams' bytes came by it, not again, or were acknowledged, or datagrams */
    bool is_stalled;  /* what it had was sent again by another */
    bool awaits_count;    /* our BYE has answered theirs: what had not come is told soon */
    uint64_t resend_us;   /* or else is sent again then */
    struct stream *owner; /* whose home it is; NULL: nobody's */
    struct list pinned;   /* streams: to it */
    struct queues queues; /* theirs */
    struct list told;     /* streams: WINDOW by it, which may be lost with it */
    struct slot lost_sent;

    /* Records that were sent and not acknowledged: a ring, cap a power of two. */
    struct sent *sent;
    uint32_t head, tail, cap; /* head and tail grow and wrap around */
    uint32_t n_again; /* of the first so many what they had was sent again by another link */
    uint64_t n_sent, n_acked;
    uint64_t n_asking;  /* acknowledged beyond this, nothing is awaited */
    uint64_t n_untimed; /* of the first so many no round trip is measured */
    uint64_t n_unacked_bytes;
    uint64_t unacked_since_us;

    uint64_t n_accepted; /* records */
    uint64_t n_untold_bytes;
    uint64_t ack_at_us; /* UINT64_MAX: nothing waits */
    uint64_t last_received_us;

    uint64_t ping_token, pong_token; /* of the latest of each; ping_token 0: nothing is awaited */
    uint64_t n_pings, ping_us;
    uint64_t n_pongs, pong_us;
    struct round_trip round_trip;
    uint64_t rate; /* at which streams' bytes were acknowledged, a second; 0: unknown */
    uint64_t rate_us, rate_bytes; /* since when, and how many */
    bool is_limited;              /* it has had nothing more to send meanwhile */
};

/* What is found by looking at all links, until something becomes of one of them. */
struct ranking {
    bool is_known;
    /* Where frames arrive first, of the common links that take new ones; where there is none of streams' own. */
    const struct session_link *best;
    uint64_t n_unacked_bytes; /* on those that are not stalled; UINT64_MAX: nobody has asked */
};

enum session_state { SESSION_ALIVE, SESSION_ENDING, SESSION_OVER };

/* A key and what it has signed. */
struct session_auth_copy {
    uint8_t *bytes; /* owned: SPKI, signature; NULL: none */
    size_t n_spki, n_signature;
};

struct session {
    struct session_options options;
    struct store store;
    uint64_t now_us;
    uint8_t state; /* enum session_state */
    uint8_t end_code;
    bool end_needed, event_ended, event_auth;
    bool demands_auth, delivers;
    bool datagrams_first; /* they and small streams take turns, record by record */
    uint64_t end_at_us;
    /* END goes by this link, NO_LINK: none yet, behind acknowledgements for all; those below that number were made. */
    uint64_t end_by, end_acked;

    struct session_link **links; /* by number */
    size_t n_links, links_cap;
    /* The same once more, where the lowest bits of their numbers say: of two with the same bits the newer. For each place of `links` two. */
    struct session_link **places;
    size_t n_up, most_up; /* now, and at once so far */
    size_t n_lost_needed; /* links of which LOST is to be sent */
    size_t n_sent;        /* in the rings of all links, those that are lost too */
    size_t n_ranges;      /* of all streams: acknowledged beyond a gap, or to be sent again */
    struct list
        commons; /* those that are no stream's own: few, where there are thousands of links */
    struct list wanting; /* those that may have something to send that is for them alone */
    bool awaits_acks;    /* a link had too much under way to take what waits for it */
    bool has_had_link;
    uint64_t newest_link; /* the highest number so far */
    uint64_t joins;       /* bit n: newest_link - 1 - n was used */
    size_t n_link_events;
    uint64_t min_rtt_us; /* of all links; 0: unknown */
    struct ranking ranking;
    uint64_t bulk_by; /* the link that had the last bulk that was bound to none; NO_LINK: none */

    struct list streams;
    size_t n_streams;      /* all that exist */
    size_t n_live, n_ever; /* neither dead nor closed */
    size_t n_closed;       /* and there still: not released */
    size_t n_left;         /* that are kept for an acknowledgement alone, however long that takes */
    struct stream **buckets;
    size_t n_buckets, n_in_table;
    struct ids ours, theirs; /* ours: whose OPEN was acknowledged */
    uint64_t n_ours;         /* ids given */
    size_t n_unborn;         /* streams of ours without an id */

    struct queues queues;
    uint64_t urgent_run; /* urgent bytes sent while bulk was waiting */
    struct list events;

    struct list listeners, listeners_closing; /* there, and not any more */
    struct list listener_needs;
    size_t n_listeners, n_listeners_closing;
    uint64_t newest_listener; /* client: the last number given */
    struct ids listened;      /* server: the numbers that were used, from 0 on */
    bool holds_listens, has_listener_events;

    uint64_t reserved; /* credit */
    uint64_t initial_told, initial_theirs;
    struct slot initial_sent;
    bool initial_needed;
    uint64_t drain_s, drain_theirs_s; /* as was said last */
    struct slot drain_sent;
    bool is_draining, is_drained; /* we take no more streams; the other end does not */
    bool drain_needed, event_drain;
    size_t n_grown; /* streams with a window larger than the first */
    uint64_t n_outgoing_bytes;
    struct list crowded_out; /* streams that met ERR_AGAIN for the sake of all */

    struct loan *loans;
    uint32_t n_loans, loans_cap;
    size_t n_datagram_bytes;     /* of all that wait */
    struct datagram_part *spent; /* parts that the last record's pieces may lie in */
    uint64_t n_sent_datagrams, n_received_datagrams, n_dropped_datagrams;
    struct chunk **given; /* chunks that the loans lie in */
    uint32_t n_given, given_cap;

    uint8_t instance[INSTANCE_BYTES]; /* client: ours; server: the client's, once it has said so */
    bool has_instance;
    struct session_auth_copy auth_out, auth_in;
    uint8_t *auth_rest; /* frames behind an AUTH that was not judged yet, owned */
    size_t n_auth_rest;
    uint64_t auth_link;
    uint8_t *
        admitted; /* the same once it was judged, which streams are lent until the turn is over; owned */

    uint64_t n_sent_bytes, n_received_bytes, n_resent_bytes, n_acked_bytes;
};

/* table.c */
/* Zeroed, for what a session knows of a stream; NULL: out of memory. Then malloc has nothing of a burst's streams between what stays. */
void *state_get(struct session *session, size_t n_bytes);
void state_put(void *state); /* NULL is fine */
NODISCARD enum err stream_new(struct session *session, bool is_ours, struct stream **out);
struct stream *stream_find(const struct session *session, uint64_t id);
void stream_set_id(struct stream *stream, uint64_t id);
/* Its number among the ids of its kind; the id is 2 or more. */
uint64_t id_number(uint64_t id);
/* An application can do nothing with it any more, and what it has is let go of. Tells it, unless it is the application's own will. */
void stream_die(struct stream *stream, enum stream_reset code, bool tell);
/* Nobody here has it any more: unless it is closed its memory counts from now on. */
void stream_leave(struct stream *stream);
/* Nothing of it goes or comes any more. It is freed when it was released too. */
void stream_close(struct stream *stream);
/* Frees it whatever it is. */
void stream_delete(struct stream *stream);
/* Nobody has heard of any: ids are given anew, and of those that are dead nothing is said. */
void streams_forget_ids(struct session *session);
/* Closes it if all is done. */
void stream_check_done(struct stream *stream);
/* Lets the other end see a reset; the stream is dead. */
void stream_kill(struct stream *stream, enum stream_reset code, bool tell);

/* session.c */
void stream_tell(struct stream *stream, enum session_event_kind kind);
void queues_init(struct queues *queues);
bool queues_are_empty(const struct queues *queues);
/* Ends it without another word: streams die with this code. */
void session_over(struct session *session, enum stream_reset code);

NODISCARD enum err session_keep_auth(struct session_auth_copy *auth, const uint8_t *spki,
                                     size_t n_spki, const uint8_t *signature, size_t n_signature);
void session_forget_auth(struct session_auth_copy *auth);

/* outgoing.c */
/* Where it waits, to be put into one of them: its link's, which may want to send from then on, or those of all links. */
struct queues *queues_for(struct stream *stream);
/* Puts it into the queue where it belongs now. */
void stream_queue(struct stream *stream);
void stream_pin(struct stream *stream, struct session_link *link); /* NULL: to none */
bool outgoing_has(const struct stream *stream);
/* What is to be sent next: offsets from *from up to *to; the fin is the byte at out.end. */
void outgoing_next(const struct stream *stream, uint64_t *from, uint64_t *to, bool *is_again);
void outgoing_sent(struct stream *stream, uint64_t from, uint64_t to, bool is_again);
void outgoing_acked(struct stream *stream, uint64_t from, uint64_t to);
void outgoing_lost(struct stream *stream, uint64_t from, uint64_t to);
void outgoing_clear(struct stream *stream);
/* Nothing of it was sent. */
void outgoing_rewind(struct stream *stream);
bool outgoing_is_done(const struct stream *stream);
/* Tells the application if it waits for room and there is some. */
void outgoing_check_room(struct stream *stream);
/* Tells all of those that all together have left none. */
void outgoing_make_room(struct session *session);

/* incoming.c */
/* ERR_BAD: against the rules. ERR_MEMORY: the stream is killed. */
NODISCARD enum err incoming_data(struct stream *stream, uint64_t offset, const uint8_t *bytes,
                                 size_t n, bool is_fin);
void incoming_clear(struct stream *stream);
void incoming_settle(struct session *session);
/* Lends it bytes until the turn is over. ERR_MEMORY. */
NODISCARD enum err incoming_lend(struct stream *stream, const uint8_t *bytes, size_t n);
/* Takes the first of what was lent, whole. NULL: there is nothing. */
const uint8_t *incoming_take_loan(struct stream *stream, size_t *n);

/* datagrams.c */
NODISCARD enum err datagrams_new(struct stream *stream);
void datagrams_free(struct stream *stream);
/* Drops those that wait. */
void datagrams_clear(struct stream *stream);
void datagrams_note_dropped(struct stream *stream);
/* Puts it into the queue of those that may send, or takes it out. */
void datagrams_queue(struct stream *stream);
/* The frame that goes next; NULL: none that is not too old. */
const uint8_t *datagrams_next(struct datagrams *datagrams, size_t *n);
/* What that takes at most; 0: there is none. */
size_t datagrams_room(struct datagrams *datagrams);
/* It goes; its bytes stay where they are until datagrams_forget_spent(). */
void datagrams_sent(struct datagrams *datagrams);
void datagrams_forget_spent(struct session *session);
/* In the chunks of those that wait. */
uint64_t datagrams_held_bytes(const struct datagrams *datagrams);
/* One has come. ERR_BAD: for an id that nobody can have. */
NODISCARD enum err datagrams_received(struct session *session, struct session_link *link,
                                      const struct frame *frame);

/* listen.c */
NODISCARD enum err listener_received(struct session *session, const struct frame *frame);
/* Whether a connection may come of it. */
bool listener_is_there(const struct session *session, uint64_t number);
void listener_acked(struct session *session, const struct sent *sent);
void listener_lost(struct session *session, const struct sent *sent);
void listener_sent(struct session_listener *listener, enum listener_needs need);
bool listeners_tell(struct session *session, struct session_event *event);
void listeners_free(struct session *session);
/* Nothing more is said of them. */
void listeners_quieten(struct session *session);

/* credit.c */
uint64_t credit_initial(struct session *session);
/* Whether the cap allows one more stream of theirs with this claim. */
bool credit_allows(const struct session *session, uint64_t claim);
void credit_begin(struct stream *stream, uint64_t limit);
void credit_consumed(struct stream *stream, size_t n);
/* What it has reserved follows from its state. */
void credit_account(struct stream *stream);
void credit_end(struct stream *stream);
/* A WINDOW that was sent is to be sent again. */
void credit_window_needed(struct stream *stream);

/* link.c */
struct session_link *link_find(const struct session *session, uint64_t number);
/* Where the first is in `links` whose number is not less. */
size_t link_place(const struct session *session, uint64_t number);
NODISCARD enum err link_make(struct session *session, uint64_t number, struct session_link **out);
void link_free(struct session *session, struct session_link *link);
/* ERR_BAD: more than were sent. */
NODISCARD enum err link_acked(struct session *session, struct session_link *link, uint64_t count,
                              uint64_t delay_us, bool has_delay);
/* Something has come up that session_wants() may be true for, whatever else waits. */
void link_may_want(struct session *session, struct session_link *link);
/* Whether no link may have this number any more. */
bool link_was_used(const struct session *session, uint64_t number);
/* The session's shortest round trip is that of its links. */
void links_note_min_rtt(struct session *session);

/* choice.c */
/* How long a record takes by it until it is acknowledged, if it was sent now. */
uint64_t link_arrival_us(const struct session *session, const struct session_link *link);
/* Which of the frames that no link is bound to it takes, by where they arrive first. */
enum link_takes { TAKES_NOTHING, TAKES_BULK, TAKES_ALL };
enum link_takes link_takes(struct session *session, const struct session_link *link);
/* Whether it may carry what is said of the whole session: one that has fallen silent may not where another has not. */
bool link_takes_slots(struct session *session, const struct session_link *link);
/* Whether it takes bulk that is bound to none; `takes` is link_takes(). */
bool link_takes_bulk(const struct session *session, const struct session_link *link,
                     enum link_takes takes);
/* So many more of its bytes were acknowledged. */
void link_measure(struct session *session, struct session_link *link, uint64_t n_bytes);
/* What is bound to none may be wanted by those that take such. */
void links_offer(struct session *session);
/* When a link is to be looked at next; UINT64_MAX: not before something comes. */
uint64_t links_deadline_us(const struct session *session);
/* What is not acknowledged for too long goes again by another, while its link is still up. */
void links_check(struct session *session);
/* It is for one stream, has had none yet, and takes new frames. */
bool link_is_ready(const struct session_link *link);
/* The first that is ready; NULL: there is none. */
struct session_link *link_ready(const struct session *session);
/* The stream's home from now on. */
void stream_settle(struct stream *stream, struct session_link *link);
/* It has none any more. */
void stream_leave_home(struct stream *stream);

/* loss.c */
/* What was sent on it, not acknowledged, and not sent again yet, is to be. */
void link_send_again(struct session *session, struct session_link *link);
/* Whether LOST is to be sent of it. */
void link_need_lost(struct session *session, struct session_link *link, bool is_needed);
/* ERR_LIMIT: too many are lost. */
NODISCARD enum err link_lose(struct session *session, struct session_link *link);
NODISCARD enum err link_lost_received(struct session *session, uint64_t number, uint64_t count);
/* Whether its ring has room for the frames of one more record. */
bool link_has_room(struct session_link *link);
/* Whether it, or the session, waits for acknowledgements before it takes more tracked frames of streams. */
bool link_is_full(const struct session *session, const struct session_link *link);
void link_add_sent(struct session *session, struct session_link *link, struct sent sent);
/* A record was made of what was added since the last; `asks` for an acknowledgement. */
void link_end_record(struct session *session, struct session_link *link, bool asks);
void link_sample_rtt(struct session *session, struct session_link *link, uint64_t rtt_us);
/* Whether a slot's value was sent on the link and is not known to have come. */
bool slot_is_lost(const struct slot *slot, const struct session_link *link);
/* Forgets lost links that both ends know of. */
void links_forget(struct session *session);

/* The most tracked frames that one record may have. */
#define RECORD_FRAMES_MAX (SESSION_FILL_PIECES - 4)
/* While so many are not acknowledged on a link, it takes no more; nor does any while there are so many on all. */
#define LINK_FRAMES_MAX 65536U
#define SESSION_FRAMES_MAX ((size_t)4 * LINK_FRAMES_MAX)
/*
 * While so many of a stream's are, it sends no more: gaps are as many at most, and each acknowledgement of another frame may move what
 * is known behind it. Nothing honest is slower by that: of bulk so many have 128 MiB, in the smallest packets of a network still
 * 8 MiB; and where frames are smaller, as there is so little to send each time, the next has all that has come up meanwhile.
 */
#define STREAM_FRAMES_MAX 8192U

#endif
