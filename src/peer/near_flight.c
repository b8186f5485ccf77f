/*
 * The near half's handshakes: flight 1 with what may go at once behind it, and what flight 2 says.
 *
 * A flight that joins carries what the lost link had, and whatever waits, up to 64 KiB: so an upload flows again one and a half round trips
 * after the new carrier's first packet.
 */
#include <string.h>

#include "base/secret.h"
#include "peer/inside.h"

#define MAX_EARLY_BYTES FLIGHT_MAX_EARLY_BYTES

/* How long a link of a server that drains may be stalled before another's word is taken for it. */
#define DRAINED_STALL_US (10 * SECOND_US)

/* ---- flight 1 ---- */

/* By the server's clock as it was learnt; as long as nobody answers every other time by our own, as that may have been
 * mended since. It is the flights that take turns and not those that have failed, two of which fail together. */
static uint64_t flight_time_ms(struct peer *peer)
{
    struct near *near = &peer->near;
    bool by_wall = near->dates_by_wall;

    near->dates_by_wall = !by_wall;
    if (near->has_offset && !by_wall)
        return peer->time.boot_ms + near->offset_ms;
    return peer->time.wall_ms;
}

static void make_offer(struct peer_link *link, struct handshake_offer *offer)
{
    struct peer *peer = link->peer;
    const struct near_options *options = &peer->near.options;

    *offer = (struct handshake_offer){
        .server = options->key,
        .user = options->user,
        .identity = options->server,
        .keep_s = (uint32_t)options->keep_s,
        .most_up = (uint32_t)link->out_budget.most,
        .most_down = (uint32_t)link->in_budget.most,
        .has_aes = options->has_aes,
        .joins = peer->stands,
        .is_own = link->is_own,
    };
    if (!peer->stands)
        return;
    memcpy(offer->session_id, peer->id, sizeof offer->session_id);
    memcpy(offer->resume, peer->resume, sizeof offer->resume);
    offer->cipher = peer->cipher;
    offer->join_number = ++peer->near.last_join;
}

static bool is_link_0_taken(const struct peer *peer)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        if (CONTAINER_OF(at, struct peer_link, in_owner)->reign == peer->reign)
            return true;
    return false;
}

static bool may_send_early(const struct peer *peer)
{
    const struct near_options *options = &peer->near.options;

    if (peer->stands)
        return true;
    return options->sends_early && options->identity == NULL && !is_link_0_taken(peer);
}

/* Seals what the session has for this link into `out`, from its end on. */
static enum err seal_early(struct peer_link *link, uint64_t number)
{
    struct peer *peer = link->peer;
    uint8_t secret[32], cipher;
    enum err err = peer_link_enter(link, number);

    if (err != ERR_NONE)
        return err;
    if (link->is_own)
        session_own_link(link->reign->session, number);
    if (!session_wants(link->reign->session, number))
        return ERR_NONE;
    handshake_early_secret(link->handshake, secret, &cipher);
    struct record_sealer *sealer = record_sealer_new(cipher, secret, NULL);
    secret_wipe(secret, sizeof secret);
    if (sealer == NULL)
        return ERR_MEMORY;
    /* The flight goes before them, and is made when it is known what they are. */
    budget_use(&link->out_budget, FLIGHT1_MOST_BYTES);
    err = peer_link_seal(link, sealer, MAX_EARLY_BYTES, peer->time.now_us);
    link->out_budget.used -= budget_cost(FLIGHT1_MOST_BYTES);
    record_sealer_free(sealer);
    return err;
}

/* The flight goes before what was sealed, which is known only then: room is kept between. */
static enum err write_flight(struct peer_link *link, size_t start)
{
    struct span *out = &link->out;
    size_t early = start + FLIGHT_MAX_BYTES, n_early = out->end - early, n;
    uint8_t *bytes = out->chunk->bytes;
    enum err err =
        handshake_write(link->handshake, (uint32_t)n_early, link->peer->rng, bytes + start, &n);

