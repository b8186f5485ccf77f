/*
 * AES-GCM by the test cases of its authors (McGrew and Viega, "The Galois/Counter Mode of
 * Operation", those with an IV of zeros) and by what PyCryptodome makes, whose GCM is not OpenSSL's;
 * ChaCha20-Poly1305 by RFC 8439 appendix A.5. A counter says each nonce, so vectors with others
 * have no place here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/crypto.h"
#include "hex.h"
#include "random.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define MAX_BYTES 512

static const struct vector {
    enum aead aead;
    const char *key;
    uint64_t counter;
    const char *ad, *plain, *sealed;
} vectors[] = {
    {AEAD_AES_128_GCM, "00000000000000000000000000000000", 0, "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {AEAD_AES_128_GCM, "00000000000000000000000000000000", 0, "",
     "00000000000000000000000000000000",
     "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
    {AEAD_AES_192_GCM, "000000000000000000000000000000000000000000000000", 0, "", "",
     "cd33b28ac773f74ba00ed1f312572435"},
    {AEAD_AES_192_GCM, "000000000000000000000000000000000000000000000000", 0, "",
     "00000000000000000000000000000000",
     "98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb"},
    {AEAD_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000", 0, "",
     "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {AEAD_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000", 0, "",
     "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {AEAD_AES_128_GCM, "000102030405060708090a0b0c0d0e0f", 0x0102030405060708,
     "6465666768696a6b6c6d6e6f7071727374757677",
     "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3"
     "f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c",
     "647d8806c47b63dd7da585b20b7ccb4da7c4d04ff582ae3d69b6eb584256463cde4fa834e095d689f3cd4e30"
     "0669d2e8a5a7030b2f39aa7f77c764653b2dab215d24b627569b588b281535b682377c59684320fa8ef3b952"
     "f7ab3c702d1e86bcd8449314d0f3805912def3ba7b6866ceb7cd46d08c"},
    {AEAD_AES_192_GCM, "000102030405060708090a0b0c0d0e0f1011121314151617", 0x0102030405060708,
     "6465666768696a6b6c6d6e6f7071727374757677",
     "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3"
     "f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c",
     "36890d9a2e351bc5dfe1a5510243fa8609bbd78d27cf46600c942debf1b26d74b26e9002839f9ba04c016ef4"
     "d7a32c9ca39f77c7de0d9147d63a450f7fda84dd712a6a3084b37c00099f72a299cf3faebe60164e9884f743"
     "af4e58ecb90207c0d8dbf718d533d07cf22dcf4d7dbfd66aba07cd8e95"},
    {AEAD_AES_256_GCM, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     0x0102030405060708, "6465666768696a6b6c6d6e6f7071727374757677",
     "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3"
     "f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c",
     "cc98afc5112cc751d34e2f3ccab2ef27a22086190b0896b3091ab6b38fd2392ac7c1f273765723c910f69068"
     "9edca651c202235ad9fd45594b1bbbe077aa14e89bd0a6a67b370fcfc7fcf1dd4aec3010c23d24c5a1784ff4"
     "eeb6e588d04b5880a05c69c1b0958991636469bb4cceb0778782be7d4b"},
    {
        AEAD_CHACHA20_POLY1305,
        "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
        0x0102030405060708,
        "f33388860000000000004e91",
        "496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f"
        "722061206d6178696d756d206f6620736978206d6f6e74687320616e64206d61792062652075706461746564"
        "2c207265706c616365642c206f72206f62736f6c65746564206279206f7468657220646f63756d656e747320"
        "617420616e792074696d652e20497420697320696e617070726f70726961746520746f2075736520496e7465"
        "726e65742d447261667473206173207265666572656e6365206d6174657269616c206f7220746f2063697465"
        "207468656d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67726573732e2fe280"
        "9d",
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e"
        "382d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd"
        "60f982b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c76"
        "7b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a"
        "0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a67276"
        "27097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b0270"
        "9beead9d67890cbb22392336fea1851f38",
    },
};

/* One vector in bytes. */
struct sample {
    uint8_t key[AEAD_MAX_KEY_BYTES], ad[MAX_BYTES], plain[MAX_BYTES], sealed[MAX_BYTES];
    size_t n_ad, n_plain, n_sealed;
};

