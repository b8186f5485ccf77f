/* The rules of doc/protocol.md, sections 7 and 8, against another end whose frames are written here by hand. */
#include "sessions.h"

#include "session/state.h"

#define CAP MIB

/* A record that is being written. */
static uint8_t record[SESSION_RECORD_MAX_BYTES];
static uint8_t *record_end = record;

static enum err give_record(struct pair *pair, int to, uint64_t link)
{
    size_t n = (size_t)(record_end - record);

    record_end = record;
    return give(pair, to, link, record, n);
}

static void put_open(uint64_t id, uint64_t claim, uint64_t grant)
{
    record_end = frame_write_open(record_end, id, claim, grant, some_request());
}

static void put_data(bool is_fin, uint64_t id, uint64_t offset, const char *bytes)
{
    record_end = frame_write_data(record_end, is_fin, id, offset, strlen(bytes));
    memcpy(record_end, bytes, strlen(bytes));
    record_end += strlen(bytes);
}

/* What an end has to send: its frames, without the bytes of DATA. */
struct sent_frames {
    struct frame all[300];
    size_t n;
};

static const struct sent_frames *frames_of(struct pair *pair, int from, uint64_t link)
{
    static uint8_t bytes[SESSION_RECORD_MAX_BYTES];
    static struct sent_frames frames;
    size_t n, used;

    frames.n = 0;
    while ((n = take(pair, from, link, bytes)) > 0) {
        for (size_t at = 0; at < n; at += used) {
            assert_true(frames.n < N_ITEMS(frames.all));
            assert_int_equal(frame_parse(bytes + at, n - at, &frames.all[frames.n++], &used),
                             ERR_NONE);
        }
    }
    return &frames;
}

static const struct frame *frame_of(const struct sent_frames *frames, enum frame_type type)
{
    for (size_t i = 0; i < frames->n; i++) {
        if (frames->all[i].type == type)
            return &frames->all[i];
    }
    return NULL;
}

static void advance(struct pair *pair, uint64_t us)
{
    pair->now_us += us;
    for (int i = 0; i < 2; i++)
        session_advance(pair->ends[i], pair->now_us);
}

static int begin(void **state)
{
    static struct pair pair;

    record_end = record;
    pair_init(&pair, CAP, CAP / 4);
    pair_link(&pair, 0);
    *state = &pair;
    return 0;
}

/* The record ends the session with code 1, at the end that got it. */
static void assert_violates(struct pair *pair)
{
    assert_int_equal(give_record(pair, SERVER, 0), ERR_BAD);
    const struct frame *frame = frame_of(frames_of(pair, SERVER, 0), FRAME_END);
    assert_non_null(frame);
    assert_int_equal(frame->code, 1);
}

static struct stream *incoming_with(struct pair *pair, uint64_t id, uint64_t credit)
{
    put_open(id, credit, credit);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    struct stream *stream = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_int_equal(stream_id(stream), id);
    return stream;
}

static struct stream *incoming(struct pair *pair, uint64_t id)
{
    return incoming_with(pair, id, 65536);
}

static struct stream *incoming_small(struct pair *pair, uint64_t id)
{
    return incoming_with(pair, id, 4096);
}

static void answer(struct stream *stream)
{
    const struct addr bound = {.family = ADDR_NONE};
    assert_int_equal(stream_answer(stream, 0, &bound), ERR_NONE);
}

static void assert_reads(struct stream *stream, const char *text)
{
    static uint8_t bytes[65536];
    size_t n;

    (void)read_all(stream, bytes, sizeof bytes, &n);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(bytes, text, n);
}

/* ---- frames ---- */

static void each_malformed_frame_ends_the_session(void **state)
{
    static const struct {
        uint8_t bytes[16];
        size_t n;
    } cases[] = {
        {{0x14}, 1},                                        /* no such type */
        {{0x20}, 1},                                        /* likewise */
        {{FRAME_WINDOW, 2}, 2},                             /* cut off */
        {{FRAME_WINDOW, 0x40, 2, 5}, 4},                    /* an id not in its shortest form */
        {{FRAME_PING, 1, 2, 3, 4, 5, 6, 7}, 8},             /* a token of 7 bytes */
        {{FRAME_DATA, 2, 0, 5, 'a', 'b'}, 6},               /* fewer bytes than it says */
        {{FRAME_OPEN, 2, 0, 0, 0, 2}, 6},                   /* no such type of address */
        {{FRAME_OPEN, 2, 0, 0, 0, 3, 0, 0, 0, 0}, 10},      /* an empty name */
        {{FRAME_OPEN, 2, 0, 0, 0, 0, 3, 1, 'a', 0, 1}, 11}, /* a name for a source */
        {{FRAME_RESET, 2, 4, 0}, 4},                        /* no such code */
        {{FRAME_RESET, 2, 2, 0}, 4},                        /* a code that is never sent */
        {{FRAME_OPENED, 3, 9, 0}, 4},                       /* no such code */
        {{FRAME_INITIAL, 0x80, 1, 0, 1}, 5},                /* more than 65,536 */
        {{FRAME_END}, 1},
        {{FRAME_DATAGRAM, 2, 1, 1, 192, 0, 2, 1, 0, 7}, 10}, /* fewer bytes than it says */
        {{FRAME_DATAGRAM, 2, 0, 0}, 4},                      /* no address */
        {{FRAME_DATAGRAM, 2, 0, 3, 0, 0, 7}, 7},             /* an empty name */
    };
    (void)state;

    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        struct pair pair;
        pair_init(&pair, CAP, CAP / 4);
        pair_link(&pair, 0);
        memcpy(record, cases[i].bytes, cases[i].n);
        record_end = record + cases[i].n;
        assert_violates(&pair);
        pair_deinit(&pair);
    }
}

static void ids_out_of_range_end_the_session(void **state)
{
    static const uint64_t ids[] = {0, 1, 3, 2 + 2 * 65536};
    (void)state;

    for (size_t i = 0; i < N_ITEMS(ids); i++) {
        struct pair pair;
        pair_init(&pair, CAP, CAP / 4);
        pair_link(&pair, 0);
        put_open(ids[i], 0, 0);
        assert_violates(&pair);
        pair_deinit(&pair);
    }
}

static void a_frame_for_an_id_that_was_never_opened_ends_the_session(void **state)
{
    (void)state;
    for (int what = 0; what < 6; what++) {
        const struct addr nothing = {.family = ADDR_NONE};
        struct pair pair;
        pair_init(&pair, CAP, CAP / 4);
        pair_link(&pair, 0);
        if (what == 0)
            put_data(false, 2, 0, "x");
        else if (what == 1)
            record_end = frame_write_window(record_end, 4, 5);
        else if (what == 2)
            record_end = frame_write_reset(record_end, 2, 0, 0);
        else if (what == 3)
            record_end = frame_write_opened(record_end, 3, 0, &nothing); /* ours, not opened */
        else if (what == 4)
            record_end = frame_write_opened(record_end, 2, 0, &nothing); /* theirs */
        else
            put_data(true, 3, 0, "");
        assert_violates(&pair);
        pair_deinit(&pair);
    }
}

static void claims_and_grants_beyond_the_largest_end_the_session(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct pair pair;
        pair_init(&pair, CAP, CAP / 4);
        pair_link(&pair, 0);
        put_open(2, what == 0 ? 65537 : 0, what == 1 ? 65537 : 0);
        assert_violates(&pair);
        pair_deinit(&pair);
    }
}

static void openings_may_come_in_any_order_and_twice(void **state)
{
    struct pair *pair = *state;
    struct stream *late = incoming(pair, 2 + 2 * 65535);
    struct stream *first = incoming(pair, 2), *third = incoming(pair, 6);

    put_open(6, 0, 0);
    put_open(2 + 2 * 65535, 0, 0);
    put_open(2, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect_nothing(pair, SERVER);
    /* The mark is above the first: now there is one place more. */
    struct stream *last = incoming(pair, 2 + 2 * 65536);
    struct stream *all[] = {late, first, third, last};
    for (size_t i = 0; i < N_ITEMS(all); i++) {
        stream_reset(all[i], STREAM_RESET_LIMIT);
        stream_release(all[i]);
    }
    /* Closed by now, but never to be opened again. */
    (void)frames_of(pair, SERVER, 0);
    record_end = frame_write_ack(record_end, 0, 1, 0);
    put_open(6, 0, 0);
    put_data(false, 6, 0, "late");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect_nothing(pair, SERVER);
}

static void what_cannot_be_opened_is_refused_with_its_code(void **state)
{
    struct pair *pair = *state;

    record_end = frame_write_open(record_end, 2, 0, 0, some_request());
    record[2] = 9; /* a kind that nobody knows */
    uint8_t bad_name[] = {FRAME_OPEN, 4, 0, 0, 0, 3, 3, 'a', ' ', 'b', 0, 80, 0};
    memcpy(record_end, bad_name, sizeof bad_name);
    record_end += sizeof bad_name;
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect_nothing(pair, SERVER);
    const struct sent_frames *frames = frames_of(pair, SERVER, 0);
    assert_int_equal(frames->all[0].type, FRAME_OPENED);
    assert_int_equal(frames->all[0].id, 2);
    assert_int_equal(frames->all[0].code, 7);
    assert_int_equal(frames->all[1].id, 4);
    assert_int_equal(frames->all[1].code, 8);
    /* Both are closed when that is acknowledged. */
    record_end = frame_write_ack(record_end, 0, 1, 0);
    put_data(false, 2, 0, "");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
}

static void a_refused_stream_is_dead_at_its_opener(void **state)
{
    struct pair *pair = *state;
    struct stream *near;
    struct addr bound;
    uint8_t *room;
    size_t n;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &near), ERR_NONE);
    carry(pair, CLIENT, 0);
    struct stream *far = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_int_equal(stream_answer(far, 5, &(struct addr){.family = ADDR_NONE}), ERR_NONE);
    stream_release(far);
    carry_all(pair, 0);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_ANSWERED).stream, near);
    assert_int_equal(stream_code(near, &bound), 5);
    assert_int_equal(stream_reserve(near, &room, &n), ERR_RESET);
    stream_release(near);
    expect_nothing(pair, CLIENT);
}

