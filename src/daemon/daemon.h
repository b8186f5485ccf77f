/*
 * The running program: opens what the configuration names, gives up root, starts the workers and
 * ends when it is told to.
 *
 *     SIGTERM, SIGINT   no more connections; those there are may end within drain_s. Again: at once
 *     SIGHUP            log files are opened anew, and the configuration is read again (reload.h)
 */
#ifndef SOCKEYE_DAEMON_DAEMON_H
#define SOCKEYE_DAEMON_DAEMON_H

#include <stdbool.h>

#include "config/config.h"
#include "daemon/status.h"

struct daemon_options {
    const char *config_path; /* for messages; NULL: there is no file */
    /* Reads the configuration again for a reload, in a thread of its own. *out is owned. Says what is
     * wrong, unless it is ERR_MEMORY. */
    enum err (*load)(void *arg, struct config **out, struct config_messages *messages);
    void *load_arg;
    bool verbose;
    const struct daemon_admin *admin; /* the status socket */
};

/* Runs until it is ended by a signal; takes the configuration. Returns the exit code, having said on stderr what was
 * wrong. */
int daemon_run(struct config *config, const struct daemon_options *options);

#endif
