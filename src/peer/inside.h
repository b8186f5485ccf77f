/*
 * What the files of peer/ share: a peer, its links, the gate. Inside peer/ only.
 *
 * A link's life. Near: AWAITING flight 2, (SIGNING,) UP. Far: READING flight 1, (PARKED until another worker has it,)
 * (SIGNING,) UP. Then LEAVING (what the session still gives for it goes out, BYE last), CLOSING (nothing does), or at the far end
 * SILENT, which is no link any more.
 *
 * Events need no memory: each is a flag of what it is about, looked for by peer_next_event() and gate_next_event().
 */
#ifndef SOCKEYE_PEER_INSIDE_H
#define SOCKEYE_PEER_INSIDE_H

#include "base/list.h"
#include "crypto/sign.h"
#include "link/handshake.h"
#include "link/record.h"
#include "peer/budget.h"
#include "peer/gate.h"
#include "peer/near.h"
#include "peer/peer.h"

#define NEVER_US UINT64_MAX
#define SECOND_US UINT64_C(1000000)
#define RECORD_OVERHEAD_BYTES (RECORD_HEADER_BYTES + RECORD_TAG_BYTES)

enum link_state {
    LINK_READING,
    LINK_PARKED,
    LINK_SIGNING,
    LINK_AWAITING,
    LINK_UP,
    LINK_LEAVING,
    LINK_CLOSING,
    LINK_SILENT,
};

/* A session and what is left of it when another has taken its place: its streams, until their owners let go, and links that leave. */
struct reign {
    struct list in_peer; /* of those that are over */
    struct session *session;
};

/* Bytes on their way in or out: those of [start, end) in a chunk. */
struct span {
    struct chunk *chunk; /* NULL: there are none */
    size_t start, end;
};

struct peer_link {
    struct list in_owner;   /* in the links of its peer or gate, or in the gate's silent ones */
    struct list in_wanting; /* of its peer */
    struct peer *peer;      /* NULL: it stands at the gate */
    struct gate *gate;      /* NULL at the near end */
    void *owner;
    enum link_state state;
    uint64_t number;

    struct handshake *handshake;
    struct record_sealer *sealer;
    struct record_opener *opener, *early_opener;
    size_t n_early; /* bytes of early records still to come */
    size_t n_skip;  /* bytes to be read and not looked at */
    struct span in, out;
    size_t n_needed;          /* bytes that the record at the beginning of `in` takes, 0: unknown */
    size_t burst_bytes;       /* sealed since it last had nothing to send for a while */
    uint64_t sealed_us;       /* when something was last sealed */
    size_t bulk_record_bytes; /* by the rate at which the carrier takes them; 0: not known yet */
    uint64_t measured_bytes;  /* which it has taken since ... */
    uint64_t measured_us;

    struct reign
        *reign; /* whose session has a link of this number, which is this one; NULL: none */
    bool
        is_tentative; /* near: its flight asks for a new session, what was sent on it may never have been */
    bool was_moved;    /* another worker's gate has sent it here */
    bool had_gone;     /* a flight was answered with gone on this carrier */
    bool has_bye;      /* the other end's BYE has come */
    bool was_used;     /* a record behind the flights has come */
    bool has_carried;  /* near, once it is gone: it was of use to streams */
    bool is_own;       /* near: of one stream */
    bool was_taken;    /* near: its stream has come */
    bool is_stalled;   /* near */
    bool is_worn;      /* near: another is to take its place */
    bool is_chained;   /* near: its carrier is a stream */
    bool was_probed;   /* near: asked since the last record */
    uint64_t retry_us; /* when output is tried again that had no memory */
    uint64_t cut_us;   /* when it is given up: it cannot leave, or (far) nothing has come */
    struct budget out_budget, in_budget; /* of the carrier; in_budget: near */
    uint64_t retire_us;                  /* near: then it is worn */
    uint64_t rest_us;                    /* near: so long it may be idle where it is not needed */
    size_t heard_bytes;                  /* near: payload that has come since it was asked */
    uint64_t started_us;                 /* near: when flight 1 was made */
    unsigned n_stalls;                   /* near: of links before it, one behind the other */
    uint64_t active_us;                  /* when something was last sent or received */
    uint64_t keepalive_us;      /* near: when the link is asked for life if it was idle ... */
    uint64_t keepalive_from_us; /* ... since then */

