/*
 * Any bytes as a configuration. What is accepted must print as a configuration that is accepted
 * and prints alike; what is refused must say so.
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

static enum err no_file(const char *path, size_t max_bytes, char **text, size_t *n)
{
    (void)path;
    (void)max_bytes;
    (void)text;
    (void)n;
    return ERR_NOT_FOUND;
}

static const struct config_sources sources = {.getenv = environment, .read_file = no_file};

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
    config_print(config, append, printed);
    config_free(config);
    return ERR_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct printed first = {0}, second = {0};

    if (parse_and_print((const char *)data, len, &first) == ERR_NONE && first.n < 4000000) {
        CHECK(parse_and_print(first.text, first.n, &second) == ERR_NONE);
        CHECK(first.n == second.n && memcmp(first.text, second.text, first.n) == 0);
    }
    free(first.text);
    free(second.text);
    return 0;
}