static void read_sample(struct sample *sample, const struct vector *vector)
{
    size_t n_key = hex_bytes(sample->key, sizeof sample->key, vector->key);
    assert_int_equal(n_key, aead_key_bytes(vector->aead));
    sample->n_ad = hex_bytes(sample->ad, MAX_BYTES, vector->ad);
    sample->n_plain = hex_bytes(sample->plain, MAX_BYTES, vector->plain);
    sample->n_sealed = hex_bytes(sample->sealed, MAX_BYTES, vector->sealed);
    assert_int_equal(sample->n_sealed, sample->n_plain + AEAD_TAG_BYTES);
}

static struct aead_key key_of(enum aead aead, enum aead_use use, const uint8_t *bytes)
{
    struct aead_key key;
    assert_int_equal(aead_key_init(&key, aead, use, bytes), ERR_NONE);
    return key;
}

static void sealing_gives_the_vectors_in_whatever_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        struct sample s;
        read_sample(&s, &vectors[i]);
        struct aead_key key = key_of(vectors[i].aead, AEAD_SEAL, s.key);
        for (size_t first = 0; first <= s.n_plain; first++) {
            size_t second = (s.n_plain - first) / 3;
            struct piece pieces[] = {{s.plain, first},
                                     {NULL, 0},
                                     {s.plain + first, second},
                                     {s.plain + first + second, s.n_plain - first - second}};
            uint8_t out[MAX_BYTES + 1];
            out[s.n_sealed] = 0x5a;
            assert_int_equal(aead_seal(&key, vectors[i].counter, (struct piece){s.ad, s.n_ad},
                                       pieces, N_ITEMS(pieces), out),
                             ERR_NONE);
            assert_memory_equal(out, s.sealed, s.n_sealed);
            assert_int_equal(out[s.n_sealed], 0x5a);
        }
        aead_key_deinit(&key);
    }
}

static void opening_gives_the_vectors_in_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        struct sample s;
        read_sample(&s, &vectors[i]);
        struct aead_key key = key_of(vectors[i].aead, AEAD_OPEN, s.key);
        for (unsigned times = 0; times < 2; times++) {
            uint8_t bytes[MAX_BYTES];
            memcpy(bytes, s.sealed, s.n_sealed);
            assert_int_equal(aead_open(&key, vectors[i].counter, (struct piece){s.ad, s.n_ad},
                                       bytes, s.n_sealed),
                             ERR_NONE);
            assert_memory_equal(bytes, s.plain, s.n_plain);
        }
        aead_key_deinit(&key);
    }
}

/* Whether the sample opens; what did not must not be there in plain. */
static bool opens(struct aead_key *key, uint64_t counter, const struct sample *s, const uint8_t *ad,
                  const uint8_t *sealed, size_t n_sealed)
{
    uint8_t bytes[MAX_BYTES];
    memcpy(bytes, sealed, n_sealed);
    if (aead_open(key, counter, (struct piece){ad, s->n_ad}, bytes, n_sealed) == ERR_NONE)
        return true;
    for (size_t i = 0; i + AEAD_TAG_BYTES < n_sealed; i++)
        assert_int_equal(bytes[i], 0);
    return false;
}

static void whatever_was_changed_does_not_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        struct sample s;
        read_sample(&s, &vectors[i]);
        uint64_t counter = vectors[i].counter;
        struct aead_key key = key_of(vectors[i].aead, AEAD_OPEN, s.key);
        for (size_t bit = 0; bit < 8 * s.n_sealed; bit++) {
            s.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(opens(&key, counter, &s, s.ad, s.sealed, s.n_sealed));
            s.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t bit = 0; bit < 8 * s.n_ad; bit++) {
            s.ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(opens(&key, counter, &s, s.ad, s.sealed, s.n_sealed));
            s.ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t n = 0; n < s.n_sealed; n++)
            assert_false(opens(&key, counter, &s, s.ad, s.sealed, n));
        for (unsigned bit = 0; bit < 64; bit++)
            assert_false(opens(&key, counter ^ UINT64_C(1) << bit, &s, s.ad, s.sealed, s.n_sealed));
        /* All these failures have not spoilt the key. */
        assert_true(opens(&key, counter, &s, s.ad, s.sealed, s.n_sealed));
        aead_key_deinit(&key);
    }
}

