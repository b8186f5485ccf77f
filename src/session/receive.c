/* Frames that come, to the parts of the session that they are for. All of it was written by somebody who may mean harm. */
#include <stdlib.h>
#include <string.h>

#include "session/state.h"

/* What came before counts to the rule that no frame but the first is AUTH. */
struct record {
    struct session_link *link;
    const uint8_t *at, *end;
    bool asks;
    bool has_ended; /* BYE came */
    bool ends_session;
    uint8_t end_code;
    bool is_first;
};

/* Whether streams with this id are opened by the other end. */
static bool is_theirs(const struct session *session, uint64_t id)
{
    return (id & 1) == (session->options.is_client ? 1 : 0);
}

/* The stream that a frame is about. NULL with ERR_NONE: it is closed; ERR_BAD: it never was. */
static enum err find(const struct session *session, uint64_t id, struct stream **out)
{
    *out = NULL;
    if (id < 2)
        return ERR_BAD;
    *out = stream_find(session, id);
    if (*out != NULL)
        return ERR_NONE;
    bool was_opened = is_theirs(session, id) ? ids_has(&session->theirs, id_number(id))
                                             : id_number(id) < session->n_ours;
    return was_opened ? ERR_NONE : ERR_BAD;
}

static enum err refuse(struct stream *stream, uint8_t code)
{
    enum err err = stream_answer(stream, code, &(struct addr){.family = ADDR_NONE});

    stream->is_released = true;
    return err;
}

/* 0, or the code that refuses a stream that is not for the other end to open, or that nobody here knows. */
static uint8_t judge_kind(const struct session *session, const struct frame *frame)
{
    const struct stream_request *request = &frame->request;
    bool is_for_client = request->kind == STREAM_ACCEPTED;

    if (request->kind > STREAM_SPEED || is_for_client != session->options.is_client)
        return 7;
    if (request->kind == STREAM_ACCEPTED)
        return listener_is_there(session, request->of) ? 0 : 1;
    if (request->kind == STREAM_RELAYED)
        return session_accepted(session, request->of) != NULL ? 0 : 1;
    return 0;
}

static bool has_fair_credit(const struct frame *frame)
{
    uint64_t most = frame_kind_has_datagrams(frame->request.kind) ? 0 : INITIAL_FULL;

    return frame->claim <= most && frame->grant <= most;
}

static enum err on_open(struct session *session, struct session_link *link,
                        const struct frame *frame)
{
    struct stream *stream;

    if (frame->id < 2 || !is_theirs(session, frame->id) || !has_fair_credit(frame))
        return ERR_BAD;
    enum err err = ids_add(&session->theirs, id_number(frame->id));
    if (err != ERR_NONE)
        return err == ERR_AGAIN ? ERR_NONE : err;
    if (session->n_streams >= STREAMS_MAX + STREAMS_CLOSING_MAX)
        return ERR_LIMIT;
    /* Else who acknowledges nothing could have memory without an end, for a few bytes each. */
    if (session->n_left >= STREAMS_LEFT_MAX && !chunk_count(session->options.chunks, 0))
        return ERR_LIMIT;
    bool is_one_too_many = session->n_streams >= STREAMS_MAX;
    err = stream_new(session, false, &stream);
    if (err != ERR_NONE)
        return err;
    stream_set_id(stream, frame->id);
    /* Even this record may have ended it. */
    if (link_is_ready(link))
        stream_settle(stream, link);
    stream->out.limit = frame->grant;
    stream->in.limit = frame->claim;
    if (is_one_too_many || !credit_allows(session, frame->claim))
        return refuse(stream, 1);
    uint8_t why_not = judge_kind(session, frame);
    if (why_not != 0)
        return refuse(stream, why_not);
    if (frame->has_bad_name)
        return refuse(stream, 8);
    stream->request = state_get(session, sizeof *stream->request);
    if (stream->request == NULL)
        return refuse(stream, 1);
    *stream->request = frame->request;
    if (!frame_kind_has_datagrams(frame->request.kind))
        credit_begin(stream, frame->claim);
    else if (datagrams_new(stream) != ERR_NONE)
        return refuse(stream, 1);
    else
        credit_account(stream);
    stream_tell(stream, STREAM_INCOMING);
    return ERR_NONE;
}

