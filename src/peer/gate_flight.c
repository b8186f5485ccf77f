/*
 * What the gate does with a flight: a new session, a link of one that is there, *gone*, another worker's, or silence. Each failure
 * goes through gate_silence(), and nothing was written by then.
 */
#include <string.h>

#include "base/secret.h"
#include "peer/inside.h"

/* By then a client has sent a record behind the handshake, and before that the early ones, at this rate at least. */
#define FIRST_RECORD_US (10 * SECOND_US)
#define EARLY_BYTE_US UINT64_C(250)

static void fail(struct peer_link *link, enum flight_fault fault)
{
    peer_link_fail(link, fault, peer_link_fault_text(fault));
}

/* What handshake_...() says, else what its result means. */
static void fail_by(struct peer_link *link, enum err err)
{
    enum flight_fault fault = handshake_fault(link->handshake);

    if (fault == FLIGHT_SOUND)
        fault = err == ERR_MEMORY ? FLIGHT_MEMORY : FLIGHT_NOISE;
    fail(link, fault);
}

/* ---- gone ---- */

static void answer_gone(struct peer_link *link, const struct peer_time *time)
{
    struct gate *gate = link->gate;
    uint32_t n_early = handshake_info(link->handshake)->n_early;
    struct handshake *fresh;
    size_t n;

    if (span_reserve(&link->out, gate->options.chunks, FLIGHT_MAX_BYTES) != ERR_NONE ||
        handshake_write_gone(link->handshake, time->wall_ms, gate->options.rng,
                             link->out.chunk->bytes + link->out.end, &n) != ERR_NONE ||
        handshake_expect(&fresh, &gate->options.ground) != ERR_NONE) {
        fail(link, FLIGHT_MEMORY);
        return;
    }
    link->out.end += n;
    budget_use(&link->out_budget, n);
    handshake_free(link->handshake);
    link->handshake = fresh;
    link->had_gone = true;
    link->was_moved = false; /* whoever comes next was judged nowhere yet */
    link->n_skip = n_early;
    link->state = LINK_READING;
    link->tells_gate = false;
}

/* ---- flight 2 ---- */

static enum err write_answer(struct peer_link *link, const uint8_t *signature, size_t n_signature,
                             const struct peer_time *time)
{
    struct gate *gate = link->gate;
    struct handshake_answer answer = {
        .keep_s = (uint32_t)(link->peer->far.keep_us / SECOND_US),
        .accepts_early = link->n_early > 0,
    };
    size_t n;

    memcpy(answer.session_id, link->peer->id, sizeof answer.session_id);
    if (n_signature > 0) {
        answer.spki = verify_key_spki(sign_key_public(gate->options.identity), &answer.n_spki);
        answer.signature = signature;
        answer.n_signature = n_signature;
    }
    enum err err = span_reserve(&link->out, gate->options.chunks, FLIGHT_MAX_BYTES);
    if (err == ERR_NONE)
        err = handshake_answer(link->handshake, &answer, time->wall_ms, gate->options.rng,
                               link->out.chunk->bytes + link->out.end, &n);
    if (err != ERR_NONE)
        return err;
    link->out.end += n;
    budget_use(&link->out_budget, n);
    return ERR_NONE;
}

/* The link belongs to the peer from here on; the gate tells that. */
static void move_to_peer(struct peer_link *link, struct peer *peer)
{
    list_remove(&link->in_owner);
    list_append(&peer->links, &link->in_owner);
    link->peer = peer;
}

static enum err stand(struct peer_link *link, uint64_t number)
{
    struct peer *peer = link->peer;
    struct link_secrets secrets;
    enum err err = peer_link_enter(link, number);

    if (err != ERR_NONE)
        return err;
    link->out_budget.most = handshake_info(link->handshake)->most_down;
    if (handshake_info(link->handshake)->is_own)
        session_own_link(peer->reign->session, number);
    handshake_secrets(link->handshake, &secrets);
    err = peer_link_set_keys(link, &secrets);
    /* One that does not stand ends with its only link. */
    if (err == ERR_NONE && number == 0) {
        memcpy(peer->resume, secrets.resume, sizeof peer->resume);
        peer->cipher = secrets.cipher;
        peer->stands = true;
    }
    secret_wipe(&secrets, sizeof secrets);
    if (err != ERR_NONE)
        return err;
    peer_link_stand(link);
    link->cut_us = peer->time.now_us + FIRST_RECORD_US + link->n_early * EARLY_BYTE_US;
    link->tells_gate = true;
    gate_tells(link->gate, peer);
    if (!peer->far.awaits_auth) {
        handshake_free(link->handshake);
        link->handshake = NULL;
    }
    far_linked(peer, true);
    return ERR_NONE;
}

/* ---- joining ---- */

static void join(struct peer_link *link, struct peer *peer, const struct peer_time *time)
{
    const struct flight_info *info = handshake_info(link->handshake);
    enum err err =
        handshake_open(link->handshake, peer->resume, peer->cipher, link->gate->options.rng);

    if (err != ERR_NONE) {
        fail_by(link, err);
        return;
    }
    size_t max_links = link->gate->options.max_links;

    if (max_links > 0 && peer_count_links(peer) >= max_links) {
        peer_link_fail(link, FLIGHT_JOIN, "too many links of one session");
        return;
    }
    if (!far_take_join(peer, info->join_number)) {
        fail(link, FLIGHT_JOIN);
        return;
    }
    peer->time = *time;
    link->n_early = info->n_early;
    uint64_t number = info->join_number;
    move_to_peer(link, peer);
    err = write_answer(link, NULL, 0, time);
    if (err == ERR_NONE)
        err = stand(link, number);
    if (err != ERR_NONE) {
        fail(link, err == ERR_MEMORY ? FLIGHT_MEMORY : FLIGHT_JOIN);
        link->peer = NULL; /* it never was its link */
    }
}

