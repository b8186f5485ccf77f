/*
 * What a record is filled with. First what waits for nobody and no credit: acknowledgements, windows. Then openings, answers,
 * resets and the bytes of small streams; a record with such bytes is not filled up with bulk, as it can be opened only when
 * all of it has come. Datagrams take turns with small streams, record by record: which of the two is first. Bulk streams take turns, each with about as many bytes as the others.
 */
#include <assert.h>
#include <string.h>

#include "session/state.h"

enum {
    QUANTUM_BYTES = 64 * 1024,     /* of a turn of a bulk stream */
    URGENT_PART_BYTES = 16 * 1024, /* of one of a small one */
    URGENT_BYTES = 256 * 1024,     /* of small streams, then one record of bulk that waits */
    LITTLE_BYTES =
        256, /* a frame has so many bytes at least, if there are so many and it is not the record's first */
    DATA_HEAD_BYTES = 1 + 2 * VARINT_MAX_BYTES + 4,
    ACK_MAX_BYTES = 1 + 3 * VARINT_MAX_BYTES,
};
static_assert(SESSION_LAST_ROOM_BYTES == ACK_MAX_BYTES + 1, "the last record has an ACK and BYE");

struct filler {
    struct session *session;
    struct session_link *link;
    struct session_fill *fill;
    size_t left; /* of the room, but for what an ACK and BYE take */
    size_t n_heads;
    size_t n_frames; /* that are tracked */
    bool asks;
    bool is_urgent; /* it has bytes that somebody waits for */
};

static void add_piece(struct filler *filler, const uint8_t *bytes, size_t n)
{
    struct session_fill *fill = filler->fill;
    struct piece *last = fill->n_pieces > 0 ? &fill->pieces[fill->n_pieces - 1] : NULL;

    fill->n_bytes += n;
    if (last != NULL && (const uint8_t *)last->bytes + last->n == bytes)
        last->n += n;
    else
        fill->pieces[fill->n_pieces++] = (struct piece){.bytes = bytes, .n = n};
}

/* Where the head of the next frame is to be written; NULL: the record is full. */
static uint8_t *room_for(const struct filler *filler, size_t n)
{
    bool fits = filler->left >= n &&
                SESSION_FILL_HEAD_BYTES - filler->n_heads >= n + ACK_MAX_BYTES + 1 &&
                filler->fill->n_pieces + 4 <= SESSION_FILL_PIECES &&
                filler->n_frames + 2 <= RECORD_FRAMES_MAX;

    return fits ? filler->fill->heads + filler->n_heads : NULL;
}

static void put_head(struct filler *filler, const uint8_t *end)
{
    const uint8_t *begin = filler->fill->heads + filler->n_heads;
    size_t n = (size_t)(end - begin);

    filler->n_heads += n;
    filler->left -= n < filler->left ? n : filler->left;
    add_piece(filler, begin, n);
}

static void track(struct filler *filler, struct sent sent)
{
    sent.at_us = (uint32_t)filler->session->now_us;
    link_add_sent(filler->session, filler->link, sent);
    filler->n_frames++;
    filler->asks = true;
}

static struct slot slot_here(const struct filler *filler)
{
    return (struct slot){.link = filler->link->number, .record = filler->link->n_sent};
}

/* False: it must be the first of all, and has no room here. */
static bool put_auth(struct filler *filler)
{
    struct session_auth_copy *auth = &filler->session->auth_out;
    size_t n = 5 + auth->n_spki + auth->n_signature;
    uint8_t *at;

    if (auth->bytes == NULL)
        return true;
    if ((at = room_for(filler, n)) == NULL)
        return false;
    *at++ = FRAME_AUTH;
    *at++ = (uint8_t)(auth->n_spki >> 8);
    *at++ = (uint8_t)auth->n_spki;
    memcpy(at, auth->bytes, auth->n_spki);
    at += auth->n_spki;
    *at++ = (uint8_t)(auth->n_signature >> 8);
    *at++ = (uint8_t)auth->n_signature;
    memcpy(at, auth->bytes + auth->n_spki, auth->n_signature);
    put_head(filler, at + auth->n_signature);
    filler->asks = true;
    session_forget_auth(auth);
    return true;
}

