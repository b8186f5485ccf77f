/*
 * The far half: a session that joins find, that is kept while it has no link, and acts on nothing before the client's
 * signature where that is demanded.
 */
#include <string.h>

#include "crypto/hash.h"
#include "peer/inside.h"

/* ---- birth and end ---- */

static struct crowd *crowd_of(struct gate *gate, const struct peer *peer)
{
    return &gate->crowds[peer->far.user_tag[0] % GATE_CROWDS];
}

static struct crowd *largest_crowd(struct gate *gate)
{
    struct crowd *largest = &gate->crowds[0];

    for (size_t i = 1; i < GATE_CROWDS; i++)
        if (gate->crowds[i].n > largest->n)
            largest = &gate->crowds[i];
    return largest;
}

/* Whoever makes session after session and leaves them pays with those that he left first, and not with other users'. */
static void end_oldest(struct gate *gate)
{
    struct peer *oldest =
        CONTAINER_OF(largest_crowd(gate)->unlinked.next, struct peer, far.in_unlinked);

    far_end(oldest, "too many sessions without a link");
    oldest->far.tells_end = true;
    gate_tells(gate, oldest);
}

static void leave_unlinked(struct peer *peer)
{
    if (list_empty(&peer->far.in_unlinked))
        return;
    list_remove(&peer->far.in_unlinked);
    crowd_of(peer->far.gate, peer)->n--;
    peer->far.gate->n_unlinked--;
}

static void leave_table(struct peer *peer)
{
    if (list_empty(&peer->far.in_bucket))
        return;
    list_remove(&peer->far.in_bucket);
}

/* Who it is, of all that is known of that. */
static void mix_who(struct far *far, const void *bytes, size_t n)
{
    const struct piece pieces[] = {{far->who, sizeof far->who}, {bytes, n}};

    sha256(far->who, pieces, 2);
}

enum err far_new(struct peer **out, struct gate *gate, const struct flight_info *info,
                 const struct peer_time *time)
{
    const struct gate_options *options = &gate->options;
    uint64_t keep_s = info->keep_s < options->keep_s ? info->keep_s : options->keep_s;

    while (options->max_unlinked > 0 && gate->n_unlinked > options->max_unlinked)
        end_oldest(gate);
    struct peer *peer = peer_new(false, options->chunks, options->rng, options->window_bytes,
                                 options->stream_window_bytes, time);
    if (peer == NULL)
        return ERR_MEMORY;
    peer->far.gate = gate;
    peer->far.user = info->user;
    memcpy(peer->far.server_tag, info->server_tag, sizeof peer->far.server_tag);
    memcpy(peer->far.user_tag, info->user_tag, sizeof peer->far.user_tag);
    peer->far.keep_us = 2 * keep_s * SECOND_US;
    peer->far.awaits_auth = options->n_peers > 0;
    session_hold_listens(peer->reign->session, true);
    mix_who(&peer->far, info->user_tag, sizeof info->user_tag);
    if (peer->far.awaits_auth)
        session_demand_auth(peer->reign->session);
    gate_add(gate, peer);
    *out = peer;
    return ERR_NONE;
}

void far_forget(struct peer *peer)
{
    struct gate *gate = peer->far.gate;

    if (gate == NULL)
        return;
    leave_unlinked(peer);
    leave_table(peer);
    gate_forget(gate, peer);
}

/* It has no link, and nobody will join it any more. */
void far_end(struct peer *peer, const char *why)
{
    leave_unlinked(peer);
    leave_table(peer);
    session_end(peer->reign->session, 3, peer->time.now_us);
    peer_finish(peer, why);
}

/* ---- joining ---- */

