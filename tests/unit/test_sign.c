/*
 * Ed25519 by RFC 8032 section 7.1. RSA-PSS by signatures that PyCryptodome made, whose PSS is not
 * OpenSSL's; NIST's vectors have other salts than ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "crypto/sign.h"
#include "hex.h"
#include "seeded.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static const char message[] = "sockeye-v1 server, and what it signs";
#define N_MESSAGE (sizeof message - 1)

static const char rsa_public[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEA1q0MnzYHO4M/PsUKBKAH\n"
    "e3X0Mz/PNAKCmF01wuvxPLrqs0PJI5L2Om0QIhNaM7PEOwDQp2JTphJOfbfflDkt\n"
    "NaruUh4JxxjgmYLoEBQgas2vuJCTMLlwpzMj0/Aw4OrgCnMj86wD8rxtd0Deq2m8\n"
    "5071NOCsBgy+OFN9ivqrInngBXsEJn6+7u5jmXnNpcW7ZREuLUv/BhCL5JaTwrGc\n"
    "UJFqvZz065UbmlluKQX/n6S/44h+SjvwGY1EHvicaz7HEMIOqdHgftzUtnZBfYky\n"
    "y8ykTudzmZpuEJL9RYHwv83tRq/iblSYhCEuOddEI3MHvrOp7/9PfzxRPol+stfL\n"
    "uq1PqwRiBPy+Y2P3UKRSm071M8Li5zISetOzbc9e/yeIxHQDu/sVYmMbOkxa+3LD\n"
    "DujdM7ib5sec5P/gmRumh2l4YC8AEpLuDWnyi9kSVeIRQCjaqyzKHr0Tv4/5GE/B\n"
    "ybD9iYIXYqo2NwVNJtGngFXH6a5RjoFixhlE+ubyZ/KlAgMBAAE=\n"
    "-----END PUBLIC KEY-----\n";

static const char rsa_too_small[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA9PP+3kTUyeQuHFch7ddm\n"
    "i/dE8jngiWzz6AcuzwDqvpIAJ9rXZFSFsDSsUBbomvFPc/G02Zqv8aSJBdM8FM83\n"
    "YdT14b0CFcBVyfpE/7CtCFmgEq/g2v+tNnfD+6hV1CDJsMCYaoZoUnkXbNoIrTwV\n"
    "bkZaP6P9dYb/1C5dou0/hk7l0YvbyXs3CNocpJXKCdjOwEhnL8Zz7Gi/C3riSozK\n"
    "g44ZKrf7mE6/NRIRL826Wu0TNiWBQSlqyxPljYt6XO1Srhu1Rwz0G/UQEH41z4so\n"
    "vJh+PYIP79Tj3eGWim5yruMFZX5x1Fl2SYvDjDID8slgby6E+bZTY9otxsMQoWSL\n"
    "vQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static const char pss_salt_32[] =
    "1bc9ff9d8332add8dbac98760db57b0031af6253971f7bb5d392639d726f3d69923243cdaff5d9e419106d88"
    "cb39aabc27e220dad1b8dfc768c4fb83a994cfdfefe37782e72a63511e23dc7234622ebe70d42ae2def1a79a"
    "a33da7fcf56a34ad2e9dcfb36673bdb87a87abf9db65f68cf14b5271eacf40370055c19b4c1b8f153a641dea"
    "19770c6a7c348bc59040667a684dde59f87c65299be74cdc98793c5d9c0e13364d97f73f7a433962be615e89"
    "0edac3ab75c4eac37692baec9b039c8f6a8f9a6f5665f11f2686cb9f6fb5294109c04321dbff31d1d066ea07"
    "3de4c040163ab825d20ad31386f531c491e5df6cc68dd0a7bf58ab212573a01f4ff05bc470cf1ebb12453697"
    "b1246eadf8b68b1daf1c2d9916c847b71a3ba570bad59d5c343eedde74e1aec2e0fca555c05148ba0db77e3f"
    "3e3704ed084d774c3574ae95c829100f9b63a48dab37e5946ff37e927a187e4fc16104e662b3b8a4fb4b7440"
    "b07d34b0407c1ffea12a57896ec769c11975a93f31bca2430492b108c0b6e5d5";

static const char pss_salt_20[] =
    "87f243c6cb8baa2d62e254519983acf5f078463fc1ecccf2c1016c0cb97fbc2c44eb5cb5f76cc4a1f00b6a9b"
    "a8130edad6dad0458146b8f16da478bf21edc964c57841db8cf82ee7f2d56991df903dcf450ab324314c4cf2"
    "c485c677254e3a7fcd88c74ceb3fd91e739f0798778ca132765f6f7e96c3b15f09810ae88a25141ca38b63b2"
    "56edc3db0df003ceec55baa6db087e675b4be430b608d0590eb152aa2574a1c90e92e719e5a2f222313e17a1"
    "de2272c3e6d0638a7e870f34988148b046fd91865cbce88536e5a15005674428534a1f097d1b2eafd79156eb"
    "aefcc954fdfc1d6e268a5f6c91cede5e6825aa763959a855846c965ae48c00ab6b99ae4dca283538179fbf6d"
    "6fb46f490e487cb8c34e5e59f6a8dd6b45f26e069ba942f64d42306bc58413f8147d8ef1e88e218099067896"
    "652ace5766928724579615f9d8cac72ce11837fb475cfd1826a2f3dce495adc2518ec10d1380393b62a36e4b"
    "acca05db2caefe33bc39850dae3c4ea4c2f1bb886d2f88d2398faa7c3c292c3d";

static const char pss_sha512[] =
    "935781219b82d1c3920d74ae4f742b93effc961f53f5f8445f75b7471098f5e8acb4fcf05a9083dc00a97ad3"
    "ad0129350bda813a3f706c399841a782de3cd1b3a3bf48d989b9e8a8258210ab387017d0bedad44a72363629"
    "eec6d7f3ea2c945273fd7da51f80756bb0d6f49f65c112583dc7ede6e1e462e21b22708d32ae8d1fffcd1cd4"
    "bcfb16d03c7d936799faf1c9671ac6d65bb5cc9b819e9a458ec7a8659a7912da8ddbe95fa2cd7bcba56c5e9b"
    "8cc1c18c6874e7674e10449a01c34acf8bf027c8b1c016fdd8ab1cb33d625336e0a71d534c14953cc50fd0e4"
    "3be79d70b140ad76cdfbe2f881211505a295bb538b3647168abe8b679259d7eee9a9119cc4093380518fc6ba"
    "f3fd43e331682270fcfb18ba65305a387468fb3735763eebc5593d050b3aa25a4ef112d6cfa73982977bbdda"
    "348dfb0f52a124b30de55d188967e6ccfb0a12be2b124544057419fce9a3ad600ae824779d445abe02f8e45b"
    "5e0514f072588f3b16cb90a7b99dc129d3fb5219327505f201db8a081354dc24";

static const char pss_mgf_sha512[] =
    "55776e588a9f14a6bf36e0cb699a4e3939f418030da9c655666e1d9dda3e00b5bdb044a2357291b0dc70634a"
    "ad53e6101159be897b58bee3efac1e13811298ca1ac77567e6ab39a6672bfa46673980f5ca5dbe1d40096e91"
    "1a57e617e11a04a411efa2e9a50e1bc863b4a72a54876b92407d4b75e4b99944c77a9320820cd7cec9dd1686"
    "f37d863bc4e8237dcef6a27f2f155cf94c80e5c1779cabcb9d68ff033204ff50342e42149e13ccd8d71a4a07"
    "b6a8f4e3a2d26b929c90c08cc9f2698ea5937f6cbbd36f00d24672fc5d583d1392c479ab641cf34f87c5bf31"
    "d2224e9720aceb6ed8243986054fa5a056d3855997cb3cd21225a38a13b89e405bc121662d021c0608c54732"
    "006f0ea19321ddb38ace605bba71653247790671afd7f32358f1d65ebd01d14649c8bf4590029a2f9a538782"
    "d9145fa04f33c3f60ddd7640f047122c55818a122e6c66228da41c15f8ac4c63f8e9d93bb1f7bc2b2e04c8ce"
    "0ad4d890ba44d7d394ac727c5cb09cbe1cf528babb0adada76dacbcafc6915f3";

static const char pkcs1_15_signature[] =
    "a9d06aa49b3b4372bcf735b298cdd01964227a3bda25a46c66f4fc1c113a94c21648e8fb8fa4909bb3450269"
    "1a4f05d1c8549bf772e2afba12eb5f290d35bededbabe4a270609e463f396926c0db3f0522cf0f1c8986599e"
    "272bd2342cfefb7478877543ec9d2560adaefc6f04f9b51644f018fdd62645540e14bd117186b7f82aa3299f"
    "c8e6af35650c3752d2f974e7d89aa012131d1ed0163dbbefe0dcac3e279bc6f5c0abf0e599c84ce71bc29ff2"
    "02fdc3f458978b967bce8f81384828b5a9f20a8f81a89502c301123e5fd139d8e1451c0643312cd16da591e4"
    "07f70b4129f581a385b00456566a0c9e1d6ce6aad93b94d67dcbd28029ada76a6ca379dc97504d18a56c1ded"
    "5608145fa1a6ebea696e0d1e124e481477f16bd8674a2ed30a096dd9ea0bdd21db6265480f3f4ae2a6dc1d75"
    "b24c5359ff33e88cb9d29da479aaadf183d509554dbd43669349a4096b3f2e1f99f7ed8cb28917b5b39d0491"
    "5c1a09bc4ce6a2c15ee0cc0838167233d54f50355b6a683bcfd30e3deacbc16c";

static const char ec_private[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIPXpBpHAl+fe+lCZJGBrBomrSRFsvJbi0usSmCdZIXkaoAoGCCqGSM49\n"
    "AwEHoUQDQgAEcjTuxkHfIp4pM5BvlTYK7/atP1YYq+gFkKCQijJakRr8KKok0Tjz\n"
    "pbzjo2R7CviXDamo2s2J80VuMTXp6nLk/g==\n"
    "-----END EC PRIVATE KEY-----\n";

static const char ec_public[] = "-----BEGIN PUBLIC KEY-----\n"
                                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcjTuxkHfIp4pM5BvlTYK7/atP1YY\n"
                                "q+gFkKCQijJakRr8KKok0Tjzpbzjo2R7CviXDamo2s2J80VuMTXp6nLk/g==\n"
                                "-----END PUBLIC KEY-----\n";

static const char encrypted_private[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGaMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAiBco8spE2uMAIBATAM\n"
    "BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBAgQQWIBAt1QIrtX30X0VoVM6PARAW9pq\n"
    "oFzUxtalkdYEhtvNGT0zMUoKhY4ah7CMs0VhNN3rgbI6AcP8qqxzpTy6lfUEBkeY\n"
    "PGXCNcnWNdV822lbgw==\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

static struct sign_key *private_of(const char *text, size_t n)
{
    struct sign_key *key;
    const char *why = NULL;
    assert_int_equal(sign_key_read(&key, text, n, &why), ERR_NONE);
    return key;
}

static struct verify_key *public_of(const char *text, size_t n)
{
    struct verify_key *key;
    const char *why = NULL;
    assert_int_equal(verify_key_read(&key, text, n, &why), ERR_NONE);
    return key;
}

/* An rng that gives what it is told to. */
struct told {
    struct rng rng;
    const uint8_t *bytes;
};

