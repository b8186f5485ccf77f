/*
 * What streams of datagrams have to send, and have received. What waits stands in parts, in the form in which it goes, so that a record is
 * filled from where it lies:
 *
 *     part -> | struct waiting | room for type and id | length, address, bytes | struct waiting | ...
 *
 * Time matters more than completeness. A stream keeps few, and drops the oldest for a new one. Of more than a few those go that
 * have waited for long: they are late already, and make late what is behind them. (It is less than CoDel, RFC 8289, which wants a
 * queue to be short always; here many may come at once, as they do from a socket.) A few may wait longer: a question to a
 * name server is worth more than its age.
 */
#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "session/state.h"

enum {
    WAITING_MAX_BYTES = 1024 * 1024, /* of a stream */
    WAITING_PART = 4,                /* all may have such a part of the session's window */
    FEW_BYTES = 16 * 1024,
    LATE_US = 300000, /* of more than a few */
    STALE_US = 5000000,
    MIN_PART_BYTES = 4096 - 64,
    MAX_PART_BYTES = 65536 - 64,
    ID_BYTES = 1 + VARINT_MAX_BYTES,
};

struct datagram_part {
    struct datagram_part *next;
    uint32_t from, end;                /* of those that wait */
    alignas(uint64_t) uint8_t bytes[]; /* of struct waiting */
};

struct waiting {
    uint64_t at_us;
    uint32_t size; /* with this head, to where the next begins */
    uint32_t n;    /* of length, address and bytes */
    uint8_t room[];
};

static_assert(sizeof(struct datagram_part) % alignof(struct waiting) == 0, "what waits is aligned");

static struct chunk *chunk_of(struct datagram_part *part)
{
    return CONTAINER_OF(part, struct chunk, bytes);
}

static uint32_t cap_of(struct datagram_part *part)
{
    return chunk_of(part)->cap - (uint32_t)sizeof *part;
}

static struct waiting *first_of(const struct datagrams *datagrams)
{
    return (void *)(datagrams->head->bytes + datagrams->head->from);
}

enum err datagrams_new(struct stream *stream)
{
    struct datagrams *datagrams = calloc(1, sizeof *datagrams);

    if (datagrams == NULL)
        return ERR_MEMORY;
    datagrams->stream = stream;
    list_init(&datagrams->in_queue);
    stream->datagrams = datagrams;
    return ERR_NONE;
}

void datagrams_free(struct stream *stream)
{
    datagrams_clear(stream);
    free(stream->datagrams);
    stream->datagrams = NULL;
}

void datagrams_note_dropped(struct stream *stream)
{
    stream->datagrams->n_dropped++;
    stream->session->n_dropped_datagrams++;
}

/* ---- what waits ---- */

static void put_spent(struct session *session, struct datagram_part *part)
{
    part->next = session->spent;
    session->spent = part;
}

static void take_first(struct datagrams *datagrams)
{
    struct session *session = datagrams->stream->session;
    struct datagram_part *part = datagrams->head;
    uint32_t size = first_of(datagrams)->size;

    part->from += size;
    datagrams->n_bytes -= size;
    session->n_datagram_bytes -= size;
    if (part->from < part->end)
        return;
    datagrams->head = part->next;
    if (datagrams->head == NULL)
        datagrams->tail = NULL;
    put_spent(session, part);
}

static void drop_first(struct datagrams *datagrams)
{
    datagrams_note_dropped(datagrams->stream);
    take_first(datagrams);
}

static void drop_old(struct datagrams *datagrams, uint64_t now_us)
{
    while (datagrams->head != NULL) {
        uint64_t waited_us = now_us - first_of(datagrams)->at_us;
        uint64_t most_us = datagrams->n_bytes > FEW_BYTES ? LATE_US : STALE_US;
        if (waited_us <= most_us)
            return;
        drop_first(datagrams);
    }
}

void datagrams_clear(struct stream *stream)
{
    struct datagrams *datagrams = stream->datagrams;

    if (datagrams == NULL)
        return;
    while (datagrams->head != NULL)
        drop_first(datagrams);
    list_remove(&datagrams->in_queue);
}

uint64_t datagrams_held_bytes(const struct datagrams *datagrams)
{
    uint64_t n_bytes = 0;

    for (struct datagram_part *part = datagrams->head; part != NULL; part = part->next)
        n_bytes += chunk_of(part)->cap;
    return n_bytes;
}

void datagrams_forget_spent(struct session *session)
{
    struct datagram_part *part;

    while ((part = session->spent) != NULL) {
        session->spent = part->next;
        store_put(&session->store, chunk_of(part));
    }
}

void datagrams_queue(struct stream *stream)
{
    struct datagrams *datagrams = stream->datagrams;
    bool may_go = datagrams->head != NULL && stream->needs == 0 && !stream->is_dead &&
                  !stream->is_closed && (stream->is_ours || stream->is_answered);

    if (may_go == !list_empty(&datagrams->in_queue))
        return;
    list_remove(&datagrams->in_queue);
    if (may_go)
        list_append(&queues_for(stream)->datagrams, &datagrams->in_queue);
}

/* ---- sending ---- */

bool stream_has_datagrams(const struct stream *stream)
{
    return stream->datagrams != NULL;
}

/* Makes room for so many bytes more, for which the oldest go. False: all together have too many. */
static bool make_room(struct datagrams *datagrams, size_t size)
{
    const struct session *session = datagrams->stream->session;
    uint64_t most = session->options.window_bytes / WAITING_PART;

    while (datagrams->head != NULL && (datagrams->n_bytes + size > WAITING_MAX_BYTES ||
                                       session->n_datagram_bytes + size > most))
        drop_first(datagrams);
    return session->n_datagram_bytes + size <= most;
}

