/*
 * SIGHUP: the configuration is read again, while all goes on.
 *
 *     READING ------> PREPARING ------> TURNING ------> in force; the old ruleset is freed when the
 *        |  a thread:     |  each worker    each worker  last of its flows has ended
 *        |  load, check,  |  adds listeners,
 *        |  bind, tables  |  servers
 *        |                v
 *        |            FORGETTING ------> refused, and all is as before
 *        +-------------------------------^
 *
 * Whatever may fail does so in READING and PREPARING. Reading is done in a thread of its own,
 * because a long list takes seconds, and no flow shall wait for it.
 */
#ifndef SOCKEYE_DAEMON_RELOAD_H
#define SOCKEYE_DAEMON_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct reload;
struct worker;

struct reload_history {
    uint64_t n;          /* reloads that were made */
    uint64_t read_at_ms; /* when the configuration in force was read, since 1970 */
};

/* Begins one; while one is under way, it is followed by another. On the first worker's thread. */
void reload_begin(struct daemon *daemon);

/* Whether one is under way that waits for workers, so that their loops must turn; NULL is fine. */
bool reload_needs_workers(const struct reload *reload);

/* What the workers call. */
void reload_on_turned(struct worker *worker);

/*
 * The loops have ended: lets one that is being read come to its end. False: it does not (a dead
 * network drive, a named pipe), and its thread still uses what is the daemon's.
 */
bool reload_end(struct daemon *daemon);

#endif
