#include "peer/inside.h"

#include <assert.h>
#include <stdlib.h>

#include "base/secret.h"

/* Bytes that are read at once: several large records, or about a flight. */
#define READ_BYTES ((size_t)256 * 1024)
#define READ_FLIGHT_BYTES ((size_t)8 * 1024)
#define READ_LEAST_BYTES ((size_t)512)
/* How long a link may take to say its last words and to see the other end's fin. */
#define LEAVE_US (30 * SECOND_US)
#define BRIEF_BYTES ((uint64_t)1024 * 1024)
/* What may wait for a signature. */
#define WAITING_MAX_BYTES (FLIGHT_MAX_EARLY_BYTES + FLIGHT_MAX_BYTES)

struct peer_link *peer_link_new(struct peer *peer, struct gate *gate, enum link_state state)
{
    struct peer_link *link = calloc(1, sizeof *link);

    if (link == NULL)
        return NULL;
    link->peer = peer;
    link->gate = gate;
    link->state = state;
    link->retry_us = link->cut_us = NEVER_US;
    list_init(&link->in_owner);
    list_init(&link->in_wanting);
    list_append(peer != NULL ? &peer->links : &gate->links, &link->in_owner);
    return link;
}

static void drop_keys(struct peer_link *link)
{
    handshake_free(link->handshake);
    record_sealer_free(link->sealer);
    record_opener_free(link->opener);
    record_opener_free(link->early_opener);
    link->handshake = NULL;
    link->sealer = NULL;
    link->opener = link->early_opener = NULL;
}

void peer_link_free(struct peer_link *link)
{
    drop_keys(link);
    span_clear(&link->in);
    span_clear(&link->out);
    list_remove(&link->in_owner);
    list_remove(&link->in_wanting);
    free(link);
}

struct chunk_source *peer_link_chunks(const struct peer_link *link)
{
    return link->peer != NULL ? link->peer->chunks : link->gate->options.chunks;
}

const char *peer_link_fault_text(enum flight_fault fault)
{
    static const char *const texts[] = {
        [FLIGHT_SOUND] = NULL,
        [FLIGHT_MAC] = "not a flight of this key's",
        [FLIGHT_VERSION] = "another version of the protocol",
        [FLIGHT_LENGTH] = "a length out of range",
        [FLIGHT_MAC_2] = "a flight damaged on its way",
        [FLIGHT_TIME] = "a good key and a wrong clock",
        [FLIGHT_REPLAYED] = "a flight that came before",
        [FLIGHT_OLD] = "a flight from before what this server remembers",
        [FLIGHT_FULL] = "no room for more flights",
        [FLIGHT_NOISE] = "a flight that does not open",
        [FLIGHT_FIELDS] = "a flight with wrong fields",
        [FLIGHT_CIPHER] = "no cipher in common",
        [FLIGHT_JOIN] = "a join that was used up",
        [FLIGHT_IDENTITY] = "another identity than expected",
        [FLIGHT_UNWELCOME] = "a user who may not come from there",
        [FLIGHT_MEMORY] = "out of memory",
    };
    static_assert(sizeof texts / sizeof texts[0] == FLIGHT_MEMORY + 1, "a fault without a text");
    return texts[fault];
}

/* ---- being a link of a session ---- */

enum err peer_link_enter(struct peer_link *link, uint64_t number)
{
    struct peer *peer = link->peer;
    bool is_there = peer->is_near && number == 0 && peer->near.has_link_0;
    enum err err =
        is_there ? ERR_NONE : session_add_link(peer->reign->session, number, peer->time.now_us);

    if (err != ERR_NONE)
        return err;
    if (number == 0)
        peer->near.has_link_0 = true;
    link->number = number;
    link->reign = peer->reign;
    session_keep_link(peer->reign->session, number, link);
    return ERR_NONE;
}

void peer_link_exit(struct peer_link *link)
{
    struct reign *reign = link->reign;

    link->reign = NULL;
    if (reign == NULL)
        return;
    assert(link->peer != NULL);
    session_keep_link(reign->session, link->number, NULL);
    /* What it had is for others now, this turn too. */
    link->peer->was_offered = false;
    if (link->is_tentative)
        session_retract(reign->session, link->number, link->peer->time.now_us);
    else
        session_lose_link(reign->session, link->number, link->peer->time.now_us);
}

static void note_news(const struct peer_link *link)
{
    if (link->peer != NULL)
        link->peer->links_tell = true;
}

bool peer_link_is_up(const struct peer_link *link)
{
    return link->state == LINK_UP || link->state == LINK_LEAVING;
}

