#include "peer/inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

/* How long an end waits for its END to be acknowledged. */
#define END_US (3 * SECOND_US)

/* ---- sessions, one after the other ---- */

static struct reign *reign_new(const struct peer *peer)
{
    struct reign *reign = calloc(1, sizeof *reign);

    if (reign == NULL)
        return NULL;
    struct session_options options = {
        .is_client = peer->is_near,
        .window_bytes = peer->window_bytes,
        .stream_window_bytes = peer->stream_window_bytes,
        .chunks = peer->chunks->for_streams == NULL ? peer->chunks : peer->chunks->for_streams,
    };
    list_init(&reign->in_peer);
    if (session_new(&reign->session, &options) == ERR_NONE)
        return reign;
    free(reign);
    return NULL;
}

static void reign_free(struct reign *reign)
{
    list_remove(&reign->in_peer);
    session_free(reign->session);
    free(reign);
}

static bool has_streams(const struct reign *reign)
{
    struct session_stats stats;

    session_stats(reign->session, &stats);
    return stats.n_streams + stats.n_closed > 0;
}

static bool is_used(const struct peer *peer, const struct reign *reign)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        if (CONTAINER_OF(at, struct peer_link, in_owner)->reign == reign)
            return true;
    return has_streams(reign);
}

/* Refused or reset. Nobody is to wait for a link only to say that. */
static bool owes_last_words(const struct peer *peer)
{
    struct session_stats stats;

    session_stats(peer->reign->session, &stats);
    return stats.n_dead > 0 && peer_is_linked(peer);
}

bool peer_has_streams(const struct peer *peer)
{
    if (owes_last_words(peer))
        return true;
    for (struct list *at = peer->retired.next; at != &peer->retired; at = at->next)
        if (has_streams(CONTAINER_OF(at, struct reign, in_peer)))
            return true;
    return has_streams(peer->reign);
}

static void free_unused(struct peer *peer)
{
    for (struct list *at = peer->retired.next, *next; at != &peer->retired; at = next) {
        next = at->next;
        struct reign *reign = CONTAINER_OF(at, struct reign, in_peer);
        if (!is_used(peer, reign))
            reign_free(reign);
    }
}

enum err peer_renew(struct peer *peer)
{
    struct reign *reign = reign_new(peer);

    if (reign == NULL)
        return ERR_MEMORY;
    list_append(&peer->retired, &peer->reign->in_peer);
    peer->reign = reign;
    return ERR_NONE;
}

/* ---- the peer ---- */

struct peer *peer_new(bool is_near, struct chunk_source *chunks, struct rng *rng,
                      uint64_t window_bytes, uint64_t stream_window_bytes,
                      const struct peer_time *time)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (peer == NULL)
        return NULL;
    peer->is_near = is_near;
    peer->time = *time;
    peer->chunks = chunks;
    peer->rng = rng;
    peer->window_bytes = window_bytes;
    peer->stream_window_bytes = stream_window_bytes;
    peer->unlinked_us = time->now_us;
    peer->end_us = NEVER_US;
    list_init(&peer->retired);
    list_init(&peer->links);
    list_init(&peer->wanting);
    list_init(&peer->far.in_bucket);
    list_init(&peer->far.in_unlinked);
    peer->reign = reign_new(peer);
    if (peer->reign != NULL)
        return peer;
    free(peer);
    return NULL;
}

void peer_at(struct peer *peer, const struct peer_time *time)
{
    peer->time = *time;
    near_note(peer);
}

void peer_free(struct peer *peer)
{
    if (peer == NULL)
        return;
    while (!list_empty(&peer->links))
        peer_link_free(CONTAINER_OF(peer->links.next, struct peer_link, in_owner));
    while (!list_empty(&peer->retired))
        reign_free(CONTAINER_OF(peer->retired.next, struct reign, in_peer));
    reign_free(peer->reign);
    if (!peer->is_near)
        far_forget(peer);
    secret_wipe(peer, sizeof *peer);
    free(peer);
}

void peer_set_owner(struct peer *peer, void *owner)
{
    peer->owner = owner;
}

void *peer_owner(const struct peer *peer)
{
    return peer->owner;
}

struct session *peer_session(struct peer *peer)
{
    return peer->reign->session;
}

/* Those that are over too: records come for them until their links have left. */
void peer_settle(struct peer *peer)
{
    for (struct list *at = peer->retired.next; at != &peer->retired; at = at->next)
        session_settle(CONTAINER_OF(at, struct reign, in_peer)->session);
    session_settle(peer->reign->session);
}

