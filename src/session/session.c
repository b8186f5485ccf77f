/* A session's birth, its events and deadlines, its end. */
#include "session/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "session/state.h"

void queues_init(struct queues *queues)
{
    list_init(&queues->urgent);
    list_init(&queues->bulk);
    list_init(&queues->windows);
    list_init(&queues->datagrams);
}

bool queues_are_empty(const struct queues *queues)
{
    return list_empty(&queues->urgent) && list_empty(&queues->bulk) && list_empty(&queues->windows);
}

enum err session_new(struct session **out, const struct session_options *options)
{
    struct session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return ERR_MEMORY;
    session->options = *options;
    session->store.source = options->chunks;
    session->store.free_bytes = options->window_bytes;
    session->delivers = true;
    session->initial_told = session->initial_theirs = INITIAL_FULL;
    session->initial_sent.link = session->drain_sent.link = NO_LINK;
    session->end_by = session->bulk_by = NO_LINK;
    list_init(&session->streams);
    list_init(&session->crowded_out);
    list_init(&session->commons);
    list_init(&session->wanting);
    list_init(&session->events);
    list_init(&session->listeners);
    list_init(&session->listeners_closing);
    list_init(&session->listener_needs);
    queues_init(&session->queues);
    *out = session;
    return ERR_NONE;
}

void session_forget_auth(struct session_auth_copy *auth)
{
    free(auth->bytes);
    *auth = (struct session_auth_copy){.bytes = NULL};
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    while (!list_empty(&session->streams))
        stream_delete(CONTAINER_OF(session->streams.next, struct stream, in_session));
    session_settle(session);
    assert(session->store.n_held_bytes == 0 && session->n_datagram_bytes == 0);
    listeners_free(session);
    while (session->n_links > 0)
        link_free(session, session->links[0]);
    ids_deinit(&session->ours);
    ids_deinit(&session->theirs);
    session_forget_auth(&session->auth_in);
    session_forget_auth(&session->auth_out);
    free(session->auth_rest);
    free(session->loans);
    free(session->given);
    free(session->links);
    free(session->places);
    free(session->buckets);
    free(session);
}

/* ---- events ---- */

void stream_tell(struct stream *stream, enum session_event_kind kind)
{
    if (stream->is_released)
        return;
    stream->events |= (uint8_t)(1U << kind);
    if (list_empty(&stream->in_events))
        list_append(&stream->session->events, &stream->in_events);
}

static bool next_of_links(struct session *session, struct session_event *event)
{
    for (size_t i = 0; session->n_link_events > 0 && i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        bool *flag = link->event_spent ? &link->event_spent
                     : link->event_bye ? &link->event_bye
                                       : &link->event_lost;
        if (!*flag)
            continue;
        *event = (struct session_event){.kind = flag == &link->event_spent ? SESSION_LINK_SPENT
                                                : flag == &link->event_bye ? SESSION_LINK_BYE
                                                                           : SESSION_LINK_LOST,
                                        .link = link->number};
        *flag = false;
        session->n_link_events--;
        return true;
    }
    return false;
}

static bool next_of_streams(struct session *session, struct session_event *event)
{
    if (list_empty(&session->events))
        return false;
    struct stream *stream = CONTAINER_OF(session->events.next, struct stream, in_events);
    unsigned kind = STREAM_INCOMING;
    while ((stream->events & 1U << kind) == 0)
        kind++;
    stream->events &= (uint8_t) ~(1U << kind);
    if (kind == STREAM_READABLE)
        stream->awaits_read = false;
    if (stream->events == 0)
        list_remove(&stream->in_events);
    *event = (struct session_event){.kind = (enum session_event_kind)kind, .stream = stream};
    return true;
}

bool session_has_event(const struct session *session)
{
    return session->event_auth || session->has_listener_events || !list_empty(&session->events) ||
           session->n_link_events > 0 || session->event_drain || session->event_ended;
}

