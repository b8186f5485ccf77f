/*
 * A session that is fed by an adversary who owns the key: any payloads as records of two links and more, between what an application does
 * with its streams, time that goes on, links that are lost, and what becomes of a session as a whole. Whatever comes, nothing is read or
 * written out of bounds, what is kept stays within the credit, and what goes out is well-formed.
 *
 * The input is a byte, of which the lowest bit says client; 2 is a server that demands an identity, 4 one that holds bytes back at first,
 * 6 both; then a list of steps, a byte each and what it takes:
 *   0xxxxxxx  a record: its length in the lowest bits and the next byte, then its payload
 *   1xxxxxxx  something else: see act()
 */
#include "fuzz.h"

#include "base/list.h"
#include "session/frame.h"
#include "session/session.h"
#include "wire/socks5.h"

enum {
    WINDOW_BYTES = 1 << 20,
    MAX_STREAMS = 16,
    SLACK_BYTES = 600000,
    WAITING_BYTES = WINDOW_BYTES / 4
};

struct counted {
    struct chunk_source source;
    uint64_t n_bytes;
};

static struct chunk *get(struct chunk_source *source, size_t n)
{
    struct counted *counted = CONTAINER_OF(source, struct counted, source);
    struct chunk *chunk = malloc(sizeof *chunk + n);
    CHECK(chunk != NULL);
    *chunk = (struct chunk){.source = source, .n_holders = 1, .cap = (uint32_t)n};
    counted->n_bytes += n;
    return chunk;
}

static void put(struct chunk_source *source, struct chunk *chunk)
{
    struct counted *counted = CONTAINER_OF(source, struct counted, source);
    counted->n_bytes -= chunk->cap;
    free(chunk);
}

struct state {
    struct counted chunks, states;     /* the second is for what the session knows of streams */
    struct session *session, *retired; /* the second: NULL, or the one before */
    struct stream *streams[MAX_STREAMS];
    uint64_t now_us;
    bool is_client;
};

static struct stream **place_of(struct state *state, const struct stream *stream)
{
    for (size_t i = 0; i < MAX_STREAMS; i++) {
        if (state->streams[i] == stream)
            return &state->streams[i];
    }
    return NULL;
}

/* What is behind the identity waits for this. */
static void judge_auth(struct state *state, struct session *session)
{
    const uint8_t *spki, *signature;
    size_t n_spki, n_signature;

    session_auth(session, &spki, &n_spki, &signature, &n_signature);
    if (n_spki > 0 && n_signature > 0 && spki[0] == signature[n_signature - 1])
        session_end(session, 2, state->now_us);
    enum err err = session_admit(session, state->now_us);
    CHECK(err == ERR_NONE || err == ERR_BAD || err == ERR_LIMIT);
}

static void take_events(struct state *state, struct session *session)
{
    const struct addr bound = {.family = ADDR_NONE};
    struct session_event event;

    while (session_next_event(session, &event)) {
        if (event.kind == SESSION_AUTH) {
            judge_auth(state, session);
        } else if (event.kind == SESSION_LISTEN) {
            session_listening(session, event.listener,
                              event.listener % 3 == 0 ? LISTENER_IN_USE : LISTENER_BOUND,
                              &event.addr);
        } else if (event.kind == STREAM_INCOMING) {
            struct stream **place = place_of(state, NULL);
            CHECK(stream_request(event.stream) != NULL);
            if (place == NULL) {
                (void)!stream_answer(event.stream, 1, &bound);
                stream_release(event.stream);
            } else {
                *place = event.stream;
                CHECK(stream_answer(event.stream, 0, &bound) == ERR_NONE);
            }
        } else if (event.kind == STREAM_DEAD ||
                   (event.kind == STREAM_ANSWERED &&
                    stream_code(event.stream, &(struct addr){.port = 0}) != 0)) {
            struct stream **place = place_of(state, event.stream);
            CHECK(place != NULL);
            *place = NULL;
            stream_release(event.stream);
        }
    }
}

static void send_out(struct state *state, uint64_t link)
{
    static uint8_t bytes[SESSION_RECORD_MAX_BYTES];
    struct session_fill fill;
    struct frame frame;
    size_t n, used;

    for (int i = 0; i < 4; i++) {
        size_t room = session_room(state->session, link, state->now_us);
        room = room > 4096 ? room : 4096;
        CHECK(room <= SESSION_RECORD_MAX_BYTES);
        n = session_pull(state->session, link, room, state->now_us, &fill);
        CHECK(n <= room);
        size_t at = 0;
        for (size_t k = 0; n > 0 && k < fill.n_pieces; k++) {
            memcpy(bytes + at, fill.pieces[k].bytes, fill.pieces[k].n);
            at += fill.pieces[k].n;
        }
        CHECK(at == n);
        for (at = 0; at < n; at += used)
            CHECK(frame_parse(bytes + at, n - at, &frame, &used) == ERR_NONE);
    }
}