bool peer_is_linked(const struct peer *peer)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        const struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state == LINK_UP && link->reign == peer->reign)
            return true;
    }
    return false;
}

size_t peer_count_links(const struct peer *peer)
{
    size_t n = 0;

    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        n++;
    return n;
}

unsigned peer_count(const struct peer *peer, bool (*is_so)(const struct peer_link *))
{
    unsigned n = 0;

    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        n += is_so(CONTAINER_OF(at, struct peer_link, in_owner));
    return n;
}

void peer_link_left(struct peer *peer, bool was_up)
{
    if (peer_is_linked(peer))
        return;
    if (was_up)
        peer->unlinked_us = peer->time.now_us;
    if (peer->is_ending)
        peer_finish(peer, NULL);
    else if (!peer->is_near && (was_up || !peer->stands))
        far_linked(peer, false);
}

/* ---- its end ---- */

void peer_drain(struct peer *peer, uint64_t seconds, const struct peer_time *time)
{
    peer->time = *time;
    session_drain(peer->reign->session, seconds);
}

bool peer_drain_is_known(const struct peer *peer)
{
    return !peer_is_linked(peer) || session_drain_is_known(peer->reign->session);
}

void peer_end(struct peer *peer, uint8_t code, const struct peer_time *time)
{
    peer_at(peer, time);
    if (peer->is_ending)
        return;
    peer->is_ending = peer->is_told_to_end = true;
    peer->end_us = time->now_us + END_US;
    session_end(peer->reign->session, code, time->now_us);
    session_kill_closed(peer->reign->session);
    for (struct list *at = peer->retired.next; at != &peer->retired; at = at->next)
        session_kill_closed(CONTAINER_OF(at, struct reign, in_peer)->session);
    if (!peer_is_linked(peer))
        peer_finish(peer, NULL);
}

/* Nothing more is to be said: links leave, and when the last has ended the peer is over. */
void peer_finish(struct peer *peer, const char *why)
{
    peer->is_ending = true;
    if (why != NULL)
        peer->why = why;
    if (peer->end_us == NEVER_US)
        peer->end_us = peer->time.now_us + END_US;
    for (struct list *at = peer->links.next, *next; at != &peer->links; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state != LINK_LEAVING)
            peer_link_leave(link, why);
    }
}

static const char *end_text(uint8_t code)
{
    static const char *const texts[] = {
        "the other end ends it: its program ends, or its configuration has changed",
        "the other end says that the protocol was violated",
        ("the other end says that there is no right to it any more, or that another session with "
         "this state directory has taken its place"),
        "the other end has reached a limit",
    };
    return code < sizeof texts / sizeof texts[0] ? texts[code] : "the other end has ended it";
}

/* The session is over: by the other end, or as our END was acknowledged. */
static void on_session_over(struct peer *peer, uint8_t code)
{
    const char *why = peer->is_ending ? NULL : end_text(code);

    if (peer->is_near && !peer->is_ending)
        near_session_ended(peer, why);
    else
        peer_finish(peer, why);
}

void peer_violated(struct peer_link *link, enum err err)
{
    struct peer *peer = link->peer;
    struct reign *reign = link->reign;
    const char *why = err == ERR_MEMORY ? "out of memory" : "the other end violated the protocol";

    if (reign != peer->reign)
        peer_link_close(link, why);
    else if (peer->is_near && !peer->is_ending)
        near_session_ended(peer, why);
    else
        peer_finish(peer, why);
}

static void cut_what_is_left(struct peer *peer)
{
    peer->end_us = NEVER_US;
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        peer_link_close(CONTAINER_OF(at, struct peer_link, in_owner), "it did not end in time");
}

/* ---- events ---- */

static void link_event(const struct peer *peer, const struct reign *reign,
                       const struct session_event *event)
{
    struct peer_link *link = session_link_keeper(reign->session, event->link);

    if (link == NULL)
        return;
    if (event->kind == SESSION_LINK_LOST) {
        /* Who leaves reads to the end, behind which there may be this by another link before the fin has come by its own. */
        if (link->state == LINK_LEAVING)
            return;
        if (link->state == LINK_UP && peer_link_is_done(link))
            peer_link_leave(link, "the other end did not need it");
        else
            peer_link_close(link, "the other end has given it up");
        return;
    }
    bool has_bye = event->kind == SESSION_LINK_BYE;
    link->has_bye |= has_bye;
    if (has_bye && peer->is_near && link->state == LINK_UP)
        near_dismissed(link);
    /* Behind our END it is we who need it no more. */
    const char *why = peer->is_ending ? NULL : "the other end needs it no more";
    if (link->state == LINK_UP)
        peer_link_leave(link, has_bye ? why : "the connection that it was for is over");
}

