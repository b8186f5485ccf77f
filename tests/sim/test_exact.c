/* What a tunnel promises to the microsecond or to the byte, on lines that are known. */
#define LATENCY (50 * MS)

#include <string.h>

#include "known.h"

/* What sending a few hundred bytes takes on a fast line, and rounding. */
#define SLACK_US 300

static struct app_end *find_end(size_t app, unsigned side)
{
    for (struct list *at = world.app_ends.next; at != &world.app_ends; at = at->next) {
        struct app_end *found = CONTAINER_OF(at, struct app_end, in_world);
        if (found->app == &world.apps[app] && found->side == side)
            return found;
    }
    return NULL;
}

static void run_until_read(size_t app, unsigned side, uint64_t n)
{
    while (n_read(app, side) < n && world.failure[0] == 0)
        assert_true(world_step(&world, world.scenario.end_us));
    assert_string_equal(world.failure, "");
}

static struct sim_carrier *last_carrier(void)
{
    return CONTAINER_OF(world.carriers.prev, struct sim_carrier, in_world);
}

/* ---- times ---- */

static void an_upload_flows_again_one_and_a_half_round_trips_after_the_new_syn(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 2 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + SECOND);
    /* The first bytes of the new step are under way when it is cut. */
    run_until(find_end(0, 0)->wake_us + 10 * MS);
    assert_int_equal(n_read(0, 1), 100);
    uint64_t before = world.new_syn_us;
    carrier_reset(last_carrier());
    run_until_read(0, 1, 200);
    assert_true(world.new_syn_us > before);
    assert_in_range(world.now_us - world.new_syn_us, 3 * LATENCY, 3 * LATENCY + SLACK_US);
    end();
}

static void a_download_flows_again_two_round_trips_after_the_new_syn(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 1, 0, 100);
    add_step(0, 1, 2 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 0, 100);
    run_until(find_end(0, 1)->wake_us + 10 * MS);
    assert_int_equal(n_read(0, 0), 100);
    carrier_reset(last_carrier());
    run_until_read(0, 0, 200);
    assert_in_range(world.now_us - world.new_syn_us, 4 * LATENCY, 4 * LATENCY + SLACK_US);
    end();
}

static void an_opening_with_its_first_bytes_costs_no_round_trip_of_its_own(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    /* SYN and its answer, flight 1, flight 2, the opening; and the time that the far end's application took to accept. */
    assert_in_range(world.now_us - world.new_syn_us, 5 * LATENCY, 5 * LATENCY + SLACK_US + 50 * MS);
    end();
}

/* ---- early records of a new session ---- */

static void early_records_are_taken_as_the_server_says(void **state)
{
    /* Of the SYN: with all taken the bytes are there one and a half round trips behind it, and else behind flight 2. */
    static const uint64_t arrives_us[] = {[GATE_EARLY_NONE] = 5 * LATENCY,
                                          [GATE_EARLY_OPEN] = 5 * LATENCY,
                                          [GATE_EARLY_FULL] = 3 * LATENCY};
    (void)state;
    for (unsigned early = GATE_EARLY_NONE; early <= GATE_EARLY_FULL; early++) {
        struct scenario scenario = {.early = (enum gate_early)early};
        scenario.knobs[KNOB_EARLY] = true;
        begin(scenario, 1);
        add_step(0, 0, 0, 100);
        add_step(0, 0, 0, 100000); /* so that something follows flight 2 at once */
        world_start(&world);
        run_until_read(0, 1, 100);
        uint64_t took_us = world.now_us - world.new_syn_us;
        assert_in_range(took_us, arrives_us[early], arrives_us[early] + SLACK_US + 50 * MS);
        run_until_read(0, 1, 100100);
        end();
    }
}

/* ---- a long fat line ---- */

static void one_stream_fills_a_line_of_200_mbit_and_100_ms(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        begin((struct scenario){.ns_per_byte = 40}, 1);
        add_step(0, side, 0, 1 << 30);
        world_start(&world);
        run_until(BEGIN_US + 3 * SECOND);
        uint64_t from = n_read(0, 1 - side);
        run_until(BEGIN_US + 5 * SECOND);
        uint64_t rate = (n_read(0, 1 - side) - from) / 2;
        assert_true(rate >= UINT64_C(25000000) * 9 / 10);
        assert_true(rate <= UINT64_C(25000000));
        end();
    }
}

/* ---- a cut at every byte ---- */

static void a_session_survives_a_cut_at_every_byte(void **state)
{
    (void)state;
    for (unsigned line = 0; line < 2; line++) {
        uint64_t n_written = UINT64_MAX;
        for (uint64_t cut_at = 1; cut_at <= n_written && cut_at < 4000; cut_at++) {
            begin((struct scenario){.seed = 7, .cut_at = cut_at, .cut_line = line}, 2);
            for (size_t app = 0; app < 2; app++)
                for (unsigned side = 0; side < 2; side++)
                    add_step(app, side, 0, 300 + app * 400);
            world.apps[1].scripts[1].close = CLOSES_AFTER;
            world_start(&world);
            assert_true(world_run(&world));
            assert_int_equal(world.n_completed, 2);
            n_written = world.n_carriers == 1 ? 0 : n_written;
            end();
        }
    }
}

/* ---- a link that says nothing ---- */

static void freeze(struct sim_carrier *carrier, unsigned line)
{
    carrier->lines[line].frozen_from_us = world.now_us;
    carrier->lines[line].frozen_until_us = NEVER;
}

