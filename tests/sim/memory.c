/*
 * What the linker puts in place of malloc and of the sealing calls (see CMakeLists.txt): allocations of the code under
 * test can fail and are counted, and each key and nonce that seals is remembered.
 */
#include "world.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t n);
void __real_free(void *memory);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t n);
void __wrap_free(void *memory);
enum err __real_aead_key_init(struct aead_key *key, enum aead aead, enum aead_use use,
                              const uint8_t *bytes);
enum err __real_aead_key_replace(struct aead_key *key, const uint8_t *bytes);
enum err __real_aead_seal(struct aead_key *key, uint64_t counter, struct piece ad,
                          const struct piece *pieces, size_t n_pieces, uint8_t *out);
enum err __wrap_aead_key_init(struct aead_key *key, enum aead aead, enum aead_use use,
                              const uint8_t *bytes);
enum err __wrap_aead_key_replace(struct aead_key *key, const uint8_t *bytes);
enum err __wrap_aead_seal(struct aead_key *key, uint64_t counter, struct piece ad,
                          const struct piece *pieces, size_t n_pieces, uint8_t *out);

static struct world *at_work;
static size_t held_bytes, n_blocks;
static unsigned fail_one_of, n_until_fail;

/* ---- allocations ---- */

void *sim_alloc(size_t n)
{
    void *memory = __real_calloc(1, n);
    if (memory == NULL)
        abort();
    return memory;
}

void sim_free(void *memory)
{
    __real_free(memory);
}

static bool fails(void)
{
    if (n_until_fail > 0 && --n_until_fail == 0)
        return true;
    return at_work != NULL && fail_one_of > 0 &&
           rng_below(&at_work->memory_dice.rng, fail_one_of) == 0;
}

static void *count(void *memory)
{
    if (memory != NULL) {
        held_bytes += malloc_usable_size(memory);
        n_blocks++;
    }
    return memory;
}

static void uncount(void *memory)
{
    if (memory != NULL) {
        held_bytes -= malloc_usable_size(memory);
        n_blocks--;
    }
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *memory, size_t n)
{
    if (fails())
        return NULL;
    size_t before = memory == NULL ? 0 : malloc_usable_size(memory);
    void *moved = __real_realloc(memory, n);
    if (moved == NULL)
        return NULL;
    held_bytes = held_bytes - before + malloc_usable_size(moved);
    n_blocks += memory == NULL;
    return moved;
}

void __wrap_free(void *memory)
{
    uncount(memory);
    __real_free(memory);
}

size_t memory_held(void)
{
    return held_bytes;
}

void memory_fail_one_of(unsigned n)
{
    fail_one_of = n;
}

unsigned memory_fail_nth(unsigned n)
{
    unsigned n_left = n_until_fail;
    n_until_fail = n;
    return n_left;
}

/* ---- keys and nonces ---- */

/* Names of keys by what they own, and what was sealed under each: a set of hashes. */
#define MAX_KEYS 32768
static struct {
    const void *owned;
    uint64_t name;
} keys[MAX_KEYS];
static uint64_t *seals;
static size_t n_seals, seals_cap;

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 29;
}

static const void *owned_by(const struct aead_key *key)
{
    return key->small != NULL ? key->small : key->context;
}

static void name_key(const struct aead_key *key, const uint8_t *bytes, size_t n)
{
    size_t i = (uintptr_t)owned_by(key) / 64 % MAX_KEYS;

    for (size_t tried = 0; tried < MAX_KEYS; tried++, i = (i + 1) % MAX_KEYS)
        if (keys[i].owned == owned_by(key) || keys[i].owned == NULL) {
            keys[i].owned = owned_by(key);
            keys[i].name = mix(UINT64_C(0xcbf29ce484222325), bytes, n);
            return;
        }
    world_fail(at_work, "more keys than the simulator can name");
}

static uint64_t name_of(const struct aead_key *key)
{
    size_t i = (uintptr_t)owned_by(key) / 64 % MAX_KEYS;

    for (size_t tried = 0; tried < MAX_KEYS; tried++, i = (i + 1) % MAX_KEYS)
        if (keys[i].owned == owned_by(key))
            return keys[i].name;
    return 0;
}

static bool insert(uint64_t hash)
{
    size_t i = (size_t)hash & (seals_cap - 1);

    for (; seals[i] != 0; i = (i + 1) & (seals_cap - 1))
        if (seals[i] == hash)
            return false;
    seals[i] = hash;
    n_seals++;
    return true;
}

static void grow(void)
{
    uint64_t *old = seals;
    size_t old_cap = seals_cap;

    seals_cap *= 2;
    seals = sim_alloc(seals_cap * sizeof *seals);
    n_seals = 0;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i] != 0)
            (void)insert(old[i]);
    sim_free(old);
}

/* What makes a key's name: so many of its bytes tell it from any other. */
enum { NAME_BYTES = 16 };

enum err __wrap_aead_key_init(struct aead_key *key, enum aead aead, enum aead_use use,
                              const uint8_t *bytes)
{
    enum err err = __real_aead_key_init(key, aead, use, bytes);
    if (err == ERR_NONE && use == AEAD_SEAL && at_work != NULL)
        name_key(key, bytes, NAME_BYTES);
    return err;
}

enum err __wrap_aead_key_replace(struct aead_key *key, const uint8_t *bytes)
{
    enum err err = __real_aead_key_replace(key, bytes);
    if (err == ERR_NONE && at_work != NULL && name_of(key) != 0)
        name_key(key, bytes, NAME_BYTES);
    return err;
}

enum err __wrap_aead_seal(struct aead_key *key, uint64_t counter, struct piece ad,
                          const struct piece *pieces, size_t n_pieces, uint8_t *out)
{
    if (at_work != NULL) {
        uint64_t name = name_of(key);
        if (!insert(mix(name, &counter, sizeof counter) | 1))
            world_fail(at_work, "a key and a nonce were used twice");
        if (n_seals * 2 > seals_cap)
            grow();
    }
    return __real_aead_seal(key, counter, ad, pieces, n_pieces, out);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- a world's beginning and end ---- */

void memory_begin(struct world *world)
{
    at_work = world;
    fail_one_of = 0;
    held_bytes = n_blocks = 0;
    memset(keys, 0, sizeof keys);
    seals_cap = 4096;
    n_seals = 0;
    seals = sim_alloc(seals_cap * sizeof *seals);
}

void memory_end(void)
{
    if (n_blocks > 0)
        world_fail(at_work, "%zu blocks of %zu bytes were not freed", n_blocks, held_bytes);
    sim_free(seals);
    seals = NULL;
    at_work = NULL;
}