static void told_fill(struct rng *rng, void *bytes, size_t n)
{
    memcpy(bytes, CONTAINER_OF(rng, struct told, rng)->bytes, n);
}

static void ed25519_by_the_vectors(void **state)
{
    static const struct {
        const char *seed, *public_key, *message, *signature;
    } vectors[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
         "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
         "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
         "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    static const char spki_begin[] = "302a300506032b6570032100"; /* RFC 8410 section 4 */
    (void)state;
    for (size_t i = 0; i < N_ITEMS(vectors); i++) {
        uint8_t seed[32], spki[44], text[8], expected[64], signature[SIGN_MAX_BYTES];
        struct told told = {.rng = {.fill = told_fill}, .bytes = seed};
        struct sign_key *key;
        size_t n_signature, n_spki, n = hex_bytes(text, sizeof text, vectors[i].message);
        hex_bytes(seed, sizeof seed, vectors[i].seed);
        hex_bytes(expected, sizeof expected, vectors[i].signature);
        size_t n_begin = hex_bytes(spki, sizeof spki, spki_begin);
        hex_bytes(spki + n_begin, sizeof spki - n_begin, vectors[i].public_key);

        assert_int_equal(sign_key_generate(&key, SIGN_ED25519, 0, &told.rng), ERR_NONE);
        assert_int_equal(sign_key_kind(key), SIGN_ED25519);
        const struct verify_key *public_key = sign_key_public(key);
        assert_memory_equal(verify_key_spki(public_key, &n_spki), spki, sizeof spki);
        assert_int_equal(n_spki, sizeof spki);
        assert_int_equal(sign(key, text, n, signature, &n_signature), ERR_NONE);
        assert_int_equal(n_signature, sizeof expected);
        assert_memory_equal(signature, expected, sizeof expected);
        assert_int_equal(verify(public_key, text, n, signature, n_signature), ERR_NONE);
        sign_key_free(key);
    }
}

static enum err verify_hex(const struct verify_key *key, const char *hex)
{
    uint8_t signature[SIGN_MAX_BYTES];
    size_t n = hex_bytes(signature, sizeof signature, hex);
    return verify(key, message, N_MESSAGE, signature, n);
}

static void rsa_signatures_are_pss_with_sha256_and_a_salt_of_32_bytes(void **state)
{
    struct verify_key *key = public_of(rsa_public, sizeof rsa_public - 1);

    (void)state;
    assert_int_equal(verify_hex(key, pss_salt_32), ERR_NONE);
    assert_int_equal(verify_hex(key, pss_salt_20), ERR_AUTH);
    assert_int_equal(verify_hex(key, pss_sha512), ERR_AUTH);
    assert_int_equal(verify_hex(key, pss_mgf_sha512), ERR_AUTH);
    assert_int_equal(verify_hex(key, pkcs1_15_signature), ERR_AUTH);
    verify_key_free(key);
}

static void check_own_signature(const struct sign_key *key, size_t n_expected)
{
    const struct verify_key *public_key = sign_key_public(key);
    uint8_t signature[SIGN_MAX_BYTES];
    char changed[sizeof message];
    size_t n;

    assert_int_equal(sign(key, message, N_MESSAGE, signature, &n), ERR_NONE);
    assert_int_equal(n, n_expected);
    assert_int_equal(verify(public_key, message, N_MESSAGE, signature, n), ERR_NONE);
    for (size_t i = 0; i < n; i++) {
        signature[i] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(verify(public_key, message, N_MESSAGE, signature, n), ERR_AUTH);
        signature[i] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(verify(public_key, message, N_MESSAGE, signature, i), ERR_AUTH);
    }
    for (size_t i = 0; i < N_MESSAGE; i++) {
        memcpy(changed, message, sizeof message);
        changed[i] ^= 1;
        assert_int_equal(verify(public_key, changed, N_MESSAGE, signature, n), ERR_AUTH);
    }
}

/* What was written and is read again is the same key: what one signs, the other verifies. */
static void check_texts(const struct sign_key *key)
{
    char text[SIGN_PEM_MAX_BYTES];
    uint8_t signature[SIGN_MAX_BYTES];
    size_t n, n_spki;
    const uint8_t *spki = verify_key_spki(sign_key_public(key), &n_spki);

    assert_int_equal(sign_key_write(key, text, &n), ERR_NONE);
    assert_memory_equal(text, "-----BEGIN PRIVATE KEY-----\n", 28);
    struct sign_key *private_again = private_of(text, n);
    assert_int_equal(sign_key_kind(private_again), sign_key_kind(key));

    assert_int_equal(verify_key_write(sign_key_public(key), text, &n), ERR_NONE);
    assert_memory_equal(text, "-----BEGIN PUBLIC KEY-----\n", 27);
    struct verify_key *public_again = public_of(text, n);
    assert_true(verify_key_is(public_again, spki, n_spki));
    assert_false(verify_key_is(public_again, spki, n_spki - 1));

    assert_int_equal(sign(private_again, message, N_MESSAGE, signature, &n), ERR_NONE);
    assert_int_equal(verify(public_again, message, N_MESSAGE, signature, n), ERR_NONE);
    sign_key_free(private_again);
    verify_key_free(public_again);
}

static void a_new_ed25519_key_signs_and_is_written(void **state)
{
    struct seeded seeded = seeded_with(3);
    struct sign_key *key, *other;

    (void)state;
    assert_int_equal(sign_key_generate(&key, SIGN_ED25519, 0, &seeded.rng), ERR_NONE);
    assert_int_equal(sign_key_generate(&other, SIGN_ED25519, 0, &seeded.rng), ERR_NONE);
    check_own_signature(key, 64);
    check_texts(key);
    size_t n;
    const uint8_t *spki = verify_key_spki(sign_key_public(other), &n);
    assert_false(verify_key_is(sign_key_public(key), spki, n));
    sign_key_free(other);
    sign_key_free(key);
}

static void a_new_rsa_key_signs_and_is_written(void **state)
{
    struct seeded seeded = seeded_with(4);
    struct sign_key *key;

    (void)state;
    assert_int_equal(sign_key_generate(&key, SIGN_RSA, SIGN_MIN_RSA_BITS, &seeded.rng), ERR_NONE);
    assert_int_equal(sign_key_kind(key), SIGN_RSA);
    check_own_signature(key, SIGN_MIN_RSA_BITS / 8);
    check_texts(key);
    sign_key_free(key);
}

static void another_key_does_not_verify(void **state)
{
    struct seeded seeded = seeded_with(5);
    struct sign_key *key, *other;
    uint8_t signature[SIGN_MAX_BYTES];
    size_t n;

    (void)state;
    assert_int_equal(sign_key_generate(&key, SIGN_ED25519, 0, &seeded.rng), ERR_NONE);
    assert_int_equal(sign_key_generate(&other, SIGN_ED25519, 0, &seeded.rng), ERR_NONE);
    assert_int_equal(sign(key, message, N_MESSAGE, signature, &n), ERR_NONE);
    assert_int_equal(verify(sign_key_public(other), message, N_MESSAGE, signature, n), ERR_AUTH);
    struct verify_key *rsa = public_of(rsa_public, sizeof rsa_public - 1);
    assert_int_equal(verify(rsa, message, N_MESSAGE, signature, n), ERR_AUTH);
    assert_int_equal(verify_hex(sign_key_public(key), pss_salt_32), ERR_AUTH);
    verify_key_free(rsa);
    sign_key_free(other);
    sign_key_free(key);
}

static void what_is_no_key_of_ours_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *text, *private_reason, *public_reason;
    } refused[] = {
        {"", "it holds no private key in PEM", "it holds no public key in PEM"},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
         "it holds no private key in PEM", "it holds no public key in PEM"},
        {rsa_public, "it holds no private key in PEM", NULL},
        {rsa_too_small, "it holds no private key in PEM",
         "it is an RSA key of less than 3072 bits"},
        {ec_private, "it is neither an Ed25519 nor an RSA key", "it holds no public key in PEM"},
        {ec_public, "it holds no private key in PEM", "it is neither an Ed25519 nor an RSA key"},
        {encrypted_private, "it is encrypted, and sockeye knows no passphrase",
         "it is encrypted, and sockeye knows no passphrase"},
    };
    (void)state;
    for (size_t i = 0; i < N_ITEMS(refused); i++) {
        struct sign_key *private_key;
        struct verify_key *public_key;
        const char *why = NULL, *text = refused[i].text;
        assert_int_equal(sign_key_read(&private_key, text, strlen(text), &why), ERR_BAD);
        assert_string_equal(why, refused[i].private_reason);
        if (refused[i].public_reason == NULL)
            continue;
        assert_int_equal(verify_key_read(&public_key, text, strlen(text), &why), ERR_BAD);
        assert_string_equal(why, refused[i].public_reason);
    }
}