/* Whichever direction is frozen, whoever is sending. */
static void a_frozen_link_is_replaced_within_seconds(void **state)
{
    (void)state;
    for (unsigned line = 0; line < 3; line++)
        for (unsigned side = 0; side < 2; side++) {
            begin((struct scenario){.ns_per_byte = 1000}, 1);
            add_step(0, side, 0, 3000000);
            world_start(&world);
            run_until_read(0, 1 - side, 500000);
            for (unsigned i = 0; i < 2; i++)
                if (line != i)
                    freeze(last_carrier(), i);
            uint64_t frozen_us = world.now_us;
            run_until_read(0, 1 - side, 2500000);
            /* A second at least to notice, and what is under way is sent again. */
            assert_in_range(world.now_us - frozen_us, SECOND, 8 * SECOND);
            assert_int_equal(world.n_carriers, 2);
            end();
        }
}

/* Who only reads owes the other end nothing, and has to ask. */
static void a_reader_notices_that_its_link_is_frozen(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 1, 0, 10000);
    add_step(0, 1, 500 * MS, 20000);
    world_start(&world);
    run_until_read(0, 0, 10000);
    for (unsigned i = 0; i < 2; i++)
        freeze(last_carrier(), i);
    uint64_t frozen_us = world.now_us;
    run_until_read(0, 0, 30000);
    assert_in_range(world.now_us - frozen_us, SECOND, 8 * SECOND);
    end();
}

static unsigned n_dials(const struct node *node)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NODE_MAX_DIALS; i++)
        n += node->dials[i].peer != NULL;
    return n;
}

static void run_with_hanging_dials(struct node *near, uint64_t us)
{
    for (; world.now_us < us; run_until(world.now_us + MS))
        for (unsigned i = 0; i < NODE_MAX_DIALS; i++)
            near->dials[i].at_us = NEVER;
}

/* Of what is under way when the network changes nothing is waited for, be it a dial or an answer. */
static void attempts_from_before_a_change_of_network_hold_nothing_up(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 2; way++) {
        begin((struct scenario){0}, 1);
        add_step(0, 0, 0, 100);
        add_step(0, 0, 2 * SECOND, 100);
        world_start(&world);
        run_until_read(0, 1, 100);
        carrier_reset(last_carrier());
        struct node *near = &world.nears[0];
        uint64_t cut_us = world.now_us;
        if (way == 0)
            run_with_hanging_dials(near, cut_us + 5 * SECOND);
        for (; world.now_us < cut_us + 5 * SECOND; run_until(world.now_us + MS))
            for (unsigned i = 0; world.n_carriers > 1 && i < 2; i++)
                freeze(last_carrier(), i);
        assert_int_equal(world.n_carriers, way == 0 ? 1 : 3);
        assert_int_equal(n_read(0, 1), 100);
        node_network_changed(near);
        uint64_t changed_us = world.now_us;
        run_until_read(0, 1, 200);
        assert_in_range(world.now_us - changed_us, 3 * LATENCY, 3 * LATENCY + SLACK_US);
        end();
    }
}

/* There are two; the one whose carrier could not be taken is replaced behind a pause, and the other is still awaited. */
static void a_dial_that_fails_for_want_of_memory_counts_once(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    carrier_reset(last_carrier());
    struct node *near = &world.nears[0];
    uint64_t cut_us = world.now_us;
    run_with_hanging_dials(near, cut_us + 5 * SECOND);
    assert_int_equal(n_dials(near), 2);
    struct peer_time time = node_time(near);
    near->dials[0].peer = NULL;
    memory_fail_one_of(1);
    assert_null(peer_dialled(near->peer, &time));
    memory_fail_one_of(0);
    peer_dial_failed(near->peer, &time);
    node_settle(near);
    run_with_hanging_dials(near, cut_us + 5800 * MS);
    assert_int_equal(n_dials(near), 1);
    run_with_hanging_dials(near, cut_us + 7 * SECOND);
    assert_int_equal(n_dials(near), 2);
    end();
}

/* Dials are refused in a moment, all at the same time. */
static void dials_that_fail_together_are_one_failure(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 8}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 2 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + SECOND);
    struct node *near = &world.nears[0];
    uint64_t cut_us = world.now_us;
    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next)
        carrier_reset(CONTAINER_OF(at, struct sim_carrier, in_world));
    for (; world.now_us < cut_us + 4 * SECOND; run_until(world.now_us + MS))
        for (unsigned i = 0; i < NODE_MAX_DIALS; i++)
            near->dials[i].fails = true;
    assert_int_equal(n_read(0, 1), 100);
    for (unsigned i = 0; i < NODE_MAX_DIALS; i++)
        near->dials[i].fails = false;
    run_until_read(0, 1, 200);
    /* 0.25, 0.5, 1, 2 and at most 4 s behind the fifth, times 1.5. */
    assert_in_range(world.now_us - cut_us, 4 * SECOND, 12 * SECOND);
    end();
}

static struct session *sender_of(unsigned side)
{
    return peer_session(side == 0 ? world.nears[0].peer : world.far.peers[0]);
}

