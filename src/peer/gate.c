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
    list_init(&gate->links);
    list_init(&gate->parked);
    list_init(&gate->silent);
    for (size_t i = 0; i < GATE_CROWDS; i++)
        list_init(&gate->crowds[i].unlinked);
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

struct peer_link *gate_accept(struct gate *gate)
{
    struct peer_link *link = peer_link_new(NULL, gate, LINK_READING);

    if (link != NULL && handshake_expect(&link->handshake, &gate->options.ground) != ERR_NONE) {
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
    link->user = link->handshake != NULL ? handshake_info(link->handshake)->user : NULL;
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
        *event = (struct gate_event){.kind = GATE_SILENT,
                                     .link = link,
                                     .fault = link->fault,
                                     .why = link->why,
                                     .user = link->user};
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

/* It is about to be freed, by who has its carriers: of its links that fell silent nothing more is told. */
void gate_forget(struct gate *gate, struct peer *peer)
{
    struct peer **at = &gate->telling;

    while (*at != NULL && *at != peer)
        at = &(*at)->far.next_telling;
    if (*at != NULL)
        *at = peer->far.next_telling;
    for (struct list *link = gate->silent.next; link != &gate->silent; link = link->next) {
        struct peer_link *silent = CONTAINER_OF(link, struct peer_link, in_owner);
        if (silent->peer != peer)
            continue;
        silent->peer = NULL;
        silent->tells_silent = silent->tells_gate = false;
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

/* ---- other keys and users ---- */

#define NOT_ANY_MORE "the user, or the key, is not there any more"

/* What was told of none of them is to be of users that are not there any more. */
static void turn_links(struct list *links, const struct handshake_ground *ground)
{
    for (struct list *at = links->next, *next; at != links; at = next) {
        next = at->next;
        struct peer_link *link = CONTAINER_OF(at, struct peer_link, in_owner);
        link->user = NULL;
        if (link->handshake != NULL && handshake_move(link->handshake, ground) != ERR_NONE)
            peer_link_fail(link, FLIGHT_MAC, NOT_ANY_MORE);
    }
}

static bool has_server_key(const struct handshake_ground *ground, const uint8_t *tag)
{
    for (size_t i = 0; i < ground->n_servers; i++)
        if (memcmp(ground->servers[i].key->tag, tag, LINK_TAG_BYTES) == 0)
            return true;
    return false;
}

bool gate_knows(struct peer *peer)
{
    struct far *far = &peer->far;
    const struct handshake_ground *ground = &far->gate->options.ground;
    far->user = NULL;
    bool is_user = ground->find_user == NULL
                       ? memcmp(far->user_tag, far->server_tag, LINK_TAG_BYTES) == 0
                       : ground->find_user(ground->users, far->user_tag, &far->user) != NULL;
    far->is_unknown = !is_user || !has_server_key(ground, far->server_tag);
    turn_links(&peer->links, ground);
    return !far->is_unknown;
}

void gate_turn(struct gate *gate, const struct handshake_ground *ground)
{
    gate->options.ground = *ground;
    turn_links(&gate->links, &gate->options.ground);
    turn_links(&gate->parked, &gate->options.ground);
    turn_links(&gate->silent, &gate->options.ground);
    for (size_t i = 0; i < GATE_BUCKETS; i++)
        for (struct list *at = gate->buckets[i].next; at != &gate->buckets[i]; at = at->next)
            (void)gate_knows(CONTAINER_OF(at, struct peer, far.in_bucket));
}

const struct link_user *gate_user_of(const struct peer *peer)
{
    return peer->far.user;
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

void gate_attach(struct gate *gate, struct gate_parcel *parcel, struct peer_link **out)
{
    struct peer_link *link = parcel->link;

    *out = link;
    link->gate = gate;
    list_append(&gate->links, &link->in_owner);
    bool is_known = handshake_move(link->handshake, &gate->options.ground) == ERR_NONE;
    if (!is_known)
        peer_link_fail(link, FLIGHT_MAC, NOT_ANY_MORE);
    else if (parcel->n > 0 && span_reserve(&link->in, gate->options.chunks, parcel->n) != ERR_NONE)
        peer_link_fail(link, FLIGHT_MEMORY, "out of memory");
    else if (parcel->n > 0) {
        memcpy(link->in.chunk->bytes, parcel->rest, parcel->n);
        link->in.end = parcel->n;
    }
    free(parcel);
}

void gate_go_on(struct peer_link *link, const struct peer_time *time)
{
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
