/* Several links of a session: which of them a frame goes by, what becomes of those of one that falls silent, and links of one stream's own. */
#include <time.h>

#include "sessions.h"

#include "session/state.h"

#define MS UINT64_C(1000)

/* Both ends know that the link takes so long, there and back. */
static void know_rtt(struct pair *pair, uint64_t link, uint64_t rtt_us)
{
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    for (int end = 0; end < 2; end++) {
        session_ping(pair->ends[end], link, pair->now_us);
        size_t n = take(pair, end, link, record);
        pair->now_us += rtt_us;
        assert_int_equal(give(pair, !end, link, record, n), ERR_NONE);
        carry(pair, !end, link);
    }
}

/* The client holds it to be so near, whatever it has measured. */
static void set_rtt(struct pair *pair, uint64_t link, uint64_t rtt_us)
{
    link_find(pair->ends[CLIENT], link)->round_trip.min_us = rtt_us;
    links_note_min_rtt(pair->ends[CLIENT]);
}

static void advance(struct pair *pair, uint64_t us)
{
    pair->now_us += us;
    for (int end = 0; end < 2; end++)
        if (session_deadline_us(pair->ends[end]) <= pair->now_us)
            session_advance(pair->ends[end], pair->now_us);
}

static void write_some(struct stream *stream, size_t n)
{
    static const uint8_t bytes[65536];
    size_t n_taken;

    assert_int_equal(stream_write(stream, bytes, n, &n_taken), ERR_NONE);
    assert_int_equal(n_taken, n);
}

static uint64_t n_resent(const struct session *session)
{
    struct session_stats stats;

    session_stats(session, &stats);
    return stats.n_resent_bytes;
}

/* ---- which link ---- */

static void what_is_urgent_goes_by_the_fastest_link(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    pair_link(pair, 1);
    know_rtt(pair, 0, 80 * MS);
    know_rtt(pair, 1, 20 * MS);
    open_stream(pair, 1, streams);
    write_some(streams[CLIENT], 100);
    assert_false(session_wants(pair->ends[CLIENT], 0));
    assert_true(session_wants(pair->ends[CLIENT], 1));
    write_some(streams[SERVER], 100);
    assert_false(session_wants(pair->ends[SERVER], 0));
    assert_true(session_wants(pair->ends[SERVER], 1));
}

static void links_that_are_alike_are_used_alike(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    pair_link(pair, 1);
    know_rtt(pair, 1, MS / 2);
    open_stream(pair, 0, streams);
    write_some(streams[CLIENT], 100);
    assert_true(session_wants(pair->ends[CLIENT], 0));
    assert_true(session_wants(pair->ends[CLIENT], 1));
}

static void bulk_goes_by_a_slower_link_only_where_it_arrives_earlier(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    pair_link(pair, 1);
    know_rtt(pair, 0, 100 * MS);
    know_rtt(pair, 1, 20 * MS);
    open_stream(pair, 1, streams);
    /* Link 1 takes 2 MB a second, as both find out. */
    for (int i = 0; i < 10; i++) {
        write_some(streams[CLIENT], 40960);
        while (session_wants(pair->ends[CLIENT], 1)) {
            size_t n = take(pair, CLIENT, 1, record);
            pair->now_us += n / 2;
            assert_int_equal(give(pair, SERVER, 1, record, n), ERR_NONE);
        }
        size_t n;
        (void)read_all(streams[SERVER], record, sizeof record, &n);
        advance(pair, 25 * MS);
        carry(pair, SERVER, 1);
    }
    set_rtt(pair, 1, 20 * MS); /* here records took as long as they are large, and nothing else */
    write_some(streams[CLIENT], 65536);
    for (int i = 0; i < 3; i++) /* before that it is a small stream */
        assert_true(take(pair, CLIENT, 1, record) > 0);
    /* What waits for link 1 has come by it before anything could by link 0. */
    assert_true(session_wants(pair->ends[CLIENT], 1));
    assert_false(session_wants(pair->ends[CLIENT], 0));
}

/* Two links with such a round trip, a stream whose bulk went by link 0, and more of it. */
static void begin_bulk(struct pair *pair, uint64_t rtt_us, struct stream *streams[2])
{
    static uint8_t record[SESSION_RECORD_MAX_BYTES];
    size_t n;

    pair_link(pair, 1);
    open_stream(pair, 0, streams);
    for (uint64_t link = 0; link < 2; link++)
        set_rtt(pair, link, rtt_us);
    for (int i = 0; i < 4; i++) {
        write_some(streams[CLIENT], 16384 - (i == 3));
        while (i < 3 && (n = take(pair, CLIENT, 0, record)) > 0)
            assert_int_equal(give(pair, SERVER, 0, record, n), ERR_NONE);
    }
    assert_true(session_wants(pair->ends[CLIENT], 0));
}

