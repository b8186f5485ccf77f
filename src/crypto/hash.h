/* SHA-256 (FIPS 180-4), HMAC with it (RFC 2104) and HKDF with that (RFC 5869). None of them can fail,
 * and none allocates. What was secret is wiped behind each. */
#ifndef SOCKEYE_CRYPTO_HASH_H
#define SOCKEYE_CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/piece.h"
#include "base/secret.h"

#define SHA256_BYTES 32
/* HMAC cut to its first half, as RFC 2104 section 5 allows. */
#define HMAC16_BYTES 16

/* Of the pieces, one behind the other. */
void sha256(uint8_t digest[static SHA256_BYTES], const struct piece *pieces, size_t n_pieces);

void hmac_sha256(uint8_t mac[static SHA256_BYTES], struct piece key, const struct piece *pieces,
                 size_t n_pieces);

void hmac16(uint8_t mac[static HMAC16_BYTES], struct piece key, const struct piece *pieces,
            size_t n_pieces);

/* Whether `mac` is that of the pieces, in time that does not depend on where it is wrong. */
bool hmac16_is_good(const uint8_t mac[static HMAC16_BYTES], struct piece key,
                    const struct piece *pieces, size_t n_pieces);

void hkdf_extract(uint8_t prk[static SHA256_BYTES], struct piece salt, struct piece secret);

/* Fills out with n bytes, at most HKDF_MAX_BYTES; the info is that of the pieces, one behind the
 * other, of which there are at most HKDF_MAX_PIECES. */
void hkdf_expand(uint8_t *out, size_t n, const uint8_t prk[static SHA256_BYTES],
                 const struct piece *info, size_t n_info);

#define HKDF_MAX_BYTES (255 * SHA256_BYTES)
#define HKDF_MAX_PIECES 6

#endif