/* It answers, and even takes a record, but nothing that counts ever comes of it. */
static void a_server_that_hangs_up_again_and_again_is_asked_less_and_less_often(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 60 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(world.now_us + SECOND);
    unsigned n_before = world.n_carriers;
    uint64_t from_us = world.now_us;
    while (world.now_us < from_us + 40 * SECOND) {
        run_until(world.now_us + MS);
        struct session_link_stats stats;
        struct peer_link *link = last_carrier()->ends[0].link;
        if (link != NULL && session_link_stats(sender_of(0), peer_link_number(link), &stats) &&
            stats.n_accepted_records > 0)
            carrier_reset(last_carrier());
    }
    assert_in_range(world.n_carriers - n_before, 3, 12);
    end();
}

/* Whichever it is, one that was of use is replaced without a pause. */
static void links_that_carry_something_are_replaced_at_once(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    for (unsigned i = 0; i < 4; i++)
        add_step(0, i % 2, i == 0 ? 0 : i * SECOND, 100);
    world_start(&world);
    for (unsigned i = 1; i <= 4; i++) {
        run_until_read(0, i % 2, (uint64_t)100 * ((i + 1) / 2));
        run_until(world.now_us + 200 * MS);
        carrier_reset(last_carrier());
        uint64_t cut_us = world.now_us;
        run_until(cut_us + SLACK_US + LATENCY);
        assert_in_range(world.new_syn_us, cut_us, cut_us + SLACK_US + LATENCY);
    }
    end();
}

static void what_was_under_way_is_sent_again_once(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        struct session_link_stats link;
        struct session_stats stats;
        uint64_t n_unacked = 0;
        begin((struct scenario){.ns_per_byte = 1000}, 1);
        add_step(0, side, 0, 3000000);
        world_start(&world);
        run_until_read(0, 1 - side, 500000);
        for (unsigned i = 0; i < 2; i++)
            freeze(last_carrier(), i);
        while (world.n_links < 2) {
            if (session_link_stats(sender_of(side), 0, &link))
                n_unacked = link.n_unacked_bytes;
            assert_true(world_step(&world, world.scenario.end_us));
        }
        run_until_read(0, 1 - side, 2500000);
        session_stats(sender_of(side), &stats);
        assert_in_range(stats.n_resent_bytes, 1, n_unacked);
        end();
    }
}

/* Who closes a link and takes nothing more would hold it for ever. */
static void a_link_that_cannot_say_its_last_words_is_cut(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 100 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + 5 * SECOND);
    struct sim_carrier *carrier = last_carrier();
    carrier->lines[0].free_us = world.now_us + 1000 * SECOND; /* it is full */
    session_bye(sender_of(1), 0);
    node_settle(&world.far);
    uint64_t bye_us = world.now_us + LATENCY;
    run_until(bye_us + 29 * SECOND);
    assert_true(carrier->ends[0].is_open);
    run_until(bye_us + 31 * SECOND);
    assert_ptr_not_equal(last_carrier(),
                         carrier); /* closed at both ends, it is not there any more */
    run_until_read(0, 1, 200);
    end();
}

/* ---- a line that gets slow ---- */

static void slow_down(uint64_t ns_per_byte)
{
    world.scenario.ns_per_byte = ns_per_byte;
    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next)
        for (unsigned line = 0; line < 2; line++)
            CONTAINER_OF(at, struct sim_carrier, in_world)->lines[line].ns_per_byte = ns_per_byte;
}

static unsigned n_open(void)
{
    unsigned n = 0;

    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next)
        n += CONTAINER_OF(at, struct sim_carrier, in_world)->ends[0].is_open;
    return n;
}

/* So that what is written at once arrives later than a link may owe an acknowledgement, at first. What is under way is sent again by few links
 * more, and never by more than two at a time. */
static void a_line_that_gets_slow_is_not_sent_into_again_for_ever(void **state)
{
    static const struct {
        uint64_t ns_per_byte;
        unsigned most_carriers;
    } slow[] = {{10000, 2}, {40000, 4}};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof slow / sizeof slow[0]; i++) {
        unsigned side = i % 2;
        begin((struct scenario){.ns_per_byte = 1000}, 3);
        add_step(0, side, 0, 2000000);
        for (size_t step = 0; step < 24; step++) /* small streams */
            add_step(1 + step % 2, step / 2 % 2, SECOND, 100);
        world_start(&world);
        run_until_read(0, 1 - side, 500000);
        slow_down(slow[i / 2].ns_per_byte);
        uint64_t until_us = world.now_us + 1500000 * slow[i / 2].ns_per_byte / 1000 * 3 / 2;
        while (n_read(0, 1 - side) < 2000000) {
            assert_true(world_step(&world, until_us));
            assert_in_range(n_open(), 1, 2);
        }
        for (size_t app = 1; app < 3; app++)
            assert_int_equal(n_read(app, 0) + n_read(app, 1), 1200);
        struct session_stats stats;
        session_stats(sender_of(side), &stats);
        assert_in_range(world.n_carriers, 1, slow[i / 2].most_carriers);
        assert_in_range(stats.n_resent_bytes, 0, (world.n_carriers - 1) * 2 * 65536);
        end();
    }
}

/* ---- another network ---- */

static void freeze_both_ways(struct sim_carrier *carrier)
{
    for (unsigned line = 0; line < 2; line++)
        freeze(carrier, line);
}

