/* sockeye socks, and osocks: the plain proxy, without a configuration. */
#include <stdio.h>
#include <sysexits.h>

#include "admin/admin.h"
#include "cli/cli.h"
#include "cli/socks_options.h"
#include "daemon/daemon.h"

static void warn_if_exposed(const struct cli_verb *verb, const struct socks_options *options)
{
    if (!socks_options_are_exposed(options) || options->users_file != NULL)
        return;
    char where[ADDR_TEXT_BYTES];
    addr_format_ip(&options->listens[0].addr, where);
    fprintf(
        stderr,
        "%s: warning: listening on %s: anyone who can reach it can use this proxy; -l 127.0.0.1 "
        "keeps it to this machine, --users-file FILE to users\n",
        verb == &cli_osocks ? "osocks" : "sockeye", options->n_listens > 1 ? "*" : where);
}

/* At the start, and again for a reload. */
static enum err make_config(void *arg, struct config **out, struct config_messages *messages)
{
    struct socks_options *options = arg;
    enum err err =
        options->users_file == NULL
            ? config_new_plain(out)
            : config_new_plain_with_users(out, options->users_file, &paths_sources, messages);
    if (err == ERR_NONE)
        socks_options_apply(options, *out);
    return err;
}

static int serve(const struct cli_verb *verb, struct socks_options *options)
{
    struct config *config;
    struct config_messages messages = {.say = cli_say};
    int code = cli_config_code(make_config(options, &config, &messages));
    if (code != EX_OK)
        return code;
    warn_if_exposed(verb, options);
    const struct daemon_options daemon_options = {.verbose = options->verbosity > 0,
                                                  .load = make_config,
                                                  .load_arg = options,
                                                  .admin = &admin_for_daemon};
    return daemon_run(config, &daemon_options);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct socks_options options;
    char message[SOCKS_MESSAGE_BYTES];
    switch (socks_options_parse(&options, verb == &cli_osocks, argc, argv, message)) {
    case SOCKS_SERVE:
        return serve(verb, &options);
    case SOCKS_HELP:
        cli_print_verb(stdout, verb);
        return EX_OK;
    case SOCKS_VERSION:
        printf("%s " SOCKEYE_VERSION "\n", verb == &cli_osocks ? "osocks" : "sockeye");
        return EX_OK;
    case SOCKS_WRONG:
        break;
    }
    return cli_usage_error(verb, "%s", message);
}

const struct cli_verb cli_socks = {
    .name = "socks",
    .about = "A plain SOCKS4, SOCKS4a and SOCKS5 proxy without a configuration.",
    .options = socks_table,
    .run = run,
};

const struct cli_verb cli_osocks = {
    .name = "osocks",
    .about =
        "A plain SOCKS4, SOCKS4a and SOCKS5 proxy; `sockeye socks` under the name of an older\n"
        "program. Clients may reach this machine's loopback.",
    .options = osocks_table,
    .run = run,
};
