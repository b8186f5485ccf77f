/*
 * Where log lines go: stderr, syslog or a file. Writing there may block, so a thread of its own
 * does it, and no worker ever waits for the log.
 *
 *     worker                  port (64 KiB)                queue (2 x 512 KiB)       thread
 *     log_end() --emit--> lines of this turn --flush--> lines of all workers --write--> fd
 *
 * A worker's lines gather in its own port, without a lock. At the end of a turn logsink_flush()
 * takes the lock once, copies and wakes the thread; a turn without a line does nothing. When the
 * queue is full, lines are dropped whole and counted, and a line says how many in the place where
 * they are missing. While nobody logs the thread sleeps.
 *
 * Order at the start: logsink_new() opens (with the rights that the process has then), ports may be
 * written to, privileges are dropped, logsink_start() starts the thread.
 */
#ifndef SOCKEYE_DAEMON_LOGSINK_H
#define SOCKEYE_DAEMON_LOGSINK_H

#include "base/err.h"
#include "base/log.h"
#include "config/config.h"

struct logsink;
struct logsink_port; /* one for each thread that logs */

/*
 * Opens what `config` names; returns owned. The log's path is copied. ERR_MEMORY; else the file
 * cannot be opened, errno says why, and the program must not start.
 */
NODISCARD enum err logsink_new(struct logsink **out, const struct config_log *config);

/*
 * Starts the thread; call it after dropping privileges. Warns in the log when this user will not be
 * able to open the file again. ERR_MEMORY: no thread to be had.
 */
NODISCARD enum err logsink_start(struct logsink *sink);

/* Asks the thread to open the file anew; when that fails it keeps the old one and says so. Any
 * thread may call it. */
void logsink_reopen(struct logsink *sink);

/*
 * Another reading of the configuration, in two steps of which only the first can fail: prepare
 * opens what `config` names, which is spared where that has not changed; then the sink turns to it,
 * or forgets it. Ports that are there are told apart, each by its own thread. One thread at a time.
 * Errors are those of logsink_new().
 */
NODISCARD enum err logsink_prepare(struct logsink *sink, const struct config_log *config);
void logsink_turn(struct logsink *sink, const struct config_log *config);
void logsink_forget(struct logsink *sink);
void logsink_port_turn(struct logsink_port *port, const struct config_log *config);

/* Writes what is queued, for a second at most, and ends. All ports must be gone. NULL is fine. */
void logsink_free(struct logsink *sink);

/* Returns owned; NULL: out of memory. */
struct logsink_port *logsink_port_new(struct logsink *sink);

/* Hands over what is in the port, and frees it. NULL is fine. */
void logsink_port_free(struct logsink_port *port);

/* The log that writes into this port; borrowed, for the port's own thread alone. */
struct log *logsink_log(struct logsink_port *port);

/* Hands the port's lines to the sink: at the end of each turn. */
void logsink_flush(struct logsink_port *port);

#endif