static void bulk_keeps_to_its_link_where_nothing_is_far_until_that_falls_silent(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    begin_bulk(pair, MS / 2, streams);
    assert_false(session_wants(pair->ends[CLIENT], 1));
    assert_int_equal(take(pair, CLIENT, 1, record), 0);
    advance(pair, 350 * MS);
    assert_true(session_wants(pair->ends[CLIENT], 1));
    assert_true(take(pair, CLIENT, 1, record) > 0);
}

static void
bulk_of_all_streams_goes_by_one_link_where_nothing_is_far_and_what_is_urgent_by_any(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2], *others[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    open_stream(pair, 0, others);
    begin_bulk(pair, MS / 2, streams);
    write_some(others[CLIENT], 1000);
    assert_int_equal(others[CLIENT]->queue, QUEUE_URGENT);
    assert_true(take(pair, CLIENT, 1, record) > 0);
    others[CLIENT]->out.burst = 1 << 20;
    others[CLIENT]->out.burst_us = pair->now_us;
    write_some(others[CLIENT], 1000);
    assert_int_equal(others[CLIENT]->queue, QUEUE_BULK);
    assert_false(session_wants(pair->ends[CLIENT], 1));
    assert_true(session_wants(pair->ends[CLIENT], 0));
}

/* Link 0's carrier takes nothing. */
static void bulk_that_waits_for_another_link_holds_up_nothing_urgent(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2], *others[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    open_stream(pair, 0, others);
    begin_bulk(pair, MS / 2, streams);
    others[CLIENT]->out.limit = 1 << 30;
    for (int i = 0; i < 300; i++) {
        others[CLIENT]->out.burst = 0;
        write_some(others[CLIENT], 1000);
        assert_true(take(pair, CLIENT, 1, record) > 1000);
    }
    /* By its own link bulk comes first then, of which it has waited for long enough. */
    assert_true(take(pair, CLIENT, 0, record) > 1000);
    assert_int_equal(pair->ends[CLIENT]->urgent_run, 0);
}

static void the_shortest_round_trip_is_that_of_the_links_that_are_up(void **state)
{
    struct pair *pair = *state;

    pair_link(pair, 1);
    know_rtt(pair, 0, 80 * MS);
    know_rtt(pair, 1, 20 * MS);
    assert_int_equal(pair->ends[CLIENT]->min_rtt_us, 20 * MS);
    session_lose_link(pair->ends[CLIENT], 1, pair->now_us);
    assert_int_equal(pair->ends[CLIENT]->min_rtt_us, 80 * MS);
}

static void bulk_keeps_to_a_link_that_was_always_busy_unless_another_is_much_sooner(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    begin_bulk(pair, MS / 2, streams);
    struct session_link *link = link_find(pair->ends[CLIENT], 0);
    link->round_trip.min_us = 10 * MS;
    assert_false(session_wants(pair->ends[CLIENT], 1));
    assert_true(session_wants(pair->ends[CLIENT], 0));
    link->round_trip.min_us = 22 * MS;
    assert_true(session_wants(pair->ends[CLIENT], 1));
}

static void bulk_of_one_stream_goes_by_all_links_that_are_far(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    begin_bulk(pair, 10 * MS, streams);
    assert_true(session_wants(pair->ends[CLIENT], 1));
}

static void bulk_does_not_wait_for_a_link_that_is_lost_or_leaves(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    begin_bulk(pair, MS / 2, streams);
    session_bye(pair->ends[CLIENT], 0);
    assert_true(session_wants(pair->ends[CLIENT], 1));
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    assert_true(session_wants(pair->ends[CLIENT], 1));
}

static void a_link_that_does_not_stand_yet_gets_no_streams_frames_beside_one_that_does(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    open_stream(pair, 0, streams);
    assert_int_equal(session_add_link(pair->ends[CLIENT], 1, pair->now_us), ERR_NONE);
    write_some(streams[CLIENT], 100);
    assert_false(session_wants(pair->ends[CLIENT], 1));
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    assert_true(session_wants(pair->ends[CLIENT], 1));
}

/* The processor time that it takes, for each link, to ask all whether they want to send, where what waits is for the last; the least of
 * some times. */
static double asking_costs(struct pair *pair, uint64_t n_links)
{
    struct session *session = pair->ends[CLIENT];
    clock_t least = 0;

    for (uint64_t link = session->n_links; link < n_links; link++)
        pair_link(pair, link);
    for (uint64_t link = 0; link < n_links; link++)
        link_find(session, link)->round_trip.min_us = link == n_links - 1 ? 2 * MS : 100 * MS;
    session_advance(session, pair->now_us);
    for (unsigned round = 0; round < 5; round++) {
        clock_t begun = clock();
        for (unsigned i = 0; i < 100; i++)
            for (uint64_t link = 0; link < n_links; link++)
                assert_int_equal(session_wants(session, link), link == n_links - 1);
        clock_t took = clock() - begun + 1;
        least = round == 0 || took < least ? took : least;
    }
    return (double)least / (double)n_links;
}

