/*
 * The limit that a tunnel is measured by: a bare relay (relaying.h) at each end, and what goes
 * between the two is sealed with AES-256-GCM. No handshake, one fixed key, a TCP connection
 * between the ends for each client: as little as sealing can cost, and no protocol.
 *
 *   pair near ADDRESS:PORT FAR:PORT       lets SOCKS5 clients have their handshake, with canned
 *                                         answers before anything is dialled, and seals
 *   pair far  ADDRESS:PORT TARGET:PORT    opens
 *
 * A record is a length (2 bytes), up to 16 KiB sealed, and the tag (16); its nonce is its number.
 * One read takes as many records as there are, one write passes all of them on. Buffers are the
 * process's; a connection owns memory only for what its far side did not take and for the
 * beginning of a record whose rest has not come.
 */
#include "relaying.h"
#include "util.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/evp.h>

#define RECORD_BYTES 16384
#define LENGTH_BYTES 2
#define TAG_BYTES 16
#define SEALED_BYTES (LENGTH_BYTES + RECORD_BYTES + TAG_BYTES)
#define BATCH_RECORDS 16

struct held {
    uint8_t *bytes;
    size_t at, len;
};

struct sealing {
    uint64_t n_records;
    struct held stuck; /* what the far side did not take */
    struct held begun; /* opening: the beginning of a record */
};

static bool is_near;
static EVP_CIPHER_CTX *sealer, *opener;
static uint8_t plain[BATCH_RECORDS * SEALED_BYTES];
static uint8_t sealed[BATCH_RECORDS * SEALED_BYTES];

static EVP_CIPHER_CTX *new_cipher(bool seals)
{
    static const uint8_t key[32] = "a fixed key: this is no protocol";
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher == NULL || EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, NULL, seals) != 1)
        die("no AES-256-GCM");
    return cipher;
}

static void begin_record(EVP_CIPHER_CTX *cipher, struct sealing *sealing)
{
    uint8_t nonce[12] = {0};
    memcpy(nonce, &sealing->n_records, sizeof sealing->n_records);
    sealing->n_records++;
    if (EVP_CipherInit_ex(cipher, NULL, NULL, NULL, nonce, -1) != 1)
        die("cannot set a nonce");
}