/* ---- data ---- */

static void bytes_are_put_in_order_and_the_first_copy_holds(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);

    put_data(false, 2, 4, "EFG");
    put_data(false, 2, 2, "cd--");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_reads(stream, "");
    put_data(false, 2, 0, "ab?");
    put_data(false, 2, 3, "####h");
    put_data(false, 2, 0, "old");
    put_data(false, 2, 8, "");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_ptr_equal(expect(pair, SERVER, STREAM_READABLE).stream, stream);
    assert_reads(stream, "abcdEFGh");
    stream_release(stream);
}

static void a_fin_fixes_the_size(void **state)
{
    static const struct {
        bool is_fin;
        uint64_t offset;
        const char *bytes;
    } wrong[] = {{false, 3, "x"}, {true, 3, "x"}, {true, 1, "b"}, {false, 2, "xy"}};
    (void)state;

    for (size_t i = 0; i < N_ITEMS(wrong); i++) {
        struct pair pair;
        pair_init(&pair, CAP, CAP / 4);
        pair_link(&pair, 0);
        (void)incoming(&pair, 2);
        put_data(true, 2, 0, "abc");
        put_data(true, 2, 1, "bc");
        assert_int_equal(give_record(&pair, SERVER, 0), ERR_NONE);
        put_data(wrong[i].is_fin, 2, wrong[i].offset, wrong[i].bytes);
        assert_violates(&pair);
        pair_deinit(&pair);
    }
}

static void a_fin_before_bytes_that_have_come_ends_the_session(void **state)
{
    struct pair *pair = *state;

    (void)incoming(pair, 2);
    put_data(false, 2, 10, "x");
    put_data(true, 2, 0, "abc");
    assert_violates(pair);
}

static void a_byte_at_the_limit_ends_the_session_and_one_below_does_not(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);

    put_data(false, 2, 65535, "x");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    put_data(false, 2, 65536, "x");
    assert_violates(pair);
    assert_int_equal(stream_reset_code(stream), STREAM_RESET_LOST);
}

static void a_fin_beyond_the_limit_ends_the_session(void **state)
{
    struct pair *pair = *state;

    (void)incoming(pair, 2);
    put_data(true, 2, 65537, "");
    assert_violates(pair);
}

static void the_acceptors_bytes_before_its_answer_end_the_session(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[SERVER], some_request(), &stream), ERR_NONE);
    (void)frames_of(pair, SERVER, 0);
    put_data(false, 3, 0, "x");
    assert_violates(pair);
}

static void scattered_bytes_cost_no_more_memory_than_the_credit(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);

    for (uint64_t at = 65536; at > 0; at -= 2) {
        put_data(false, 2, at - 1, "x");
        if (record_end - record > 10000 || at == 2)
            assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
        session_settle(pair->ends[SERVER]);
        assert_true(pair->heap.n_bytes < 65536 + 65536 / 7);
    }
    session_settle(pair->ends[SERVER]);
    for (uint64_t at = 0; at < 65536; at += 2) {
        put_data(false, 2, at, "y");
        if (record_end - record > 10000 || at == 65534)
            assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
        session_settle(pair->ends[SERVER]);
        assert_true(pair->heap.n_bytes < 3 * 65536);
    }
    static uint8_t bytes[65537];
    size_t n;
    assert_int_equal(read_all(stream, bytes, sizeof bytes, &n), ERR_AGAIN);
    assert_int_equal(n, 65536);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(bytes[i], i % 2 == 0 ? 'y' : 'x');
    assert_int_equal(pair->heap.n_chunks, 0);
}

static void a_small_rest_does_not_hold_the_carriers_chunk(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);
    static char text[30001];

    memset(text, 'a', sizeof text - 1);
    put_data(false, 2, 0, text);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    const uint8_t *bytes;
    size_t n;
    assert_int_equal(stream_peek(stream, &bytes, &n), ERR_NONE);
    assert_int_equal(n, 30000);
    stream_consume(stream, 29900);
    session_settle(pair->ends[SERVER]);
    assert_int_equal(pair->heap.n_chunks, 1);
    assert_true(pair->heap.n_bytes < 400);
    assert_int_equal(stream_peek(stream, &bytes, &n), ERR_NONE);
    assert_int_equal(n, 100);
    assert_int_equal(bytes[99], 'a');
    stream_consume(stream, 100);
    assert_int_equal(pair->heap.n_chunks, 0);
}

/* ---- reset ---- */

static void a_reset_drops_what_was_not_read_and_never_looks_like_an_end(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);
    const uint8_t *bytes;
    size_t n;

    put_data(false, 2, 0, "abc");
    record_end = frame_write_reset(record_end, 2, STREAM_RESET_LIMIT, 3);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_ptr_equal(expect(pair, SERVER, STREAM_DEAD).stream, stream);
    assert_int_equal(stream_peek(stream, &bytes, &n), ERR_RESET);
    assert_int_equal(stream_reset_code(stream), STREAM_RESET_LIMIT);
    stream_release(stream);
    put_data(false, 2, 3, "ignored");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
}

static void a_resets_final_size_agrees_with_what_has_come(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct pair pair;
        pair_init(&pair, CAP, CAP / 4);
        pair_link(&pair, 0);
        (void)incoming(&pair, 2);
        put_data(what == 2, 2, 0, "abc");
        record_end = frame_write_reset(record_end, 2, 0, what == 0 ? 2 : what == 1 ? 65537 : 4);
        assert_violates(&pair);
        pair_deinit(&pair);
    }
}

static void our_reset_says_where_what_was_sent_ends_and_goes_alone(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);
    size_t n;

    answer(stream);
    assert_int_equal(stream_write(stream, "sent", 4, &n), ERR_NONE);
    (void)frames_of(pair, SERVER, 0);
    assert_int_equal(stream_write(stream, "kept", 4, &n), ERR_NONE);
    stream_reset(stream, STREAM_RESET_LIMIT);
    stream_release(stream);
    const struct sent_frames *frames = frames_of(pair, SERVER, 0);
    assert_int_equal(frames->n, 1);
    assert_int_equal(frames->all[0].type, FRAME_RESET);
    assert_int_equal(frames->all[0].code, STREAM_RESET_LIMIT);
    assert_int_equal(frames->all[0].value, 4);
    /* Its link is lost: the reset goes again, and neither the answer nor the bytes. */
    session_lose_link(pair->ends[SERVER], 0, pair->now_us);
    assert_int_equal(session_add_link(pair->ends[SERVER], 1, pair->now_us), ERR_NONE);
    frames = frames_of(pair, SERVER, 1);
    assert_non_null(frame_of(frames, FRAME_RESET));
    assert_null(frame_of(frames, FRAME_OPENED));
    assert_null(frame_of(frames, FRAME_DATA));
}

static void a_stream_that_is_reset_before_its_opening_was_sent_leaves_no_trace(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    stream_reset(stream, STREAM_RESET_APPLICATION);
    stream_release(stream);
    assert_false(session_wants(pair->ends[CLIENT], 0));
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    assert_int_equal(frames_of(pair, CLIENT, 0)->all[0].id, 2);
}

static void bytes_for_a_stream_that_nobody_reads_any_more_reset_it(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);

    answer(stream);
    stream_finish(stream);
    stream_release(stream);
    assert_null(frame_of(frames_of(pair, SERVER, 0), FRAME_RESET));
    put_data(false, 2, 0, "x");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_non_null(frame_of(frames_of(pair, SERVER, 0), FRAME_RESET));
}

/* ---- credit ---- */

static void a_window_is_given_anew_when_half_of_it_is_consumed(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);
    static char text[32769];

    memset(text, 'a', 32767);
    text[32767] = '\0';
    put_data(false, 2, 0, text);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_reads(stream, text);
    assert_null(frame_of(frames_of(pair, SERVER, 0), FRAME_WINDOW));
    put_data(false, 2, 32767, "a");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_reads(stream, "a");
    const struct frame *frame = frame_of(frames_of(pair, SERVER, 0), FRAME_WINDOW);
    assert_non_null(frame);
    assert_int_equal(frame->value, 32768 + 65536);
    /* What is lost with its link is said again, once. */
    session_lose_link(pair->ends[SERVER], 0, pair->now_us);
    assert_int_equal(session_add_link(pair->ends[SERVER], 1, pair->now_us), ERR_NONE);
    assert_non_null(frame_of(frames_of(pair, SERVER, 1), FRAME_WINDOW));
}

static void a_sender_stops_at_its_credit_and_goes_on_with_more(void **state)
{
    struct pair *pair = *state;
    static uint8_t bytes[1000];
    size_t n, sent = 0;

    put_open(2, 0, 1500);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    struct stream *stream = expect(pair, SERVER, STREAM_INCOMING).stream;
    answer(stream);
    for (int i = 0; i < 3; i++)
        assert_int_equal(stream_write(stream, bytes, sizeof bytes, &n), ERR_NONE);
    stream_finish(stream);
    const struct sent_frames *frames = frames_of(pair, SERVER, 0);
    for (size_t i = 0; i < frames->n; i++)
        sent += frames->all[i].type == FRAME_DATA ? frames->all[i].n_bytes : 0;
    assert_int_equal(sent, 1500);
    assert_null(frame_of(frames, FRAME_FIN));
    assert_false(session_wants(pair->ends[SERVER], 0));

    record_end = frame_write_window(record_end, 2, 1000); /* a lower one is ignored */
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_null(frame_of(frames_of(pair, SERVER, 0), FRAME_DATA));
    record_end = frame_write_window(record_end, 2, 3000);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    const struct frame *frame = frame_of(frames_of(pair, SERVER, 0), FRAME_FIN);
    assert_non_null(frame);
    assert_int_equal(frame->value + frame->n_bytes, 3000);
}

