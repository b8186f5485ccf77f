#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base64.h"
#include "random.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(char *out, const uint8_t *bytes, size_t n)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (i + 2 < n ? bytes[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            out[used++] = i + k <= n ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
    return used;
}

/* RFC 4648 section 10 */
static void the_vectors_of_the_rfc_hold_both_ways(void **state)
{
    static const char *const texts[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    uint8_t out[6];
    size_t n;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(texts); i++) {
        assert_int_equal(base64_decode(out, sizeof out, &n, texts[i], strlen(texts[i])), ERR_NONE);
        assert_int_equal(n, i);
        assert_memory_equal(out, "foobar", n);
        char text[8];
        assert_int_equal(base64_encode(text, out, n), strlen(texts[i]));
        assert_int_equal(BASE64_BYTES(n), strlen(texts[i]));
        assert_memory_equal(text, texts[i], strlen(texts[i]));
    }
}

static void random_bytes_come_back(void **state)
{
    uint64_t seed = 1;
    uint8_t bytes[100], out[100];
    char text[140], ours[140];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = random_below(&seed, sizeof bytes + 1), n_out;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)random_u64(&seed);
        size_t n_text = encode(text, bytes, n);
        assert_int_equal(base64_encode(ours, bytes, n), n_text);
        assert_memory_equal(ours, text, n_text);
        assert_int_equal(base64_decode(out, n, &n_out, text, n_text), ERR_NONE);
        assert_int_equal(n_out, n);
        assert_memory_equal(out, bytes, n);
        if (n > 0)
            assert_int_equal(base64_decode(out, n - 1, &n_out, text, n_text), ERR_TOO_LONG);
    }
}

static void what_is_not_canonical_is_refused(void **state)
{
    static const char *const bad[] = {
        "Z",     "Zg",   "Zg=",      "Zm8",  "====",     "Z===",   "A===",
        "=Zg=",  "Zg=g", "Zh==",     "Zm9=", "Zg==Zg==", "Zm9v\n", "Zm9vYg==\n",
        " Zg==", "Zm-_", "Zm9v====", "Z g=", "Zm9v=",
    };
    uint8_t out[16];
    size_t n;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (base64_decode(out, sizeof out, &n, bad[i], strlen(bad[i])) != ERR_BAD)
            fail_msg("'%s' was taken", bad[i]);
    }
    assert_int_equal(base64_decode(out, sizeof out, &n, "AA\0A", 4), ERR_BAD);
}

static void nothing_decodes_to_nothing_and_is_not_read(void **state)
{
    size_t n = 1;

    (void)state;
    assert_int_equal(base64_decode(NULL, 0, &n, NULL, 0), ERR_NONE);
    assert_int_equal(n, 0);
}

static void every_byte_outside_the_alphabet_is_refused(void **state)
{
    uint8_t out[3];
    size_t n;

    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[4] = {'A', (char)c, 'A', 'A'};
        bool known = c != 0 && strchr(alphabet, c) != NULL;
        assert_int_equal(base64_decode(out, sizeof out, &n, text, 4), known ? ERR_NONE : ERR_BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc_hold_both_ways),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(what_is_not_canonical_is_refused),
        cmocka_unit_test(nothing_decodes_to_nothing_and_is_not_read),
        cmocka_unit_test(every_byte_outside_the_alphabet_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
