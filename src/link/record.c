/*
 * A direction is a chain of secrets; of each a key for headers and a key for payloads are derived,
 * which serve until a record says that the next secret's follow. Sealing and opening differ in who
 * says so.
 */
#include "link/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/aead.h"
#include "link/derive.h"
#include "link/handshake.h"

#define LENGTH_BYTES 4 /* of a header before it is sealed: flags u8, length u24 */
#define FLAG_KEY 0x01

static_assert(RECORD_HEADER_BYTES == LENGTH_BYTES + AEAD_TAG_BYTES &&
                  RECORD_TAG_BYTES == AEAD_TAG_BYTES,
              "sizes on the wire");
static_assert(RECORD_MAX_BYTES < 1 << 24, "a length has 24 bits");

static const struct record_limits sender_limits = {UINT64_C(1) << 23, UINT64_C(1) << 36};
static const struct record_limits receiver_limits = {UINT64_C(1) << 24, UINT64_MAX};

struct chain {
    struct secret32 secret; /* C_i */
    struct record_limits limits;
    uint64_t number;             /* of the next record: never begins anew */
    uint64_t n_records, n_bytes; /* under this secret */
    struct aead_key header, payload;
    uint8_t cipher;
    bool is_over; /* something failed: no nonce may be tried twice */
};

struct record_sealer {
    struct chain chain;
};

struct record_opener {
    struct chain chain;
    bool has_header; /* of the next record, opened already */
    uint8_t flags;
    size_t n_payload;
};

static enum aead aead_of(uint8_t cipher)
{
    static const enum aead aeads[] = {
        [RECORD_AES_128_GCM] = AEAD_AES_128_GCM,
        [RECORD_AES_192_GCM] = AEAD_AES_192_GCM,
        [RECORD_AES_256_GCM] = AEAD_AES_256_GCM,
        [RECORD_CHACHA20_POLY1305] = AEAD_CHACHA20_POLY1305,
    };
    assert(cipher >= RECORD_AES_128_GCM && cipher <= RECORD_CHACHA20_POLY1305);
    return aeads[cipher];
}

static void derive(const struct chain *chain, const char *label, struct secret32 *out, size_t n)
{
    link_derive(out->bytes, n, chain->secret.bytes, label,
                (struct piece){&chain->cipher, sizeof chain->cipher});
}

static void derive_keys(const struct chain *chain, struct secret32 *header,
                        struct secret32 *payload)
{
    size_t n = aead_key_bytes(aead_of(chain->cipher));
    derive(chain, "header", header, n);
    derive(chain, "payload", payload, n);
}

static enum err chain_init(struct chain *chain, uint8_t cipher, const uint8_t secret[static 32],
                           enum aead_use use, const struct record_limits *limits)
{
    SECRET struct secret32 header, payload;
    enum aead aead = aead_of(cipher);
    *chain = (struct chain){.limits = *limits, .cipher = cipher};
    memcpy(chain->secret.bytes, secret, sizeof chain->secret.bytes);
    derive_keys(chain, &header, &payload);
    enum err err = aead_key_init(&chain->header, aead, use, header.bytes);
    aead_key_keep_short(&chain->header);
    return err == ERR_NONE ? aead_key_init(&chain->payload, aead, use, payload.bytes) : err;
}

static void chain_deinit(struct chain *chain)
{
    aead_key_deinit(&chain->header);
    aead_key_deinit(&chain->payload);
    secret_wipe(chain, sizeof *chain);
}

/* The next secret takes the place of this one, of which nothing is left. */
static enum err chain_ratchet(struct chain *chain)
{
    SECRET struct secret32 header, payload, next;
    derive(chain, "ratchet", &next, sizeof next.bytes);
    chain->secret = next;
    chain->n_records = chain->n_bytes = 0;
    derive_keys(chain, &header, &payload);
    enum err err = aead_key_replace(&chain->header, header.bytes);
    return err == ERR_NONE ? aead_key_replace(&chain->payload, payload.bytes) : err;
}

/* Behind each record that was sealed or opened. */
static enum err chain_advance(struct chain *chain, size_t n_payload, bool changes_key)
{
    chain->number++;
    chain->n_records++;
    chain->n_bytes += n_payload;
    return changes_key ? chain_ratchet(chain) : ERR_NONE;
}

struct record_sealer *record_sealer_new(uint8_t cipher, const uint8_t secret[static 32],
                                        const struct record_limits *limits)
{
    struct record_sealer *sealer = calloc(1, sizeof *sealer);
    if (sealer == NULL || chain_init(&sealer->chain, cipher, secret, AEAD_SEAL,
                                     limits != NULL ? limits : &sender_limits) == ERR_NONE)
        return sealer;
    record_sealer_free(sealer);
    return NULL;
}