/* Each that has come is given with room for a header in front of it, which is written to. */
static void take_datagrams(struct stream *stream)
{
    struct target address;
    uint8_t *bytes;
    size_t n;
    while (stream_take_datagram(stream, &address, &bytes, &n) == ERR_NONE) {
        CHECK(n <= 65000 && (address.name_bytes > 0 || address.addr.family != ADDR_NONE));
        uint8_t *whole = socks5_put_udp_header(bytes, &address);
        CHECK(bytes - whole <= 262);
    }
    (void)stream_dropped_datagrams(stream);
}

static void send_datagrams(struct state *state, struct stream *stream, unsigned what)
{
    static const uint8_t bytes[65536];
    const struct target to = {.addr = {.family = what % 2 == 0 ? ADDR_V4 : ADDR_V6, .port = 53}};
    for (unsigned i = 0; i <= what; i++)
        stream_send_datagram(stream, &to, bytes, (size_t)1 << (i + what) % 17, state->now_us);
}

static void use_bytes(struct stream *stream, unsigned what)
{
    const uint8_t *bytes;
    uint8_t *room;
    size_t n;
    if (what == 0) {
        while (stream_peek(stream, &bytes, &n) == ERR_NONE)
            stream_consume(stream, n > 3 ? n - n / 3 : n);
    } else if (stream_reserve(stream, &room, &n) == ERR_NONE) {
        memset(room, 'x', n);
        stream_commit(stream, n);
    }
}

static void use_stream(struct state *state, struct stream **place, unsigned what)
{
    struct stream *stream = *place;

    if (stream == NULL)
        return;
    switch (what % 4) {
    case 0:
    case 1:
        if (!stream_has_datagrams(stream))
            use_bytes(stream, what % 4);
        else if (what % 4 == 0)
            take_datagrams(stream);
        else
            send_datagrams(state, stream, what);
        break;
    case 2:
        stream_finish(stream);
        break;
    default:
        *place = NULL;
        if (what % 8 == 7)
            stream_reset(stream, STREAM_RESET_APPLICATION);
        stream_release(stream);
    }
}

static void use_listeners(struct state *state, unsigned what)
{
    static const struct addr at = {.family = ADDR_V4, .port = 80};
    uint64_t number = 1 + (what >> 3);
    const struct stream_request request = {.kind = STREAM_ACCEPTED, .of = number};
    static const struct stream_request relayed = {.kind = STREAM_RELAYED, .of = 3};
    struct stream **place = place_of(state, NULL);

    if (state->is_client && what == 3)
        (void)!session_listen(state->session, &at, &number);
    else if (state->is_client && what == 11 && place != NULL)
        (void)!session_open(state->session, &relayed, place);
    else if (state->is_client)
        session_unlisten(state->session, number);
    else if (what % 8 == 3)
        session_listening(state->session, number, LISTENER_IN_USE, &at);
    else if (place != NULL)
        (void)!session_open(state->session, &request, place);
}

static void begin_session(struct state *state)
{
    const struct session_options options = {.is_client = state->is_client,
                                            .window_bytes = WINDOW_BYTES,
                                            .stream_window_bytes = WINDOW_BYTES / 4,
                                            .chunks = &state->chunks.source};

    CHECK(session_new(&state->session, &options) == ERR_NONE);
    for (uint64_t link = 0; link < 2; link++) {
        CHECK(session_add_link(state->session, link, state->now_us) == ERR_NONE);
        session_link_stands(state->session, link);
    }
}

static void end_session(struct state *state, struct session *session)
{
    session_end(session, 3, state->now_us);
    session_kill_closed(session);
}

/* What the other end cannot know of goes on in another session, as where a far end has forgotten the first. */
static void start_over(struct state *state)
{
    session_free(state->retired);
    state->retired = state->session;
    begin_session(state);
    session_move_untold(state->retired, state->session);
    end_session(state, state->retired);
    take_events(state, state->retired);
}