/* Looks at what the session tells until there is something for the owner. */
static bool session_tells(struct peer *peer, struct reign *reign, struct peer_event *event)
{
    struct session_event told;

    while (session_next_event(reign->session, &told)) {
        switch (told.kind) {
        case SESSION_LINK_LOST:
        case SESSION_LINK_BYE:
        case SESSION_LINK_SPENT:
            link_event(peer, reign, &told);
            break;
        case SESSION_AUTH:
            break; /* nobody asked for it */
        case SESSION_DRAIN:
            if (reign != peer->reign)
                break;
            peer->is_drained = true;
            *event = (struct peer_event){.kind = PEER_DRAIN, .seconds = told.seconds};
            return true;
        case SESSION_ENDED:
            if (reign == peer->reign)
                on_session_over(peer, told.code);
            break;
        case SESSION_LISTEN:
        case SESSION_LISTENING:
        case SESSION_UNLISTEN:
            if (reign != peer->reign)
                break; /* its numbers are those of others by now */
            *event = (struct peer_event){.kind = PEER_LISTENER, .session_event = told};
            return true;
        default:
            *event = (struct peer_event){.kind = PEER_STREAM, .session_event = told};
            return true;
        }
    }
    return false;
}

static bool sessions_tell(struct peer *peer, struct peer_event *event)
{
    if (list_empty(&peer->retired) && !session_has_event(peer->reign->session))
        return false;
    for (struct list *at = peer->retired.next; at != &peer->retired; at = at->next)
        if (session_tells(peer, CONTAINER_OF(at, struct reign, in_peer), event))
            return true;
    struct reign *reign;
    do {
        reign = peer->reign;
        if (session_tells(peer, reign, event))
            return true;
    } while (reign != peer->reign);
    free_unused(peer);
    return false;
}

static bool take_flag(bool *flag)
{
    bool was = *flag;
    *flag = false;
    return was;
}

static bool link_tells(struct peer_link *link, struct peer_event *event)
{
    if (take_flag(&link->tells_up))
        *event = (struct peer_event){.kind = PEER_LINK_UP, .link = link};
    else if (take_flag(&link->tells_proved))
        *event = (struct peer_event){.kind = PEER_LINK_PROVED, .link = link};
    else if (take_flag(&link->tells_sign))
        *event = (struct peer_event){.kind = PEER_SIGN, .link = link};
    else if (take_flag(&link->tells_close)) {
        *event = (struct peer_event){
            .kind = PEER_LINK_CLOSE, .link = link, .is_clean = link->is_clean, .why = link->why};
        peer_link_may_want(link); /* all that it had may have gone */
    } else
        return false;
    return true;
}

/* A link that has fallen silent is the gate's, and freed there, when this was told. */
static bool silence_tells(struct peer *peer, struct peer_event *event)
{
    if (peer->is_near || peer->far.gate == NULL)
        return false;
    struct list *silent = &peer->far.gate->silent;
    for (struct list *at = silent->next; at != silent; at = at->next) {
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->peer != peer || !take_flag(&link->tells_silent))
            continue;
        *event = (struct peer_event){.kind = PEER_LINK_SILENT, .link = link, .why = link->why};
        link->peer = NULL;
        return true;
    }
    return false;
}

static bool links_tell(struct peer *peer, struct peer_event *event)
{
    for (struct list *at = peer->links.next; peer->links_tell && at != &peer->links; at = at->next)
        if (link_tells(CONTAINER_OF(at, struct peer_link, in_owner), event))
            return true;
    peer->links_tell = false;
    return silence_tells(peer, event);
}

static bool turn_tells(struct peer *peer, struct peer_event *event)
{
    if (peer->is_near && take_flag(&peer->near.tells_renewed))
        *event = (struct peer_event){.kind = PEER_RENEWED};
    else if (!peer->is_near && take_flag(&peer->far.tells_begun))
        *event = (struct peer_event){.kind = PEER_BEGUN};
    else
        return false;
    return true;
}

