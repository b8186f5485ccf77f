/*
 * Text and judgement of addresses. Parsing is strict (what one parser takes for an address no
 * other may take for a different one): four decimal parts or the forms of RFC 4291 section 2.2,
 * nothing before or after. Writing follows RFC 5952.
 */
#include "base/addr.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Parses a decimal number up to max without sign, blanks or leading zeros. */
static bool parse_decimal(uint64_t *out, uint64_t max, const char *text, size_t n)
{
    uint64_t value = 0;

    if (n == 0 || (text[0] == '0' && n > 1))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(text[i]))
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}

static size_t format_decimal(char *out, uint64_t value)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

/* Returns the first c in the text, or n. */
static size_t find(const char *text, size_t n, char c)
{
    const char *at = n > 0 ? memchr(text, c, n) : NULL;
    return at != NULL ? (size_t)(at - text) : n;
}

static bool parse_ipv4(uint8_t ip[static 4], const char *text, size_t n)
{
    for (int part = 0; part < 4; part++) {
        size_t end = part < 3 ? find(text, n, '.') : n;
        uint64_t value;
        if ((part < 3 && end == n) || !parse_decimal(&value, 255, text, end))
            return false;
        ip[part] = (uint8_t)value;
        text += end;
        n -= end;
        if (part < 3) {
            text++;
            n--;
        }
    }
    return true;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Parses one group of one to four hexadecimal digits. */
static bool parse_group(uint8_t out[static 2], const char *text, size_t n)
{
    unsigned value = 0;

    if (n == 0 || n > 4)
        return false;
    for (size_t i = 0; i < n; i++) {
        int digit = hex_value(text[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return true;
}

/* Parses groups up to the end of the text, the last two of which may be written as IPv4. Returns
 * the number of bytes put into ip, at most room, or -1. An empty text is no group. */
static int parse_groups(uint8_t *ip, size_t room, const char *text, size_t n)
{
    size_t used = 0;

    while (n > 0) {
        size_t end = find(text, n, ':');
        if (end == n && find(text, n, '.') < n) {
            if (used + 4 > room || !parse_ipv4(ip + used, text, n))
                return -1;
            return (int)(used + 4);
        }
        if (used + 2 > room || !parse_group(ip + used, text, end))
            return -1;
        used += 2;
        if (end == n)
            break;
        text += end + 1;
        n -= end + 1;
        if (n == 0)
            return -1; /* ends with a single colon */
    }
    return (int)used;
}

static bool parse_ipv6(uint8_t ip[static 16], const char *text, size_t n)
{
    uint8_t tail[16];
    size_t gap = 0;

    while (gap + 1 < n && !(text[gap] == ':' && text[gap + 1] == ':'))
        gap++;
    if (gap + 1 >= n)
        return parse_groups(ip, 16, text, n) == 16;

    /* "::" stands for one group of zeros at least; IPv4 cannot come before it. */
    int n_head = parse_groups(ip, 14, text, gap);
    if (n_head < 0 || find(text, gap, '.') < gap)
        return false;
    int n_tail = parse_groups(tail, 14 - (size_t)n_head, text + gap + 2, n - gap - 2);
    if (n_tail < 0)
        return false;
    memset(ip + n_head, 0, 16 - (size_t)n_head);
    memcpy(ip + 16 - n_tail, tail, (size_t)n_tail);
    return true;
}

/* The addresses whose meaning depends on an interface. Elsewhere the system would ignore a zone,
 * and two texts that differ in it would be one address that compares as two. */
static const struct cidr zoned = {.ip = {0xfe, 0x80}, .family = ADDR_V6, .prefix_bits = 10};

enum err addr_parse_ip(struct addr *out, const char *text, size_t n)
{
    struct addr addr = {0};

    if (find(text, n, ':') == n) {
        if (!parse_ipv4(addr.ip, text, n))
            return ERR_BAD;
        addr.family = ADDR_V4;
    } else {
        size_t percent = find(text, n, '%');
        uint64_t scope = 0;
        if (!parse_ipv6(addr.ip, text, percent))
            return ERR_BAD;
        addr.family = ADDR_V6;
        if (percent < n) {
            if (!cidr_contains(&zoned, &addr) ||
                !parse_decimal(&scope, UINT32_MAX, text + percent + 1, n - percent - 1) ||
                scope == 0)
                return ERR_BAD;
        }
        addr.scope = (uint32_t)scope;
    }
    *out = addr;
    return ERR_NONE;
}

enum err addr_parse_port(uint16_t *out, const char *text, size_t n)
{
    uint64_t value;

    if (!parse_decimal(&value, UINT16_MAX, text, n))
        return ERR_BAD;
    *out = (uint16_t)value;
    return ERR_NONE;
}

enum err addr_parse(struct addr *out, const char *text, size_t n)
{
    struct addr addr;
    uint16_t port;
    size_t colon = n;

    while (colon > 0 && text[colon - 1] != ':')
        colon--;
    if (colon == 0 || addr_parse_port(&port, text + colon, n - colon) != ERR_NONE)
        return ERR_BAD;

    size_t n_ip = colon - 1;
    bool in_brackets = n_ip >= 2 && text[0] == '[' && text[n_ip - 1] == ']';
    if (in_brackets) {
        text++;
        n_ip -= 2;
    }
    if (addr_parse_ip(&addr, text, n_ip) != ERR_NONE || in_brackets != (addr.family == ADDR_V6))
        return ERR_BAD;
    addr.port = port;
    *out = addr;
    return ERR_NONE;
}

static size_t format_ipv4(char *out, const uint8_t ip[static 4])
{
    size_t n = 0;

    for (int i = 0; i < 4; i++) {
        if (i > 0)
            out[n++] = '.';
        n += format_decimal(out + n, ip[i]);
    }
    return n;
}

static size_t format_group(char *out, unsigned value)
{
    size_t n = 0;

    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = value >> shift & 15;
        if (n > 0 || digit > 0 || shift == 0)
            out[n++] = "0123456789abcdef"[digit];
    }
    return n;
}

static unsigned group(const uint8_t ip[static 16], int i)
{
    return (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
}

static bool is_mapped(const uint8_t ip[static 16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip, prefix, sizeof prefix) == 0;
}

/* Finds the run of zero groups that "::" stands for: the longest, of at least two groups, the
 * first of equals. Returns its length, 0 where there is none. */
static int longest_zero_run(const uint8_t ip[static 16], int *start)
{
    int best = 1;

    for (int i = 0; i < 8; i++) {
        int end = i;
        while (end < 8 && group(ip, end) == 0)
            end++;
        if (end - i > best) {
            best = end - i;
            *start = i;
        }
        if (end > i)
            i = end;
    }
    return best > 1 ? best : 0;
}

static size_t format_ipv6(char *out, const uint8_t ip[static 16])
{
    int gap = -1;
    size_t n = 0;

    if (is_mapped(ip)) {
        memcpy(out, "::ffff:", 7);
        return 7 + format_ipv4(out + 7, ip + 12);
    }
    int n_gap = longest_zero_run(ip, &gap);
    for (int i = 0; i < 8;) {
        if (n_gap > 0 && i == gap) {
            out[n++] = ':';
            out[n++] = ':';
            i += n_gap;
            continue;
        }
        if (i > 0 && !(n_gap > 0 && i == gap + n_gap))
            out[n++] = ':';
        n += format_group(out + n, group(ip, i));
        i++;
    }
    return n;
}

size_t addr_format_ip(const struct addr *addr, char out[static ADDR_TEXT_BYTES])
{
    size_t n = 0;

    if (addr->family == ADDR_V4) {
        n = format_ipv4(out, addr->ip);
    } else if (addr->family == ADDR_V6) {
        n = format_ipv6(out, addr->ip);
        if (addr->scope != 0) {
            out[n++] = '%';
            n += format_decimal(out + n, addr->scope);
        }
    }
    out[n] = '\0';
    return n;
}

size_t addr_format(const struct addr *addr, char out[static ADDR_TEXT_BYTES])
{
    char ip[ADDR_TEXT_BYTES];
    size_t n_ip = addr_format_ip(addr, ip);
    size_t n = 0;

    if (n_ip > 0) {
        if (addr->family == ADDR_V6)
            out[n++] = '[';
        memcpy(out + n, ip, n_ip);
        n += n_ip;
        if (addr->family == ADDR_V6)
            out[n++] = ']';
        out[n++] = ':';
        n += format_decimal(out + n, addr->port);
    }
    out[n] = '\0';
    return n;
}

bool addr_equal(const struct addr *a, const struct addr *b, bool with_port)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0 &&
           a->scope == b->scope && (!with_port || a->port == b->port);
}

void addr_unmap(struct addr *addr)
{
    if (addr->family != ADDR_V6 || !is_mapped(addr->ip))
        return;
    memcpy(addr->ip, addr->ip + 12, 4);
    memset(addr->ip + 4, 0, 12);
    addr->scope = 0;
    addr->family = ADDR_V4;
}

/* Whether the first `bits` bits of both are the same. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;

    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

/* Whether the address, unmapped, is in the IPv4 block or in the IPv6 block. */
static bool in_blocks(const struct addr *addr, const struct cidr *v4, const struct cidr *v6)
{
    return cidr_contains(v4, addr) || cidr_contains(v6, addr);
}

bool addr_is_unspecified(const struct addr *addr)
{
    static const struct cidr v4 = {.family = ADDR_V4, .prefix_bits = 8};
    static const struct cidr v6 = {.family = ADDR_V6, .prefix_bits = 128};
    return in_blocks(addr, &v4, &v6);
}

bool addr_is_loopback(const struct addr *addr)
{
    static const struct cidr v4 = {.ip = {127}, .family = ADDR_V4, .prefix_bits = 8};
    static const struct cidr v6 = {.ip = {[15] = 1}, .family = ADDR_V6, .prefix_bits = 128};
    return in_blocks(addr, &v4, &v6);
}

bool addr_is_multicast(const struct addr *addr)
{
    static const struct cidr v4 = {.ip = {224}, .family = ADDR_V4, .prefix_bits = 4};
    static const struct cidr v6 = {.ip = {0xff}, .family = ADDR_V6, .prefix_bits = 8};
    static const struct cidr broadcast = {
        .ip = {255, 255, 255, 255}, .family = ADDR_V4, .prefix_bits = 32};
    return in_blocks(addr, &v4, &v6) || cidr_contains(&broadcast, addr);
}

bool addr_is_link_local(const struct addr *addr)
{
    static const struct cidr v4 = {.ip = {169, 254}, .family = ADDR_V4, .prefix_bits = 16};
    return in_blocks(addr, &v4, &zoned);
}

static bool bits_after_prefix_are_zero(const uint8_t *ip, unsigned bits)
{
    if (bits % 8 != 0 && (ip[bits / 8] & 0xff >> bits % 8) != 0)
        return false;
    for (unsigned i = (bits + 7) / 8; i < 16; i++) {
        if (ip[i] != 0)
            return false;
    }
    return true;
}

enum err cidr_parse(struct cidr *out, const char *text, size_t n)
{
    struct addr addr;
    size_t slash = find(text, n, '/');

    if (n == 1 && text[0] == '*') {
        *out = (struct cidr){.family = ADDR_NONE};
        return ERR_NONE;
    }
    if (addr_parse_ip(&addr, text, slash) != ERR_NONE || addr.scope != 0)
        return ERR_BAD;
    unsigned max = addr.family == ADDR_V4 ? 32 : 128;
    uint64_t bits = max;
    if (slash < n && !parse_decimal(&bits, max, text + slash + 1, n - slash - 1))
        return ERR_BAD;
    if (!bits_after_prefix_are_zero(addr.ip, (unsigned)bits))
        return ERR_BAD;

    /* As addresses are judged unmapped, a block of mapped ones is a block of IPv4. */
    if (addr.family == ADDR_V6 && bits >= 96 && is_mapped(addr.ip)) {
        addr_unmap(&addr);
        bits -= 96;
    }
    *out = (struct cidr){.family = addr.family, .prefix_bits = (uint8_t)bits};
    memcpy(out->ip, addr.ip, sizeof out->ip);
    return ERR_NONE;
}

bool cidr_contains(const struct cidr *cidr, const struct addr *addr)
{
    struct addr plain = *addr;

    if (cidr->family == ADDR_NONE)
        return true;
    addr_unmap(&plain);
    return plain.family == cidr->family && same_prefix(plain.ip, cidr->ip, cidr->prefix_bits);
}