/* Of four, one is a stream's own, and one does not stand yet. */
static void change_link(struct state *state, uint64_t number)
{
    session_lose_link(state->session, number % 4, state->now_us);
    if (session_add_link(state->session, number, state->now_us) != ERR_NONE)
        return;
    if (number % 4 == 2)
        session_own_link(state->session, number);
    if (number % 4 != 3)
        session_link_stands(state->session, number);
}

static void use_session(struct state *state, unsigned what)
{
    switch (what) {
    case 0:
        session_settle(state->session);
        if (state->retired != NULL)
            session_settle(state->retired);
        break;
    case 1:
    case 2:
    case 3:
        session_bye(state->session, what - 1);
        break;
    case 4:
    case 5:
        send_out(state, what - 2);
        break;
    case 6:
    case 7:
        session_deliver(state->session, what == 7);
        break;
    case 8:
        session_drain(state->session, 5);
        (void)session_drain_is_known(state->session);
        break;
    case 9:
        session_excuse(state->session, 1 << 20, state->now_us);
        break;
    case 10:
        session_link_stands(state->session, 3);
        break;
    case 11:
        session_ping(state->session, 0, state->now_us);
        break;
    case 12:
        end_session(state, state->session);
        break;
    case 13:
        if (state->is_client)
            start_over(state);
        break;
    default: /* at 14 of one that may have carried anything, which nobody does */
        if (state->is_client)
            session_retract(state->session, what == 14 ? 0 : 3, state->now_us);
    }
}

static void act(struct state *state, uint8_t step)
{
    const struct stream_request request = {.kind = (step & 0x40) != 0 ? STREAM_ASSOCIATION
                                                                      : STREAM_CONNECTION};
    unsigned what = step >> 3 & 15;

    switch (step & 7) {
    case 0:
    case 1:
        send_out(state, step & 1);
        break;
    case 2:
        state->now_us += (uint64_t)1 << what;
        session_advance(state->session, state->now_us);
        break;
    case 3:
        use_session(state, what);
        break;
    case 4:
        change_link(state, what);
        break;
    case 5:
        if (what % 4 == 3)
            use_listeners(state, what);
        else if (place_of(state, NULL) != NULL)
            (void)!session_open(state->session, &request, place_of(state, NULL));
        break;
    default:
        use_stream(state, &state->streams[what], what + (step & 1U) * 2 + (step & 2U));
    }
}

/* Takes a record's length and payload from the input. */
static size_t give_record(struct state *state, uint8_t step, const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    size_t length = (step >> 2 & 15U) << 8 | data[0];
    length = length < n - 1 ? length : n - 1;
    struct chunk *chunk = chunk_get(&state->chunks.source, length + 1);
    memcpy(chunk->bytes, data + 1, length);
    enum err err =
        session_receive(state->session, step & 3, chunk, chunk->bytes, length, state->now_us);
    CHECK(err == ERR_NONE || err == ERR_BAD || err == ERR_LIMIT);
    chunk_release(chunk);
    take_events(state, state->session);
    return 1 + length;
}

static void check(struct state *state)
{
    struct session_stats stats;

    session_free(state->retired);
    session_settle(state->session);
    take_events(state, state->session);
    session_stats(state->session, &stats);
    CHECK(stats.n_held_bytes == state->chunks.n_bytes);
    CHECK(stats.n_granted_bytes <= WINDOW_BYTES + 16U * 4096U);
    /* What has come and was not read, in chunks that may be half empty; and what is kept until it is acknowledged. */
    CHECK(stats.n_held_bytes <= 3 * WINDOW_BYTES + 2 * WAITING_BYTES + SLACK_BYTES);
    (void)session_deadline_us(state->session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct state state = {
        .chunks.source = {.get = get, .put = put, .unlimited = &state.states.source},
        .states.source = {.get = get, .put = put},
        .now_us = 1,
        .is_client = n > 0 && (data[0] & 1) != 0};

    begin_session(&state);
    if (n > 0 && (data[0] | 4) == 6)
        session_demand_auth(state.session);
    if (n > 0 && (data[0] | 2) == 6)
        session_deliver(state.session, false);
    for (size_t at = 1; at < n;) {
        uint8_t step = data[at++];
        if ((step & 0x80) == 0)
            at += give_record(&state, step, data + at, n - at);
        else
            act(&state, step & 0x7f);
        take_events(&state, state.session);
    }
    check(&state);
    session_free(state.session);
    CHECK(state.chunks.n_bytes == 0);
    CHECK(state.states.n_bytes == 0);
    return 0;
}
