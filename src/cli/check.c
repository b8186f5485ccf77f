/* sockeye check: says what is wrong with a configuration. */
#include <getopt.h>
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
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *path = NULL;
    bool is_verbose = false;
    for (int got; (got = getopt_long(argc, argv, ":c:vh", options, NULL)) != -1;) {
        switch (got) {
        case 'c':
            path = optarg;
            break;
        case 'v':
            is_verbose = true;
            break;
        case 'h':
            fputs(verb->help, stdout);
            return EX_OK;
        default:
            return cli_option_error(verb, got, argv);
        }
    }
    if (optind < argc)
        return cli_usage_error(verb, "one word too many: %s", argv[optind]);

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

const struct cli_verb cli_check = {
    .name = "check",
    .help = "sockeye check [-c FILE] [-v]\n"
            "    Says what is wrong with the configuration: every error found, as\n"
            "    file:line:column: text on stderr; exit 78 if there is one.\n"
            "    -c, --config FILE   as for run\n"
            "    -v, --verbose       prints the effective configuration, secrets as ***\n",
    .run = run,
};