    if (err != ERR_NONE)
        return err;
    budget_use(&link->out_budget, n);
    memmove(bytes + start + n, bytes + early, n_early);
    out->end = start + n + n_early;
    return ERR_NONE;
}

static enum err begin(struct peer_link *link)
{
    struct peer *peer = link->peer;
    struct handshake_offer offer;
    bool sends_early = may_send_early(peer);

    make_offer(link, &offer);
    handshake_free(link->handshake);
    link->handshake = NULL;
    enum err err = handshake_start(&link->handshake, &offer, flight_time_ms(peer), peer->rng);
    secret_wipe(&offer, sizeof offer);
    if (err == ERR_NONE)
        err = span_reserve(&link->out, peer->chunks,
                           FLIGHT_MAX_BYTES + (sends_early ? MAX_EARLY_BYTES : 0));
    if (err != ERR_NONE)
        return err;
    size_t start = link->out.end;
    link->out.end += FLIGHT_MAX_BYTES;
    link->is_tentative = !peer->stands;
    if (sends_early)
        err = seal_early(link, peer->stands ? peer->near.last_join : 0);
    return err == ERR_NONE ? write_flight(link, start) : err;
}

void near_begin(struct peer_link *link, const struct peer_time *time)
{
    link->state = LINK_AWAITING;
    link->started_us = time->now_us;
    near_be_patient(link);
    if (begin(link) != ERR_NONE)
        peer_link_close(link, "out of memory");
    else
        peer_link_may_want(link);
}

/* ---- flight 2 ---- */

static void learn_clock(struct peer *peer, const struct peer_time *time, uint64_t server_ms)
{
    peer->near.has_offset = true;
    peer->near.dates_by_wall = false;
    peer->near.offset_ms = server_ms - time->boot_ms;
}

/* Where the server drains it has told that others answer in its place. */
static bool is_alive(const struct peer_link *link)
{
    if (link->state != LINK_UP || !link->is_stalled)
        return link->state == LINK_UP;
    uint64_t stall_us = near_stall_us(link), now_us = link->peer->time.now_us;
    return stall_us > now_us || (link->peer->is_drained && now_us - stall_us < DRAINED_STALL_US);
}

static bool has_link_alive(const struct peer *peer)
{
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        if (is_alive(CONTAINER_OF(at, struct peer_link, in_owner)))
            return true;
    return false;
}

/* The session is gone, the carrier is not: a fresh flight follows on it, behind what was announced, if that is within what it may carry. */
static void start_afresh(struct peer_link *link, const struct peer_time *time)
{
    if (link->had_gone || !link->peer->stands) {
        peer_link_close(link, "the other end says again that the session is gone");
        return;
    }
    link->had_gone = true;
    link->is_own = false;
    if (link->reign != NULL)
        session_retract(link->reign->session, link->number, time->now_us);
    peer_link_exit(link);
    near_start_over(link->peer, "the other end has not got the session any more");
    if (link->peer->near.needs_session)
        peer_link_close(link, "out of memory");
    else if (budget_room(&link->out_budget, FLIGHT1_MOST_BYTES) <
             RECORD_OVERHEAD_BYTES + SESSION_LAST_ROOM_BYTES)
        peer_link_close(link, "the carrier has no room for a fresh flight");
    else
        near_begin(link, time);
}

/* Several servers may answer at one address, of which one has the session: as long as a link of it is alive. Whether that is so, it is asked. */
static void hear_gone(struct peer_link *link, const struct peer_time *time)
{
    struct peer *peer = link->peer;

    if (!peer->stands || !has_link_alive(peer)) {
        start_afresh(link, time);
        return;
    }
    near_ask_links(peer);
    peer_link_close(link, "who has answered has not got the session, of which other links stand");
}

