/*
 * Bytes of a stream that come. Those that are next in order are lent from where they lie until the turn is over; what was not
 * consumed by then is copied, so that the chunk they came in is free again. Those that come too early wait in pages.
 */
#include <stdlib.h>

#include "session/state.h"

enum {
    MIN_PART_BYTES = 192,
    MAX_PART_BYTES = 65536 - 64,
    MIN_LOANS = 64,
    IDLE_LOANS = 512,
    MAX_LOANS = 8192
};

static enum err append(struct stream *stream, uint64_t end, const uint8_t *bytes, size_t n)
{
    /* As much again as it has: parts are few, and what they are too large is bounded by what they hold. */
    uint64_t has = end - stream->in.consumed;
    size_t want = has < MIN_PART_BYTES   ? MIN_PART_BYTES
                  : has > MAX_PART_BYTES ? MAX_PART_BYTES
                                         : (size_t)has;

    return buffer_append(&stream->in.buffer, &stream->session->store, end, bytes, n,
                         n > want ? n : want);
}

/* Of datagrams, what nobody has taken is dropped. */
static void settle_datagrams(struct stream *stream)
{
    size_t n;

    while (incoming_take_loan(stream, &n) != NULL)
        datagrams_note_dropped(stream);
}

/* Copies what the stream was lent. */
static enum err settle(struct stream *stream)
{
    struct session *session = stream->session;
    struct incoming *in = &stream->in;
    uint64_t end = in->received;
    size_t n = 0;

    for (uint32_t i = in->lent; i != 0; i = session->loans[i - 1].next)
        n += session->loans[i - 1].n;
    end -= n;
    for (uint32_t i = in->lent; i != 0;) {
        struct loan *loan = &session->loans[i - 1];
        size_t take = loan->n;
        if (append(stream, end, loan->bytes, take) != ERR_NONE)
            return ERR_MEMORY;
        end += take;
        loan->stream = NULL;
        in->lent = i = loan->next;
    }
    in->lent_last = 0;
    return ERR_NONE;
}

void incoming_settle(struct session *session)
{
    for (uint32_t i = 0; i < session->n_loans; i++) {
        struct stream *stream = session->loans[i].stream;
        if (stream != NULL && stream->datagrams != NULL)
            settle_datagrams(stream);
        else if (stream != NULL && settle(stream) != ERR_NONE)
            stream_kill(stream, STREAM_RESET_LIMIT, true);
    }
    session->n_loans = 0;
    if (session->loans_cap > IDLE_LOANS) {
        free(session->loans);
        session->loans = NULL;
        session->loans_cap = 0;
    }
}

static enum err make_room_for_loan(struct session *session)
{
    if (session->n_loans == MAX_LOANS)
        incoming_settle(session);
    if (session->n_loans < session->loans_cap)
        return ERR_NONE;
    uint32_t cap = session->loans_cap == 0 ? MIN_LOANS : 2 * session->loans_cap;
    struct loan *loans = realloc(session->loans, cap * sizeof *loans);
    if (loans == NULL)
        return ERR_MEMORY;
    session->loans = loans;
    session->loans_cap = cap;
    return ERR_NONE;
}

enum err incoming_lend(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct session *session = stream->session;
    struct incoming *in = &stream->in;

    if (make_room_for_loan(session) != ERR_NONE)
        return ERR_MEMORY;
    if (stream->is_dead)
        return ERR_NONE;
    uint32_t i = ++session->n_loans;
    session->loans[i - 1] = (struct loan){.stream = stream, .bytes = bytes, .n = (uint32_t)n};
    if (in->lent == 0)
        in->lent = i;
    else
        session->loans[in->lent_last - 1].next = i;
    in->lent_last = i;
    return ERR_NONE;
}

/* The bytes are the next in order. */
static enum err lend(struct stream *stream, const uint8_t *bytes, size_t n)
{
    if (incoming_lend(stream, bytes, n) != ERR_NONE)
        return ERR_MEMORY;
    stream->in.received += stream->is_dead ? 0 : n;
    return ERR_NONE;
}

const uint8_t *incoming_take_loan(struct stream *stream, size_t *n)
{
    struct session *session = stream->session;
    struct incoming *in = &stream->in;

    if (in->lent == 0)
        return NULL;
    struct loan *loan = &session->loans[in->lent - 1];
    loan->stream = NULL;
    in->lent = loan->next;
    if (in->lent == 0)
        in->lent_last = 0;
    *n = loan->n;
    return loan->bytes;
}

/* Takes what has become the next in order out of the pages. */
static enum err take_from_pages(struct stream *stream)
{
    struct incoming *in = &stream->in;
    const uint8_t *bytes;
    size_t n;

    if (settle(stream) != ERR_NONE)
        return ERR_MEMORY;
    while (in->pages != NULL && (n = pages_at(in->pages, in->received, &bytes)) > 0) {
        if (append(stream, in->received, bytes, n) != ERR_NONE)
            return ERR_MEMORY;
        in->received += n;
        pages_drop(&in->pages, &stream->session->store, in->received);
    }
    if (in->received == in->highest)
        pages_free(&in->pages, &stream->session->store);
    return ERR_NONE;
}

