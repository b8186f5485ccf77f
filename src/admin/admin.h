/*
 * The status socket: a unix stream socket, for the process's own user alone. A client sends one
 * line, "status", "status json" or "status lines", and gets a text and the end.
 *
 *     READING --line--> COLLECTING --done--> WRITING --all sent--> gone
 *        |                  |                   |
 *        +------------------+-------------------+--- error, or out of time ---> gone
 *
 * Clients are few and get little time. One that goes while its status is being collected leaves the
 * request behind, which frees itself when it is done.
 */
#ifndef SOCKEYE_ADMIN_ADMIN_H
#define SOCKEYE_ADMIN_ADMIN_H

#include "base/err.h"
#include "daemon/status.h"
#include "io/loop.h"

/*
 * Listens at `path`; returns owned. `collect` is called on the loop's thread for each request and
 * has request->done() called, then or later. Errors are those of unixsock_listen(), and ERR_MEMORY.
 */
NODISCARD enum err admin_new(struct admin **out, struct loop *loop, const char *path,
                             status_collect *collect, void *arg);

/* Ends every client, closes the socket and removes it where the process still may. NULL is fine. */
void admin_free(struct admin *admin);

/* What daemon_run() is given. */
extern const struct daemon_admin admin_for_daemon;

#endif
