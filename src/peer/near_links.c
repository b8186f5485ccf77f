/*
 * How many links the near end has, of what kind, and for how long each.
 *
 *     aggregated    `n_links` common ones
 *     distributed   a common one, and `n_links` that are each ready for a stream; the stream takes it along
 *
 * A link that has lived for the time that was drawn for it, or has used up most of the bytes, is *worn*: another is opened, and when that
 * stands the old one ends, or goes on until its bytes are used up. Where links are used up faster than new ones come, some are opened ahead: as many as are used
 * up in the time that two take, one after the other. In distributed mode these are common ones too: those that are ready for a stream do not end by themselves.
 */
#include "peer/inside.h"

#define MAX_AHEAD 16
/* Of the bytes that a link may carry, what has nobody counts takes a share: acknowledgements of TCP's, its first and last packets. */
#define UNCOUNTED_SHARE 16
#define UNCOUNTED_BYTES 256
/* What a direction gets at least, for its flight, acknowledgements and BYE. */
#define MIN_MOST_BYTES UINT64_C(2048)
#define SHARE_AT_LEAST 8 /* likewise, of many */
#define SMOOTH 4
/* So many times as long as usual is none used up before fewer are opened ahead: they are used up together, and then come anew. */
#define CALM_FACTOR 8
/* So long at least one that is not needed is idle, and none is used up, before it ends. */
#define REST_US (5 * SECOND_US)
/* A client in distributed mode asks for no more links: every few milliseconds all are looked at, as long as something happens. */
#define MAX_OWN_LINKS 512

static uint64_t draw(struct peer *peer, struct near_range range)
{
    return range.min + rng_below(peer->rng, range.max - range.min + 1);
}

/* ---- how many are for all ---- */

/* How many are used up while one is made, twice: more than that, and there is always one. */
static unsigned n_ahead(const struct peer *peer)
{
    const struct near *near = &peer->near;
    uint64_t calm_us = peer->time.now_us - near->spent_us, pause_us = calm_us / CALM_FACTOR;

    if (near->spending_us == 0 || calm_us >= REST_US)
        return 0;
    if (pause_us < near->spending_us)
        pause_us = near->spending_us;
    uint64_t n = 2 * near->setup_us / pause_us;
    return n < MAX_AHEAD ? (unsigned)n : MAX_AHEAD;
}

static unsigned n_common(const struct peer *peer)
{
    const struct near_options *options = &peer->near.options;
    return options->is_distributed ? 1 : options->n_links;
}

static unsigned n_common_wanted(const struct peer *peer)
{
    return n_common(peer) + n_ahead(peer);
}

/* ---- what a link shall be ---- */

/* So many bytes in all, divided as the directions had them of late. */
static void divide(struct peer_link *link, uint64_t all)
{
    struct near *near = &link->peer->near;
    uint64_t counted = all - all / UNCOUNTED_SHARE - UNCOUNTED_BYTES;
    uint64_t least = counted / SHARE_AT_LEAST;
    bool is_unknown =
        !link->peer->stands && near->options.identity != NULL; /* a signature goes up */

    if (least < MIN_MOST_BYTES)
        least = MIN_MOST_BYTES;
    uint64_t up = counted / 2, recent = near->recent_up + near->recent_down;
    if (recent > 0 && !is_unknown)
        up = (uint64_t)((double)counted * (double)near->recent_up / (double)recent);
    up = up < least ? least : up > counted - least ? counted - least : up;
    link->out_budget.most = up > UINT32_MAX ? UINT32_MAX : up;
    link->in_budget.most = counted - up > UINT32_MAX ? UINT32_MAX : counted - up;
}

void near_plan(struct peer_link *link)
{
    struct peer *peer = link->peer;
    const struct near_options *options = &peer->near.options;

    link->is_own = peer->stands && options->is_distributed &&
                   near_n_fresh_common(peer) >= n_common_wanted(peer);
    link->retire_us = NEVER_US;
    if (options->after.max > 0)
        divide(link, draw(peer, options->after));
}

static uint64_t smoothed(uint64_t old, uint64_t new)
{
    return old == 0 ? new : (old * (SMOOTH - 1) + new) / SMOOTH;
}

/* Its carrier's own handshake took about as long as ours. */
void near_begin_life(struct peer_link *link)
{
    struct peer *peer = link->peer;
    struct near *near = &peer->near;

    near->setup_us = smoothed(near->setup_us, 2 * (peer->time.now_us - link->started_us) + 1);
    if (peer_count(peer, peer_link_is_up) > near->n_taken)
        near->further = (struct back_off){0};
    link->rest_us = REST_US + rng_below(peer->rng, 2 * REST_US);
    if (near->options.every.max > 0)
        link->retire_us = peer->time.now_us + draw(peer, near->options.every);
}

void near_end_life(const struct peer_link *link)
{
    struct near *near = &link->peer->near;

    near->recent_up = near->recent_up / 2 + link->out_budget.used;
    near->recent_down = near->recent_down / 2 + link->in_budget.used;
}

/* ---- how many there are ---- */

static bool is_fresh(const struct peer_link *link)
{
    return link->state == LINK_UP && link->reign == link->peer->reign && !link->is_stalled &&
           !link->is_worn;
}

bool near_has_sound_link(const struct peer *peer)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        const struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state == LINK_UP && !link->is_stalled)
            return true;
    }
    return false;
}

static bool is_fresh_common(const struct peer_link *link)
{
    return !link->is_own && is_fresh(link);
}

unsigned near_n_fresh_common(const struct peer *peer)
{
    return peer_count(peer, is_fresh_common);
}

