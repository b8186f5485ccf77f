/* Any bytes as a file of users, of a proxy's with their passwords and of a tunnel's with their keys: what is accepted must be what the
 * plainest reader makes of it, and that one must find something wrong with all that is refused. */
#include "fuzz.h"
#include "config/config.h"

#define SERVER_KEY "QUJDREVGR0hJSktMTU5PUA=="

static const uint8_t *input;
static size_t n_input;

static enum err read_file(const char *path, size_t max_bytes, char **text, size_t *n)
{
    (void)path;
    CHECK(n_input <= max_bytes);
    *text = calloc(1, n_input + 1);
    CHECK(*text != NULL);
    if (n_input > 0)
        memcpy(*text, input, n_input);
    *n = n_input;
    return ERR_NONE;
}

static void say(struct config_messages *messages, const char *message)
{
    (void)messages;
    for (const char *c = message; *c != '\0'; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static bool is_tunnel; /* of which the file is */

struct expected {
    struct slice name, password;
};

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.n; i++)
        if (strchr(" \t\r", line.at[i]) == NULL || line.at[i] == '\0')
            return false;
    return true;
}

static bool is_hash(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~' || strchr(":;*!\\", text.at[i]) != NULL)
            return false;
    return text.n <= 383;
}

/* Canonical base64 of 16, 24 or 32 bytes, and not of the server's key. */
static bool is_key(struct slice text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n_padding = text.n == 24 ? 2 : text.n == 44 ? 1 : 0;
    const char *last = digits;

    if (text.n != 24 && text.n != 32 && text.n != 44)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        const char *digit = memchr(digits, text.at[i], 64);
        if (i >= text.n - n_padding ? text.at[i] != '=' : digit == NULL)
            return false;
        last = digit != NULL ? digit : last;
    }
    /* The bits of the last digit that belong to no byte. */
    bool has_rest = ((last - digits) & (n_padding == 2 ? 15 : n_padding == 1 ? 3 : 0)) != 0;
    return !has_rest && (text.n != 24 || memcmp(text.at, SERVER_KEY, 24) != 0);
}

/* Splits a line that is neither blank nor a comment; false: it is wrong. */
static bool split(struct slice line, struct expected *out)
{
    if (line.at[line.n - 1] == '\r')
        line.n--;
    const char *colon = memchr(line.at, ':', line.n);
    if (colon == NULL || memchr(line.at, '\0', line.n) != NULL)
        return false;
    out->name = (struct slice){line.at, (size_t)(colon - line.at)};
    out->password = (struct slice){colon + 1, line.n - out->name.n - 1};
    if (out->name.n < 1 || out->name.n > 255 || out->password.n < 1)
        return false;
    if (is_tunnel)
        return is_key(out->password);
    return colon[1] == '$' ? is_hash(out->password) : out->password.n <= 255;
}

/* Or, of a tunnel, whether another has its key. */
static bool is_there(const struct expected *all, size_t n, const struct expected *user)
{
    for (size_t i = 0; i < n; i++)
        if (same_slice(all[i].name, user->name) ||
            (is_tunnel && same_slice(all[i].password, user->password)))
            return true;
    return false;
}

/* Fills the users in, for which there is room; returns how many there are, 0: something is wrong. */
static size_t read_all(struct expected *all)
{
    const char *next = (const char *)input, *end = next + n_input;
    size_t n = 0;

    if (n_input >= 3 && memcmp(next, "\xef\xbb\xbf", 3) == 0)
        next += 3;
    while (next < end) {
        const char *newline = memchr(next, '\n', (size_t)(end - next));
        struct slice line = {next, (size_t)((newline != NULL ? newline : end) - next)};
        next = newline != NULL ? newline + 1 : end;
        if (is_blank(line) || line.at[0] == '#')
            continue;
        if (!split(line, &all[n]) || is_there(all, n, &all[n]))
            return 0;
        n++;
    }
    return n;
}

static bool same_text(const char *text, struct slice slice)
{
    return strlen(text) == slice.n && memcmp(text, slice.at, slice.n) == 0;
}

static void check(const char *text, size_t n_text)
{
    static const struct config_sources sources = {.read_file = read_file};
    struct config_messages messages = {.say = say};
    struct config *config = NULL;
    struct expected *expected = calloc(n_input + 1, sizeof *expected);

    CHECK(expected != NULL);
    enum err err = config_parse(&config, "f", text, n_text, &sources, &messages);
    size_t n = read_all(expected);
    CHECK((err == ERR_NONE) == (n > 0) && (err == ERR_BAD) == (messages.n_errors > 0));
    for (size_t i = 0; i < n; i++) {
        const struct config_user *user = &config->inbounds[0].users[i];
        CHECK(same_text(user->name, expected[i].name));
        CHECK(same_text(user->password, expected[i].password));
        CHECK(user->is_hash == (!is_tunnel && user->password[0] == '$'));
    }
    CHECK(n == 0 || config->inbounds[0].n_users == n);
    config_free(config);
    free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char proxy[] = "inbounds: [{type: socks, listen: 1080, users_file: u}]";
    static const char tunnel[] =
        "inbounds: [{type: tunnel, listen: 4194, key: \"" SERVER_KEY "\", users_file: u}]";

    input = data;
    n_input = len;
    is_tunnel = false;
    check(proxy, sizeof proxy - 1);
    is_tunnel = true;
    check(tunnel, sizeof tunnel - 1);
    return 0;
}
