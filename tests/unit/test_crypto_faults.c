/*
 * Each allocation of crypto/ and link/, and of libcrypto under them, fails in its turn: what was asked for fails with an error, and nothing
 * leaks. libcrypto allocates by functions that it may be given, so that its allocations are counted with ours. Its loading is left out:
 * OpenSSL 3.0 crashes if memory runs out while it initialises itself, which a program does once, when it starts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>
#include <cmocka.h>

#include "allocator.h"
#include "crypto/aead.h"
#include "crypto/chacha20.h"
#include "crypto/hash.h"
#include "crypto/libcrypto.h"
#include "crypto/sign.h"
#include "crypto/x25519.h"
#include "handshakes.h"
#include "link/record.h"

/* OpenSSL 3.0 itself leaks when memory runs out while it reads and writes keys. */
static bool leaks_itself;

static void *library_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void *library_realloc(void *memory, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(memory, n);
}

static void library_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* Runs `attempt` with the nth allocation failing. Returns whether it came so far. */
static bool fail_one(enum err (*attempt)(void *arg), void *arg, uint64_t n, enum err *err)
{
    allocator_fail(n);
    *err = attempt(arg);
    bool has_failed = n_allocations >= n;
    allocator_fail(0);
    return has_failed;
}

/* With the first allocation failing, then the second, until it needs no more (reading a key takes thousands: of those some). Each twice: what the library keeps for good, as it does its
 * lists of errors, it keeps the first time. */
static void each_allocation_fails(enum err (*attempt)(void *arg), void *arg)
{
    uint64_t n = 1, n_failures = 0;
    enum err err;
    assert_int_equal(attempt(arg), ERR_NONE);
    for (; fail_one(attempt, arg, n, &err); n += 1 + n / 64) {
        int64_t before = n_blocks;
        fail_one(attempt, arg, n, &err);
        if (n_blocks > before && !leaks_itself)
            fail_msg("allocation %d failed, and %d blocks are left", (int)n,
                     (int)(n_blocks - before));
        /* libcrypto gets over some, such as those of its lists of errors. */
        assert_true(err == ERR_NONE || err == ERR_MEMORY || err == ERR_BAD || err == ERR_AUTH);
        n_failures += err != ERR_NONE;
    }
    assert_int_equal(err, ERR_NONE);
    assert_true(n_failures > 0);
}

static enum err make_aead_key(void *arg)
{
    static const uint8_t bytes[AEAD_MAX_KEY_BYTES];
    struct aead_key key;
    enum err err = aead_key_init(&key, *(enum aead *)arg, AEAD_SEAL, bytes);
    if (err == ERR_NONE)
        aead_key_deinit(&key);
    return err;
}

static void making_keys_of_ciphers(void **state)
{
    (void)state;
    for (enum aead aead = 0; aead < N_AEADS; aead++)
        each_allocation_fails(make_aead_key, &aead);
}

static void sealing_opening_and_replacing_keys_allocates_nothing(void **state)
{
    (void)state;
    for (enum aead aead = 0; aead < N_AEADS; aead++) {
        uint8_t bytes[AEAD_MAX_KEY_BYTES] = {1}, text[100 + AEAD_TAG_BYTES] = {2};
        struct aead_key sealing, opening;
        const struct piece piece = {text, 100}, none = {0};
        assert_int_equal(aead_key_init(&sealing, aead, AEAD_SEAL, bytes), ERR_NONE);
        assert_int_equal(aead_key_init(&opening, aead, AEAD_OPEN, bytes), ERR_NONE);
        allocator_fail(1);
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(aead_seal(&sealing, i, none, &piece, 1, text), ERR_NONE);
            assert_int_equal(aead_open(&opening, i, none, text, sizeof text), ERR_NONE);
            bytes[0]++;
            assert_int_equal(aead_key_replace(&sealing, bytes), ERR_NONE);
            assert_int_equal(aead_key_replace(&opening, bytes), ERR_NONE);
        }
        assert_int_equal(aead_open(&opening, 9, none, text, sizeof text), ERR_AUTH);
        assert_int_equal(n_allocations, 0);
        allocator_fail(0);
        aead_key_deinit(&sealing);
        aead_key_deinit(&opening);
    }
}

static void hashing_allocates_nothing(void **state)
{
    uint8_t out[100];
    const struct piece piece = {"key", 3};

    (void)state;
    allocator_fail(1);
    hkdf_extract(out, piece, piece);
    hkdf_expand(out, sizeof out, out, &piece, 1);
    assert_int_equal(n_allocations, 0);
    allocator_fail(0);
}

static enum err mask(void *arg)
{
    static const uint8_t key[CHACHA20_KEY_BYTES], nonce[CHACHA20_NONCE_BYTES];
    uint8_t bytes[100] = {0};
    (void)arg;
    return chacha20_xor(bytes, sizeof bytes, key, nonce);
}