/* ---- a new session ---- */

/* Early records of a flight that joins nothing: by the policy, and never where the key is no secret or we do not know yet who it is. */
static bool takes_early(const struct peer_link *link, const struct flight_info *info)
{
    const struct gate_options *options = &link->gate->options;
    uint8_t secret[32], cipher;

    if (info->n_early == 0 || options->early == GATE_EARLY_NONE || options->is_key_public ||
        options->n_peers > 0)
        return false;
    handshake_early_secret(link->handshake, secret, &cipher);
    secret_wipe(secret, sizeof secret);
    return cipher != 0;
}

/* Whoever was told of the peer (GATE_SIGN) has it, and is told that it is over. */
static void discard(struct peer_link *link, struct peer *peer, enum flight_fault fault)
{
    fail(link, fault);
    if (peer->far.is_known)
        return;
    link->peer = NULL;
    peer_free(peer);
}

static void answer_fresh(struct peer_link *link, const uint8_t *signature, size_t n_signature,
                         const struct peer_time *time)
{
    struct peer *peer = link->peer;
    enum err err = write_answer(link, signature, n_signature, time);

    if (err == ERR_NONE)
        err = stand(link, 0);
    if (err != ERR_NONE)
        discard(link, peer, FLIGHT_MEMORY);
}

static void begin_session(struct peer_link *link, const struct peer_time *time)
{
    const struct gate_options *options = &link->gate->options;
    const struct flight_info *info = handshake_info(link->handshake);
    uint8_t signature[SIGN_MAX_BYTES];
    struct peer *peer;
    enum err err = handshake_open(link->handshake, NULL, 0, options->rng);

    if (err != ERR_NONE) {
        fail_by(link, err);
        return;
    }
    err = far_new(&peer, link->gate, info, time);
    if (err != ERR_NONE) {
        fail(link, FLIGHT_MEMORY);
        return;
    }
    bool takes = takes_early(link, info);
    link->n_early = takes ? info->n_early : 0;
    link->n_skip = takes ? 0 : info->n_early;
    peer->far.holds_early = takes && options->early == GATE_EARLY_OPEN;
    if (peer->far.holds_early)
        session_deliver(peer->reign->session, false);
    move_to_peer(link, peer);
    if (options->identity == NULL) {
        answer_fresh(link, NULL, 0, time);
        return;
    }
    link->state = LINK_SIGNING;
    link->tells_gate = options->signs_apart;
    if (link->tells_gate)
        gate_tells(link->gate, peer);
    else
        gate_signed(link, signature, peer_sign(link, signature), time);
}

void gate_signed(struct peer_link *link, const uint8_t *signature, size_t n,
                 const struct peer_time *time)
{
    if (n > 0)
        answer_fresh(link, signature, n, time);
    else
        discard(link, link->peer, FLIGHT_MEMORY);
}

/* ---- which of them ---- */

static bool is_zeros(const uint8_t *bytes, size_t n)
{
    uint8_t all = 0;

    for (size_t i = 0; i < n; i++)
        all |= bytes[i];
    return all == 0;
}

static bool is_same_user(const struct peer *peer, const struct flight_info *info)
{
    return memcmp(peer->far.user_tag, info->user_tag, sizeof peer->far.user_tag) == 0;
}

/* One that another worker's gate has sent here was judged there. */
static bool may_come(struct peer_link *link)
{
    const struct gate_options *options = &link->gate->options;
    if (options->judge == NULL || link->was_moved)
        return true;
    const char *why = options->judge(handshake_info(link->handshake)->user, link->owner);
    if (why != NULL)
        peer_link_fail(link, FLIGHT_UNWELCOME, why);
    return why == NULL;
}

/* The flight's MACs, time and salt were good. */
void gate_decide(struct peer_link *link, const struct peer_time *time)
{
    const struct flight_info *info = handshake_info(link->handshake);

    if (!may_come(link))
        return;
    if (is_zeros(info->session_id, sizeof info->session_id)) {
        begin_session(link, time);
        return;
    }
    /* Nor would one that is another worker's move: the answer that is still to be written is of this worker's memory. */
    if (link->had_gone) {
        fail(link, FLIGHT_JOIN);
        return;
    }
    if (gate_worker_of(info->session_id) != link->gate->options.worker && !link->was_moved) {
        link->state = LINK_PARKED;
        link->tells_gate = true;
        list_remove(&link->in_owner);
        list_append(&link->gate->parked, &link->in_owner);
        return;
    }
    struct peer *peer = gate_find(link->gate, info->session_id);
    bool is_there = peer != NULL && peer->stands && !peer->is_ending && !peer->far.awaits_auth &&
                    !peer->far.is_unknown && is_same_user(peer, info);
    if (is_there)
        join(link, peer, time);
    else
        answer_gone(link, time);
}

void gate_read_flight(struct peer_link *link, const struct peer_time *time)
{
    size_t used = 0;
    enum err err = handshake_read(link->handshake, link->in.chunk->bytes + link->in.start,
                                  span_bytes(&link->in), time->wall_ms, &used);

    if (err == ERR_NONE) {
        link->in.start += used;
        gate_decide(link, time);
        return;
    }
    link->in.start = link->in.end;
    if (err != ERR_MORE)
        fail_by(link, err);
}
