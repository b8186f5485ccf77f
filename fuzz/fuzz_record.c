/*
 * Records: the input says what is sealed, what is forged with the header's key, what is added and which bits are flipped, then in what pieces
 * all that is read. What lies whole before the first damage comes out as it went in, and nothing else does.
 */
#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/crypto.h"
#include "fuzz.h"
#include "link/derive.h"
#include "link/handshake.h"
#include "link/record.h"

#define MAX_WIRE 16384
#define OVERHEAD (RECORD_HEADER_BYTES + RECORD_TAG_BYTES)

enum { SEAL, FORGE, ADD, FLIP, N_ACTIONS };

static const uint8_t secret[32] = {4, 2};
static const struct record_limits limits = {5, 300};

struct input {
    const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

struct stream {
    uint8_t cipher;
    uint8_t wire[MAX_WIRE], right[MAX_WIRE];
    size_t n, n_records;
    size_t n_right; /* bytes up to which nothing but records was written */
    uint64_t number;
    struct record_sealer *sealer;
};

static void append(struct stream *stream, const uint8_t *bytes, size_t n, bool is_right)
{
    memcpy(stream->wire + stream->n, bytes, n);
    if (is_right && stream->n_right == stream->n) {
        memcpy(stream->right + stream->n, bytes, n);
        stream->n_right += n;
        stream->n_records++;
    }
    stream->n += n;
}

/* A payload of n bytes, all n. */
static void seal(struct stream *stream, size_t n)
{
    uint8_t plain[255], wire[255 + OVERHEAD];
    size_t n_wire;
    memset(plain, (int)n, n);
    const struct piece pieces[] = {{plain, n / 2}, {plain + n / 2, n - n / 2}};
    CHECK(record_seal(stream->sealer, pieces, 2, wire, &n_wire) == ERR_NONE);
    CHECK(n_wire == n + OVERHEAD);
    append(stream, wire, n_wire, true);
    stream->number++;
}

/* A header that says whatever it likes, as the first key would seal it. */
static void forge(struct stream *stream, struct input *input)
{
    uint8_t header[4], wire[RECORD_HEADER_BYTES];
    struct secret32 bytes;
    struct aead_key key;
    for (unsigned i = 0; i < sizeof header; i++)
        header[i] = take(input);
    const struct piece piece = {header, sizeof header}, no_ad = {0};
    link_derive(bytes.bytes, sizeof bytes.bytes, secret, "header",
                (struct piece){&stream->cipher, 1});
    enum aead aead = (enum aead)(stream->cipher - 1);
    CHECK(aead_key_init(&key, aead, AEAD_SEAL, bytes.bytes) == ERR_NONE);
    CHECK(aead_seal(&key, stream->number, no_ad, &piece, 1, wire) == ERR_NONE);
    aead_key_deinit(&key);
    append(stream, wire, sizeof wire, false);
}

static void write_stream(struct stream *stream, struct input *input)
{
    for (unsigned i = 0; i < 20 && stream->n + 512 < MAX_WIRE; i++) {
        uint8_t byte;
        switch (take(input) % N_ACTIONS) {
        case SEAL:
            seal(stream, take(input));
            break;
        case FORGE:
            forge(stream, input);
            break;
        case ADD:
            byte = take(input);
            append(stream, &byte, 1, false);
            break;
        case FLIP:
            byte = take(input);
            if (stream->n > 0)
                stream->wire[(take(input) * 256u + byte) % stream->n] ^= (uint8_t)(1 << byte % 8);
            break;
        }
    }
}

static size_t undamaged(const struct stream *stream)
{
    size_t n = 0;
    while (n < stream->n_right && stream->wire[n] == stream->right[n])
        n++;
    return n;
}

static void read_stream(const struct stream *stream, struct input *input)
{
    struct record_opener *opener = record_opener_new(stream->cipher, secret, NULL);
    size_t n_good = undamaged(stream), at = 0, n = 0;
    uint8_t *wire = exact_copy(stream->wire, stream->n);
    enum err err = ERR_MORE;
    CHECK(opener != NULL);
    while (err == ERR_NONE || (err == ERR_MORE && n < stream->n)) {
        uint8_t *payload;
        size_t n_payload, used;
        n += 1u + take(input);
        n = n < stream->n ? n : stream->n;
        while ((err = record_open(opener, wire + at, n - at, &payload, &n_payload, &used)) ==
               ERR_NONE) {
            CHECK(used == n_payload + OVERHEAD && used <= n - at);
            CHECK(payload == wire + at + RECORD_HEADER_BYTES);
            at += used;
            CHECK(at <= n_good);
            for (size_t i = 0; i < n_payload; i++)
                CHECK(payload[i] == (uint8_t)n_payload);
        }
        CHECK(err == ERR_BAD || used > n - at);
    }
    /* An undamaged stream is read to its end, a damaged one is not read beyond. */
    CHECK(n_good < stream->n || at == stream->n);
    record_opener_free(opener);
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct stream stream;
    struct input input = {data, data + n};
    CHECK(crypto_load() == ERR_NONE);
    memset(&stream, 0, sizeof stream);
    stream.cipher = (uint8_t)(RECORD_AES_128_GCM + take(&input) % 4);
    stream.sealer = record_sealer_new(stream.cipher, secret, &limits);
    CHECK(stream.sealer != NULL);
    write_stream(&stream, &input);
    read_stream(&stream, &input);
    record_sealer_free(stream.sealer);
    return 0;
}