/* Before all else that a listener or a session of the same client's may depend on. */
static void put_instance(struct filler *filler)
{
    uint8_t *at;

    if (!filler->link->instance_needed || (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) == NULL)
        return;
    put_head(filler, frame_write_instance(at, filler->session->instance));
    filler->link->instance_needed = false;
    filler->asks = true;
}

/* LOST for each link that the other end is to know of. */
static void put_lost(struct filler *filler)
{
    struct session *session = filler->session;

    for (size_t i = 0; session->n_lost_needed > 0 && i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        uint8_t *at;
        if (!link->lost_needed || (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) == NULL)
            continue;
        put_head(filler, frame_write_lost(at, link->number, link->n_accepted));
        link_need_lost(session, link, false);
        link->lost_sent = slot_here(filler);
        filler->asks = true;
    }
}

static void put_link_slots(struct filler *filler)
{
    struct session_link *link = filler->link;
    uint8_t *at;

    if (link->pong_needed && (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) != NULL) {
        put_head(filler, frame_write_token(at, FRAME_PONG, link->pong_token));
        link->pong_needed = false;
    }
    if (link->ping_needed && (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) != NULL) {
        put_head(filler, frame_write_token(at, FRAME_PING, link->ping_token));
        link->ping_needed = false;
        filler->asks = true;
    }
}

static void put_session_slots(struct filler *filler)
{
    struct session *session = filler->session;
    uint8_t *at;

    if (session->initial_needed && session->state == SESSION_ALIVE &&
        (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) != NULL) {
        session->initial_told = credit_initial(session);
        put_head(filler, frame_write_initial(at, session->initial_told));
        session->initial_needed = false;
        session->initial_sent = slot_here(filler);
        filler->asks = true;
    }
    if (session->drain_needed && session->state == SESSION_ALIVE &&
        (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) != NULL) {
        put_head(filler, frame_write_drain(at, session->drain_s));
        session->drain_needed = false;
        session->drain_sent = slot_here(filler);
        filler->asks = true;
    }
}

static void put_windows(struct filler *filler, struct queues *queues)
{
    uint8_t *at;

    while (!list_empty(&queues->windows) && (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) != NULL) {
        struct stream *stream = CONTAINER_OF(queues->windows.next, struct stream, in_windows);
        list_remove(&stream->in_windows);
        put_head(filler, frame_write_window(at, stream->id, stream->in.limit));
        stream->in.window_sent = slot_here(filler);
        list_remove(&stream->in_told);
        list_append(&filler->link->told, &stream->in_told);
        filler->asks = true;
    }
}

/* Puts the next bytes of the stream, at most `most`, and its fin where it follows. Returns how many bytes, or -1: there is no room. */
static int32_t put_data(struct filler *filler, struct stream *stream, size_t most)
{
    uint8_t *at = room_for(filler, DATA_HEAD_BYTES);
    struct outgoing *out = &stream->out;
    uint64_t from, to;
    bool is_again;

    if (at == NULL)
        return -1;
    outgoing_next(stream, &from, &to, &is_again);
    uint64_t end = to < out->end ? to : out->end;
    size_t n = end - from < most ? (size_t)(end - from) : most;
    size_t room = filler->left - DATA_HEAD_BYTES;
    size_t least = n < LITTLE_BYTES ? n : LITTLE_BYTES;
    if (room < least && (filler->fill->n_pieces > 0 || room == 0))
        return -1;
    if (n > room)
        n = room;

    /* The head says how many bytes follow, and there are only so many pieces. */
    const uint8_t *bytes[SESSION_FILL_PIECES];
    size_t n_parts = 0, sizes[SESSION_FILL_PIECES], n_there = 0;
    while (n_there < n && filler->fill->n_pieces + 3 + n_parts < SESSION_FILL_PIECES) {
        size_t n_part = buffer_at(&out->buffer, from + n_there, &bytes[n_parts]);
        sizes[n_parts] = n_part < n - n_there ? n_part : n - n_there;
        n_there += sizes[n_parts++];
    }
    to = from + n_there == out->end && to > out->end ? to : from + n_there;
    put_head(filler, frame_write_data(at, to > out->end, stream->id, from, n_there));
    for (size_t i = 0; i < n_parts; i++)
        add_piece(filler, bytes[i], sizes[i]);
    filler->left -= n_there;
    track(filler,
          (struct sent){
              .kind = SENT_DATA, .id = stream->id, .offset = from, .n = (uint32_t)(to - from)});
    outgoing_sent(stream, from, to, is_again);
    return (int32_t)n_there;
}

