#include "fuzz.h"
#include "wire/socks5.h"

/* The three messages of a client; the same bytes are tried as each. */
struct result {
    enum err err;
    size_t used;
    struct socks5_greeting greeting;
    struct socks5_login login;
    struct socks5_request request;
};

static struct result parse_greeting(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};

    result.err = socks5_parse_greeting(data, n, &result.greeting, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS5_GREETING_MAX_BYTES);
    if (result.err == ERR_NONE) {
        CHECK(result.used <= n);
        CHECK(result.greeting.methods + result.greeting.n_methods == data + result.used);
    }
    return result;
}

static enum err check_greeting(const uint8_t *data, size_t n, const void *expected)
{
    const struct result *whole = expected;
    struct result part = parse_greeting(data, n);

    if (part.err != ERR_MORE)
        CHECK(part.err == whole->err && part.used == whole->used);
    if (part.err == ERR_NONE) {
        for (unsigned method = 0; method < 256; method++) {
            CHECK(socks5_offers(&part.greeting, (enum socks5_method)method) ==
                  socks5_offers(&whole->greeting, (enum socks5_method)method));
        }
    }
    return part.err;
}

static struct result parse_login(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};

    result.err = socks5_parse_login(data, n, &result.login, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS5_LOGIN_MAX_BYTES);
    if (result.err == ERR_NONE) {
        CHECK(result.used <= n && result.login.user.n > 0);
        CHECK(slice_within(result.login.user, data, result.used));
        CHECK(slice_within(result.login.password, data, result.used));
    }
    return result;
}

static enum err check_login(const uint8_t *data, size_t n, const void *expected)
{
    const struct result *whole = expected;
    struct result part = parse_login(data, n);

    if (part.err != ERR_MORE)
        CHECK(part.err == whole->err && part.used == whole->used);
    if (part.err == ERR_NONE) {
        CHECK(same_slice(part.login.user, whole->login.user));
        CHECK(same_slice(part.login.password, whole->login.password));
    }
    return part.err;
}

static struct result parse_request(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};

    result.err = socks5_parse_request(data, n, &result.request, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS5_REQUEST_MAX_BYTES);
    if (result.err == ERR_NONE) {
        CHECK(result.used <= n && result.used <= SOCKS5_REQUEST_MAX_BYTES);
        CHECK(target_is_sound(&result.request.target));
    }
    return result;
}

static enum err check_request(const uint8_t *data, size_t n, const void *expected)
{
    const struct result *whole = expected;
    struct result part = parse_request(data, n);

    if (part.err != ERR_MORE)
        CHECK(part.err == whole->err && part.used == whole->used);
    if (part.err == ERR_NONE) {
        CHECK(part.request.command == whole->request.command);
        CHECK(same_target(&part.request.target, &whole->request.target));
    }
    return part.err;
}

/* A reply has the layout of a request: what was written must read as that address. */
static void check_reply(const struct addr *bound, enum socks5_reply code)
{
    uint8_t reply[SOCKS5_REPLY_MAX_BYTES];
    size_t n = socks5_write_reply(reply, code, bound);
    struct result again = parse_request(reply, n);

    CHECK(again.err == ERR_NONE && again.used == n && again.request.command == (uint8_t)code);
    struct addr expected = *bound;
    if (expected.family == ADDR_NONE)
        expected.family = ADDR_V4;
    expected.scope = 0; /* no reply has room for it */
    CHECK(addr_equal(&again.request.target.addr, &expected, true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct result whole = parse_greeting(data, n);
    check_prefixes(check_greeting, data, n, &whole, whole.used);
    whole = parse_login(data, n);
    check_prefixes(check_login, data, n, &whole, whole.used);
    whole = parse_request(data, n);
    check_prefixes(check_request, data, n, &whole, whole.used);
    if (whole.err == ERR_NONE)
        check_reply(&whole.request.target.addr, (enum socks5_reply)whole.request.command);
    return 0;
}