static enum err on_opened(struct session *session, const struct frame *frame)
{
    struct stream *stream;
    enum err err = find(session, frame->id, &stream);

    if (err != ERR_NONE || is_theirs(session, frame->id))
        return ERR_BAD;
    if (stream == NULL || stream->is_answered || stream->is_dead)
        return ERR_NONE;
    stream->is_answered = true;
    stream->code = frame->code;
    stream->bound = frame->bound;
    bool was_released = stream->is_released;
    if (frame->code != 0)
        stream_die(stream, STREAM_RESET_APPLICATION, false);
    if (!was_released)
        stream_tell(stream, STREAM_ANSWERED);
    if (frame->code != 0)
        stream_close(stream);
    return ERR_NONE;
}

static enum err on_data(struct session *session, struct session_link *link,
                        const struct frame *frame)
{
    struct stream *stream;
    enum err err = find(session, frame->id, &stream);

    if (err != ERR_NONE || stream == NULL)
        return err;
    if (stream->is_ours && !stream->is_answered && !stream->is_dead)
        return ERR_BAD;
    link->has_carried |= frame->n_bytes > 0 && frame->value + frame->n_bytes > stream->in.received;
    err =
        incoming_data(stream, frame->value, frame->bytes, frame->n_bytes, frame->type == FRAME_FIN);
    /* That stream is dead, the others are not. */
    return err == ERR_MEMORY ? ERR_NONE : err;
}

static enum err on_reset(struct session *session, const struct frame *frame)
{
    struct stream *stream;
    enum err err = find(session, frame->id, &stream);

    if (frame->code == STREAM_RESET_LOST)
        return ERR_BAD;
    if (err != ERR_NONE || stream == NULL)
        return err;
    const struct incoming *in = &stream->in;
    if (frame->value < in->highest || frame->value > in->limit ||
        (stream->has_final && frame->value != in->final_size))
        return ERR_BAD;
    stream_die(stream, (enum stream_reset)frame->code, true);
    stream_close(stream);
    return ERR_NONE;
}

static enum err on_window(struct session *session, const struct frame *frame)
{
    struct stream *stream;
    enum err err = find(session, frame->id, &stream);

    if (err != ERR_NONE || stream == NULL || frame->value <= stream->out.limit)
        return err;
    stream->out.limit = frame->value;
    stream_queue(stream);
    return ERR_NONE;
}

static enum err on_ack(struct session *session, const struct frame *frame)
{
    struct session_link *link = link_find(session, frame->id);

    if (link == NULL || !link->was_up)
        return ERR_NONE;
    return link_acked(session, link, frame->value, frame->delay_us, true);
}

static enum err on_pong(struct session *session, struct session_link *link,
                        const struct frame *frame)
{
    if (link->ping_token != 0 && frame->value == link->ping_token) {
        link->pong_us = session->now_us - link->ping_us;
        link->n_pongs++;
        link_sample_rtt(session, link, link->pong_us);
        link->ping_token = 0;
    }
    return ERR_NONE;
}

/* The other end has ended the session: it is told that we know, and that is all. */
static void on_end(struct session *session, uint8_t code)
{
    session->end_code = code;
    session->end_needed = false;
    for (size_t i = 0; i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        link->ack_due = link->bye_needed = link->is_up;
        link_may_want(session, link);
    }
    session_over(session, code == 0 ? STREAM_RESET_DRAIN : STREAM_RESET_LOST);
}

