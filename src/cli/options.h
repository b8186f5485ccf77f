/*
 * What a verb takes, as one table: the parser, --help and completion are made from it.
 *
 *     {'c', CLI_FILE, "config", "FILE", "the configuration"}  -->  -c, --config FILE   the configuration
 */
#ifndef SOCKEYE_CLI_OPTIONS_H
#define SOCKEYE_CLI_OPTIONS_H

#include <getopt.h>
#include <stdio.h>

/* What completion offers for a value. */
enum cli_kind { CLI_NOTHING, CLI_FILE, CLI_ADDRESS, CLI_CHOICE };

struct cli_option {
    int letter; /* from CLI_LONG_ONLY on there is none, and this is its number; 0 ends a table */
    enum cli_kind kind;
    const char *name; /* the long one, without dashes; NULL: there is none */
    const char *arg;  /* what help calls its value; of a choice "this|that"; NULL: it has none */
    const char
        *help; /* what goes beyond the first ';' is for help only; lines are parted by '\n' */
};

#define CLI_LONG_ONLY 256

#define CLI_HELP_OPTION                                    \
    {                                                      \
        .letter = 'h', .name = "help", .help = "this help" \
    }
#define CLI_VERSION_OPTION                                      \
    {                                                           \
        .letter = 'V', .name = "version", .help = "the version" \
    }

#define CLI_MAX_OPTIONS 32

/* A table as getopt_long() wants it; ':' and '?' are told apart, and it begins anew. */
struct cli_getopt {
    char letters[2 * CLI_MAX_OPTIONS + 2];
    struct option names[CLI_MAX_OPTIONS + 1];
};

void cli_getopt_init(struct cli_getopt *getopt, const struct cli_option *options);

/* As `[-c FILE] [-hv]`, the way a synopsis has them. */
void cli_print_synopsis(FILE *out, const struct cli_option *options);
/* One below the other, each with its help. */
void cli_print_options(FILE *out, const struct cli_option *options);

#endif