struct record_opener *record_opener_new(uint8_t cipher, const uint8_t secret[static 32],
                                        const struct record_limits *limits)
{
    struct record_opener *opener = calloc(1, sizeof *opener);
    if (opener == NULL || chain_init(&opener->chain, cipher, secret, AEAD_OPEN,
                                     limits != NULL ? limits : &receiver_limits) == ERR_NONE)
        return opener;
    record_opener_free(opener);
    return NULL;
}

void record_sealer_free(struct record_sealer *sealer)
{
    if (sealer == NULL)
        return;
    chain_deinit(&sealer->chain);
    free(sealer);
}

void record_opener_free(struct record_opener *opener)
{
    if (opener == NULL)
        return;
    chain_deinit(&opener->chain);
    free(opener);
}

static enum err seal(struct chain *chain, const struct piece *pieces, size_t n_pieces,
                     size_t n_payload, uint8_t *out)
{
    const struct piece no_ad = {0};
    bool changes_key = chain->n_records + 1 >= chain->limits.max_records ||
                       chain->n_bytes + n_payload >= chain->limits.max_bytes;
    const uint8_t header[LENGTH_BYTES] = {changes_key ? FLAG_KEY : 0, (uint8_t)(n_payload >> 16),
                                          (uint8_t)(n_payload >> 8), (uint8_t)n_payload};
    const struct piece header_piece = {header, sizeof header};
    enum err err = aead_seal(&chain->header, chain->number, no_ad, &header_piece, 1, out);
    if (err == ERR_NONE)
        err = aead_seal(&chain->payload, chain->number, no_ad, pieces, n_pieces,
                        out + RECORD_HEADER_BYTES);
    return err == ERR_NONE ? chain_advance(chain, n_payload, changes_key) : err;
}

enum err record_seal(struct record_sealer *sealer, const struct piece *pieces, size_t n_pieces,
                     uint8_t *out, size_t *n_out)
{
    struct chain *chain = &sealer->chain;
    size_t n_payload = 0;
    for (size_t i = 0; i < n_pieces; i++)
        n_payload += pieces[i].n;
    assert(n_payload <= RECORD_MAX_BYTES);
    if (chain->is_over || seal(chain, pieces, n_pieces, n_payload, out) != ERR_NONE) {
        chain->is_over = true;
        return ERR_SYSTEM;
    }
    *n_out = RECORD_HEADER_BYTES + n_payload + RECORD_TAG_BYTES;
    return ERR_NONE;
}

static enum err open_header(struct record_opener *opener, const uint8_t *bytes)
{
    struct chain *chain = &opener->chain;
    uint8_t header[RECORD_HEADER_BYTES];
    memcpy(header, bytes, sizeof header);
    if (aead_open(&chain->header, chain->number, (struct piece){0}, header, sizeof header) !=
        ERR_NONE)
        return ERR_BAD;
    opener->flags = header[0];
    opener->n_payload = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    opener->has_header = true;
    bool is_key_too_old =
        chain->n_records >= chain->limits.max_records && !(opener->flags & FLAG_KEY);
    return opener->n_payload <= RECORD_MAX_BYTES && !is_key_too_old ? ERR_NONE : ERR_BAD;
}

static enum err open_record(struct record_opener *opener, uint8_t *bytes, size_t n, size_t *used)
{
    struct chain *chain = &opener->chain;
    *used = RECORD_HEADER_BYTES;
    if (n < RECORD_HEADER_BYTES)
        return ERR_MORE;
    if (!opener->has_header && open_header(opener, bytes) != ERR_NONE)
        return ERR_BAD;
    size_t n_sealed = opener->n_payload + RECORD_TAG_BYTES;
    *used += n_sealed;
    if (n < *used)
        return ERR_MORE;
    if (aead_open(&chain->payload, chain->number, (struct piece){0}, bytes + RECORD_HEADER_BYTES,
                  n_sealed) != ERR_NONE)
        return ERR_BAD;
    opener->has_header = false;
    return chain_advance(chain, opener->n_payload, opener->flags & FLAG_KEY);
}

enum err record_open(struct record_opener *opener, uint8_t *bytes, size_t n, uint8_t **payload,
                     size_t *n_payload, size_t *used)
{
    struct chain *chain = &opener->chain;
    enum err err = chain->is_over ? ERR_BAD : open_record(opener, bytes, n, used);
    if (err == ERR_NONE) {
        *payload = bytes + RECORD_HEADER_BYTES;
        *n_payload = opener->n_payload;
        return ERR_NONE;
    }
    if (err == ERR_MORE)
        return ERR_MORE;
    chain->is_over = true;
    return ERR_BAD;
}