    /* To be told. */
    bool tells_gate, tells_up, tells_proved, tells_sign, tells_close, tells_silent;
    bool is_clean;
    enum flight_fault fault;
    const char *why;
    const struct link_user *user; /* whose flight it was that failed; NULL: unknown */
};

#define NEAR_MAX_ATTEMPTS 24

/* What has failed is tried again less and less often. */
struct back_off {
    uint64_t next_us;    /* not before */
    unsigned n_failures; /* since the last success */
};

struct near {
    struct near_options options;
    bool at_once;
    bool tells_renewed;
    bool needs_session;  /* the last is over, and there was no memory for another */
    bool has_link_0;     /* it is in the session, though its handshake may have failed */
    bool is_admitted;    /* the server knows who we are: links may join */
    bool is_reviewed;    /* nothing has happened since near_review(), or little a moment ago */
    unsigned n_reviewed; /* links, then */
    uint64_t reviewed_us;
    bool has_offset;    /* of the server's time from our boot time */
    bool dates_by_wall; /* the next flight */
    bool is_suspended;  /* since ... */
    uint64_t suspended_us;
    uint64_t last_join;
    uint64_t keep_us;
    uint64_t dials_us[NEAR_MAX_ATTEMPTS]; /* when carriers were asked for that are not there yet */
    unsigned n_dials;
    unsigned n_wanted;               /* PEER_WANTS_CARRIER to be told */
    struct back_off tries;           /* attempts */
    uint64_t attempt_us;             /* when the last attempt began */
    uint64_t due_us;                 /* the next attempt, as of then */
    uint64_t offset_ms;              /* modulo 2^64 */
    uint64_t recent_up, recent_down; /* bytes of links that have ended, of late */
    uint64_t
        setup_us; /* what it takes from asking for a link until it stands, smoothed; 0: unknown */
    uint64_t spent_us,
        spending_us; /* when a link's bytes were used up, and how often they are, smoothed; 0: never */
    uint64_t succeeded_us;   /* when an attempt last did */
    unsigned n_stalls;       /* of links, one behind the other, of which the last did ... */
    uint64_t stalled_us;     /* ... then */
    size_t n_taken;          /* so many links of this session the server seems to take ... */
    struct back_off further; /* ... and one more is asked for then; no failures: it takes all */
};

struct far {
    struct gate *gate;
    struct list in_bucket;   /* of the gate's table */
    struct list in_unlinked; /* of its crowd's */
    struct peer *next_telling;
    const struct link_user *user;
    uint8_t server_tag[LINK_TAG_BYTES], user_tag[LINK_TAG_BYTES]; /* by which keys it came */
    uint64_t last_join, joins; /* the highest join number, and a bit for each of the 64 below */
    uint64_t keep_us;
    uint8_t who[PEER_WHO_BYTES];
    bool tells_end; /* the gate has ended it */
    bool has_begun, tells_begun;
    bool is_unknown;  /* the keys by which it came are good no more */
    bool is_known;    /* the gate has told of it: it is the owner's to free */
    bool awaits_auth; /* nothing is acted on before the client's signature */
    bool holds_early; /* streams' bytes are held back until a record behind the handshake comes */
};

struct peer {
    void *owner;
    bool is_near;
    struct peer_time time; /* of the last call that had one */
    struct chunk_source *chunks;
    struct rng *rng;
    uint64_t window_bytes, stream_window_bytes;
    struct reign *reign;
    struct list retired; /* reigns that are over */
    struct list links;
    struct list wanting; /* those that may have something to send, whatever their session says */
    bool was_offered;    /* in this turn, what any link of the session may carry */
    bool stands;         /* a handshake has succeeded: what follows is known */
    uint8_t id[SESSION_ID_BYTES];
    uint8_t resume[32];
    uint8_t cipher;
    uint64_t unlinked_us; /* since when there is no link; meaningful if none is up */
    bool is_drained;      /* the other end takes no more streams */
    bool is_ending;       /* for good: told to, or the session of a far peer is over */
    bool is_told_to_end;
    bool was_told;   /* PEER_ENDED */
    bool links_tell; /* some link may have something to tell */
    uint64_t end_us; /* by then it is over, whatever links do */
    const char *why;
    struct near near;
    struct far far;
};

#define GATE_BUCKETS 256

