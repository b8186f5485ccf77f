/* What several links, and links that take the place of others, promise on lines that are known. */
#define LATENCY (20 * MS)

#include "known.h"

/* Returns the longest time in which nothing came. */
static uint64_t run_until_read(unsigned side, uint64_t n)
{
    uint64_t worst_us = 0, last_us = world.now_us, had = n_read(0, side);

    while (n_read(0, side) < n && world.failure[0] == 0) {
        assert_true(world_step(&world, world.scenario.end_us));
        if (n_read(0, side) == had)
            continue;
        had = n_read(0, side);
        worst_us = world.now_us - last_us > worst_us ? world.now_us - last_us : worst_us;
        last_us = world.now_us;
    }
    assert_string_equal(world.failure, "");
    return worst_us;
}

static unsigned n_open(void)
{
    unsigned n = 0;

    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next)
        n += CONTAINER_OF(at, struct sim_carrier, in_world)->ends[0].is_open;
    return n;
}

/* For ever, both ways. */
static void freeze(struct sim_carrier *carrier)
{
    for (unsigned line = 0; line < 2; line++) {
        carrier->lines[line].frozen_from_us = world.now_us;
        carrier->lines[line].frozen_until_us = NEVER;
    }
}

static uint64_t n_resent(unsigned side)
{
    struct session_stats stats;

    session_stats(peer_session(side == 0 ? world.nears[0].peer : world.far.peers[0]), &stats);
    return stats.n_resent_bytes;
}

/* ---- several ---- */

static void further_links_join_when_the_first_stands(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 4}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 10 * SECOND, 100);
    world_start(&world);
    run_until(BEGIN_US + 6 * LATENCY);
    assert_in_range(n_open(), 0, 1);
    run_until(BEGIN_US + SECOND);
    assert_int_equal(n_open(), 4);
    run_until(BEGIN_US + 9 * SECOND);
    assert_int_equal(world.n_carriers, 4);
    end();
}

static size_t n_links_at_server(void)
{
    struct session_link_stats stats;
    size_t n = 0;

    for (uint64_t number = 0; number < 100; number++)
        n += session_link_stats(peer_session(world.far.peers[0]), number, &stats);
    return n;
}

/* A client that wants more than any should. */
static void a_server_takes_so_many_links_of_a_session(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 8, .max_links = 5}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 100 * SECOND, 100);
    world_start(&world);
    run_until(BEGIN_US + 60 * SECOND);
    assert_int_equal(n_links_at_server(), 5);
    (void)run_until_read(1, 200); /* which goes on */
    end();
}

/* Each a second after the other, with a hundred bytes at once and a hundred much later. */
static void add_streams(void)
{
    for (size_t i = 0; i < world.n_apps; i++) {
        struct script *script = &world.apps[i].scripts[0];
        world.apps[i].open_us = BEGIN_US + i * SECOND;
        script->n_steps = 2;
        script->steps[0].n_bytes = script->steps[1].n_bytes = 100;
        script->steps[1].pause_us = 400 * SECOND;
    }
}

static void assert_all_have_read(uint64_t n)
{
    for (size_t i = 0; i < world.n_apps; i++)
        assert_int_equal(world.apps[i].n_read[1], n);
}

/* Of two at a time each finds a link ready, which it takes along: the opening is there after one way. */
static void opening_a_distributed_stream_costs_no_round_trip_more(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 2, .knobs[KNOB_DISTRIBUTED] = true}, 12);
    add_streams();
    for (size_t i = 0; i < world.n_apps; i++)
        world.apps[i].open_us = BEGIN_US + i / 2 * SECOND;
    world_start(&world);
    for (size_t i = 2; i < world.n_apps; i += 2) {
        uint64_t open_us = world.apps[i].open_us;
        run_until(open_us - MS);
        unsigned n_carriers = world.n_carriers;
        while (!world.apps[i].has_arrived || !world.apps[i + 1].has_arrived)
            assert_true(world_step(&world, world.scenario.end_us));
        assert_in_range(world.now_us - open_us, LATENCY, LATENCY + MS);
        run_until(open_us + SECOND / 2);
        assert_int_equal(world.n_carriers, n_carriers + 2);
    }
    end();
}