static void masking(void **state)
{
    (void)state;
    each_allocation_fails(mask, NULL);
}

static enum err agree(void *arg)
{
    struct seeded seeded = seeded_with(1);
    struct secret32 key, shared;
    uint8_t public_key[X25519_BYTES];
    (void)arg;
    enum err err = x25519_generate(&key, public_key, &seeded.rng);
    return err == ERR_NONE ? x25519_derive(&shared, &key, public_key, public_key) : err;
}

static void agreeing_on_a_key(void **state)
{
    (void)state;
    each_allocation_fails(agree, NULL);
}

/* A key is made, written, read, signs and verifies. */
static enum err use_identity(void *arg)
{
    static char text[SIGN_PEM_MAX_BYTES];
    static uint8_t signature[SIGN_MAX_BYTES];
    struct seeded seeded = seeded_with(2);
    struct sign_key *key = NULL, *again = NULL;
    struct verify_key *public_key = NULL;
    size_t n, n_signature;
    const char *why;
    (void)arg;
    enum err err = sign_key_generate(&key, SIGN_ED25519, 0, &seeded.rng);
    if (err == ERR_NONE)
        err = sign_key_write(key, text, &n);
    if (err == ERR_NONE)
        err = sign_key_read(&again, text, n, &why);
    if (err == ERR_NONE)
        err = verify_key_write(sign_key_public(again), text, &n);
    if (err == ERR_NONE)
        err = verify_key_read(&public_key, text, n, &why);
    if (err == ERR_NONE)
        err = sign(again, "text", 4, signature, &n_signature);
    if (err == ERR_NONE)
        err = verify(public_key, "text", 4, signature, n_signature);
    sign_key_free(key);
    sign_key_free(again);
    verify_key_free(public_key);
    return err;
}

static void identities(void **state)
{
    (void)state;
    leaks_itself = true;
    each_allocation_fails(use_identity, NULL);
    leaks_itself = false;
}

static enum err shake_hands(void *arg)
{
    struct ends *ends = arg;
    enum err err = ends_play(ends);
    ends_end(ends);
    /* Each attempt draws another salt, so the replay set must have room: it is emptied by its time. */
    memset(ends->memory, 0, replay_set_bytes(64));
    static const uint8_t binding[REPLAY_BINDING_BYTES];
    bool is_taken_up;
    replay_set_open(ends->memory, replay_set_bytes(64), binding, 0, &is_taken_up);
    return err;
}

static void handshakes(void **state)
{
    struct ends ends;
    (void)state;
    ends_init(&ends, 32, 0);
    each_allocation_fails(shake_hands, &ends);
    ends_deinit(&ends);
}

static enum err make_records(void *arg)
{
    static const uint8_t secret[32];
    static const struct record_limits two = {2, UINT64_MAX};
    uint8_t wire[64], *payload;
    size_t n, n_payload, used;
    const struct piece piece = {"text", 4};
    (void)arg;
    struct record_sealer *sealer = record_sealer_new(RECORD_AES_256_GCM, secret, &two);
    struct record_opener *opener = record_opener_new(RECORD_AES_256_GCM, secret, NULL);
    enum err err = sealer != NULL && opener != NULL ? ERR_NONE : ERR_MEMORY;
    for (unsigned i = 0; i < 5 && err == ERR_NONE; i++) {
        err = record_seal(sealer, &piece, 1, wire, &n);
        if (err == ERR_NONE)
            err = record_open(opener, wire, n, &payload, &n_payload, &used);
    }
    record_sealer_free(sealer);
    record_opener_free(opener);
    return err;
}

static void records(void **state)
{
    (void)state;
    each_allocation_fails(make_records, NULL);
}

static int load(void **state)
{
    (void)state;
    return crypto_load() == ERR_NONE ? 0 : -1;
}

static int give_functions(void)
{
    void *library = dlopen("libcrypto.so." OPENSSL_MSTR(OPENSSL_SHLIB_VERSION), RTLD_NOW);
    __typeof__(CRYPTO_set_mem_functions) *set_functions;
    void *function = library != NULL ? dlsym(library, "CRYPTO_set_mem_functions") : NULL;
    if (function == NULL)
        return -1;
    memcpy(&set_functions, &function, sizeof function);
    return set_functions(library_malloc, library_realloc, library_free) == 1 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making_keys_of_ciphers),
        cmocka_unit_test(sealing_opening_and_replacing_keys_allocates_nothing),
        cmocka_unit_test(hashing_allocates_nothing),
        cmocka_unit_test(masking),
        cmocka_unit_test(agreeing_on_a_key),
        cmocka_unit_test(identities),
        cmocka_unit_test(handshakes),
        cmocka_unit_test(records),
    };
    if (give_functions() != 0)
        return 1;
    return cmocka_run_group_tests(tests, load, NULL);
}
