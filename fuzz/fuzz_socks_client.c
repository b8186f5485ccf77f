#include "fuzz.h"
#include "wire/socks4.h"
#include "wire/socks5.h"

/* What a proxy may answer to a client; the same bytes are tried as each. */
struct result {
    enum err err;
    size_t used;
    uint8_t method;
    enum err outcome;
    struct addr bound;
};

static struct result parse_method(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};
    result.err = socks5_parse_method(data, n, &result.method, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS5_METHOD_REPLY_BYTES);
    return result;
}

static struct result parse_login_reply(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};
    result.err = socks5_parse_login_reply(data, n, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS5_LOGIN_REPLY_BYTES);
    return result;
}

static struct result parse_reply5(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};
    struct socks5_answer answer = {.err = ERR_NONE};
    result.err = socks5_parse_reply(data, n, &answer, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS5_ANSWER_MAX_BYTES);
    CHECK(result.used <= SOCKS5_ANSWER_MAX_BYTES);
    if (result.err == ERR_NONE)
        CHECK(socks5_code(answer.err) == (data[1] <= 8 ? data[1] : 1));
    result.outcome = answer.err;
    result.bound = answer.bound;
    return result;
}

static struct result parse_reply4(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};
    struct socks4_answer answer = {.err = ERR_NONE};
    result.err = socks4_parse_reply(data, n, &answer, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS4_REPLY_BYTES);
    if (result.err == ERR_NONE)
        CHECK((answer.err == ERR_NONE) == (data[1] == SOCKS4_GRANTED));
    result.outcome = answer.err;
    result.bound = answer.bound;
    return result;
}

static enum err check(struct result part, const struct result *whole, size_t n)
{
    if (part.err != ERR_MORE)
        CHECK(part.err == whole->err && part.used == whole->used);
    if (part.err == ERR_NONE) {
        CHECK(part.used <= n);
        CHECK(part.method == whole->method && part.outcome == whole->outcome);
        CHECK(addr_equal(&part.bound, &whole->bound, true));
    }
    return part.err;
}

static enum err check_method(const uint8_t *data, size_t n, const void *expected)
{
    return check(parse_method(data, n), expected, n);
}

static enum err check_login_reply(const uint8_t *data, size_t n, const void *expected)
{
    return check(parse_login_reply(data, n), expected, n);
}

static enum err check_reply5(const uint8_t *data, size_t n, const void *expected)
{
    return check(parse_reply5(data, n), expected, n);
}

static enum err check_reply4(const uint8_t *data, size_t n, const void *expected)
{
    return check(parse_reply4(data, n), expected, n);
}

/* What is asked for any target is what the proxy's side reads. */
static void check_requests(const struct target *target)
{
    uint8_t bytes5[SOCKS5_REQUEST_MAX_BYTES], bytes4[SOCKS4_REQUEST_MAX_BYTES];
    struct socks5_request request5;
    struct socks4_request request4;
    size_t used, n = socks5_write_request(bytes5, SOCKS5_CONNECT, target);
    CHECK(socks5_parse_request(bytes5, n, &request5, &used) == ERR_NONE && used == n);
    CHECK(same_target(&request5.target, target));
    if (socks4_write_request(bytes4, &n, SOCKS4_CONNECT, target) != ERR_NONE)
        return;
    CHECK(socks4_parse_request(bytes4, n, &request4, &used) == ERR_NONE && used == n);
    CHECK(same_target(&request4.target, target));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct result whole = parse_method(data, n);
    check_prefixes(check_method, data, n, &whole, whole.used);
    whole = parse_login_reply(data, n);
    check_prefixes(check_login_reply, data, n, &whole, whole.used);
    whole = parse_reply5(data, n);
    check_prefixes(check_reply5, data, n, &whole, whole.used);
    whole = parse_reply4(data, n);
    check_prefixes(check_reply4, data, n, &whole, whole.used);

    struct socks5_request request;
    size_t used;
    if (socks5_parse_request(data, n, &request, &used) == ERR_NONE)
        check_requests(&request.target);
    return 0;
}