static bool end_tells(struct peer *peer, struct peer_event *event)
{
    if (!peer->is_ending || peer->was_told || !list_empty(&peer->links))
        return false;
    /* What has come whole before the other end has ended it is delivered, however slowly that is taken. */
    if (!peer->is_told_to_end && peer_has_streams(peer))
        return false;
    peer->was_told = true;
    *event = (struct peer_event){.kind = PEER_ENDED, .why = peer->why};
    return true;
}

bool peer_next_event(struct peer *peer, struct peer_event *event)
{
    if (!peer->is_near && peer->far.gate != NULL)
        gate_sweep(peer->far.gate);
    if (turn_tells(peer, event) || sessions_tell(peer, event))
        return true;
    /* What its first link waits for, streams, comes without a time. */
    if (peer->is_near && (!peer->near.is_reviewed || !peer->near.is_admitted))
        near_review(peer);
    if (links_tell(peer, event))
        return true;
    if (peer->is_near && peer->near.n_wanted > 0) {
        peer->near.n_wanted--;
        *event = (struct peer_event){.kind = PEER_WANTS_CARRIER};
        return true;
    }
    return end_tells(peer, event);
}

/* ---- who it is ---- */

void peer_who(const struct peer *peer, uint8_t who[static PEER_WHO_BYTES])
{
    memcpy(who, peer->far.who, PEER_WHO_BYTES);
}

/* ---- time ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t peer_deadline_us(const struct peer *peer)
{
    uint64_t deadline = session_deadline_us(peer->reign->session);

    for (struct list *at = peer->retired.next; at != &peer->retired; at = at->next) {
        const struct reign *reign = CONTAINER_OF(at, struct reign, in_peer);
        deadline = sooner(deadline, session_deadline_us(reign->session));
    }
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        const struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        deadline = sooner(deadline, sooner(link->retry_us, link->cut_us));
    }
    if (peer->is_ending)
        return list_empty(&peer->links) ? deadline : sooner(deadline, peer->end_us);
    return sooner(deadline, peer->is_near ? near_deadline_us(peer) : far_deadline_us(peer));
}

static void retry_output(struct peer *peer)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->retry_us > peer->time.now_us)
            continue;
        link->retry_us = NEVER_US;
        peer_link_may_want(link);
    }
}

/* Their time is over. */
static void give_up_links(struct peer *peer)
{
    for (struct list *at = peer->links.next, *next; at != &peer->links; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->cut_us > peer->time.now_us)
            continue;
        if (link->state == LINK_LEAVING)
            peer_link_close(link, "the other end has not ended it in time");
        else
            far_give_up(link);
    }
}

void peer_advance(struct peer *peer, const struct peer_time *time)
{
    peer_at(peer, time);
    retry_output(peer);
    give_up_links(peer);
    for (struct list *at = peer->retired.next; at != &peer->retired; at = at->next)
        session_advance(CONTAINER_OF(at, struct reign, in_peer)->session, time->now_us);
    session_advance(peer->reign->session, time->now_us);
    if (peer->is_ending) {
        if (time->now_us >= peer->end_us)
            cut_what_is_left(peer);
    } else if (peer->is_near)
        near_advance(peer);
    else
        far_advance(peer);
}

/* ---- signatures ---- */

const struct sign_key *peer_sign_job(const struct peer_link *link,
                                     uint8_t bytes[static HANDSHAKE_SIGN_BYTES])
{
    const struct sign_key *key =
        link->gate != NULL ? link->gate->options.identity : link->peer->near.options.identity;
    size_t n_spki;
    const uint8_t *spki = verify_key_spki(sign_key_public(key), &n_spki);

    handshake_sign_bytes(link->handshake, spki, n_spki, bytes);
    return key;
}

size_t peer_sign(const struct peer_link *link, uint8_t signature[static SIGN_MAX_BYTES])
{
    uint8_t bytes[HANDSHAKE_SIGN_BYTES];
    const struct sign_key *key = peer_sign_job(link, bytes);
    size_t n;

    return sign(key, bytes, sizeof bytes, signature, &n) == ERR_NONE ? n : 0;
}

void peer_signed(struct peer_link *link, const uint8_t *signature, size_t n,
                 const struct peer_time *time)
{
    if (link->state != LINK_SIGNING)
        return;
    if (link->peer != NULL)
        peer_at(link->peer, time);
    if (link->gate == NULL)
        near_signed(link, signature, n);
    else
        gate_signed(link, signature, n, time);
    peer_link_take(link, time);
}
