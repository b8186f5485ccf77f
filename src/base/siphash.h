/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a hash under a key, so that whoever does not know the
 * key can neither make names that collide nor tell what was hashed. With 64 and with 128 bits, which
 * are two different functions.
 */
#ifndef SOCKEYE_BASE_SIPHASH_H
#define SOCKEYE_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_BYTES 16
#define SIPHASH128_BYTES 16

uint64_t siphash64(const uint8_t key[static SIPHASH_KEY_BYTES], const void *bytes, size_t n);

/* What is hashed comes in pieces, whose borders make no difference. */
struct siphash128 {
    uint64_t v[4];
    uint64_t n_bytes;
    uint8_t pending[8]; /* n_bytes % 8 of them */
};

void siphash128_begin(struct siphash128 *state, const uint8_t key[static SIPHASH_KEY_BYTES]);
void siphash128_add(struct siphash128 *state, const void *bytes, size_t n);
/* Wipes the state. */
void siphash128_end(struct siphash128 *state, uint8_t hash[static SIPHASH128_BYTES]);

#endif