/* Users are of so many crowds, by their tags. */
#define GATE_CROWDS 256

/* Sessions without a link of a crowd's users. */
struct crowd {
    struct list unlinked; /* the longest unlinked first */
    size_t n;
};

struct gate {
    struct gate_options options;
    struct list links;  /* that no peer has */
    struct list parked; /* likewise, and another worker has their session */
    struct list silent; /* were told of, freed when the next event is asked for */
    struct list buckets[GATE_BUCKETS];
    struct crowd crowds[GATE_CROWDS];
    struct peer *telling; /* peers with a link that the gate has to tell of */
    size_t n_unlinked;    /* of all crowds */
};

/* ---- link.c: what every link does ---- */

struct peer_link *peer_link_new(struct peer *peer, struct gate *gate, enum link_state state);
/* It is one of this peer's session from now on. ERR_MEMORY; ERR_BAD: that number was given up. */
NODISCARD enum err peer_link_enter(struct peer_link *link, uint64_t number);
/* And not any more: what it had goes out again elsewhere. */
void peer_link_exit(struct peer_link *link);
void peer_link_free(struct peer_link *link);
/* How many a peer has, those that leave included. */
size_t peer_count_links(const struct peer *peer);
/* How many of them are so. */
unsigned peer_count(const struct peer *peer, bool (*is_so)(const struct peer_link *));
/* Its handshake is done, and the other end's bytes are read. */
bool peer_link_is_up(const struct peer_link *link);
struct chunk_source *peer_link_chunks(const struct peer_link *link);
/* The owner is to close the carrier now; the session has lost it. */
void peer_link_close(struct peer_link *link, const char *why);
/* One failure path: the near end closes, the far end falls silent. */
void peer_link_fail(struct peer_link *link, enum flight_fault fault, const char *why);
/* The session's last words go out on it, then BYE, then our fin. */
void peer_link_leave(struct peer_link *link, const char *why);
/* Both directions' keys are there. ERR_MEMORY. */
NODISCARD enum err peer_link_set_keys(struct peer_link *link, const struct link_secrets *secrets);
void peer_link_stand(struct peer_link *link);
/* Takes what has come and was not looked at yet. */
void peer_link_take(struct peer_link *link, const struct peer_time *time);
/* What is known of the fault, for the log. */
const char *peer_link_fault_text(enum flight_fault fault);

/* ---- span.c ---- */

static inline size_t span_bytes(const struct span *span)
{
    return span->end - span->start;
}

void span_clear(struct span *span);
/* Makes room for n more bytes behind those that are there, moving them to another chunk where needed. ERR_MEMORY. */
NODISCARD enum err span_reserve(struct span *span, struct chunk_source *chunks, size_t n);
/* Few bytes do not pin a large chunk. */
void span_shrink(struct span *span, struct chunk_source *chunks);

/* ---- output.c ---- */

#define OUTPUT_RETRY_US (SECOND_US / 10)

/* peer_next_wanting() is to name it, if it has a peer. */
void peer_link_may_want(struct peer_link *link);
/* Seals records of what the session gives until there are `most` bytes of them or no more. */
NODISCARD enum err peer_link_seal(struct peer_link *link, struct record_sealer *sealer, size_t most,
                                  uint64_t now_us);

/* ---- peer.c ---- */

struct peer *peer_new(bool is_near, struct chunk_source *chunks, struct rng *rng,
                      uint64_t window_bytes, uint64_t stream_window_bytes,
                      const struct peer_time *time);
/* Something happens to it, at this time. */
void peer_at(struct peer *peer, const struct peer_time *time);
/* Another session takes the place of the one that is lost. ERR_MEMORY: all stays. */
NODISCARD enum err peer_renew(struct peer *peer);
/* A link has left it, or an attempt at one has come to nothing. */
void peer_link_left(struct peer *peer, bool was_up);
void peer_finish(struct peer *peer, const char *why);
/* What the other end has sent is against the protocol, or could not be kept. */
void peer_violated(struct peer_link *link, enum err err);
/* The bytes of our signature for its handshake; 0: it cannot be made. */
size_t peer_sign(const struct peer_link *link, uint8_t signature[static SIGN_MAX_BYTES]);

/* ---- near.c, near_flight.c: what only the near end does ---- */

