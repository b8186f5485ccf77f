/*
 * Links that are lost. What was sent on one and is not acknowledged goes out again, but stays in its ring: the other end may still say
 * that it had accepted more. Both ends tell each other of each lost link, and forget it when both know.
 */
#include "session/state.h"

void link_need_lost(struct session *session, struct session_link *link, bool is_needed)
{
    session->n_lost_needed += is_needed;
    session->n_lost_needed -= link->lost_needed;
    link->lost_needed = is_needed;
}

static void frame_lost(struct session *session, const struct sent *sent)
{
    if (sent->kind == SENT_END) {
        session->end_needed = session->state == SESSION_ENDING;
        return;
    }
    if (sent->kind >= SENT_LISTEN) {
        listener_lost(session, sent);
        return;
    }
    struct stream *stream = sent->kind == SENT_NOTHING ? NULL : stream_find(session, sent->id);
    if (stream == NULL)
        return;
    switch (sent->kind) {
    case SENT_OPEN:
        stream->needs |= stream->request != NULL ? NEEDS_OPEN : 0;
        break;
    case SENT_OPENED:
        /* After a reset nothing else is said. */
        stream->needs |= stream->is_dead && stream->code == 0 ? 0 : NEEDS_OPENED;
        break;
    case SENT_DATA:
        stream->out.n_flying--;
        outgoing_lost(stream, sent->offset, sent->offset + sent->n);
        break;
    default:
        stream->needs |= NEEDS_RESET;
    }
    stream_queue(stream);
}

/* Of all streams only those are looked at that had something on it: links may be many, and fall silent again and again. */
static void let_streams_go(struct session_link *link)
{
    while (!list_empty(&link->pinned)) {
        struct stream *stream = CONTAINER_OF(link->pinned.next, struct stream, in_pinned);
        stream_leave_home(stream);
        stream_pin(stream, NULL);
    }
    while (!list_empty(&link->told)) {
        struct stream *stream = CONTAINER_OF(link->told.next, struct stream, in_told);
        list_remove(&stream->in_told);
        if (slot_is_lost(&stream->in.window_sent, link) && !stream->has_final)
            credit_window_needed(stream);
    }
}

void link_send_again(struct session *session, struct session_link *link)
{
    link_need_lost(session, link, link->lost_needed || link->awaits_count);
    link->awaits_count = false;
    let_streams_go(link);
    for (uint32_t i = link->head + link->n_again; i != link->tail; i++)
        frame_lost(session, &link->sent[i & (link->cap - 1)]);
    link->n_again = link->tail - link->head;
    for (size_t i = 0; session->n_up < session->n_links && i < session->n_links; i++) {
        struct session_link *other = session->links[i];
        if (!other->is_up && slot_is_lost(&other->lost_sent, link))
            link_need_lost(session, other, true);
    }
    if (session->end_by == link->number)
        session->end_by = NO_LINK;
    if (slot_is_lost(&session->initial_sent, link)) {
        session->initial_sent.link = NO_LINK;
        session->initial_told = 0;
        session->initial_needed = true;
    }
    if (slot_is_lost(&session->drain_sent, link)) {
        session->drain_sent.link = NO_LINK;
        session->drain_needed = true;
    }
}

/* A network that fails takes all links with it, which is nobody's fault. */
static enum err check_lost(const struct session *session)
{
    return session->n_links - session->n_up > LOST_MAX + session->most_up ? ERR_LIMIT : ERR_NONE;
}

enum err link_lose(struct session *session, struct session_link *link)
{
    if (!link->is_up)
        return ERR_NONE;
    link->is_up = false;
    session->n_up--;
    session->ranking.is_known = false;
    link->ack_at_us = UINT64_MAX;
    link->ack_due = link->asks = false;
    link->unacked_since_us = 0;
    /* Whoever has said BYE before us reads to the end, and then says how much has come; our word could be there sooner than what is on its way. */
    link->awaits_count = link->bye_answers && link->head != link->tail;
    link_need_lost(session, link, !link->awaits_count);
    if (link->awaits_count)
        link->resend_us = session->now_us + COUNT_US;
    else
        link_send_again(session, link);
    if (link->round_trip.min_us == session->min_rtt_us)
        links_note_min_rtt(session);
    if (session->state == SESSION_ENDING && session->n_up == 0)
        session_over(session, STREAM_RESET_LOST);
    return check_lost(session);
}

/* It has no link of this number: it was forgotten, or the other end knows more than we: a join whose flight is
 * under way to here, or whose answer never came. */
static enum err unknown_lost(struct session *session, uint64_t number)
{
    struct session_link *link;

    if (!session->options.is_client && link_was_used(session, number))
        return ERR_NONE;
    enum err err = link_make(session, number, &link);
    if (err != ERR_NONE)
        return err;
    link_need_lost(session, link, true);
    link->lost_received = true;
    link->event_lost = true;
    session->n_link_events++;
    return check_lost(session);
}

enum err link_lost_received(struct session *session, uint64_t number, uint64_t count)
{
    struct session_link *link = link_find(session, number);

    if (link == NULL)
        return unknown_lost(session, number);
    if (!link->was_up)
        return ERR_NONE;
    if (link_acked(session, link, count, 0, false) != ERR_NONE)
        return ERR_BAD;
    link->lost_received = true;
    if (link->awaits_count)
        link_send_again(session, link);
    if (!link->is_up)
        return ERR_NONE;
    link->event_lost = true;
    session->n_link_events++;
    return link_lose(session, link);
}

void links_forget(struct session *session)
{
    if (session->n_up == session->n_links)
        return;
    for (size_t i = session->n_links; i-- > 0;) {
        struct session_link *link = session->links[i];
        if (link->lost_told && link->lost_received && !link->event_lost && !link->event_bye &&
            !link->event_spent)
            link_free(session, link);
    }
}

void session_lose_link(struct session *session, uint64_t number, uint64_t now_us)
{
    struct session_link *link = link_find(session, number);

    session->now_us = now_us;
    if (link != NULL && link_lose(session, link) != ERR_NONE)
        session_end(session, 3, now_us);
}

static void frame_retracted(const struct session *session, const struct sent *sent)
{
    struct stream *stream = sent->kind == SENT_OPEN ? stream_find(session, sent->id) : NULL;

    if (stream != NULL)
        stream->n_told--;
}

void session_retract(struct session *session, uint64_t number, uint64_t now_us)
{
    struct session_link *link = link_find(session, number);

    session->now_us = now_us;
    if (link == NULL || !link->is_up)
        return;
    session->ranking.is_known = false;
    for (uint32_t i = link->head; i != link->tail; i++)
        frame_retracted(session, &link->sent[i & (link->cap - 1)]);
    link_send_again(session, link);
    session->n_sent -= link->tail - link->head;
    link->head = link->tail = link->n_again = 0;
    link->n_sent = link->n_acked = link->n_asking = link->n_unacked_bytes = 0;
    link->unacked_since_us = 0;
    /* There was no other, and nothing has come by it. */
    if (session->newest_link == 0 && link->n_accepted == 0)
        streams_forget_ids(session);
}