static void asking_a_link_what_it_takes_costs_the_same_among_many(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    open_stream(pair, 0, streams);
    advance(pair, 25 * MS);
    carry_all(pair, 0);
    write_some(streams[CLIENT], 100);
    double among_few = asking_costs(pair, 20), among_many = asking_costs(pair, 1000);
    /* To look at all of them for each would take tens of times as long. */
    assert_true(among_many < 15 * among_few);
}

/* ---- silence ---- */

static void what_a_silent_link_has_goes_once_more_by_another(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];
    size_t n;

    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    write_some(streams[CLIENT], 1000);
    size_t n_record = take(pair, CLIENT, 0, record);
    assert_true(n_record > 1000);
    advance(pair, 249 * MS);
    assert_int_equal(carry(pair, CLIENT, 1), 0);
    advance(pair, 2 * MS);
    assert_true(carry(pair, CLIENT, 1) > 0);
    assert_int_equal(n_resent(pair->ends[CLIENT]), 1000);
    /* Nothing new goes by it, and what it had does not go a third time, though it dies. */
    write_some(streams[CLIENT], 10);
    assert_false(session_wants(pair->ends[CLIENT], 0));
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    carry_all(pair, 1);
    assert_int_equal(n_resent(pair->ends[CLIENT]), 1000);
    (void)read_all(streams[SERVER], record, sizeof record, &n);
    assert_int_equal(n, 1010);
}

static void what_is_said_of_the_session_goes_by_no_silent_link(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    pair_link(pair, 2);
    write_some(streams[CLIENT], 1000);
    assert_true(take(pair, CLIENT, 0, record) > 1000);
    advance(pair, 251 * MS);
    while (carry(pair, CLIENT, 1) > 0)
        continue;
    session_lose_link(pair->ends[CLIENT], 2, pair->now_us);
    assert_false(session_wants(pair->ends[CLIENT], 0));
    assert_true(session_wants(pair->ends[CLIENT], 1));
    session_lose_link(pair->ends[CLIENT], 1, pair->now_us);
    assert_true(session_wants(pair->ends[CLIENT], 0)); /* the last hope */
}

static void a_silent_link_that_answers_is_as_good_as_before(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    write_some(streams[CLIENT], 1000);
    size_t n = take(pair, CLIENT, 0, record);
    advance(pair, 300 * MS);
    assert_int_equal(give(pair, SERVER, 0, record, n), ERR_NONE);
    advance(pair, 25 * MS);
    carry(pair, SERVER, 0);
    assert_int_equal(n_resent(pair->ends[CLIENT]), 0);
    write_some(streams[CLIENT], 10);
    assert_true(session_wants(pair->ends[CLIENT], 0));
}

static void the_only_link_is_not_given_up(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    open_stream(pair, 0, streams);
    write_some(streams[CLIENT], 1000);
    (void)take(pair, CLIENT, 0, record);
    assert_int_equal(session_deadline_us(pair->ends[CLIENT]), UINT64_MAX);
}

/* The processor time that it takes to lose a link, the least of some hundreds. */
static clock_t loss_costs(struct pair *pair, uint64_t first_link)
{
    clock_t least = 0;

    for (uint64_t link = first_link; link < first_link + 200; link += 50) {
        for (uint64_t i = link; i < link + 50; i++)
            pair_link(pair, i);
        clock_t begun = clock();
        for (uint64_t i = link; i < link + 50; i++)
            session_lose_link(pair->ends[SERVER], i, pair->now_us);
        clock_t took = clock() - begun + 1;
        least = least == 0 || took < least ? took : least;
    }
    return least;
}

static void a_lost_link_costs_nothing_for_streams_that_had_nothing_on_it(void **state)
{
    struct pair *pair = *state;
    struct stream *stream;
    struct session_event event;

    clock_t among_none = loss_costs(pair, 1);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &stream), ERR_NONE);
        if (i % 100 != 99)
            continue;
        carry(pair, CLIENT, 0);
        advance(pair, 25 * MS);
        carry(pair, SERVER, 0);
    }
    for (int i = 0; i < 20000; i++)
        assert_int_equal(expect(pair, SERVER, STREAM_INCOMING).kind, STREAM_INCOMING);
    clock_t among_many = loss_costs(pair, 1000);
    /* To look at each of them would take hundreds of times as long. */
    assert_true(among_many < 50 * among_none);
    while (session_next_event(pair->ends[SERVER], &event))
        continue;
}

