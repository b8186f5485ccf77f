/*
 * The near half: when a carrier is wanted, and what becomes of the attempts to have one.
 *
 * A carrier is wanted for each link that is lacking (near_links.c). An attempt is a carrier that was asked for, or a link that awaits
 * flight 2. After 3 s another goes beside those that are wanted; after 10 s one is given up. Those that are left when no link is lacking any
 * more are given up too.
 */
#include "peer/near.h"

#include <stdlib.h>
#include <string.h>

#include "peer/inside.h"

#define BESIDE_US (3 * SECOND_US)
#define GIVE_UP_US (10 * SECOND_US)
#define MIN_BACK_OFF_US (SECOND_US / 4)
#define MAX_BACK_OFF_US (30 * SECOND_US)
#define MIN_STALL_US SECOND_US
#define ACK_DELAY_US UINT64_C(25000)
#define ASK_BYTES ((size_t)4096)
#define MAX_STALLS 5 /* in a row, of which each doubles what the next link may owe for */
#define LONG_LIFE 8
#define PROVEN_BYTES (256 * 1024)
#define MAX_KEEPALIVES 4 /* by so much the mean may be passed */
/* So many links are looked at no more often than that, unless one is taken or gone. */
#define MANY_LINKS 16
#define REVIEW_US (SECOND_US / 200)