static enum err take(struct stream *stream, uint64_t offset, const uint8_t *bytes, size_t n)
{
    struct incoming *in = &stream->in;

    if (offset < in->received) {
        bytes += in->received - offset;
        n -= (size_t)(in->received - offset);
        offset = in->received;
    }
    if (offset == in->received && in->pages == NULL)
        return lend(stream, bytes, n);
    if (pages_store(&in->pages, &stream->session->store, in->received, offset, bytes, n) !=
        ERR_NONE)
        return ERR_MEMORY;
    /* The other end may send no more, since a part of it is late, and nobody here is slow to read. */
    stream->was_short |= in->highest == in->limit && in->received == in->consumed;
    return take_from_pages(stream);
}

/* What the fin says agrees with what has come, and with an earlier one. */
static bool is_sound(const struct stream *stream, uint64_t end, bool is_fin)
{
    const struct incoming *in = &stream->in;

    if (end > in->limit || (stream->has_final && end > in->final_size))
        return false;
    return !is_fin || (stream->has_final ? end == in->final_size : end >= in->highest);
}

enum err incoming_data(struct stream *stream, uint64_t offset, const uint8_t *bytes, size_t n,
                       bool is_fin)
{
    struct incoming *in = &stream->in;
    uint64_t end = offset + n, had = in->received;

    if (!is_sound(stream, end, is_fin))
        return ERR_BAD;
    if (end > in->highest)
        in->highest = end;
    bool is_new_fin = is_fin && !stream->has_final;
    if (is_new_fin) {
        stream->has_final = true;
        in->final_size = end;
    }
    if (stream->is_dead)
        return ERR_NONE;
    /* Nobody will read it: the other end is to know, as it would of a closed socket. */
    if (stream->is_released && n > 0 && end > in->received) {
        stream_kill(stream, STREAM_RESET_APPLICATION, false);
        return ERR_NONE;
    }
    if (n > 0 && end > in->received && take(stream, offset, bytes, n) != ERR_NONE) {
        stream_kill(stream, STREAM_RESET_LIMIT, true);
        return ERR_MEMORY;
    }
    stream->session->n_received_bytes += in->received - had;
    if (is_new_fin)
        credit_account(stream);
    if (stream->awaits_read && stream->session->delivers &&
        (in->received > in->consumed || (stream->has_final && in->received == in->final_size)))
        stream_tell(stream, STREAM_READABLE);
    stream_check_done(stream);
    return ERR_NONE;
}

enum err stream_peek(struct stream *stream, const uint8_t **bytes, size_t *n)
{
    struct session *session = stream->session;
    struct incoming *in = &stream->in;

    if (stream->is_dead)
        return ERR_RESET;
    if (session->delivers && !buffer_is_empty(&in->buffer)) {
        *n = buffer_at(&in->buffer, in->consumed, bytes);
        return ERR_NONE;
    }
    if (session->delivers && in->lent != 0 && stream->datagrams == NULL) {
        *bytes = session->loans[in->lent - 1].bytes;
        *n = session->loans[in->lent - 1].n;
        return ERR_NONE;
    }
    if (session->delivers && stream->has_final && in->consumed == in->final_size)
        return ERR_EOF;
    stream->awaits_read = true;
    return ERR_AGAIN;
}

/* Consumes what was lent; nothing is in the buffer. */
static void repay(struct stream *stream, size_t n)
{
    struct session *session = stream->session;
    struct incoming *in = &stream->in;

    while (n > 0) {
        struct loan *loan = &session->loans[in->lent - 1];
        size_t part = n < loan->n ? n : loan->n;
        loan->bytes += part;
        loan->n -= (uint32_t)part;
        n -= part;
        if (loan->n == 0) {
            loan->stream = NULL;
            in->lent = loan->next;
        }
    }
    if (in->lent == 0)
        in->lent_last = 0;
}

void stream_consume(struct stream *stream, size_t n)
{
    struct incoming *in = &stream->in;

    if (stream->is_dead || n == 0)
        return;
    uint64_t in_buffer = buffer_is_empty(&in->buffer)
                             ? 0
                             : in->buffer.tail->offset + in->buffer.tail->n - in->consumed;
    size_t from_buffer = n < in_buffer ? n : (size_t)in_buffer;
    in->consumed += n;
    if (from_buffer > 0)
        buffer_drop(&in->buffer, &stream->session->store, in->consumed);
    repay(stream, n - from_buffer);
    credit_consumed(stream, n);
}

void incoming_clear(struct stream *stream)
{
    struct session *session = stream->session;
    struct incoming *in = &stream->in;

    for (uint32_t i = in->lent; i != 0; i = session->loans[i - 1].next)
        session->loans[i - 1].stream = NULL;
    in->lent = in->lent_last = 0;
    buffer_clear(&in->buffer, &session->store);
    pages_free(&in->pages, &session->store);
}
