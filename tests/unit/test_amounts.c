/* Numbers as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/amounts.h"

static void rates_and_bytes_have_one_digit_behind_the_point_and_a_unit(void **state)
{
    static const struct {
        double bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},         {999, "999 B"},          {1000, "1.0 kB"}, {999949, "999.9 kB"},
        {999950, "1.0 MB"}, {93100000, "93.1 MB"},   {1e9, "1.0 GB"},  {1.5e12, "1.5 TB"},
        {1e15, "1.0 PB"},   {1.84e19, "18400.0 PB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(amount_bytes(cases[i].bytes).text, cases[i].text);
    assert_string_equal(amount_bit_rate(93100000).text, "93.1 Mbit/s");
}

static void times_are_in_milliseconds_up_to_a_second(void **state)
{
    static const struct {
        double us;
        const char *text;
    } cases[] = {
        {0, "0.0 ms"},     {149, "0.1 ms"},     {12345, "12.3 ms"}, {99949, "99.9 ms"},
        {99950, "100 ms"}, {999949, "1000 ms"}, {999950, "1.00 s"}, {1250000, "1.25 s"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(amount_us(cases[i].us).text, cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_and_bytes_have_one_digit_behind_the_point_and_a_unit),
        cmocka_unit_test(times_are_in_milliseconds_up_to_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
