#include "link/noise.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/hash.h"

static struct piece piece_of(const struct secret32 *secret)
{
    return (struct piece){secret->bytes, sizeof secret->bytes};
}

static void mix_hash(struct noise *noise, struct piece data)
{
    const struct piece pieces[] = {{noise->h, sizeof noise->h}, data};
    sha256(noise->h, pieces, 2);
}

/* HKDF() of Noise: that of RFC 5869 with the chaining key as salt, and an empty info. */
static void hkdf(const struct noise *noise, struct piece input, struct secret32 *out, size_t n_out)
{
    SECRET struct secret32 prk;
    hkdf_extract(prk.bytes, piece_of(&noise->ck), input);
    hkdf_expand(out->bytes, n_out * sizeof *out, prk.bytes, NULL, 0);
}

static void mix_key(struct noise *noise, struct piece input)
{
    struct secret32 out[2];
    hkdf(noise, input, out, 2);
    noise->ck = out[0];
    noise->k = out[1];
    secret_wipe(out, sizeof out);
}

static void mix_key_and_hash(struct noise *noise, struct piece input)
{
    struct secret32 out[3];
    hkdf(noise, input, out, 3);
    noise->ck = out[0];
    mix_hash(noise, piece_of(&out[1]));
    noise->k = out[2];
    secret_wipe(out, sizeof out);
}

void noise_begin(struct noise *noise, struct piece prologue, const struct secret32 *psk)
{
    static const char name[] = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
    const struct piece name_piece = {name, sizeof name - 1};
    sha256(noise->h, &name_piece, 1);
    memcpy(noise->ck.bytes, noise->h, sizeof noise->ck.bytes);
    mix_hash(noise, prologue);
    mix_key_and_hash(noise, piece_of(psk));
}

void noise_mix_ephemeral(struct noise *noise, const uint8_t public_key[static X25519_BYTES])
{
    const struct piece piece = {public_key, X25519_BYTES};
    mix_hash(noise, piece);
    mix_key(noise, piece); /* as every pattern with a psk does */
}

enum err noise_mix_shared(struct noise *noise, const struct secret32 *key,
                          const uint8_t own[static X25519_BYTES],
                          const uint8_t peer[static X25519_BYTES])
{
    SECRET struct secret32 shared;
    enum err err = x25519_derive(&shared, key, own, peer);
    if (err == ERR_NONE)
        mix_key(noise, piece_of(&shared));
    return err;
}

enum err noise_seal(struct noise *noise, uint8_t *payload, size_t n)
{
    struct aead_key key;
    const struct piece plain = {payload, n}, ad = {noise->h, sizeof noise->h};
    enum err err = aead_key_init(&key, AEAD_CHACHA20_POLY1305, AEAD_SEAL, noise->k.bytes);
    if (err != ERR_NONE)
        return err;
    err = aead_seal(&key, 0, ad, &plain, 1, payload);
    aead_key_deinit(&key);
    mix_hash(noise, (struct piece){payload, n + NOISE_TAG_BYTES});
    return err;
}

enum err noise_open(struct noise *noise, uint8_t *payload, size_t n)
{
    struct aead_key key;
    uint8_t h[sizeof noise->h];
    memcpy(h, noise->h, sizeof h);
    mix_hash(noise, (struct piece){payload, n});
    enum err err = aead_key_init(&key, AEAD_CHACHA20_POLY1305, AEAD_OPEN, noise->k.bytes);
    if (err != ERR_NONE)
        return err;
    err = aead_open(&key, 0, (struct piece){h, sizeof h}, payload, n);
    aead_key_deinit(&key);
    return err == ERR_NONE ? ERR_NONE : ERR_BAD;
}

void noise_split(const struct noise *noise, uint8_t k1[static 32], uint8_t k2[static 32])
{
    struct secret32 out[2];
    hkdf(noise, (struct piece){0}, out, 2);
    memcpy(k1, out[0].bytes, sizeof out[0].bytes);
    memcpy(k2, out[1].bytes, sizeof out[1].bytes);
    secret_wipe(out, sizeof out);
}