static size_t seal_record(struct sealing *sealing, uint8_t *out, const uint8_t *in, size_t len)
{
    int n;
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
    begin_record(sealer, sealing);
    if (EVP_EncryptUpdate(sealer, out + LENGTH_BYTES, &n, in, (int)len) != 1 ||
        EVP_EncryptFinal_ex(sealer, out + LENGTH_BYTES + len, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(sealer, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out + LENGTH_BYTES + len) !=
            1)
        die("cannot seal");
    return LENGTH_BYTES + len + TAG_BYTES;
}

static bool open_record(struct sealing *sealing, uint8_t *out, uint8_t *in, size_t len)
{
    int n;
    begin_record(opener, sealing);
    return EVP_DecryptUpdate(opener, out, &n, in, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(opener, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, in + len) == 1 &&
           EVP_DecryptFinal_ex(opener, out + len, &n) == 1;
}

static void held_free(struct held *held)
{
    free(held->bytes);
    *held = (struct held){0};
}

static void release(struct direction *dir)
{
    struct sealing *sealing = dir->own;
    held_free(&sealing->stuck);
    held_free(&sealing->begun);
}

static enum moved drain(struct direction *dir)
{
    struct sealing *sealing = dir->own;
    struct held *stuck = &sealing->stuck;
    ssize_t n = send(to_fd(dir), stuck->bytes + stuck->at, stuck->len - stuck->at, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN ? WAITS : FAILED;
    stuck->at += (size_t)n;
    if (stuck->at < stuck->len)
        return WAITS;
    held_free(stuck);
    dir->stuck = false;
    return MOVED;
}

static void hold(struct held *held, const uint8_t *bytes, size_t len)
{
    *held = (struct held){.bytes = malloc(len), .len = len};
    if (held->bytes == NULL)
        die("out of memory");
    memcpy(held->bytes, bytes, len);
}

static enum moved pass_on(struct direction *dir, const uint8_t *bytes, size_t len)
{
    struct sealing *sealing = dir->own;
    ssize_t n = send(to_fd(dir), bytes, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return FAILED;
    if (n == (ssize_t)len)
        return MOVED;
    size_t n_sent = n < 0 ? 0 : (size_t)n;
    hold(&sealing->stuck, bytes + n_sent, len - n_sent);
    dir->stuck = true;
    return WAITS;
}

static enum moved move_sealing(struct direction *dir)
{
    struct sealing *sealing = dir->own;
    ssize_t n = recv(from_fd(dir), plain, BATCH_RECORDS * RECORD_BYTES, 0);
    if (n <= 0)
        return moved_of(n);
    dir->emptied = n < BATCH_RECORDS * RECORD_BYTES;
    size_t len = 0;
    for (size_t at = 0; at < (size_t)n; at += RECORD_BYTES) {
        size_t left = (size_t)n - at;
        len += seal_record(sealing, sealed + len, plain + at,
                           left < RECORD_BYTES ? left : RECORD_BYTES);
    }
    return pass_on(dir, sealed, len);
}

/* Opens the whole records among the first len bytes of `sealed`. False: one of them is none. */
static bool open_records(struct sealing *sealing, size_t len, size_t *n_sealed, size_t *n_plain)
{
    *n_sealed = *n_plain = 0;
    while (len - *n_sealed >= LENGTH_BYTES) {
        uint8_t *record = sealed + *n_sealed;
        size_t n = (size_t)record[0] << 8 | record[1];
        if (n > RECORD_BYTES)
            return false;
        if (len - *n_sealed < LENGTH_BYTES + n + TAG_BYTES)
            break;
        if (!open_record(sealing, plain + *n_plain, record + LENGTH_BYTES, n))
            return false;
        *n_sealed += LENGTH_BYTES + n + TAG_BYTES;
        *n_plain += n;
    }
    return true;
}

static enum moved move_opening(struct direction *dir)
{
    struct sealing *sealing = dir->own;
    size_t n_sealed, n_plain, begun = sealing->begun.len;
    ssize_t n = recv(from_fd(dir), sealed + begun, sizeof sealed - begun, 0);
    if (n <= 0)
        return moved_of(n);
    dir->emptied = (size_t)n < sizeof sealed - begun;
    if (begun > 0)
        memcpy(sealed, sealing->begun.bytes, begun);
    held_free(&sealing->begun);
    size_t len = begun + (size_t)n;
    if (!open_records(sealing, len, &n_sealed, &n_plain))
        return FAILED;
    if (n_sealed < len)
        hold(&sealing->begun, sealed + n_sealed, len - n_sealed);
    return n_plain > 0 ? pass_on(dir, plain, n_plain) : MOVED;
}

/* The near end seals what comes from its client, the far end what comes from the target. */
static enum moved move(struct direction *dir)
{
    return (side_of(dir) == 0) == is_near ? move_sealing(dir) : move_opening(dir);
}

int main(int argc, char **argv)
{
    is_near = argc == 4 && strcmp(argv[1], "near") == 0;
    if (!is_near && (argc != 4 || strcmp(argv[1], "far") != 0))
        die("usage: pair near ADDRESS:PORT FAR:PORT | pair far ADDRESS:PORT TARGET:PORT");
    sealer = new_cipher(true);
    opener = new_cipher(false);
    struct sockaddr_in address = parse_address(argv[2]);
    struct relaying relaying = {.mover = {.own_bytes = sizeof(struct sealing),
                                          .move = move,
                                          .drain = drain,
                                          .release = release},
                                .target = parse_address(argv[3]),
                                .canned = is_near,
                                .answers_at_once = is_near};
    relay_on(&address, &relaying);
}