static void what_is_remembered_of_frames_is_bounded_over_all_links(void **state)
{
    enum { LINKS = 6, MOST = 262144, STREAMS = MOST / STREAM_FRAMES_MAX + 1 };
    struct pair *pair = *state;
    struct stream *streams[STREAMS][2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];
    uint64_t n_frames = 0;

    for (int i = 0; i < STREAMS; i++)
        open_stream(pair, 0, streams[i]);
    advance(pair, 25 * MS);
    carry_all(pair, 0);
    for (uint64_t link = 1; link < LINKS; link++)
        pair_link(pair, link);
    do {
        write_some(streams[n_frames % STREAMS][CLIENT], 1);
        n_frames++;
    } while (take(pair, CLIENT, n_frames % LINKS, record) > 0);
    assert_in_range(n_frames, MOST - LINKS, MOST + LINKS);
    /* Those of a lost link count until it is forgotten, or they are known to have come. */
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    (void)take(pair, CLIENT, 1, record);
    assert_false(session_wants(pair->ends[CLIENT], 1));
    uint64_t n_sent = link_find(pair->ends[CLIENT], 0)->n_sent;
    uint8_t *end = frame_write_lost(record, 0, n_sent);
    assert_int_equal(give(pair, CLIENT, 1, record, (size_t)(end - record)), ERR_NONE);
    assert_true(session_wants(pair->ends[CLIENT], 1));
}

/* Sends a byte at a time by both links in turn, of which only the second gets through, until neither takes more; returns how many. */
static size_t send_single_bytes(struct pair *pair, struct stream *stream)
{
    static uint8_t record[SESSION_RECORD_MAX_BYTES];
    size_t n_sent = 0, n;

    for (;; n_sent++) {
        uint64_t link = n_sent % 2;
        write_some(stream, 1);
        if (!session_wants(pair->ends[CLIENT], link))
            link = !link;
        if ((n = take(pair, CLIENT, link, record)) == 0)
            return n_sent;
        if (link == 1)
            assert_int_equal(give(pair, SERVER, link, record, n), ERR_NONE);
    }
}

static void a_stream_has_only_so_many_frames_under_way_however_small_they_are(void **state)
{
    struct pair *pair = *state;
    struct session *client = pair->ends[CLIENT];
    struct stream *streams[2];
    static uint8_t bytes[65536];
    size_t n_sent, n;

    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    advance(pair, 25 * MS);
    carry_all(pair, 0);
    n_sent = send_single_bytes(pair, streams[CLIENT]);
    assert_int_equal(n_sent, STREAM_FRAMES_MAX);
    assert_false(session_wants(client, 0) || session_wants(client, 1));
    /* There is a gap before each that was acknowledged; what had to wait goes in one. */
    advance(pair, 25 * MS);
    carry(pair, SERVER, 1);
    assert_int_equal(client->n_ranges, STREAM_FRAMES_MAX / 2);
    assert_true(session_wants(client, 0) && session_wants(client, 1));
    n_sent += 1 + send_single_bytes(pair, streams[CLIENT]);
    assert_int_equal(n_sent, 3 * STREAM_FRAMES_MAX / 2 + 1);
    advance(pair, 25 * MS);
    carry(pair, SERVER, 1);
    assert_in_range(client->n_ranges, STREAM_FRAMES_MAX / 2, STREAM_FRAMES_MAX);
    /* What a link had that is lost is under way no more, and all comes in the end. */
    session_lose_link(client, 0, pair->now_us);
    carry_all(pair, 1);
    advance(pair, 25 * MS);
    carry_all(pair, 1);
    assert_int_equal(client->n_ranges, 0);
    assert_int_equal(streams[CLIENT]->out.n_flying, 0);
    (void)read_all(streams[SERVER], bytes, sizeof bytes, &n);
    assert_int_equal(n, n_sent + 1);
}

/* The client hears that so many of its records on the link were accepted. */
static void acknowledge(struct pair *pair, uint64_t link, uint64_t count)
{
    uint8_t record[64];
    uint8_t *end = frame_write_ack(record, link, count, 0);

    assert_int_equal(give(pair, CLIENT, 1, record, (size_t)(end - record)), ERR_NONE);
}

static void a_stream_goes_on_when_one_comes_that_had_come_by_another_link(void **state)
{
    struct pair *pair = *state;
    struct session *client = pair->ends[CLIENT];
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    write_some(streams[CLIENT], 1000);
    assert_true(take(pair, CLIENT, 0, record) > 1000);
    advance(pair, 1000 * MS);
    assert_true(take(pair, CLIENT, 1, record) > 1000);
    assert_int_equal(n_resent(client), 1000);
    do
        write_some(streams[CLIENT], 1);
    while (take(pair, CLIENT, 1, record) > 0);
    assert_int_equal(streams[CLIENT]->out.n_flying, STREAM_FRAMES_MAX);
    acknowledge(pair, 0, link_find(client, 0)->n_sent);
    assert_false(session_wants(client, 1));
    acknowledge(pair, 1, 1);
    assert_true(session_wants(client, 1));
}

