#include "wire/socks5.h"

#include <assert.h>
#include <string.h>

enum address_type { TYPE_IPV4 = 1, TYPE_DOMAIN = 3, TYPE_IPV6 = 4 };

enum { REQUEST_HEADER_BYTES = 4, UDP_HEADER_BYTES = 4, PORT_BYTES = 2 };

enum err socks5_parse_greeting(const uint8_t *bytes, size_t n, struct socks5_greeting *out,
                               size_t *used)
{
    if (n > 0 && bytes[0] != SOCKS5_VERSION)
        return ERR_VERSION;
    if (n < 2 || n - 2 < bytes[1])
        return ERR_MORE;
    *out = (struct socks5_greeting){.methods = bytes + 2, .n_methods = bytes[1]};
    *used = 2 + (size_t)bytes[1];
    return ERR_NONE;
}

bool socks5_offers(const struct socks5_greeting *greeting, enum socks5_method method)
{
    return greeting->n_methods > 0 && method != SOCKS5_METHOD_UNACCEPTABLE &&
           memchr(greeting->methods, (int)method, greeting->n_methods) != NULL;
}

void socks5_write_method(uint8_t out[static SOCKS5_METHOD_REPLY_BYTES], enum socks5_method method)
{
    out[0] = SOCKS5_VERSION;
    out[1] = (uint8_t)method;
}

/* Takes a text with its length before it from offset *at, and moves *at behind it. */
static bool take_counted(struct slice *out, const uint8_t *bytes, size_t n, size_t *at)
{
    if (n - *at < 1 || n - *at - 1 < bytes[*at])
        return false;
    *out = (struct slice){.at = (const char *)bytes + *at + 1, .n = bytes[*at]};
    *at += 1 + out->n;
    return true;
}

enum err socks5_parse_login(const uint8_t *bytes, size_t n, struct socks5_login *out, size_t *used)
{
    size_t at = 1;

    if (n > 0 && bytes[0] != SOCKS5_LOGIN_VERSION)
        return ERR_VERSION;
    if (n > 1 && bytes[1] == 0)
        return ERR_BAD;
    if (n < 2 || !take_counted(&out->user, bytes, n, &at) ||
        !take_counted(&out->password, bytes, n, &at))
        return ERR_MORE;
    *used = at;
    return ERR_NONE;
}

void socks5_write_login_reply(uint8_t out[static SOCKS5_LOGIN_REPLY_BYTES], bool ok)
{
    out[0] = SOCKS5_LOGIN_VERSION;
    out[1] = ok ? 0 : 1;
}