void near_begin(struct peer_link *link, const struct peer_time *time);
void near_read_flight(struct peer_link *link, const struct peer_time *time);
void near_signed(struct peer_link *link, const uint8_t *signature, size_t n);
void near_back_off(struct peer *peer, struct back_off *back_off);
void near_failed(struct peer *peer); /* the next attempt is made later */
void near_succeeded(struct peer_link *link);
void near_stood(struct peer_link *link);
void near_received(struct peer_link *link); /* a record, which the session took */
/* The other end says BYE on it: where it was of no use the next would be as little, if it came at once. */
void near_dismissed(struct peer_link *link);
void near_link_gone(struct peer_link *link, bool was_up);
void near_ask_links(struct peer *peer); /* those that are up, for a sign of life */
void near_start_over(struct peer *peer, const char *why);
void near_session_ended(struct peer *peer, const char *why); /* by the other end */
uint64_t
near_stall_us(const struct peer_link *link);  /* when it is stalled; NEVER_US: it owes nothing */
void near_be_patient(struct peer_link *link); /* as those before it have taught */
void near_review(struct peer *peer);          /* asks for a carrier where one is due */
void near_note(struct peer *peer);            /* something has happened, of which that may come */
void near_advance(struct peer *peer);
uint64_t near_deadline_us(const struct peer *peer);

/* ---- near_links.c ---- */

/* What it shall be: how much it carries, and for whom. */
void near_plan(struct peer_link *link);
void near_begin_life(struct peer_link *link);
void near_end_life(const struct peer_link *link);
bool near_has_sound_link(const struct peer *peer);
/* How many take all streams' frames, and are not to be replaced. */
unsigned near_n_fresh_common(const struct peer *peer);
/* How many links are wanted beside those that there are; attempts do not count. */
unsigned near_lack(const struct peer *peer);
/* When a further link is asked for of a server that seems to take no more; NEVER_US: none is to be waited for. */
uint64_t near_asks_again_us(const struct peer *peer);
/* Nothing has answered its flight. Returns what may be the reason. */
const char *near_unanswered(struct peer_link *link);
/* Whether it is worn by now. The other end's BYE may come with what it has used up. */
void near_wear(struct peer_link *link);
/* Finds those that are worn, and ends those that others have taken the place of. */
void near_look_at_links(struct peer *peer);
/* When a link ends that was opened ahead, or has few bytes left, and is not needed any more, if it stays idle; NEVER_US: it is needed. */
uint64_t near_rested_us(const struct peer_link *link, unsigned n_fresh);
void near_end_rested(struct peer *peer);
/* Whether the stream of a link that was ready for one has come, which is told once. */
bool near_was_taken(struct peer_link *link);

/* ---- gate.c, gate_flight.c, far.c ---- */

void gate_read_flight(struct peer_link *link, const struct peer_time *time);
void gate_silence(struct peer_link *link, enum flight_fault fault, const char *why);
void gate_sweep(struct gate *gate); /* frees the silent links that were told of */
void gate_decide(struct peer_link *link, const struct peer_time *time);
void gate_signed(struct peer_link *link, const uint8_t *signature, size_t n,
                 const struct peer_time *time);
void gate_add(struct gate *gate, struct peer *peer);   /* gives it an id */
void gate_tells(struct gate *gate, struct peer *peer); /* one of its links has tells_gate set */
void gate_forget(struct gate *gate, struct peer *peer);
uint16_t gate_worker_of(const uint8_t id[SESSION_ID_BYTES]);
struct peer *gate_find(struct gate *gate, const uint8_t id[SESSION_ID_BYTES]);
NODISCARD enum err far_new(struct peer **out, struct gate *gate, const struct flight_info *info,
                           const struct peer_time *time);
void far_end(struct peer *peer, const char *why); /* it cannot be joined any more */
void far_forget(struct peer *peer);               /* the gate does */
/* No record has come behind its flight. */
void far_give_up(struct peer_link *link);
bool far_take_join(struct peer *peer, uint64_t number);
void far_linked(struct peer *peer, bool is_linked);
/* A record came while the signature is awaited, which the session took with this error. */
void far_authenticate(struct peer_link *link, enum err err);
void far_begin(
    struct peer *peer); /* a record behind the handshake has come, and nothing is demanded */
void far_advance(struct peer *peer);
uint64_t far_deadline_us(const struct peer *peer);

#endif
