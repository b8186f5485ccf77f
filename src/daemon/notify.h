/*
 * Tells who started us how we are, by the protocol of sd_notify(3): datagrams of lines VARIABLE=value
 * to the unix socket that NOTIFY_SOCKET names. Without it, everything here does nothing.
 */
#ifndef SOCKEYE_DAEMON_NOTIFY_H
#define SOCKEYE_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/voice.h"

struct notify {
    int fd;               /* -1: nobody wants to know */
    uint64_t watchdog_us; /* how often WATCHDOG=1 is wanted at least; 0: not at all */
};

/* Connects while we still may, and takes what it has read out of the environment: before there are
 * threads. What does not work is told, and no reason not to start. */
void notify_init(struct notify *notify, struct voice *voice);
void notify_deinit(struct notify *notify);

/* READY=1 with a STATUS, after the start and after each reload, made or refused. False: there was no
 * room; the manager waits for this one, so try again. */
bool notify_ready(struct notify *notify, const char *status);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify);
void notify_alive(struct notify *notify); /* WATCHDOG=1 */

#endif
