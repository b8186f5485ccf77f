/*
 * Which of several links a frame goes by, and what becomes of those on a link that has fallen silent. Frames go where they arrive
 * first, as far as is known: a link's shortest round trip, or what is unacknowledged on it by the rate at which it was acknowledged,
 * whichever is more. One that owes an answer for too long gets no more, and what it had goes again by another.
 *
 *     urgent frames   by the link where they arrive first
 *     bulk            by a slower one too where it arrives earlier than behind all that waits for the fastest
 *
 * A link that is one stream's own carries nothing of others as long as a common one is up.
 */
#include "session/state.h"

/* Two links are as good as each other within so much: a share of the time, and what measuring is worth. */
enum { SAME_SHARE = 4, SAME_US = 1000 };
/* Bulk leaves its link for one that is sooner by more than so much and twice: what slows down one of them makes that. */
enum { HOLD_US = 20000 };
/* A link that owes an answer for so long at least is stalled for who has another: sending again costs little, as copies are dropped. */
enum { MIN_STALLED_US = 250000 };
enum { MIN_RATE_US = 20000, RATE_SHARE = 4 };

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Whether new frames may be given to it. */
static bool is_open(const struct session_link *link)
{
    return link->is_up && link->has_stood && !link->is_stalled && !link->bye_needed &&
           !link->bye_sent;
}

/* ---- where is it faster? ---- */

uint64_t link_arrival_us(const struct session *session, const struct session_link *link)
{
    uint64_t us = link->round_trip.min_us != 0 ? link->round_trip.min_us : session->min_rtt_us;

    if (link->rate != 0)
        us = larger(us, link->n_unacked_bytes * 1000000 / link->rate);
    return us;
}

void link_measure(struct session *session, struct session_link *link, uint64_t n_bytes)
{
    uint64_t elapsed_us = session->now_us - link->rate_us;

    link->rate_bytes += n_bytes;
    if (elapsed_us < larger(MIN_RATE_US, link->round_trip.smoothed_us))
        return;
    uint64_t rate = link->rate_bytes * 1000000 / elapsed_us;
    /* What had nothing to send says only what the link can do at least. */
    if (rate > link->rate)
        link->rate = rate;
    else if (!link->is_limited)
        link->rate = (link->rate * (RATE_SHARE - 1) + rate) / RATE_SHARE;
    link->rate_us = session->now_us;
    link->rate_bytes = 0;
    link->is_limited = link->unacked_since_us == 0;
}

/* ---- which is the fastest? ---- */

static void rank(const struct session *session, struct ranking *ranking,
                 const struct session_link *link)
{
    if (is_open(link) && (ranking->best == NULL ||
                          link_arrival_us(session, link) < link_arrival_us(session, ranking->best)))
        ranking->best = link;
}

/* All are asked one after the other whether they take what waits, and there may be a thousand. */
static struct ranking *ranking_of(struct session *session)
{
    struct ranking *ranking = &session->ranking;

    if (ranking->is_known)
        return ranking;
    *ranking = (struct ranking){.is_known = true, .n_unacked_bytes = UINT64_MAX};
    for (struct list *at = session->commons.next; at != &session->commons; at = at->next)
        rank(session, ranking, CONTAINER_OF(at, struct session_link, in_commons));
    bool has_common = ranking->best != NULL;
    for (size_t i = 0; !has_common && i < session->n_links; i++)
        rank(session, ranking, session->links[i]);
    return ranking;
}

/* Of the streams' bytes, those that are on no link. */
static uint64_t waiting_bytes(const struct session *session, struct ranking *ranking)
{
    if (ranking->n_unacked_bytes == UINT64_MAX) {
        ranking->n_unacked_bytes = 0;
        for (size_t i = 0; i < session->n_links; i++) {
            const struct session_link *link = session->links[i];
            if (link->is_up && !link->is_stalled)
                ranking->n_unacked_bytes += link->n_unacked_bytes;
        }
    }
    return session->n_outgoing_bytes > ranking->n_unacked_bytes
               ? session->n_outgoing_bytes - ranking->n_unacked_bytes
               : 0;
}

enum link_takes link_takes(struct session *session, const struct session_link *link)
{
    if (session->n_up <= 1)
        return TAKES_ALL;
    struct ranking *ranking = ranking_of(session);
    const struct session_link *best = ranking->best;
    if (best == NULL || best == link || (best->is_own && !link->is_own))
        return TAKES_ALL;
    if (!is_open(link) || (link->is_own && !best->is_own))
        return TAKES_NOTHING;
    uint64_t ours_us = link_arrival_us(session, link);
    uint64_t theirs_us = link_arrival_us(session, best);
    if (ours_us <= theirs_us + theirs_us / SAME_SHARE + SAME_US)
        return TAKES_ALL;
    if (best->rate == 0)
        return TAKES_NOTHING;
    uint64_t behind_us = theirs_us + waiting_bytes(session, ranking) * 1000000 / best->rate;
    return ours_us <= behind_us ? TAKES_BULK : TAKES_NOTHING;
}

