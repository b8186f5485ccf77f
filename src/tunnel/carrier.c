#include "tunnel/carrier.h"

#include <string.h>

#include "io/socket.h"
#include "tunnel/host.h"
#include "tunnel/strangers.h"

/* What one carrier reads or writes before the others of the loop have their turn, and what has come goes on to where it leads: so much is still in
 * the processor's caches then. */
#define BUDGET_BYTES ((size_t)256 * 1024)

/* What its link seals in one go: enough for one call to be worth its while, and what is more urgent comes soon. */
#define OUTPUT_BYTES ((size_t)128 * 1024)

/* The same where the carrier is a stream: what waits behind it waits in that one's session already. */
#define CHAINED_OUTPUT_BYTES ((size_t)32 * 1024)

/* What may wait in the socket for the network to take it: all that is sealed goes in order, so what is in a hurry has to wait
 * for it. */
#define UNSENT_BYTES (128u * 1024)

/* How soon memory is asked for again that there was none of. */
#define MEMORY_MS 100

/* Systems put acknowledgements off by 40 to 200 ms, or till something is sent along with them, as ours are after 25. A proxy on the way that has left
 * Nagle's algorithm on (RFC 896) waits for them, with what does not fill a segment: the rest of a record comes so late. */
#define LATE_MIN_US 20000u
#define LATE_MAX_US 250000u

/* After so many times it is taken for that, and what comes is acknowledged at once. */
#define LATE_TIMES 3

/* The session whose stream it is. NULL: it is no stream, or that session is over. */
static struct host *ridden_by(const struct carrier *carrier)
{
    if (!carrier->is_chained)
        return NULL;
    const struct tunnel_stream *stream = tunnel_stream_of(carrier->endpoint);
    return stream->stream == NULL ? NULL : stream->host;
}

static void free_carrier(struct deferred *freeing)
{
    struct carrier *carrier = CONTAINER_OF(freeing, struct carrier, freeing);
    slab_put(&carrier->env->carriers, carrier);
}

struct stranger *carrier_take_stranger(struct carrier *carrier)
{
    struct stranger *stranger = carrier->stranger;
    carrier->stranger = NULL;
    return stranger;
}

void carrier_is_known(struct carrier *carrier)
{
    if (carrier->stranger != NULL)
        stranger_leave(carrier_take_stranger(carrier));
}

/* It is in nobody's hands any more. */
static void retire(struct carrier *carrier)
{
    struct loop *loop = carrier->env->flow->loop;
    struct host *ridden = ridden_by(carrier);
    if (ridden != NULL)
        ridden->n_riders--;
    carrier->state = CARRIER_GONE;
    carrier_is_known(carrier);
    atomic_fetch_sub(&carrier->env->flow->shared->n_carriers, 1);
    timer_clear(loop_timers(loop), &carrier->resting);
    list_remove(&carrier->link);
    list_remove(&carrier->freeing.link); /* it may have waited to be cut */
    loop_defer(loop, &carrier->freeing, free_carrier);
}

static void lose(struct carrier *carrier, enum err how, bool reset)
{
    struct peer_time now = tunnel_now(carrier->env);
    carrier->is_clean |= peer_link_is_done(carrier->of);
    peer_link_ended(carrier->of, &now);
    endpoint_close(carrier->endpoint, reset);
    tended_touch(carrier->keeper);
    retire(carrier);
    if (carrier->on_gone != NULL)
        carrier->on_gone(carrier, how);
}

void carrier_evict(struct carrier *carrier)
{
    carrier->is_clean = true;
    lose(carrier, ERR_NONE, false);
}

static void update_interest(struct carrier *carrier)
{
    endpoint_want(carrier->endpoint,
                  (timer_is_set(&carrier->resting) || carrier->has_eof ? 0u : LOOP_READ) |
                      (carrier->is_full ? LOOP_WRITE : 0u));
}

/* There is no memory to read into: what comes waits in the kernel until there may be some. */
static enum err rest(struct carrier *carrier)
{
    struct loop *loop = carrier->env->flow->loop;
    enum err err = timer_set(loop_timers(loop), &carrier->resting, loop_now_ms(loop) + MEMORY_MS);
    if (err == ERR_NONE)
        update_interest(carrier);
    return err;
}

