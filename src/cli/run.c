/* sockeye run: the daemon, by a configuration. */
#include <stdio.h>
#include <sysexits.h>

#include "admin/admin.h"
#include "cli/cli.h"
#include "daemon/daemon.h"

static enum err load(void *arg, struct config **out, struct config_messages *messages)
{
    return cli_read_config(out, arg, messages);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *path = NULL;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    while (cli_next(&parser) == 'c')
        path = optarg;
    if (parser.is_over)
        return parser.code;

    struct config *config;
    char used[PATHS_BYTES];
    int code = cli_load_config(&config, path, used);
    if (code != EX_OK)
        return code;
    const struct daemon_options daemon_options = {
        .config_path = used, .load = load, .load_arg = used, .admin = &admin_for_daemon};
    return daemon_run(config, &daemon_options);
}

static const struct cli_option options[] = {
    {'c', CLI_FILE, "config", "FILE",
     "the configuration; without it the first found of ./sockeye.yaml,\n"
     "$XDG_CONFIG_HOME/sockeye/sockeye.yaml,\n"
     "~/.config/sockeye/sockeye.yaml, /etc/sockeye/sockeye.yaml"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_run = {
    .name = "run",
    .about = "Runs what the configuration says.",
    .options = options,
    .run = run,
};