bool far_take_join(struct peer *peer, uint64_t number)
{
    struct far *far = &peer->far;

    if (number == 0)
        return false;
    if (number > far->last_join) {
        uint64_t step = number - far->last_join;
        /* Bit i stands for the number that is 1 + i below the highest. */
        far->joins = step > 64 ? 0 : step == 64 ? 0 : far->joins << step;
        if (far->last_join > 0 && step <= 64)
            far->joins |= UINT64_C(1) << (step - 1);
        far->last_join = number;
        return true;
    }
    uint64_t below = far->last_join - number;
    if (below == 0 || below > 64 || (far->joins >> (below - 1) & 1) != 0)
        return false;
    far->joins |= UINT64_C(1) << (below - 1);
    return true;
}

void far_linked(struct peer *peer, bool is_linked)
{
    struct gate *gate = peer->far.gate;

    leave_unlinked(peer);
    if (is_linked)
        return;
    /* Before the signature nobody can join it. */
    if (!peer->stands || peer->far.awaits_auth) {
        far_end(peer, NULL);
        return;
    }
    list_append(&crowd_of(gate, peer)->unlinked, &peer->far.in_unlinked);
    crowd_of(gate, peer)->n++;
    gate->n_unlinked++;
}

/* ---- who it is ---- */

/* If so, it is part of who that is. */
static bool is_authentic(const struct peer_link *link)
{
    const struct gate_options *options = &link->gate->options;
    const uint8_t *spki, *signature;
    size_t n_spki, n_signature;
    uint8_t bytes[HANDSHAKE_SIGN_BYTES];

    session_auth(link->reign->session, &spki, &n_spki, &signature, &n_signature);
    for (size_t i = 0; i < options->n_peers; i++) {
        const struct verify_key *key = options->peers[i];
        if (!verify_key_is(key, spki, n_spki))
            continue;
        handshake_signed_bytes(link->handshake, spki, n_spki, bytes);
        mix_who(&link->peer->far, spki, n_spki);
        return verify(key, bytes, sizeof bytes, signature, n_signature) == ERR_NONE;
    }
    return false;
}

static bool has_auth(struct session *session)
{
    struct session_event event;

    return session_next_event(session, &event) && event.kind == SESSION_AUTH;
}

/* Nothing else is told before it: no stream can be there. */
void far_authenticate(struct peer_link *link, enum err err)
{
    struct peer *peer = link->peer;

    if (err == ERR_NONE && has_auth(link->reign->session) && is_authentic(link)) {
        peer->far.awaits_auth = false;
        handshake_free(link->handshake);
        link->handshake = NULL;
        err = session_admit(link->reign->session, peer->time.now_us);
        if (err != ERR_NONE)
            peer_violated(link, err);
        else
            far_begin(peer);
        return;
    }
    peer_link_fail(link, FLIGHT_IDENTITY, "not one of the peers");
    far_end(peer, NULL);
}

void far_begin(struct peer *peer)
{
    if (peer->far.has_begun)
        return;
    const uint8_t *instance = session_instance(peer->reign->session);
    const uint8_t is_named = instance != NULL;
    mix_who(&peer->far, &is_named, sizeof is_named);
    /* Who does not say is nobody else's, and nobody else is him. */
    mix_who(&peer->far, is_named ? instance : peer->id,
            is_named ? INSTANCE_BYTES : sizeof peer->id);
    peer->far.has_begun = peer->far.tells_begun = true;
    session_hold_listens(peer->reign->session, false);
}

/* Its flight may have been kept for later by somebody between, or it has the key and not the identity. Else its client may still join the
 * session: it may never have got through what it had to say. */
void far_give_up(struct peer_link *link)
{
    struct peer *peer = link->peer;

    peer_link_fail(link, FLIGHT_SOUND, "nothing came behind its flight");
    if (peer->far.awaits_auth)
        far_end(peer, NULL);
}

/* ---- time ---- */

uint64_t far_deadline_us(const struct peer *peer)
{
    if (list_empty(&peer->far.in_unlinked))
        return NEVER_US;
    return peer->unlinked_us + peer->far.keep_us;
}

void far_advance(struct peer *peer)
{
    if (far_deadline_us(peer) <= peer->time.now_us)
        far_end(peer, "no link in all the time that it is kept for");
}