/* Of 40 bytes that a link had when it was lost, all go again: it is as if it had carried so many tracked frames before. */
static void lose_40_bytes_behind(uint32_t n_frames, bool is_silent_first)
{
    struct pair pair;
    struct stream *streams[2];
    static uint8_t bytes[SESSION_RECORD_MAX_BYTES];
    size_t n;

    pair_init(&pair, 64 * MIB, 16 * MIB);
    for (uint64_t i = 0; i < 2; i++)
        pair_link(&pair, i);
    struct session_link *link = link_find(pair.ends[CLIENT], 0);
    link->head = link->tail = n_frames;
    open_stream(&pair, 0, streams);
    for (int i = 0; i < 40; i++) {
        write_some(streams[CLIENT], 1);
        assert_true(take(&pair, CLIENT, 0, bytes) > 0);
    }
    if (is_silent_first) {
        advance(&pair, 1000 * MS);
        carry_all(&pair, 1);
    }
    session_lose_link(pair.ends[CLIENT], 0, pair.now_us);
    carry_all(&pair, 1);
    assert_int_equal(n_resent(pair.ends[CLIENT]), 40);
    (void)read_all(streams[SERVER], bytes, sizeof bytes, &n);
    assert_int_equal(n, 40);
    pair_deinit(&pair);
}

static void what_a_link_had_goes_again_however_many_frames_it_has_carried(void **state)
{
    static const uint32_t counts[] = {0, 0x7ffffff0, 0x80000010, 0xfffffff0};
    struct pair *pair = *state;

    for (size_t i = 0; i < N_ITEMS(counts); i++) {
        lose_40_bytes_behind(counts[i], false);
        lose_40_bytes_behind(counts[i], true);
    }
    /* One that has nothing under way, and has let go of its ring. */
    struct session_link *link = link_find(pair->ends[CLIENT], 0);
    link->head = link->tail = 0x80000010;
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    pair_link(pair, 1);
    carry_all(pair, 1);
}

/* ---- a clean end ---- */

/* The client ends link 0 while the server has something on its way by it. */
static size_t end_link_0(struct pair *pair, struct stream *streams[2], uint8_t *record)
{
    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    write_some(streams[SERVER], 1000);
    size_t n = take(pair, SERVER, 0, record);
    session_bye(pair->ends[CLIENT], 0);
    assert_int_equal(carry(pair, CLIENT, 0), 1);
    assert_int_equal(expect(pair, SERVER, SESSION_LINK_BYE).link, 0);
    session_bye(pair->ends[SERVER], 0);
    return n;
}

static void what_was_on_its_way_when_a_link_ended_cleanly_is_not_sent_again(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES], last[SESSION_RECORD_MAX_BYTES];
    size_t n_record = end_link_0(pair, streams, record);
    size_t n_last = take(pair, SERVER, 0, last);

    session_lose_link(pair->ends[SERVER], 0, pair->now_us);
    carry_all(pair, 1);
    assert_int_equal(n_resent(pair->ends[SERVER]), 0);
    assert_int_equal(give(pair, CLIENT, 0, record, n_record), ERR_NONE);
    assert_int_equal(give(pair, CLIENT, 0, last, n_last), ERR_NONE);
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    carry_all(pair, 1);
    advance(pair, 2000 * MS);
    carry_all(pair, 1);
    assert_int_equal(n_resent(pair->ends[SERVER]), 0);
}

static void what_did_not_come_by_a_link_that_ended_cleanly_is_sent_again(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    (void)end_link_0(pair, streams, record);
    (void)take(pair, SERVER, 0, record);
    session_lose_link(pair->ends[SERVER], 0, pair->now_us);
    session_lose_link(pair->ends[CLIENT], 0, pair->now_us);
    carry_all(pair, 1);
    assert_int_equal(n_resent(pair->ends[SERVER]), 1000);
}

static void who_hears_no_count_sends_again_after_a_second(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    (void)end_link_0(pair, streams, record);
    (void)take(pair, SERVER, 0, record);
    session_lose_link(pair->ends[SERVER], 0, pair->now_us);
    advance(pair, 999 * MS);
    carry(pair, SERVER, 1);
    assert_int_equal(n_resent(pair->ends[SERVER]), 0);
    advance(pair, 2 * MS);
    carry(pair, SERVER, 1);
    assert_int_equal(n_resent(pair->ends[SERVER]), 1000);
}

/* ---- the end of the session, by one of several links ---- */

struct counts {
    size_t n_acks, n_ends;
};

