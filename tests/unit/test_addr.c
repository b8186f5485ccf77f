#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "base/addr.h"
#include "random.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static struct addr ip(const char *text)
{
    struct addr addr;
    assert_int_equal(addr_parse_ip(&addr, text, strlen(text)), ERR_NONE);
    return addr;
}

static struct cidr block(const char *text)
{
    struct cidr cidr;
    assert_int_equal(cidr_parse(&cidr, text, strlen(text)), ERR_NONE);
    return cidr;
}

/* What the system's parser makes of a text. */
static int system_parse(uint8_t bytes[16], const char *text)
{
    memset(bytes, 0, 16);
    if (inet_pton(AF_INET, text, bytes) == 1)
        return ADDR_V4;
    memset(bytes, 0, 16);
    return inet_pton(AF_INET6, text, bytes) == 1 ? ADDR_V6 : ADDR_NONE;
}

static void assert_parses_as_system(const char *text)
{
    uint8_t expected[16];
    struct addr addr = {0};
    int family = system_parse(expected, text);
    enum err err = addr_parse_ip(&addr, text, strlen(text));

    if ((err == ERR_NONE) != (family != ADDR_NONE))
        fail_msg("'%s': %s, but the system says %d", text, err_text(err), family);
    if (err != ERR_NONE)
        return;
    assert_int_equal(addr.family, family);
    assert_memory_equal(addr.ip, expected, 16);
    assert_int_equal(addr.port, 0);
    assert_int_equal(addr.scope, 0);
}

static void addresses_at_the_edges_parse_as_the_system_parses_them(void **state)
{
    static const char *const texts[] = {
        "",
        ".",
        ":",
        "::",
        ":::",
        "0",
        "0.0.0.0",
        "255.255.255.255",
        "256.0.0.1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4.",
        ".1.2.3.4",
        "1..3.4",
        "01.2.3.4",
        "1.2.3.04",
        "0x1.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "+1.2.3.4",
        "-1.2.3.4",
        "1.2.3.1000",
        "127.1",
        "1",
        "4294967295",
        "::1",
        "1::",
        "1::1",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1::2::3",
        "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7",
        "1:2:3:4::5:6:7:8",
        "12345::",
        "g::",
        "::1.2.3.4",
        "::ffff:1.2.3.4",
        "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "::1.2.3",
        "::1.2.3.256",
        "::FFFF",
        "::fFfF",
        "1:2:3::4:",
        "[::1]",
        "::1]",
        "1.2.3.4:80",
        "::%",
        "::1/64",
        "2001:DB8::1",
        "::0000",
        "::00000",
        "0:0:0:0:0:0:0:0",
        "1:::2",
        ":::1",
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(texts); i++)
        assert_parses_as_system(texts[i]);
}

/* Half of the groups are zero, so that runs of them of each length turn up. */
static void random_ipv6(uint64_t *seed, uint8_t bytes[16])
{
    for (int i = 0; i < 16; i += 2) {
        unsigned kind = random_below(seed, 4);
        unsigned value = kind < 2    ? 0
                         : kind == 2 ? random_below(seed, 256)
                                     : random_below(seed, 65536);
        bytes[i] = (uint8_t)(value >> 8);
        bytes[i + 1] = (uint8_t)value;
    }
    if (random_below(seed, 16) == 0) {
        memset(bytes, 0, 10);
        memset(bytes + 10, 0xff, 2);
    }
}

