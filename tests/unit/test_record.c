/* Records: what was sealed is opened, in pieces of any size, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "link/handshake.h"
#include "link/record.h"
#include "random.h"

#define OVERHEAD (RECORD_HEADER_BYTES + RECORD_TAG_BYTES)

static const uint8_t secret[32] = {1, 2, 3};
static const uint8_t other_secret[32] = {1, 2, 4};

struct pair {
    struct record_sealer *sealer;
    struct record_opener *opener;
};

static struct pair pair_of(uint8_t cipher, const struct record_limits *limits)
{
    struct pair pair = {record_sealer_new(cipher, secret, limits),
                        record_opener_new(cipher, secret, NULL)};
    assert_non_null(pair.sealer);
    assert_non_null(pair.opener);
    return pair;
}

static void free_pair(const struct pair *pair)
{
    record_sealer_free(pair->sealer);
    record_opener_free(pair->opener);
}

/* Returns the size of the record. */
static size_t seal(struct record_sealer *sealer, const void *plain, size_t n, uint8_t *out)
{
    const struct piece piece = {plain, n};
    size_t n_out;
    assert_int_equal(record_seal(sealer, &piece, 1, out, &n_out), ERR_NONE);
    assert_int_equal(n_out, n + OVERHEAD);
    return n_out;
}

static void assert_opens(struct record_opener *opener, uint8_t *bytes, size_t n, const void *plain)
{
    uint8_t *payload;
    size_t n_payload, used;
    assert_int_equal(record_open(opener, bytes, n, &payload, &n_payload, &used), ERR_NONE);
    assert_int_equal(used, n_payload + OVERHEAD);
    assert_ptr_equal(payload, bytes + RECORD_HEADER_BYTES);
    if (n_payload > 0)
        assert_memory_equal(payload, plain, n_payload);
}

static void assert_bad(struct record_opener *opener, uint8_t *bytes, size_t n)
{
    uint8_t *payload;
    size_t n_payload, used;
    assert_int_equal(record_open(opener, bytes, n, &payload, &n_payload, &used), ERR_BAD);
}

static void every_size_comes_back(void **state)
{
    static const size_t sizes[] = {0,    1,     2,     15,    16,    17,   100,
                                   1000, 16383, 16384, 16385, 65535, 65536};
    uint8_t *plain = malloc(RECORD_MAX_BYTES), *wire = malloc(RECORD_MAX_BYTES + OVERHEAD);
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < RECORD_MAX_BYTES; i++)
        plain[i] = (uint8_t)random_u64(&seed);
    for (uint8_t cipher = RECORD_AES_128_GCM; cipher <= RECORD_CHACHA20_POLY1305; cipher++) {
        struct pair pair = pair_of(cipher, NULL);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t n = seal(pair.sealer, plain, sizes[i], wire);
            assert_opens(pair.opener, wire, n, plain);
        }
        free_pair(&pair);
    }
    free(wire);
    free(plain);
}

static void a_record_may_come_a_byte_at_a_time_and_says_how_much_it_takes(void **state)
{
    uint8_t plain[300], wire[300 + OVERHEAD + 50], *payload;
    size_t n_payload, used;
    struct pair pair = pair_of(RECORD_AES_256_GCM, NULL);

    (void)state;
    memset(plain, 7, sizeof plain);
    for (unsigned times = 0; times < 3; times++) {
        size_t n = seal(pair.sealer, plain, sizeof plain, wire);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(record_open(pair.opener, wire, i, &payload, &n_payload, &used),
                             ERR_MORE);
            assert_int_equal(used, i < RECORD_HEADER_BYTES ? RECORD_HEADER_BYTES : n);
        }
        /* What lies behind it is not looked at. */
        assert_opens(pair.opener, wire, sizeof wire, plain);
    }
    free_pair(&pair);
}

