/* What an application does with a stream, but for reading (incoming.c). */
#include <string.h>

#include "session/state.h"

enum {
    /* What is lent to be written to: at first enough for a small exchange, more where the application fills it, and the
     * most where its bytes leave as they come. */
    FIRST_PART_BYTES = 4096,
    PART_FACTOR = 4,
    WAITING_PART_BYTES = 65536,
    MAX_PART_BYTES = 262144,
    /* With its chunk's head, and with what full records put around its bytes, each is a round size: the largest leaves in
     * two writes of two records. */
    PART_HEAD_BYTES = 512,
};

enum err session_open(struct session *session, const struct stream_request *request,
                      struct stream **out)
{
    struct stream *stream;

    if (session->state != SESSION_ALIVE || session->is_drained)
        return ERR_EOF;
    if (session->n_streams >= STREAMS_MAX ||
        session->n_ours + session->n_unborn - session->ours.low >= IDS_PLACES / 2)
        return ERR_LIMIT;
    struct stream_request *copy = state_get(session, sizeof *copy);
    if (copy == NULL || stream_new(session, true, &stream) != ERR_NONE) {
        state_put(copy);
        return ERR_MEMORY;
    }
    *copy = *request;
    stream->request = copy;
    if (frame_kind_has_datagrams(copy->kind) && datagrams_new(stream) != ERR_NONE) {
        stream_delete(stream);
        return ERR_MEMORY;
    }
    stream->needs = NEEDS_OPEN;
    struct session_link *link = link_ready(session);
    if (link != NULL)
        stream_settle(stream, link);
    stream_queue(stream);
    *out = stream;
    return ERR_NONE;
}

const struct stream_request *stream_request(const struct stream *stream)
{
    return stream->request;
}

enum err stream_answer(struct stream *stream, uint8_t code, const struct addr *bound)
{
    if (stream->is_dead)
        return ERR_RESET;
    state_put(stream->request);
    stream->request = NULL;
    stream->is_answered = true;
    stream->code = code;
    stream->bound = *bound;
    stream->needs |= NEEDS_OPENED;
    if (code != 0)
        stream_die(stream, STREAM_RESET_APPLICATION, false);
    stream_queue(stream);
    return ERR_NONE;
}

uint8_t stream_code(const struct stream *stream, struct addr *bound)
{
    *bound = stream->bound;
    return stream->code;
}

static uint64_t unsent(const struct outgoing *out)
{
    return out->end - (out->next < out->end ? out->next : out->end);
}

/* Whether it may take more, with so many bytes unsent: what one stream, and all of them, keep is bounded. One that keeps nothing
 * takes a little beyond that, lest the others starve it. */
static bool may_write(const struct stream *stream, uint64_t unsent_max)
{
    const struct session *session = stream->session;
    const struct outgoing *out = &stream->out;
    uint64_t kept = out->end - (out->base < out->end ? out->base : out->end);

    if (unsent(out) >= unsent_max)
        return false;
    if (kept >= session->options.stream_window_bytes && kept >= INITIAL_FULL)
        return false;
    return kept == 0 || session->n_outgoing_bytes < session->options.window_bytes;
}

void outgoing_check_room(struct stream *stream)
{
    if (stream->awaits_write && !stream->is_released && may_write(stream, UNSENT_MAX / 2 + 1)) {
        stream->awaits_write = false;
        stream_tell(stream, STREAM_WRITABLE);
    }
}

/* Each hears of its own bytes' acknowledgement anyway. The others are told when an eighth is free: thousands may wait, and whoever is
 * first takes what one acknowledgement frees. */
void outgoing_make_room(struct session *session)
{
    if (session->n_outgoing_bytes > session->options.window_bytes / 8 * 7)
        return;
    while (!list_empty(&session->crowded_out)) {
        struct list *first = session->crowded_out.next;
        list_remove(first);
        outgoing_check_room(CONTAINER_OF(first, struct stream, in_crowded_out));
    }
}

