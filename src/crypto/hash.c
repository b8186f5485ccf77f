#include "crypto/hash.h"

#include <assert.h>
#include <string.h>

#include "crypto/libcrypto.h"

#define BLOCK_BYTES 64

static_assert(SHA256_BYTES == SHA256_DIGEST_LENGTH && BLOCK_BYTES == SHA256_CBLOCK,
              "not the library's SHA-256");

static void begin(SHA256_CTX *state)
{
    libcrypto.SHA256_Init(state);
}

static void add(SHA256_CTX *state, const void *bytes, size_t n)
{
    libcrypto.SHA256_Update(state, bytes, n);
}

static void add_pieces(SHA256_CTX *state, const struct piece *pieces, size_t n_pieces)
{
    for (size_t i = 0; i < n_pieces; i++)
        add(state, pieces[i].bytes, pieces[i].n);
}

static void end(SHA256_CTX *state, uint8_t digest[static SHA256_BYTES])
{
    libcrypto.SHA256_Final(digest, state);
    secret_wipe(state, sizeof *state);
}

void sha256(uint8_t digest[static SHA256_BYTES], const struct piece *pieces, size_t n_pieces)
{
    SHA256_CTX state;
    begin(&state);
    add_pieces(&state, pieces, n_pieces);
    end(&state, digest);
}

/* The key as a block: padded with zeros, or hashed first where it is longer. */
static void make_block(uint8_t block[static BLOCK_BYTES], struct piece key)
{
    memset(block, 0, BLOCK_BYTES);
    if (key.n > BLOCK_BYTES)
        sha256(block, &key, 1);
    else if (key.n > 0)
        memcpy(block, key.bytes, key.n);
}

static void add_block(SHA256_CTX *state, uint8_t block[static BLOCK_BYTES], uint8_t pad)
{
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= pad;
    begin(state);
    add(state, block, BLOCK_BYTES);
}

void hmac_sha256(uint8_t mac[static SHA256_BYTES], struct piece key, const struct piece *pieces,
                 size_t n_pieces)
{
    enum { INNER = 0x36, OUTER = 0x5c };
    SHA256_CTX state;
    uint8_t block[BLOCK_BYTES], inner[SHA256_BYTES];
    make_block(block, key);
    add_block(&state, block, INNER);
    add_pieces(&state, pieces, n_pieces);
    end(&state, inner);
    add_block(&state, block, INNER ^ OUTER);
    add(&state, inner, sizeof inner);
    end(&state, mac);
    secret_wipe(block, sizeof block);
    secret_wipe(inner, sizeof inner);
}

void hmac16(uint8_t mac[static HMAC16_BYTES], struct piece key, const struct piece *pieces,
            size_t n_pieces)
{
    SECRET struct secret32 whole;
    hmac_sha256(whole.bytes, key, pieces, n_pieces);
    memcpy(mac, whole.bytes, HMAC16_BYTES);
}

bool hmac16_is_good(const uint8_t mac[static HMAC16_BYTES], struct piece key,
                    const struct piece *pieces, size_t n_pieces)
{
    SECRET struct secret32 whole;
    hmac_sha256(whole.bytes, key, pieces, n_pieces);
    return secret_same(mac, whole.bytes, HMAC16_BYTES);
}

void hkdf_extract(uint8_t prk[static SHA256_BYTES], struct piece salt, struct piece secret)
{
    /* No salt is one of zeros, which is what HMAC makes of an empty key. */
    hmac_sha256(prk, salt, &secret, 1);
}

void hkdf_expand(uint8_t *out, size_t n, const uint8_t prk[static SHA256_BYTES],
                 const struct piece *info, size_t n_info)
{
    SECRET struct secret32 block;
    struct piece pieces[1 + HKDF_MAX_PIECES + 1] = {{block.bytes, 0}};
    uint8_t number = 0;
    assert(n <= HKDF_MAX_BYTES && n_info <= HKDF_MAX_PIECES);
    for (size_t i = 0; i < n_info; i++)
        pieces[1 + i] = info[i];
    pieces[1 + n_info] = (struct piece){&number, 1};
    for (size_t at = 0; at < n; at += sizeof block.bytes) {
        number++;
        hmac_sha256(block.bytes, (struct piece){prk, SHA256_BYTES}, pieces, n_info + 2);
        memcpy(out + at, block.bytes, n - at < sizeof block.bytes ? n - at : sizeof block.bytes);
        pieces[0].n = sizeof block.bytes;
    }
}