/* What the opener takes for itself. While many of its openings are under way the other end may have
 * no more to give than little to each. */
static uint64_t claim_of(const struct session *session)
{
    uint64_t n_unanswered = session->n_ours - session->ours.low;

    if (n_unanswered >= 128 && session->initial_theirs > INITIAL_LOW)
        return INITIAL_LOW;
    return session->initial_theirs;
}

static void begin_credit(struct stream *stream)
{
    struct session *session = stream->session;

    stream->claim = (uint32_t)claim_of(session);
    stream->grant = (uint32_t)credit_initial(session);
    stream->out.limit = stream->claim;
    credit_begin(stream, stream->grant);
}

static bool put_open(struct filler *filler, struct stream *stream)
{
    struct session *session = filler->session;
    uint8_t *at = room_for(filler, FRAME_OPEN_MAX_BYTES);

    if (at == NULL)
        return false;
    if (stream->id == 0) {
        session->n_unborn--;
        stream_set_id(stream, 2 * ++session->n_ours + (session->options.is_client ? 0 : 1));
        if (stream->datagrams == NULL)
            begin_credit(stream);
        else
            credit_account(stream);
    }
    put_head(filler,
             frame_write_open(at, stream->id, stream->claim, stream->grant, stream->request));
    track(filler, (struct sent){.kind = SENT_OPEN, .id = stream->id});
    stream->n_told++;
    stream->needs &= (uint8_t)~NEEDS_OPEN;
    stream_pin(stream, filler->link);
    return true;
}

static bool put_opened(struct filler *filler, struct stream *stream)
{
    uint8_t *at = room_for(filler, FRAME_OPENED_MAX_BYTES);

    if (at == NULL)
        return false;
    put_head(filler, frame_write_opened(at, stream->id, stream->code, &stream->bound));
    track(filler, (struct sent){.kind = SENT_OPENED, .id = stream->id});
    stream->needs &= (uint8_t)~NEEDS_OPENED;
    stream_pin(stream, filler->link);
    return true;
}

static bool put_reset(struct filler *filler, struct stream *stream)
{
    const struct outgoing *out = &stream->out;
    uint8_t *at = room_for(filler, FRAME_HEAD_MAX_BYTES);

    if (at == NULL)
        return false;
    uint64_t final_size = out->next < out->end ? out->next : out->end;
    put_head(filler, frame_write_reset(at, stream->id, stream->reset, final_size));
    track(filler, (struct sent){.kind = SENT_RESET, .id = stream->id});
    stream->needs &= (uint8_t)~NEEDS_RESET;
    return true;
}

/* False: there was no room for all. */
static bool put_needs(struct filler *filler, struct stream *stream)
{
    if ((stream->needs & NEEDS_OPEN) != 0 && !put_open(filler, stream))
        return false;
    if ((stream->needs & NEEDS_OPENED) != 0 && !put_opened(filler, stream))
        return false;
    return (stream->needs & NEEDS_RESET) == 0 || put_reset(filler, stream);
}

/* False: the record is full. */
static bool put_urgent(struct filler *filler, struct queues *queues)
{
    while (!list_empty(&queues->urgent)) {
        struct stream *stream = CONTAINER_OF(queues->urgent.next, struct stream, in_queue);
        if (!put_needs(filler, stream))
            return false;
        int32_t n = outgoing_has(stream) ? put_data(filler, stream, URGENT_PART_BYTES) : 0;
        if (n < 0)
            return false;
        filler->is_urgent = true;
        filler->session->urgent_run += (uint64_t)n;
        stream_queue(stream);
        if (stream->queue == QUEUE_URGENT) {
            list_remove(&stream->in_queue);
            list_append(stream->pin != NULL ? &stream->pin->queues.urgent
                                            : &filler->session->queues.urgent,
                        &stream->in_queue);
        }
    }
    return true;
}

