/*
 * A link's way out: records are pulled from the session when the carrier has room, and sealed straight into the bytes that
 * are lent to it. Only whole records are lent, and none is made before those before it are sent, so what a session has to say is
 * decided as late as it can be.
 */
#include "peer/inside.h"

/* What one call seals at most. */
#define OUT_MAX_BYTES ((size_t)256 * 1024)
/* A record is opened when its last byte is there. So what begins is sent in small ones, that a person does not wait for a
 * whole large one; what goes on is bulk, in records that the carrier takes in a moment. */
#define SMALL_RECORD_BYTES ((size_t)4096)
#define FIRST_BULK_RECORD_BYTES ((size_t)16384) /* while nothing has been measured */
#define LARGE_RECORD_BYTES SESSION_RECORD_MAX_BYTES
#define BURST_BYTES ((size_t)64 * 1024)
#define BURST_PAUSE_US 50000 /* bulk that pauses for longer begins anew */
#define MOMENT_US 5000
#define MEASURE_US 20000
/* Less room than this at the end of a chunk is left. */
#define MIN_RECORD_BYTES ((size_t)512)

/* How large the next record may be. `room` holds whatever the session would like. */
static size_t record_room(const struct peer_link *link, size_t room, uint64_t now_us)
{
    size_t least = session_room(link->reign->session, link->number, now_us);
    size_t bulk = link->bulk_record_bytes == 0 ? FIRST_BULK_RECORD_BYTES : link->bulk_record_bytes;
    size_t best = link->burst_bytes < BURST_BYTES ? SMALL_RECORD_BYTES : bulk;
    if (best < least)
        best = least;
    return room < best ? room : best;
}

static void measure(struct peer_link *link, size_t n, uint64_t now_us)
{
    uint64_t elapsed_us = now_us - link->measured_us;

    link->measured_bytes += n;
    if (elapsed_us < MEASURE_US)
        return;
    uint64_t best = link->measured_bytes * MOMENT_US / elapsed_us;
    link->bulk_record_bytes = best < SMALL_RECORD_BYTES   ? SMALL_RECORD_BYTES
                              : best > LARGE_RECORD_BYTES ? LARGE_RECORD_BYTES
                                                          : (size_t)best;
    link->measured_us = now_us;
    link->measured_bytes = 0;
}

/* Within what the carrier may carry, BYE included; SESSION_LAST_ROOM_BYTES: that is all. */
static size_t budgeted(const struct peer_link *link, size_t room)
{
    uint64_t left = budget_room(&link->out_budget, RECORD_OVERHEAD_BYTES + SESSION_LAST_ROOM_BYTES);

    if (left < RECORD_OVERHEAD_BYTES + MIN_RECORD_BYTES)
        return SESSION_LAST_ROOM_BYTES;
    return left - RECORD_OVERHEAD_BYTES < room ? (size_t)left - RECORD_OVERHEAD_BYTES : room;
}

/* One record behind those in `out`, which has room for it. *n is 0: there is none. */
static enum err seal_one(struct peer_link *link, struct record_sealer *sealer, size_t room,
                         uint64_t now_us, size_t *n)
{
    struct session_fill fill;

    *n = 0;
    if (session_pull(link->reign->session, link->number, room, now_us, &fill) == 0)
        return ERR_NONE;
    return record_seal(sealer, fill.pieces, fill.n_pieces, link->out.chunk->bytes + link->out.end,
                       n);
}

enum err peer_link_seal(struct peer_link *link, struct record_sealer *sealer, size_t most,
                        uint64_t now_us)
{
    size_t end = link->out.end + most;
    size_t n;

    for (; end - link->out.end >= MIN_RECORD_BYTES + RECORD_OVERHEAD_BYTES; link->out.end += n) {
        size_t room = record_room(link, end - link->out.end - RECORD_OVERHEAD_BYTES, now_us);
        room = budgeted(link, room);
        if (room == SESSION_LAST_ROOM_BYTES && link->state == LINK_AWAITING)
            return ERR_NONE;
        if (room == SESSION_LAST_ROOM_BYTES && link->state == LINK_UP)
            peer_link_leave(link, "it has carried what it may");
        enum err err = seal_one(link, sealer, room, now_us, &n);
        if (err != ERR_NONE || n == 0)
            return err;
        link->burst_bytes += n;
        budget_use(&link->out_budget, n);
    }
    return ERR_NONE;
}

