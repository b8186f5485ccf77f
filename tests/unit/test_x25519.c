/* X25519 by RFC 7748 sections 5.2 and 6.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "crypto/x25519.h"
#include "hex.h"
#include "seeded.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static void deriving_gives_the_vectors(void **state)
{
    static const struct {
        const char *key, *peer, *shared;
    } vectors[] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        struct secret32 key, shared;
        uint8_t own[X25519_BYTES], peer[X25519_BYTES], expected[X25519_BYTES];
        hex_bytes(key.bytes, sizeof key.bytes, vectors[i].key);
        hex_bytes(peer, sizeof peer, vectors[i].peer);
        hex_bytes(expected, sizeof expected, vectors[i].shared);
        assert_int_equal(x25519_public(own, &key), ERR_NONE);
        assert_int_equal(x25519_derive(&shared, &key, own, peer), ERR_NONE);
        assert_memory_equal(shared.bytes, expected, sizeof expected);
    }
}

/* The public key is what the base point, 9, gives (section 6.1); k and u both begin as 9 (5.2). */
static void a_public_key_is_that_of_the_base_point(void **state)
{
    struct secret32 key = {{9}}, shared;
    const uint8_t base[X25519_BYTES] = {9};
    uint8_t public_key[X25519_BYTES], expected[X25519_BYTES];

    (void)state;
    hex_bytes(expected, sizeof expected,
              "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    assert_int_equal(x25519_public(public_key, &key), ERR_NONE);
    assert_memory_equal(public_key, expected, sizeof expected);
    assert_int_equal(x25519_derive(&shared, &key, public_key, base), ERR_NONE);
    assert_memory_equal(shared.bytes, expected, sizeof expected);
}

static void two_ends_share_a_secret_that_follows_from_the_seed(void **state)
{
    struct seeded seeded = seeded_with(1), again = seeded_with(1);
    struct secret32 a, b, a_shared, b_shared, a_again;
    uint8_t a_public[X25519_BYTES], b_public[X25519_BYTES], public_again[X25519_BYTES];

    (void)state;
    assert_int_equal(x25519_generate(&a, a_public, &seeded.rng), ERR_NONE);
    assert_int_equal(x25519_generate(&b, b_public, &seeded.rng), ERR_NONE);
    assert_memory_not_equal(a_public, b_public, sizeof a_public);
    assert_int_equal(x25519_derive(&a_shared, &a, a_public, b_public), ERR_NONE);
    assert_int_equal(x25519_derive(&b_shared, &b, b_public, a_public), ERR_NONE);
    assert_memory_equal(a_shared.bytes, b_shared.bytes, sizeof a_shared.bytes);
    assert_int_equal(x25519_generate(&a_again, public_again, &again.rng), ERR_NONE);
    assert_memory_equal(a_public, public_again, sizeof a_public);
}

/* Points of low order: 0, 1, the two of order 8, p - 1, and those that are the same modulo p. */
static void a_secret_of_zeros_is_refused(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct seeded seeded = seeded_with(2);
    struct secret32 key, shared;
    uint8_t own[X25519_BYTES], peer[X25519_BYTES];

    (void)state;
    assert_int_equal(x25519_generate(&key, own, &seeded.rng), ERR_NONE);
    for (size_t i = 0; i < N_ITEMS(points); i++) {
        hex_bytes(peer, sizeof peer, points[i]);
        assert_int_equal(x25519_derive(&shared, &key, own, peer), ERR_BAD);
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
        cmocka_unit_test(deriving_gives_the_vectors),
        cmocka_unit_test(a_public_key_is_that_of_the_base_point),
        cmocka_unit_test(two_ends_share_a_secret_that_follows_from_the_seed),
        cmocka_unit_test(a_secret_of_zeros_is_refused),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
