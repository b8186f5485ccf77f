/*
 * Any bytes as a configuration. What is accepted must print as a configuration that is accepted
 * and prints alike, when its keys are put in again; what is refused must say so.
 */
#include "fuzz.h"
#include "config/config.h"

static void say(struct config_messages *messages, const char *message)
{
    (void)messages;
    /* Each is one line for a terminal. */
    for (const char *c = message; *c != '\0'; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static const char *environment(const char *name)
{
    return name[0] == 'A' ? "1080" : name[0] == 'B' ? "a ${A} \"\\" : NULL;
}

/* What is in a file is told by the first letter of its name; there are no others. */
static enum err read_file(const char *path, size_t max_bytes, char **text, size_t *n)
{
    const char *content = NULL;

    switch (path[0]) {
    case 'u':
        content = "ann:pw\r\n# c\nbob:$6$x$y\n";
        break;
    case 'd':
        content = "Example.com\n*.a.org # x\n";
        break;
    case 'p':
        content = "secret\nmore";
        break;
    case 'k':
        content = "QUJDREVGR0hJSktMTU5PUA==\n";
        break;
    case 'i':
        content = "-----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----\n";
        break;
    case 'c':
        content = "-----BEGIN PUBLIC KEY-----\nQQ==\n-----END PUBLIC KEY-----\n";
        break;
    case 'w':
        content = "\x1b[2J\n:\n/x y\nb\xff:\n";
        break;
    default:
        return path[0] == 'l' ? ERR_TOO_LONG : ERR_NOT_FOUND;
    }
    CHECK(strlen(content) <= max_bytes);
    *n = strlen(content);
    *text = (char *)exact_copy((const uint8_t *)content, *n + 1);
    return ERR_NONE;
}

static const struct config_sources sources = {.getenv = environment, .read_file = read_file};

struct printed {
    char *text;
    size_t n, cap;
};

static void append(void *arg, const char *text, size_t n)
{
    struct printed *printed = arg;

    if (printed->cap - printed->n <= n) {
        printed->cap = (printed->n + n + 1) * 2;
        printed->text = realloc(printed->text, printed->cap);
        CHECK(printed->text != NULL);
    }
    memcpy(printed->text + printed->n, text, n);
    printed->n += n;
    printed->text[printed->n] = '\0';
}

static enum err parse_and_print(const char *text, size_t n, struct printed *printed)
{
    struct config_messages messages = {.say = say};
    struct config *config = NULL;

    enum err err = config_parse(&config, "f", text, n, &sources, &messages);
    CHECK((err == ERR_BAD) == (messages.n_errors > 0));
    if (err != ERR_NONE)
        return err;
    CHECK(config->n_inbounds > 0 && config->n_outbounds >= 2);
    for (size_t i = 0; i < config->n_inbounds; i++)
        CHECK(config->inbounds[i].n_listens > 0 &&
              config->inbounds[i].outbound < config->n_outbounds);
    for (size_t i = 0; i < config->n_rules; i++) {
        const struct config_rule *rule = &config->rules[i];
        CHECK(rule->outbound < config->n_outbounds);
        CHECK(rule->n_set == 0 || rule->set[rule->n_set - 1] == '\n');
    }
    config_print(config, append, printed);
    config_free(config);
    return ERR_NONE;
}

/* Keys of tunnels are printed as ***, which is none. On a line of its own no text can stand. */
static void put_in_keys(struct printed *out, const struct printed *in)
{
    static const char hidden[] = "    key: \"***\"\n",
                      key[] = "    key: QUJDREVGR0hJSktMTU5PUA==\n";
    const char *at = in->text, *found;

    while ((found = strstr(at, hidden)) != NULL) {
        append(out, at, (size_t)(found - at));
        append(out, key, sizeof key - 1);
        at = found + sizeof hidden - 1;
    }
    append(out, at, strlen(at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct printed first = {0}, again = {0}, second = {0};

    if (parse_and_print((const char *)data, len, &first) == ERR_NONE && first.n < 4000000) {
        put_in_keys(&again, &first);
        CHECK(parse_and_print(again.text, again.n, &second) == ERR_NONE);
        CHECK(first.n == second.n && memcmp(first.text, second.text, first.n) == 0);
    }
    free(first.text);
    free(again.text);
    free(second.text);
    return 0;
}
