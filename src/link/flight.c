#include "link/flight.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/chacha20.h"
#include "link/derive.h"

static const struct form {
    size_t n_head;
    const char *mask_label, *mac_label;
} forms[] = {
    [FLIGHT_OF_CLIENT] = {FLIGHT1_HEAD_BYTES, "mask client", "mac client"},
    [FLIGHT_OF_SERVER] = {FLIGHT2_HEAD_BYTES, "mask server", "mac server"},
};

size_t flight_max_payload(enum flight_sender sender)
{
    return FLIGHT_MAX_BYTES - forms[sender].n_head - 2 * HMAC16_BYTES;
}

uint64_t flight_get(const uint8_t *bytes, size_t n)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++)
        number = number << 8 | bytes[i];
    return number;
}

void flight_put(uint8_t *bytes, size_t n, uint64_t number)
{
    for (size_t i = n; i > 0; i--, number >>= 8)
        bytes[i - 1] = (uint8_t)number;
}

/* Masks, and unmasks. */
static enum err mask(enum flight_sender sender, const uint8_t *server_prk, uint8_t *head)
{
    uint8_t stream[CHACHA20_KEY_BYTES + CHACHA20_NONCE_BYTES];
    link_derive(stream, sizeof stream, server_prk, forms[sender].mask_label,
                (struct piece){head, FLIGHT_SALT_BYTES});
    enum err err = chacha20_xor(head + FLIGHT_SALT_BYTES, forms[sender].n_head - FLIGHT_SALT_BYTES,
                                stream, stream + CHACHA20_KEY_BYTES);
    secret_wipe(stream, sizeof stream);
    return err;
}

static void derive_mac_key(struct secret32 *key, const struct flight_keys *keys,
                           const uint8_t *head)
{
    link_derive(key->bytes, sizeof key->bytes, keys->user_prk, forms[keys->sender].mac_label,
                (struct piece){head, FLIGHT_SALT_BYTES});
}

/* ---- writing ---- */

struct writer {
    const struct flight_keys *keys;
    struct secret32 mac_key;
    struct coding_state coding;
    uint8_t *out;
    size_t n;
};

static enum err write_bytes(struct writer *writer, const uint8_t *bytes, size_t n)
{
    size_t n_wire;
    enum err err = coding_none.encode(NULL, &writer->coding, bytes, n, writer->out + writer->n,
                                      FLIGHT_MAX_BYTES - writer->n, &n_wire);
    if (err == ERR_NONE)
        writer->n += n_wire;
    return err;
}

/* Of all wire bytes so far. */
static enum err write_mac(struct writer *writer, uint8_t mac[static HMAC16_BYTES])
{
    const struct piece pieces[] = {writer->keys->bound_to, {writer->out, writer->n}};
    hmac16(mac, (struct piece){writer->mac_key.bytes, sizeof writer->mac_key.bytes}, pieces, 2);
    return write_bytes(writer, mac, HMAC16_BYTES);
}

enum err flight_write(const struct flight_keys *keys, uint8_t *head, const uint8_t *payload,
                      size_t n_payload, uint8_t *out, size_t *n, uint8_t mac2[static HMAC16_BYTES])
{
    struct writer writer = {.keys = keys, .out = out};
    uint8_t mac1[HMAC16_BYTES];
    derive_mac_key(&writer.mac_key, keys, head);
    enum err err = mask(keys->sender, keys->server_prk, head);
    if (err == ERR_NONE)
        err = write_bytes(&writer, head, forms[keys->sender].n_head);
    if (err == ERR_NONE)
        err = write_mac(&writer, mac1);
    if (err == ERR_NONE)
        err = write_bytes(&writer, payload, n_payload);
    if (err == ERR_NONE)
        err = write_mac(&writer, mac2);
    secret32_wipe(&writer.mac_key);
    *n = writer.n;
    return err;
}

/* ---- reading ---- */

enum err flight_reader_init(struct flight_reader *reader, enum flight_sender sender)
{
    *reader = (struct flight_reader){.sender = sender, .cap_wire = FLIGHT_HEAD_MAX_BYTES};
    reader->wire = malloc(reader->cap_wire);
    return reader->wire != NULL ? ERR_NONE : ERR_MEMORY;
}

void flight_reader_deinit(struct flight_reader *reader)
{
    if (reader->payload != NULL)
        secret_wipe(reader->payload, reader->n_payload);
    free(reader->payload);
    free(reader->wire);
    secret_wipe(reader, sizeof *reader);
}

/* Where the plain bytes of the stage belong, and how many there are of them. */
static uint8_t *place_of(struct flight_reader *reader, size_t *n)
{
    switch (reader->stage) {
    case FLIGHT_HEAD:
        *n = forms[reader->sender].n_head;
        return reader->head;
    case FLIGHT_PAYLOAD:
        *n = reader->n_payload;
        return reader->payload;
    case FLIGHT_MAC1:
    case FLIGHT_MAC2:
        break;
    case FLIGHT_WHOLE:
        assert(false); /* there is nothing behind it */
        break;
    }
    *n = HMAC16_BYTES;
    return reader->mac;
}

static void begin_stage(struct flight_reader *reader, enum flight_stage stage)
{
    if (stage == FLIGHT_MAC1 || stage == FLIGHT_MAC2)
        reader->n_authentic = reader->n_wire;
    reader->stage = stage;
    reader->n_plain = 0;
}

enum err flight_reader_take(struct flight_reader *reader, const uint8_t *bytes, size_t n,
                            size_t *used)
{
    size_t n_wanted, n_plain, room = reader->cap_wire - reader->n_wire;
    uint8_t *place = place_of(reader, &n_wanted);
    enum err err =
        coding_none.decode(NULL, &reader->coding, bytes, n < room ? n : room, used,
                           place + reader->n_plain, n_wanted - reader->n_plain, &n_plain);
    if (err != ERR_NONE && err != ERR_MORE)
        return ERR_BAD;
    if (*used > 0)
        memcpy(reader->wire + reader->n_wire, bytes, *used);
    reader->n_wire += *used;
    reader->n_plain += n_plain;
    if (err == ERR_MORE)
        return n < room ? ERR_MORE : ERR_BAD;
    begin_stage(reader, reader->stage + 1);
    return ERR_NONE;
}

enum err flight_reader_unmask(struct flight_reader *reader, const uint8_t server_prk[static 32])
{
    return mask(reader->sender, server_prk, reader->head);
}

bool flight_reader_is_authentic(const struct flight_reader *reader, const struct flight_keys *keys)
{
    SECRET struct secret32 key;
    const struct piece pieces[] = {keys->bound_to, {reader->wire, reader->n_authentic}};
    derive_mac_key(&key, keys, reader->head);
    return hmac16_is_good(reader->mac, (struct piece){key.bytes, sizeof key.bytes}, pieces, 2);
}

enum err flight_reader_expect(struct flight_reader *reader, size_t n_payload)
{
    assert(n_payload <= flight_max_payload(reader->sender));
    uint8_t *wire = realloc(reader->wire, FLIGHT_MAX_BYTES);
    if (wire == NULL)
        return ERR_MEMORY;
    reader->wire = wire;
    reader->cap_wire = FLIGHT_MAX_BYTES;
    reader->payload = malloc(n_payload);
    reader->n_payload = n_payload;
    return reader->payload != NULL ? ERR_NONE : ERR_MEMORY;
}
