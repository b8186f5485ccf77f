#include "wire/socks4.h"

#include <stdbool.h>
#include <string.h>

enum { HEADER_BYTES = 8 };

/* Takes text up to a zero byte from offset *at, at most max bytes, and moves *at behind the zero. */
static enum err take_text(struct slice *out, const uint8_t *bytes, size_t n, size_t *at, size_t max)
{
    size_t left = n - *at;
    size_t within = left < max + 1 ? left : max + 1;
    const uint8_t *start = bytes + *at;
    const uint8_t *zero = within > 0 ? memchr(start, 0, within) : NULL;

    if (zero == NULL)
        return within > max ? ERR_TOO_LONG : ERR_MORE;
    *out = (struct slice){.at = (const char *)start, .n = (size_t)(zero - start)};
    *at += out->n + 1;
    return ERR_NONE;
}

/* Whether the address says that a name follows (4a). */
static bool is_name_marker(const uint8_t ip[static 4])
{
    return ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] != 0;
}

enum err socks4_parse_request(const uint8_t *bytes, size_t n, struct socks4_request *out,
                              size_t *used)
{
    size_t at = HEADER_BYTES;
    struct slice name;
    enum err err;

    if (n > 0 && bytes[0] != SOCKS4_VERSION)
        return ERR_VERSION;
    if (n < HEADER_BYTES)
        return ERR_MORE;

    uint16_t port = (uint16_t)(bytes[2] << 8 | bytes[3]);
    out->command = bytes[1];
    err = take_text(&out->user, bytes, n, &at, SOCKS4_USER_MAX_BYTES);
    if (err != ERR_NONE)
        return err;

    if (is_name_marker(bytes + 4)) {
        err = take_text(&name, bytes, n, &at, HOST_NAME_MAX_BYTES);
        if (err == ERR_NONE)
            err = target_set_host(&out->target, name.at, name.n, port);
        if (err != ERR_NONE)
            return err;
    } else {
        out->target = (struct target){.addr = {.port = port, .family = ADDR_V4}};
        memcpy(out->target.addr.ip, bytes + 4, 4);
    }
    *used = at;
    return ERR_NONE;
}

enum socks4_reply socks4_code(enum err err)
{
    return err == ERR_NONE ? SOCKS4_GRANTED : SOCKS4_REJECTED;
}

void socks4_write_reply(uint8_t out[static SOCKS4_REPLY_BYTES], enum socks4_reply code,
                        const struct addr *bound)
{
    memset(out, 0, SOCKS4_REPLY_BYTES);
    out[1] = (uint8_t)code;
    out[2] = (uint8_t)(bound->port >> 8);
    out[3] = (uint8_t)bound->port;
    if (bound->family == ADDR_V4)
        memcpy(out + 4, bound->ip, 4);
}

enum err socks4_write_request(uint8_t out[static SOCKS4_REQUEST_MAX_BYTES], size_t *n,
                              enum socks4_command command, const struct target *target)
{
    static const uint8_t name_marker[4] = {0, 0, 0, 1};
    bool is_name = target->name_bytes > 0;

    if (!is_name && (target->addr.family != ADDR_V4 || is_name_marker(target->addr.ip)))
        return ERR_ADDRESS_TYPE;
    out[0] = SOCKS4_VERSION;
    out[1] = (uint8_t)command;
    out[2] = (uint8_t)(target->addr.port >> 8);
    out[3] = (uint8_t)target->addr.port;
    memcpy(out + 4, is_name ? name_marker : target->addr.ip, 4);
    out[HEADER_BYTES] = 0; /* the user */
    *n = HEADER_BYTES + 1;
    if (is_name) {
        memcpy(out + *n, target->name, (size_t)target->name_bytes + 1);
        *n += (size_t)target->name_bytes + 1;
    }
    return ERR_NONE;
}

enum err socks4_parse_reply(const uint8_t *bytes, size_t n, struct socks4_answer *out, size_t *used)
{
    enum { CODE_FIRST = 90, CODE_LAST = 93 };

    if (n > 0 && bytes[0] != 0)
        return ERR_VERSION;
    if (n > 1 && (bytes[1] < CODE_FIRST || bytes[1] > CODE_LAST))
        return ERR_BAD;
    if (n < 2 || (bytes[1] == SOCKS4_GRANTED && n < SOCKS4_REPLY_BYTES))
        return ERR_MORE;
    bool is_granted = bytes[1] == SOCKS4_GRANTED;
    *out = (struct socks4_answer){.err = ERR_UPSTREAM};
    *used = 2; /* of a refusal no more is looked at */
    if (is_granted) {
        *out = (struct socks4_answer){.bound = {.family = ADDR_V4}};
        out->bound.port = (uint16_t)(bytes[2] << 8 | bytes[3]);
        memcpy(out->bound.ip, bytes + 4, 4);
        *used = SOCKS4_REPLY_BYTES;
    }
    return ERR_NONE;
}