/* Takes the link's next record, and counts what is in it. */
static void count(struct pair *pair, uint64_t link, struct counts *counts)
{
    static uint8_t record[SESSION_RECORD_MAX_BYTES];
    size_t n = take(pair, SERVER, link, record), used;
    struct frame frame;

    for (size_t at = 0; at < n; at += used) {
        assert_int_equal(frame_parse(record + at, n - at, &frame, &used), ERR_NONE);
        counts->n_acks += frame.type == FRAME_ACK;
        counts->n_ends += frame.type == FRAME_END;
    }
}

/* The client's last bytes and its fin have come by link 1. */
static void finish_by_link_1(struct pair *pair, struct stream *streams[2])
{
    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    stream_finish(streams[SERVER]);
    carry_all(pair, 0);
    write_some(streams[CLIENT], 1000);
    stream_finish(streams[CLIENT]);
    assert_int_equal(carry(pair, CLIENT, 1), 1);
}

static void an_end_does_not_overtake_the_acknowledgement_that_closes_a_stream(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    static uint8_t record[SESSION_RECORD_MAX_BYTES];
    struct session_stats stats;

    finish_by_link_1(pair, streams);
    /* That it has all is under way by the link that is slower. */
    advance(pair, 30 * MS);
    assert_true(take(pair, SERVER, 1, record) > 0);
    session_end(pair->ends[SERVER], 0, pair->now_us);
    assert_int_equal(carry(pair, SERVER, 0), 1);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_READABLE).stream, streams[CLIENT]);
    assert_int_equal(expect(pair, CLIENT, SESSION_ENDED).code, 0);
    session_stats(pair->ends[CLIENT], &stats);
    assert_int_equal(stats.n_closed, 1);
}

static void what_comes_behind_our_end_is_not_acknowledged(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];

    open_stream(pair, 0, streams);
    pair_link(pair, 1);
    stream_finish(streams[SERVER]);
    carry_all(pair, 0);
    session_end(pair->ends[SERVER], 0, pair->now_us);
    write_some(streams[CLIENT], 1000);
    stream_finish(streams[CLIENT]);
    assert_int_equal(carry(pair, CLIENT, 1), 1);
    advance(pair, 30 * MS);
    (void)carry(pair, SERVER, 1);
    (void)carry(pair, SERVER, 0);
    struct session_event event;
    do
        assert_true(session_next_event(pair->ends[CLIENT], &event));
    while (event.kind != STREAM_DEAD);
    assert_ptr_equal(event.stream, streams[CLIENT]);
}

enum { MANY_LINKS = 2000 };

/* Links by which something has come. */
static void link_many(struct pair *pair)
{
    for (uint64_t link = 1; link < MANY_LINKS; link++) {
        pair_link(pair, link);
        session_ping(pair->ends[CLIENT], link, pair->now_us);
        assert_int_equal(carry(pair, CLIENT, link), 1);
    }
    session_end(pair->ends[SERVER], 0, pair->now_us);
}

static void an_end_goes_behind_all_acknowledgements_however_many(void **state)
{
    struct pair *pair = *state;
    struct counts counts = {0}, others = {0};

    link_many(pair);
    count(pair, 7, &counts);
    assert_int_equal(counts.n_ends, 0);
    while (counts.n_ends == 0) {
        count(pair, 8, &others);
        count(pair, 7, &counts);
    }
    assert_int_equal(counts.n_acks, MANY_LINKS - 1);
    assert_int_equal(others.n_ends, 0);
    assert_false(session_wants(pair->ends[SERVER], 7));
}

static void an_end_whose_link_is_lost_goes_behind_all_acknowledgements_by_another(void **state)
{
    struct pair *pair = *state;
    struct counts lost = {0}, counts = {0};

    link_many(pair);
    count(pair, 7, &lost);
    assert_int_equal(lost.n_ends, 0);
    session_lose_link(pair->ends[SERVER], 7, pair->now_us);
    while (counts.n_ends == 0)
        count(pair, 8, &counts);
    assert_int_equal(counts.n_acks, MANY_LINKS - 1);
}

static void an_end_that_has_begun_on_a_streams_own_link_goes_on_by_a_common_one(void **state)
{
    struct pair *pair = *state;
    struct counts own = {0}, counts = {0};

    link_many(pair);
    for (uint64_t link = 0; link < MANY_LINKS; link++)
        session_own_link(pair->ends[SERVER], link);
    count(pair, 7, &own);
    assert_int_equal(own.n_ends, 0);
    pair_link(pair, MANY_LINKS);
    assert_false(session_wants(pair->ends[SERVER], 7));
    assert_true(session_wants(pair->ends[SERVER], MANY_LINKS));
    while (counts.n_ends == 0)
        count(pair, MANY_LINKS, &counts);
    assert_int_equal(counts.n_acks, MANY_LINKS - 1);
}

