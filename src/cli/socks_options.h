/* The options of `sockeye socks` and `osocks`: parsed, and put into a configuration. */
#ifndef SOCKEYE_CLI_SOCKS_OPTIONS_H
#define SOCKEYE_CLI_SOCKS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/access.h"
#include "cli/options.h"
#include "config/config.h"

enum socks_wish { SOCKS_SERVE, SOCKS_HELP, SOCKS_VERSION, SOCKS_WRONG };

/* What the two take; they differ in where they listen. */
extern const struct cli_option socks_table[], osocks_table[];

#define SOCKS_MESSAGE_BYTES 192

struct socks_options {
    struct config_listen listens[2];
    size_t n_listens;
    uint64_t connections, idle_ms, connect_ms;
    unsigned family; /* 4 or 6: targets are dialled by that one only; 0: both */
    unsigned verbosity;
    const char *users_file; /* borrowed from argv; NULL: anyone may use it */
    bool to_syslog;
    bool is_osocks;
    struct target_rule loopback[2]; /* what osocks' clients may reach */
};

/* Begins anew with argv[1]. SOCKS_WRONG: `message` says which option, and what is expected. */
enum socks_wish socks_options_parse(struct socks_options *options, bool is_osocks, int argc,
                                    char **argv, char message[static SOCKS_MESSAGE_BYTES]);

/* Puts them into what config_new_plain() made, which borrows from them. */
void socks_options_apply(struct socks_options *options, struct config *config);

/* Whether somebody beyond this machine can connect. */
bool socks_options_are_exposed(const struct socks_options *options);

#endif