/* Whether a stream's own link carries nothing of others now. */
static bool spares_own(const struct session_link *best)
{
    return best != NULL && !best->is_own;
}

bool link_takes_slots(struct session *session, const struct session_link *link)
{
    if (session->n_up <= 1)
        return true;
    const struct session_link *best = ranking_of(session)->best;
    return best == NULL || (is_open(link) && !(link->is_own && spares_own(best)));
}

void links_offer(struct session *session)
{
    if (session->n_up > 1 && spares_own(ranking_of(session)->best)) {
        for (struct list *at = session->commons.next; at != &session->commons; at = at->next)
            link_may_want(session, CONTAINER_OF(at, struct session_link, in_commons));
        return;
    }
    for (size_t i = 0; i < session->n_links; i++)
        link_may_want(session, session->links[i]);
}

/*
 * Where nothing is far away one link carries whatever can be carried: what comes by one need not be put in order, and what is under way on
 * one stays in the processor's caches, where each of several would be filled as far as it goes. A machine that is busy makes all of them late
 * alike, so of a link that has never been without bulk nobody knows how near it is: the nearest says it.
 */
static bool holds(const struct session *session, const struct session_link *holder,
                  const struct session_link *link)
{
    return is_open(holder) && !holder->is_own && holder->tail - holder->head < LINK_FRAMES_MAX &&
           session->min_rtt_us != 0 && session->min_rtt_us < SAME_US &&
           link_arrival_us(session, holder) <= 2 * link_arrival_us(session, link) + HOLD_US;
}

bool link_takes_bulk(const struct session *session, const struct session_link *link,
                     enum link_takes takes)
{
    uint64_t by = session->n_up <= 1 ? NO_LINK : session->bulk_by;
    const struct session_link *holder = by == link->number ? link
                                        : by == NO_LINK    ? NULL
                                                           : link_find(session, by);

    if (holder == NULL || !holds(session, holder, link))
        return takes != TAKES_NOTHING;
    return holder == link;
}

/* ---- links that have fallen silent ---- */

static size_t n_open(const struct session *session)
{
    size_t n = 0;

    for (size_t i = 0; i < session->n_links; i++)
        n += is_open(session->links[i]);
    return n;
}

/* When it is stalled; UINT64_MAX: it owes nothing, or is already. */
static uint64_t stalled_us(const struct session_link *link)
{
    if (!link->is_up || !link->has_stood || link->is_stalled || link->unacked_since_us == 0)
        return UINT64_MAX;
    /* Behind its BYE the other end says how much has come when it has read to the end. */
    uint64_t least_us = link->has_ended ? COUNT_US : MIN_STALLED_US;
    return link->unacked_since_us +
           larger(least_us, 2 * link->round_trip.smoothed_us + ACK_DELAY_US);
}

uint64_t links_deadline_us(const struct session *session)
{
    uint64_t at_us = UINT64_MAX;

    if (session->n_links <= 1 && session->n_up == session->n_links)
        return at_us;
    size_t n = n_open(session);
    for (size_t i = 0; i < session->n_links; i++) {
        const struct session_link *link = session->links[i];
        uint64_t us = link->awaits_count          ? link->resend_us
                      : n > (size_t)is_open(link) ? stalled_us(link)
                                                  : UINT64_MAX;
        at_us = us < at_us ? us : at_us;
    }
    return at_us;
}

void links_check(struct session *session)
{
    if (links_deadline_us(session) > session->now_us)
        return;
    size_t n = n_open(session);
    for (size_t i = 0; i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        if (link->awaits_count && link->resend_us <= session->now_us)
            link_send_again(session, link);
        if (stalled_us(link) > session->now_us || n <= (size_t)is_open(link))
            continue;
        n -= is_open(link);
        link->is_stalled = true;
        link_send_again(session, link);
    }
}

/* ---- links of one stream's own ---- */

bool link_is_ready(const struct session_link *link)
{
    return link->is_own && !link->had_owner && is_open(link);
}

size_t session_ready_links(const struct session *session)
{
    size_t n = 0;

    for (size_t i = 0; i < session->n_links; i++)
        n += link_is_ready(session->links[i]);
    return n;
}

struct session_link *link_ready(const struct session *session)
{
    for (size_t i = 0; session->n_up > 1 && i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        if (link_is_ready(link))
            return link;
    }
    return NULL;
}

void stream_settle(struct stream *stream, struct session_link *link)
{
    link->had_owner = true;
    link->owner = stream;
    stream->home = link;
    stream_pin(stream, link);
}

void stream_leave_home(struct stream *stream)
{
    struct session_link *link = stream->home;

    if (link == NULL)
        return;
    stream->home = NULL;
    link->owner = NULL;
    if (!stream->session->options.is_client || !link->is_up)
        return;
    link->event_spent = true;
    stream->session->n_link_events++;
}