/* ---- links of a stream's own ---- */

static void own_link(struct pair *pair, uint64_t link)
{
    pair_link(pair, link);
    for (int end = 0; end < 2; end++)
        session_own_link(pair->ends[end], link);
}

static void a_stream_takes_the_link_that_is_ready_and_nothing_else_goes_by_it(void **state)
{
    struct pair *pair = *state;
    struct stream *common[2], *own[2], *third[2];

    open_stream(pair, 0, common);
    own_link(pair, 1);
    assert_int_equal(session_ready_links(pair->ends[CLIENT]), 1);
    open_stream(pair, 1, own);
    assert_int_equal(session_ready_links(pair->ends[CLIENT]), 0);
    open_stream(pair, 0, third);
    for (int end = 0; end < 2; end++) {
        write_some(common[end], 10);
        write_some(third[end], 10);
        assert_false(session_wants(pair->ends[end], 1));
        assert_true(session_wants(pair->ends[end], 0));
        carry(pair, end, 0);
        write_some(own[end], 10);
        assert_false(session_wants(pair->ends[end], 0));
        assert_true(session_wants(pair->ends[end], 1));
        carry(pair, end, 1);
    }
}

static void a_stream_whose_own_link_is_lost_goes_by_the_common_one(void **state)
{
    struct pair *pair = *state;
    struct stream *own[2];
    static uint8_t bytes[64];
    size_t n;

    own_link(pair, 1);
    open_stream(pair, 1, own);
    write_some(own[SERVER], 10);
    for (int end = 0; end < 2; end++)
        session_lose_link(pair->ends[end], 1, pair->now_us);
    carry_all(pair, 0);
    (void)read_all(own[CLIENT], bytes, sizeof bytes, &n);
    assert_int_equal(n, 10);
}

static void the_client_hears_that_the_stream_of_a_link_is_closed(void **state)
{
    struct pair *pair = *state;
    struct stream *own[2];

    own_link(pair, 1);
    open_stream(pair, 1, own);
    for (int end = 0; end < 2; end++) {
        stream_finish(own[end]);
        stream_release(own[end]);
    }
    carry_all(pair, 1);
    advance(pair, 30 * MS);
    carry_all(pair, 1);
    assert_int_equal(expect(pair, CLIENT, SESSION_LINK_SPENT).link, 1);
    expect_nothing(pair, CLIENT);
    expect_nothing(pair, SERVER);
    assert_int_equal(session_ready_links(pair->ends[CLIENT]), 0);
}

static void without_a_common_link_all_go_by_any(void **state)
{
    struct pair *pair = *state;
    struct stream *common[2], *own[2];

    open_stream(pair, 0, common);
    own_link(pair, 1);
    open_stream(pair, 1, own);
    for (int end = 0; end < 2; end++)
        session_lose_link(pair->ends[end], 0, pair->now_us);
    write_some(common[CLIENT], 10);
    assert_true(session_wants(pair->ends[CLIENT], 1));
}

static void a_stream_does_not_take_a_link_that_the_same_record_ended(void **state)
{
    struct pair *pair = *state;
    const struct addr bound = {.family = ADDR_NONE};
    static uint8_t record[SESSION_RECORD_MAX_BYTES];

    own_link(pair, 1);
    /* In place of the client's record there is one that it would not write. */
    session_ping(pair->ends[CLIENT], 1, pair->now_us);
    (void)take(pair, CLIENT, 1, record);
    uint8_t *end = frame_write_lost(record, 1, 0);
    end = frame_write_open(end, 2, 4096, 4096, some_request());
    assert_int_equal(give(pair, SERVER, 1, record, (size_t)(end - record)), ERR_NONE);
    struct stream *stream = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_null(stream->pin);
    /* The link is forgotten, and the stream's answer goes by the other. */
    assert_int_equal(expect(pair, SERVER, SESSION_LINK_LOST).link, 1);
    carry_all(pair, 0);
    advance(pair, 30 * MS);
    carry_all(pair, 0);
    assert_null(link_find(pair->ends[SERVER], 1));
    assert_int_equal(stream_answer(stream, 0, &bound), ERR_NONE);
    assert_true(session_wants(pair->ends[SERVER], 0));
    assert_true(take(pair, SERVER, 0, record) > 0);
}

/* ---- which links are asked ---- */

/* How often the link is named by what its session has to say now, of all that are. */
static unsigned n_named(struct session *session, const void *keeper)
{
    unsigned n = 0;
    const void *named;

    session_offer(session);
    while ((named = session_next_wanting(session)) != NULL)
        n += named == keeper;
    return n;
}

