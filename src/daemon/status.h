/*
 * What the program tells about itself, as plain structs: daemon/ collects it from the workers,
 * admin/ makes text of it.
 *
 * daemon/ may not include admin/, so the status socket comes to daemon_run() as a struct
 * daemon_admin. An answer may take a while, since counters travel through mailboxes:
 *
 *     client -- "status\n" --> admin -- collect(request) --> daemon -- mail --> workers
 *     client <---- text ------ admin <-- request->done() --- daemon <-- mail -- workers
 */
#ifndef SOCKEYE_DAEMON_STATUS_H
#define SOCKEYE_DAEMON_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"
#include "config/config.h"
#include "daemon/listening.h"
#include "flow/counters.h"
#include "io/loop.h"
#include "tunnel/report.h"

struct status_inbound {
    const char *name;
    const char *type;                   /* "socks", "http", "mixed" */
    const struct listening_on *listens; /* what is listened on, with the ports chosen */
    size_t n_listens;
    uint64_t flows_now;
    uint64_t connections; /* its own limit; 0: none */
    uint64_t per_client;  /* 0: no limit */
};

struct status {
    const char *version;
    int pid;
    uint64_t uptime_ms;
    uint64_t n_reloads;             /* that were made */
    uint64_t config_read_ms;        /* since 1970: when the configuration in force was read */
    const struct counters *workers; /* one for each worker */
    size_t n_workers;
    const struct status_inbound *inbounds;
    size_t n_inbounds;
    /* Sessions of tunnels, those of a worker together; a worker that lacked the memory to tell has none. */
    const struct tunnel_session_report *sessions;
    size_t n_sessions;
    const struct config_limits *limits; /* NULL: out of memory, nothing was collected */
    uint64_t descriptors_limit;
    uint64_t descriptors_in_use; /* 0: unknown */
};

struct status_request {
    struct status status; /* for the daemon to fill in; what it points to stays the daemon's */
    /* To be called exactly once, on the loop's thread, during collect() or at any time after: it
     * reads what is above, and the request is gone when it returns. */
    void (*done)(struct status_request *);
};

typedef void status_collect(void *arg, struct status_request *request);

struct admin;

struct daemon_admin {
    /*
     * Opens the socket `configured` ("auto" or a path; not "") on a worker's loop, before
     * privileges are dropped; `collect` will be called on that worker's thread. Where "auto" cannot
     * be had, `log` is told, and the result is ERR_NONE with *out NULL. Where a path cannot be had,
     * stderr is told, and the program must not start (exit 77 for ERR_PERMITTED, else 69).
     */
    enum err (*start)(struct admin **out, struct loop *loop, struct log *log,
                      const char *configured, status_collect *collect, void *arg);
    /* Closes and removes the socket, on the loop's thread; NULL is fine. Requests not done yet must
     * still be done, and are then dropped. */
    void (*stop)(struct admin *admin);
};

#endif