static void random_texts_parse_as_the_system_parses_them(void **state)
{
    static const char alphabet[] = "0123456789abcdefAF:.:.:. g";
    uint64_t seed = 1;
    unsigned n_good = 0;

    (void)state;
    for (int round = 0; round < 400000; round++) {
        char text[64] = "";
        uint8_t bytes[16];
        random_ipv6(&seed, bytes);
        if (random_below(&seed, 3) == 0) {
            size_t n = random_below(&seed, 24);
            for (size_t i = 0; i < n; i++)
                text[i] = alphabet[random_below(&seed, sizeof alphabet - 1)];
        } else {
            inet_ntop(random_below(&seed, 2) ? AF_INET6 : AF_INET, bytes, text, sizeof text);
            size_t n = strlen(text);
            size_t at = random_below(&seed, (unsigned)n);
            switch (random_below(&seed, 4)) {
            case 0:
                text[at] = alphabet[random_below(&seed, sizeof alphabet - 1)];
                break;
            case 1:
                memmove(text + at, text + at + 1, n - at);
                break;
            case 2:
                memmove(text + at + 1, text + at, n - at + 1);
                text[at] = alphabet[random_below(&seed, sizeof alphabet - 1)];
                break;
            }
        }
        uint8_t ignored[16];
        n_good += system_parse(ignored, text) != ADDR_NONE;
        assert_parses_as_system(text);
    }
    /* The texts are no good if nearly all, or nearly none, are addresses. */
    assert_in_range(n_good, 50000, 350000);
}

static void random_addresses_are_written_as_the_system_writes_them(void **state)
{
    uint64_t seed = 2;

    (void)state;
    for (int round = 0; round < 400000; round++) {
        struct addr addr = {.family = round % 2 ? ADDR_V4 : ADDR_V6}, again;
        char text[ADDR_TEXT_BYTES], expected[INET6_ADDRSTRLEN];
        random_ipv6(&seed, addr.ip);
        if (addr.family == ADDR_V4)
            memset(addr.ip + 4, 0, 12);
        size_t n = addr_format_ip(&addr, text);
        assert_int_equal(n, strlen(text));
        assert_int_equal(addr_parse_ip(&again, text, n), ERR_NONE);
        assert_true(addr_equal(&addr, &again, true));

        static const uint8_t zeros[12];
        /* The system writes ::1.2.3.4 for the compatible addresses, which RFC 4291 has ended. */
        if (addr.family == ADDR_V6 && memcmp(addr.ip, zeros, sizeof zeros) == 0)
            continue;
        inet_ntop(addr.family == ADDR_V4 ? AF_INET : AF_INET6, addr.ip, expected, sizeof expected);
        assert_string_equal(text, expected);
    }
}

/* RFC 5952 section 4, and what the system's writer does otherwise. */
static void addresses_are_written_in_canonical_form(void **state)
{
    static const struct {
        const char *text;
        const char *canonical;
    } items[] = {
        {"2001:0db8::0001", "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:DB8::ABCD", "2001:db8::abcd"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"0:0:0:0:0:0:0:1", "::1"},
        {"1:0:0:0:0:0:0:0", "1::"},
        {"::ffff:c000:201", "::ffff:192.0.2.1"},
        {"::192.0.2.1", "::c000:201"},
        {"::1:0", "::1:0"},
        {"fe80::1%3", "fe80::1%3"},
        {"febf::1%4294967295", "febf::1%4294967295"},
        {"255.255.255.255", "255.255.255.255"},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(items); i++) {
        char text[ADDR_TEXT_BYTES];
        struct addr addr = ip(items[i].text);
        addr_format_ip(&addr, text);
        assert_string_equal(text, items[i].canonical);
    }
}