/* Puts the stream's next datagram. Returns how many bytes it takes; 0: there is none; -1: there is no room. */
static int32_t put_datagram(struct filler *filler, struct datagrams *datagrams)
{
    size_t n;
    const uint8_t *frame = datagrams_next(datagrams, &n);

    if (frame == NULL) {
        stream_queue(datagrams->stream);
        return 0;
    }
    if (n > filler->left || room_for(filler, 0) == NULL)
        return -1;
    add_piece(filler, frame, n);
    filler->left -= n;
    filler->asks = filler->is_urgent = true;
    filler->session->urgent_run += n;
    datagrams->deficit -= (int32_t)n;
    datagrams_sent(datagrams);
    stream_queue(datagrams->stream);
    return (int32_t)n;
}

/* False: the record is full. One that would have no room in an empty one either waits for another link's. */
static bool put_datagrams(struct filler *filler, struct queues *queues)
{
    const struct list *too_large = NULL;
    struct list *at;

    while (!list_empty(&queues->datagrams) && (at = queues->datagrams.next) != too_large) {
        struct datagrams *datagrams = CONTAINER_OF(at, struct datagrams, in_queue);
        if (datagrams->deficit <= 0)
            datagrams->deficit += URGENT_PART_BYTES;
        /* One goes in each turn, however large those before were: what they took beyond a turn is not owed. */
        if (datagrams->deficit <= 0)
            datagrams->deficit = 1;
        int32_t n = put_datagram(filler, datagrams);
        if (n < 0 && filler->fill->n_pieces > 0)
            return false;
        if (n < 0 && too_large == NULL)
            too_large = at;
        if (list_empty(at) || (n >= 0 && datagrams->deficit > 0))
            continue;
        list_remove(at);
        list_append(&queues->datagrams, at);
    }
    return true;
}

/* Of those that are bound to the link (`queues`), or of those that are bound to none. False: the record is full. */
static bool put_bulk(struct filler *filler, struct queues *queues, enum link_takes takes)
{
    struct session *session = filler->session;
    bool is_bound = queues == &filler->link->queues;

    if (!is_bound && !link_takes_bulk(session, filler->link, takes))
        return true;
    while (!list_empty(&queues->bulk)) {
        struct stream *stream = CONTAINER_OF(queues->bulk.next, struct stream, in_queue);
        if (stream->out.deficit <= 0)
            stream->out.deficit += QUANTUM_BYTES;
        int32_t n = put_data(filler, stream, SESSION_RECORD_MAX_BYTES);
        if (n < 0)
            return false;
        session->urgent_run = 0;
        if (!is_bound)
            session->bulk_by = filler->link->number;
        stream->out.deficit -= n;
        stream_queue(stream);
        if (stream->queue == QUEUE_BULK && stream->out.deficit <= 0) {
            list_remove(&stream->in_queue);
            list_append(&queues->bulk, &stream->in_queue);
        }
    }
    return true;
}

/* A link that does not stand yet takes none: early records may be refused, and are sent again, which datagrams are not. */
static bool has_datagrams(const struct session_link *link, const struct queues *queues)
{
    return link->has_stood && !list_empty(&queues->datagrams);
}

/* What goes before bulk, bound to this link or to none. False: the record is full. */
static bool put_first(struct filler *filler, enum link_takes takes)
{
    struct session *session = filler->session;
    const struct session_link *link = filler->link;
    struct queues *own = &filler->link->queues;
    struct queues *all = takes == TAKES_ALL ? &session->queues : own;
    bool has_any = has_datagrams(link, own) || has_datagrams(link, all);
    bool datagrams_first = has_any && session->datagrams_first;

    session->datagrams_first = has_any && !datagrams_first;
    if (datagrams_first && !(put_datagrams(filler, own) && put_datagrams(filler, all)))
        return false;
    if (!put_urgent(filler, own) || !put_urgent(filler, all))
        return false;
    /* Openings of streams may have gone just now. */
    return datagrams_first || !link->has_stood ||
           (put_datagrams(filler, own) && put_datagrams(filler, all));
}