static void streams_beyond_a_servers_limit_share_the_links_there_are(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 2, .max_links = 6, .knobs[KNOB_DISTRIBUTED] = true}, 20);
    add_streams();
    world_start(&world);
    run_until(BEGIN_US + 30 * SECOND);
    assert_int_equal(n_links_at_server(), 6);
    assert_all_have_read(100);
    run_until(BEGIN_US + 130 * SECOND);
    unsigned n_carriers = world.n_carriers;
    run_until(BEGIN_US + 330 * SECOND);
    /* Two every ten seconds and a drawn half minute: the second as the first stays unanswered for three. */
    assert_in_range(world.n_carriers - n_carriers, 2, 20);
    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next)
        carrier_reset(CONTAINER_OF(at, struct sim_carrier, in_world));
    run_until(BEGIN_US + 425 * SECOND);
    assert_all_have_read(200);
    end();
}

static bool is_up(const struct peer_link *link)
{
    return link->state == LINK_UP;
}

/* Nothing answers by carriers that are new from now on, for so long. */
static void swallow_answers(uint64_t us)
{
    uint64_t until_us = world.now_us + us;
    unsigned n_before = world.n_carriers;

    while (world.now_us < until_us) {
        run_until(world.now_us + MS);
        for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next) {
            struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
            if (carrier->number >= n_before)
                freeze(carrier);
        }
    }
}

static void links_that_were_not_answered_for_a_while_are_asked_for_again_soon(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 2, .knobs[KNOB_DISTRIBUTED] = true}, 2);
    add_streams();
    world.apps[1].open_us = BEGIN_US + 20 * SECOND;
    world_start(&world);
    run_until(BEGIN_US + 20 * SECOND - MS);
    assert_int_equal(peer_count(world.nears[0].peer, is_up), 3);
    swallow_answers(12 * SECOND);
    assert_int_equal(peer_count(world.nears[0].peer, is_up), 3);
    run_until(BEGIN_US + 40 * SECOND);
    assert_int_equal(peer_count(world.nears[0].peer, is_up), 4);
    assert_all_have_read(100);
    end();
}

static void a_client_asks_for_so_many_links_and_no_more(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 2, .knobs[KNOB_DISTRIBUTED] = true}, 530);
    add_streams();
    for (size_t i = 0; i < world.n_apps; i++)
        world.apps[i].open_us = BEGIN_US + i * 50 * MS;
    world_start(&world);
    run_until(BEGIN_US + 60 * SECOND);
    assert_all_have_read(100);
    assert_int_equal(n_open(), 512);
    assert_int_equal(world.n_carriers, 512);
    end();
}

/* Whichever it is, and whoever sends: what it had goes by the other before anybody would call it stalled. */
static void one_of_two_links_that_falls_silent_costs_little(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 2; which++)
        for (unsigned side = 0; side < 2; side++) {
            begin((struct scenario){.n_links = 2, .ns_per_byte = 1000}, 1);
            add_step(0, side, 0, 3000000);
            world_start(&world);
            (void)run_until_read(1 - side, 500000);
            struct list *at = which == 0 ? world.carriers.next : world.carriers.prev;
            struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
            freeze(carrier);
            assert_in_range(run_until_read(1 - side, 2900000), 0, 500 * MS);
            end();
        }
}

static void one_of_two_links_that_dies_costs_nothing(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 2; which++) {
        begin((struct scenario){.n_links = 2, .ns_per_byte = 1000}, 1);
        add_step(0, 1, 0, 3000000);
        world_start(&world);
        (void)run_until_read(0, 500000);
        struct list *at = which == 0 ? world.carriers.next : world.carriers.prev;
        carrier_reset(CONTAINER_OF(at, struct sim_carrier, in_world));
        assert_in_range(run_until_read(0, 2900000), 0, 200 * MS);
        end();
    }
}

/* Nobody says anything. A keepalive is due after a second on average and four at most, by the next if something was said since the one
 * before; its answer is missed for one more. */
static void an_idle_link_that_is_dead_is_found_out_by_its_keepalive(void **state)
{
    enum { RUNS = 40 };
    uint64_t sum_us = 0;
    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        begin((struct scenario){.seed = run}, 1);
        add_step(0, 0, 0, 100);
        add_step(0, 0, 550 * SECOND, 100);
        world_start(&world);
        world.nears[0].peer->near.options.keepalive_s = 1;
        run_until(BEGIN_US + 20 * SECOND);
        assert_int_equal(world.n_carriers, 1);
        freeze(CONTAINER_OF(world.carriers.next, struct sim_carrier, in_world));
        uint64_t frozen_us = world.now_us;
        while (world.n_carriers == 1)
            assert_true(world_step(&world, frozen_us + 9 * SECOND + MS));
        assert_true(world.now_us - frozen_us >= SECOND);
        sum_us += world.now_us - frozen_us;
        end();
    }
    assert_in_range(sum_us / RUNS, SECOND, 3 * SECOND);
}

