/*
 * The gate itself: carriers that nobody knows yet, the sessions that a flight may join, and what leaves: links that fall
 * silent, links whose session another worker has.
 */
#include "peer/gate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "peer/inside.h"

enum err gate_new(struct gate **out, const struct gate_options *options)
{
    struct gate *gate = calloc(1, sizeof *gate);

    if (gate == NULL)
        return ERR_MEMORY;
    gate->options = *options;
    gate->ground = (struct handshake_ground){
        .server = options->key,
        .replays = options->replays,
        .clock_skew_ms = options->clock_skew_ms,
    };
    list_init(&gate->links);
    list_init(&gate->parked);
    list_init(&gate->silent);
    list_init(&gate->unlinked);
    for (size_t i = 0; i < GATE_BUCKETS; i++)
        list_init(&gate->buckets[i]);
    *out = gate;
    return ERR_NONE;
}

static void free_links(struct list *links)
{
    while (!list_empty(links))
        peer_link_free(CONTAINER_OF(links->next, struct peer_link, in_owner));
}

void gate_free(struct gate *gate)
{
    if (gate == NULL)
        return;
    free_links(&gate->links);
    free_links(&gate->parked);
    free_links(&gate->silent);
    free(gate);
}

struct peer_link *gate_accept(struct gate *gate, const struct peer_time *time)
{
    (void)time;
    struct peer_link *link = peer_link_new(NULL, gate, LINK_READING);

    if (link != NULL && handshake_expect(&link->handshake, &gate->ground) != ERR_NONE) {
        peer_link_free(link);
        return NULL;
    }
    return link;
}

/* ---- sessions by their ids ---- */

static struct list *bucket_of(struct gate *gate, const uint8_t id[SESSION_ID_BYTES])
{
    /* The first bytes are the worker's, the others were drawn by us. */
    return &gate->buckets[id[GATE_WORKER_BYTES] % GATE_BUCKETS];
}

uint16_t gate_worker_of(const uint8_t id[SESSION_ID_BYTES])
{
    return (uint16_t)(id[0] << 8 | id[1]);
}

struct peer *gate_find(struct gate *gate, const uint8_t id[SESSION_ID_BYTES])
{
    struct list *bucket = bucket_of(gate, id);

    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct peer *peer = CONTAINER_OF(at, struct peer, far.in_bucket);
        if (memcmp(peer->id, id, SESSION_ID_BYTES) == 0)
            return peer;
    }
    return NULL;
}

void gate_add(struct gate *gate, struct peer *peer)
{
    do {
        rng_fill(peer->rng, peer->id, sizeof peer->id);
        peer->id[0] = (uint8_t)(gate->options.worker >> 8);
        peer->id[1] = (uint8_t)gate->options.worker;
        peer->id[GATE_WORKER_BYTES] |= (uint8_t)(gate->options.worker == 0); /* never zeros alone */
    } while (gate_find(gate, peer->id) != NULL);
    list_append(bucket_of(gate, peer->id), &peer->far.in_bucket);
}

/* ---- silence ---- */

void gate_silence(struct peer_link *link, enum flight_fault fault, const char *why)
{
    struct gate *gate = link->gate;

    link->state = LINK_SILENT;
    link->fault = fault;
    link->why = why;
    link->tells_up = link->tells_sign = link->tells_close = false;
    if (link->sealer == NULL)
        link->tells_gate = false; /* else whoever asks has to know the peer that it was a link of */
    link->tells_silent = true;
    list_remove(&link->in_owner);
    list_append(&gate->silent, &link->in_owner);
}

void gate_sweep(struct gate *gate)
{
    for (struct list *at = gate->silent.next, *next; at != &gate->silent; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (!link->tells_silent && !link->tells_gate)
            peer_link_free(link);
    }
}

/* ---- events ---- */

static bool silent_tells(struct gate *gate, struct gate_event *event)
{
    for (struct list *at = gate->silent.next; at != &gate->silent; at = at->next) {
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        if (link->peer != NULL || !link->tells_silent)
            continue;
        link->tells_silent = false;
        *event = (struct gate_event){
            .kind = GATE_SILENT, .link = link, .fault = link->fault, .why = link->why};
        return true;
    }
    return false;
}