static uint16_t read_port(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* Takes an address of so many bytes and its port. */
static enum err take_address(struct target *out, enum addr_family family, size_t ip_bytes,
                             const uint8_t *bytes, size_t n, size_t *at)
{
    if (n - *at < ip_bytes + PORT_BYTES)
        return ERR_MORE;
    *out = (struct target){.addr = {.family = (uint8_t)family}};
    memcpy(out->addr.ip, bytes + *at, ip_bytes);
    out->addr.port = read_port(bytes + *at + ip_bytes);
    *at += ip_bytes + PORT_BYTES;
    return ERR_NONE;
}

static enum err take_domain(struct target *out, const uint8_t *bytes, size_t n, size_t *at)
{
    struct slice name;

    if (n - *at > 0 && bytes[*at] == 0)
        return ERR_BAD;
    if (!take_counted(&name, bytes, n, at) || n - *at < PORT_BYTES)
        return ERR_MORE;
    uint16_t port = read_port(bytes + *at);
    *at += PORT_BYTES;
    return target_set_host(out, name.at, name.n, port);
}

static enum err take_target(struct target *out, uint8_t type, const uint8_t *bytes, size_t n,
                            size_t *at)
{
    switch (type) {
    case TYPE_IPV4:
        return take_address(out, ADDR_V4, 4, bytes, n, at);
    case TYPE_IPV6:
        return take_address(out, ADDR_V6, 16, bytes, n, at);
    case TYPE_DOMAIN:
        return take_domain(out, bytes, n, at);
    default:
        return ERR_ADDRESS_TYPE;
    }
}

enum err socks5_parse_request(const uint8_t *bytes, size_t n, struct socks5_request *out,
                              size_t *used)
{
    size_t at = REQUEST_HEADER_BYTES;

    if (n > 0 && bytes[0] != SOCKS5_VERSION)
        return ERR_VERSION;
    if (n < REQUEST_HEADER_BYTES)
        return ERR_MORE;
    out->command = bytes[1];
    enum err err = take_target(&out->target, bytes[3], bytes, n, &at);
    bool is_domain = at > REQUEST_HEADER_BYTES;
    if (err == ERR_BAD && is_domain && out->command == SOCKS5_UDP_ASSOCIATE) {
        out->target = (struct target){
            .addr = {.family = ADDR_V4, .port = read_port(bytes + at - PORT_BYTES)}};
        err = ERR_NONE;
    }
    if (err == ERR_NONE)
        *used = at;
    return err;
}

/* Errors without an entry are general failures. */
static const uint8_t codes[N_ERRS] = {
    [ERR_DENIED] = SOCKS5_NOT_ALLOWED,
    [ERR_NET_UNREACH] = SOCKS5_NET_UNREACHABLE,
    [ERR_HOST_UNREACH] = SOCKS5_HOST_UNREACHABLE,
    [ERR_LOOKUP] = SOCKS5_HOST_UNREACHABLE,
    [ERR_TIMEOUT] = SOCKS5_HOST_UNREACHABLE,
    [ERR_REFUSED] = SOCKS5_REFUSED,
    [ERR_TTL_EXPIRED] = SOCKS5_TTL_EXPIRED,
    [ERR_COMMAND] = SOCKS5_COMMAND_NOT_SUPPORTED,
    [ERR_ADDRESS_TYPE] = SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED,
};

enum socks5_reply socks5_code(enum err err)
{
    if (err == ERR_NONE)
        return SOCKS5_SUCCEEDED;
    if ((unsigned)err >= N_ERRS || codes[err] == 0)
        return SOCKS5_FAILED;
    return (enum socks5_reply)codes[err];
}

enum err socks5_err(uint8_t code)
{
    static const enum err errs[] = {
        [SOCKS5_SUCCEEDED] = ERR_NONE,
        [SOCKS5_FAILED] = ERR_UPSTREAM,
        [SOCKS5_NOT_ALLOWED] = ERR_DENIED,
        [SOCKS5_NET_UNREACHABLE] = ERR_NET_UNREACH,
        [SOCKS5_HOST_UNREACHABLE] = ERR_HOST_UNREACH,
        [SOCKS5_REFUSED] = ERR_REFUSED,
        [SOCKS5_TTL_EXPIRED] = ERR_TTL_EXPIRED,
        [SOCKS5_COMMAND_NOT_SUPPORTED] = ERR_COMMAND,
        [SOCKS5_ADDRESS_TYPE_NOT_SUPPORTED] = ERR_ADDRESS_TYPE,
    };
    return code < sizeof errs / sizeof errs[0] ? errs[code] : ERR_UPSTREAM;
}

static_assert(SOCKS5_REPLY_MAX_BYTES == REQUEST_HEADER_BYTES + 16 + PORT_BYTES,
              "the longest reply holds an IPv6 address");

size_t socks5_write_reply(uint8_t out[static SOCKS5_REPLY_MAX_BYTES], enum socks5_reply code,
                          const struct addr *bound)
{
    bool is_v6 = bound->family == ADDR_V6;
    size_t ip_bytes = is_v6 ? 16 : 4;
    size_t n = REQUEST_HEADER_BYTES;

    out[0] = SOCKS5_VERSION;
    out[1] = (uint8_t)code;
    out[2] = 0;
    out[3] = is_v6 ? TYPE_IPV6 : TYPE_IPV4;
    if (bound->family == ADDR_NONE)
        memset(out + n, 0, ip_bytes);
    else
        memcpy(out + n, bound->ip, ip_bytes);
    n += ip_bytes;
    out[n++] = (uint8_t)(bound->port >> 8);
    out[n++] = (uint8_t)bound->port;
    return n;
}

enum err socks5_parse_datagram(const uint8_t *bytes, size_t n, struct socks5_datagram *out,
                               size_t *used)
{
    size_t at = UDP_HEADER_BYTES;

    if (n < UDP_HEADER_BYTES)
        return ERR_BAD;
    out->fragment = bytes[2];
    enum err err = take_target(&out->target, bytes[3], bytes, n, &at);
    if (err == ERR_NONE)
        *used = at;
    return err == ERR_MORE ? ERR_BAD : err; /* a datagram has no more to come */
}

static_assert(SOCKS5_UDP_HEADER_MAX_BYTES ==
                  UDP_HEADER_BYTES + 1 + HOST_NAME_MAX_BYTES + PORT_BYTES,
              "the longest header of a datagram holds a name");

uint8_t *socks5_put_udp_header(uint8_t *payload, const struct target *target)
{
    const struct addr *addr = &target->addr;
    uint8_t *at = payload - PORT_BYTES;
    enum address_type type = TYPE_IPV4;

    at[0] = (uint8_t)(addr->port >> 8);
    at[1] = (uint8_t)addr->port;
    if (target->name_bytes > 0) {
        type = TYPE_DOMAIN;
        at -= target->name_bytes;
        memcpy(at, target->name, target->name_bytes);
        *--at = target->name_bytes;
    } else {
        bool is_v6 = addr->family == ADDR_V6;
        size_t ip_bytes = is_v6 ? 16 : 4;
        type = is_v6 ? TYPE_IPV6 : TYPE_IPV4;
        at -= ip_bytes;
        memcpy(at, addr->ip, ip_bytes);
    }
    at -= UDP_HEADER_BYTES;
    at[0] = at[1] = at[2] = 0;
    at[3] = (uint8_t)type;
    return at;
}

size_t socks5_write_greeting(uint8_t out[static SOCKS5_OFFER_BYTES], bool has_password)
{
    out[0] = SOCKS5_VERSION;
    out[1] = has_password ? 2 : 1;
    out[2] = SOCKS5_METHOD_NONE;
    out[3] = SOCKS5_METHOD_PASSWORD;
    return 2 + (size_t)out[1];
}

enum err socks5_parse_method(const uint8_t *bytes, size_t n, uint8_t *method, size_t *used)
{
    if (n > 0 && bytes[0] != SOCKS5_VERSION)
        return ERR_VERSION;
    if (n < SOCKS5_METHOD_REPLY_BYTES)
        return ERR_MORE;
    *method = bytes[1];
    *used = SOCKS5_METHOD_REPLY_BYTES;
    return ERR_NONE;
}

static size_t put_counted(uint8_t *out, const char *text, size_t n)
{
    assert(n <= UINT8_MAX);
    out[0] = (uint8_t)n;
    memcpy(out + 1, text, n);
    return 1 + n;
}

size_t socks5_write_login(uint8_t out[static SOCKS5_LOGIN_MAX_BYTES], struct slice user,
                          struct slice password)
{
    size_t n = 1;
    out[0] = SOCKS5_LOGIN_VERSION;
    n += put_counted(out + n, user.at, user.n);
    return n + put_counted(out + n, password.at, password.n);
}

enum err socks5_parse_login_reply(const uint8_t *bytes, size_t n, size_t *used)
{
    if (n > 0 && bytes[0] != SOCKS5_LOGIN_VERSION && bytes[0] != SOCKS5_VERSION)
        return ERR_VERSION;
    if (n < SOCKS5_LOGIN_REPLY_BYTES)
        return ERR_MORE;
    if (bytes[1] != 0)
        return ERR_AUTH;
    *used = SOCKS5_LOGIN_REPLY_BYTES;
    return ERR_NONE;
}

static size_t put_address(uint8_t *out, const struct addr *addr)
{
    size_t n = addr->family == ADDR_V6 ? 16 : 4;
    out[0] = addr->family == ADDR_V6 ? TYPE_IPV6 : TYPE_IPV4;
    memcpy(out + 1, addr->ip, n);
    return 1 + n;
}

size_t socks5_write_request(uint8_t out[static SOCKS5_REQUEST_MAX_BYTES],
                            enum socks5_command command, const struct target *target)
{
    size_t n = 3;
    out[0] = SOCKS5_VERSION;
    out[1] = (uint8_t)command;
    out[2] = 0;
    if (target->name_bytes == 0) {
        n += put_address(out + n, &target->addr);
    } else {
        out[n++] = TYPE_DOMAIN;
        n += put_counted(out + n, target->name, target->name_bytes);
    }
    out[n++] = (uint8_t)(target->addr.port >> 8);
    out[n++] = (uint8_t)target->addr.port;
    return n;
}

/* A domain says nothing that could be passed on: it is stepped over, whatever it is. */
static enum err skip_domain(const uint8_t *bytes, size_t n, size_t *at)
{
    struct slice name;
    if (!take_counted(&name, bytes, n, at) || n - *at < PORT_BYTES)
        return ERR_MORE;
    *at += PORT_BYTES;
    return ERR_NONE;
}

enum err socks5_parse_reply(const uint8_t *bytes, size_t n, struct socks5_answer *out, size_t *used)
{
    size_t at = REQUEST_HEADER_BYTES;
    struct target bound = {0};
    enum err err = ERR_NONE;

    if (n > 0 && bytes[0] != SOCKS5_VERSION)
        return ERR_VERSION;
    if (n < 2)
        return ERR_MORE;
    if (bytes[1] != SOCKS5_SUCCEEDED)
        at = 2;
    else if (n < REQUEST_HEADER_BYTES)
        err = ERR_MORE;
    else if (bytes[3] == TYPE_IPV4)
        err = take_address(&bound, ADDR_V4, 4, bytes, n, &at);
    else if (bytes[3] == TYPE_IPV6)
        err = take_address(&bound, ADDR_V6, 16, bytes, n, &at);
    else if (bytes[3] == TYPE_DOMAIN)
        err = skip_domain(bytes, n, &at);
    else
        err = ERR_BAD;
    if (err != ERR_NONE)
        return err;
    *out = (struct socks5_answer){.err = socks5_err(bytes[1]), .bound = bound.addr};
    *used = at;
    return ERR_NONE;
}