/* What those before it have taught was of the network that they were on. */
static void a_link_has_no_patience_for_another_network(void **state)
{
    (void)state;
    begin((struct scenario){.ns_per_byte = 1000}, 1);
    add_step(0, 0, 0, 1000000);
    world_start(&world);
    while (world.n_links < 1)
        assert_true(world_step(&world, world.scenario.end_us));
    for (unsigned n = 1; n <= 3; n++) {
        freeze_both_ways(last_carrier());
        while (world.n_links == n)
            assert_true(world_step(&world, world.scenario.end_us));
    }
    node_network_changed(&world.nears[0]);
    freeze_both_ways(last_carrier());
    uint64_t frozen_us = world.now_us;
    run_until_read(0, 1, 1000000);
    /* It had 8 s before; all that there is takes one. */
    assert_in_range(world.now_us - frozen_us, SECOND, 5 * SECOND);
    end();
}

/* Nobody else finds out that it is dead, where no other can be had. */
static void a_link_that_another_is_to_replace_is_asked(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 100 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + SECOND);
    struct node *near = &world.nears[0];
    near->peer->near.options.keepalive_s = 0;
    freeze_both_ways(last_carrier());
    struct peer_time time = node_time(near);
    peer_move(near->peer, "as if it had slept", &time);
    node_settle(near);
    run_with_hanging_dials(near, world.now_us + 2 * SECOND);
    assert_false(peer_is_moving(near->peer));
    end();
}

/* ---- a link's first record ---- */

static void a_link_without_a_record_behind_its_flight_is_lost(void **state)
{
    (void)state;
    for (unsigned awaits_auth = 0; awaits_auth < 2; awaits_auth++) {
        struct scenario scenario = {0};
        scenario.knobs[KNOB_IDENTITY] = awaits_auth;
        begin(scenario, 1);
        add_step(0, 0, 0, 100);
        world_start(&world);
        while (world.far.n_peers == 0)
            assert_true(world_step(&world, world.scenario.end_us));
        uint64_t stood_us = world.now_us;
        struct carrier_end *end_of_far = &last_carrier()->ends[1];
        struct session_link_stats stats;
        node_stop(&world.nears[0]);
        end_of_far->reset_us = NEVER; /* which nobody is told of */
        run_until(stood_us + 10 * SECOND - MS);
        assert_true(session_link_stats(sender_of(1), 0, &stats));
        run_until(stood_us + 10 * SECOND + MS);
        assert_true(end_of_far->is_open && end_of_far->is_silent);
        /* Its client may come back, unless it has not said who it is. */
        assert_int_equal(world.far.n_peers, 1 - awaits_auth);
        end();
    }
}

/* What is due when its first link is cut goes with the flight of the second. */
static void run_until_joined(struct scenario scenario, uint64_t n_early)
{
    struct session_link_stats stats;
    begin(scenario, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 2 * SECOND, n_early);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + SECOND);
    run_until(find_end(0, 0)->wake_us);
    carrier_reset(last_carrier());
    while (!session_link_stats(sender_of(1), 1, &stats))
        assert_true(world_step(&world, world.scenario.end_us));
}

/* Its flight may have been kept for later, with the early records, by somebody between. */
static void a_join_without_a_record_behind_its_flight_is_lost(void **state)
{
    (void)state;
    struct session_link_stats stats;
    run_until_joined((struct scenario){0}, 100);
    uint64_t stood_us = world.now_us;
    struct carrier_end *end_of_far = &last_carrier()->ends[1];
    node_stop(&world.nears[0]);
    end_of_far->reset_us = NEVER; /* which nobody is told of */
    run_until(stood_us + 10 * SECOND - MS);
    assert_int_equal(n_read(0, 1), 200);
    assert_true(session_link_stats(sender_of(1), 1, &stats));
    run_until(stood_us + 10 * SECOND + 100 * MS);
    assert_true(end_of_far->is_open && end_of_far->is_silent);
    assert_int_equal(world.far.n_peers, 1);
    assert_false(peer_is_linked(world.far.peers[0]));
    end();
}

/* The first record behind the handshake has to wait for the early ones. */
static void a_join_whose_early_records_take_long_keeps_its_link(void **state)
{
    (void)state;
    struct scenario scenario = {.ns_per_byte = 175000};
    scenario.knobs[KNOB_TINY] = true; /* else all that is written at once arrives at once */
    run_until_joined(scenario, 65536);
    uint64_t stood_us = world.now_us;
    run_until_read(0, 1, 100 + 60000);
    assert_in_range(world.now_us - stood_us, 10 * SECOND + MS, 14 * SECOND);
    run_until_read(0, 1, 100 + 65536);
    run_until(world.now_us + SECOND);
    assert_int_equal(world.n_links, 2);
    assert_int_equal(world.n_carriers, 2);
    end();
}

static void a_client_with_nothing_to_say_says_that(void **state)
{
    (void)state;
    begin((struct scenario){.at_once = true}, 1);
    add_step(0, 0, 0, 100);
    world.apps[0].open_us = BEGIN_US + 60 * SECOND;
    world_start(&world);
    run_until(BEGIN_US + 30 * SECOND);
    struct session_link_stats stats;
    assert_true(session_link_stats(sender_of(1), 0, &stats));
    assert_true(stats.n_accepted_records > 0);
    run_until_read(0, 1, 100);
    assert_int_equal(world.n_carriers, 1);
    end();
}

/* The server lets it wait for a record behind the handshake, and the client has nothing more to say. */
static void a_listener_that_is_asked_for_early_is_there_at_once(void **state)
{
    (void)state;
    struct scenario scenario = {.early = GATE_EARLY_FULL, .at_once = true};
    scenario.knobs[KNOB_EARLY] = scenario.knobs[KNOB_REVERSE] = true;
    begin(scenario, 0);
    world_start(&world);
    while (world.far.n_listeners == 0)
        assert_true(world_step(&world, BEGIN_US + 5 * SECOND));
    assert_in_range(world.now_us - world.new_syn_us, 5 * LATENCY, 5 * LATENCY + SLACK_US);
    end();
}

