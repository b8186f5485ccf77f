/* The emulated line, with the clock in the test's hand. */
#include "line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS ((int64_t)1000000)
#define PACKET_BYTES 1000

static struct line make(struct line_options options)
{
    struct line line;
    line_init(&line, 7);
    line.options = options;
    return line;
}

static void take(struct line *line, int64_t now_ns, uint8_t mark)
{
    uint8_t bytes[PACKET_BYTES] = {mark};
    assert_true(line_take(line, now_ns, bytes, sizeof bytes));
}

/* What is due at that time must be exactly one packet with that mark. */
static void expect(struct line *line, int64_t now_ns, uint8_t mark)
{
    struct packet *packet = line_give(line, now_ns);
    assert_non_null(packet);
    assert_int_equal(packet->len, PACKET_BYTES);
    assert_int_equal(packet->bytes[0], mark);
    free(packet);
}

static void empty(struct line *line)
{
    struct packet *packet;
    while ((packet = line_give(line, INT64_MAX - 1)) != NULL)
        free(packet);
    assert_int_equal(line_deadline(line), INT64_MAX);
}

static void a_packet_comes_after_the_delay_and_not_before(void **state)
{
    (void)state;
    struct line line = make((struct line_options){.delay_ns = 5 * MS});
    take(&line, 10 * MS, 1);
    assert_int_equal(line_deadline(&line), 15 * MS);
    assert_null(line_give(&line, 15 * MS - 1));
    expect(&line, 15 * MS, 1);
    assert_null(line_give(&line, 20 * MS));
}

static void the_bottleneck_spaces_packets_by_their_length(void **state)
{
    (void)state;
    /* 1,000 bytes at 8 Mbit/s take 1 ms. */
    struct line line = make((struct line_options){.bits_per_s = 8e6, .queue_bytes = 1e6});
    take(&line, 0, 1);
    take(&line, 0, 2);
    assert_null(line_give(&line, MS - 1));
    expect(&line, MS, 1);
    assert_null(line_give(&line, 2 * MS - 1));
    expect(&line, 2 * MS, 2);
}

static void a_full_queue_drops_what_comes_last(void **state)
{
    (void)state;
    struct line line = make((struct line_options){.bits_per_s = 8e6, .queue_bytes = 3000});
    for (uint8_t i = 0; i < 6; i++)
        take(&line, 0, i);
    assert_int_equal(line.counts.overflowed, 3);
    for (uint8_t i = 0; i < 3; i++)
        expect(&line, 10 * MS, i);
    assert_null(line_give(&line, 10 * MS));
    take(&line, 10 * MS, 9);
    expect(&line, 11 * MS, 9);
}

static void lost_packets_are_counted_and_as_many_as_was_said(void **state)
{
    (void)state;
    struct line line = make((struct line_options){.loss = 0.25});
    for (int i = 0; i < 10000; i++)
        take(&line, 0, 0);
    empty(&line);
    assert_int_equal(line.counts.lost + line.counts.delivered, 10000);
    assert_in_range(line.counts.lost, 2300, 2700);
}

static void a_reordered_packet_is_overtaken(void **state)
{
    (void)state;
    struct line line = make((struct line_options){.reorder = 1, .reorder_ns = 3 * MS});
    take(&line, 0, 1);
    line.options.reorder = 0;
    take(&line, 1 * MS, 2);
    take(&line, 4 * MS, 3);
    expect(&line, 5 * MS, 2);
    expect(&line, 5 * MS, 1);
    expect(&line, 5 * MS, 3);
    assert_int_equal(line.counts.reordered, 1);
}

static void freezing_takes_what_comes_and_what_is_under_way(void **state)
{
    (void)state;
    struct line line = make((struct line_options){.delay_ns = 5 * MS});
    take(&line, 0, 1);
    line.options.frozen = true;
    take(&line, 1 * MS, 2);
    assert_null(line_give(&line, 10 * MS));
    line.options.frozen = false;
    take(&line, 10 * MS, 3);
    expect(&line, 15 * MS, 3);
    assert_int_equal(line.counts.frozen, 2);
    assert_int_equal(line.counts.delivered, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_comes_after_the_delay_and_not_before),
        cmocka_unit_test(the_bottleneck_spaces_packets_by_their_length),
        cmocka_unit_test(a_full_queue_drops_what_comes_last),
        cmocka_unit_test(lost_packets_are_counted_and_as_many_as_was_said),
        cmocka_unit_test(a_reordered_packet_is_overtaken),
        cmocka_unit_test(freezing_takes_what_comes_and_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