static void a_stream_without_a_claim_is_given_credit_at_once(void **state)
{
    struct pair *pair = *state;

    put_open(2, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    const struct frame *frame = frame_of(frames_of(pair, SERVER, 0), FRAME_WINDOW);
    assert_non_null(frame);
    assert_int_equal(frame->value, 4096);
}

static void a_ping_is_timed_and_does_not_tell_the_time(void **state)
{
    struct pair *pair = *state;
    struct session_link_stats stats;
    for (uint64_t i = 1; i < 3; i++) {
        session_ping(pair->ends[SERVER], 0, pair->now_us);
        const struct frame *ping = frame_of(frames_of(pair, SERVER, 0), FRAME_PING);
        assert_non_null(ping);
        assert_int_equal(ping->value, i);
        pair->now_us += 1000 * i;
        record_end = frame_write_token(record_end, FRAME_PONG, ping->value);
        assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
        assert_true(session_link_stats(pair->ends[SERVER], 0, &stats));
        assert_int_equal(stats.n_pongs, i);
        assert_int_equal(stats.pong_us, 1000 * i);
    }
}

/* What is counted beside chunks, and how much that should be at most. */
static int64_t n_counted, most_counted;

static bool count_up(struct chunk_source *source, int64_t n_bytes)
{
    (void)source;
    n_counted += n_bytes;
    return n_counted <= most_counted;
}

static void begin_counting(struct pair *pair, int64_t most)
{
    n_counted = 0;
    most_counted = most;
    pair->heap.source.count = count_up;
}

/* Openings of a kind that nobody knows, in one record. */
static enum err give_refused(struct pair *pair, uint64_t first_id, uint64_t n)
{
    struct stream_request request = *some_request();
    request.kind = (enum stream_kind)9;
    for (uint64_t i = 0; i < n; i++)
        record_end = frame_write_open(record_end, first_id + 2 * i, 0, 0, &request);
    return give_record(pair, SERVER, 0);
}

static void who_acknowledges_nothing_has_memory_while_there_is_some(void **state)
{
    struct pair *pair = *state;
    enum { AT_ONCE = 256, MANY = 5 * STREAMS_LEFT_MAX };
    begin_counting(pair, INT64_MAX);
    for (uint64_t n = 0; n < MANY; n += AT_ONCE) {
        assert_int_equal(give_refused(pair, 2 + 2 * n, AT_ONCE), ERR_NONE);
        assert_true(frames_of(pair, SERVER, 0)->n >= AT_ONCE);
    }
    assert_true(n_counted >= MANY * (int64_t)sizeof(struct stream));
    most_counted = n_counted - 1;
    assert_int_equal(give_refused(pair, 2 + 2 * MANY, 1), ERR_LIMIT);
    assert_int_equal(frame_of(frames_of(pair, SERVER, 0), FRAME_END)->code, 3);
}

static void what_is_acknowledged_counts_no_more_and_few_do_no_harm(void **state)
{
    struct pair *pair = *state;
    struct session_link_stats stats;
    begin_counting(pair, 0);
    for (uint64_t n = 0; n < 4 * STREAMS_LEFT_MAX; n += STREAMS_LEFT_MAX / 4) {
        assert_int_equal(give_refused(pair, 2 + 2 * n, STREAMS_LEFT_MAX / 4), ERR_NONE);
        (void)frames_of(pair, SERVER, 0);
        assert_true(n_counted > 0);
        assert_true(session_link_stats(pair->ends[SERVER], 0, &stats));
        record_end = frame_write_ack(record_end, 0, stats.n_sent_records, 0);
        assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
        assert_int_equal(n_counted, 0);
    }
}

static void what_has_ended_counts_until_that_is_acknowledged(void **state)
{
    struct pair *pair = *state;
    begin_counting(pair, INT64_MAX);
    struct stream *ended = incoming(pair, 2), *reset = incoming(pair, 4);
    answer(ended);
    answer(reset);
    assert_int_equal(n_counted, 0);
    stream_finish(ended);
    stream_release(ended);
    assert_int_equal(n_counted, sizeof(struct stream));
    stream_reset(reset, STREAM_RESET_APPLICATION);
    stream_release(reset);
    assert_int_equal(n_counted, 2 * sizeof(struct stream));
    session_free(pair->ends[SERVER]);
    pair->ends[SERVER] = NULL;
    assert_int_equal(n_counted, 0);
}

static void half_of_the_cap_makes_new_streams_small_and_only_too_many_are_refused(void **state)
{
    struct pair *pair = *state;
    struct session_stats stats;
    struct stream *streams[8];
    uint64_t id = 2;

    for (size_t i = 0; i < N_ITEMS(streams); i++, id += 2)
        streams[i] = incoming(pair, id); /* 8 of 64 KiB: half of the cap */
    const struct frame *frame = frame_of(frames_of(pair, SERVER, 0), FRAME_INITIAL);
    assert_non_null(frame);
    assert_int_equal(frame->value, 4096);
    size_t n_small = 0;
    for (const struct frame *refused = NULL; refused == NULL; id += 2) {
        put_open(id, 4096, 4096);
        assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
        refused = frame_of(frames_of(pair, SERVER, 0), FRAME_OPENED);
        if (refused != NULL)
            assert_int_equal(refused->code, 1);
        n_small += refused == NULL;
    }
    assert_int_equal(n_small, 32768 - N_ITEMS(streams));
    session_stats(pair->ends[SERVER], &stats);
    assert_int_equal(stats.n_granted_bytes, N_ITEMS(streams) * 61440);
    put_open(id, 65536, 4096);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_int_equal(frame_of(frames_of(pair, SERVER, 0), FRAME_OPENED)->code, 1);
    for (size_t i = 0; i < N_ITEMS(streams); i++)
        stream_reset(streams[i], STREAM_RESET_LIMIT);
    frame = frame_of(frames_of(pair, SERVER, 0), FRAME_INITIAL);
    assert_int_equal(frame->value, 65536); /* the small ones take nothing of the cap */
}

static void a_claim_that_would_pass_the_cap_is_refused(void **state)
{
    struct pair *pair = *state;
    uint64_t id = 2;

    for (; id <= 2 * 17; id += 2)
        (void)incoming(pair, id); /* who has not heard of INITIAL claims all */
    put_open(id, 65536, 4096);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_int_equal(frame_of(frames_of(pair, SERVER, 0), FRAME_OPENED)->code, 1);
    (void)incoming_small(pair, id + 2);
}

/* Sends the stream all that its limit lets through, and has it consumed. */
static void fill_up(struct pair *pair, struct stream *stream, uint64_t *sent, uint64_t limit)
{
    static char text[30001];
    static uint8_t bytes[30000];
    size_t n;

    memset(text, 'a', sizeof text - 1);
    for (; limit - *sent >= 30000; *sent += 30000) {
        put_data(false, stream_id(stream), *sent, text);
        assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
        (void)read_all(stream, bytes, sizeof bytes, &n);
        assert_int_equal(n, 30000);
    }
    session_settle(pair->ends[SERVER]);
}

/* What the stream's limit is after the window that the server has to send, or as it was. */
static uint64_t limit_now(struct pair *pair, uint64_t limit)
{
    const struct frame *window = frame_of(frames_of(pair, SERVER, 0), FRAME_WINDOW);
    return window != NULL ? window->value : limit;
}

static void a_stream_that_is_drained_grows_beside_many_that_rest(void **state)
{
    struct pair *pair = *state;
    uint64_t limit = 65536, sent = 0;
    struct stream *stream = incoming(pair, 2);

    for (uint64_t id = 4; id < 4000; id += 2)
        (void)incoming_small(pair, id);
    for (int round = 0; round < 40; round++) {
        fill_up(pair, stream, &sent, limit);
        limit = limit_now(pair, limit);
        advance(pair, 20000);
    }
    assert_true(limit - sent > CAP / 8);
}

static void of_a_large_window_an_eighth_is_given_anew(void **state)
{
    struct pair pair;
    uint64_t limit = 65536, now = 0, sent = 0;
    (void)state;

    pair_init(&pair, 64 * MIB, 16 * MIB);
    pair_link(&pair, 0);
    struct stream *stream = incoming(&pair, 2);
    for (int round = 0; round < 40; round++) {
        fill_up(&pair, stream, &sent, limit);
        limit = limit_now(&pair, limit);
        advance(&pair, 20000);
    }
    for (now = limit; now == limit; now = limit_now(&pair, limit)) {
        assert_true(sent < limit);
        fill_up(&pair, stream, &sent, sent + 30000);
    }
    assert_int_equal(now - sent, 16 * MIB);
    assert_true(now - limit >= 2 * MIB && now - limit < 2 * MIB + 30000);
    pair_deinit(&pair);
}

static void windows_that_grow_share_what_there_is(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[4];
    uint64_t limits[4], sent[4] = {0};
    struct session_stats stats;

    for (uint64_t i = 0; i < N_ITEMS(streams); i++) {
        streams[i] = incoming(pair, 2 + 2 * i);
        limits[i] = 65536;
    }
    for (int round = 0; round < 100; round++) {
        /* The first two have it all for a while. */
        for (size_t i = 0; i < (round < 40 ? 2 : N_ITEMS(streams)); i++)
            fill_up(pair, streams[i], &sent[i], limits[i]);
        const struct sent_frames *frames = frames_of(pair, SERVER, 0);
        for (size_t i = 0; i < frames->n; i++) {
            if (frames->all[i].type == FRAME_WINDOW)
                limits[frames->all[i].id / 2 - 1] = frames->all[i].value;
        }
        session_stats(pair->ends[SERVER], &stats);
        assert_true(stats.n_granted_bytes <= CAP / 4 * 3);
        if (round == 39)
            assert_int_equal(stats.n_granted_bytes, 2 * (CAP / 4 - 4096) + 2 * 61440);
        advance(pair, 20000);
    }
    assert_int_equal(stats.n_granted_bytes, 4 * (CAP / 2 / 4 - 4096));
}

static void behind_its_fin_a_stream_has_what_is_not_read_beyond_what_any_may_have(void **state)
{
    struct pair *pair = *state;
    static char text[5001];
    struct session_stats stats;

    memset(text, 'a', sizeof text - 1);
    (void)incoming(pair, 2);
    put_data(true, 2, 0, text);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    session_settle(pair->ends[SERVER]);
    session_stats(pair->ends[SERVER], &stats);
    assert_int_equal(stats.n_granted_bytes, 5000 - 4096);
}

static void a_stream_takes_no_more_from_its_application_than_it_may_keep(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t bytes[4096];
    struct session_stats stats;
    size_t n;

    open_stream(pair, 0, streams);
    while (stream_write(streams[CLIENT], bytes, sizeof bytes, &n) == ERR_NONE)
        continue;
    session_stats(pair->ends[CLIENT], &stats);
    assert_true(stats.n_held_bytes >= 64 * 1024 && stats.n_held_bytes < 192 * 1024);
    carry(pair, CLIENT, 0);
    /* Not before what was sent is consumed: 64 KiB is all the credit. */
    assert_ptr_equal(expect(pair, CLIENT, STREAM_WRITABLE).stream, streams[CLIENT]);
    assert_int_equal(stream_write(streams[CLIENT], bytes, sizeof bytes, &n), ERR_NONE);
}

/* The client's application writes all that it may to each of the streams. */
static void write_all(struct stream *streams[], size_t n_streams)
{
    static uint8_t bytes[4096];
    size_t n;

    for (size_t i = 0; i < n_streams; i++)
        while (stream_write(streams[i], bytes, sizeof bytes, &n) == ERR_NONE)
            continue;
}

/* How many of those hear that there is room of whose bytes none was acknowledged. */
static size_t n_told_for_others(struct session *session)
{
    struct session_event event;
    size_t n = 0;

    while (session_next_event(session, &event))
        n += event.kind == STREAM_WRITABLE && event.stream->out.base == 0;
    return n;
}

static void those_whom_all_have_left_no_room_hear_of_it_when_an_eighth_is_free(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[32], *ends[2];
    struct session *client = pair->ends[CLIENT];

    for (size_t i = 0; i < N_ITEMS(streams); i++) {
        open_stream(pair, 0, ends);
        streams[i] = ends[CLIENT];
    }
    advance(pair, 25000);
    carry_all(pair, 0);
    write_all(streams, N_ITEMS(streams));
    assert_true(client->n_outgoing_bytes >= CAP);
    while (take(pair, CLIENT, 0, record) > 0)
        continue;
    (void)n_told_for_others(client);
    write_all(streams, N_ITEMS(streams));
    const struct session_link *link = link_find(client, 0);
    while (client->n_outgoing_bytes > CAP / 8 * 7) {
        assert_int_equal(n_told_for_others(client), 0);
        record_end = frame_write_ack(record, 0, link->n_acked + 1, 0);
        assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    }
    assert_true(client->n_outgoing_bytes > CAP / 4 * 3);
    assert_true(n_told_for_others(client) > 0);
}

/* ---- acknowledgements ---- */

static void an_acknowledgement_goes_with_what_is_sent_or_after_its_delay(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);

    assert_int_equal(session_deadline_us(pair->ends[SERVER]), pair->now_us + 25000);
    advance(pair, 24999);
    assert_false(session_wants(pair->ends[SERVER], 0));
    advance(pair, 1);
    const struct frame *frame = frame_of(frames_of(pair, SERVER, 0), FRAME_ACK);
    assert_non_null(frame);
    assert_int_equal(frame->value, 1);
    assert_int_equal(frame->delay_us, 25000);
    assert_true(session_deadline_us(pair->ends[SERVER]) == UINT64_MAX);

    put_data(false, 2, 0, "x");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    answer(stream);
    frame = frame_of(frames_of(pair, SERVER, 0), FRAME_ACK);
    assert_non_null(frame);
    assert_int_equal(frame->value, 2);
}