static void what_one_link_alone_can_carry_makes_nobody_ask_another(void **state)
{
    struct pair *pair = *state;
    struct session *client = pair->ends[CLIENT];
    struct stream *common[2], *own[2];
    int keepers[2];

    open_stream(pair, 0, common);
    own_link(pair, 1);
    open_stream(pair, 1, own);
    for (uint64_t link = 0; link < 2; link++)
        session_keep_link(client, link, &keepers[link]);
    (void)n_named(client, NULL);
    write_some(own[CLIENT], 10);
    session_offer(client);
    assert_ptr_equal(session_next_wanting(client), &keepers[1]);
    assert_null(session_next_wanting(client));
    write_some(common[CLIENT], 10);
    assert_null(session_next_wanting(client));
    session_offer(client);
    assert_ptr_equal(session_next_wanting(client), &keepers[0]);
    assert_null(session_next_wanting(client));
    /* As long as nobody takes it. */
    assert_int_equal(n_named(client, &keepers[0]), 1);
    session_keep_link(client, 0, NULL);
    assert_int_equal(n_named(client, NULL), 0);
}

static void a_link_that_waits_for_room_is_asked_again_when_there_is_some(void **state)
{
    struct pair *pair = *state;
    struct session *client = pair->ends[CLIENT];
    struct stream *own[2];
    int keeper;

    own_link(pair, 1);
    open_stream(pair, 1, own);
    session_keep_link(client, 1, &keeper);
    client->n_sent += SESSION_FRAMES_MAX; /* by others */
    write_some(own[CLIENT], 1);
    (void)n_named(client, NULL);
    assert_false(session_wants(client, 1));
    client->n_sent -= SESSION_FRAMES_MAX;
    assert_true(session_wants(client, 1));
    assert_int_equal(n_named(client, &keeper), 1);
}

#define TEST(name) PAIR_TEST(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_urgent_goes_by_the_fastest_link),
        TEST(links_that_are_alike_are_used_alike),
        TEST(bulk_goes_by_a_slower_link_only_where_it_arrives_earlier),
        TEST(bulk_keeps_to_its_link_where_nothing_is_far_until_that_falls_silent),
        TEST(bulk_of_all_streams_goes_by_one_link_where_nothing_is_far_and_what_is_urgent_by_any),
        TEST(bulk_that_waits_for_another_link_holds_up_nothing_urgent),
        TEST(the_shortest_round_trip_is_that_of_the_links_that_are_up),
        TEST(bulk_keeps_to_a_link_that_was_always_busy_unless_another_is_much_sooner),
        TEST(bulk_of_one_stream_goes_by_all_links_that_are_far),
        TEST(bulk_does_not_wait_for_a_link_that_is_lost_or_leaves),
        TEST(a_link_that_does_not_stand_yet_gets_no_streams_frames_beside_one_that_does),
        TEST(asking_a_link_what_it_takes_costs_the_same_among_many),
        TEST(what_a_silent_link_has_goes_once_more_by_another),
        TEST(what_is_said_of_the_session_goes_by_no_silent_link),
        TEST(a_silent_link_that_answers_is_as_good_as_before),
        TEST(the_only_link_is_not_given_up),
        TEST(a_lost_link_costs_nothing_for_streams_that_had_nothing_on_it),
        TEST(what_is_remembered_of_frames_is_bounded_over_all_links),
        TEST(a_stream_has_only_so_many_frames_under_way_however_small_they_are),
        TEST(a_stream_goes_on_when_one_comes_that_had_come_by_another_link),
        TEST(what_a_link_had_goes_again_however_many_frames_it_has_carried),
        TEST(what_was_on_its_way_when_a_link_ended_cleanly_is_not_sent_again),
        TEST(what_did_not_come_by_a_link_that_ended_cleanly_is_sent_again),
        TEST(who_hears_no_count_sends_again_after_a_second),
        TEST(an_end_does_not_overtake_the_acknowledgement_that_closes_a_stream),
        TEST(what_comes_behind_our_end_is_not_acknowledged),
        TEST(an_end_goes_behind_all_acknowledgements_however_many),
        TEST(an_end_whose_link_is_lost_goes_behind_all_acknowledgements_by_another),
        TEST(an_end_that_has_begun_on_a_streams_own_link_goes_on_by_a_common_one),
        TEST(a_stream_takes_the_link_that_is_ready_and_nothing_else_goes_by_it),
        TEST(a_stream_whose_own_link_is_lost_goes_by_the_common_one),
        TEST(the_client_hears_that_the_stream_of_a_link_is_closed),
        TEST(without_a_common_link_all_go_by_any),
        TEST(a_stream_does_not_take_a_link_that_the_same_record_ended),
        TEST(what_one_link_alone_can_carry_makes_nobody_ask_another),
        TEST(a_link_that_waits_for_room_is_asked_again_when_there_is_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
