/*
 * The command line: a verb and its options. Each verb has a file with its table and a function that
 * returns an exit code of sysexits(3). Results go to stdout, everything else to stderr.
 */
#ifndef SOCKEYE_CLI_CLI_H
#define SOCKEYE_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"
#include "config/config.h"
#include "daemon/paths.h"

struct cli_verb {
    const char *name;
    const char *about;                /* what it does; its first sentence is for completion too */
    const struct cli_option *options; /* ended by an empty one */
    const char *word;                 /* the one it needs beside options; NULL: it takes none */
    bool is_word_optional;
    const char *choices; /* what that word may be, parted by spaces; NULL: anything */
    /* argv[0] is the verb. */
    int (*run)(const struct cli_verb *verb, int argc, char **argv);
};

extern const struct cli_verb cli_run, cli_check, cli_socks, cli_osocks, cli_init, cli_keygen,
    cli_status, cli_top, cli_ping, cli_speedtest, cli_passwd, cli_completion;

/* All that follow `sockeye`; ended by NULL. */
extern const struct cli_verb *const cli_verbs[];
/* What `sockeye` takes in place of a verb. */
extern const struct cli_option cli_options[];

/* All about a verb: synopsis, what it does, options. */
void cli_print_verb(FILE *out, const struct cli_verb *verb);

/* The words given to a verb, as its table has them. */
struct cli_parser {
    const struct cli_verb *verb;
    int argc;
    char **argv;
    struct cli_getopt getopt;
    const char *word; /* when cli_next() has returned -1: the one that the verb needs */
    bool is_over;     /* then too: help was printed, or a mistake said; end with `code` */
    int code;
};

void cli_parser_init(struct cli_parser *parser, const struct cli_verb *verb, int argc, char **argv);
/* The letter of the next option, its value in optarg; -1: there are no more. */
int cli_next(struct cli_parser *parser);

/* Says what is wrong with the words given to a verb, and where help is; returns EX_USAGE. */
int cli_usage_error(const struct cli_verb *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A number from least to most, of digits alone. */
bool cli_read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out);

/* Says that no outbound is a tunnel of that name (NULL: that none is a tunnel); returns an exit code. */
int cli_say_no_tunnel(const char *name);

/* Says a message about the configuration on stderr. */
void cli_say(struct config_messages *messages, const char *message);
/* The exit code of what reading the configuration returned; says ERR_MEMORY. */
int cli_config_code(enum err err);

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
