/* SHA-256 by FIPS 180-4's examples, HMAC by RFC 4231, HKDF by RFC 5869 appendix A, ChaCha20 by RFC
 * 8439 (2.3.2, and appendix A.1 number 5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/chacha20.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "hex.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define MAX_BYTES 512

static void sha256_by_the_examples(void **state)
{
    static const char *const examples[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(examples); i++) {
        const char *text = examples[i][0];
        uint8_t digest[SHA256_BYTES], expected[SHA256_BYTES];
        hex_bytes(expected, sizeof expected, examples[i][1]);
        for (size_t at = 0; at <= strlen(text); at++) {
            struct piece pieces[] = {{text, at}, {NULL, 0}, {text + at, strlen(text) - at}};
            sha256(digest, pieces, N_ITEMS(pieces));
            assert_memory_equal(digest, expected, sizeof digest);
        }
    }
}

static void hmac_by_the_vectors(void **state)
{
    static const struct {
        const char *key, *message, *mac;
    } vectors[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
         "dddddddddddd",
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {"0102030405060708090a0b0c0d0e0f10111213141516171819",
         "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
         "cdcdcdcdcdcd",
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368"
         "204b6579204669727374",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a"
         "65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865"
         "206b6579206e6565647320746f20626520686173686564206265666f7265206265696e672075736564206279"
         "2074686520484d414320616c676f726974686d2e",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        uint8_t key[MAX_BYTES], message[MAX_BYTES], expected[SHA256_BYTES], mac[SHA256_BYTES];
        struct piece k = {key, hex_bytes(key, sizeof key, vectors[i].key)};
        size_t n = hex_bytes(message, sizeof message, vectors[i].message);
        struct piece pieces[] = {{message, n / 3}, {message + n / 3, n - n / 3}};
        hex_bytes(expected, sizeof expected, vectors[i].mac);
        hmac_sha256(mac, k, pieces, N_ITEMS(pieces));
        assert_memory_equal(mac, expected, sizeof mac);
        hmac16(mac, k, pieces, N_ITEMS(pieces));
        assert_memory_equal(mac, expected, HMAC16_BYTES);
        assert_true(hmac16_is_good(mac, k, pieces, N_ITEMS(pieces)));
        for (size_t bit = 0; bit < 8 * HMAC16_BYTES; bit++) {
            mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(hmac16_is_good(mac, k, pieces, N_ITEMS(pieces)));
            mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void hkdf_by_the_vectors(void **state)
{
    static const struct {
        const char *secret, *salt, *info, *prk, *out;
    } vectors[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
         "f0f1f2f3f4f5f6f7f8f9", "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b"
         "2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b"
         "8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadb"
         "dcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6"
         "5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
         "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        uint8_t secret[MAX_BYTES], salt[MAX_BYTES], info[MAX_BYTES];
        uint8_t expected[MAX_BYTES], out[MAX_BYTES];
        size_t n_secret = hex_bytes(secret, sizeof secret, vectors[i].secret);
        size_t n_salt = hex_bytes(salt, sizeof salt, vectors[i].salt);
        size_t n_info = hex_bytes(info, sizeof info, vectors[i].info);
        uint8_t prk[SHA256_BYTES];

        hkdf_extract(prk, (struct piece){salt, n_salt}, (struct piece){secret, n_secret});
        hex_bytes(expected, sizeof expected, vectors[i].prk);
        assert_memory_equal(prk, expected, sizeof prk);

        size_t n = hex_bytes(expected, sizeof expected, vectors[i].out);
        struct piece pieces[] = {{info, n_info / 2}, {info + n_info / 2, n_info - n_info / 2}};
        out[n] = 0x5a;
        hkdf_expand(out, n, prk, pieces, N_ITEMS(pieces));
        assert_memory_equal(out, expected, n);
        assert_int_equal(out[n], 0x5a);
    }
}

static void chacha20_by_the_vectors(void **state)
{
    static const struct {
        const char *key, *nonce, *stream;
        size_t at;
    } vectors[] = {
        {"0000000000000000000000000000000000000000000000000000000000000000",
         "000000000000000000000002",
         "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
         "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d",
         0},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
         "000000090000004a00000000",
         "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
         "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
         64},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        uint8_t key[CHACHA20_KEY_BYTES], nonce[CHACHA20_NONCE_BYTES], expected[64];
        uint8_t bytes[128] = {0};
        hex_bytes(key, sizeof key, vectors[i].key);
        hex_bytes(nonce, sizeof nonce, vectors[i].nonce);
        hex_bytes(expected, sizeof expected, vectors[i].stream);
        assert_int_equal(chacha20_xor(bytes, sizeof bytes, key, nonce), ERR_NONE);
        assert_memory_equal(bytes + vectors[i].at, expected, sizeof expected);
        assert_int_equal(chacha20_xor(bytes, sizeof bytes, key, nonce), ERR_NONE);
        for (size_t k = 0; k < sizeof bytes; k++)
            assert_int_equal(bytes[k], 0);
        assert_int_equal(chacha20_xor(bytes, 0, key, nonce), ERR_NONE);
    }
}

static int load(void **state)
{
    (void)state;
    return crypto_load() == ERR_NONE ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_by_the_examples),
        cmocka_unit_test(hmac_by_the_vectors),
        cmocka_unit_test(hkdf_by_the_vectors),
        cmocka_unit_test(chacha20_by_the_vectors),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