static void several_records_lie_behind_one_another(void **state)
{
    uint8_t wire[1000], *payload;
    size_t n = 0, at = 0, n_payload, used;
    struct pair pair = pair_of(RECORD_CHACHA20_POLY1305, NULL);

    (void)state;
    for (size_t i = 0; i < 10; i++)
        n += seal(pair.sealer, "0123456789", i, wire + n);
    for (size_t i = 0; i < 10; i++, at += used) {
        assert_int_equal(record_open(pair.opener, wire + at, n - at, &payload, &n_payload, &used),
                         ERR_NONE);
        assert_int_equal(n_payload, i);
        assert_memory_equal(payload, "0123456789", i);
    }
    assert_int_equal(at, n);
    free_pair(&pair);
}

static void acc_04_any_flipped_bit_ends_the_link_and_delivers_nothing(void **state)
{
    static const char plain[] = "what nobody may read or change";
    enum { N = sizeof plain + OVERHEAD };

    (void)state;
    for (uint8_t cipher = RECORD_AES_128_GCM; cipher <= RECORD_CHACHA20_POLY1305; cipher++) {
        for (size_t bit = 0; bit < 8 * (size_t)N; bit++) {
            uint8_t wire[N], flipped[N];
            struct pair pair = pair_of(cipher, NULL);
            assert_int_equal(seal(pair.sealer, plain, sizeof plain, wire), N);
            memcpy(flipped, wire, N);
            flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_bad(pair.opener, flipped, N);
            assert_memory_not_equal(flipped + RECORD_HEADER_BYTES, plain, sizeof plain);
            /* The right record comes too late. */
            assert_bad(pair.opener, wire, N);
            free_pair(&pair);
        }
    }
}

static void acc_25_records_are_neither_repeated_nor_left_out_nor_swapped(void **state)
{
    uint8_t first[10 + OVERHEAD], second[10 + OVERHEAD], copy[10 + OVERHEAD];

    (void)state;
    struct pair pair = pair_of(RECORD_AES_128_GCM, NULL);
    size_t n = seal(pair.sealer, "aaaaaaaaaa", 10, first);
    seal(pair.sealer, "aaaaaaaaaa", 10, second);
    assert_memory_not_equal(first, second, n);

    memcpy(copy, first, n);
    assert_opens(pair.opener, copy, n, "aaaaaaaaaa");
    assert_bad(pair.opener, first, n);
    free_pair(&pair);

    pair = pair_of(RECORD_AES_128_GCM, NULL);
    assert_bad(pair.opener, second, n);
    free_pair(&pair);
}

static void acc_25_another_secret_or_cipher_opens_nothing(void **state)
{
    uint8_t wire[10 + OVERHEAD], copy[10 + OVERHEAD];
    struct pair pair = pair_of(RECORD_AES_256_GCM, NULL);
    struct record_opener *other = record_opener_new(RECORD_AES_256_GCM, other_secret, NULL);
    struct record_opener *chacha = record_opener_new(RECORD_CHACHA20_POLY1305, secret, NULL);

    (void)state;
    size_t n = seal(pair.sealer, "0123456789", 10, wire);
    memcpy(copy, wire, n);
    assert_bad(other, copy, n);
    assert_bad(chacha, wire, n);
    record_opener_free(other);
    record_opener_free(chacha);
    free_pair(&pair);
}

/* Random bytes of every length, cut where they may be. */
static void random_bytes_open_nothing(void **state)
{
    uint64_t seed = 5;
    uint8_t wire[2000], *payload;
    size_t n_payload, used;

    (void)state;
    for (size_t n = 0; n < sizeof wire; n++) {
        struct record_opener *opener = record_opener_new(RECORD_AES_256_GCM, secret, NULL);
        for (size_t i = 0; i < n; i++)
            wire[i] = (uint8_t)random_u64(&seed);
        assert_int_equal(record_open(opener, wire, n, &payload, &n_payload, &used),
                         n < RECORD_HEADER_BYTES ? ERR_MORE : ERR_BAD);
        record_opener_free(opener);
    }
}

