#include <arpa/inet.h>

#include "fuzz.h"

static void check_ip(const char *text, size_t n)
{
    struct addr addr, again;
    char formatted[ADDR_TEXT_BYTES], terminated[64];

    enum err err = addr_parse_ip(&addr, text, n);
    if (err == ERR_NONE) {
        size_t length = addr_format_ip(&addr, formatted);
        CHECK(length < ADDR_TEXT_BYTES && strlen(formatted) == length);
        CHECK(addr_parse_ip(&again, formatted, length) == ERR_NONE);
        CHECK(addr_equal(&addr, &again, true));
    }
    /* The system takes terminated text, and no zone. */
    if (n >= sizeof terminated || (n > 0 && (memchr(text, 0, n) || memchr(text, '%', n))))
        return;
    uint8_t expected[16] = {0};
    if (n > 0)
        memcpy(terminated, text, n);
    terminated[n] = '\0';
    int family = inet_pton(AF_INET, terminated, expected) == 1    ? ADDR_V4
                 : inet_pton(AF_INET6, terminated, expected) == 1 ? ADDR_V6
                                                                  : ADDR_NONE;
    CHECK((err == ERR_NONE) == (family != ADDR_NONE));
    if (err == ERR_NONE)
        CHECK(addr.family == family && memcmp(addr.ip, expected, 16) == 0);
}

static void check_with_port(const char *text, size_t n)
{
    struct addr addr, again;
    char formatted[ADDR_TEXT_BYTES];

    if (addr_parse(&addr, text, n) != ERR_NONE)
        return;
    size_t length = addr_format(&addr, formatted);
    CHECK(length < ADDR_TEXT_BYTES && strlen(formatted) == length);
    CHECK(addr_parse(&again, formatted, length) == ERR_NONE);
    CHECK(addr_equal(&addr, &again, true));
}

static void check_block(const char *text, size_t n)
{
    struct cidr cidr;

    if (cidr_parse(&cidr, text, n) != ERR_NONE)
        return;
    struct addr first = {.family = cidr.family};
    memcpy(first.ip, cidr.ip, sizeof first.ip);
    CHECK(cidr_contains(&cidr, &first));
    CHECK(cidr.prefix_bits <= (cidr.family == ADDR_V4 ? 32 : 128));
    if (cidr.prefix_bits > 0) {
        unsigned last = cidr.prefix_bits - 1u;
        first.ip[last / 8] ^= (uint8_t)(0x80 >> last % 8);
        CHECK(!cidr_contains(&cidr, &first));
    }
}

static void check_target(const char *text, size_t n)
{
    struct target target, again;
    char formatted[TARGET_TEXT_BYTES];

    if (target_parse(&target, text, n) == ERR_NONE) {
        CHECK(target_is_sound(&target));
        size_t length = target_format(&target, formatted);
        CHECK(length < TARGET_TEXT_BYTES && strlen(formatted) == length);
        CHECK(target_parse(&again, formatted, length) == ERR_NONE);
        CHECK(same_target(&target, &again));
    }
    if (target_set_host(&target, text, n, 1) == ERR_NONE)
        CHECK(target_is_sound(&target) && target.addr.port == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = (char *)exact_copy(data, n);

    check_ip(text, n);
    check_with_port(text, n);
    check_block(text, n);
    check_target(text, n);
    free(text);
    return 0;
}
