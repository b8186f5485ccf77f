#include "base/siphash.h"

#include <string.h>

#include "base/secret.h"

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static uint64_t load_word(const uint8_t bytes[static 8])
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (uint64_t)bytes[i] << 8 * i;
    return word;
}

static void store_word(uint8_t bytes[static 8], uint64_t word)
{
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(word >> 8 * i);
}

static void mix(uint64_t v[static 4], unsigned rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static void take_word(uint64_t v[static 4], uint64_t word)
{
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

static void begin(uint64_t v[static 4], const uint8_t key[static SIPHASH_KEY_BYTES])
{
    uint64_t k0 = load_word(key), k1 = load_word(key + 8);
    v[0] = k0 ^ 0x736f6d6570736575;
    v[1] = k1 ^ 0x646f72616e646f6d;
    v[2] = k0 ^ 0x6c7967656e657261;
    v[3] = k1 ^ 0x7465646279746573;
}

/* What is left after the whole words, and the length. */
static void take_last(uint64_t v[static 4], const uint8_t *rest, uint64_t n_bytes)
{
    uint8_t last[8] = {0};
    memcpy(last, rest, n_bytes % 8);
    last[7] = (uint8_t)n_bytes;
    take_word(v, load_word(last));
}

static uint64_t sum(const uint64_t v[static 4])
{
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash64(const uint8_t key[static SIPHASH_KEY_BYTES], const void *bytes, size_t n)
{
    static const uint8_t nothing[1];
    const uint8_t *at = n > 0 ? bytes : nothing;
    uint64_t v[4];
    begin(v, key);
    for (size_t left = n; left >= 8; left -= 8, at += 8)
        take_word(v, load_word(at));
    take_last(v, at, n);
    v[2] ^= 0xff;
    mix(v, 4);
    return sum(v);
}

void siphash128_begin(struct siphash128 *state, const uint8_t key[static SIPHASH_KEY_BYTES])
{
    begin(state->v, key);
    state->v[1] ^= 0xee;
    state->n_bytes = 0;
}

void siphash128_add(struct siphash128 *state, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) {
        state->pending[state->n_bytes++ % 8] = at[i];
        if (state->n_bytes % 8 == 0)
            take_word(state->v, load_word(state->pending));
    }
}

void siphash128_end(struct siphash128 *state, uint8_t hash[static SIPHASH128_BYTES])
{
    uint64_t *v = state->v;
    take_last(v, state->pending, state->n_bytes);
    v[2] ^= 0xee;
    mix(v, 4);
    store_word(hash, sum(v));
    v[1] ^= 0xdd;
    mix(v, 4);
    store_word(hash + 8, sum(v));
    secret_wipe(state, sizeof *state);
}
