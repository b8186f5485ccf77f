/* Bytes of a stream that go: what is kept, what is acknowledged, what is lost, what goes next. */
#include <stdlib.h>

#include "session/state.h"

/* A stream that has sent less than this of late is small; it may go on so at a rate of so much in 100 ms. */
enum { SMALL_BYTES = 32 * 1024, SMALL_US = 100000 };

struct queues *queues_for(struct stream *stream)
{
    if (stream->pin == NULL)
        return &stream->session->queues;
    link_may_want(stream->session, stream->pin);
    return &stream->pin->queues;
}

static uint64_t burst_of(const struct stream *stream)
{
    uint64_t leaked = stream->session->now_us - stream->out.burst_us;

    leaked = leaked > SMALL_US ? SMALL_BYTES : leaked * SMALL_BYTES / SMALL_US;
    return stream->out.burst > leaked ? stream->out.burst - leaked : 0;
}

static enum queue queue_for(const struct stream *stream)
{
    if (stream->is_closed)
        return QUEUE_NONE;
    if (stream->needs != 0)
        return QUEUE_URGENT;
    if (!outgoing_has(stream))
        return QUEUE_NONE;
    return burst_of(stream) < SMALL_BYTES ? QUEUE_URGENT : QUEUE_BULK;
}

void stream_queue(struct stream *stream)
{
    enum queue queue = queue_for(stream);

    if (stream->datagrams != NULL)
        datagrams_queue(stream);
    if (queue == stream->queue)
        return;
    list_remove(&stream->in_queue);
    stream->queue = (uint8_t)queue;
    if (queue == QUEUE_URGENT)
        list_append(&queues_for(stream)->urgent, &stream->in_queue);
    else if (queue == QUEUE_BULK)
        list_append(&queues_for(stream)->bulk, &stream->in_queue);
    if (queue != QUEUE_BULK)
        stream->out.deficit = 0;
}

void stream_pin(struct stream *stream, struct session_link *link)
{
    bool has_window = !list_empty(&stream->in_windows);

    if (stream->pin == link)
        return;
    list_remove(&stream->in_queue);
    list_remove(&stream->in_windows);
    if (stream->datagrams != NULL)
        list_remove(&stream->datagrams->in_queue);
    list_remove(&stream->in_pinned);
    if (link != NULL)
        list_append(&link->pinned, &stream->in_pinned);
    stream->queue = QUEUE_NONE;
    stream->pin = link;
    stream_queue(stream);
    if (has_window)
        list_append(&queues_for(stream)->windows, &stream->in_windows);
}

void credit_window_needed(struct stream *stream)
{
    if (list_empty(&stream->in_windows) && !stream->is_dead && !stream->is_closed)
        list_append(&queues_for(stream)->windows, &stream->in_windows);
}

bool outgoing_has(const struct stream *stream)
{
    const struct outgoing *out = &stream->out;

    if (stream->is_dead || !(stream->is_ours || stream->is_answered) ||
        out->n_flying >= STREAM_FRAMES_MAX)
        return false;
    if (stream->datagrams != NULL && stream->datagrams->head != NULL)
        return false; /* the fin goes behind them */
    if (out->recovery != NULL && !ranges_is_empty(&out->recovery->lost))
        return true;
    if (out->next < out->end)
        return out->next < out->limit;
    return stream->is_finished && out->next == out->end;
}

void outgoing_next(const struct stream *stream, uint64_t *from, uint64_t *to, bool *is_again)
{
    const struct outgoing *out = &stream->out;

    *is_again = out->recovery != NULL && !ranges_is_empty(&out->recovery->lost);
    if (*is_again) {
        struct range lost = ranges_lowest(&out->recovery->lost);
        *from = lost.from;
        *to = lost.to;
        return;
    }
    *from = out->next;
    *to = out->end < out->limit ? out->end : out->limit;
    if (out->end <= out->limit && stream->is_finished)
        *to = out->end + 1;
}

static void free_recovery(struct outgoing *out)
{
    if (out->recovery == NULL)
        return;
    ranges_free(&out->recovery->lost);
    ranges_free(&out->recovery->acked);
    free(out->recovery);
    out->recovery = NULL;
}

static void check_recovery(struct outgoing *out)
{
    if (out->recovery != NULL && ranges_is_empty(&out->recovery->lost) &&
        ranges_is_empty(&out->recovery->acked))
        free_recovery(out);
}