enum err stream_reserve(struct stream *stream, uint8_t **bytes, size_t *n)
{
    struct session *session = stream->session;
    struct outgoing *out = &stream->out;

    if (stream->is_dead || stream->is_closed || stream->is_finished)
        return ERR_RESET;
    if (!may_write(stream, UNSENT_MAX)) {
        stream->awaits_write = true;
        if (session->n_outgoing_bytes >= session->options.window_bytes &&
            list_empty(&stream->in_crowded_out))
            list_append(&session->crowded_out, &stream->in_crowded_out);
        return ERR_AGAIN;
    }
    if (out->part_bytes == 0)
        out->part_bytes = FIRST_PART_BYTES;
    size_t part = out->part_bytes;
    if (out->next < out->end && part > WAITING_PART_BYTES)
        part = WAITING_PART_BYTES;
    if (session->n_outgoing_bytes >= session->options.window_bytes)
        part = FIRST_PART_BYTES;
    return buffer_reserve(&out->buffer, &session->store, out->end, part - PART_HEAD_BYTES, bytes,
                          n);
}

void stream_commit(struct stream *stream, size_t n)
{
    struct outgoing *out = &stream->out;
    const struct buffer_part *tail = out->buffer.tail;

    if (n > 0 && n == tail->cap - tail->n && out->part_bytes < MAX_PART_BYTES)
        out->part_bytes *= PART_FACTOR;
    else if (tail->n == 0 && n < tail->cap / PART_FACTOR && out->part_bytes > FIRST_PART_BYTES)
        out->part_bytes /= PART_FACTOR;
    buffer_commit(&out->buffer, &stream->session->store, out->base, n);
    out->end += n;
    stream->session->n_outgoing_bytes += n;
    if (n > 0)
        stream_queue(stream);
}

enum err stream_write(struct stream *stream, const void *bytes, size_t given, size_t *n)
{
    const uint8_t *from = bytes;
    uint8_t *room;
    size_t n_room;
    enum err err = ERR_NONE;

    *n = 0;
    while (*n < given && (err = stream_reserve(stream, &room, &n_room)) == ERR_NONE) {
        uint64_t most = UNSENT_MAX - unsent(&stream->out);
        size_t take = given - *n < n_room ? given - *n : n_room;
        take = take < most ? take : (size_t)most;
        memcpy(room, from + *n, take);
        stream_commit(stream, take);
        *n += take;
    }
    return *n > 0 ? ERR_NONE : err;
}

void stream_finish(struct stream *stream)
{
    if (stream->is_dead || stream->is_finished)
        return;
    stream->is_finished = true;
    stream_queue(stream);
}

void stream_reset(struct stream *stream, enum stream_reset code)
{
    if (!stream->is_dead)
        stream_kill(stream, code, false);
}

enum stream_reset stream_reset_code(const struct stream *stream)
{
    return (enum stream_reset)stream->reset;
}

void stream_release(struct stream *stream)
{
    const struct incoming *in = &stream->in;
    bool has_unread = in->consumed < in->received;

    stream->is_released = true;
    stream->events = 0;
    list_remove(&stream->in_events);
    if (stream->is_closed)
        stream_delete(stream);
    else if (!stream->is_dead && (!stream->is_finished || has_unread))
        stream_kill(stream, STREAM_RESET_APPLICATION, false);
    else
        stream_leave(stream);
}

void stream_set_owner(struct stream *stream, void *owner)
{
    stream->owner = owner;
}

void *stream_owner(const struct stream *stream)
{
    return stream->owner;
}

uint64_t stream_id(const struct stream *stream)
{
    return stream->id;
}

struct stream *session_accepted(const struct session *session, uint64_t id)
{
    struct stream *stream = stream_find(session, id);

    if (stream == NULL || !stream->is_ours)
        return NULL;
    return stream->is_dead || stream->is_closed || stream->is_released ? NULL : stream;
}