/* What the one for all carries meanwhile says nothing for it. */
static void a_link_that_is_hung_up_on_again_and_again_is_asked_for_less_and_less_often(void **state)
{
    (void)state;
    begin((struct scenario){.n_links = 1, .ns_per_byte = 20000, .knobs[KNOB_DISTRIBUTED] = true},
          1);
    add_step(0, 0, 0, 3000000);
    world_start(&world);
    run_until(BEGIN_US + SECOND);
    unsigned n_before = world.n_carriers;
    while (world.now_us < BEGIN_US + 41 * SECOND) {
        run_until(world.now_us + MS);
        for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next) {
            struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
            const struct peer_link *link = carrier->ends[0].link;
            if (link != NULL && link->is_own && link->state == LINK_UP && link->heard_bytes > 0)
                carrier_reset(carrier);
        }
    }
    assert_true(peer_is_linked(world.nears[0].peer));
    assert_in_range(world.n_carriers - n_before, 3, 12);
    end();
}

/* ---- handover ---- */

/* What the old link has queued, 65 ms of it, arrives as what goes by the new one does, and credit comes when it was read. */
static void a_handover_by_time_costs_no_pause_and_sends_nothing_twice(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        begin((struct scenario){.every = {300 * MS, 500 * MS}, .ns_per_byte = 1000}, 1);
        add_step(0, side, 0, 5000000);
        world_start(&world);
        (void)run_until_read(1 - side, 100000);
        uint64_t worst_us = run_until_read(1 - side, 4900000);
        assert_in_range(worst_us, 0, 150 * MS);
        assert_in_range(world.n_carriers, 8, 20);
        assert_in_range(n_open(), 1, 2);
        assert_int_equal(n_resent(0) + n_resent(1), 0);
        end();
    }
}

static void an_old_link_stays_until_another_has_its_place(void **state)
{
    (void)state;
    begin((struct scenario){.every = {300 * MS, 500 * MS}, .ns_per_byte = 1000}, 1);
    add_step(0, 0, 0, 5000000);
    world_start(&world);
    (void)run_until_read(1, 100000);
    while (n_read(0, 1) < 4900000) {
        assert_true(world_step(&world, world.scenario.end_us));
        assert_true(peer_is_linked(world.nears[0].peer));
    }
    assert_in_range(world.n_carriers, 8, 20);
    end();
}

static bool near_has(unsigned number)
{
    for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next) {
        const struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
        if (carrier->number == number)
            return carrier->ends[0].is_open;
    }
    return false;
}

/* What has come on it by then need not come again. But it does not wait for ever. */
static void an_old_link_waits_half_a_minute_for_the_others_fin(void **state)
{
    (void)state;
    for (unsigned comes = 0; comes < 2; comes++) {
        begin((struct scenario){.every = {2 * SECOND, 2 * SECOND}}, 1);
        add_step(0, 0, 0, 100);
        add_step(0, 0, 100 * SECOND, 100);
        world_start(&world);
        run_until(BEGIN_US + 1900 * MS);
        struct sim_carrier *old = CONTAINER_OF(world.carriers.next, struct sim_carrier, in_world);
        unsigned number = old->number;
        old->lines[1].frozen_from_us = world.now_us;
        old->lines[1].frozen_until_us = comes ? world.now_us + 25 * SECOND : NEVER;
        run_until(BEGIN_US + 26 * SECOND);
        assert_true(near_has(number));
        run_until(BEGIN_US + 30 * SECOND);
        assert_int_equal(near_has(number), !comes);
        run_until(BEGIN_US + 34 * SECOND);
        assert_false(near_has(number));
        end();
    }
}

enum { MAX_LIVES = 64 };

