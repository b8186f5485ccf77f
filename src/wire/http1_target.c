#include "wire/http1_target.h"

#include <stdbool.h>
#include <string.h>

#include "wire/http1_scan.h"

static const uint16_t http_port = 80;

enum err http1_parse_authority(struct target *out, struct slice text)
{
    enum err err = target_parse(out, text.at, text.n);
    return err == ERR_NONE && out->addr.port == 0 ? ERR_BAD : err;
}

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_scheme_byte(char c)
{
    return is_alpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

/* Takes "http://" off the text. */
static enum err take_scheme(struct slice *text)
{
    size_t n = 0;

    while (n < text->n && is_scheme_byte(text->at[n]))
        n++;
    if (n == 0 || !is_alpha(text->at[0]) || text->n - n < 3 || memcmp(text->at + n, "://", 3) != 0)
        return ERR_BAD;
    if (!http1_is_word((struct slice){text->at, n}, "http"))
        return ERR_SCHEME;
    text->at += n + 3;
    text->n -= n + 3;
    return ERR_NONE;
}

/* Takes what stands before the path or the query off the text. */
static struct slice take_authority(struct slice *text)
{
    size_t n = 0;

    while (n < text->n && text->at[n] != '/' && text->at[n] != '?')
        n++;
    struct slice authority = {.at = text->at, .n = n};
    text->at += n;
    text->n -= n;
    return authority;
}

/* A zone is refused with every '%': in a URI it is spelt otherwise than on its own (RFC 6874), and
 * means nothing on another machine. */
static enum err parse_literal(struct target *out, struct slice host)
{
    if (memchr(host.at, '%', host.n) != NULL)
        return ERR_BAD;
    enum err err = target_set_host(out, host.at, host.n, http_port);
    return err == ERR_NONE && out->addr.family != ADDR_V6 ? ERR_BAD : err;
}

/* Whether there is a byte that no part of a URI holds, but that a name might (RFC 3986 section
 * 3.2.2). */
static bool is_foreign(struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (strchr("\"`{}", text.at[i]) != NULL)
            return true;
    }
    return false;
}

/* Parses "host", "host:port", "[::1]" or "[::1]:port". */
static enum err parse_host_and_port(struct target *out, struct slice text)
{
    bool is_literal = text.n > 0 && text.at[0] == '[';
    const char *host_end = text.n > 0 ? memchr(text.at, is_literal ? ']' : ':', text.n) : NULL;
    size_t n_host = host_end == NULL ? text.n : (size_t)(host_end - text.at);
    size_t n_before_port = is_literal ? n_host + 1 : n_host;
    enum err err;

    if (is_foreign(text) || (is_literal && host_end == NULL))
        return ERR_BAD;
    if (is_literal)
        err = parse_literal(out, (struct slice){text.at + 1, n_host - 1});
    else
        err = target_set_host(out, text.at, n_host, http_port);
    if (err != ERR_NONE || n_before_port == text.n)
        return err;
    if (text.at[n_before_port] != ':')
        return ERR_BAD;
    err = addr_parse_port(&out->addr.port, text.at + n_before_port + 1, text.n - n_before_port - 1);
    return err == ERR_NONE && out->addr.port == 0 ? ERR_BAD : err;
}

enum err http1_parse_absolute(struct http1_uri *out, const struct http1_head *head)
{
    struct slice text = head->target;
    enum err err = take_scheme(&text);

    if (err != ERR_NONE)
        return err;
    if (head->minor > 0 && !head->has_host)
        return ERR_BAD;
    out->authority = take_authority(&text);
    out->path = text;
    if (text.n > 0 && memchr(text.at, '#', text.n) != NULL)
        return ERR_BAD;
    return parse_host_and_port(&out->target, out->authority);
}
