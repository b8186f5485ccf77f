/* What `sockeye top` shows: rates out of two answers, orders, and that it stays within the screen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/top_view.h"

static struct status_lines_link links_before[] = {
    {.number = 1, .remote = "192.0.2.9:4194", .sent = 7, .received = 7},
    {.number = 2, .remote = "192.0.2.9:4194", .sent = 96, .received = 1000000},
};

static struct status_lines_link links[] = {
    {.number = 2, .remote = "192.0.2.9:4194", .rtt_us = 23400, .sent = 4096, .received = 5000000},
    {.remote = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535",
     .rtt_us = 12300,
     .retransmits = 17},
};

static struct status_lines_session sessions_before[] = {
    {.worker = 1, .serial = 2, .name = "away", .sent = 5000, .received = 1000},
    {.worker = 1,
     .serial = 1,
     .name = "home",
     .is_near = true,
     .sent = 1000,
     .received = 2000,
     .n_links_told = 2},
};

static struct status_lines_session sessions[] = {
    {.worker = 1,
     .serial = 1,
     .name = "home",
     .is_near = true,
     .streams_now = 12,
     .sent = 3001000,
     .received = 2000,
     .resent = 30010,
     .n_links = 2,
     .links_cut = 3,
     .n_links_told = 2},
    /* It counts anew, as its session was lost. */
    {.worker = 1,
     .serial = 2,
     .name = "away",
     .user = "ann",
     .streams_now = 40,
     .sent = 500,
     .received = 1000},
    {.worker = 2, .serial = 1, .name = "new", .sent = 1000000, .received = 1000000},
};

static const struct status_lines before = {.version = "1.2.3",
                                           .pid = 42,
                                           .bytes_up = 1000,
                                           .sessions = sessions_before,
                                           .n_sessions = 2,
                                           .links = links_before,
                                           .n_links = 2};

static const struct status_lines now = {.version = "1.2.3",
                                        .pid = 42,
                                        .uptime_ms = 90061000,
                                        .flows_now = 5,
                                        .flows_total = 1234567,
                                        .bytes_up = 2001000,
                                        .refused = 8,
                                        .sessions = sessions,
                                        .n_sessions = 3,
                                        .links = links,
                                        .n_links = 2};

/* Owned. */
static char *shown(const struct top_view *view, const struct status_lines *earlier)
{
    char *text;
    size_t n;
    FILE *page = open_memstream(&text, &n);
    assert_non_null(page);
    assert_int_equal(top_view_print(page, view, &now, earlier, 2000000), ERR_NONE);
    fclose(page);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void rates_are_what_was_added_since_the_last_answer(void **state)
{
    (void)state;
    char *text = shown(&(struct top_view){.width = 80, .height = 24}, &before);
    assert_has(text, "sockeye 1.2.3, pid 42, up 1d 01:01:01\n");
    assert_has(text, "flows: 5 now, 1.2M in all, 8 refused; up 1.0 MB/s, down 0 B/s\n");
    assert_has(text, "tunnels: sessions 3, links 2, streams 52; sent 1.5 MB/s, received 0 B/s\n");
    assert_has(text, "links lost: 3; sorted by rate\n");
    assert_has(
        text, "near home                  2      12   1.5 MB/s      0 B/s   12.3 ms  1.00%    3\n");
    assert_has(
        text, "far  away ann              0      40    250 B/s      0 B/s         -  0.00%    0\n");
    /* Nothing is known of what came before its first answer. */
    assert_has(
        text, "far  new                   0       0      0 B/s      0 B/s         -  0.00%    0\n");
    free(text);
}

static void without_an_answer_before_there_are_no_rates(void **state)
{
    (void)state;
    char *text = shown(&(struct top_view){.width = 80, .height = 24}, NULL);
    assert_has(text, "up 0 B/s, down 0 B/s\n");
    assert_has(text, "sent 0 B/s, received 0 B/s\n");
    free(text);
}

static void a_trouble_is_told(void **state)
{
    (void)state;
    char *text = shown(&(struct top_view){.trouble = "does not answer"}, &before);
    assert_has(text, "sockeye 1.2.3, pid 42: does not answer\n");
    free(text);
}

static void sessions_stand_in_the_order_that_was_asked_for(void **state)
{
    static const struct {
        enum top_order order;
        const char *said, *first, *second, *third;
    } cases[] = {
        {TOP_BY_RATE, "sorted by rate\n", "home", "away", "new"},
        {TOP_BY_NAME, "sorted by name\n", "away", "home", "new"},
        {TOP_BY_STREAMS, "sorted by streams\n", "away", "home", "new"},
        {TOP_BY_ROUND_TRIP, "sorted by round trip\n", "home", "away", "new"},
        {TOP_BY_LOSSES, "sorted by links lost\n", "home", "away", "new"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text =
            shown(&(struct top_view){.width = 80, .height = 24, .order = cases[i].order}, &before);
        assert_has(text, cases[i].said);
        const char *first = strstr(text, cases[i].first), *second = strstr(text, cases[i].second),
                   *third = strstr(text, cases[i].third);
        assert_non_null(first);
        assert_true(first < second && second < third);
        free(text);
    }
}

static void links_stand_below_their_session_or_are_hidden(void **state)
{
    (void)state;
    char *text = shown(&(struct top_view){.width = 100, .height = 24}, &before);
    assert_has(
        text, "    3\n  192.0.2.9:4194                       2.0 kB/s   2.0 MB/s   23.4 ms      0\n"
              "  [2001:db8:1234:5678:9abc:def0:1234:5678]:65535");
    free(text);
    text = shown(&(struct top_view){.width = 100, .height = 24, .hides_links = true}, &before);
    assert_null(strstr(text, "192.0.2.9"));
    free(text);
}

static void no_page_is_larger_than_its_screen(void **state)
{
    (void)state;
    for (unsigned width = 1; width < 100; width += 7) {
        for (unsigned height = 1; height < 14; height++) {
            char *text = shown(&(struct top_view){.width = width, .height = height}, &before);
            unsigned n_lines = 0;
            for (const char *at = text; *at != '\0'; n_lines++) {
                size_t n = strcspn(at, "\n");
                assert_true(n <= width);
                at += n + 1;
            }
            assert_true(n_lines <= height);
            free(text);
        }
    }
    char *text = shown(&(struct top_view){.width = 80, .height = 8}, &before);
    assert_has(text, "LOST\nand 3 more\n");
    free(text);
    text = shown(&(struct top_view){.width = 80, .height = 10}, &before);
    assert_has(text, "and 2 more\n");
    free(text);
    text = shown(&(struct top_view){.width = 80, .height = 11}, &before);
    assert_has(text, "far  new ");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_what_was_added_since_the_last_answer),
        cmocka_unit_test(without_an_answer_before_there_are_no_rates),
        cmocka_unit_test(a_trouble_is_told),
        cmocka_unit_test(sessions_stand_in_the_order_that_was_asked_for),
        cmocka_unit_test(links_stand_below_their_session_or_are_hidden),
        cmocka_unit_test(no_page_is_larger_than_its_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