/* How long each of the first links has stood, or (bytes) what its carrier has had; the last is still alive. */
static size_t lives(uint64_t out[static MAX_LIVES], bool in_bytes, uint64_t until_us)
{
    uint64_t begun_us[MAX_LIVES] = {0};
    size_t n = 0;

    while (world.now_us < until_us && world_step(&world, until_us))
        for (struct list *at = world.carriers.next; at != &world.carriers; at = at->next) {
            const struct sim_carrier *carrier = CONTAINER_OF(at, struct sim_carrier, in_world);
            const struct peer_link *link = carrier->ends[0].link;
            unsigned i = carrier->number;
            assert_in_range(i, 0, MAX_LIVES - 1);
            if (link == NULL || link->state < LINK_UP)
                continue;
            begun_us[i] = begun_us[i] == 0 ? world.now_us : begun_us[i];
            out[i] = in_bytes ? carrier->lines[0].n_written + carrier->lines[1].n_written
                              : world.now_us - begun_us[i];
            n = i + 1 > n ? i + 1 : n;
        }
    return n - 1;
}

static void assert_drawn_from(const uint64_t *lives, size_t n, uint64_t least, uint64_t most)
{
    uint64_t shortest = UINT64_MAX, longest = 0;

    for (size_t i = 0; i < n; i++) {
        assert_in_range(lives[i], least, most);
        shortest = lives[i] < shortest ? lives[i] : shortest;
        longest = lives[i] > longest ? lives[i] : longest;
    }
    assert_true(longest - shortest > (most - least) / 4);
}

/* A link is worn after its life; then another is made, for which it waits, and the two ends' BYE. */
static void the_lives_of_links_are_drawn_from_the_range(void **state)
{
    uint64_t found[MAX_LIVES];
    (void)state;
    begin((struct scenario){.every = {2 * SECOND, 4 * SECOND}}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 550 * SECOND, 100);
    world_start(&world);
    size_t n = lives(found, false, BEGIN_US + 60 * SECOND);
    assert_in_range(n, 60 / 5, 60 / 2);
    assert_drawn_from(found, n, 2 * SECOND, 4 * SECOND + 8 * LATENCY);
    end();
    for (unsigned side = 0; side < 2; side++) {
        begin((struct scenario){.after = {400000, 800000}, .ns_per_byte = 1000}, 1);
        add_step(0, side, 0, 12000000);
        world_start(&world);
        n = lives(found, true, BEGIN_US + 30 * SECOND);
        assert_int_equal(n_read(0, 1 - side), 12000000);
        assert_in_range(n, 12000000 / 800000, 12000000 / 200000);
        assert_drawn_from(found, n, 200000, 800000);
        end();
    }
}

static void links_of_few_bytes_are_opened_ahead(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        begin((struct scenario){.after = {12288, 15360}}, 1);
        add_step(0, side, 0, 1000000);
        world_start(&world);
        (void)run_until_read(1 - side, 500000);
        uint64_t begun_us = world.now_us;
        (void)run_until_read(1 - side, 990000);
        /* One after the other they would take three ways there and back for each 10 KB. */
        assert_in_range(world.now_us - begun_us, 0, 50 * 3 * 2 * LATENCY / 4);
        assert_in_range(n_resent(0) + n_resent(1), 0, 20000);
        end();
    }
}

/* They are of use where there is nothing else: the next is there as soon as it can be. */
static void links_that_carry_datagrams_alone_are_replaced_at_once(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        begin((struct scenario){.after = {8192, 8292}}, 20);
        for (size_t i = 0; i < world.n_apps; i++) {
            world.apps[i].is_association = true;
            world.apps[i].open_us = BEGIN_US + i * SECOND;
            add_step(i, side, SECOND, 10);
        }
        world_start(&world);
        run_until(BEGIN_US + SECOND);
        uint64_t linked_us = world.now_us, worst_us = 0;
        for (; world.now_us < BEGIN_US + 22 * SECOND; run_until(world.now_us + 5 * MS)) {
            if (peer_is_moving(world.nears[0].peer))
                linked_us = world.now_us;
            if (world.now_us - linked_us > worst_us)
                worst_us = world.now_us - linked_us;
        }
        assert_in_range(world.n_carriers, 30, 50);
        assert_in_range(worst_us, 0, 300 * MS);
        end();
    }
}

/* Whether the last one has few bytes left is chance: so several amounts; and no keepalive is needed for it. */
static void links_that_went_fast_leave_one_behind(void **state)
{
    (void)state;
    for (uint64_t n = 2000000; n < 2600000; n += 100000) {
        begin((struct scenario){.after = {200000, 300000}}, 1);
        add_step(0, 0, 0, n);
        add_step(0, 0, 550 * SECOND, 100);
        world_start(&world);
        world.nears[0].peer->near.options.keepalive_s = n % 200000 == 0 ? 0 : 1 + n % 3;
        run_until(BEGIN_US + 60 * SECOND);
        assert_int_equal(n_read(0, 1), n);
        assert_int_equal(n_open(), 1);
        (void)run_until_read(1, n + 100);
        end();
    }
}

