/*
 * What records cost, by themselves: sealing and opening them, both stages, beside the cipher alone as OpenSSL gives it. No part
 * of `make bench`: build/release/bench/records
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/crypto.h"
#include "link/handshake.h"
#include "link/record.h"

#define OVERHEAD (RECORD_HEADER_BYTES + RECORD_TAG_BYTES)
#define BATCH_BYTES (1u << 20) /* what lies ready to be opened: it stays in the processor's cache */
#define ROUNDS 200 /* short ones, of which the best counts: others need the processor too */

static const uint8_t secret[32] = {1};
static uint8_t plain[RECORD_MAX_BYTES], wire[BATCH_BYTES];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void insist(bool is_good)
{
    if (!is_good) {
        fprintf(stderr, "records: a call failed\n");
        exit(1);
    }
}

struct run {
    size_t n; /* bytes of a record */
    uint8_t cipher;
    EVP_CIPHER_CTX *context;
    struct record_sealer *sealer;
    struct record_opener *opener;
    uint64_t number;
};

static void begin(struct run *run)
{
    record_sealer_free(run->sealer);
    record_opener_free(run->opener);
    run->sealer = record_sealer_new(run->cipher, secret, NULL);
    run->opener = record_opener_new(run->cipher, secret, NULL);
    insist(run->sealer != NULL && run->opener != NULL);
}

static void cipher_alone(struct run *run, uint8_t *at)
{
    uint8_t nonce[12] = {0};
    int n;
    run->number++;
    memcpy(nonce + 4, &run->number, sizeof run->number);
    insist(EVP_EncryptInit_ex(run->context, NULL, NULL, NULL, nonce) &&
           EVP_EncryptUpdate(run->context, at, &n, plain, (int)run->n) &&
           EVP_EncryptFinal_ex(run->context, at + n, &n) &&
           EVP_CIPHER_CTX_ctrl(run->context, EVP_CTRL_AEAD_GET_TAG, 16, at + run->n));
}

static void seal(struct run *run, uint8_t *at)
{
    const struct piece piece = {plain, run->n};
    size_t n;
    insist(record_seal(run->sealer, &piece, 1, at, &n) == ERR_NONE);
}

static void open_record(struct run *run, uint8_t *at)
{
    uint8_t *payload;
    size_t n, used;
    insist(record_open(run->opener, at, run->n + OVERHEAD, &payload, &n, &used) == ERR_NONE);
}

/* Seconds a call, over a batch; the best so far. */
static void measure(struct run *run, void (*call)(struct run *run, uint8_t *at), double *best)
{
    size_t n_calls = BATCH_BYTES / (run->n + OVERHEAD);
    double start = now();
    for (size_t i = 0; i < n_calls; i++)
        call(run, wire + i * (run->n + OVERHEAD));
    double each = (now() - start) / (double)n_calls;
    if (each < *best)
        *best = each;
}

static void show(const char *cipher, size_t n, double alone, double sealing, double opening)
{
    double gb = (double)n / 1e9;
    printf("%-18s %6zu   %6.0f ns %6.2f GB/s   %6.0f ns %6.2f GB/s   %6.0f ns %6.2f GB/s\n", cipher,
           n, alone * 1e9, gb / alone, sealing * 1e9, gb / sealing, opening * 1e9, gb / opening);
}

int main(void)
{
    static const struct {
        const char *name;
        uint8_t cipher;
    } ciphers[] = {
        {"AES-128-GCM", RECORD_AES_128_GCM},
        {"AES-256-GCM", RECORD_AES_256_GCM},
        {"ChaCha20-Poly1305", RECORD_CHACHA20_POLY1305},
    };
    static const size_t sizes[] = {16, 1024, 16384, 65536};

    insist(crypto_load() == ERR_NONE);
    printf("%-18s %6s   %22s   %22s   %22s\n", "cipher", "bytes", "the cipher alone", "sealing",
           "opening");
    for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL);
        struct run run = {.cipher = ciphers[i].cipher, .context = EVP_CIPHER_CTX_new()};
        insist(EVP_EncryptInit_ex(run.context, cipher, NULL, secret, NULL));
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            run.n = sizes[k];
            double alone = 1, sealing = 1, opening = 1;
            for (unsigned round = 0; round < ROUNDS; round++) {
                begin(&run);
                measure(&run, cipher_alone, &alone);
                measure(&run, seal, &sealing);
                measure(&run, open_record, &opening);
            }
            show(ciphers[i].name, run.n, alone, sealing, opening);
        }
        record_sealer_free(run.sealer);
        record_opener_free(run.opener);
        EVP_CIPHER_CTX_free(run.context);
        EVP_CIPHER_free(cipher);
    }
    return 0;
}