static struct recovery *get_recovery(struct stream *stream)
{
    struct outgoing *out = &stream->out;

    if (out->recovery == NULL && (out->recovery = calloc(1, sizeof *out->recovery)) != NULL) {
        out->recovery->lost.n_in_all = &stream->session->n_ranges;
        out->recovery->acked.n_in_all = &stream->session->n_ranges;
    }
    return out->recovery;
}

void outgoing_sent(struct stream *stream, uint64_t from, uint64_t to, bool is_again)
{
    struct session *session = stream->session;
    struct outgoing *out = &stream->out;
    uint64_t n = (to < out->end ? to : out->end) - from;

    out->n_flying++;
    out->burst = burst_of(stream) + n;
    out->burst_us = session->now_us;
    session->n_sent_bytes += n;
    if (is_again) {
        session->n_resent_bytes += n;
        out->n_resent += n;
        ranges_remove_below(&out->recovery->lost, to);
        check_recovery(out);
    } else {
        out->next = to;
        outgoing_check_room(stream);
    }
}

/* All below `to` is acknowledged, and what is known beyond it. */
static void move_base(struct stream *stream, uint64_t to)
{
    struct outgoing *out = &stream->out;
    uint64_t had = out->end - out->base;

    out->base = to;
    if (out->recovery != NULL) {
        struct ranges *acked = &out->recovery->acked;
        while (!ranges_is_empty(acked) && ranges_lowest(acked).from <= out->base) {
            if (ranges_lowest(acked).to > out->base)
                out->base = ranges_lowest(acked).to;
            ranges_remove_below(acked, out->base);
        }
        ranges_remove_below(&out->recovery->lost, out->base);
        check_recovery(out);
    }
    uint64_t bytes = out->base < out->end ? out->base : out->end;
    buffer_drop(&out->buffer, &stream->session->store, bytes);
    uint64_t n_acked = had - (out->end - bytes);
    stream->session->n_outgoing_bytes -= n_acked;
    stream->session->n_acked_bytes += n_acked;
}

static enum err note_acked(struct stream *stream, uint64_t from, uint64_t to)
{
    struct recovery *recovery = get_recovery(stream);

    if (recovery == NULL || ranges_add(&recovery->acked, from, to) != ERR_NONE)
        return ERR_MEMORY;
    return ranges_remove(&recovery->lost, from, to);
}

void outgoing_acked(struct stream *stream, uint64_t from, uint64_t to)
{
    struct outgoing *out = &stream->out;

    if (stream->is_dead || stream->is_closed)
        return;
    if (to <= out->base) {
        stream_queue(stream);
        return;
    }
    if (from <= out->base) {
        move_base(stream, to);
    } else if (note_acked(stream, from, to) != ERR_NONE) {
        stream_kill(stream, STREAM_RESET_LIMIT, true);
        return;
    }
    stream_queue(stream);
    outgoing_check_room(stream);
    stream_check_done(stream);
}

static enum err note_lost(struct stream *stream, uint64_t from, uint64_t to)
{
    struct recovery *recovery = get_recovery(stream);
    const struct range *acked;

    if (recovery == NULL)
        return ERR_MEMORY;
    while ((acked = ranges_behind(&recovery->acked, from)) != NULL && acked->from < to) {
        if (ranges_add(&recovery->lost, from, acked->from) != ERR_NONE)
            return ERR_MEMORY;
        from = acked->to;
    }
    return ranges_add(&recovery->lost, from, to);
}

void outgoing_lost(struct stream *stream, uint64_t from, uint64_t to)
{
    struct outgoing *out = &stream->out;

    if (stream->is_dead || stream->is_closed || to <= out->base)
        return;
    if (note_lost(stream, from > out->base ? from : out->base, to) != ERR_NONE) {
        stream_kill(stream, STREAM_RESET_LIMIT, true);
        return;
    }
    stream_queue(stream);
}

bool outgoing_is_done(const struct stream *stream)
{
    return stream->is_finished && stream->out.base > stream->out.end;
}

void outgoing_rewind(struct stream *stream)
{
    stream->out.next = 0;
    free_recovery(&stream->out);
}

void outgoing_clear(struct stream *stream)
{
    struct outgoing *out = &stream->out;

    if (out->base < out->end)
        stream->session->n_outgoing_bytes -= out->end - out->base;
    out->base = out->end + 1;
    buffer_clear(&out->buffer, &stream->session->store);
    free_recovery(out);
}