/* Two that are ready for a stream and one for all, and where links are used up fast some ahead: as many as are under way at once, and not
 * one more for each that was used up. */
static void distributed_links_of_few_bytes_are_given_back(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        begin((struct scenario){.n_links = 2,
                                .after = {65536, 131072},
                                .latency_us = 50 * MS,
                                .knobs[KNOB_DISTRIBUTED] = true},
              100);
        for (size_t i = 0; i < world.n_apps; i++) {
            world.apps[i].open_us = BEGIN_US + i * 100 * MS;
            add_step(i, side, 0, 200000);
        }
        world_start(&world);
        while (world_step(&world, BEGIN_US + 20 * SECOND))
            assert_in_range(n_open(), 0, 50);
        for (size_t i = 0; i < world.n_apps; i++)
            assert_int_equal(n_read(i, 1 - side), 200000);
        assert_in_range(world.n_carriers, 200, 400);
        run_until(BEGIN_US + 40 * SECOND);
        /* One that was asked for as one ahead may be ready for the next stream. */
        assert_in_range(n_open(), 3, 4);
        end();
    }
}

static void an_idle_session_hands_over_and_keeps_one_link(void **state)
{
    (void)state;
    begin((struct scenario){.every = {2 * SECOND, 3 * SECOND}}, 1);
    add_step(0, 0, 0, 100);
    add_step(0, 0, 60 * SECOND, 100);
    world_start(&world);
    run_until(BEGIN_US + 50 * SECOND);
    assert_in_range(world.n_carriers, 12, 30);
    assert_in_range(n_open(), 1, 2);
    (void)run_until_read(1, 200);
    end();
}

/* The join that finds the session gone has used up what the carrier may carry: the fresh flight goes by another. */
static void a_session_that_is_gone_is_replaced_within_what_a_carrier_may_carry(void **state)
{
    (void)state;
    begin((struct scenario){.after = {4800, 4900}, .at_once = true}, 2);
    world.apps[1].open_us = BEGIN_US + 5 * SECOND;
    add_step(0, 0, 0, 100);
    add_step(0, 0, SECOND, 4000);
    world_start(&world);
    (void)run_until_read(1, 100);
    node_stop(&world.far);
    run_until(world.now_us + SECOND);
    node_start(&world.far);
    run_until(BEGIN_US + 20 * SECOND);
    assert_true(world.apps[0].is_over);
    assert_int_equal(world.apps[0].why, STREAM_RESET_LOST);
    assert_true(world.apps[1].completed);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(further_links_join_when_the_first_stands),
        cmocka_unit_test(a_server_takes_so_many_links_of_a_session),
        cmocka_unit_test(opening_a_distributed_stream_costs_no_round_trip_more),
        cmocka_unit_test(streams_beyond_a_servers_limit_share_the_links_there_are),
        cmocka_unit_test(links_that_were_not_answered_for_a_while_are_asked_for_again_soon),
        cmocka_unit_test(a_client_asks_for_so_many_links_and_no_more),
        cmocka_unit_test(one_of_two_links_that_falls_silent_costs_little),
        cmocka_unit_test(one_of_two_links_that_dies_costs_nothing),
        cmocka_unit_test(an_idle_link_that_is_dead_is_found_out_by_its_keepalive),
        cmocka_unit_test(
            a_link_that_is_hung_up_on_again_and_again_is_asked_for_less_and_less_often),
        cmocka_unit_test(a_handover_by_time_costs_no_pause_and_sends_nothing_twice),
        cmocka_unit_test(an_old_link_stays_until_another_has_its_place),
        cmocka_unit_test(an_old_link_waits_half_a_minute_for_the_others_fin),
        cmocka_unit_test(the_lives_of_links_are_drawn_from_the_range),
        cmocka_unit_test(links_of_few_bytes_are_opened_ahead),
        cmocka_unit_test(links_that_carry_datagrams_alone_are_replaced_at_once),
        cmocka_unit_test(links_that_went_fast_leave_one_behind),
        cmocka_unit_test(distributed_links_of_few_bytes_are_given_back),
        cmocka_unit_test(an_idle_session_hands_over_and_keeps_one_link),
        cmocka_unit_test(a_session_that_is_gone_is_replaced_within_what_a_carrier_may_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
