/* sockeye run: the daemon, by a configuration. */
#include <getopt.h>
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
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = NULL;
    for (int got; (got = getopt_long(argc, argv, ":c:h", options, NULL)) != -1;) {
        switch (got) {
        case 'c':
            path = optarg;
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
    const struct daemon_options daemon_options = {
        .config_path = used, .load = load, .load_arg = used, .admin = &admin_for_daemon};
    return daemon_run(config, &daemon_options);
}

const struct cli_verb cli_run = {
    .name = "run",
    .help =
        "sockeye run [-c FILE]\n"
        "    Runs what the configuration says.\n"
        "    -c, --config FILE   the configuration; without it the first found of ./sockeye.yaml,\n"
        "                        $XDG_CONFIG_HOME/sockeye/sockeye.yaml,\n"
        "                        ~/.config/sockeye/sockeye.yaml, /etc/sockeye/sockeye.yaml\n",
    .run = run,
};