static void the_key_changes_by_records_and_by_bytes(void **state)
{
    static const struct record_limits limits[] = {{3, UINT64_MAX}, {UINT64_MAX, 100}, {1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        uint8_t wire[40 + OVERHEAD], unchanged[40 + OVERHEAD], plain[40] = {0};
        struct pair pair = pair_of(RECORD_AES_256_GCM, &limits[i]);
        struct record_sealer *without = record_sealer_new(RECORD_AES_256_GCM, secret, NULL);
        for (unsigned k = 0; k < 20; k++) {
            size_t n = seal(pair.sealer, plain, sizeof plain, wire);
            seal(without, plain, sizeof plain, unchanged);
            /* The third record has the flag, and the fourth another key. */
            bool is_changed = k >= (limits[i].max_records == 1 ? 1 : 3);
            assert_int_equal(memcmp(wire + RECORD_HEADER_BYTES, unchanged + RECORD_HEADER_BYTES,
                                    n - RECORD_HEADER_BYTES) != 0,
                             is_changed);
            assert_opens(pair.opener, wire, n, plain);
        }
        record_sealer_free(without);
        free_pair(&pair);
    }
}

static void who_never_changes_the_key_is_cut_off(void **state)
{
    static const struct record_limits five = {5, UINT64_MAX};
    uint8_t wire[1 + OVERHEAD];

    (void)state;
    struct record_sealer *sealer = record_sealer_new(RECORD_AES_256_GCM, secret, NULL);
    struct record_opener *opener = record_opener_new(RECORD_AES_256_GCM, secret, &five);
    for (unsigned i = 0; i < 5; i++)
        assert_opens(opener, wire, seal(sealer, "x", 1, wire), "x");
    assert_bad(opener, wire, seal(sealer, "x", 1, wire));
    record_sealer_free(sealer);
    record_opener_free(opener);

    /* The sixth may still be the one that changes it. */
    static const struct record_limits six = {6, UINT64_MAX};
    sealer = record_sealer_new(RECORD_AES_256_GCM, secret, &six);
    opener = record_opener_new(RECORD_AES_256_GCM, secret, &five);
    for (unsigned i = 0; i < 20; i++)
        assert_opens(opener, wire, seal(sealer, "x", 1, wire), "x");
    record_sealer_free(sealer);
    record_opener_free(opener);
}

static void pieces_are_sealed_as_one(void **state)
{
    static const char plain[] = "the pieces of a record";
    uint8_t wire[sizeof plain + OVERHEAD], expected[sizeof plain + OVERHEAD];
    size_t n;

    (void)state;
    for (size_t cut = 0; cut <= sizeof plain; cut++) {
        struct pair pair = pair_of(RECORD_AES_192_GCM, NULL);
        const struct piece pieces[] = {{plain, cut}, {NULL, 0}, {plain + cut, sizeof plain - cut}};
        assert_int_equal(record_seal(pair.sealer, pieces, 3, wire, &n), ERR_NONE);
        free_pair(&pair);
        pair = pair_of(RECORD_AES_192_GCM, NULL);
        assert_int_equal(seal(pair.sealer, plain, sizeof plain, expected), n);
        assert_memory_equal(wire, expected, n);
        free_pair(&pair);
    }
}

static int load(void **state)
{
    (void)state;
    return crypto_load() == ERR_NONE ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_comes_back),
        cmocka_unit_test(a_record_may_come_a_byte_at_a_time_and_says_how_much_it_takes),
        cmocka_unit_test(several_records_lie_behind_one_another),
        cmocka_unit_test(acc_04_any_flipped_bit_ends_the_link_and_delivers_nothing),
        cmocka_unit_test(acc_25_records_are_neither_repeated_nor_left_out_nor_swapped),
        cmocka_unit_test(acc_25_another_secret_or_cipher_opens_nothing),
        cmocka_unit_test(random_bytes_open_nothing),
        cmocka_unit_test(the_key_changes_by_records_and_by_bytes),
        cmocka_unit_test(who_never_changes_the_key_is_cut_off),
        cmocka_unit_test(pieces_are_sealed_as_one),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