/* Something has come, and was taken. */
static void note_received(struct carrier *carrier, uint64_t now_us)
{
    uint64_t pause_us = now_us - carrier->heard_us;
    bool was_late = carrier->has_part && pause_us >= LATE_MIN_US && pause_us <= LATE_MAX_US;
    carrier->has_part = peer_link_has_part(carrier->of);
    carrier->heard_us = now_us;
    if (was_late && carrier->n_late < LATE_TIMES)
        carrier->n_late++;
    if (carrier->n_late == LATE_TIMES)
        sock_acknowledge(carrier->endpoint);
}

/* One read into what the link lends. */
static enum err read_once(struct carrier *carrier, size_t *n)
{
    uint8_t *room;
    size_t cap = 0;
    enum err err = peer_link_room(carrier->of, &room, &cap);
    if (err == ERR_NONE)
        err = endpoint_read(carrier->endpoint, room, cap, n);
    if (err != ERR_NONE && err != ERR_AGAIN)
        return err;
    struct peer_time now = tunnel_now(carrier->env);
    carrier->n_received_bytes += *n;
    peer_link_received(carrier->of, *n, &now); /* nothing was there: the room goes back */
    if (err != ERR_NONE)
        return err;
    note_received(carrier, now.now_us);
    tended_touch(carrier->keeper);
    return ERR_NONE;
}

/* As long as nobody knows what the link is, its keeper looks at it after each read. */
static enum err read_some(struct carrier *carrier)
{
    enum err err = ERR_NONE;
    size_t n_read = 0;
    do {
        size_t n = 0;
        err = read_once(carrier, &n);
        n_read += n;
    } while (err == ERR_NONE && carrier->has_stood && n_read < BUDGET_BYTES &&
             endpoint_is_ready(carrier->endpoint, LOOP_READ));
    return err == ERR_AGAIN ? ERR_NONE : err;
}

void carrier_settle_unknown(struct carrier *carrier)
{
    struct peer_time now = tunnel_now(carrier->env);
    carrier->keeper->settle(carrier->keeper, &now);
    if (carrier->state != CARRIER_GONE)
        carrier_write(carrier, &now);
}

/* What came just before the end may say that it is one. */
static void hear_last_words(struct carrier *carrier)
{
    struct peer_time now = tunnel_now(carrier->env);
    carrier->keeper->settle(carrier->keeper, &now);
}

static void on_ready(struct endpoint *ep, unsigned events)
{
    struct carrier *carrier = ep->owner;
    enum err err = ERR_NONE;
    if (events & LOOP_WRITE)
        carrier->is_full = false;
    if (events & (LOOP_READ | LOOP_ERROR))
        err = read_some(carrier);
    if ((err == ERR_NONE || err == ERR_MEMORY) && !carrier->has_stood)
        carrier_settle_unknown(carrier); /* for want of memory it may have fallen silent */
    if (err == ERR_EOF && carrier->has_stood)
        hear_last_words(carrier);
    if (err == ERR_MEMORY && carrier->has_stood && carrier->state < CARRIER_CUTTING)
        err = rest(carrier);
    if (carrier->state == CARRIER_GONE)
        return;
    /* It has said BYE, and reads what is still to be written. */
    if (err == ERR_EOF && carrier->state == CARRIER_CLOSING) {
        carrier->has_eof = true;
        update_interest(carrier);
        err = ERR_NONE;
    }
    if (err == ERR_NONE && events & LOOP_ERROR && endpoint_is_broken(ep))
        err = ERR_RESET;
    if (err != ERR_NONE) {
        lose(carrier, err, err != ERR_EOF);
    } else if (events & LOOP_WRITE) {
        struct peer_time now = tunnel_now(carrier->env);
        carrier_write(carrier, &now);
        /* All is written, or there was no memory for what is not: when that is tried again is for the keeper to know. */
        if (carrier->state != CARRIER_GONE && !carrier->is_full)
            tended_touch(carrier->keeper);
    }
}

static void on_rested(struct timer *timer)
{
    struct carrier *carrier = CONTAINER_OF(timer, struct carrier, resting);
    if (carrier->state < CARRIER_CUTTING)
        update_interest(carrier);
}