static void much_is_acknowledged_at_once(void **state)
{
    struct pair *pair = *state;
    struct stream *stream = incoming(pair, 2);
    static char text[30001];

    memset(text, 'a', sizeof text - 1);
    for (uint64_t at = 0; at < 10 * 30000; at += 30000) {
        bool was_due = session_wants(pair->ends[SERVER], 0);
        assert_int_equal(was_due, at >= 9 * 30000);
        put_data(false, 2, at % 60000,
                 text); /* again and again the same: no window is to be given */
        assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    }
    assert_non_null(frame_of(frames_of(pair, SERVER, 0), FRAME_ACK));
    stream_release(stream);
}

static void what_does_not_ask_is_not_acknowledged(void **state)
{
    struct pair *pair = *state;

    record_end = frame_write_ack(record_end, 0, 0, 0);
    record_end = frame_write_token(record_end, FRAME_PONG, 7);
    *record_end++ = FRAME_PADDING;
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    assert_true(session_deadline_us(pair->ends[CLIENT]) == UINT64_MAX);
    assert_false(session_wants(pair->ends[CLIENT], 0));
    /* It is counted. */
    record_end = frame_write_token(record_end, FRAME_PING, 7);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    const struct sent_frames *frames = frames_of(pair, CLIENT, 0);
    assert_int_equal(frame_of(frames, FRAME_PONG)->value, 7);
    assert_int_equal(frame_of(frames, FRAME_ACK)->value, 2);
}

