#include "fuzz.h"
#include "wire/socks4.h"

struct result {
    enum err err;
    struct socks4_request request;
    size_t used;
};

static struct result parse(const uint8_t *data, size_t n)
{
    struct result result = {.used = 0};

    result.err = socks4_parse_request(data, n, &result.request, &result.used);
    CHECK(result.err != ERR_MORE || n < SOCKS4_REQUEST_MAX_BYTES);
    if (result.err == ERR_NONE) {
        CHECK(result.used <= n && result.used <= SOCKS4_REQUEST_MAX_BYTES);
        CHECK(slice_within(result.request.user, data, result.used));
        CHECK(target_is_sound(&result.request.target));
    }
    return result;
}

static enum err check(const uint8_t *data, size_t n, const void *expected)
{
    const struct result *whole = expected;
    struct result part = parse(data, n);

    if (part.err != ERR_MORE)
        CHECK(part.err == whole->err && part.used == whole->used);
    if (part.err == ERR_NONE) {
        CHECK(part.request.command == whole->request.command);
        CHECK(same_slice(part.request.user, whole->request.user));
        CHECK(same_target(&part.request.target, &whole->request.target));
    }
    return part.err;
}

/* A reply is a request with other numbers in front: what was written must read as that address. */
static void check_reply(const struct addr *bound)
{
    uint8_t reply[SOCKS4_REPLY_BYTES + 1] = {0};

    socks4_write_reply(reply, SOCKS4_GRANTED, bound);
    CHECK(reply[0] == 0 && reply[1] == SOCKS4_GRANTED);
    reply[0] = SOCKS4_VERSION;
    struct result again = parse(reply, sizeof reply);
    if (bound->family == ADDR_V4 && again.err == ERR_NONE)
        CHECK(addr_equal(&again.request.target.addr, bound, true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct result whole = parse(data, n);

    check_prefixes(check, data, n, &whole, whole.used);
    if (whole.err == ERR_NONE)
        check_reply(&whole.request.target.addr);
    return 0;
}
