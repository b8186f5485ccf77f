#include "cli/cli.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/secret.h"

const struct cli_verb *const cli_verbs[] = {
    &cli_run, &cli_check, &cli_socks,     &cli_init,   &cli_keygen,     &cli_status,
    &cli_top, &cli_ping,  &cli_speedtest, &cli_passwd, &cli_completion, NULL,
};

const struct cli_option cli_options[] = {CLI_HELP_OPTION, CLI_VERSION_OPTION, {0}};

int cli_usage_error(const struct cli_verb *verb, const char *format, ...)
{
    /* osocks is a program of its own to whoever calls it. */
    const char *program = verb == &cli_osocks ? "" : "sockeye ";
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s%s: ", program, verb->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nHelp: %s%s -h\n", program, verb->name);
    va_end(args);
    return EX_USAGE;
}

/* What getopt_long() returned ':' or '?' for. */
static int say_not_an_option(const struct cli_parser *parser, int returned)
{
    const struct cli_verb *verb = parser->verb;
    const char *word = parser->argv[optind - 1];
    bool is_long = strncmp(word, "--", 2) == 0;
    if (returned == ':')
        return is_long ? cli_usage_error(verb, "%s needs a value", word)
                       : cli_usage_error(verb, "-%c needs a value", optopt);
    if (is_long)
        return cli_usage_error(verb, "no such option, or not with a value: %s", word);
    return cli_usage_error(verb, "no such option: -%c", optopt);
}

void cli_print_verb(FILE *out, const struct cli_verb *verb)
{
    fprintf(out, verb == &cli_osocks ? "%s" : "sockeye %s", verb->name);
    cli_print_synopsis(out, verb->options);
    if (verb->word != NULL)
        fprintf(out, verb->is_word_optional ? " [%s]" : " %s", verb->word);
    fputs("\n    ", out);
    for (const char *at = verb->about; *at != '\0'; at++)
        fputs(*at == '\n' ? "\n    " : (const char[]){*at, '\0'}, out);
    fputs("\n", out);
    cli_print_options(out, verb->options);
}

void cli_parser_init(struct cli_parser *parser, const struct cli_verb *verb, int argc, char **argv)
{
    *parser = (struct cli_parser){.verb = verb, .argc = argc, .argv = argv};
    cli_getopt_init(&parser->getopt, verb->options);
}

static int end(struct cli_parser *parser, int code)
{
    parser->is_over = true;
    parser->code = code;
    return -1;
}

static int take_word(struct cli_parser *parser)
{
    const struct cli_verb *verb = parser->verb;
    if (verb->word != NULL && optind < parser->argc)
        parser->word = parser->argv[optind++];
    else if (verb->word != NULL && !verb->is_word_optional)
        return end(parser, cli_usage_error(verb, "%s is missing", verb->word));
    if (optind < parser->argc)
        return end(parser, cli_usage_error(verb, "one word too many: %s", parser->argv[optind]));
    return -1;
}

int cli_next(struct cli_parser *parser)
{
    const struct cli_getopt *getopt = &parser->getopt;
    int got = getopt_long(parser->argc, parser->argv, getopt->letters, getopt->names, NULL);
    if (got == -1)
        return take_word(parser);
    if (got == ':' || got == '?')
        return end(parser, say_not_an_option(parser, got));
    if (got != 'h')
        return got;
    cli_print_verb(stdout, parser->verb);
    return end(parser, EX_OK);
}

static int say_none_found(void)
{
    char places[PATHS_N_CONFIGS][PATHS_BYTES];
    size_t n = paths_config_places(places);
    fprintf(stderr, "sockeye: no configuration found; looked for\n");
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "    %s\n", places[i]);
    fprintf(stderr, "Another place: -c FILE. Without any: sockeye socks\n");
    return EX_CONFIG;
}

bool cli_read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    size_t n = strlen(text);
    if (n == 0 || n > 19 || strspn(text, "0123456789") != n)
        return false;
    *out = strtoull(text, NULL, 10);
    return *out >= least && *out <= most;
}

int cli_say_no_tunnel(const char *name)
{
    if (name == NULL)
        fprintf(stderr, "sockeye: the configuration has no outbound of type tunnel\n");
    else
        fprintf(stderr, "sockeye: the configuration has no outbound %.64s of type tunnel\n", name);
    return EX_CONFIG;
}

void cli_say(struct config_messages *messages, const char *message)
{
    (void)messages;
    fprintf(stderr, "%s\n", message);
}

/* Reads the text at `path`, which is owned; what keeps it from being read is said. */
static enum err read_text(const char *path, char **text, size_t *n,
                          struct config_messages *messages)
{
    char message[PATHS_MESSAGE_BYTES];
    enum err err = paths_read_config(path, text, n, message);
    if (err == ERR_NONE || err == ERR_MEMORY)
        return err;
    messages->say(messages, message);
    return ERR_BAD;
}

/* There may be passwords in it. */
static void free_text(char *text, size_t n)
{
    secret_wipe(text, n);
    free(text);
}

enum err cli_read_config(struct config **out, const char *path, struct config_messages *messages)
{
    char *text;
    size_t n;
    enum err err = read_text(path, &text, &n, messages);
    if (err != ERR_NONE)
        return err;
    err = config_parse(out, path, text, n, &paths_sources, messages);
    free_text(text, n);
    return err;
}

int cli_config_code(enum err err)
{
    if (err != ERR_MEMORY)
        return err == ERR_NONE ? EX_OK : EX_CONFIG;
    fprintf(stderr, "sockeye: out of memory\n");
    return EX_OSERR;
}

int cli_load_config(struct config **out, const char *path, char used[static PATHS_BYTES])
{
    if (path == NULL) {
        if (paths_find_config(used) != ERR_NONE)
            return say_none_found();
    } else if (snprintf(used, PATHS_BYTES, "%s", path) >= PATHS_BYTES) {
        fprintf(stderr, "sockeye: the configuration's path is too long\n");
        return EX_CONFIG;
    }
    struct config_messages messages = {.say = cli_say};
    return cli_config_code(cli_read_config(out, used, &messages));
}

int cli_find_admin_socket(char **out, const char *path)
{
    struct config_messages messages = {.say = cli_say};
    char *text;
    size_t n;
    enum err err = read_text(path, &text, &n, &messages);
    if (err != ERR_NONE)
        return cli_config_code(err);
    err = config_find_admin_socket(out, path, text, n, &paths_sources, &messages);
    free_text(text, n);
    return cli_config_code(err);
}