static void more_acknowledged_than_was_sent_ends_the_session(void **state)
{
    struct pair *pair = *state;

    record_end = frame_write_ack(record_end, 77, 1000, 0); /* not a link that is known */
    record_end = frame_write_ack(record_end, 0, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    record_end = frame_write_ack(record_end, 0, 1, 0);
    assert_violates(pair);
}

static void the_round_trip_is_measured_without_the_delay(void **state)
{
    struct pair *pair = *state;
    struct session_link_stats stats;
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    (void)frames_of(pair, CLIENT, 0);
    assert_true(session_link_stats(pair->ends[CLIENT], 0, &stats));
    assert_int_equal(stats.unacked_since_us, pair->now_us);
    advance(pair, 65000);
    record_end = frame_write_ack(record_end, 0, 1, 25000);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    assert_true(session_link_stats(pair->ends[CLIENT], 0, &stats));
    assert_int_equal(stats.srtt_us, 40000);
    assert_int_equal(stats.min_rtt_us, 40000);
    assert_int_equal(stats.unacked_since_us, 0);

    session_ping(pair->ends[CLIENT], 0, pair->now_us);
    uint64_t token = frame_of(frames_of(pair, CLIENT, 0), FRAME_PING)->value;
    advance(pair, 10000);
    record_end = frame_write_token(record_end, FRAME_PONG, token);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    record_end = frame_write_token(record_end, FRAME_PONG, token);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    assert_true(session_link_stats(pair->ends[CLIENT], 0, &stats));
    assert_int_equal(stats.min_rtt_us, 10000);
    assert_int_equal(stats.srtt_us, (40000 * 7 + 10000) / 8);
}

static struct session_stream_stats stats_of_first(struct pair *pair)
{
    struct session_stream_stats stats[2];

    assert_int_equal(session_stream_stats(pair->ends[CLIENT], stats, 2), 1);
    return stats[0];
}

/* The client's first link: so many records have come, the last of them that long ago. */
static void acknowledge(struct pair *pair, uint64_t n, uint64_t delay_us)
{
    record_end = frame_write_ack(record_end, 0, n, delay_us);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
}

static void send_bytes(struct pair *pair, struct stream *stream)
{
    size_t n;

    assert_int_equal(stream_write(stream, "abc", 3, &n), ERR_NONE);
    (void)frames_of(pair, CLIENT, 0);
}

static void a_stream_s_round_trip_is_that_of_the_last_record_of_an_acknowledgement(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    (void)frames_of(pair, CLIENT, 0);
    assert_int_equal(stats_of_first(pair).srtt_us, 0);
    advance(pair, 65000);
    acknowledge(pair, 1, 25000);
    assert_int_equal(stats_of_first(pair).srtt_us, 40000);

    send_bytes(pair, stream);
    advance(pair, 20000);
    send_bytes(pair, stream);
    advance(pair, 10000);
    acknowledge(pair, 3, 0);
    struct session_stream_stats stats = stats_of_first(pair);
    assert_int_equal(stats.min_rtt_us, 10000);
    assert_int_equal(stats.srtt_us, (40000 * 7 + 10000) / 8);
    assert_int_equal(stats.id, 2);
    assert_int_equal(stats.n_sent_bytes, 6);
    assert_int_equal(stats.n_acked_bytes, 6);
    assert_int_equal(stats.n_resent_bytes, 0);
}

static void no_round_trip_of_a_stream_is_measured_over_a_pause_that_is_excused(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    (void)frames_of(pair, CLIENT, 0);
    advance(pair, 5000000);
    session_excuse(pair->ends[CLIENT], 5000000, pair->now_us);
    acknowledge(pair, 1, 0);
    assert_int_equal(stats_of_first(pair).srtt_us, 0);
    send_bytes(pair, stream);
    advance(pair, 30000);
    acknowledge(pair, 2, 0);
    assert_int_equal(stats_of_first(pair).srtt_us, 30000);
}

static void what_was_sent_again_is_counted_for_its_stream_and_timed_anew(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    send_bytes(pair, stream);
    advance(pair, 9000000);
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    assert_int_equal(session_add_link(pair->ends[CLIENT], 1, pair->now_us), ERR_NONE);
    (void)frames_of(pair, CLIENT, 1);
    advance(pair, 12000);
    record_end = frame_write_ack(record_end, 1, 1, 0);
    assert_int_equal(give_record(pair, CLIENT, 1), ERR_NONE);
    struct session_stream_stats stats = stats_of_first(pair);
    assert_int_equal(stats.min_rtt_us, 12000);
    assert_int_equal(stats.srtt_us, 12000);
    assert_int_equal(stats.n_sent_bytes, 3);
    assert_int_equal(stats.n_acked_bytes, 3);
    assert_int_equal(stats.n_resent_bytes, 3);
}

/* ---- links ---- */

static void what_a_link_had_goes_again_on_another_behind_its_opening(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;
    size_t n;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    assert_int_equal(stream_write(stream, "abc", 3, &n), ERR_NONE);
    (void)frames_of(pair, CLIENT, 0);
    stream_finish(stream);
    (void)frames_of(pair, CLIENT, 0);
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    assert_int_equal(session_add_link(pair->ends[CLIENT], 1, pair->now_us), ERR_NONE);

    const struct sent_frames *frames = frames_of(pair, CLIENT, 1);
    assert_int_equal(frames->all[0].type, FRAME_LOST);
    assert_int_equal(frames->all[0].id, 0);
    assert_int_equal(frames->all[0].value, 0);
    assert_int_equal(frames->all[1].type, FRAME_OPEN);
    assert_int_equal(frames->all[1].id, 2);
    assert_int_equal(frames->all[2].type, FRAME_FIN);
    assert_int_equal(frames->all[2].n_bytes, 3);
    assert_int_equal(frames->n, 3);
    struct session_stats stats;
    session_stats(pair->ends[CLIENT], &stats);
    assert_int_equal(stats.n_resent_bytes, 3);
}

static void what_was_accepted_before_the_loss_is_not_sent_again(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t bytes[1000];
    size_t n;

    open_stream(pair, 0, streams);
    pair->room = 512;
    assert_int_equal(stream_write(streams[CLIENT], bytes, sizeof bytes, &n), ERR_NONE);
    (void)frames_of(pair, CLIENT, 0); /* three records */
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    struct session_link_stats stats;
    assert_false(session_link_stats(pair->ends[CLIENT], 0, &stats));
    assert_int_equal(session_add_link(pair->ends[CLIENT], 1, pair->now_us), ERR_NONE);
    /* LOST says that all but the last had come: 1 for OPEN, perhaps one for an ACK, and two of these. */
    uint64_t n_before = 0;
    assert_true(session_link_stats(pair->ends[SERVER], 0, &stats));
    n_before = stats.n_accepted_records;
    record_end = frame_write_lost(record_end, 0, n_before + 2);
    assert_int_equal(give_record(pair, CLIENT, 1), ERR_NONE);
    const struct frame *frame = frame_of(frames_of(pair, CLIENT, 1), FRAME_DATA);
    assert_non_null(frame);
    assert_true(frame->value > 0 && frame->value + frame->n_bytes == 1000);
}

static void a_link_that_the_other_end_calls_lost_is_lost_and_confirmed_once(void **state)
{
    struct pair *pair = *state;

    pair_link(pair, 1);
    record_end = frame_write_lost(record_end, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 1), ERR_NONE);
    assert_int_equal(expect(pair, SERVER, SESSION_LINK_LOST).link, 0);
    assert_false(session_wants(pair->ends[SERVER], 0));
    const struct sent_frames *frames = frames_of(pair, SERVER, 1);
    assert_int_equal(frames->n, 2);
    assert_int_equal(frames->all[0].type, FRAME_LOST);
    assert_int_equal(frames->all[0].value, 0);
    assert_int_equal(frames->all[1].type, FRAME_ACK);
    /* What still comes on it is not looked at. */
    put_open(2, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect_nothing(pair, SERVER);
    assert_false(session_wants(pair->ends[SERVER], 1));
    /* Said again, as the record was lost with its link. */
    session_lose_link(pair->ends[SERVER], 1, pair->now_us);
    assert_int_equal(session_add_link(pair->ends[SERVER], 2, pair->now_us), ERR_NONE);
    assert_int_equal(frames_of(pair, SERVER, 2)->n, 2);
}

static void a_join_that_was_given_up_is_answered_and_its_number_used_up(void **state)
{
    struct pair *pair = *state;

    record_end = frame_write_lost(record_end, 5, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_int_equal(expect(pair, SERVER, SESSION_LINK_LOST).link, 5);
    const struct frame *frame = frame_of(frames_of(pair, SERVER, 0), FRAME_LOST);
    assert_non_null(frame);
    assert_int_equal(frame->id, 5);
    assert_int_equal(session_add_link(pair->ends[SERVER], 5, pair->now_us), ERR_BAD);
    /* One that was forgotten is ignored; a client cannot know, and answers. */
    record_end = frame_write_ack(record_end, 0, 1, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    record_end = frame_write_lost(record_end, 5, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect_nothing(pair, SERVER);
    assert_null(frame_of(frames_of(pair, SERVER, 0), FRAME_LOST));
    record_end = frame_write_lost(record_end, 5, 0);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    assert_non_null(frame_of(frames_of(pair, CLIENT, 0), FRAME_LOST));
}

static void a_number_64_below_the_highest_may_still_come_and_65_not(void **state)
{
    struct pair *pair = *state;
    struct session *server = pair->ends[SERVER];
    static const struct {
        uint64_t number;
        enum err err;
    } links[] = {
        {70, ERR_NONE}, {6, ERR_NONE}, {6, ERR_BAD},    {5, ERR_BAD},    {70, ERR_BAD},
        {69, ERR_NONE}, {69, ERR_BAD}, {134, ERR_NONE}, {70, ERR_BAD},   {71, ERR_NONE},
        {69, ERR_BAD},  {71, ERR_BAD}, {199, ERR_NONE}, {135, ERR_NONE}, {134, ERR_BAD},
    };

    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        assert_int_equal(session_add_link(server, links[i].number, pair->now_us), links[i].err);
}

static void too_many_lost_links_end_the_session(void **state)
{
    struct pair *pair = *state;

    for (uint64_t number = 1; number <= 257; number++) {
        record_end = frame_write_lost(record_end, number, 0);
        assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    }
    record_end = frame_write_lost(record_end, 258, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_LIMIT);
    const struct sent_frames *frames = frames_of(pair, SERVER, 0);
    assert_int_equal(frame_of(frames, FRAME_END)->code, 3);
}

/* As where each stream has one of its own: the session joins again, and each end hears of all of them. */
static void a_thousand_links_may_be_lost_at_once(void **state)
{
    enum { LINKS = 1000 };
    struct pair *pair = *state;

    for (uint64_t number = 1; number <= LINKS; number++)
        for (int at = 0; at < 2; at++) {
            assert_int_equal(session_add_link(pair->ends[at], number, pair->now_us), ERR_NONE);
            session_link_stands(pair->ends[at], number);
        }
    for (uint64_t number = 0; number <= LINKS; number++)
        for (int at = 0; at < 2; at++)
            session_lose_link(pair->ends[at], number, pair->now_us);
    for (int at = 0; at < 2; at++) {
        assert_int_equal(session_add_link(pair->ends[at], LINKS + 1, pair->now_us), ERR_NONE);
        session_link_stands(pair->ends[at], LINKS + 1);
        for (struct session_event event; session_next_event(pair->ends[at], &event);)
            assert_int_not_equal(event.kind, SESSION_ENDED);
    }
    static uint8_t bytes[SESSION_RECORD_MAX_BYTES];
    struct frame frame;
    uint64_t next = 0;
    size_t n;
    while ((n = take(pair, CLIENT, LINKS + 1, bytes)) > 0)
        for (size_t begin = 0, used; begin < n; begin += used) {
            assert_int_equal(frame_parse(bytes + begin, n - begin, &frame, &used), ERR_NONE);
            if (frame.type == FRAME_LOST)
                assert_int_equal(frame.id, next++);
        }
    assert_int_equal(next, LINKS + 1);
}

static void attempts_that_never_stood_are_forgotten(void **state)
{
    struct pair *pair = *state;

    for (uint64_t number = 1; number < 1000; number++) {
        assert_int_equal(session_add_link(pair->ends[CLIENT], number, pair->now_us), ERR_NONE);
        session_lose_link(pair->ends[CLIENT], number, pair->now_us);
    }
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    assert_int_equal(session_add_link(pair->ends[CLIENT], 1000, pair->now_us), ERR_NONE);
    static uint8_t bytes[SESSION_RECORD_MAX_BYTES];
    struct frame frame;
    size_t n = take(pair, CLIENT, 1000, bytes), used, n_lost = 0;
    for (size_t at = 0; at < n; at += used) {
        assert_int_equal(frame_parse(bytes + at, n - at, &frame, &used), ERR_NONE);
        n_lost += frame.type == FRAME_LOST;
        assert_true(frame.id >= 1000 - 64 || frame.id == 0);
    }
    assert_int_equal(n_lost, 65);
}

static void a_stream_stays_on_the_link_of_its_opening(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;
    size_t n;

    pair_link(pair, 1);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    (void)frames_of(pair, CLIENT, 1);
    assert_int_equal(stream_write(stream, "abc", 3, &n), ERR_NONE);
    assert_false(session_wants(pair->ends[CLIENT], 0));
    assert_true(session_wants(pair->ends[CLIENT], 1));
    record_end = frame_write_ack(record_end, 1, 1, 0);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    assert_true(session_wants(pair->ends[CLIENT], 0));
    assert_non_null(frame_of(frames_of(pair, CLIENT, 0), FRAME_DATA));
}

static void refused_early_records_were_never_sent(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;
    size_t n;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    assert_int_equal(stream_write(stream, "abc", 3, &n), ERR_NONE);
    (void)frames_of(pair, CLIENT, 0);
    session_retract(pair->ends[CLIENT], 0, pair->now_us);
    const struct sent_frames *frames = frames_of(pair, CLIENT, 0);
    assert_int_equal(frames->n, 2);
    assert_int_equal(frames->all[0].type, FRAME_OPEN);
    assert_int_equal(frames->all[0].id, 2);
    assert_int_equal(frames->all[1].n_bytes, 3);
    record_end = frame_write_ack(record_end, 0, 1, 0);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    record_end = frame_write_ack(record_end, 0, 2, 0);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_BAD);
}

/* More of them than may be under way, one after the other, to a server that does not answer: who comes then is served. */
static void streams_that_end_before_anybody_has_heard_of_them_leave_nothing(void **state)
{
    struct pair *pair = *state;
    struct session *client = pair->ends[CLIENT];
    struct stream *streams[2];
    struct session_stats stats;
    uint8_t bytes[SESSION_RECORD_MAX_BYTES];

    for (unsigned i = 0; i < 40000; i++) {
        struct stream *stream;
        assert_int_equal(session_open(client, some_request(), &stream), ERR_NONE);
        assert_int_not_equal(take(pair, CLIENT, 0, bytes), 0);
        if (i % 2 == 0)
            session_retract(client, 0, pair->now_us);
        stream_release(stream);
        session_retract(client, 0, pair->now_us);
    }
    session_stats(client, &stats);
    assert_int_equal(stats.n_dead + stats.n_closed, 0);
    open_stream(pair, 0, streams);
    assert_int_equal(stream_id(streams[CLIENT]), 2);
}

static void bye_is_the_last_that_is_sent_and_the_last_that_is_taken(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    session_bye(pair->ends[CLIENT], 0);
    const struct sent_frames *frames = frames_of(pair, CLIENT, 0);
    assert_int_equal(frames->all[frames->n - 1].type, FRAME_BYE);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    assert_false(session_wants(pair->ends[CLIENT], 0));

    record_end = frame_write_bye(record_end);
    *record_end++ = FRAME_PADDING;
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_int_equal(expect(pair, SERVER, SESSION_LINK_BYE).link, 0);
    put_open(2, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect_nothing(pair, SERVER);
}

static void a_frame_behind_bye_ends_the_session(void **state)
{
    struct pair *pair = *state;

    record_end = frame_write_bye(record_end);
    put_open(2, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_BAD);
}

static void streams_of_our_own_keep_to_the_cap_and_to_their_number(void **state)
{
    struct pair *pair = *state;
    struct session_stats stats;
    struct stream *stream, *last = NULL;
    size_t n = 0;
    enum err err;

    while ((err = session_open(pair->ends[CLIENT], some_request(), &stream)) == ERR_NONE) {
        assert_true(++n <= 32768);
        last = stream;
        while (n % 100 == 0 && carry(pair, CLIENT, 0) > 0)
            (void)carry(pair, SERVER, 0);
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_int_equal(n, 32768);
    session_stats(pair->ends[CLIENT], &stats);
    assert_in_range(stats.n_granted_bytes, CAP / 4, CAP);
    stream_release(last);
    carry_all(pair, 0);
    advance(pair, 100000);
    carry_all(pair, 0);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
}

/* ---- draining ---- */

static void an_end_that_drains_says_so_and_refuses_nothing_that_was_under_way(void **state)
{
    struct pair *pair = *state;
    struct stream *kept, *late;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &kept), ERR_NONE);
    carry_all(pair, 0);
    assert_ptr_not_equal(expect(pair, SERVER, STREAM_INCOMING).stream, NULL);
    session_drain(pair->ends[SERVER], 30);
    const struct frame *drain = frame_of(frames_of(pair, SERVER, 0), FRAME_DRAIN);
    assert_non_null(drain);
    assert_int_equal(drain->value, 30);
    /* It is lost on its way, while another stream is opened: that is not refused yet. */
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &late), ERR_NONE);
    assert_true(carry(pair, CLIENT, 0) > 0);
    assert_ptr_not_equal(expect(pair, SERVER, STREAM_INCOMING).stream, NULL);
    assert_false(session_drain_is_known(pair->ends[SERVER]));
    session_lose_link(pair->ends[SERVER], 0, pair->now_us);
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    pair_link(pair, 1);
    carry_all(pair, 1);
    assert_int_equal(expect(pair, CLIENT, SESSION_DRAIN).seconds, 30);
    advance(pair, 30000); /* as its acknowledgement may take */
    carry_all(pair, 1);
    assert_true(session_drain_is_known(pair->ends[SERVER]));
    /* One that was under way by a slower link. */
    record_end = frame_write_open(record_end, 6, 4096, 4096, some_request());
    assert_int_equal(give_record(pair, SERVER, 1), ERR_NONE);
    assert_int_equal(stream_id(expect(pair, SERVER, STREAM_INCOMING).stream), 6);
    struct session_event event;
    while (session_next_event(pair->ends[CLIENT], &event))
        assert_int_not_equal(event.kind, SESSION_DRAIN);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &late), ERR_EOF);
    size_t n;
    assert_int_equal(stream_write(kept, "more", 4, &n), ERR_NONE);
}