/* In one record with something that ends the session: by its number it would be another's of the next. */
static void what_is_said_of_a_listener_ends_with_its_session(void **state)
{
    (void)state;
    struct scenario scenario = {.at_once = true};
    scenario.knobs[KNOB_REVERSE] = true;
    begin(scenario, 0);
    world_start(&world);
    run_until(BEGIN_US + SECOND);
    assert_int_equal(world.far.n_listeners, 1);
    struct session *session = peer_session(world.far.listeners[0].peer);
    const struct addr at = {.family = ADDR_V4, .port = 1};
    uint64_t number;
    session_listening(session, world.far.listeners[0].number, LISTENER_DENIED, &at);
    assert_int_equal(session_listen(session, &at, &number), ERR_NONE); /* for a client to ask */
    node_settle(&world.far);
    run_until(BEGIN_US + 5 * SECOND);
    assert_int_equal(world.n_links, 2); /* the second in another session */
    assert_int_equal(world.far.n_listeners, 1);
    end();
}

/* ---- a server that was restarted ---- */

static void a_session_that_is_gone_is_replaced_on_the_same_carrier(void **state)
{
    (void)state;
    begin((struct scenario){0}, 2);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 10 * SECOND, 100);
    add_step(1, 0, 0, 100);
    world.apps[1].open_us = BEGIN_US + 5 * SECOND;
    world_start(&world);
    run_until_read(0, 1, 100);
    node_stop(&world.far);
    node_start(&world.far);
    run_until_read(1, 1, 100);
    assert_true(world.apps[0].is_over);
    assert_false(world.apps[0].completed);
    assert_int_equal(world.apps[0].why, STREAM_RESET_LOST);
    assert_int_equal(world.n_carriers, 2);
    end();
}

static bool is_up(const struct peer_link *link)
{
    return link->state == LINK_UP;
}

/* Several servers behind one address: joins reach another than has the session, until they reach that one again. */
static void a_session_with_a_link_outlives_what_another_server_says_of_it(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 2}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 20 * SECOND, 1000000);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + SECOND);
    struct peer *near = world.nears[0].peer;
    unsigned n_before = world.n_carriers;
    near->id[15] ^= 1;
    carrier_reset(last_carrier());
    run_until(BEGIN_US + 10 * SECOND);
    assert_true(world.n_carriers > n_before + 2);
    assert_int_equal(peer_count(near, is_up), 1);
    near->id[15] ^= 1;
    run_until_read(0, 1, 1000100);
    run_until(world.now_us + SECOND);
    assert_true(world.apps[0].completed);
    end();
}

/* Nothing is under way on the link that is left, and it is dead: it is asked, and does not answer. */
static void a_link_that_is_dead_keeps_no_session_that_is_gone(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 2}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 500 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + SECOND);
    struct sim_carrier *left = CONTAINER_OF(world.carriers.next, struct sim_carrier, in_world);
    assert_ptr_not_equal(left, last_carrier());
    for (unsigned line = 0; line < 2; line++)
        freeze(left, line);
    world.nears[0].peer->id[15] ^= 1;
    carrier_reset(last_carrier());
    run_until(BEGIN_US + 1500 * MS);
    assert_false(world.apps[0].is_over);
    run_until(BEGIN_US + 10 * SECOND);
    assert_true(world.apps[0].is_over);
    assert_int_equal(world.apps[0].why, STREAM_RESET_LOST);
    end();
}

/* A server that drains is late, and others answer that know nothing of its sessions. */
static void a_link_that_drains_may_stall_for_longer(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 2 * SECOND, 100);
    add_step(0, 1, 500 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    struct peer *near = world.nears[0].peer;
    near->is_drained = true;
    near->id[15] ^= 1;
    for (unsigned line = 0; line < 2; line++)
        freeze(last_carrier(), line);
    run_until(BEGIN_US + 9 * SECOND);
    assert_true(world.n_carriers > 2);
    assert_false(world.apps[0].is_over);
    run_until(BEGIN_US + 60 * SECOND);
    assert_true(world.apps[0].is_over);
    assert_int_equal(world.apps[0].why, STREAM_RESET_LOST);
    end();
}

/* The last that there was is refused. */
static void a_server_that_drains_has_its_last_answer_heard(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    world.apps[0].code = 5;
    world_start(&world);
    while (find_end(0, 1) == NULL)
        assert_true(world_step(&world, world.scenario.end_us));
    find_end(0, 1)->answer_us = world.now_us + 5 * SECOND;
    world.far.drain_us = world.now_us + 1;
    world.far.drain_s = 60;
    run_until(world.now_us + 10 * SECOND);
    assert_true(world.apps[0].is_over);
    assert_int_equal(world.apps[0].why, 0x80 | 5);
    assert_int_equal(world.far.n_peers, 0);
    end();
}