static void a_zone_is_a_number_on_a_link_local_address(void **state)
{
    static const char *const bad[] = {
        "fe80::1%",           "fe80::1%0",  "fe80::1%eth0",
        "fe80::1%4294967296", "fe80::1%01", "fe80::1%1%1",
        "2001:db8::1%1",      "::1%1",      "::ffff:169.254.0.1%1",
        "169.254.0.1%1",      "fec0::1%1",  "%1",
    };
    struct addr addr;

    (void)state;
    assert_int_equal(ip("fe80::1%3").scope, 3);
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (addr_parse_ip(&addr, bad[i], strlen(bad[i])) != ERR_BAD)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void parsing_stops_at_the_length_given(void **state)
{
    struct addr addr;
    struct cidr cidr;
    uint16_t port;

    (void)state;
    assert_int_equal(addr_parse_ip(&addr, "1.2.3.45", 7), ERR_NONE);
    assert_int_equal(addr.ip[3], 4);
    assert_int_equal(addr_parse_ip(&addr, "1.2.3.4\0", 8), ERR_BAD);
    assert_int_equal(addr_parse_ip(&addr, "::1\0", 4), ERR_BAD);
    assert_int_equal(addr_parse_ip(&addr, NULL, 0), ERR_BAD);
    assert_int_equal(cidr_parse(&cidr, "10.0.0.0/88", 10), ERR_NONE);
    assert_int_equal(cidr.prefix_bits, 8);
    assert_int_equal(addr_parse_port(&port, "800", 2), ERR_NONE);
    assert_int_equal(port, 80);
}

static void ports_are_plain_decimal(void **state)
{
    static const char *const bad[] = {
        "", "65536", "99999999999999999999", "-1", "+1", " 1", "1 ", "080", "00", "0x50", "http"};
    uint16_t port;

    (void)state;
    for (unsigned i = 0; i <= UINT16_MAX; i++) {
        char text[8];
        int n = snprintf(text, sizeof text, "%u", i);
        assert_int_equal(addr_parse_port(&port, text, (size_t)n), ERR_NONE);
        assert_int_equal(port, i);
    }
    for (size_t i = 0; i < N_ITEMS(bad); i++)
        assert_int_equal(addr_parse_port(&port, bad[i], strlen(bad[i])), ERR_BAD);
}

static void an_address_with_its_port_goes_there_and_back(void **state)
{
    static const char *const good[] = {"192.0.2.1:80", "[2001:db8::1]:65535", "[::]:0",
                                       "[fe80::1%2]:22"};
    static const char *const bad[] = {
        "",        "192.0.2.1",     "192.0.2.1:",  ":80",     "[::1]",     "[::1]:",
        "::1:80",  "[192.0.2.1]:1", "[::1:80",     "::1]:80", "[]:80",     "[::1]80",
        "[::1]:a", "[[::1]]:80",    "1.2.3.4:080", "[:80",    "[::1] :80", "host:80",
    };
    struct addr addr;
    char text[ADDR_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < N_ITEMS(good); i++) {
        assert_int_equal(addr_parse(&addr, good[i], strlen(good[i])), ERR_NONE);
        assert_int_equal(addr_format(&addr, text), strlen(good[i]));
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (addr_parse(&addr, bad[i], strlen(bad[i])) != ERR_BAD)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void the_longest_texts_fit_and_no_address_is_no_text(void **state)
{
    struct addr longest = {.family = ADDR_V6, .scope = UINT32_MAX, .port = UINT16_MAX};
    struct addr none = {.port = 80};
    struct target target;
    char text[ADDR_TEXT_BYTES], target_text[TARGET_TEXT_BYTES];
    char name[HOST_NAME_MAX_BYTES];

    (void)state;
    memset(longest.ip, 0xfe, sizeof longest.ip);
    assert_true(addr_format(&longest, text) < ADDR_TEXT_BYTES);
    assert_string_equal(text, "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe%4294967295]:65535");
    assert_int_equal(addr_format(&none, text), 0);
    assert_string_equal(text, "");

    memset(name, 'n', sizeof name);
    assert_int_equal(target_set_host(&target, name, sizeof name, 65535), ERR_NONE);
    assert_int_equal(target_format(&target, target_text), sizeof name + 6);
    assert_int_equal(strlen(target_text), sizeof name + 6);
    assert_string_equal(target_text + sizeof name, ":65535");
}

static void equality_looks_at_all_parts(void **state)
{
    struct addr a = ip("192.0.2.1"), b = a;

    (void)state;
    b.port = 1;
    assert_true(addr_equal(&a, &b, false));
    assert_false(addr_equal(&a, &b, true));
    b = ip("192.0.2.2");
    assert_false(addr_equal(&a, &b, false));
    a = ip("fe80::1%1");
    b = ip("fe80::1%2");
    assert_false(addr_equal(&a, &b, false));
    a = ip("::");
    b = ip("0.0.0.0");
    assert_false(addr_equal(&a, &b, false));
}

static void only_mapped_addresses_become_ipv4(void **state)
{
    static const char *const others[] = {"::192.0.2.1", "::fffe:192.0.2.1", "1::ffff:192.0.2.1",
                                         "64:ff9b::192.0.2.1", "192.0.2.1"};
    struct addr mapped = ip("::ffff:192.0.2.1"), plain = ip("192.0.2.1");

    (void)state;
    mapped.port = plain.port = 80;
    addr_unmap(&mapped);
    assert_true(addr_equal(&mapped, &plain, true));
    for (size_t i = 0; i < N_ITEMS(others); i++) {
        struct addr before = ip(others[i]), after = before;
        addr_unmap(&after);
        assert_true(addr_equal(&before, &after, true));
    }
}

static void each_special_block_is_known_from_its_first_to_its_last_address(void **state)
{
    static const struct {
        bool (*judge)(const struct addr *);
        const char *inside[6];
        const char *outside[6];
    } items[] = {
        {addr_is_unspecified,
         {"0.0.0.0", "0.255.255.255", "::", "::ffff:0.0.0.1"},
         {"1.0.0.0", "::1", "255.255.255.255"}},
        {addr_is_loopback,
         {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"},
         {"126.255.255.255", "128.0.0.0", "::", "::2", "::ffff:128.0.0.0", "::127.0.0.1"}},
        {addr_is_multicast,
         {"224.0.0.0", "239.255.255.255", "255.255.255.255", "ff00::", "ffff::1",
          "::ffff:224.0.0.1"},
         {"223.255.255.255", "240.0.0.0", "255.255.255.254", "feff::1", "::ff00"}},
        {addr_is_link_local,
         {"169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::1", "::ffff:169.254.1.1",
          "fe80::1%7"},
         {"169.253.255.255", "169.255.0.0", "fe7f::", "fec0::"}},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(items); i++) {
        for (size_t k = 0; k < 6 && items[i].inside[k] != NULL; k++) {
            struct addr addr = ip(items[i].inside[k]);
            if (!items[i].judge(&addr))
                fail_msg("%s is outside block %zu", items[i].inside[k], i);
        }
        for (size_t k = 0; k < 6 && items[i].outside[k] != NULL; k++) {
            struct addr addr = ip(items[i].outside[k]);
            if (items[i].judge(&addr))
                fail_msg("%s is inside block %zu", items[i].outside[k], i);
        }
    }
}

static void blocks_parse_only_in_full(void **state)
{
    static const char *const bad[] = {
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "::/129",
        "2001:db8::1/64",
        "10/8",
        "**",
        "* ",
        "fe80::1%1",
        "fe80::%1/10",
        "10.0.0.0/8/8",
        "*/0",
        "128.0.0.0/0",
        "::ffff:10.0.0.1/104",
    };
    struct cidr cidr;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (cidr_parse(&cidr, bad[i], strlen(bad[i])) != ERR_BAD)
            fail_msg("'%s' was taken", bad[i]);
    }
    assert_int_equal(block("10.1.2.3").prefix_bits, 32);
    assert_int_equal(block("::1").prefix_bits, 128);
    assert_int_equal(block("*").family, ADDR_NONE);
}

static void acc_72_an_ipv4_block_holds_for_mapped_addresses(void **state)
{
    struct cidr cidr = block("10.0.0.0/8"), mapped = block("::ffff:10.0.0.0/104");
    struct cidr all_mapped = block("::ffff:0:0/96");
    struct addr plain = ip("10.255.0.1"), six = ip("::ffff:10.255.0.1"),
                other = ip("::ffff:11.0.0.0");

    (void)state;
    assert_true(cidr_contains(&cidr, &plain));
    assert_true(cidr_contains(&cidr, &six));
    assert_false(cidr_contains(&cidr, &other));
    assert_true(cidr_contains(&mapped, &plain));
    assert_true(cidr_contains(&mapped, &six));
    assert_false(cidr_contains(&mapped, &other));
    assert_true(cidr_contains(&all_mapped, &plain));
}

static void a_block_holds_exactly_its_prefix(void **state)
{
    uint64_t seed = 3;
    struct cidr any = block("*"), all_v4 = block("0.0.0.0/0"), all_v6 = block("::/0");
    struct addr v4 = ip("192.0.2.1"), v6 = ip("2001:db8::1"), none = {0};

    (void)state;
    for (int round = 0; round < 100000; round++) {
        struct addr addr = {.family = round % 2 ? ADDR_V4 : ADDR_V6};
        unsigned max = addr.family == ADDR_V4 ? 32 : 128;
        unsigned bits = random_below(&seed, max + 1);
        struct cidr cidr = {.family = addr.family, .prefix_bits = (uint8_t)bits};
        random_ipv6(&seed, addr.ip);
        addr.ip[0] |= 0x20; /* not a mapped one */
        if (addr.family == ADDR_V4)
            memset(addr.ip + 4, 0, 12);
        for (unsigned i = 0; i < bits; i++)
            cidr.ip[i / 8] |= (uint8_t)(addr.ip[i / 8] & 0x80 >> i % 8);
        assert_true(cidr_contains(&cidr, &addr));

        unsigned flipped = random_below(&seed, max);
        addr.ip[flipped / 8] ^= (uint8_t)(0x80 >> flipped % 8);
        assert_int_equal(cidr_contains(&cidr, &addr), flipped >= bits);
    }
    assert_true(cidr_contains(&any, &v4) && cidr_contains(&any, &v6) && cidr_contains(&any, &none));
    assert_true(cidr_contains(&all_v4, &v4) && cidr_contains(&all_v6, &v6));
    assert_false(cidr_contains(&all_v4, &v6) || cidr_contains(&all_v6, &v4));
    assert_false(cidr_contains(&all_v4, &none));
}

static void a_host_is_an_address_where_it_reads_as_one_else_a_name(void **state)
{
    struct target target;

    (void)state;
    assert_int_equal(target_set_host(&target, "192.0.2.1", 9, 80), ERR_NONE);
    assert_int_equal(target.addr.family, ADDR_V4);
    assert_int_equal(target.addr.port, 80);
    assert_int_equal(target.name_bytes, 0);
    assert_int_equal(target_set_host(&target, "2001:db8::1", 11, 80), ERR_NONE);
    assert_int_equal(target.addr.family, ADDR_V6);
    assert_int_equal(target_set_host(&target, "Example.com.", 12, 443), ERR_NONE);
    assert_int_equal(target.addr.family, ADDR_NONE);
    assert_int_equal(target.addr.port, 443);
    assert_int_equal(target.name_bytes, 12);
    assert_string_equal(target.name, "Example.com.");
    assert_int_equal(target_set_host(&target,
                                     "b\xc3\xbc"
                                     "cher.example",
                                     14, 1),
                     ERR_NONE);
    assert_int_equal(target_set_host(&target, "a_b-c.x", 7, 1), ERR_NONE);
    assert_int_equal(target_set_host(&target, "0xfg", 4, 1), ERR_NONE);
    assert_int_equal(target_set_host(&target, "ab", 2, 1), ERR_NONE);
    assert_int_equal(target_set_host(&target, "ax12", 4, 1), ERR_NONE);
    assert_int_equal(target_set_host(&target, "0a.cafe", 7, 1), ERR_NONE);
    assert_int_equal(target_set_host(&target, "1.2.3.4.example", 15, 1), ERR_NONE);
}

static void what_is_no_host_is_refused(void **state)
{
    static const char *const bad[] = {
        "a b",      "a\tb",      "a\nb",       "a/b",        "a:b",
        "a@b",      "a?b",       "a#b",        "a%b",        "[::1]",
        "[::1",     "::1]",      "a\\b",       "a\x7f-b",    "a<b",
        "a|b",      "127.1",     "0x7f000001", "2130706433", "0177.0.0.1",
        "1.2.3.4.", "1.2.3.0x4", "0x",         "a.1",        "256.256.256.256",
        ".",        "..",        ".a",         "a..b",       "10.0.0.1..",
        "a.0X1.",
    };
    char name[HOST_NAME_MAX_BYTES + 1];
    struct target target;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (target_set_host(&target, bad[i], strlen(bad[i]), 80) != ERR_BAD)
            fail_msg("'%s' was taken", bad[i]);
    }
    memset(name, 'a', sizeof name);
    assert_int_equal(target_set_host(&target, name, sizeof name, 80), ERR_BAD);
    assert_int_equal(target_set_host(&target, name, sizeof name - 1, 80), ERR_NONE);
    assert_int_equal(target_set_host(&target, "", 0, 80), ERR_BAD);
    assert_int_equal(target_set_host(&target, "a\0b", 3, 80), ERR_BAD);
    for (int c = 0; c <= ' '; c++) {
        char host[3] = {'a', (char)c, 'b'};
        assert_int_equal(target_set_host(&target, host, 3, 80), ERR_BAD);
    }
}

static void targets_go_there_and_back(void **state)
{
    static const char *const good[] = {"example.com:443", "1.2.3.4:80", "[::1]:80", "a:0",
                                       "[fe80::1%1]:65535"};
    static const char *const bad[] = {
        "",      ":80",       "example.com", "example.com:", "a:b:80",   "::1:80",
        "[::1]", "[a]:80",    "a:080",       "a:65536",      "a: 80",    "[1.2.3.4]:1",
        "a:80:", "[::1]:80x", "u@h:80",      "/a:80",        "127.1:80", "a:80 ",
    };
    struct target target;
    char text[TARGET_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < N_ITEMS(good); i++) {
        assert_int_equal(target_parse(&target, good[i], strlen(good[i])), ERR_NONE);
        assert_int_equal(target_format(&target, text), strlen(good[i]));
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        if (target_parse(&target, bad[i], strlen(bad[i])) != ERR_BAD)
            fail_msg("'%s' was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_at_the_edges_parse_as_the_system_parses_them),
        cmocka_unit_test(random_texts_parse_as_the_system_parses_them),
        cmocka_unit_test(random_addresses_are_written_as_the_system_writes_them),
        cmocka_unit_test(addresses_are_written_in_canonical_form),
        cmocka_unit_test(a_zone_is_a_number_on_a_link_local_address),
        cmocka_unit_test(parsing_stops_at_the_length_given),
        cmocka_unit_test(ports_are_plain_decimal),
        cmocka_unit_test(an_address_with_its_port_goes_there_and_back),
        cmocka_unit_test(the_longest_texts_fit_and_no_address_is_no_text),
        cmocka_unit_test(equality_looks_at_all_parts),
        cmocka_unit_test(only_mapped_addresses_become_ipv4),
        cmocka_unit_test(each_special_block_is_known_from_its_first_to_its_last_address),
        cmocka_unit_test(blocks_parse_only_in_full),
        cmocka_unit_test(acc_72_an_ipv4_block_holds_for_mapped_addresses),
        cmocka_unit_test(a_block_holds_exactly_its_prefix),
        cmocka_unit_test(a_host_is_an_address_where_it_reads_as_one_else_a_name),
        cmocka_unit_test(what_is_no_host_is_refused),
        cmocka_unit_test(targets_go_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