bool session_next_event(struct session *session, struct session_event *event)
{
    if (session->event_auth) {
        session->event_auth = false;
        *event = (struct session_event){.kind = SESSION_AUTH};
        return true;
    }
    if (listeners_tell(session, event) || next_of_streams(session, event) ||
        next_of_links(session, event))
        return true;
    if (session->event_drain) {
        session->event_drain = false;
        *event = (struct session_event){.kind = SESSION_DRAIN, .seconds = session->drain_theirs_s};
        return true;
    }
    if (!session->event_ended)
        return false;
    session->event_ended = false;
    *event = (struct session_event){.kind = SESSION_ENDED, .code = session->end_code};
    return true;
}

/* ---- identities ---- */

enum err session_keep_auth(struct session_auth_copy *auth, const uint8_t *spki, size_t n_spki,
                           const uint8_t *signature, size_t n_signature)
{
    uint8_t *bytes = malloc(n_spki + n_signature + 1);

    if (bytes == NULL)
        return ERR_MEMORY;
    memcpy(bytes, spki, n_spki);
    memcpy(bytes + n_spki, signature, n_signature);
    session_forget_auth(auth);
    *auth =
        (struct session_auth_copy){.bytes = bytes, .n_spki = n_spki, .n_signature = n_signature};
    return ERR_NONE;
}

enum err session_put_auth(struct session *session, const uint8_t *spki, size_t n_spki,
                          const uint8_t *signature, size_t n_signature)
{
    return session_keep_auth(&session->auth_out, spki, n_spki, signature, n_signature);
}

void session_auth(const struct session *session, const uint8_t **spki, size_t *n_spki,
                  const uint8_t **signature, size_t *n_signature)
{
    const struct session_auth_copy *auth = &session->auth_in;

    *spki = auth->bytes;
    *n_spki = auth->n_spki;
    *signature = auth->bytes + auth->n_spki;
    *n_signature = auth->n_signature;
}

void session_demand_auth(struct session *session)
{
    session->demands_auth = true;
}

void session_deliver(struct session *session, bool is_on)
{
    session->delivers = is_on;
    for (struct list *at = session->streams.next; is_on && at != &session->streams; at = at->next) {
        struct stream *stream = CONTAINER_OF(at, struct stream, in_session);
        bool has_end = stream->has_final && stream->in.received == stream->in.final_size;
        if (stream->awaits_read && !stream->is_dead &&
            (has_end || stream->in.received > stream->in.consumed))
            stream_tell(stream, STREAM_READABLE);
    }
}

/* ---- the end ---- */

/* Of one that is closed all has come, and may be read still. */
static void kill_all(struct session *session, bool are_closed, enum stream_reset code)
{
    struct list *next;

    for (struct list *at = session->streams.next; at != &session->streams; at = next) {
        struct stream *stream = CONTAINER_OF(at, struct stream, in_session);
        next = at->next;
        if (stream->is_closed != are_closed)
            continue;
        stream_die(stream, code, true);
        stream_close(stream);
    }
}

void session_over(struct session *session, enum stream_reset code)
{
    if (session->state == SESSION_OVER)
        return;
    session->state = SESSION_OVER;
    session->event_ended = true;
    session->end_needed = false;
    listeners_quieten(session);
    kill_all(session, false, code);
}

void session_kill_closed(struct session *session)
{
    kill_all(session, true, STREAM_RESET_LOST);
}

void session_drain(struct session *session, uint64_t seconds)
{
    session->is_draining = session->drain_needed = true;
    session->drain_s = seconds;
}

bool session_drain_is_known(const struct session *session)
{
    const struct slot *sent = &session->drain_sent;

    if (!session->is_draining || session->drain_needed)
        return false;
    const struct session_link *link = link_find(session, sent->link);
    return link == NULL || sent->record < link->n_acked;
}

bool session_is_drained(const struct session *session)
{
    return session->is_drained;
}

void session_end(struct session *session, uint8_t code, uint64_t now_us)
{
    bool has_link = false;

    session->now_us = now_us;
    if (session->state != SESSION_ALIVE)
        return;
    session->state = SESSION_ENDING;
    session->end_code = code;
    session->end_needed = true;
    session->end_at_us = now_us + END_US;
    listeners_quieten(session);
    kill_all(session, false, code == 0 ? STREAM_RESET_DRAIN : STREAM_RESET_LOST);
    for (size_t i = 0; i < session->n_links; i++)
        has_link = has_link || session->links[i]->is_up;
    if (!has_link)
        session_over(session, STREAM_RESET_LOST);
}