static void put_streams(struct filler *filler)
{
    struct session *session = filler->session;
    struct queues *own = &filler->link->queues, *all = &session->queues;
    enum link_takes takes = link_takes(session, filler->link);
    bool is_taken = !list_empty(&all->bulk) && link_takes_bulk(session, filler->link, takes);
    /* What waits for another link is no reason to hold up what goes by this one. */
    bool bulk_is_due = (!list_empty(&own->bulk) || is_taken) && session->urgent_run >= URGENT_BYTES;

    if (link_is_full(session, filler->link))
        return;
    if (list_empty(&own->bulk) && list_empty(&all->bulk))
        session->urgent_run = 0;
    if (!bulk_is_due && (!put_first(filler, takes) || filler->is_urgent))
        return;
    if (put_bulk(filler, own, takes))
        (void)put_bulk(filler, all, takes);
}

static void put_listener(struct filler *filler, struct session_listener *listener, uint8_t *at)
{
    struct sent sent = {.id = listener->number};

    if ((listener->needs & NEEDS_LISTEN) != 0) {
        put_head(filler, frame_write_listener(at, FRAME_LISTEN, listener->number, listener->kind,
                                              &listener->addr));
        sent.kind = SENT_LISTEN;
        listener_sent(listener, NEEDS_LISTEN);
    } else if ((listener->needs & NEEDS_LISTENING) != 0) {
        put_head(filler, frame_write_listener(at, FRAME_LISTENING, listener->number, listener->code,
                                              &listener->addr));
        sent.kind = SENT_LISTENING;
        sent.offset = listener->code;
        listener_sent(listener, NEEDS_LISTENING);
    } else {
        put_head(filler, frame_write_unlisten(at, listener->number));
        sent.kind = SENT_UNLISTEN;
        listener_sent(listener, NEEDS_UNLISTEN);
    }
    track(filler, sent);
}

static void put_listeners(struct filler *filler)
{
    struct list *needs = &filler->session->listener_needs;
    uint8_t *at;

    while (!list_empty(needs) && (at = room_for(filler, FRAME_LISTEN_MAX_BYTES)) != NULL)
        put_listener(filler, CONTAINER_OF(needs->next, struct session_listener, in_needs), at);
}

static void write_ack(struct filler *filler, struct session_link *link, uint8_t *at)
{
    uint64_t delay_us = filler->session->now_us - link->last_received_us;

    put_head(filler, frame_write_ack(at, link->number, link->n_accepted, delay_us));
    link->n_untold_bytes = 0;
    link->ack_due = link->asks = false;
    link->ack_at_us = UINT64_MAX;
}

/* Goes with whatever is sent, and alone when it is due; room was kept for it. */
static void put_ack(struct filler *filler)
{
    struct session_link *link = filler->link;

    if (link->ack_due || (link->asks && (filler->fill->n_bytes > 0 || link->bye_needed)))
        write_ack(filler, link, filler->fill->heads + filler->n_heads);
}

/* Unless another is at it, with acknowledgements that may be many. */
static bool takes_end(struct session *session, const struct session_link *link)
{
    const struct session_link *other = link_find(session, session->end_by);

    return other == NULL || other == link || !other->is_up || other->bye_sent ||
           !link_takes_slots(session, other);
}

/* An acknowledgement by another link could come behind END, and what it would have closed is reset then: all are said again, by the
 * link that END goes by. False: there is no room for all of them here. */
static bool put_last_acks(struct filler *filler)
{
    struct session *session = filler->session;

    if (session->end_by != filler->link->number) {
        session->end_by = filler->link->number;
        session->end_acked = 0;
    }
    for (size_t i = link_place(session, session->end_acked); i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        uint8_t *at = room_for(filler, ACK_MAX_BYTES);
        if (at == NULL)
            return false;
        if (link->n_accepted > 0)
            write_ack(filler, link, at);
        session->end_acked = link->number + 1;
    }
    return true;
}

static void put_end(struct filler *filler)
{
    struct session *session = filler->session;
    uint8_t *at;

    if (!session->end_needed || !takes_end(session, filler->link) || !put_last_acks(filler) ||
        (at = room_for(filler, FRAME_HEAD_MAX_BYTES)) == NULL)
        return;
    put_head(filler, frame_write_end(at, session->end_code));
    track(filler, (struct sent){.kind = SENT_END});
    session->end_needed = false;
}

static void put_bye(struct filler *filler)
{
    struct session_link *link = filler->link;

    if (!link->bye_needed)
        return;
    put_head(filler, frame_write_bye(filler->fill->heads + filler->n_heads));
    link->bye_needed = false;
    link->bye_sent = true;
    link->bye_answers = link->has_ended;
    filler->asks = true;
}