/* Keeps the signature, and where it is demanded what is behind it until it was judged. */
static enum err on_auth(struct session *session, struct record *record, const struct frame *frame)
{
    if (session->options.is_client || !session->demands_auth || !record->is_first)
        return ERR_NONE;
    enum err err = session_keep_auth(&session->auth_in, frame->bytes, frame->n_bytes,
                                     frame->signature, frame->n_signature);
    if (err != ERR_NONE)
        return err;
    size_t n = (size_t)(record->end - record->at);
    session->auth_rest = malloc(n + 1);
    if (session->auth_rest == NULL)
        return ERR_MEMORY;
    memcpy(session->auth_rest, record->at, n);
    session->n_auth_rest = n;
    session->auth_link = record->link->number;
    session->event_auth = true;
    record->at = record->end;
    return ERR_NONE;
}

/* The first word counts: it is said anew on each link. */
static enum err on_instance(struct session *session, const struct frame *frame)
{
    if (session->options.is_client)
        return ERR_BAD;
    if (!session->has_instance)
        memcpy(session->instance, frame->bytes, sizeof session->instance);
    session->has_instance = true;
    return ERR_NONE;
}

static enum err on_stream_frame(struct session *session, struct session_link *link,
                                const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_OPEN:
        return on_open(session, link, frame);
    case FRAME_OPENED:
        return on_opened(session, frame);
    case FRAME_DATA:
    case FRAME_FIN:
        return on_data(session, link, frame);
    case FRAME_RESET:
        return on_reset(session, frame);
    case FRAME_DATAGRAM:
        return datagrams_received(session, link, frame);
    default:
        return on_window(session, frame);
    }
}

static enum err on_link_frame(struct session *session, struct record *record,
                              const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_ACK:
        return on_ack(session, frame);
    case FRAME_LOST:
        return link_lost_received(session, frame->id, frame->value);
    case FRAME_PING:
        record->link->pong_needed = true;
        record->link->pong_token = frame->value;
        link_may_want(session, record->link);
        return ERR_NONE;
    case FRAME_PONG:
        return on_pong(session, record->link, frame);
    case FRAME_AUTH:
        return on_auth(session, record, frame);
    case FRAME_INSTANCE:
        return on_instance(session, frame);
    case FRAME_BYE:
        record->has_ended = true;
        record->link->event_bye = true;
        session->n_link_events++;
        return ERR_NONE;
    case FRAME_END:
        record->ends_session = true;
        record->end_code = frame->code;
        return ERR_NONE;
    case FRAME_DRAIN:
        session->event_drain |= !session->is_drained;
        session->is_drained = true;
        session->drain_theirs_s = frame->value;
        return ERR_NONE;
    default:
        if (frame->value > INITIAL_FULL)
            return ERR_BAD;
        session->initial_theirs = frame->value;
        return ERR_NONE;
    }
}

static bool is_about_stream(uint8_t type)
{
    return (type >= FRAME_OPEN && type <= FRAME_WINDOW) || type == FRAME_DATAGRAM;
}

static bool is_about_listener(uint8_t type)
{
    return type >= FRAME_LISTEN && type <= FRAME_UNLISTEN;
}

static enum err on_frame(struct session *session, struct record *record, const struct frame *frame)
{
    uint8_t type = frame->type;

    if (type == FRAME_PADDING)
        return ERR_NONE;
    if (record->has_ended || (session->demands_auth && type != FRAME_AUTH))
        return ERR_BAD;
    record->asks = record->asks || (type != FRAME_ACK && type != FRAME_PONG);
    if (is_about_stream(type))
        return session->state == SESSION_ALIVE ? on_stream_frame(session, record->link, frame)
                                               : ERR_NONE;
    if (is_about_listener(type))
        return session->state == SESSION_ALIVE ? listener_received(session, frame) : ERR_NONE;
    return on_link_frame(session, record, frame);
}

static enum err on_frames(struct session *session, struct record *record)
{
    struct frame frame;
    size_t used;
    enum err err = ERR_NONE;