enum err peer_new_near(struct peer **out, const struct near_options *options, bool at_once,
                       const struct peer_time *time)
{
    struct peer *peer = peer_new(true, options->chunks, options->rng, options->window_bytes,
                                 options->stream_window_bytes, time);

    if (peer == NULL)
        return ERR_MEMORY;
    peer->near.options = *options;
    if (options->n_links == 0)
        peer->near.options.n_links = 1;
    peer->near.at_once = at_once;
    *out = peer;
    return ERR_NONE;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- is a carrier wanted? ---- */

/* A line that has got slow, of which a record takes longer than that, would be sent into again for ever: of links that stall one behind the
 * other each is given twice as long as the one before, until one has lived for many times that, or has carried a lot. */
static bool is_proven(const struct peer_link *link, const struct session_link_stats *stats,
                      uint64_t now_us)
{
    uint64_t carried = link->in_budget.used + link->out_budget.used - stats->n_unacked_bytes;

    return carried >= PROVEN_BYTES ||
           now_us >= link->started_us + LONG_LIFE * (MIN_STALL_US << link->n_stalls);
}

/* How long a link may owe an acknowledgement. Where its carrier is a stream it has more, so that in most cases that one's session finds
 * out first: not where links of that have just stalled one behind the other. */
static uint64_t patience_us(const struct peer_link *link, const struct session_link_stats *stats,
                            uint64_t since_us)
{
    uint64_t patience = 4 * stats->srtt_us + ACK_DELAY_US;
    unsigned n_stalls = is_proven(link, stats, since_us) ? 0 : link->n_stalls;
    uint64_t least = MIN_STALL_US << n_stalls;

    if (patience < least)
        patience = least;
    return link->is_chained ? patience + patience / 2 : patience;
}

void near_be_patient(struct peer_link *link)
{
    const struct near *near = &link->peer->near;

    link->n_stalls = near->stalled_us + GIVE_UP_US > link->started_us ? near->n_stalls : 0;
}

uint64_t near_stall_us(const struct peer_link *link)
{
    struct session_link_stats stats;

    if (!session_link_stats(link->reign->session, link->number, &stats) ||
        stats.unacked_since_us == 0)
        return NEVER_US;
    return stats.unacked_since_us + patience_us(link, &stats, stats.unacked_since_us);
}

static bool is_awaiting(const struct peer_link *link)
{
    return link->state == LINK_AWAITING || link->state == LINK_SIGNING;
}

/* When the next attempt is due, beside those that are under way; NEVER_US: there are enough. */
static uint64_t next_attempt_us(const struct peer *peer)
{
    const struct near *near = &peer->near;
    unsigned n_attempts = near->n_dials + peer_count(peer, is_awaiting), lack = near_lack(peer);

    if (lack == 0)
        return near_asks_again_us(peer);
    if (n_attempts > lack || n_attempts >= NEAR_MAX_ATTEMPTS ||
        (near->is_suspended && n_attempts > 0))
        return NEVER_US;
    uint64_t beside_us = n_attempts == lack ? near->attempt_us + BESIDE_US : 0;
    return beside_us > near->tries.next_us ? beside_us : near->tries.next_us;
}

static void begin_session(struct peer *peer)
{
    peer->near.needs_session = peer_renew(peer) != ERR_NONE;
    peer->near.tells_renewed = !peer->near.needs_session;
    /* Links of the old one may have admitted us since it was over. */
    peer->near.is_admitted = false;
    if (peer->near.needs_session)
        near_failed(
            peer); /* once more when there may be memory; meanwhile no stream can be opened */
}

void near_review(struct peer *peer)
{
    struct near *near = &peer->near;

    near_look_at_links(peer);
    if (near->needs_session && near->tries.next_us <= peer->time.now_us)
        begin_session(peer);
    while ((near->due_us = next_attempt_us(peer)) <= peer->time.now_us) {
        near->dials_us[near->n_dials++] = peer->time.now_us;
        near->attempt_us = peer->time.now_us;
        near->n_wanted++;
    }
    near->is_reviewed = true;
    near->reviewed_us = peer->time.now_us;
}

void near_note(struct peer *peer)
{
    struct near *near = &peer->near;
    uint64_t next_us = near->reviewed_us + REVIEW_US;

    if (near->n_reviewed < MANY_LINKS || next_us <= peer->time.now_us)
        near->is_reviewed = false;
    else
        near->due_us = sooner(near->due_us, next_us);
}

/* ---- attempts ---- */

static void forget_oldest_dial(struct near *near)
{
    if (near->n_dials == 0)
        return; /* it was given up before */
    near->n_dials--;
    memmove(near->dials_us, near->dials_us + 1, near->n_dials * sizeof near->dials_us[0]);
}

/* What fails before another may be tried, fails with what failed before: all that a network takes with it are one failure. */
void near_back_off(struct peer *peer, struct back_off *back_off)
{
    uint64_t now_us = peer->time.now_us;
    if (back_off->next_us > now_us)
        return;
    unsigned n = back_off->n_failures;
    uint64_t pause = n < 7 ? MIN_BACK_OFF_US << n : MAX_BACK_OFF_US;

    back_off->n_failures += n < 7;
    /* Times a factor of 0.5 to 1.5. */
    back_off->next_us = now_us + pause / 2 + rng_below(peer->rng, pause + 1);
}

void near_failed(struct peer *peer)
{
    near_back_off(peer, &peer->near.tries);
}

struct peer_link *peer_dialled(struct peer *peer, const struct peer_time *time)
{
    peer_at(peer, time);
    struct peer_link *link = peer_link_new(peer, NULL, LINK_AWAITING);
    if (link == NULL)
        return NULL;
    forget_oldest_dial(&peer->near);
    near_plan(link);
    if (near_lack(peer) > 0)
        near_begin(link, time);
    else
        peer_link_close(link, NULL); /* another was faster */
    return link;
}

bool peer_server_clock(const struct peer *peer, const struct peer_time *time, uint64_t *wall_ms)
{
    *wall_ms = time->boot_ms + peer->near.offset_ms;
    return peer->near.has_offset;
}

void peer_dial_failed(struct peer *peer, const struct peer_time *time)
{
    peer_at(peer, time);
    forget_oldest_dial(&peer->near);
    near_failed(peer);
}

/* They have left from an address that may be no more. What their flights said of the time was not the reason. */
static void give_up_attempts(struct peer *peer, const char *why)
{
    peer->near.n_dials = peer->near.n_wanted = 0;
    for (struct list *at = peer->links.next, *next; at != &peer->links; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        link->n_stalls = 0; /* which is of the path that it has had */
        if (link->state == LINK_AWAITING)
            peer_link_close(link, why);
    }
    peer->near.dates_by_wall = false;
    peer->near.tries = (struct back_off){.next_us = peer->time.now_us};
    peer->near.further = (struct back_off){0};
    peer->near.n_stalls = 0;
}

void near_ask_links(struct peer *peer)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state == LINK_UP && !link->was_probed) {
            link->was_probed = true;
            session_ping(link->reign->session, link->number, peer->time.now_us);
        }
    }
}

void peer_network_changed(struct peer *peer, const struct peer_time *time)
{
    peer_at(peer, time);
    give_up_attempts(peer, "the network has changed");
    near_ask_links(peer);
}

void peer_move(struct peer *peer, const char *why, const struct peer_time *time)
{
    peer_at(peer, time);
    give_up_attempts(peer, why);
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        CONTAINER_OF(at, struct peer_link, in_owner)->retire_us = time->now_us;
    near_ask_links(peer);
}

/* ---- what comes of them ---- */

/* Exponential with mean 1: -ln(u), u of 53 bits, by its binary digits and a series, since this folder has no libm. */
static double draw_exponential(struct rng *rng)
{
    uint64_t u = rng_u64(rng) >> 11 | 1;
    double x = 0, mantissa = (double)u / 9007199254740992.0;

    while (mantissa < 0.5) {
        mantissa *= 2;
        x += 0.69314718055994531;
    }
    double y = 1 - mantissa, power = y;
    for (int i = 1; i < 32; i++, power *= y)
        x += power / i;
    return x;
}

