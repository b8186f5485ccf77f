/*
 * The command line: a verb and its options. Each verb has a file with its help and a function that
 * returns an exit code of sysexits(3). Results go to stdout, everything else to stderr.
 */
#ifndef SOCKEYE_CLI_CLI_H
#define SOCKEYE_CLI_CLI_H

#include "config/config.h"
#include "daemon/paths.h"

struct cli_verb {
    const char *name;
    const char *help; /* all about it, with its synopsis as the first line */
    /* argv[0] is the verb. */
    int (*run)(const struct cli_verb *verb, int argc, char **argv);
};

extern const struct cli_verb cli_run, cli_check, cli_socks, cli_osocks, cli_status;

/* Says what is wrong with the words given to a verb, and where help is; returns EX_USAGE. */
int cli_usage_error(const struct cli_verb *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what getopt_long() returned ':' or '?' for, when optstring begins with ':'; returns
 * EX_USAGE. */
int cli_option_error(const struct cli_verb *verb, int returned, char **argv);

/* Reads and checks the configuration at `path`, saying every error and warning. *out is owned
 * (config_free). ERR_MEMORY: nothing was said. */
NODISCARD enum err cli_read_config(struct config **out, const char *path,
                                   struct config_messages *messages);

/*
 * Reads and checks the configuration at `path`, or where it is found if that is NULL; its path is
 * then in `used`. Says every error and warning. Returns 0 with *out owned (config_free), or an exit
 * code.
 */
int cli_load_config(struct config **out, const char *path, char used[static PATHS_BYTES]);

/* Finds the status socket that the configuration at `path` names, without what the rest of it needs:
 * variables and files that only the process itself may read. Returns 0 with *out owned, or an exit
 * code. */
int cli_find_admin_socket(char **out, const char *path);

#endif