/* Whoever knows all of it, but for the user's key, is told that it is gone. */
static void a_session_is_not_joined_by_another_user(void **state)
{
    (void)state;
    struct scenario scenario = {.n_nears = 2};
    scenario.knobs[KNOB_USERS] = true;
    begin(scenario, 2);
    world.turn_us = NEVER; /* all stay */
    for (size_t app = 0; app < 2; app++) {
        add_step(app, 0, 0, 100);
        add_step(app, 0, 10 * SECOND, 100);
    }
    world_start(&world);
    for (size_t app = 0; app < 2; app++)
        run_until_read(app, 1, 100);
    const struct peer *owner = world.nears[0].peer;
    struct peer *thief = world.nears[1].peer;
    memcpy(thief->id, owner->id, sizeof thief->id);
    memcpy(thief->resume, owner->resume, sizeof thief->resume);
    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next) {
        struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        if (carrier->ends[0].node == &world.nears[1])
            carrier_reset(carrier);
    }
    while (!world.apps[1].is_over)
        assert_true(world_step(&world, BEGIN_US + 20 * SECOND));
    assert_int_equal(world.apps[1].why, STREAM_RESET_LOST);
    run_until_read(0, 1, 200);
    end();
}

/* However many attempts there are meanwhile. */
static void a_session_is_kept_for_its_time_and_no_longer(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 1000 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + 10 * SECOND);
    node_stop(&world.far);
    uint64_t lost_us = world.now_us;
    while (!world.apps[0].is_over)
        assert_true(world_step(&world, world.scenario.end_us));
    assert_int_equal(world.apps[0].why, STREAM_RESET_LOST);
    assert_true(world.n_carriers > 5);
    assert_in_range(world.now_us - lost_us, KEEP_S * SECOND, KEEP_S * SECOND + LATENCY + SLACK_US);
    end();
}

/* ---- clocks ---- */

static void a_clock_that_is_wrong_is_met_by_silence_and_one_that_was_mended_is_not(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    world_start(&world);
    world.nears[0].clock_ms = 3600000;
    run_until(BEGIN_US + 60 * SECOND);
    assert_int_equal(world.n_links, 0);
    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next)
        assert_int_equal(CONTAINER_OF(at, struct sim_carrier, in_world)->lines[1].n_written, 0);
    world.nears[0].clock_ms = 0;
    run_until_read(0, 1, 100);
    end();
}

static void what_was_learnt_of_the_servers_clock_outlives_a_change_of_our_own(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    world.nears[0].clock_ms = -3600000;
    carrier_reset(last_carrier());
    run_until_read(0, 1, 200);
    assert_int_equal(world.n_carriers, 2);
    end();
}

/* Attempts that fail two by two do not keep the next from being dated by the other clock. */
static void a_servers_clock_that_was_mended_is_found_by_our_own(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, SECOND, 100);
    world_start(&world);
    world.far.clock_ms = world.nears[0].clock_ms = 3600000;
    run_until_read(0, 1, 100);
    world.far.clock_ms = world.nears[0].clock_ms = 0;
    carrier_reset(last_carrier());
    uint64_t lost_us = world.now_us;
    run_until_read(0, 1, 200);
    assert_in_range(world.now_us - lost_us, 3 * SECOND, 4 * SECOND);
    end();
}

/* ---- quiet ---- */

static void an_idle_session_wakes_for_its_keepalive_only(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, SECOND, 100); /* which nothing but an acknowledgement answers */
    add_step(0, 0, 300 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + 10 * SECOND);
    assert_true(peer_deadline_us(world.far.peers[0]) == UINT64_MAX);
    uint64_t n_steps = world.n_steps;
    run_until(BEGIN_US + 210 * SECOND);
    /* 200 s at a mean of 20 s: ten keepalives, each of which is a deadline, a PING, its PONG with an ACK, and theirs. */
    assert_in_range(world.n_steps - n_steps, 1, 30 * 6);
    assert_int_equal(world.n_carriers, 1);
    end();
}

/* ---- memory ---- */

static struct chunk *get_nothing(struct chunk_source *source, size_t n)
{
    (void)source;
    (void)n;
    return NULL;
}

/* Who is told of it again and again in one turn would never get out of that. */
static void output_without_memory_is_tried_again_later_and_not_at_once(void **state)
{
    (void)state;
    begin((struct scenario){0}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 300 * SECOND, 100);
    world_start(&world);
    run_until_read(0, 1, 100);
    run_until(BEGIN_US + SECOND);
    struct node *near = &world.nears[0];
    struct peer_link *link = last_carrier()->ends[0].link;
    struct chunk_source chunks = near->chunks;
    struct session_link_stats stats;
    near->chunks.get = get_nothing;
    session_ping(peer_session(near->peer), peer_link_number(link), world.now_us);
    for (unsigned turn = 0; turn < 10; turn++) {
        struct peer_event event;
        struct peer_time time = node_time(near);
        const uint8_t *bytes;
        assert_false(peer_next_event(near->peer, &event));
        assert_int_equal(peer_link_output(link, 65536, &time, &bytes), 0);
    }
    assert_in_range(peer_deadline_us(near->peer), world.now_us + 1, world.now_us + SECOND);
    near->chunks = chunks;
    uint64_t mended_us = world.now_us;
    run_until(mended_us + SECOND);
    assert_true(session_link_stats(peer_session(near->peer), peer_link_number(link), &stats));
    assert_true(stats.last_received_us > mended_us);
    end();
}

/* What its links still bring is acknowledged or dropped, and not kept until they have left. */
static void a_session_that_is_over_holds_nothing_of_what_still_comes(void **state)
{
    (void)state;
    begin((struct scenario){.ns_per_byte = 100}, 1);
    add_step(0, 1, 0, 20 << 20);
    world_start(&world);
    run_until_read(0, 0, 4 << 20);
    struct node *near = &world.nears[0];
    near_start_over(near->peer, "as if it was lost");
    uint64_t n_steps = world.n_steps, until_us = world.now_us + 2 * LATENCY;
    while (world_step(&world, until_us))
        assert_in_range(near->n_chunk_bytes, 0, 1 << 20);
    assert_true(world.n_steps - n_steps > 20);
    end();
}