    while (record->at < record->end && err == ERR_NONE) {
        size_t n = (size_t)(record->end - record->at);
        err = frame_parse(record->at, n, &frame, &used);
        if (err != ERR_NONE)
            break;
        record->at += used;
        err = on_frame(session, record, &frame);
        record->is_first = false;
    }
    /* What it says of frames of ours may be what closes a stream. */
    if (err == ERR_NONE && record->ends_session)
        on_end(session, record->end_code);
    return err;
}

/* The rules were broken, or memory for what cannot be dropped was missing. */
static enum err fail(struct session *session, enum err err)
{
    session_end(session, err == ERR_BAD ? 1 : 3, session->now_us);
    return err;
}

/* The chunk is needed until the turn is over. */
static enum err hold(struct session *session, struct chunk *chunk)
{
    if (session->n_given > 0 && session->given[session->n_given - 1] == chunk)
        return ERR_NONE;
    if (session->n_given == session->given_cap) {
        uint32_t cap = session->given_cap == 0 ? 4 : 2 * session->given_cap;
        struct chunk **given = realloc(session->given, cap * sizeof(struct chunk *));
        if (given == NULL)
            return ERR_MEMORY;
        session->given = given;
        session->given_cap = cap;
    }
    chunk_hold(chunk);
    session->given[session->n_given++] = chunk;
    return ERR_NONE;
}

static void note_record(struct session *session, const struct record *record, size_t n)
{
    struct session_link *link = record->link;

    link->last_received_us = session->now_us;
    /* What comes behind our END was dropped, and the other end is not to take it for delivered. */
    if (session->state == SESSION_ENDING)
        return;
    link->n_accepted++;
    link->n_untold_bytes += n;
    if (record->asks && !link->asks) {
        link->asks = true;
        link->ack_at_us = session->now_us + ACK_DELAY_US;
    }
    if (link->asks && link->n_untold_bytes >= ACK_BYTES) {
        link->ack_due = true;
        link_may_want(session, link);
    }
}

enum err session_receive(struct session *session, uint64_t number, struct chunk *chunk,
                         uint8_t *payload, size_t n, uint64_t now_us)
{
    struct record record = {
        .link = link_find(session, number), .at = payload, .end = payload + n, .is_first = true};

    session->now_us = now_us;
    session->ranking.is_known = false;
    if (record.link == NULL || !record.link->is_up || record.link->has_ended ||
        session->state == SESSION_OVER)
        return ERR_NONE;
    if (session->auth_rest != NULL)
        return fail(session, ERR_BAD);
    enum err err = hold(session, chunk);
    if (err == ERR_NONE)
        err = on_frames(session, &record);
    if (err != ERR_NONE)
        return fail(session, err);
    record.link->has_ended = record.has_ended;
    note_record(session, &record, n);
    links_forget(session);
    return ERR_NONE;
}

enum err session_admit(struct session *session, uint64_t now_us)
{
    uint8_t *rest = session->auth_rest;

    session->now_us = now_us;
    session->ranking.is_known = false;
    session->demands_auth = false;
    if (rest == NULL)
        return ERR_NONE;
    session->auth_rest = NULL;
    struct record record = {.link = link_find(session, session->auth_link),
                            .at = rest,
                            .end = rest + session->n_auth_rest};
    enum err err = record.link == NULL ? ERR_NONE : on_frames(session, &record);
    if (err == ERR_NONE && record.link != NULL)
        record.link->has_ended = record.has_ended;
    session->admitted = rest;
    return err == ERR_NONE ? ERR_NONE : fail(session, err);
}

void session_settle(struct session *session)
{
    incoming_settle(session);
    for (uint32_t i = 0; i < session->n_given; i++)
        chunk_release(session->given[i]);
    session->n_given = 0;
    free(session->admitted);
    session->admitted = NULL;
    datagrams_forget_spent(session);
}