static void a_text_that_is_cut_anywhere_is_refused(void **state)
{
    struct verify_key *key;
    const char *why = NULL;

    (void)state;
    for (size_t n = 0; n + 1 < sizeof rsa_public - 1; n++)
        assert_int_equal(verify_key_read(&key, rsa_public, n, &why), ERR_BAD);
}

static void a_text_too_long_is_refused(void **state)
{
    struct sign_key *key;
    const char *why = NULL;
    char *text = calloc(1, SIGN_PEM_MAX_BYTES + 1);

    (void)state;
    assert_int_equal(sign_key_read(&key, text, SIGN_PEM_MAX_BYTES + 1, &why), ERR_BAD);
    assert_string_equal(why, "it is too long");
    free(text);
}

static int load(void **state)
{
    (void)state;
    return crypto_load() == ERR_NONE ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_by_the_vectors),
        cmocka_unit_test(rsa_signatures_are_pss_with_sha256_and_a_salt_of_32_bytes),
        cmocka_unit_test(a_new_ed25519_key_signs_and_is_written),
        cmocka_unit_test(a_new_rsa_key_signs_and_is_written),
        cmocka_unit_test(another_key_does_not_verify),
        cmocka_unit_test(what_is_no_key_of_ours_is_refused_with_its_reason),
        cmocka_unit_test(a_text_that_is_cut_anywhere_is_refused),
        cmocka_unit_test(a_text_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