/* ---- chains ---- */

/* A connection, which is none of the streams. */
static struct sim_carrier *outer_carrier(void)
{
    struct list *at = world.carriers.next;

    while (CONTAINER_OF(at, struct sim_carrier, in_world)->is_chained)
        at = at->next;
    return CONTAINER_OF(at, struct sim_carrier, in_world);
}

/* Nothing of the outer tunnel gets through for so long. */
static void outage(uint64_t seconds)
{
    uint64_t until_us = world.now_us + seconds * SECOND;

    for (unsigned i = 0; i < 2; i++)
        freeze(outer_carrier(), i);
    run_with_hanging_dials(&world.nears[0], until_us);
    for (unsigned i = 0; i < NODE_MAX_DIALS; i++)
        world.nears[0].dials[i].peer = NULL;
    node_network_changed(&world.nears[0]);
}

/* Longer than anything waits for an answer: the outer link is replaced, those inside are not. */
static void the_links_of_a_chain_outlive_the_loss_of_the_outer_ones(void **state)
{
    (void)state;
    for (unsigned n_deep = 1; n_deep <= CHAIN_MAX_DEEP; n_deep++) {
        begin((struct scenario){.n_deep = n_deep}, 1);
        add_step(0, 0, 0, 100);
        add_step(0, 0, 2 * SECOND, 100);
        world_start(&world);
        run_until_read(0, 1, 100);
        run_until(BEGIN_US + SECOND + 500 * MS);
        assert_int_equal(world.n_links, n_deep + 1);
        outage(30);
        uint64_t mended_us = world.now_us;
        run_until_read(0, 1, 200);
        /* One round trip more than where the old link is known to be dead: it is given up when the new one stands. */
        assert_int_equal((world.now_us - mended_us + SLACK_US) / LATENCY, 5);
        run_until(world.now_us + 20 * SECOND);
        assert_int_equal(world.n_links, n_deep + 2);
        end();
    }
}

/* Flight 1 and the dial before it, likewise: one attempt, and not another every few seconds. */
static void attempts_through_a_chain_wait_for_the_outer_link(void **state)
{
    (void)state;
    begin((struct scenario){.n_deep = 1}, 1);
    add_step(0, 0, 0, 100);
    world_start(&world);
    while (world.n_links < 1)
        assert_true(world_step(&world, BEGIN_US + SECOND));
    assert_int_equal(world.n_carriers, 2);
    outage(30);
    run_until_read(0, 1, 100);
    run_until(world.now_us + SECOND);
    assert_int_equal(world.n_links, 3);
    assert_int_equal(world.n_carriers, 3); /* with the outer session's second */
    end();
}

/* The outer far end takes the hop's stream from early records, and its answer is cut: the session that is begun anew asks for it
 * again, and what came of the first has an end of its own. */
static void a_hop_is_asked_for_again_by_a_session_that_is_begun_anew(void **state)
{
    struct scenario scenario = {.n_deep = 1, .early = GATE_EARLY_FULL};
    (void)state;
    scenario.knobs[KNOB_EARLY] = true;
    begin(scenario, 1);
    add_step(0, 0, 0, 100);
    world_start(&world);
    while (world.n_carriers < 2)
        assert_true(world_step(&world, BEGIN_US + SECOND));
    outer_carrier()->lines[1].cut_at = 1;
    run_until_read(0, 1, 100);
    /* Two connections, the hop's stream, and the far end of the first that came of it. */
    assert_int_equal(world.n_carriers, 4);
    run_until(world.now_us + SECOND);
    /* The first has never said whose it is, so that it is nobody's place that the second takes. */
    assert_int_equal(world.far.n_peers, 2);
    end();
}

/* ---- identities ---- */

static void whoever_is_none_of_the_peers_is_met_by_silence(void **state)
{
    struct scenario scenario = {.n_nears = 1};
    (void)state;
    scenario.knobs[KNOB_IDENTITY] = true;
    begin(scenario, 1);
    add_step(0, 0, 0, 100);
    world.accepted[0] = sign_key_public(world.identities[1]);
    world_start(&world);
    run_until(BEGIN_US + 20 * SECOND);
    assert_null(find_end(0, 1));
    assert_int_equal(world.far.n_peers, 0);
    end();
}

static void a_server_with_another_identity_is_not_believed(void **state)
{
    struct scenario scenario = {.n_nears = 1};
    (void)state;
    scenario.knobs[KNOB_IDENTITY] = true;
    begin(scenario, 1);
    add_step(0, 0, 0, 100);
    struct sign_key *right = world.identities[1];
    assert_int_equal(sign_key_generate(&world.identities[1], SIGN_ED25519, 0, &world.dice.rng),
                     ERR_NONE);
    node_start(&world.nears[0]);
    struct sign_key *expected = world.identities[1];
    world.identities[1] = right;
    node_start(&world.far);
    run_until(BEGIN_US + 20 * SECOND);
    assert_int_equal(world.n_links, 0);
    assert_null(find_end(0, 1));
    node_stop(&world.nears[0]);
    sign_key_free(expected);
    end();
}