static void a_drain_that_comes_twice_before_anybody_looks_is_told_once(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    for (uint64_t i = 0; i < 2; i++) {
        record_end = frame_write_drain(record_end, 30 - i);
        assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    }
    assert_int_equal(expect(pair, CLIENT, SESSION_DRAIN).seconds, 29);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_EOF);
    expect_nothing(pair, CLIENT);
    record_end = frame_write_drain(record_end, 28);
    assert_int_equal(give_record(pair, CLIENT, 0), ERR_NONE);
    expect_nothing(pair, CLIENT);
}

/* ---- the end ---- */

static void an_end_kills_all_streams_and_is_answered_with_bye(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    open_stream(pair, 0, streams);
    session_end(pair->ends[SERVER], 0, pair->now_us);
    assert_ptr_equal(expect(pair, SERVER, STREAM_DEAD).stream, streams[SERVER]);
    assert_int_equal(stream_reset_code(streams[SERVER]), STREAM_RESET_DRAIN);
    assert_int_equal(carry(pair, SERVER, 0), 1);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_DEAD).stream, streams[CLIENT]);
    assert_int_equal(stream_reset_code(streams[CLIENT]), STREAM_RESET_DRAIN);
    assert_int_equal(expect(pair, CLIENT, SESSION_ENDED).code, 0);
    expect_nothing(pair, SERVER);
    assert_int_equal(carry(pair, CLIENT, 0), 1);
    assert_int_equal(expect(pair, SERVER, SESSION_LINK_BYE).link, 0);
    expect(pair, SERVER, SESSION_ENDED);
    assert_int_equal(session_open(pair->ends[SERVER], some_request(), &streams[0]), ERR_EOF);
}

/* Whoever takes it slowly loses nothing. */
static void what_has_come_whole_can_be_read_behind_an_end(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    struct session_stats stats;
    uint8_t bytes[8];
    size_t n;

    open_stream(pair, 0, streams);
    assert_int_equal(stream_write(streams[SERVER], "whole", 5, &n), ERR_NONE);
    for (int end = 0; end < 2; end++)
        stream_finish(streams[end]);
    pair->now_us += 30000;
    carry_all(pair, 0);
    stream_release(streams[SERVER]);
    session_end(pair->ends[SERVER], 0, pair->now_us);
    assert_int_equal(carry(pair, SERVER, 0), 1);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_READABLE).stream, streams[CLIENT]);
    assert_int_equal(expect(pair, CLIENT, SESSION_ENDED).code, 0);
    session_stats(pair->ends[CLIENT], &stats);
    assert_int_equal(stats.n_streams, 0);
    assert_int_equal(stats.n_closed, 1);
    assert_int_equal(read_all(streams[CLIENT], bytes, sizeof bytes, &n), ERR_EOF);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "whole", 5);
    stream_release(streams[CLIENT]);
    session_stats(pair->ends[CLIENT], &stats);
    assert_int_equal(stats.n_closed, 0);
}

static void an_end_that_nobody_acknowledges_is_over_after_its_time(void **state)
{
    struct pair *pair = *state;

    session_end(pair->ends[SERVER], 3, pair->now_us);
    (void)frames_of(pair, SERVER, 0);
    assert_int_equal(session_deadline_us(pair->ends[SERVER]), pair->now_us + 3000000);
    advance(pair, 2999999);
    expect_nothing(pair, SERVER);
    advance(pair, 1);
    assert_int_equal(expect(pair, SERVER, SESSION_ENDED).code, 3);
    assert_true(session_deadline_us(pair->ends[SERVER]) == UINT64_MAX);
}

static void an_end_without_a_link_is_over_at_once(void **state)
{
    struct pair *pair = *state;

    session_lose_link(pair->ends[SERVER], 0, pair->now_us);
    session_end(pair->ends[SERVER], 3, pair->now_us);
    expect(pair, SERVER, SESSION_ENDED);
}