static void another_key_does_not_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        struct sample s;
        read_sample(&s, &vectors[i]);
        for (size_t bit = 0; bit < 8 * aead_key_bytes(vectors[i].aead); bit++) {
            s.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
            struct aead_key key = key_of(vectors[i].aead, AEAD_OPEN, s.key);
            assert_false(opens(&key, vectors[i].counter, &s, s.ad, s.sealed, s.n_sealed));
            aead_key_deinit(&key);
            s.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void a_key_may_be_replaced(void **state)
{
    (void)state;
    static const uint8_t zeros[AEAD_MAX_KEY_BYTES];
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        struct sample s;
        read_sample(&s, &vectors[i]);
        uint8_t out[MAX_BYTES], other[AEAD_MAX_KEY_BYTES];
        memset(other, 0x77, sizeof other);
        struct piece plain = {s.plain, s.n_plain}, ad = {s.ad, s.n_ad};
        struct aead_key sealing = key_of(vectors[i].aead, AEAD_SEAL, other);
        struct aead_key opening = key_of(vectors[i].aead, AEAD_OPEN, other);
        assert_false(opens(&opening, vectors[i].counter, &s, s.ad, s.sealed, s.n_sealed));
        assert_int_equal(aead_seal(&sealing, 1, ad, &plain, 1, out), ERR_NONE);
        assert_int_equal(aead_key_replace(&sealing, s.key), ERR_NONE);
        assert_int_equal(aead_key_replace(&opening, s.key), ERR_NONE);
        assert_true(opens(&opening, vectors[i].counter, &s, s.ad, s.sealed, s.n_sealed));
        assert_int_equal(aead_seal(&sealing, vectors[i].counter, ad, &plain, 1, out), ERR_NONE);
        assert_memory_equal(out, s.sealed, s.n_sealed);
        assert_int_equal(aead_key_replace(&sealing, zeros), ERR_NONE);
        aead_key_deinit(&sealing);
        aead_key_deinit(&opening);
    }
}

static void large_records_come_back_whatever_their_pieces(void **state)
{
    enum { CAP = 70000 };
    uint64_t seed = 42;
    uint8_t *plain = malloc(CAP), *sealed = malloc(CAP + AEAD_TAG_BYTES);

    (void)state;
    for (size_t i = 0; i < CAP; i++)
        plain[i] = (uint8_t)random_u64(&seed);
    for (unsigned aead = 0; aead < N_AEADS; aead++) {
        struct aead_key sealing = key_of(aead, AEAD_SEAL, plain);
        struct aead_key opening = key_of(aead, AEAD_OPEN, plain);
        for (unsigned round = 0; round < 50; round++) {
            size_t n = random_below(&seed, CAP), n_pieces = 0;
            struct piece pieces[200];
            for (size_t at = 0, size; at < n; at += size, n_pieces++) {
                size = n_pieces + 1 == N_ITEMS(pieces) ? n - at : 1 + random_below(&seed, 999);
                size = size < n - at ? size : n - at;
                pieces[n_pieces] = (struct piece){plain + at, size};
            }
            assert_int_equal(
                aead_seal(&sealing, round, (struct piece){0}, pieces, n_pieces, sealed), ERR_NONE);
            assert_int_equal(
                aead_open(&opening, round, (struct piece){0}, sealed, n + AEAD_TAG_BYTES),
                ERR_NONE);
            assert_memory_equal(sealed, plain, n);
        }
        aead_key_deinit(&sealing);
        aead_key_deinit(&opening);
    }
    free(sealed);
    free(plain);
}

