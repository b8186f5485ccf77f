/* Streams by their ids, how they come to be and how they end. */
#include <stdlib.h>
#include <string.h>

#include "session/state.h"

enum { MIN_BUCKETS = 8 };

/* Ids of both kinds grow by one, so the lowest bits of their numbers spread them. */
static struct stream **bucket_of(struct stream **buckets, size_t n, uint64_t id)
{
    return &buckets[id_number(id) & (n - 1)];
}

uint64_t id_number(uint64_t id)
{
    return (id >> 1) - 1;
}

struct stream *stream_find(const struct session *session, uint64_t id)
{
    if (session->n_buckets == 0)
        return NULL;
    struct stream *stream = *bucket_of(session->buckets, session->n_buckets, id);
    while (stream != NULL && stream->id != id)
        stream = stream->next_of_bucket;
    return stream;
}

/* Keeps the chains short. With too few buckets they are longer, and nothing is wrong. */
static void grow(struct session *session)
{
    size_t n = session->n_buckets == 0 ? MIN_BUCKETS : 2 * session->n_buckets;
    struct stream **buckets = calloc(n, sizeof(struct stream *));

    if (buckets == NULL)
        return;
    for (size_t i = 0; i < session->n_buckets; i++) {
        struct stream *stream = session->buckets[i];
        while (stream != NULL) {
            struct stream *next = stream->next_of_bucket;
            struct stream **bucket = bucket_of(buckets, n, stream->id);
            stream->next_of_bucket = *bucket;
            *bucket = stream;
            stream = next;
        }
    }
    free(session->buckets);
    session->buckets = buckets;
    session->n_buckets = n;
}

void stream_set_id(struct stream *stream, uint64_t id)
{
    struct session *session = stream->session;
    struct stream **bucket = bucket_of(session->buckets, session->n_buckets, id);

    stream->id = id;
    stream->next_of_bucket = *bucket;
    *bucket = stream;
    session->n_in_table++;
}

static void leave_table(struct stream *stream)
{
    struct session *session = stream->session;

    if (stream->id == 0) {
        session->n_unborn--;
        return;
    }
    struct stream **at = bucket_of(session->buckets, session->n_buckets, stream->id);
    while (*at != stream)
        at = &(*at)->next_of_bucket;
    *at = stream->next_of_bucket;
    session->n_in_table--;
}

void *state_get(struct session *session, size_t n_bytes)
{
    struct chunk_source *source = session->options.chunks;
    struct chunk *chunk =
        chunk_get(source->unlimited == NULL ? source : source->unlimited, n_bytes);

    return chunk == NULL ? NULL : memset(chunk->bytes, 0, n_bytes);
}

void state_put(void *state)
{
    if (state != NULL)
        chunk_release(CONTAINER_OF(state, struct chunk, bytes));
}

enum err stream_new(struct session *session, bool is_ours, struct stream **out)
{
    if (session->n_streams >= session->n_buckets)
        grow(session);
    struct stream *stream = state_get(session, sizeof *stream);
    if (stream == NULL || session->n_buckets == 0) {
        state_put(stream);
        return ERR_MEMORY;
    }
    stream->session = session;
    stream->is_ours = is_ours;
    stream->in.window_sent.link = NO_LINK;
    stream->awaits_read = true;
    list_init(&stream->in_events);
    list_init(&stream->in_queue);
    list_init(&stream->in_windows);
    list_init(&stream->in_pinned);
    list_init(&stream->in_told);
    list_init(&stream->in_crowded_out);
    list_append(&session->streams, &stream->in_session);
    session->n_streams++;
    session->n_live++;
    session->n_ever++;
    session->n_unborn += is_ours;
    *out = stream;
    return ERR_NONE;
}

static void let_go(struct stream *stream)
{
    outgoing_clear(stream);
    incoming_clear(stream);
    datagrams_free(stream);
    state_put(stream->request);
    stream->request = NULL;
}

static void count_left(struct stream *stream, bool is_left)
{
    struct session *session = stream->session;
    int64_t n_bytes = sizeof *stream;

    if (stream->is_left == is_left)
        return;
    stream->is_left = is_left;
    session->n_left = is_left ? session->n_left + 1 : session->n_left - 1;
    /* It is there, whatever that comes to. */
    (void)chunk_count(session->options.chunks, is_left ? n_bytes : -n_bytes);
}

void stream_leave(struct stream *stream)
{
    if (!stream->is_closed)
        count_left(stream, true);
}

void stream_die(struct stream *stream, enum stream_reset code, bool tell)
{
    if (stream->is_dead)
        return;
    if (!stream->is_closed)
        stream->session->n_live--;
    stream->is_dead = true;
    stream_leave(stream);
    stream->reset = (uint8_t)code;
    outgoing_clear(stream);
    incoming_clear(stream);
    datagrams_clear(stream);
    credit_end(stream);
    /* Of a stream that was never told of, nobody knows. */
    bool is_known = (stream->events & 1U << STREAM_INCOMING) == 0;
    stream->events = 0;
    list_remove(&stream->in_events);
    list_remove(&stream->in_windows);
    if (!is_known)
        stream->is_released = true;
    else if (tell && !stream->is_released)
        stream_tell(stream, STREAM_DEAD);
    stream_queue(stream);
}