/* ---- identities, early data ---- */

static void nothing_is_acted_on_before_the_identity_that_is_demanded(void **state)
{
    struct pair *pair = *state;
    static const uint8_t auth[] = {FRAME_AUTH, 0, 2, 'k', 'y', 0, 3, 's', 'i', 'g'};
    const uint8_t *spki, *signature;
    size_t n_spki, n_signature;

    session_demand_auth(pair->ends[SERVER]);
    memcpy(record_end, auth, sizeof auth);
    record_end += sizeof auth;
    put_open(2, 65536, 0);
    put_data(false, 2, 0, "hello");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect(pair, SERVER, SESSION_AUTH);
    expect_nothing(pair, SERVER);
    session_auth(pair->ends[SERVER], &spki, &n_spki, &signature, &n_signature);
    assert_int_equal(n_spki, 2);
    assert_memory_equal(spki, "ky", 2);
    assert_int_equal(n_signature, 3);
    assert_memory_equal(signature, "sig", 3);
    assert_int_equal(session_admit(pair->ends[SERVER], pair->now_us), ERR_NONE);
    assert_reads(expect(pair, SERVER, STREAM_INCOMING).stream, "hello");
}

static void bye_behind_an_identity_is_the_last_that_is_taken(void **state)
{
    struct pair *pair = *state;
    static const uint8_t auth[] = {FRAME_AUTH, 0, 2, 'k', 'y', 0, 3, 's', 'i', 'g'};

    session_demand_auth(pair->ends[SERVER]);
    memcpy(record_end, auth, sizeof auth);
    record_end = frame_write_bye(record_end + sizeof auth);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect(pair, SERVER, SESSION_AUTH);
    assert_int_equal(session_admit(pair->ends[SERVER], pair->now_us), ERR_NONE);
    expect(pair, SERVER, SESSION_LINK_BYE);
    put_open(2, 65536, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    expect_nothing(pair, SERVER);
}

static void another_frame_where_an_identity_is_demanded_ends_the_session(void **state)
{
    struct pair *pair = *state;

    session_demand_auth(pair->ends[SERVER]);
    put_open(2, 0, 0);
    assert_int_equal(give_record(pair, SERVER, 0), ERR_BAD);
    expect_nothing(pair, SERVER);
}

static void the_largest_identity_fits(void **state)
{
    struct pair *pair = *state;
    static uint8_t spki[1062], signature[1024]; /* RSA of 8,192 bits */

    assert_int_equal(
        session_put_auth(pair->ends[CLIENT], spki, sizeof spki, signature, sizeof signature),
        ERR_NONE);
    const struct sent_frames *frames = frames_of(pair, CLIENT, 0);
    assert_int_equal(frames->n, 1);
    assert_int_equal(frames->all[0].n_bytes, sizeof spki);
    assert_int_equal(frames->all[0].n_signature, sizeof signature);
}

static void an_identity_goes_first_and_is_ignored_where_nobody_demands_it(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
    assert_int_equal(session_put_auth(pair->ends[CLIENT], (const uint8_t *)"key", 3,
                                      (const uint8_t *)"signature", 9),
                     ERR_NONE);
    assert_int_equal(carry(pair, CLIENT, 0), 1);
    expect(pair, SERVER, STREAM_INCOMING);
    expect_nothing(pair, SERVER);
}

static void bytes_are_held_back_until_they_may_be_delivered(void **state)
{
    struct pair *pair = *state;
    const uint8_t *bytes;
    size_t n;

    session_deliver(pair->ends[SERVER], false);
    struct stream *stream = incoming(pair, 2);
    put_data(false, 2, 0, "early");
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_int_equal(stream_peek(stream, &bytes, &n), ERR_AGAIN);
    expect_nothing(pair, SERVER);
    session_deliver(pair->ends[SERVER], true);
    assert_ptr_equal(expect(pair, SERVER, STREAM_READABLE).stream, stream);
    assert_reads(stream, "early");
}

/* ---- turns ---- */

static void small_streams_go_before_bulk_and_bulk_takes_turns(void **state)
{
    struct pair *pair = *state;
    static uint8_t bytes[128000];
    struct stream *bulk[2], *small;
    size_t n, sent[2] = {0};

    for (uint64_t id = 2; id <= 4; id += 2) {
        bulk[id / 2 - 1] = incoming(pair, id);
        answer(bulk[id / 2 - 1]);
    }
    small = incoming(pair, 6);
    answer(small);
    pair->now_us += 1000000;
    for (int i = 0; i < 2; i++)
        assert_int_equal(stream_write(bulk[i], bytes, 64000, &n), ERR_NONE);
    /* What a stream sends first is urgent; after 32 KiB of it the rest is bulk. */
    size_t n_records = 0;
    while (n_records < 6 && take(pair, SERVER, 0, bytes) > 0)
        n_records++;
    for (int i = 0; i < 2; i++) {
        record_end = frame_write_window(record_end, 2 + 2 * (uint64_t)i, MIB);
        assert_int_equal(stream_write(bulk[i], bytes, 128000, &n), ERR_NONE);
    }
    assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
    assert_int_equal(stream_write(small, "x", 1, &n), ERR_NONE);
    n = take(pair, SERVER, 0, bytes);
    struct frame frame;
    size_t used;
    assert_int_equal(frame_parse(bytes, n, &frame, &used), ERR_NONE);
    assert_int_equal(frame.id, 6);
    /* No bulk is behind it, which would make somebody wait for more bytes. */
    assert_true(n < 40);
    const struct sent_frames *frames = frames_of(pair, SERVER, 0);
    for (size_t i = 0; i + 1 < frames->n; i++) {
        assert_int_equal(frames->all[i].type, FRAME_DATA);
        sent[frames->all[i].id / 2 - 1] += frames->all[i].n_bytes;
        size_t apart = sent[0] > sent[1] ? sent[0] - sent[1] : sent[1] - sent[0];
        assert_true(apart <= 2 * 65536);
    }
    /* As much as stream_write() has taken, but for the last frame: what makes 64 KiB with what was unsent. */
    for (int i = 0; i < 2; i++)
        assert_in_range(sent[i], 65536 - 1024, 65536);
}

static void bulk_is_not_starved_by_small_streams(void **state)
{
    struct pair *pair = *state;
    static uint8_t bytes[65536];
    struct stream *bulk = incoming(pair, 2), *small;
    size_t n, n_urgent = 0;
    uint64_t id = 4;

    answer(bulk);
    assert_int_equal(stream_write(bulk, bytes, 65536, &n), ERR_NONE);
    for (int i = 0; i < 3; i++)
        (void)take(pair, SERVER, 0, bytes);
    for (bool has_moved = false; !has_moved; id += 2) {
        put_open(id, 0, 16000);
        assert_int_equal(give_record(pair, SERVER, 0), ERR_NONE);
        small = expect(pair, SERVER, STREAM_INCOMING).stream;
        answer(small);
        assert_int_equal(stream_write(small, bytes, 16000, &n), ERR_NONE);
        struct frame frame;
        size_t used, at = 0;
        n = take(pair, SERVER, 0, bytes);
        for (; at < n; at += used) {
            assert_int_equal(frame_parse(bytes + at, n - at, &frame, &used), ERR_NONE);
            has_moved = has_moved || (frame.type == FRAME_DATA && frame.id == 2);
            n_urgent += frame.type == FRAME_DATA && frame.id != 2 ? frame.n_bytes : 0;
        }
        assert_true(n_urgent < 400000);
    }
    assert_true(n_urgent > 100000);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, begin, pair_end)

/* ---- another session in the place of one that is lost ---- */

static void what_was_never_sent_becomes_another_session_s(void **state)
{
    struct pair *pair = *state;
    static struct pair other;
    struct stream *streams[2], *waiting, *way, *of_another;
    struct stream_request associates = {.kind = STREAM_ASSOCIATION},
                          relays = {.kind = STREAM_RELAYED};
    struct session_stats stats;
    struct target target;
    uint8_t bytes[SESSION_RECORD_MAX_BYTES], *datagram;
    size_t n;

    open_stream(pair, 0, streams);
    relays.of = stream_id(streams[CLIENT]);
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &waiting), ERR_NONE);
    assert_int_equal(stream_write(waiting, "waiting", 7, &n), ERR_NONE);
    stream_finish(waiting);
    assert_int_equal(session_open(pair->ends[CLIENT], &associates, &way), ERR_NONE);
    stream_send_datagram(way, &some_request()->target, (const uint8_t *)"late", 4, pair->now_us);
    assert_int_equal(session_open(pair->ends[CLIENT], &relays, &of_another), ERR_NONE);

    /* Of early records that are refused nobody knows. */
    assert_int_equal(session_add_link(pair->ends[CLIENT], 1, pair->now_us), ERR_NONE);
    assert_int_not_equal(take(pair, CLIENT, 1, bytes), 0);
    session_retract(pair->ends[CLIENT], 1, pair->now_us);
    session_lose_link(pair->ends[CLIENT], 1, pair->now_us);

    pair_init(&other, 64 * MIB, 16 * MIB);
    session_move_untold(pair->ends[CLIENT], other.ends[CLIENT]);
    session_stats(pair->ends[CLIENT], &stats);
    assert_int_equal(stats.n_streams, 2);
    assert_int_equal(stats.n_held_bytes, 0);
    session_end(pair->ends[CLIENT], 3, pair->now_us);
    for (int i = 0; i < 2; i++) {
        struct stream *dead = expect(pair, CLIENT, STREAM_DEAD).stream;
        assert_true(dead == streams[CLIENT] || dead == of_another);
    }
    session_stats(other.ends[CLIENT], &stats);
    assert_int_equal(stats.n_streams, 2);
    assert_int_equal(stats.n_opened, 2);
    for (int i = 0; i < 2; i++)
        session_settle(pair->ends[i]);
    assert_int_equal(stats.n_held_bytes, pair->heap.n_bytes);

    pair_link(&other, 0);
    carry(&other, CLIENT, 0);
    struct stream *theirs = expect(&other, SERVER, STREAM_INCOMING).stream;
    expect(&other, SERVER, STREAM_READABLE);
    assert_int_equal(read_all(theirs, bytes, sizeof bytes, &n), ERR_EOF);
    assert_memory_equal(bytes, "waiting", 7);
    theirs = expect(&other, SERVER, STREAM_INCOMING).stream;
    assert_int_equal(stream_take_datagram(theirs, &target, &datagram, &n), ERR_NONE);
    assert_memory_equal(datagram, "late", 4);
    pair_deinit(&other);
}