static void leave_peer(struct peer_link *link, enum link_state state)
{
    bool was_up = peer_link_is_up(link), had_left = link->state == LINK_LEAVING;
    struct peer *peer = link->peer;
    bool is_late = link->reign != NULL && peer != NULL && link->reign != peer->reign;

    link->state = state;
    list_remove(&link->in_wanting);
    if (link->reign != NULL)
        link->has_carried = session_link_has_carried(link->reign->session, link->number);
    peer_link_exit(link);
    if (peer == NULL)
        return;
    /* What becomes of a session's links that is over says nothing about the next attempt. */
    if (peer->is_near && !is_late)
        near_link_gone(link, was_up);
    peer_link_left(peer, was_up && !had_left);
}

void peer_link_close(struct peer_link *link, const char *why)
{
    if (link->state == LINK_CLOSING || link->state == LINK_SILENT)
        return;
    leave_peer(link, LINK_CLOSING);
    drop_keys(link);
    span_clear(&link->out);
    link->cut_us = NEVER_US;
    link->tells_close = true;
    note_news(link);
    link->is_clean = false;
    link->why = why;
}

void peer_link_fail(struct peer_link *link, enum flight_fault fault, const char *why)
{
    if (link->gate == NULL) {
        peer_link_close(link, why);
        return;
    }
    if (link->state != LINK_SILENT && link->state != LINK_CLOSING) {
        leave_peer(link, LINK_SILENT);
        link->cut_us = NEVER_US;
        gate_silence(link, fault, why);
        drop_keys(link);
        span_clear(&link->out);
    }
}

void peer_link_leave(struct peer_link *link, const char *why)
{
    if (link->state != LINK_UP || link->reign == NULL) {
        peer_link_close(link, why);
        return;
    }
    session_bye(link->reign->session, link->number);
    link->state = LINK_LEAVING;
    link->cut_us = link->peer->time.now_us + LEAVE_US;
    link->tells_close = link->is_clean = true;
    note_news(link);
    link->why = why;
    peer_link_left(link->peer, true);
}

enum err peer_link_set_keys(struct peer_link *link, const struct link_secrets *secrets)
{
    link->sealer = record_sealer_new(secrets->cipher, secrets->send, NULL);
    link->opener = record_opener_new(secrets->cipher, secrets->receive, NULL);
    if (link->n_early > 0)
        link->early_opener = record_opener_new(secrets->early_cipher, secrets->early, NULL);
    bool are_there = link->sealer != NULL && link->opener != NULL &&
                     (link->n_early == 0 || link->early_opener != NULL);
    return are_there ? ERR_NONE : ERR_MEMORY;
}

void peer_link_stand(struct peer_link *link)
{
    link->state = LINK_UP;
    session_link_stands(link->reign->session, link->number);
    link->tells_up = true;
    note_news(link);
    peer_link_may_want(link);
    link->active_us = link->peer->time.now_us;
}

/* ---- what comes ---- */

static size_t least_room(const struct peer_link *link)
{
    size_t has = span_bytes(&link->in);
    size_t lacks = link->n_needed > has ? link->n_needed - has : 0;
    return lacks > READ_LEAST_BYTES ? lacks : READ_LEAST_BYTES;
}

enum err peer_link_room(struct peer_link *link, uint8_t **bytes, size_t *n)
{
    bool waits = link->state == LINK_SIGNING || link->state == LINK_PARKED;

    if (waits && span_bytes(&link->in) >= WAITING_MAX_BYTES)
        peer_link_fail(link, FLIGHT_LENGTH, "more bytes than anyone sends before an answer");
    enum err err = span_reserve(&link->in, peer_link_chunks(link),
                                peer_link_is_up(link) ? READ_BYTES : READ_FLIGHT_BYTES);
    /* There may be enough for the record that has begun. */
    if (err == ERR_MEMORY && peer_link_is_up(link))
        err = span_reserve(&link->in, peer_link_chunks(link), least_room(link));
    /* Nobody who has shown nothing yet is to see that. */
    if (err == ERR_MEMORY && link->gate != NULL && !peer_link_is_up(link))
        peer_link_fail(link, FLIGHT_MEMORY, peer_link_fault_text(FLIGHT_MEMORY));
    if (err != ERR_NONE)
        return err;
    *bytes = link->in.chunk->bytes + link->in.end;
    *n = link->in.chunk->cap - link->in.end;
    return ERR_NONE;
}