void gate_tells(struct gate *gate, struct peer *peer)
{
    struct peer **at = &gate->telling;

    while (*at != NULL && *at != peer)
        at = &(*at)->far.next_telling;
    *at = peer;
}

/* It is about to be freed: what fell silent on it is the gate's to tell. */
void gate_forget(struct gate *gate, struct peer *peer)
{
    struct peer **at = &gate->telling;

    while (*at != NULL && *at != peer)
        at = &(*at)->far.next_telling;
    if (*at != NULL)
        *at = peer->far.next_telling;
    for (struct list *link = gate->silent.next; link != &gate->silent; link = link->next) {
        struct peer_link *silent = CONTAINER_OF(link, struct peer_link, in_owner);
        if (silent->peer == peer)
            silent->peer = NULL;
    }
}

static bool link_tells(struct peer_link *link, struct gate_event *event)
{
    if (!link->tells_gate)
        return false;
    link->tells_gate = false;
    *event = (struct gate_event){.link = link, .peer = link->peer};
    if (link->peer != NULL)
        link->peer->far.is_known = true;
    if (link->state == LINK_SIGNING)
        event->kind = GATE_SIGN;
    else if (link->state == LINK_PARKED) {
        event->kind = GATE_ELSEWHERE;
        event->worker = gate_worker_of(handshake_info(link->handshake)->session_id);
    } else
        event->kind = link->number == 0 ? GATE_FRESH : GATE_JOINED;
    return true;
}

static bool list_tells(struct list *links, struct gate_event *event)
{
    for (struct list *at = links->next; at != links; at = at->next)
        if (link_tells(CONTAINER_OF(at, struct peer_link, in_owner), event))
            return true;
    return false;
}

static bool peer_tells(struct peer *peer, struct gate_event *event)
{
    if (!peer->far.tells_end)
        return false;
    peer->far.tells_end = false;
    *event = (struct gate_event){.kind = GATE_ENDED, .peer = peer};
    return true;
}

bool gate_next_event(struct gate *gate, struct gate_event *event)
{
    gate_sweep(gate);
    while (gate->telling != NULL) {
        struct peer *peer = gate->telling;
        if (peer_tells(peer, event) || list_tells(&peer->links, event))
            return true;
        gate->telling = peer->far.next_telling;
        peer->far.next_telling = NULL;
    }
    /* Of those that stand at the gate, however many they are, only these have something to tell. */
    return list_tells(&gate->parked, event) || list_tells(&gate->silent, event) ||
           silent_tells(gate, event);
}

/* ---- moving to another worker ---- */

struct gate_parcel {
    struct peer_link *link;
    size_t n;
    uint8_t rest[]; /* bytes behind the flight; chunks stay with their worker */
};

struct gate_parcel *gate_detach(struct peer_link *link)
{
    size_t n = span_bytes(&link->in);
    struct gate_parcel *parcel = malloc(sizeof *parcel + n);

    assert(link->out.chunk == NULL);
    if (parcel == NULL)
        return NULL;
    parcel->link = link;
    parcel->n = n;
    if (n > 0)
        memcpy(parcel->rest, link->in.chunk->bytes + link->in.start, n);
    span_clear(&link->in);
    list_remove(&link->in_owner);
    link->gate = NULL;
    link->owner = NULL;
    return parcel;
}

void gate_attach(struct gate *gate, struct gate_parcel *parcel, const struct peer_time *time,
                 struct peer_link **out)
{
    struct peer_link *link = parcel->link;

    *out = link;
    link->gate = gate;
    list_append(&gate->links, &link->in_owner);
    handshake_move(link->handshake, &gate->ground);
    if (parcel->n > 0 && span_reserve(&link->in, gate->options.chunks, parcel->n) != ERR_NONE)
        peer_link_fail(link, FLIGHT_MEMORY, "out of memory");
    else if (parcel->n > 0) {
        memcpy(link->in.chunk->bytes, parcel->rest, parcel->n);
        link->in.end = parcel->n;
    }
    free(parcel);
    if (link->state != LINK_PARKED)
        return;
    link->was_moved = true;
    gate_decide(link, time);
    peer_link_take(link, time);
}

void gate_parcel_free(struct gate_parcel *parcel)
{
    if (parcel == NULL)
        return;
    peer_link_free(parcel->link);
    free(parcel);
}