/* Whoever answers it knows of it, whatever he has said of the records that it went by. */
static void what_was_answered_stays_and_what_came_for_the_rest_is_forgotten(void **state)
{
    const struct stream_request associates = {.kind = STREAM_ASSOCIATION};
    struct pair *pair = *state;
    struct session *client = pair->ends[CLIENT];
    static struct pair other;
    struct stream *answered, *way;
    struct session_stats stats;
    uint8_t bytes[SESSION_RECORD_MAX_BYTES];

    session_lose_link(client, 0, pair->now_us);
    assert_int_equal(session_open(client, some_request(), &answered), ERR_NONE);
    assert_int_equal(session_open(client, &associates, &way), ERR_NONE);
    assert_int_equal(session_add_link(client, 1, pair->now_us), ERR_NONE);
    assert_int_not_equal(take(pair, CLIENT, 1, bytes), 0);
    session_retract(client, 1, pair->now_us);
    record_end = frame_write_opened(record_end, 2, 0, &some_request()->source);
    put_data(false, 2, 0, "known");
    record_end = frame_write_datagram_id(record_end, 4);
    record_end = frame_write_datagram_to(record_end, 1, &some_request()->target);
    *record_end++ = 'x';
    assert_int_equal(give_record(pair, CLIENT, 1), ERR_NONE);

    pair_init(&other, 64 * MIB, 16 * MIB);
    session_move_untold(client, other.ends[CLIENT]);
    session_stats(other.ends[CLIENT], &stats);
    assert_int_equal(stats.n_streams, 1);
    session_end(client, 3, pair->now_us);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_DEAD).stream, answered);
    /* The turn goes on, and ends for the old session when this is gone. */
    stream_reset(way, STREAM_RESET_APPLICATION);
    stream_release(way);
    for (uint32_t i = 0; i < client->n_loans; i++)
        assert_null(client->loans[i].stream);
    session_settle(client);
    pair_deinit(&other);
}

/* Those whom the old session had no room for have it in the new one. */
static void whoever_waits_for_room_is_told_of_it_by_the_session_he_moves_to(void **state)
{
    struct pair *pair = *state;
    static const uint8_t much[1 << 20];
    static struct pair other;
    struct stream *streams[16][2], *waiting;
    size_t n;

    pair_deinit(pair);
    pair_init(pair, MIB, MIB);
    pair_link(pair, 0);
    for (size_t i = 0; i < N_ITEMS(streams); i++)
        open_stream(pair, 0, streams[i]);
    for (size_t i = 0; i < N_ITEMS(streams); i++)
        while (stream_write(streams[i][CLIENT], much, sizeof much, &n) == ERR_NONE)
            continue;
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &waiting), ERR_NONE);
    assert_int_equal(stream_write(waiting, much, 1, &n), ERR_NONE);
    assert_int_equal(stream_write(waiting, much, 1, &n), ERR_AGAIN);
    pair_init(&other, MIB, MIB);
    session_move_untold(pair->ends[CLIENT], other.ends[CLIENT]);
    assert_ptr_equal(expect(&other, CLIENT, STREAM_WRITABLE).stream, waiting);
    assert_int_equal(stream_write(waiting, much, 1, &n), ERR_NONE);
    pair_deinit(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_malformed_frame_ends_the_session),
        cmocka_unit_test(ids_out_of_range_end_the_session),
        cmocka_unit_test(a_frame_for_an_id_that_was_never_opened_ends_the_session),
        cmocka_unit_test(claims_and_grants_beyond_the_largest_end_the_session),
        RULE(openings_may_come_in_any_order_and_twice),
        RULE(what_cannot_be_opened_is_refused_with_its_code),
        RULE(a_refused_stream_is_dead_at_its_opener),
        RULE(bytes_are_put_in_order_and_the_first_copy_holds),
        cmocka_unit_test(a_fin_fixes_the_size),
        RULE(a_fin_before_bytes_that_have_come_ends_the_session),
        RULE(a_byte_at_the_limit_ends_the_session_and_one_below_does_not),
        RULE(a_fin_beyond_the_limit_ends_the_session),
        RULE(the_acceptors_bytes_before_its_answer_end_the_session),
        RULE(scattered_bytes_cost_no_more_memory_than_the_credit),
        RULE(a_small_rest_does_not_hold_the_carriers_chunk),
        RULE(a_reset_drops_what_was_not_read_and_never_looks_like_an_end),
        cmocka_unit_test(a_resets_final_size_agrees_with_what_has_come),
        RULE(our_reset_says_where_what_was_sent_ends_and_goes_alone),
        RULE(a_stream_that_is_reset_before_its_opening_was_sent_leaves_no_trace),
        RULE(bytes_for_a_stream_that_nobody_reads_any_more_reset_it),
        RULE(a_window_is_given_anew_when_half_of_it_is_consumed),
        RULE(a_sender_stops_at_its_credit_and_goes_on_with_more),
        RULE(a_stream_without_a_claim_is_given_credit_at_once),
        RULE(streams_of_our_own_keep_to_the_cap_and_to_their_number),
        RULE(an_end_that_drains_says_so_and_refuses_nothing_that_was_under_way),
        RULE(a_drain_that_comes_twice_before_anybody_looks_is_told_once),
        RULE(half_of_the_cap_makes_new_streams_small_and_only_too_many_are_refused),
        RULE(a_claim_that_would_pass_the_cap_is_refused),
        RULE(a_stream_that_is_drained_grows_beside_many_that_rest),
        cmocka_unit_test(of_a_large_window_an_eighth_is_given_anew),
        RULE(windows_that_grow_share_what_there_is),
        RULE(behind_its_fin_a_stream_has_what_is_not_read_beyond_what_any_may_have),
        RULE(a_stream_takes_no_more_from_its_application_than_it_may_keep),
        RULE(those_whom_all_have_left_no_room_hear_of_it_when_an_eighth_is_free),
        RULE(an_acknowledgement_goes_with_what_is_sent_or_after_its_delay),
        RULE(much_is_acknowledged_at_once),
        RULE(what_does_not_ask_is_not_acknowledged),
        RULE(more_acknowledged_than_was_sent_ends_the_session),
        RULE(the_round_trip_is_measured_without_the_delay),
        RULE(a_stream_s_round_trip_is_that_of_the_last_record_of_an_acknowledgement),
        RULE(no_round_trip_of_a_stream_is_measured_over_a_pause_that_is_excused),
        RULE(what_was_sent_again_is_counted_for_its_stream_and_timed_anew),
        RULE(what_a_link_had_goes_again_on_another_behind_its_opening),
        RULE(what_was_accepted_before_the_loss_is_not_sent_again),
        RULE(a_link_that_the_other_end_calls_lost_is_lost_and_confirmed_once),
        RULE(a_join_that_was_given_up_is_answered_and_its_number_used_up),
        RULE(a_number_64_below_the_highest_may_still_come_and_65_not),
        RULE(too_many_lost_links_end_the_session),
        RULE(a_thousand_links_may_be_lost_at_once),
        RULE(attempts_that_never_stood_are_forgotten),
        RULE(a_stream_stays_on_the_link_of_its_opening),
        RULE(refused_early_records_were_never_sent),
        RULE(streams_that_end_before_anybody_has_heard_of_them_leave_nothing),
        RULE(bye_is_the_last_that_is_sent_and_the_last_that_is_taken),
        RULE(a_frame_behind_bye_ends_the_session),
        RULE(an_end_kills_all_streams_and_is_answered_with_bye),
        RULE(what_has_come_whole_can_be_read_behind_an_end),
        RULE(an_end_that_nobody_acknowledges_is_over_after_its_time),
        RULE(an_end_without_a_link_is_over_at_once),
        RULE(what_was_never_sent_becomes_another_session_s),
        RULE(what_was_answered_stays_and_what_came_for_the_rest_is_forgotten),
        RULE(whoever_waits_for_room_is_told_of_it_by_the_session_he_moves_to),
        RULE(nothing_is_acted_on_before_the_identity_that_is_demanded),
        RULE(bye_behind_an_identity_is_the_last_that_is_taken),
        RULE(another_frame_where_an_identity_is_demanded_ends_the_session),
        RULE(the_largest_identity_fits),
        RULE(an_identity_goes_first_and_is_ignored_where_nobody_demands_it),
        RULE(bytes_are_held_back_until_they_may_be_delivered),
        RULE(small_streams_go_before_bulk_and_bulk_takes_turns),
        RULE(bulk_is_not_starved_by_small_streams),
        RULE(a_ping_is_timed_and_does_not_tell_the_time),
        RULE(who_acknowledges_nothing_has_memory_while_there_is_some),
        RULE(what_is_acknowledged_counts_no_more_and_few_do_no_harm),
        RULE(what_has_ended_counts_until_that_is_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