/* Returns where so many bytes can be put; NULL: out of memory. */
static struct waiting *append(struct datagrams *datagrams, uint32_t size)
{
    struct datagram_part *tail = datagrams->tail;
    size_t want = datagrams->n_bytes < MIN_PART_BYTES   ? MIN_PART_BYTES
                  : datagrams->n_bytes > MAX_PART_BYTES ? MAX_PART_BYTES
                                                        : datagrams->n_bytes;

    if (tail == NULL || cap_of(tail) - tail->end < size) {
        struct chunk *chunk = store_get(&datagrams->stream->session->store,
                                        sizeof *tail + (want > size ? want : size));
        if (chunk == NULL)
            return NULL;
        tail = (void *)chunk->bytes;
        *tail = (struct datagram_part){.next = NULL};
        if (datagrams->tail != NULL)
            datagrams->tail->next = tail;
        else
            datagrams->head = tail;
        datagrams->tail = tail;
    }
    struct waiting *waiting = (void *)(tail->bytes + tail->end);
    tail->end += size;
    return waiting;
}

static size_t size_of(const struct target *address, size_t n)
{
    size_t size =
        sizeof(struct waiting) + ID_BYTES + varint_size(n) + frame_address_bytes(address) + n;

    return (size + alignof(struct waiting) - 1) / alignof(struct waiting) * alignof(struct waiting);
}

void stream_send_datagram(struct stream *stream, const struct target *address, const uint8_t *bytes,
                          size_t n, uint64_t now_us)
{
    struct datagrams *datagrams = stream->datagrams;
    struct session *session = stream->session;
    struct waiting *waiting = NULL;

    assert(datagrams != NULL);
    if (stream->is_dead || stream->is_closed || stream->is_finished ||
        n > FRAME_DATAGRAM_MAX_BYTES) {
        datagrams_note_dropped(stream);
        return;
    }
    size_t size = size_of(address, n);
    drop_old(datagrams, now_us);
    bool has_room = make_room(datagrams, size);
    datagrams_forget_spent(session);
    if (has_room)
        waiting = append(datagrams, (uint32_t)size);
    if (waiting == NULL) {
        datagrams_note_dropped(stream);
        return;
    }
    uint8_t *begin = waiting->room + ID_BYTES;
    uint8_t *end = frame_write_datagram_to(begin, n, address);
    if (n > 0)
        memcpy(end, bytes, n);
    waiting->at_us = now_us;
    waiting->size = (uint32_t)size;
    waiting->n = (uint32_t)((size_t)(end - begin) + n);
    datagrams->n_bytes += size;
    session->n_datagram_bytes += size;
    datagrams_queue(stream);
}

const uint8_t *datagrams_next(struct datagrams *datagrams, size_t *n)
{
    const struct stream *stream = datagrams->stream;

    drop_old(datagrams, stream->session->now_us);
    if (datagrams->head == NULL)
        return NULL;
    struct waiting *waiting = first_of(datagrams);
    size_t n_id = 1 + varint_size(stream->id);
    uint8_t *frame = waiting->room + ID_BYTES - n_id;
    frame_write_datagram_id(frame, stream->id);
    *n = n_id + waiting->n;
    return frame;
}

void datagrams_sent(struct datagrams *datagrams)
{
    datagrams->stream->session->n_sent_datagrams++;
    take_first(datagrams);
}

size_t datagrams_room(struct datagrams *datagrams)
{
    drop_old(datagrams, datagrams->stream->session->now_us);
    return datagrams->head == NULL ? 0 : ID_BYTES + first_of(datagrams)->n;
}

/* ---- receiving ---- */

/* Whoever it is for may be gone, or not there yet: it is lost then, as datagrams are. */
enum err datagrams_received(struct session *session, struct session_link *link,
                            const struct frame *frame)
{
    struct stream *stream = stream_find(session, frame->id);
    size_t n = (size_t)(frame->bytes - frame->address) + frame->n_bytes;

    if (frame->id < 2)
        return ERR_BAD;
    if (stream == NULL || stream->datagrams == NULL || stream->is_dead || stream->is_released)
        return ERR_NONE;
    session->n_received_datagrams++;
    link->has_carried = true;
    if (!session->delivers || incoming_lend(stream, frame->address, n) != ERR_NONE)
        datagrams_note_dropped(stream);
    else if (stream->awaits_read)
        stream_tell(stream, STREAM_READABLE);
    return ERR_NONE;
}

enum err stream_take_datagram(struct stream *stream, struct target *address, uint8_t **bytes,
                              size_t *n)
{
    const uint8_t *head;
    size_t n_whole, n_address;

    if (stream->is_dead)
        return ERR_RESET;
    while ((head = incoming_take_loan(stream, &n_whole)) != NULL) {
        if (frame_parse_address(head, n_whole, address, &n_address) == ERR_NONE) {
            /* It lies in a payload, which was given to be written to. */
            *bytes = (uint8_t *)(uintptr_t)(head + n_address);
            *n = n_whole - n_address;
            return ERR_NONE;
        }
        datagrams_note_dropped(stream);
    }
    if (stream->has_final)
        return ERR_EOF;
    stream->awaits_read = true;
    return ERR_AGAIN;
}

uint64_t stream_dropped_datagrams(struct stream *stream)
{
    uint64_t n = stream->datagrams->n_dropped;

    stream->datagrams->n_dropped = 0;
    return n;
}
