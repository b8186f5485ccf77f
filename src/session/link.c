/*
 * Links: which record had which tracked frames, and what becomes of them when it is acknowledged.
 *
 * A link's ring holds an entry for each tracked frame, in order; the last of a record is marked, and records without
 * any are counted in one entry. An acknowledgement by count takes records off its head.
 */
#include <assert.h>
#include <stdlib.h>

#include "session/state.h"

/* A ring is larger than an idle link's only while an eighth of it is in use. */
enum { MIN_LINKS = 4, MIN_RING = 16, IDLE_RING = 1024, RING_SHARE = 8, RTT_SHARE = 8 };

#define UNTIMED UINT64_MAX

size_t link_place(const struct session *session, uint64_t number)
{
    size_t from = 0, to = session->n_links;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (session->links[middle]->number < number)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct session_link **place_of(const struct session *session, uint64_t number)
{
    return &session->places[number & (2 * session->links_cap - 1)];
}

struct session_link *link_find(const struct session *session, uint64_t number)
{
    struct session_link *link = session->n_links > 0 ? *place_of(session, number) : NULL;

    if (link != NULL && link->number == number)
        return link;
    size_t i = link_place(session, number);
    return i < session->n_links && session->links[i]->number == number ? session->links[i] : NULL;
}

bool link_was_used(const struct session *session, uint64_t number)
{
    uint64_t below = session->newest_link - number;

    if (!session->has_had_link || number > session->newest_link)
        return false;
    return below == 0 || below > JOINS_REACH || (session->joins >> (below - 1) & 1) != 0;
}

static void note_used(struct session *session, uint64_t number)
{
    uint64_t below = session->newest_link - number, above = number - session->newest_link;

    if (!session->has_had_link) {
        session->has_had_link = true;
        session->newest_link = number;
    } else if (number > session->newest_link) {
        session->joins = above < JOINS_REACH ? session->joins << above : 0;
        session->joins |= above <= JOINS_REACH ? UINT64_C(1) << (above - 1) : 0;
        session->newest_link = number;
    } else if (below > 0 && below <= JOINS_REACH) {
        session->joins |= UINT64_C(1) << (below - 1);
    }
}

static enum err make_place(struct session *session)
{
    if (session->n_links < session->links_cap)
        return ERR_NONE;
    size_t cap = session->links_cap == 0 ? MIN_LINKS : 2 * session->links_cap;
    struct session_link **places = calloc(2 * cap, sizeof(struct session_link *));
    struct session_link **links =
        places == NULL ? NULL : realloc(session->links, cap * sizeof(struct session_link *));
    if (links == NULL) {
        free(places);
        return ERR_MEMORY;
    }
    free(session->places);
    session->places = places;
    session->links = links;
    session->links_cap = cap;
    for (size_t i = 0; i < session->n_links; i++)
        *place_of(session, links[i]->number) = links[i];
    return ERR_NONE;
}

/* What never stood and is far behind is forgotten: the other end has never heard of it. */
static void forget_attempts(struct session *session)
{
    for (size_t i = session->n_links; i-- > 0;) {
        struct session_link *link = session->links[i];
        if (!link->is_up && link->was_up && !link->has_stood &&
            link->number + JOINS_REACH < session->newest_link)
            link_free(session, link);
    }
}

enum err link_make(struct session *session, uint64_t number, struct session_link **out)
{
    if (make_place(session) != ERR_NONE)
        return ERR_MEMORY;
    struct session_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return ERR_MEMORY;
    link->number = number;
    link->lost_sent.link = NO_LINK;
    link->ack_at_us = UINT64_MAX;
    queues_init(&link->queues);
    list_init(&link->pinned);
    list_init(&link->told);
    list_init(&link->in_wanting);
    list_append(&session->commons, &link->in_commons);
    size_t place = link_place(session, number);
    for (size_t i = session->n_links++; i > place; i--)
        session->links[i] = session->links[i - 1];
    session->links[place] = link;
    *place_of(session, number) = link;
    session->ranking.is_known = false;
    note_used(session, number);
    *out = link;
    return ERR_NONE;
}

void link_free(struct session *session, struct session_link *link)
{
    assert(list_empty(&link->pinned) && list_empty(&link->told));
    session->ranking.is_known = false;
    if (*place_of(session, link->number) == link)
        *place_of(session, link->number) = NULL;
    session->n_links--;
    for (size_t i = link_place(session, link->number); i < session->n_links; i++)
        session->links[i] = session->links[i + 1];
    session->n_link_events -=
        (size_t)link->event_lost + (size_t)link->event_bye + (size_t)link->event_spent;
    link_need_lost(session, link, false);
    list_remove(&link->in_commons);
    list_remove(&link->in_wanting);
    session->n_sent -= link->tail - link->head;
    free(link->sent);
    free(link);
}

/* Gives the ring so many places. False: no memory, and it is as it was. */
static bool resize_ring(struct session_link *link, uint32_t cap)
{
    struct sent *sent = calloc(cap, sizeof *sent);

    if (sent == NULL)
        return false;
    for (uint32_t i = link->head; i != link->tail; i++)
        sent[i & (cap - 1)] = link->sent[i & (link->cap - 1)];
    free(link->sent);
    link->sent = sent;
    link->cap = cap;
    return true;
}

bool link_has_room(struct session_link *link)
{
    uint32_t n = link->tail - link->head;

    if (link->cap - n >= RECORD_FRAMES_MAX + 1)
        return true;
    uint32_t cap = link->cap == 0 ? MIN_RING : link->cap;
    while (cap - n < RECORD_FRAMES_MAX + 1)
        cap *= 2;
    return resize_ring(link, cap);
}

static void shrink_ring(struct session_link *link)
{
    uint32_t n = link->tail - link->head, cap = link->cap;

    while (cap > IDLE_RING && n < cap / RING_SHARE)
        cap /= 2;
    if (cap == link->cap)
        return;
    if (n > 0) {
        (void)resize_ring(link, cap);
        return;
    }
    free(link->sent);
    link->sent = NULL;
    link->cap = 0;
}

bool link_is_full(const struct session *session, const struct session_link *link)
{
    return link->tail - link->head >= LINK_FRAMES_MAX || session->n_sent >= SESSION_FRAMES_MAX;
}

void link_add_sent(struct session *session, struct session_link *link, struct sent sent)
{
    assert(link->sent != NULL); /* link_has_room() was asked */
    link->n_unacked_bytes += sent.kind == SENT_DATA ? sent.n : 0;
    link->sent[link->tail++ & (link->cap - 1)] = sent;
    session->n_sent++;
}

static struct sent *newest(struct session_link *link)
{
    return link->head == link->tail ? NULL : &link->sent[(link->tail - 1) & (link->cap - 1)];
}

void link_end_record(struct session *session, struct session_link *link, bool asks)
{
    uint64_t now_us = session->now_us;
    struct sent *last = newest(link);

    if (last == NULL || last->is_last) {
        /* It had nothing that is tracked. */
        if (last == NULL || last->kind != SENT_NOTHING || last->n == UINT32_MAX) {
            link_add_sent(session, link, (struct sent){.kind = SENT_NOTHING, .is_last = true});
            last = newest(link);
        }
        last->n++;
    }
    last->is_last = true;
    last->at_us = (uint32_t)now_us;
    link->n_sent++;
    if (!asks)
        return;
    if (link->n_asking <= link->n_acked) {
        link->unacked_since_us = link->rate_us = now_us;
        link->rate_bytes = 0;
    }
    link->n_asking = link->n_sent;
}

static void add_sample(struct round_trip *round_trip, uint64_t us)
{
    if (round_trip->smoothed_us == 0)
        round_trip->smoothed_us = us;
    else
        round_trip->smoothed_us = (round_trip->smoothed_us * (RTT_SHARE - 1) + us) / RTT_SHARE;
    if (round_trip->min_us == 0 || us < round_trip->min_us)
        round_trip->min_us = us;
}

/* `rtt_us`: what it has waited for that, but for what the other end has put it off by; 0: unknown. `is_flying`: it was not sent again. */
static void frame_acked(struct session *session, const struct sent *sent, uint64_t rtt_us,
                        bool is_flying)
{
    if (sent->kind == SENT_END) {
        session_over(session, STREAM_RESET_LOST);
        return;
    }
    if (sent->kind >= SENT_LISTEN) {
        listener_acked(session, sent);
        return;
    }
    if (sent->kind == SENT_OPEN && ids_add(&session->ours, id_number(sent->id)) == ERR_MEMORY) {
        session_over(session, STREAM_RESET_LOST);
        return;
    }
    struct stream *stream = sent->kind == SENT_NOTHING ? NULL : stream_find(session, sent->id);
    if (stream == NULL)
        return;
    if (rtt_us != 0)
        add_sample(&stream->out.round_trip, rtt_us);
    switch (sent->kind) {
    case SENT_OPEN:
        stream->needs &= (uint8_t)~NEEDS_OPEN;
        state_put(stream->request);
        stream->request = NULL;
        stream_pin(stream, stream->home);
        stream_queue(stream);
        return;
    case SENT_OPENED:
        stream->needs &= (uint8_t)~NEEDS_OPENED;
        stream_pin(stream, stream->home);
        stream_queue(stream);
        if (stream->code != 0)
            stream_close(stream);
        return;
    case SENT_DATA:
        stream->out.n_flying -= is_flying;
        outgoing_acked(stream, sent->offset, sent->offset + sent->n);
        return;
    default:
        stream_close(stream);
    }
}

/* 0: unknown. */
static uint64_t rtt_of(const struct session *session, const struct sent *sent, uint64_t delay_us)
{
    uint32_t elapsed_us = (uint32_t)session->now_us - sent->at_us;

    if (elapsed_us < delay_us)
        return 0;
    return elapsed_us == delay_us ? 1 : elapsed_us - delay_us;
}

/*
 * Takes `n` records off the ring. Returns the round trip by the last of them, 0: unknown. The delay is since that has come: of the
 * others nobody knows for how long they have waited, so only its frames' streams are timed. UNTIMED: nothing is.
 */
static uint64_t take_records(struct session *session, struct session_link *link, uint64_t n,
                             uint64_t delay_us)
{
    uint64_t rtt_us = 0;

    while (n > 0) {
        struct sent *sent = &link->sent[link->head & (link->cap - 1)];
        uint64_t records = sent->kind == SENT_NOTHING ? sent->n : sent->is_last;
        if (records > n) {
            sent->n -= (uint32_t)n;
            return 0;
        }
        struct sent copy = *sent;
        link->head++;
        bool is_flying = link->n_again == 0;
        link->n_again -= !is_flying;
        session->n_sent--;
        if (n == 1 || n == records)
            rtt_us = rtt_of(session, &copy, delay_us);
        n -= records;
        link->n_unacked_bytes -= copy.kind == SENT_DATA ? copy.n : 0;
        frame_acked(session, &copy, rtt_us, is_flying);
    }
    return rtt_us;
}

void links_note_min_rtt(struct session *session)
{
    session->min_rtt_us = 0;
    for (size_t i = 0; i < session->n_links; i++) {
        uint64_t rtt = session->links[i]->is_up ? session->links[i]->round_trip.min_us : 0;
        if (rtt != 0 && (session->min_rtt_us == 0 || rtt < session->min_rtt_us))
            session->min_rtt_us = rtt;
    }
}

void link_sample_rtt(struct session *session, struct session_link *link, uint64_t rtt_us)
{
    rtt_us += rtt_us == 0;
    add_sample(&link->round_trip, rtt_us);
    if (session->min_rtt_us == 0 || rtt_us < session->min_rtt_us)
        session->min_rtt_us = rtt_us;
}

/* The other end has got what was said of lost links. */
static void note_told(struct session *session, const struct session_link *by)
{
    if (session->n_up == session->n_links)
        return;
    for (size_t i = 0; i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        if (!link->lost_needed && link->lost_sent.link == by->number &&
            link->lost_sent.record < by->n_acked)
            link->lost_told = true;
    }
}

enum err link_acked(struct session *session, struct session_link *link, uint64_t count,
                    uint64_t delay_us, bool has_delay)
{
    if (count > link->n_sent)
        return ERR_BAD;
    if (count <= link->n_acked)
        return ERR_NONE;
    uint64_t n = count - link->n_acked, n_unacked_bytes = link->n_unacked_bytes;
    link->n_acked = count;
    link->unacked_since_us = link->n_asking > count ? session->now_us : 0;
    link->is_stalled = false;
    note_told(session, link);
    bool is_timed = has_delay && link->is_up && count > link->n_untimed;
    uint64_t rtt_us = take_records(session, link, n, is_timed ? delay_us : UNTIMED);
    if (rtt_us != 0)
        link_sample_rtt(session, link, rtt_us);
    link->has_carried |= link->n_unacked_bytes < n_unacked_bytes;
    link_measure(session, link, n_unacked_bytes - link->n_unacked_bytes);
    shrink_ring(link);
    outgoing_make_room(session);
    return ERR_NONE;
}

bool slot_is_lost(const struct slot *slot, const struct session_link *link)
{
    return slot->link == link->number && slot->record >= link->n_acked;
}

enum err session_add_link(struct session *session, uint64_t number, uint64_t now_us)
{
    struct session_link *link = link_find(session, number);

    session->now_us = now_us;
    if (link != NULL || link_was_used(session, number))
        return ERR_BAD;
    enum err err = link_make(session, number, &link);
    if (err != ERR_NONE)
        return err;
    forget_attempts(session);
    link->is_up = link->was_up = true;
    if (++session->n_up > session->most_up)
        session->most_up = session->n_up;
    link->last_received_us = now_us;
    return ERR_NONE;
}

/* ---- those that may want to send ---- */

void link_may_want(struct session *session, struct session_link *link)
{
    if (list_empty(&link->in_wanting))
        list_append(&session->wanting, &link->in_wanting);
}

void session_keep_link(struct session *session, uint64_t number, void *keeper)
{
    struct session_link *link = link_find(session, number);

    if (link == NULL)
        return;
    link->keeper = keeper;
    link_may_want(session, link);
}

void *session_link_keeper(const struct session *session, uint64_t number)
{
    const struct session_link *link = link_find(session, number);
    return link == NULL ? NULL : link->keeper;
}

void *session_next_wanting(struct session *session)
{
    void *keeper = NULL;

    while (keeper == NULL && !list_empty(&session->wanting)) {
        struct session_link *link =
            CONTAINER_OF(session->wanting.next, struct session_link, in_wanting);
        list_remove(&link->in_wanting);
        keeper = link->keeper;
    }
    return keeper;
}

void session_own_link(struct session *session, uint64_t number)
{
    struct session_link *link = link_find(session, number);

    if (link == NULL)
        return;
    link->is_own = true;
    session->ranking.is_known = false;
    list_remove(&link->in_commons);
}

void session_link_stands(struct session *session, uint64_t number)
{
    struct session_link *link = link_find(session, number);

    if (link == NULL)
        return;
    link->has_stood = true;
    session->ranking.is_known = false;
    link_may_want(session, link);
}

uint64_t session_excused(uint64_t since_us, uint64_t pause_us, uint64_t now_us)
{
    return since_us + pause_us < now_us ? since_us + pause_us : now_us;
}

void session_excuse(struct session *session, uint64_t pause_us, uint64_t now_us)
{
    for (size_t i = 0; i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        if (!link->is_up)
            continue;
        if (link->unacked_since_us != 0)
            link->unacked_since_us = session_excused(link->unacked_since_us, pause_us, now_us);
        link->last_received_us = session_excused(link->last_received_us, pause_us, now_us);
        link->n_untimed = link->n_sent;
        link->ping_token = 0;
    }
}

bool session_link_has_carried(const struct session *session, uint64_t number)
{
    const struct session_link *link = link_find(session, number);
    return link != NULL && link->has_carried;
}

bool session_link_stats(const struct session *session, uint64_t number,
                        struct session_link_stats *stats)
{
    const struct session_link *link = link_find(session, number);

    if (link == NULL || !link->is_up)
        return false;
    *stats = (struct session_link_stats){
        .n_sent_records = link->n_sent,
        .n_acked_records = link->n_acked,
        .n_accepted_records = link->n_accepted,
        .n_unacked_bytes = link->n_unacked_bytes,
        .unacked_since_us = link->unacked_since_us,
        .srtt_us = link->round_trip.smoothed_us,
        .min_rtt_us = link->round_trip.min_us,
        .last_received_us = link->last_received_us,
        .rate = link->rate,
        .is_own = link->is_own,
        .is_ready = link->is_own && !link->had_owner,
        .n_pongs = link->n_pongs,
        .pong_us = link->pong_us,
    };
    return true;
}
