/*
 * Addresses without the system's types: IPv4 and IPv6 addresses with a port, CIDR blocks, and
 * targets (an address or a host name, and a port). Text forms are those of RFC 4291 and RFC 5952;
 * IPv4 is four decimal parts, never octal, hexadecimal or short.
 *
 * An IPv4-mapped IPv6 address (::ffff:0:0/96) is made IPv4 by addr_unmap(), which whoever judges
 * an address calls first, so that no rule is passed by writing the same address differently.
 */
#ifndef SOCKEYE_BASE_ADDR_H
#define SOCKEYE_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum addr_family {
    ADDR_NONE = 0,
    ADDR_V4 = 4,
    ADDR_V6 = 6,
};

struct addr {
    uint8_t ip[16]; /* network order; an IPv4 address is in the first four, the others zero */
    uint32_t scope; /* IPv6 zone index, 0 none */
    uint16_t port;  /* host order */
    uint8_t family; /* enum addr_family */
};

struct cidr {
    uint8_t ip[16]; /* bits beyond the prefix are zero */
    uint8_t family; /* enum addr_family; ADDR_NONE matches every address ("*") */
    uint8_t prefix_bits;
};

#define HOST_NAME_MAX_BYTES 255 /* what SOCKS5 and DNS allow */

/* What a client asked for. */
struct target {
    struct addr addr;                   /* its port always holds; family NONE: look up `name` */
    uint8_t name_bytes;                 /* 0 where the target is an address */
    char name[HOST_NAME_MAX_BYTES + 1]; /* zero terminated, no zero byte inside */
};

#define ADDR_TEXT_BYTES 64    /* "[ipv6%scope]:port" and its zero */
#define TARGET_TEXT_BYTES 264 /* "name:port" and its zero */

/* Parses an address without a port ("192.0.2.1", "2001:db8::1", "fe80::1%3") from n bytes of
 * text; the port is set to 0. A zone is an interface's index, on fe80::/10 only. ERR_BAD: it is
 * not one. */
NODISCARD enum err addr_parse_ip(struct addr *out, const char *text, size_t n);

/* Parses "192.0.2.1:80" or "[2001:db8::1]:80". ERR_BAD: it is not one. */
NODISCARD enum err addr_parse(struct addr *out, const char *text, size_t n);

/* Parses a port, 0 to 65535, decimal, no sign, no leading zeros but "0". */
NODISCARD enum err addr_parse_port(uint16_t *out, const char *text, size_t n);

/* Writes "192.0.2.1:80" or "[2001:db8::1]:80", zero terminated; returns its length. Of family
 * NONE nothing is written. */
size_t addr_format(const struct addr *addr, char out[static ADDR_TEXT_BYTES]);

/* As addr_format(), without port and brackets. */
size_t addr_format_ip(const struct addr *addr, char out[static ADDR_TEXT_BYTES]);

/* Same family, address and scope; with_port compares ports too. */
bool addr_equal(const struct addr *a, const struct addr *b, bool with_port);

/* ::ffff:192.0.2.1 becomes 192.0.2.1; anything else stays. */
void addr_unmap(struct addr *addr);

/* These judge the address unmapped. */
bool addr_is_unspecified(const struct addr *addr); /* 0.0.0.0/8, :: */
bool addr_is_loopback(const struct addr *addr);    /* 127.0.0.0/8, ::1 */
bool addr_is_multicast(const struct addr *addr);   /* 224.0.0.0/4, ff00::/8; 255.255.255.255 too */
bool addr_is_link_local(const struct addr *addr);  /* 169.254.0.0/16, fe80::/10 */

/* Parses "10.0.0.0/8", "2001:db8::/32", a bare address (the whole of it) or "*". A block inside
 * ::ffff:0:0/96 becomes the IPv4 block. ERR_BAD: it is none, has a zone, or bits set beyond the
 * prefix. */
NODISCARD enum err cidr_parse(struct cidr *out, const char *text, size_t n);

/* Whether the block holds the address, which is judged unmapped. */
bool cidr_contains(const struct cidr *cidr, const struct addr *addr);

/* Makes a target of a host's text and a port: an address literal where it is one (without
 * brackets), else a name. ERR_BAD: empty, longer than 255, with bytes that no name has (controls,
 * spaces, and the bytes that end a host in a URL), with an empty label, or with a number as its last
 * one: "127.1", "0x7f000001" and "10.0.0.1.." are addresses to some resolvers and proxies and would
 * pass by every rule about addresses. */
NODISCARD enum err target_set_host(struct target *out, const char *host, size_t n, uint16_t port);

/* Parses "host:port", "1.2.3.4:80", "[::1]:80". ERR_BAD: it is not one. */
NODISCARD enum err target_parse(struct target *out, const char *text, size_t n);

/* Whether it is neither a name nor an address: a tunnel's far end is to say where it leads to. */
static inline bool target_is_open(const struct target *target)
{
    return target->name_bytes == 0 && target->addr.family == ADDR_NONE;
}

/* Whether both have the same name, to the byte; the ports do not count. */
bool target_same_name(const struct target *a, const struct target *b);

/* Writes "name:port" or the address's text, zero terminated; returns its length. */
size_t target_format(const struct target *target, char out[static TARGET_TEXT_BYTES]);

#endif