/* The session wants to send. */
static void seal_next(struct peer_link *link, size_t most, uint64_t now_us)
{
    if (now_us - link->sealed_us > BURST_PAUSE_US)
        link->burst_bytes = 0;
    link->sealed_us = now_us;
    size_t least = session_room(link->reign->session, link->number, now_us);
    if (least < MIN_RECORD_BYTES)
        least = MIN_RECORD_BYTES;
    if (most < least + RECORD_OVERHEAD_BYTES)
        most = least + RECORD_OVERHEAD_BYTES;
    if (most > OUT_MAX_BYTES)
        most = OUT_MAX_BYTES;
    if (span_reserve(&link->out, peer_link_chunks(link), most) != ERR_NONE) {
        most = least + RECORD_OVERHEAD_BYTES;
        if (span_reserve(&link->out, peer_link_chunks(link), most) != ERR_NONE)
            return;
    }
    if (peer_link_seal(link, link->sealer, most, now_us) != ERR_NONE)
        peer_link_close(link, "a record could not be sealed");
    if (span_bytes(&link->out) == 0)
        span_clear(&link->out);
}

/* ---- which links are asked ---- */

void peer_link_may_want(struct peer_link *link)
{
    if (link->peer != NULL && list_empty(&link->in_wanting))
        list_append(&link->peer->wanting, &link->in_wanting);
}

static struct peer_link *next_wanting(struct peer *peer)
{
    struct peer_link *link = NULL;

    if (!list_empty(&peer->wanting)) {
        link = CONTAINER_OF(peer->wanting.next, struct peer_link, in_wanting);
        list_remove(&link->in_wanting);
        return link;
    }
    for (struct list *at = peer->retired.next; link == NULL && at != &peer->retired; at = at->next)
        link = session_next_wanting(CONTAINER_OF(at, struct reign, in_peer)->session);
    return link != NULL ? link : session_next_wanting(peer->reign->session);
}

static void offer(struct peer *peer)
{
    for (struct list *at = peer->retired.next; at != &peer->retired; at = at->next)
        session_offer(CONTAINER_OF(at, struct reign, in_peer)->session);
    session_offer(peer->reign->session);
    peer->was_offered = true;
}

struct peer_link *peer_next_wanting(struct peer *peer, const struct peer_time *time)
{
    peer->time = *time;
    struct peer_link *link = next_wanting(peer);
    while (link == NULL && !peer->was_offered) {
        offer(peer);
        link = next_wanting(peer);
    }
    if (link == NULL)
        peer->was_offered = false;
    return link;
}

/* ---- what it gives ---- */

static bool seals(const struct peer_link *link)
{
    return peer_link_is_up(link) && link->reign != NULL;
}

size_t peer_link_output(struct peer_link *link, size_t most, const struct peer_time *time,
                        const uint8_t **bytes)
{
    if (link->peer != NULL)
        link->peer->time = *time;
    bool wants = span_bytes(&link->out) == 0 && seals(link) &&
                 session_wants(link->reign->session, link->number);
    if (wants)
        seal_next(link, most, time->now_us);
    size_t n = span_bytes(&link->out);
    if (wants && n > 0)
        link->peer->was_offered = false; /* another may be the nearer one now */
    /* What is wanted and was not made found no memory, which may be there a moment later and is not at once. */
    link->retry_us = wants && n == 0 && seals(link) ? time->now_us + OUTPUT_RETRY_US : NEVER_US;
    if (n == 0)
        return 0;
    *bytes = link->out.chunk->bytes + link->out.start;
    return n < most ? n : most;
}

/* What was sent may have been the last of the carrier's bytes, or have taken a link along: how many there are is looked at again. */
static void note_use(struct peer_link *link, const struct peer_time *time)
{
    if (link->out_budget.most > 0 || link->is_own)
        peer_at(link->peer, time);
    if (near_was_taken(link))
        link->peer->near.is_reviewed = false;
}

void peer_link_sent(struct peer_link *link, size_t n, const struct peer_time *time)
{
    link->out.start += n;
    link->active_us = time->now_us;
    measure(link, n, time->now_us);
    if (link->peer != NULL)
        note_use(link, time);
    span_shrink(&link->out, peer_link_chunks(link));
}