/* It is kept from when it stands, however long there was none before. */
static void a_session_is_kept_while_its_client_signs(void **state)
{
    struct scenario scenario = {.n_nears = 1, .signs_apart = true};
    (void)state;
    scenario.knobs[KNOB_IDENTITY] = true;
    begin(scenario, 1);
    world.apps[0].open_us = BEGIN_US + (KEEP_S + 10) * SECOND;
    add_step(0, 0, 0, 100);
    world_start(&world);
    run_until(BEGIN_US + (KEEP_S + 11) * SECOND);
    assert_int_equal(n_read(0, 1), 100);
    assert_int_equal(world.n_carriers, 1);
    end();
}

/* Nobody heard of the session, and nobody can join it. */
static void a_session_that_had_no_memory_to_stand_is_not_kept(void **state)
{
    struct scenario scenario = {.n_nears = 1, .signs_apart = true};
    unsigned n_tried = 0, n_left;
    (void)state;
    scenario.knobs[KNOB_IDENTITY] = true;
    do {
        begin(scenario, 1);
        add_step(0, 0, 0, 100);
        world_start(&world);
        while (world.n_carriers == 0 || last_carrier()->ends[1].signs_us == 0)
            assert_true(world_step(&world, world.scenario.end_us));
        run_until(last_carrier()->ends[1].signs_us - 1);
        (void)memory_fail_nth(++n_tried);
        run_until(world.now_us + 1);
        n_left = memory_fail_nth(0);
        run_until_read(0, 1, 100);
        run_until(world.now_us + SECOND);
        assert_int_equal(world.far.n_peers, 1);
        end();
    } while (n_left == 0);
    assert_true(n_tried > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_flows_again_one_and_a_half_round_trips_after_the_new_syn),
        cmocka_unit_test(a_download_flows_again_two_round_trips_after_the_new_syn),
        cmocka_unit_test(an_opening_with_its_first_bytes_costs_no_round_trip_of_its_own),
        cmocka_unit_test(early_records_are_taken_as_the_server_says),
        cmocka_unit_test(one_stream_fills_a_line_of_200_mbit_and_100_ms),
        cmocka_unit_test(a_session_survives_a_cut_at_every_byte),
        cmocka_unit_test(a_frozen_link_is_replaced_within_seconds),
        cmocka_unit_test(a_reader_notices_that_its_link_is_frozen),
        cmocka_unit_test(attempts_from_before_a_change_of_network_hold_nothing_up),
        cmocka_unit_test(a_dial_that_fails_for_want_of_memory_counts_once),
        cmocka_unit_test(dials_that_fail_together_are_one_failure),
        cmocka_unit_test(a_server_that_hangs_up_again_and_again_is_asked_less_and_less_often),
        cmocka_unit_test(links_that_carry_something_are_replaced_at_once),
        cmocka_unit_test(what_was_under_way_is_sent_again_once),
        cmocka_unit_test(a_link_that_cannot_say_its_last_words_is_cut),
        cmocka_unit_test(a_line_that_gets_slow_is_not_sent_into_again_for_ever),
        cmocka_unit_test(a_link_has_no_patience_for_another_network),
        cmocka_unit_test(a_link_that_another_is_to_replace_is_asked),
        cmocka_unit_test(a_link_without_a_record_behind_its_flight_is_lost),
        cmocka_unit_test(a_join_without_a_record_behind_its_flight_is_lost),
        cmocka_unit_test(a_join_whose_early_records_take_long_keeps_its_link),
        cmocka_unit_test(a_client_with_nothing_to_say_says_that),
        cmocka_unit_test(a_listener_that_is_asked_for_early_is_there_at_once),
        cmocka_unit_test(what_is_said_of_a_listener_ends_with_its_session),
        cmocka_unit_test(a_session_that_is_gone_is_replaced_on_the_same_carrier),
        cmocka_unit_test(a_session_with_a_link_outlives_what_another_server_says_of_it),
        cmocka_unit_test(a_link_that_is_dead_keeps_no_session_that_is_gone),
        cmocka_unit_test(a_link_that_drains_may_stall_for_longer),
        cmocka_unit_test(a_server_that_drains_has_its_last_answer_heard),
        cmocka_unit_test(a_session_is_not_joined_by_another_user),
        cmocka_unit_test(a_session_is_kept_for_its_time_and_no_longer),
        cmocka_unit_test(a_clock_that_is_wrong_is_met_by_silence_and_one_that_was_mended_is_not),
        cmocka_unit_test(what_was_learnt_of_the_servers_clock_outlives_a_change_of_our_own),
        cmocka_unit_test(a_servers_clock_that_was_mended_is_found_by_our_own),
        cmocka_unit_test(an_idle_session_wakes_for_its_keepalive_only),
        cmocka_unit_test(output_without_memory_is_tried_again_later_and_not_at_once),
        cmocka_unit_test(a_session_that_is_over_holds_nothing_of_what_still_comes),
        cmocka_unit_test(the_links_of_a_chain_outlive_the_loss_of_the_outer_ones),
        cmocka_unit_test(attempts_through_a_chain_wait_for_the_outer_link),
        cmocka_unit_test(a_hop_is_asked_for_again_by_a_session_that_is_begun_anew),
        cmocka_unit_test(whoever_is_none_of_the_peers_is_met_by_silence),
        cmocka_unit_test(a_server_with_another_identity_is_not_believed),
        cmocka_unit_test(a_session_is_kept_while_its_client_signs),
        cmocka_unit_test(a_session_that_had_no_memory_to_stand_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
