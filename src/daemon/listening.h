/*
 * The sockets that a configuration names. A reload keeps those that the next configuration names
 * too, so that nothing that waits in their backlogs is lost, and opens the others before any of the
 * old ones is closed.
 */
#ifndef SOCKEYE_DAEMON_LISTENING_H
#define SOCKEYE_DAEMON_LISTENING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/addr.h"
#include "config/config.h"
#include "daemon/listensock.h"
#include "daemon/voice.h"

/* One address of an inbound. */
struct listening_on {
    size_t inbound;              /* index into the configuration's */
    struct config_listen listen; /* what it is for, whose path is borrowed from it */
    struct addr addr;            /* with the port chosen; family NONE: a unix socket */
    struct listensock *socket;
    bool is_new;    /* not kept from before */
    bool is_served; /* without a socket: another item's is dual and serves this address too */
};

struct listening {
    const struct config *config; /* borrowed: whose inbounds the items name */
    struct listening_on *items;  /* in the order of the configuration */
    struct addr *addrs;          /* of the items that have one */
    size_t n, n_addrs, n_workers;
};

struct listening_wishes {
    const struct config *config;
    size_t n_workers;
    const struct listening *before; /* what may be kept; NULL: nothing */
    struct activation *given;       /* sockets that we were started with; NULL: none */
    struct voice *voice;
};

/* Keeps and opens, telling of each new one. Returns an exit code: 0, or what was said to be wrong;
 * then everything is as before. */
int listening_open(struct listening *listening, const struct listening_wishes *wishes);

/* Closes what no worker has taken over, removes unix sockets' files, and lets go of all, except for
 * sockets that `kept` (NULL: none) has too. */
void listening_close(struct listening *listening, const struct listening *kept);

/* Removes the files of its unix sockets. */
void listening_remove_files(const struct listening *listening);

/* Tells of those that `kept` does not have. */
void listening_tell_closed(const struct listening *listening, const struct listening *kept,
                           struct voice *voice);

/* Makes the sockets that user's whom the process goes on as: only then may sockets that a reload
 * opens stand beside them on the same port. */
void listening_give_to(const struct listening *listening, uid_t uid, gid_t gid);

#define LISTENING_TEXT_BYTES 128

/* Writes "192.0.2.1:1080" or "unix:/path", zero terminated. */
void listening_format(const struct listening_on *on, char out[static LISTENING_TEXT_BYTES]);

#endif