/* A server that refuses a further link of a session says nothing to that. Without a limit one of those that were tried meanwhile would have succeeded. */
const char *near_unanswered(struct peer_link *link)
{
    struct peer *peer = link->peer;
    struct near *near = &peer->near;

    if (!near->options.is_distributed || near_n_fresh_common(peer) == 0 ||
        near->succeeded_us >= link->started_us)
        return "no answer; wrong key, wrong clock or not a sockeye";
    near->n_taken = peer_count(peer, peer_link_is_up);
    near_back_off(peer, &near->further);
    return "no answer; the server may take no more links of one session";
}

static unsigned n_own_lacking(const struct peer *peer)
{
    const struct near *near = &peer->near;
    unsigned n_ready = (unsigned)session_ready_links(peer->reign->session);
    size_t n = peer_count(peer, peer_link_is_up), most = MAX_OWN_LINKS;

    if (near->further.n_failures > 0 && near->n_taken < most)
        most = near->n_taken + (near->further.next_us <= peer->time.now_us);
    if (n >= most || n_ready >= near->options.n_links)
        return 0;
    unsigned lack = near->options.n_links - n_ready;
    return most - n < lack ? (unsigned)(most - n) : lack;
}

uint64_t near_asks_again_us(const struct peer *peer)
{
    const struct back_off *further = &peer->near.further;
    return further->n_failures > 0 && further->next_us > peer->time.now_us ? further->next_us
                                                                           : NEVER_US;
}

unsigned near_lack(const struct peer *peer)
{
    const struct near *near = &peer->near;

    if (peer->is_ending || near->needs_session)
        return 0;
    /* Before the server knows who we are nothing joins. */
    if (!peer->stands || !near->is_admitted) {
        struct session_stats stats;
        session_stats(peer->reign->session, &stats);
        return !near_has_sound_link(peer) &&
               (peer->stands || near->at_once || stats.n_streams > 0 || stats.n_listeners > 0);
    }
    /* Whoever answers a new connection may not be the one who has this session. */
    if (peer->is_drained)
        return !near_has_sound_link(peer);
    unsigned n_fresh = near_n_fresh_common(peer), wanted = n_common_wanted(peer);
    unsigned lack = n_fresh < wanted ? wanted - n_fresh : 0;
    return near->options.is_distributed && n_fresh > 0 ? lack + n_own_lacking(peer) : lack;
}

/* ---- links that are worn or stalled ---- */

static bool is_used_up(const struct budget *budget)
{
    return budget->most > 0 && budget->used > budget->most / 4 * 3;
}

static void note_spent(struct peer *peer)
{
    struct near *near = &peer->near;
    uint64_t now_us = peer->time.now_us;

    if (near->spent_us != 0)
        near->spending_us = smoothed(near->spending_us, now_us - near->spent_us + 1);
    near->spent_us = now_us;
}

void near_wear(struct peer_link *link)
{
    if (link->is_worn)
        return;
    bool is_spent = is_used_up(&link->out_budget) || is_used_up(&link->in_budget);
    link->is_worn = is_spent || link->retire_us <= link->peer->time.now_us;
    if (is_spent)
        note_spent(link->peer);
}

static void look_at(struct peer_link *link)
{
    if (link->is_stalled)
        link->is_stalled = near_stall_us(link) <= link->peer->time.now_us;
    near_wear(link);
}

/* One that has used up its bytes ends by itself, when there are none left. */
static bool is_old(const struct peer_link *link)
{
    return link->is_stalled || link->retire_us <= link->peer->time.now_us;
}

static bool is_up_for_all(const struct peer_link *link)
{
    return link->state == LINK_UP && !link->is_own;
}

/* What is old ends when there are enough others; whatever a stream had of its own goes by the common ones. */
static void shed(struct peer *peer)
{
    unsigned n = peer_count(peer, is_up_for_all), n_fresh = near_n_fresh_common(peer);
    unsigned wanted = n_common_wanted(peer);

    for (struct list *at = peer->links.next, *next; at != &peer->links && n_fresh > 0; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->state != LINK_UP || !is_old(link) || (!link->is_own && n <= wanted))
            continue;
        n -= !link->is_own;
        if (link->is_stalled)
            peer_link_close(link, "stalled");
        else
            peer_link_leave(link, "another link took its place");
    }
}

void near_look_at_links(struct peer *peer)
{
    bool has_old = false;

    peer->near.n_reviewed = 0;
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next) {
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        peer->near.n_reviewed++;
        if (link->state != LINK_UP)
            continue;
        look_at(link);
        has_old |= is_old(link);
    }
    if (has_old)
        shed(peer);
}

uint64_t near_rested_us(const struct peer_link *link, unsigned n_fresh)
{
    const struct near *near = &link->peer->near;
    uint64_t from_us = link->active_us > near->spent_us ? link->active_us : near->spent_us;

    if (link->is_own || link->state != LINK_UP || n_fresh - is_fresh(link) < n_common(link->peer))
        return NEVER_US;
    return from_us + link->rest_us;
}

void near_end_rested(struct peer *peer)
{
    unsigned n_fresh = near_n_fresh_common(peer);

    for (struct list *at = peer->links.next, *next; at != &peer->links; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (near_rested_us(link, n_fresh) > peer->time.now_us)
            continue;
        n_fresh -= is_fresh(link);
        peer_link_leave(link, "it is not needed any more");
    }
}

bool near_was_taken(struct peer_link *link)
{
    struct session_link_stats stats;

    if (!link->is_own || link->was_taken || link->reign == NULL ||
        !session_link_stats(link->reign->session, link->number, &stats))
        return false;
    link->was_taken = !stats.is_ready;
    return link->was_taken;
}