/* A link that is dead without a word is not to stay so for ever, so what is too long is drawn again. */
static uint64_t draw_keepalive_us(const struct peer *peer)
{
    double x = draw_exponential(peer->rng);

    while (x > MAX_KEEPALIVES)
        x = draw_exponential(peer->rng);
    return (uint64_t)(x * (double)(peer->near.options.keepalive_s * SECOND_US));
}

static void set_keepalive(struct peer_link *link)
{
    const struct peer *peer = link->peer;

    link->keepalive_us = peer->near.options.keepalive_s == 0
                             ? NEVER_US
                             : peer->time.now_us + draw_keepalive_us(peer);
}

/* Whether an attempt is not needed where another has succeeded: the last that was wanted does, or it has asked for a session of its own. */
static bool is_superseded(const struct peer_link *link, unsigned n_lack)
{
    return (link->state == LINK_AWAITING || link->state == LINK_SIGNING) &&
           (n_lack <= 1 || link->is_tentative);
}

void near_succeeded(struct peer_link *link)
{
    struct peer *peer = link->peer;
    unsigned n_failures = peer->near.tries.n_failures, n_lack = near_lack(peer);

    for (struct list *at = peer->links.next, *next; at != &peer->links; at = next) {
        next = at->next;
        struct peer_link *other = CONTAINER_OF(at, struct peer_link, in_owner);
        if (other != link && is_superseded(other, n_lack))
            peer_link_close(other, "another link took its place");
    }
    /* Until the link was of use it may be like those before it. */
    peer->near.tries.n_failures = n_failures;
    peer->near.at_once = false;
    peer->near.succeeded_us = peer->time.now_us;
    peer->near.tries.next_us = 0;
    set_keepalive(link);
}

/* The other end gives up a link on which it hears nothing, and what there is to say may go by another. What came early does not
 * tell it either that we have taken its session: it lets a listener wait for a record behind the handshake. */
void near_stood(struct peer_link *link)
{
    session_say_instance(link->reign->session, link->number, link->peer->near.options.instance);
    session_ping(link->reign->session, link->number, link->peer->time.now_us);
    near_begin_life(link);
    /* What is still dialled then is nothing that the next one has to wait for. */
    if (near_lack(link->peer) == 0)
        link->peer->near.n_dials = link->peer->near.n_wanted = 0;
}

void near_received(struct peer_link *link)
{
    /* A link of the session before may have something to say still. */
    if (link->reign == link->peer->reign)
        link->peer->near.is_admitted = true;
    near_wear(link);
}

/* Else whoever is there may hang up on everybody, behind whatever answer. */
static bool was_useful(const struct peer_link *link)
{
    bool has_carried = link->reign == NULL
                           ? link->has_carried
                           : session_link_has_carried(link->reign->session, link->number);

    return has_carried || link->started_us + GIVE_UP_US <= link->peer->time.now_us;
}

void near_dismissed(struct peer_link *link)
{
    if (!was_useful(link))
        near_failed(link->peer);
}

/* A link has left the session, or an attempt has come to nothing. */
void near_link_gone(struct peer_link *link, bool was_up)
{
    struct peer *peer = link->peer;

    peer->near.is_reviewed = false;
    if (was_up)
        near_end_life(link);
    if (peer->is_ending || near_lack(peer) == 0)
        return;
    /* One that was useful is replaced at once, one after the other if need be. */
    if (was_up && was_useful(link))
        peer->near.tries = (struct back_off){0};
    else
        near_failed(peer);
}

/* ---- another session ---- */

/* The session is lost: its streams die, but for those that the other end was not told of, and another begins. */
void near_start_over(struct peer *peer, const char *why)
{
    struct reign *old = peer->reign;

    peer->stands = peer->is_drained = false;
    peer->near.has_link_0 = false;
    peer->near.last_join = 0;
    peer->near.further = (struct back_off){0};
    begin_session(peer);
    if (peer->reign != old)
        session_move_untold(old->session, peer->reign->session);
    session_end(old->session, 3, peer->time.now_us);
    for (struct list *at = peer->links.next, *next; at != &peer->links; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->reign == old)
            peer_link_leave(link, why);
    }
}

/* Two that take each other's place do so less and less often. */
void near_session_ended(struct peer *peer, const char *why)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        const struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state == LINK_UP && link->started_us + GIVE_UP_US <= peer->time.now_us)
            peer->near.tries.n_failures = 0;
    }
    near_start_over(peer, why);
    near_failed(peer);
}

/* ---- time ---- */