void stream_close(struct stream *stream)
{
    if (!stream->is_closed) {
        if (!stream->is_dead)
            stream->session->n_live--;
        leave_table(stream);
        stream->is_closed = true;
        count_left(stream, false);
        stream->session->n_closed++;
        stream->needs = 0;
        list_remove(&stream->in_windows);
        outgoing_clear(stream);
        datagrams_clear(stream);
        stream_leave_home(stream);
        stream_queue(stream);
        list_remove(&stream->in_pinned);
        stream->pin = NULL;
        credit_account(stream);
    }
    if (stream->is_released)
        stream_delete(stream);
}

void stream_delete(struct stream *stream)
{
    struct session *session = stream->session;

    if (stream->is_closed)
        session->n_closed--;
    else
        leave_table(stream);
    if (!stream->is_closed && !stream->is_dead)
        session->n_live--;
    let_go(stream);
    count_left(stream, false);
    stream_leave_home(stream);
    credit_end(stream);
    list_remove(&stream->in_session);
    list_remove(&stream->in_events);
    list_remove(&stream->in_queue);
    list_remove(&stream->in_windows);
    list_remove(&stream->in_pinned);
    list_remove(&stream->in_told);
    list_remove(&stream->in_crowded_out);
    session->n_streams--;
    state_put(stream);
}

void stream_check_done(struct stream *stream)
{
    if (!stream->is_dead && !stream->is_closed && stream->has_final &&
        stream->in.received == stream->in.final_size && outgoing_is_done(stream))
        stream_close(stream);
}

void stream_kill(struct stream *stream, enum stream_reset code, bool tell)
{
    if (stream->is_dead || stream->is_closed) {
        stream_die(stream, code, tell);
        return;
    }
    if (stream->id == 0) {
        stream_die(stream, code, tell);
        stream_close(stream);
        return;
    }
    stream->needs |= NEEDS_RESET;
    stream->needs &= (uint8_t)~NEEDS_OPENED;
    stream_die(stream, code, tell);
}

/* The other end cannot know of it, and it depends on nothing that the other end knows of. */
static bool may_move(const struct stream *stream)
{
    return stream->is_ours && stream->n_told == 0 && !stream->is_answered && !stream->is_dead &&
           !stream->is_closed && !stream->is_released && stream->request->kind != STREAM_RELAYED;
}

/* Nothing of it was ever sent; what has come for it all the same is forgotten. */
static void become_unborn(struct stream *stream)
{
    stream_leave_home(stream);
    stream_pin(stream, NULL);
    list_remove(&stream->in_queue);
    list_remove(&stream->in_windows);
    list_remove(&stream->in_told);
    stream->queue = QUEUE_NONE;
    if (stream->datagrams != NULL)
        list_remove(&stream->datagrams->in_queue);
    outgoing_rewind(stream);
    credit_end(stream);
    incoming_clear(stream);
    stream->in = (struct incoming){.window_sent.link = NO_LINK};
    leave_table(stream);
    stream->id = 0;
    stream->needs = NEEDS_OPEN;
    stream->session->n_unborn++;
}

void streams_forget_ids(struct session *session)
{
    for (struct list *at = session->streams.next, *next; at != &session->streams; at = next) {
        next = at->next;
        struct stream *stream = CONTAINER_OF(at, struct stream, in_session);
        if (stream->is_closed || stream->id == 0)
            continue;
        if (stream->is_dead) {
            stream_close(stream);
            continue;
        }
        become_unborn(stream);
        stream_queue(stream);
    }
    session->n_ours = 0;
}

/* One that is unborn has nothing but what waits to be sent. `by`: 1, or -1 as what wraps around is. */
static void count_unborn(const struct stream *stream, uint64_t by)
{
    struct session *session = stream->session;
    const struct outgoing *out = &stream->out;

    session->n_streams += (size_t)by;
    session->n_live += (size_t)by;
    session->n_ever += (size_t)by;
    session->n_unborn += (size_t)by;
    session->n_outgoing_bytes += by * (out->end - out->base);
    session->store.n_held_bytes += by * out->buffer.n_held_bytes;
    if (stream->datagrams == NULL)
        return;
    session->n_datagram_bytes += (size_t)by * stream->datagrams->n_bytes;
    session->store.n_held_bytes += by * datagrams_held_bytes(stream->datagrams);
}

static void change_list(struct list *item, struct list *to)
{
    if (list_empty(item))
        return;
    list_remove(item);
    list_append(to, item);
}

static void move(struct stream *stream, struct session *to)
{
    become_unborn(stream);
    count_unborn(stream, UINT64_MAX);
    stream->session = to;
    count_unborn(stream, 1);
    change_list(&stream->in_session, &to->streams);
    change_list(&stream->in_events, &to->events);
    change_list(&stream->in_crowded_out, &to->crowded_out);
    stream_queue(stream);
}

void session_move_untold(struct session *from, struct session *to)
{
    for (struct list *at = from->streams.next, *next; at != &from->streams; at = next) {
        next = at->next;
        struct stream *stream = CONTAINER_OF(at, struct stream, in_session);
        if (!may_move(stream))
            continue;
        if (to->n_streams >= to->n_buckets)
            grow(to);
        if (to->n_buckets > 0)
            move(stream, to);
    }
    outgoing_make_room(to);
}
