/* What clients ask for: a host, as a name or as an address, and a port. */
#include "base/addr.h"

#include <string.h>

/* Bytes that no host name holds: controls, space, and what ends or delimits a host in a URL (the
 * "forbidden domain code points" of the URL standard). Whoever passes the name on, to a
 * resolver, an upstream or a log, need not fear them. Bytes from 0x80 may be a name in UTF-8. */
static bool is_host_byte(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr("#%/:<>?@[\\]^|", c) == NULL;
}

/*
 * Whether the last label is a number, decimal or 0x...: such a text ("127.1", "0x7f000001",
 * "10.0.0.1.") is an IPv4 address to inet_aton() and to nobody a name. As it is none to
 * addr_parse_ip(), it would pass by every rule about addresses.
 */
static bool ends_in_number(const char *host, size_t n)
{
    if (n > 0 && host[n - 1] == '.')
        n--;
    size_t start = n;
    while (start > 0 && host[start - 1] != '.')
        start--;
    host += start;
    n -= start;

    bool is_hex = n >= 2 && host[0] == '0' && (host[1] | 0x20) == 'x';
    const char *digits = is_hex ? "0123456789abcdefABCDEF" : "0123456789";
    for (size_t i = is_hex ? 2 : 0; i < n; i++) {
        if (strchr(digits, host[i]) == NULL)
            return false;
    }
    return n > 0;
}

/*
 * Whether a label is empty, but for the root's behind one last dot. No such name can be looked up, but
 * there are proxies that drop all dots at the end: what passed by the rules for the name would reach it
 * through them.
 */
static bool has_empty_label(const char *host, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (host[i] == '.' && (i == 0 || host[i - 1] == '.'))
            return true;
    }
    return false;
}

enum err target_set_host(struct target *out, const char *host, size_t n, uint16_t port)
{
    if (n == 0 || n > HOST_NAME_MAX_BYTES)
        return ERR_BAD;
    struct target target = {0};
    if (addr_parse_ip(&target.addr, host, n) != ERR_NONE) {
        for (size_t i = 0; i < n; i++) {
            if (!is_host_byte(host[i]))
                return ERR_BAD;
        }
        if (ends_in_number(host, n) || has_empty_label(host, n))
            return ERR_BAD;
        memcpy(target.name, host, n);
        target.name_bytes = (uint8_t)n;
    }
    target.addr.port = port;
    *out = target;
    return ERR_NONE;
}

enum err target_parse(struct target *out, const char *text, size_t n)
{
    size_t colon = 0;
    uint16_t port;

    if (n > 0 && text[0] == '[') {
        struct target target = {0};
        if (addr_parse(&target.addr, text, n) != ERR_NONE)
            return ERR_BAD;
        *out = target;
        return ERR_NONE;
    }
    /* The first colon ends the host: what has more of them lacks its brackets. */
    while (colon < n && text[colon] != ':')
        colon++;
    if (colon == n || addr_parse_port(&port, text + colon + 1, n - colon - 1) != ERR_NONE)
        return ERR_BAD;
    return target_set_host(out, text, colon, port);
}

bool target_same_name(const struct target *a, const struct target *b)
{
    return a->name_bytes == b->name_bytes && memcmp(a->name, b->name, a->name_bytes) == 0;
}

size_t target_format(const struct target *target, char out[static TARGET_TEXT_BYTES])
{
    if (target->name_bytes == 0)
        return addr_format(&target->addr, out);

    struct addr port_only = {.family = ADDR_V4, .port = target->addr.port};
    char text[ADDR_TEXT_BYTES];
    size_t n = target->name_bytes;
    size_t n_text = addr_format(&port_only, text);
    const char *colon = strchr(text, ':');
    size_t n_port = n_text - (size_t)(colon - text);

    memcpy(out, target->name, n);
    memcpy(out + n, colon, n_port + 1);
    return n + n_port;
}
