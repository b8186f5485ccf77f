/* Any bytes as a file of domains: what is accepted must be what the plainest reader makes of it, and
 * that one must find something wrong with all that is refused. */
#include "fuzz.h"
#include "config/config.h"

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

/* Cuts off the spaces at both ends. */
static char *trimmed(char *line)
{
    line += strspn(line, " \t\r");
    size_t n = strlen(line);
    while (n > 0 && strchr(" \t\r", line[n - 1]) != NULL)
        line[--n] = '\0';
    return line;
}

static bool is_domain(const char *text)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *last = strrchr(text, '.');
    size_t n = strlen(text), n_label = 0;

    last = last != NULL ? last + 1 : text;
    if (n == 0 || n > 253 || text[strspn(text, known)] != '\0' ||
        last[strspn(last, "0123456789")] == '\0')
        return false;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && text[i] != '.') {
            n_label++;
            continue;
        }
        if (n_label == 0 || n_label > 63)
            return false;
        n_label = 0;
    }
    return true;
}

/* Writes the domain of a line and a newline, or nothing; false: the line is wrong. */
static bool read_line(char *line, char *out)
{
    out[0] = '\0';
    line[strcspn(line, "#")] = '\0';
    line = trimmed(line);
    if (line[0] == '\0')
        return true;
    if ((line[0] == '*' || line[0] == '+') && line[1] == '.' && line[2] != '\0')
        line += 2;
    else if (line[0] == '.' && line[1] != '\0')
        line += 1;
    size_t n = strlen(line);
    if (n > 1 && line[n - 1] == '.')
        line[--n] = '\0';
    for (char *c = line; *c != '\0'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
    if (!is_domain(line))
        return false;
    memcpy(out, line, n);
    memcpy(out + n, "\n", 2);
    return true;
}

/* Writes all domains to `out`, which has room for them; false: a line is wrong. */
static bool read_all(char *out)
{
    char *copy = calloc(1, n_input + 1), *rest = copy, *line;
    bool is_good = true;

    CHECK(copy != NULL);
    for (size_t i = 0; i < n_input; i++)
        copy[i] = (char)(input[i] == 0 ? 1 : input[i]); /* a character that no domain has either */
    if (strncmp(copy, "\xef\xbb\xbf", 3) == 0)
        rest += 3;
    while (is_good && (line = strsep(&rest, "\n")) != NULL) {
        is_good = read_line(line, out);
        out += strlen(out);
    }
    free(copy);
    return is_good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char text[] =
        "inbounds: [{type: socks, listen: 1080}]\nroutes: [\"DOMAIN-SET,d,block\"]";
    static const struct config_sources sources = {.read_file = read_file};
    struct config_messages messages = {.say = say};
    struct config *config = NULL;
    char *expected = calloc(1, len + 2);

    CHECK(expected != NULL);
    input = data;
    n_input = len;
    enum err err = config_parse(&config, "f", text, sizeof text - 1, &sources, &messages);
    CHECK((err == ERR_NONE) == read_all(expected));
    if (err == ERR_NONE) {
        const struct config_rule *rule = &config->rules[0];
        CHECK(rule->n_set == strlen(expected));
        CHECK(memcmp(rule->set, expected, rule->n_set) == 0);
    } else {
        CHECK(err == ERR_BAD && messages.n_errors > 0);
    }
    config_free(config);
    free(expected);
    return 0;
}