/* Of two keys that are one: OpenSSL's alone and whatever goes through libsodium. */
static void either_library_opens_what_the_other_has_sealed(void **state)
{
    static const struct piece ad = {"not sealed", 10};
    uint8_t plain[MAX_BYTES - AEAD_TAG_BYTES], sealed[2][MAX_BYTES];
    uint64_t seed = 43;

    (void)state;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)random_u64(&seed);
    for (unsigned aead = 0; aead < N_AEADS; aead++) {
        struct aead_key sealing = key_of(aead, AEAD_SEAL, plain);
        struct aead_key opening = key_of(aead, AEAD_OPEN, plain);
        struct aead_key plainly_sealing = sealing, plainly_opening = opening;
        plainly_sealing.small = plainly_opening.small = NULL;
        if (aead == AEAD_CHACHA20_POLY1305) /* whatever the processor */
            assert_non_null(sealing.small);
        for (size_t n = 0; n <= sizeof plain; n++) {
            const struct piece pieces[] = {{plain, n / 3}, {plain + n / 3, n - n / 3}};
            assert_int_equal(aead_seal(&sealing, n, ad, pieces, 2, sealed[0]), ERR_NONE);
            assert_int_equal(aead_seal(&plainly_sealing, n, ad, pieces, 2, sealed[1]), ERR_NONE);
            assert_memory_equal(sealed[0], sealed[1], n + AEAD_TAG_BYTES);
            assert_int_equal(aead_open(&opening, n, ad, sealed[0], n + AEAD_TAG_BYTES), ERR_NONE);
            assert_int_equal(aead_open(&plainly_opening, n, ad, sealed[1], n + AEAD_TAG_BYTES),
                             ERR_NONE);
            assert_memory_equal(sealed[0], plain, n);
            assert_memory_equal(sealed[1], plain, n);
        }
        aead_key_deinit(&sealing);
        aead_key_deinit(&opening);
    }
}

static void a_key_that_is_kept_short_seals_opens_and_may_be_replaced(void **state)
{
    static const struct piece plain = {"1234", 4};
    uint8_t bytes[AEAD_MAX_KEY_BYTES] = {1}, sealed[2][4 + AEAD_TAG_BYTES];

    (void)state;
    for (unsigned aead = 0; aead < N_AEADS; aead++) {
        struct aead_key sealing = key_of(aead, AEAD_SEAL, bytes);
        struct aead_key opening = key_of(aead, AEAD_OPEN, bytes);
        struct aead_key other = key_of(aead, AEAD_SEAL, bytes);
        aead_key_keep_short(&sealing);
        aead_key_keep_short(&opening);
        for (unsigned i = 0; i < 3; i++) {
            struct piece none = {0};
            assert_int_equal(aead_seal(&sealing, i, none, &plain, 1, sealed[0]), ERR_NONE);
            assert_int_equal(aead_seal(&other, i, none, &plain, 1, sealed[1]), ERR_NONE);
            assert_memory_equal(sealed[0], sealed[1], sizeof sealed[0]);
            assert_int_equal(aead_open(&opening, i, none, sealed[0], sizeof sealed[0]), ERR_NONE);
            assert_memory_equal(sealed[0], plain.bytes, plain.n);
            sealed[1][i] ^= 1;
            assert_int_equal(aead_open(&opening, i, none, sealed[1], sizeof sealed[1]), ERR_AUTH);
            bytes[i]++;
            assert_int_equal(aead_key_replace(&sealing, bytes), ERR_NONE);
            assert_int_equal(aead_key_replace(&opening, bytes), ERR_NONE);
            assert_int_equal(aead_key_replace(&other, bytes), ERR_NONE);
        }
        aead_key_deinit(&sealing);
        aead_key_deinit(&opening);
        aead_key_deinit(&other);
    }
}

static void a_key_that_is_none_may_be_deinited(void **state)
{
    (void)state;
    struct aead_key key = {0};
    aead_key_deinit(&key);
    aead_key_deinit(&key);
}

static int load(void **state)
{
    (void)state;
    return crypto_load() == ERR_NONE && crypto_load() == ERR_NONE ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_gives_the_vectors_in_whatever_pieces),
        cmocka_unit_test(opening_gives_the_vectors_in_place),
        cmocka_unit_test(whatever_was_changed_does_not_open),
        cmocka_unit_test(another_key_does_not_open),
        cmocka_unit_test(a_key_may_be_replaced),
        cmocka_unit_test(large_records_come_back_whatever_their_pieces),
        cmocka_unit_test(either_library_opens_what_the_other_has_sealed),
        cmocka_unit_test(a_key_that_is_kept_short_seals_opens_and_may_be_replaced),
        cmocka_unit_test(a_key_that_is_none_may_be_deinited),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