void session_say_instance(struct session *session, uint64_t number,
                          const uint8_t instance[static INSTANCE_BYTES])
{
    struct session_link *link = link_find(session, number);

    if (link == NULL || !link->is_up)
        return;
    memcpy(session->instance, instance, sizeof session->instance);
    link->instance_needed = true;
    link_may_want(session, link);
}

const uint8_t *session_instance(const struct session *session)
{
    return session->has_instance ? session->instance : NULL;
}

void session_ping(struct session *session, uint64_t number, uint64_t now_us)
{
    struct session_link *link = link_find(session, number);

    session->now_us = now_us;
    if (link == NULL || !link->is_up)
        return;
    link->ping_needed = true;
    link_may_want(session, link);
    /* The time would tell since when this machine runs, and so which it is. */
    link->ping_token = ++link->n_pings;
    link->ping_us = now_us;
}

void session_bye(struct session *session, uint64_t number)
{
    struct session_link *link = link_find(session, number);

    if (link == NULL || !link->is_up || link->bye_sent)
        return;
    link->bye_needed = true;
    link_may_want(session, link);
    session->ranking.is_known = false;
}

/* ---- time ---- */

uint64_t session_deadline_us(const struct session *session)
{
    uint64_t at_us = session->state == SESSION_ENDING ? session->end_at_us : UINT64_MAX;

    for (size_t i = 0; i < session->n_links; i++) {
        const struct session_link *link = session->links[i];
        if (link->is_up && !link->ack_due && !link->bye_sent && link->ack_at_us < at_us)
            at_us = link->ack_at_us;
    }
    uint64_t links_us = links_deadline_us(session);
    return links_us < at_us ? links_us : at_us;
}

void session_advance(struct session *session, uint64_t now_us)
{
    session->now_us = now_us;
    session->ranking.is_known = false;
    for (size_t i = 0; i < session->n_links; i++) {
        struct session_link *link = session->links[i];
        if (link->is_up && link->ack_at_us <= now_us) {
            link->ack_due = true;
            link_may_want(session, link);
        }
    }
    links_check(session);
    if (session->state == SESSION_ENDING && session->end_at_us <= now_us)
        session_over(session, STREAM_RESET_LOST);
}

void session_stats(const struct session *session, struct session_stats *stats)
{
    *stats = (struct session_stats){
        .n_streams = session->n_live,
        .n_dead = session->n_streams - session->n_live - session->n_closed,
        .n_closed = session->n_closed,
        .n_opened = session->n_ever,
        .n_listeners = session->n_listeners,
        .n_sent_bytes = session->n_sent_bytes,
        .n_received_bytes = session->n_received_bytes,
        .n_resent_bytes = session->n_resent_bytes,
        .n_acked_bytes = session->n_acked_bytes,
        .n_held_bytes = session->store.n_held_bytes,
        .n_granted_bytes = session->reserved,
        .n_sent_datagrams = session->n_sent_datagrams,
        .n_received_datagrams = session->n_received_datagrams,
        .n_dropped_datagrams = session->n_dropped_datagrams,
    };
}

static struct session_stream_stats stats_of(const struct stream *stream)
{
    const struct outgoing *out = &stream->out;
    return (struct session_stream_stats){
        .id = stream->id,
        .srtt_us = out->round_trip.smoothed_us,
        .min_rtt_us = out->round_trip.min_us,
        .n_sent_bytes = out->next < out->end ? out->next : out->end,
        .n_acked_bytes = out->base < out->end ? out->base : out->end,
        .n_received_bytes = stream->in.received,
        .n_resent_bytes = out->n_resent,
    };
}

size_t session_stream_stats(const struct session *session, struct session_stream_stats *stats,
                            size_t max)
{
    size_t n = 0;
    for (struct list *at = session->streams.next; at != &session->streams && n < max;
         at = at->next) {
        const struct stream *stream = CONTAINER_OF(at, struct stream, in_session);
        if (stream->id != 0 && !stream->is_dead && !stream->is_closed)
            stats[n++] = stats_of(stream);
    }
    return n;
}
