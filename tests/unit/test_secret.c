#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/secret.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static void texts_are_equal_only_to_themselves(void **state)
{
    static const char *const texts[] = {"",   "a",   "b",    "aa",     "aaa", "ab",
                                        "ba", "abc", "abcd", "abcabc", "abd", "\xff"};

    (void)state;
    for (size_t i = 0; i < N_ITEMS(texts); i++) {
        for (size_t k = 0; k < N_ITEMS(texts); k++) {
            assert_int_equal(secret_equal(texts[i], strlen(texts[i]), texts[k], strlen(texts[k])),
                             i == k);
        }
    }
}

static void zero_bytes_count(void **state)
{
    (void)state;
    assert_false(secret_equal("\0", 1, "", 0));
    assert_false(secret_equal("", 0, "\0", 1));
    assert_false(secret_equal("a\0b", 3, "a\0c", 3));
    assert_true(secret_equal("a\0b", 3, "a\0b", 3));
}

static void each_bit_of_each_byte_counts(void **state)
{
    char known[20], given[20];

    (void)state;
    for (size_t i = 0; i < sizeof known; i++)
        known[i] = (char)(i * 37);
    for (size_t bit = 0; bit < 8 * sizeof known; bit++) {
        memcpy(given, known, sizeof known);
        given[bit / 8] = (char)(given[bit / 8] ^ 1 << bit % 8);
        assert_false(secret_equal(given, sizeof given, known, sizeof known));
    }
}

static void wiping_leaves_zeros_and_nothing_else(void **state)
{
    char bytes[8] = "abcdefg";

    (void)state;
    secret_wipe(bytes + 1, 5);
    assert_memory_equal(bytes, "a\0\0\0\0\0g", 8);
    secret_wipe(NULL, 0);
}

static void bytes_are_the_same_only_if_each_bit_is(void **state)
{
    uint8_t a[20] = {1, 2, 3}, b[20] = {1, 2, 3};

    (void)state;
    assert_true(secret_same(a, b, sizeof a));
    assert_true(secret_same(a, b, 0));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(secret_same(a, b, sizeof a));
        assert_true(secret_same(a, b, bit / 8));
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Fills a secret that wipes itself, and leaves its block in the middle. */
static const struct secret32 *leave_a_secret(uint8_t *copy)
{
    SECRET struct secret32 secret;
    const struct secret32 *volatile place = &secret;
    memset(secret.bytes, 0x77, sizeof secret.bytes);
    memcpy(copy, secret.bytes, sizeof secret.bytes);
    return place;
}

/* Reading what a function has left on the stack is what an attacker does, and no correct program. */
__attribute__((no_sanitize("address"))) static void
a_secret_wipes_itself_at_the_end_of_its_block(void **state)
{
    uint8_t copy[32], zeros[32] = {0}, left[32];

    (void)state;
    const struct secret32 *volatile place = leave_a_secret(copy);
    const volatile uint8_t *bytes = place->bytes;
    for (size_t i = 0; i < sizeof left; i++)
        left[i] = bytes[i];
    assert_int_equal(copy[0], 0x77);
    assert_memory_equal(left, zeros, sizeof left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_equal_only_to_themselves),
        cmocka_unit_test(zero_bytes_count),
        cmocka_unit_test(each_bit_of_each_byte_counts),
        cmocka_unit_test(bytes_are_the_same_only_if_each_bit_is),
        cmocka_unit_test(a_secret_wipes_itself_at_the_end_of_its_block),
        cmocka_unit_test(wiping_leaves_zeros_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
