/* The configuration that `sockeye socks` stands for, out of a text like any other. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define HEAD                                                            \
    "limits: {connect_ms: 8000, idle_ms: 64000, drain_s: 0}\n"          \
    "inbounds: [{type: socks, name: socks, listen: '127.0.0.1:1080',\n" \
    "            bind: {enabled: true}"
#define TAIL "}]\n"

static void say_nothing(struct config_messages *messages, const char *message)
{
    (void)messages;
    (void)message;
}

enum err config_new_plain(struct config **out)
{
    static const char text[] = HEAD TAIL;
    static const struct config_sources none;
    struct config_messages messages = {.say = say_nothing};

    return config_parse(out, "built in", text, sizeof text - 1, &none, &messages);
}

/* Writes a value as it is in single quotes: a quote is doubled, and no variable is meant. */
static char *write_quoted(char *at, const char *value)
{
    *at++ = '\'';
    for (; *value != '\0'; value++) {
        if (*value == '\'' || (*value == '$' && value[1] == '{'))
            *at++ = *value;
        *at++ = *value;
    }
    *at++ = '\'';
    return at;
}

enum err config_new_plain_with_users(struct config **out, const char *users_file,
                                     const struct config_sources *sources,
                                     struct config_messages *messages)
{
    static const char head[] = HEAD ", users_file: ", tail[] = TAIL;
    char *text = malloc(sizeof head + 2 * strlen(users_file) + 2 + sizeof tail);

    if (text == NULL)
        return ERR_MEMORY;
    memcpy(text, head, sizeof head - 1);
    char *end = write_quoted(text + sizeof head - 1, users_file);
    memcpy(end, tail, sizeof tail);
    size_t n = (size_t)(end - text) + sizeof tail - 1;
    enum err err = config_parse(out, "--users-file", text, n, sources, messages);
    free(text);
    return err;
}