static void opened(struct peer_link *link, uint8_t *payload, size_t n)
{
    struct peer *peer = link->peer;
    bool is_early = link->n_early > 0, is_first = !is_early && !link->was_used;

    assert(peer != NULL);
    link->heard_bytes += n;
    link->was_probed = false;
    link->was_used |= !is_early;
    /* Who has kept the flight back has the early ones, too. */
    if (!is_early && link->state == LINK_UP)
        link->cut_us = NEVER_US;
    if (!peer->is_near && peer->far.holds_early && !is_early) {
        peer->far.holds_early = false;
        session_deliver(link->reign->session, true);
    }
    enum err err = session_receive(link->reign->session, link->number, link->in.chunk, payload, n,
                                   peer->time.now_us);
    if (!peer->is_near && peer->far.awaits_auth)
        far_authenticate(link, err);
    else if (err != ERR_NONE)
        peer_violated(link, err);
    else if (peer->is_near)
        near_received(link);
    else if (!is_early)
        far_begin(peer);
    if (is_first && !peer->is_near && !peer->far.awaits_auth) {
        link->tells_proved = true;
        note_news(link);
    }
}

/* Opens the record at the beginning. False: it is not whole. */
static bool open_one(struct peer_link *link)
{
    bool is_early = link->n_early > 0;
    size_t n = span_bytes(&link->in);
    size_t limit = is_early && n > link->n_early ? link->n_early : n;
    uint8_t *payload;
    size_t n_payload, used;
    enum err err =
        record_open(is_early ? link->early_opener : link->opener,
                    link->in.chunk->bytes + link->in.start, limit, &payload, &n_payload, &used);

    if (err == ERR_MORE && !(is_early && used > link->n_early)) {
        link->n_needed = used;
        return false;
    }
    if (err != ERR_NONE) {
        peer_link_fail(link, FLIGHT_SOUND, "bad tag");
        return true;
    }
    link->n_needed = 0;
    link->in.start += used;
    budget_use(&link->in_budget, used);
    opened(link, payload, n_payload);
    if (is_early)
        link->n_early -= used;
    if (link->n_early == 0 && link->early_opener != NULL) {
        record_opener_free(link->early_opener);
        link->early_opener = NULL;
    }
    return true;
}

static void skip(struct peer_link *link)
{
    size_t n = span_bytes(&link->in);

    if (n > link->n_skip)
        n = link->n_skip;
    link->n_skip -= n;
    link->in.start += n;
}

/* Takes something off the beginning. False: there is nothing to be done before more comes. */
static bool take_some(struct peer_link *link, const struct peer_time *time)
{
    if (link->n_skip > 0) {
        skip(link);
        return true;
    }
    switch (link->state) {
    case LINK_READING:
        gate_read_flight(link, time);
        return true;
    case LINK_AWAITING:
        near_read_flight(link, time);
        return true;
    case LINK_UP:
    case LINK_LEAVING:
        if (link->reign != NULL)
            return open_one(link);
        break;
    case LINK_PARKED:
    case LINK_SIGNING:
        return false;
    case LINK_CLOSING:
    case LINK_SILENT:
        break;
    }
    link->in.start = link->in.end;
    return true;
}

static void take_all(struct peer_link *link, const struct peer_time *time)
{
    while (span_bytes(&link->in) > 0 && take_some(link, time))
        ;
}

void peer_link_take(struct peer_link *link, const struct peer_time *time)
{
    take_all(link, time);
    span_shrink(&link->in, peer_link_chunks(link));
}

void peer_link_received(struct peer_link *link, size_t n, const struct peer_time *time)
{
    link->in.end += n;
    if (n > 0)
        link->active_us = time->now_us;
    if (link->peer != NULL)
        peer_at(link->peer, time);
    /* Behind what has filled the room more waits: the rest moves once, to where that is read. */
    bool is_filled = n > 0 && link->in.end == link->in.chunk->cap;
    take_all(link, time);
    if (!is_filled || span_bytes(&link->in) == 0)
        span_shrink(&link->in, peer_link_chunks(link));
}

bool peer_link_has_part(const struct peer_link *link)
{
    return span_bytes(&link->in) > 0;
}

bool peer_link_is_done(const struct peer_link *link)
{
    return link->has_bye || link->state >= LINK_LEAVING || (link->gate != NULL && !link->was_used);
}

void peer_link_ended(struct peer_link *link, const struct peer_time *time)
{
    struct peer *peer = link->peer;

    if (peer != NULL)
        peer_at(peer, time);
    bool is_orphan = peer != NULL && !peer->is_near && !peer->far.is_known && !peer->stands;
    if (link->state != LINK_CLOSING && link->state != LINK_SILENT)
        leave_peer(link, LINK_CLOSING);
    peer_link_free(link);
    /* It has ended while its signature was made, and nobody was told of the peer yet. */
    if (is_orphan)
        peer_free(peer);
}

bool peer_link_is_brief(const struct peer_link *link)
{
    return link->out_budget.most > 0 && link->out_budget.most < BRIEF_BYTES;
}

void peer_link_set_owner(struct peer_link *link, void *owner)
{
    link->owner = owner;
}

void *peer_link_owner(const struct peer_link *link)
{
    return link->owner;
}

uint64_t peer_link_number(const struct peer_link *link)
{
    return link->number;
}
