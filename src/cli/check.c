/* sockeye check: says what is wrong with a configuration. */
#include <stdio.h>
#include <sysexits.h>

#include "cli/cli.h"

static void write_out(void *arg, const char *text, size_t n)
{
    (void)arg;
    fwrite(text, 1, n, stdout);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *path = NULL;
    bool is_verbose = false;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == 'c')
            path = optarg;
        else
            is_verbose = true;
    }
    if (parser.is_over)
        return parser.code;

    struct config *config;
    char used[PATHS_BYTES];
    int code = cli_load_config(&config, path, used);
    if (code != EX_OK)
        return code;
    if (is_verbose)
        config_print(config, write_out, NULL);
    else
        printf("%s: no errors\n", used);
    config_free(config);
    return EX_OK;
}

static const struct cli_option options[] = {
    {'c', CLI_FILE, "config", "FILE", "as for run"},
    {'v', .name = "verbose", .help = "prints the effective configuration, secrets as ***"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_check = {
    .name = "check",
    .about = "Says what is wrong with the configuration: every error found, as\n"
             "file:line:column: text on stderr; exit 78 if there is one.",
    .options = options,
    .run = run,
};
