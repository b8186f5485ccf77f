/* The counters: their words are a contract with whoever reads logs and `sockeye status --json`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "flow/counters.h"

static void test_ends_have_the_words_of_the_log(void **state)
{
    (void)state;
    static const char *const words[] = {"closed", "reset",       "idle",   "refused",
                                        "denied", "unreachable", "lookup", "timeout",
                                        "limit",  "shutdown",    "error"};
    assert_int_equal(sizeof words / sizeof words[0], N_FLOW_ENDS);
    for (size_t i = 0; i < N_FLOW_ENDS; i++)
        assert_string_equal(flow_end_text((enum flow_end)i), words[i]);
}

static void test_refusals_have_words_of_their_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_REFUSALS; i++) {
        assert_true(strlen(refusal_text((enum refusal)i)) > 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(refusal_text((enum refusal)i), refusal_text((enum refusal)k));
    }
}

static void test_drops_have_words_of_their_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_DROPS; i++) {
        assert_true(strlen(drop_text((enum drop)i)) > 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(drop_text((enum drop)i), drop_text((enum drop)k));
    }
}

static void test_words_exist_for_numbers_that_do_not(void **state)
{
    (void)state;
    assert_non_null(flow_end_text((enum flow_end)1000));
    assert_non_null(refusal_text((enum refusal)1000));
    assert_non_null(drop_text((enum drop)1000));
}

static void test_adding_leaves_no_field_out(void **state)
{
    (void)state;
    enum { N = sizeof(struct counters) / sizeof(uint64_t) };
    uint64_t a[N], b[N], sum[N];
    struct counters left, right;
    assert_int_equal(sizeof(struct counters), sizeof a);
    for (size_t i = 0; i < N; i++) {
        a[i] = 1 + i;
        b[i] = 1000 * (1 + i);
    }
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    counters_add(&left, &right);
    memcpy(sum, &left, sizeof sum);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(sum[i], 1001 * (1 + i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_have_the_words_of_the_log),
        cmocka_unit_test(test_refusals_have_words_of_their_own),
        cmocka_unit_test(test_drops_have_words_of_their_own),
        cmocka_unit_test(test_words_exist_for_numbers_that_do_not),
        cmocka_unit_test(test_adding_leaves_no_field_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