/* A pause behind so many bytes, or within a record, is suspicious: who only reads owes the other end nothing, and would never find
 * out that the link is dead. */
static uint64_t probe_us(const struct peer_link *link)
{
    struct session_link_stats stats;

    if (link->was_probed || (link->heard_bytes < ASK_BYTES && span_bytes(&link->in) == 0) ||
        !session_link_stats(link->reign->session, link->number, &stats))
        return NEVER_US;
    return stats.last_received_us + patience_us(link, &stats, stats.last_received_us);
}

static void note_stall(const struct peer_link *link)
{
    struct near *near = &link->peer->near;
    uint64_t now_us = link->peer->time.now_us;
    struct session_link_stats stats;
    bool is_new = session_link_stats(link->reign->session, link->number, &stats) &&
                  !is_proven(link, &stats, now_us);
    unsigned n_before = is_new ? link->n_stalls : 0;

    near->n_stalls = n_before < MAX_STALLS ? n_before + 1 : MAX_STALLS;
    near->stalled_us = now_us;
}

static void advance_up(struct peer_link *link)
{
    struct peer *peer = link->peer;
    uint64_t now_us = peer->time.now_us;

    if (!link->is_stalled && near_stall_us(link) <= now_us)
        note_stall(link);
    link->is_stalled = near_stall_us(link) <= now_us;
    if (probe_us(link) <= now_us) {
        link->was_probed = true;
        link->heard_bytes = 0;
        session_ping(link->reign->session, link->number, now_us);
    }
    if (link->keepalive_us <= now_us) {
        /* Only one that was idle all the while is asked, and none that may end. */
        if (link->active_us <= link->keepalive_from_us &&
            near_rested_us(link, near_n_fresh_common(peer)) == NEVER_US)
            session_ping(link->reign->session, link->number, now_us);
        set_keepalive(link);
        link->keepalive_from_us = now_us;
    }
}

static void give_up_old_attempts(struct peer *peer)
{
    struct near *near = &peer->near;
    uint64_t now_us = peer->time.now_us;

    while (near->n_dials > 0 && near->dials_us[0] + GIVE_UP_US <= now_us) {
        forget_oldest_dial(near);
        near_failed(peer);
    }
    for (struct list *at = peer->links.next, *next; at != &peer->links; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state == LINK_AWAITING && link->started_us + GIVE_UP_US <= now_us)
            peer_link_close(link, near_unanswered(link));
    }
}

static uint64_t keep_until_us(const struct peer *peer)
{
    if (!peer->stands || peer_is_linked(peer))
        return NEVER_US;
    return peer->unlinked_us + peer->near.keep_us;
}

static void advance_links(struct peer *peer)
{
    give_up_old_attempts(peer);
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state == LINK_UP)
            advance_up(link);
    }
    near_end_rested(peer);
}

void near_advance(struct peer *peer)
{
    /* It may be for near_review() to do, which does not wait then. */
    if (near_deadline_us(peer) <= peer->time.now_us)
        peer->near.is_reviewed = false;
    if (!peer->near.is_suspended)
        advance_links(peer);
    if (keep_until_us(peer) <= peer->time.now_us)
        near_start_over(peer, "no link in all the time that it is kept for");
}

static uint64_t link_deadline_us(const struct peer_link *link, unsigned n_fresh)
{
    if (link->state == LINK_AWAITING)
        return link->started_us + GIVE_UP_US;
    if (link->state != LINK_UP)
        return NEVER_US;
    uint64_t stall = link->is_stalled ? NEVER_US : near_stall_us(link);
    uint64_t retire_us = link->is_worn ? NEVER_US : link->retire_us;
    uint64_t ends_us = sooner(retire_us, near_rested_us(link, n_fresh));
    return sooner(sooner(stall, probe_us(link)), sooner(link->keepalive_us, ends_us));
}

static uint64_t links_deadline_us(const struct peer *peer)
{
    uint64_t deadline = NEVER_US;
    unsigned n_fresh = near_n_fresh_common(peer);

    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        const struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        deadline = sooner(deadline, link_deadline_us(link, n_fresh));
    }
    if (peer->near.n_dials > 0)
        deadline = sooner(deadline, peer->near.dials_us[0] + GIVE_UP_US);
    return deadline;
}

uint64_t near_deadline_us(const struct peer *peer)
{
    uint64_t deadline = keep_until_us(peer);

    if (!peer->near.is_suspended)
        deadline = sooner(deadline, links_deadline_us(peer));
    if (peer->near.needs_session)
        deadline = sooner(deadline, peer->near.tries.next_us);
    return sooner(deadline, peer->near.is_reviewed ? peer->near.due_us : next_attempt_us(peer));
}