enum err carrier_new(struct carrier **out, struct tended *keeper, struct endpoint *endpoint,
                     struct peer_link *of, const struct addr *remote,
                     void (*on_gone)(struct carrier *, enum err how), void *owner)
{
    struct tunnel_env *env = keeper->env;
    struct carrier *carrier = slab_get(&env->carriers);
    if (carrier == NULL)
        return ERR_MEMORY;
    list_init(&carrier->link);
    list_init(&carrier->freeing.link);
    carrier->keeper = keeper;
    carrier->env = env;
    carrier->of = of;
    carrier->endpoint = endpoint;
    carrier->remote = *remote;
    carrier->on_gone = on_gone;
    carrier->owner = owner;
    timer_init(&carrier->resting, on_rested);
    peer_link_set_owner(of, carrier);
    endpoint->owner = carrier;
    endpoint->on_ready = on_ready;
    sock_bound_unsent(endpoint, UNSENT_BYTES);
    carrier->is_chained = endpoint->fd < 0;
    if (carrier->is_chained)
        peer_link_set_chained(of);
    if (ridden_by(carrier) != NULL)
        ridden_by(carrier)->n_riders++;
    atomic_fetch_add(&env->flow->shared->n_carriers, 1);
    update_interest(carrier);
    *out = carrier;
    return ERR_NONE;
}

enum err carrier_give(struct carrier *carrier, const uint8_t *bytes, size_t n)
{
    struct peer_time now = tunnel_now(carrier->env);
    while (n > 0) {
        uint8_t *room;
        size_t cap = 0;
        enum err err = peer_link_room(carrier->of, &room, &cap);
        if (err != ERR_NONE)
            return err;
        cap = cap < n ? cap : n;
        memcpy(room, bytes, cap);
        peer_link_received(carrier->of, cap, &now);
        carrier->n_received_bytes += cap;
        bytes += cap;
        n -= cap;
    }
    tended_touch(carrier->keeper);
    return ERR_NONE;
}

/* All that its link had to send is written. The peer says when the other's fin was waited for long enough. */
static enum err end_by_fin(struct carrier *carrier)
{
    carrier->state = CARRIER_LINGERING;
    enum err err = endpoint_shutdown(carrier->endpoint);
    return err == ERR_NONE && carrier->has_eof ? ERR_EOF : err;
}

/* ERR_AGAIN: it takes no more now, or has had its turn. */
static enum err write_some(struct carrier *carrier, const struct peer_time *now)
{
    const size_t most = carrier->is_chained ? CHAINED_OUTPUT_BYTES : OUTPUT_BYTES;
    for (size_t n_written = 0; n_written < BUDGET_BYTES;) {
        const uint8_t *bytes;
        size_t n = peer_link_output(carrier->of, most, now, &bytes), n_taken = 0;
        if (n == 0)
            return ERR_NONE;
        enum err err = endpoint_write(carrier->endpoint, bytes, n, &n_taken);
        if (err != ERR_NONE)
            return err;
        peer_link_sent(carrier->of, n_taken, now);
        carrier->n_sent_bytes += n_taken;
        n_written += n_taken;
        if (n_taken < n)
            return ERR_AGAIN;
    }
    return ERR_AGAIN;
}

void carrier_write(struct carrier *carrier, const struct peer_time *now)
{
    if (carrier->is_full || carrier->state >= CARRIER_LINGERING)
        return;
    enum err err = write_some(carrier, now);
    carrier->is_full = err == ERR_AGAIN;
    if (err == ERR_NONE && carrier->state == CARRIER_CLOSING)
        err = end_by_fin(carrier);
    /* It may have written its last record by itself, which is told. */
    if (carrier->state == CARRIER_OPEN && peer_link_is_done(carrier->of))
        tended_touch(carrier->keeper);
    if (err == ERR_NONE || err == ERR_AGAIN)
        update_interest(carrier);
    else
        lose(carrier, err, err != ERR_EOF);
}

static void cut(struct deferred *cutting)
{
    lose(CONTAINER_OF(cutting, struct carrier, freeing), ERR_NONE, true);
}

void carrier_close(struct carrier *carrier, bool by_fin)
{
    if (carrier->state >= (by_fin ? CARRIER_LINGERING : CARRIER_CUTTING))
        return;
    if (by_fin) {
        carrier->state = CARRIER_CLOSING;
        tended_touch(carrier->keeper);
        return;
    }
    carrier->state = CARRIER_CUTTING;
    endpoint_want(carrier->endpoint, 0);
    loop_defer(carrier->env->flow->loop, &carrier->freeing, cut);
}

void carrier_set_keeper(struct carrier *carrier, struct tended *keeper)
{
    carrier->keeper = keeper;
}

struct endpoint *carrier_release(struct carrier *carrier)
{
    struct endpoint *endpoint = carrier->endpoint;
    endpoint_want(endpoint, 0);
    retire(carrier);
    return endpoint;
}
