/* What is derived from a key before any flight (doc/protocol.md, section 2). */
#include <assert.h>

#include "crypto/hash.h"
#include "link/derive.h"
#include "link/handshake.h"

void link_key_init(struct link_key *key, const uint8_t *bytes, size_t n)
{
    assert(n == 16 || n == 24 || n == 32);
    hkdf_extract(key->prk, (struct piece){0}, (struct piece){bytes, n});
    link_derive(key->tag, sizeof key->tag, key->prk, "tag", (struct piece){0});
    key->n_bytes = (uint8_t)n;
}

void link_key_init_public(struct link_key *key, const uint8_t *spki, size_t n)
{
    SECRET struct secret32 hash;
    const struct piece piece = {spki, n};
    sha256(hash.bytes, &piece, 1);
    link_key_init(key, hash.bytes, sizeof hash.bytes);
}
