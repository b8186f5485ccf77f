/*
 * How much each stream of the other end may send. A stream has a window: what it may be ahead of what was consumed. The session's
 * cap is shared by reserving windows, so what a stream has once it can always be given again, and no two
 * streams can starve each other. What any stream has at least is outside the cap: however many there are, one more can be opened, and
 * those that rest leave room for one that does not.
 */
#include "session/state.h"

/* A shorter round trip than this counts as this: what a busy machine takes for a turn would throttle otherwise. */
enum { MIN_ROUND_US = 2000, UNKNOWN_ROUND_US = 100000, MAX_ROUND_US = 10000000 };

/* Of a large window an eighth is given anew, so much at least: else a sender could have but half of it under way at times. */
enum { GIVEN_SHARE = 8, GIVEN_BYTES = 1 << 20 };

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t beyond_least(uint64_t bytes)
{
    return bytes > INITIAL_LOW ? bytes - INITIAL_LOW : 0;
}

uint64_t credit_initial(struct session *session)
{
    uint64_t half = session->options.window_bytes / 2;
    bool was_low = session->initial_told == INITIAL_LOW;

    /* It does not go back and forth with one stream, and in a small window no stream takes all. */
    uint64_t most = was_low ? half / 4 * 3 : half;
    return session->reserved + beyond_least(INITIAL_FULL) <= most ? INITIAL_FULL : INITIAL_LOW;
}

bool credit_allows(const struct session *session, uint64_t claim)
{
    return session->reserved + beyond_least(claim) <= session->options.window_bytes;
}

static void set_window(struct stream *stream, uint64_t window)
{
    struct session *session = stream->session;

    session->n_grown -= stream->in.window > INITIAL_FULL;
    session->n_grown += window > INITIAL_FULL;
    stream->in.window = window;
}

static void set_reserved(struct stream *stream, uint64_t reserved)
{
    struct session *session = stream->session;

    session->reserved += reserved - stream->in.reserved;
    stream->in.reserved = reserved;
    session->initial_needed = credit_initial(session) != session->initial_told;
}

void credit_account(struct stream *stream)
{
    const struct incoming *in = &stream->in;
    uint64_t granted = in->limit - in->consumed;

    if (stream->is_dead)
        set_reserved(stream, 0);
    else if (stream->has_final)
        set_reserved(stream, beyond_least(in->final_size - in->consumed));
    else
        set_reserved(stream, beyond_least(larger(granted, in->window)));
}

void credit_end(struct stream *stream)
{
    set_window(stream, 0);
    set_reserved(stream, 0);
}

/* The most that its window may be: what can grow is shared by those that have. */
static uint64_t most(const struct session *session)
{
    uint64_t share = session->options.window_bytes / 2;

    if (session->n_grown > 1)
        share /= session->n_grown;
    if (share > session->options.stream_window_bytes)
        share = session->options.stream_window_bytes;
    return share > INITIAL_FULL ? share : INITIAL_FULL;
}

/*
 * A sender that waits for credit has between half and all of the window consumed in a round trip, as up to half of it is given at once:
 * twice that more is about to double it. Four times what is consumed is enough for one that does not wait. Where parts come late, as
 * over several links some do, a window has to last for longer than a round trip: it doubles when all of it has come but for a gap.
 */
static void grow(struct stream *stream)
{
    struct session *session = stream->session;
    struct incoming *in = &stream->in;
    uint64_t round = session->min_rtt_us == 0 ? UNKNOWN_ROUND_US : session->min_rtt_us;
    uint64_t elapsed = session->now_us - in->epoch_us;
    uint64_t window = in->window, max = most(session), want = stream->was_short ? 2 * window : 0;
    uint64_t room = session->options.window_bytes / 4 * 3;

    round = round < MIN_ROUND_US ? MIN_ROUND_US : round > MAX_ROUND_US ? MAX_ROUND_US : round;
    /* What comes in bursts, one in each round trip, comes now and then a little before its time. */
    if (elapsed >= round / 4 * 3) {
        uint64_t consumed = in->epoch_bytes * round / larger(elapsed, round);
        uint64_t enough = 4 * consumed, more = window + 2 * consumed;
        want = larger(want, enough < more ? enough : more);
        in->epoch_us = session->now_us;
        in->epoch_bytes = 0;
    }
    stream->was_short = false;
    room = room > session->reserved ? room - session->reserved : 0;
    if (want > window)
        window += want - window < room ? want - window : room;
    if (window > max && window > INITIAL_FULL)
        window = max;
    set_window(stream, larger(window, INITIAL_LOW));
}

/* What is used up of the window when it is given anew. */
static uint64_t given_anew(uint64_t window)
{
    return smaller(window / 2, larger(window / GIVEN_SHARE, GIVEN_BYTES));
}

static void check_window(struct stream *stream)
{
    struct incoming *in = &stream->in;

    if (stream->has_final || stream->is_dead || stream->is_closed ||
        in->limit - in->consumed > in->window - given_anew(in->window))
        return;
    grow(stream);
    if (in->consumed + in->window > in->limit) {
        in->limit = in->consumed + in->window;
        credit_window_needed(stream);
    }
}

void credit_begin(struct stream *stream, uint64_t limit)
{
    stream->in.limit = limit;
    stream->in.epoch_us = stream->session->now_us;
    set_window(stream, limit);
    check_window(stream);
    credit_account(stream);
}

void credit_consumed(struct stream *stream, size_t n)
{
    stream->in.epoch_bytes += n;
    check_window(stream);
    credit_account(stream);
}