static void adopt_session(struct peer *peer, const struct flight_info *info,
                          const struct link_secrets *secrets)
{
    uint64_t keep_s = peer->near.options.keep_s;

    memcpy(peer->id, info->session_id, sizeof peer->id);
    memcpy(peer->resume, secrets->resume, sizeof peer->resume);
    peer->cipher = secrets->cipher;
    peer->stands = true;
    peer->unlinked_us = peer->time.now_us; /* until its link is signed for */
    peer->near.is_admitted = peer->near.options.identity == NULL;
    peer->near.keep_us = (info->keep_s < keep_s ? info->keep_s : keep_s) * SECOND_US;
}

/* What was sent early counts, or never was. */
static enum err settle_early(struct peer_link *link, const struct flight_info *info, bool is_fresh)
{
    struct peer *peer = link->peer;

    link->is_tentative = false;
    if (link->reign == NULL)
        return peer_link_enter(link, 0);
    if (is_fresh && !info->is_early_accepted)
        session_retract(link->reign->session, link->number, peer->time.now_us);
    return ERR_NONE;
}

static void stand(struct peer_link *link)
{
    peer_link_stand(link);
    near_stood(link);
    handshake_free(link->handshake);
    link->handshake = NULL;
}

/* A new session's first record proves who we are. */
static void prove_identity(struct peer_link *link)
{
    uint8_t signature[SIGN_MAX_BYTES];

    link->state = LINK_SIGNING;
    link->tells_sign = link->peer->near.options.signs_apart;
    link->peer->links_tell = true;
    if (!link->tells_sign)
        near_signed(link, signature, peer_sign(link, signature));
}

void near_signed(struct peer_link *link, const uint8_t *signature, size_t n)
{
    const struct near_options *options = &link->peer->near.options;
    size_t n_spki;
    const uint8_t *spki = verify_key_spki(sign_key_public(options->identity), &n_spki);

    if (n == 0 || session_put_auth(link->reign->session, spki, n_spki, signature, n) != ERR_NONE)
        peer_link_close(link, "our identity could not be proved");
    else
        stand(link);
}

static enum err accepted(struct peer_link *link, const struct flight_info *info)
{
    struct peer *peer = link->peer;
    bool is_fresh = !peer->stands;
    struct link_secrets secrets;

    handshake_secrets(link->handshake, &secrets);
    enum err err = peer_link_set_keys(link, &secrets);
    if (err == ERR_NONE && is_fresh)
        adopt_session(peer, info, &secrets);
    secret_wipe(&secrets, sizeof secrets);
    if (err != ERR_NONE)
        return err;
    near_succeeded(link);
    return settle_early(link, info, is_fresh);
}

/* Who has another key is silent, if he is a sockeye. */
static const char *fault_text(enum flight_fault fault)
{
    return fault == FLIGHT_MAC ? "what answers is no sockeye that has this key: another program "
                                 "listens there"
                               : peer_link_fault_text(fault);
}

void near_read_flight(struct peer_link *link, const struct peer_time *time)
{
    struct peer *peer = link->peer;
    size_t used;
    enum err err = handshake_read(link->handshake, link->in.chunk->bytes + link->in.start,
                                  span_bytes(&link->in), 0, &used);

    if (err == ERR_MORE) {
        link->in.start = link->in.end;
        return;
    }
    if (err != ERR_NONE) {
        link->in.start = link->in.end;
        peer_link_close(link, fault_text(handshake_fault(link->handshake)));
        return;
    }
    link->in.start += used;
    budget_use(&link->in_budget, used);
    const struct flight_info *info = handshake_info(link->handshake);
    bool is_fresh = !peer->stands;
    learn_clock(peer, time, info->time_ms);
    if (handshake_is_gone(link->handshake))
        hear_gone(link, time);
    else if (accepted(link, info) != ERR_NONE)
        peer_link_close(link, "out of memory");
    else if (is_fresh && peer->near.options.identity != NULL)
        prove_identity(link);
    else
        stand(link);
}