size_t session_pull(struct session *session, uint64_t number, size_t room, uint64_t now_us,
                    struct session_fill *fill)
{
    struct session_link *link = link_find(session, number);

    session->now_us = now_us;
    fill->n_pieces = fill->n_bytes = 0;
    datagrams_forget_spent(session);
    if (link == NULL || !session_wants(session, number) || !link_has_room(link))
        return 0;
    struct filler filler = {
        .session = session, .link = link, .fill = fill, .left = room - ACK_MAX_BYTES - 1};
    if (!put_auth(&filler))
        return 0;
    put_instance(&filler);
    put_link_slots(&filler);
    put_windows(&filler, &link->queues);
    if (link_takes_slots(session, link)) {
        put_lost(&filler);
        put_session_slots(&filler);
        put_windows(&filler, &session->queues);
        put_end(&filler);
        put_listeners(&filler);
    }
    put_streams(&filler);
    put_ack(&filler);
    put_bye(&filler);
    if (fill->n_bytes == 0)
        return 0;
    link->is_limited |= queues_are_empty(&link->queues) && queues_are_empty(&session->queues);
    link_end_record(session, link, filler.asks);
    session->ranking.is_known = false;
    links_forget(session);
    return fill->n_bytes;
}

/* What is said of the whole session, but for END. */
static bool has_slots(const struct session *session)
{
    return ((session->initial_needed || session->drain_needed) &&
            session->state == SESSION_ALIVE) ||
           session->n_lost_needed > 0 || !list_empty(&session->queues.windows) ||
           !list_empty(&session->listener_needs);
}

static bool wants_slots(struct session *session, const struct session_link *link)
{
    return has_slots(session) || (session->end_needed && takes_end(session, link));
}

/* Streams' frames that it alone may carry. */
static bool has_frames(const struct session_link *link)
{
    const struct queues *own = &link->queues;

    return !list_empty(&own->urgent) || !list_empty(&own->bulk) || has_datagrams(link, own);
}

bool session_wants(struct session *session, uint64_t number)
{
    const struct session_link *link = link_find(session, number);

    if (link == NULL || !link->is_up || link->bye_sent)
        return false;
    if (link->ack_due || link->ping_needed || link->pong_needed || link->instance_needed ||
        link->bye_needed || session->auth_out.bytes != NULL || !list_empty(&link->queues.windows) ||
        (wants_slots(session, link) && link_takes_slots(session, link)))
        return true;
    const struct queues *all = &session->queues;
    bool has_first = !list_empty(&all->urgent) || has_datagrams(link, all);
    bool has_own = has_frames(link);
    if (!has_own && !has_first && list_empty(&all->bulk))
        return false;
    if (link_is_full(session, link)) {
        session->awaits_acks = true;
        return false;
    }
    if (has_own)
        return true;
    enum link_takes takes = link_takes(session, link);
    return (takes == TAKES_ALL && has_first) ||
           (!list_empty(&all->bulk) && link_takes_bulk(session, link, takes));
}

void session_offer(struct session *session)
{
    const struct queues *all = &session->queues;

    if (session->awaits_acks && session->n_sent < SESSION_FRAMES_MAX) {
        session->awaits_acks = false;
        for (size_t i = 0; i < session->n_links; i++)
            if (has_frames(session->links[i]))
                link_may_want(session, session->links[i]);
    }
    if (has_slots(session) || session->end_needed || session->auth_out.bytes != NULL ||
        !list_empty(&all->urgent) || !list_empty(&all->bulk) || !list_empty(&all->datagrams))
        links_offer(session);
}

size_t session_room(struct session *session, uint64_t number, uint64_t now_us)
{
    const struct session_link *link = link_find(session, number);

    session->now_us = now_us;
    while (link != NULL) {
        const struct queues *queues =
            has_datagrams(link, &link->queues) ? &link->queues : &session->queues;
        if (!has_datagrams(link, queues))
            break;
        struct datagrams *first = CONTAINER_OF(queues->datagrams.next, struct datagrams, in_queue);
        size_t n = datagrams_room(first);
        if (n > 0)
            return n + ACK_MAX_BYTES + 1;
        stream_queue(first->stream); /* all of them were too old */
    }
    return 0;
}
