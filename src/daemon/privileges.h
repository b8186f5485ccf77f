/*
 * Giving up root: the user, the group, every supplementary group and every capability but those
 * that the configuration needs go, for good. Call it after binding and opening what only root may,
 * and before the first thread starts: capabilities belong to threads.
 */
#ifndef SOCKEYE_DAEMON_PRIVILEGES_H
#define SOCKEYE_DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* What the configuration names that an ordinary user may not do, and a reload shall still be
 * able to. */
struct privileges_need {
    bool low_ports; /* a port below 1024: CAP_NET_BIND_SERVICE */
    bool net_admin; /* `fwmark`: CAP_NET_ADMIN */
    bool net_raw;   /* `interface`: CAP_NET_RAW */
};

#define PRIVILEGES_MESSAGE_BYTES 320

/* Whom privileges_drop() would go on as; false: as whom the process is, or it would fail. */
bool privileges_would_be(const char *user, uid_t *uid, gid_t *gid);

/*
 * Goes on as `user`, a name or a number; "" stays what it is. Whoever is not root is left alone.
 * On an error `message` says what to do, and the program must not go on:
 * ERR_NOT_FOUND: no such user (exit 78). ERR_PERMITTED: root may not change its user here (77).
 * ERR_SYSTEM: the system failed, or did not do what it said (71).
 */
NODISCARD enum err privileges_drop(const char *user, const struct privileges_need *need,
                                   char message[static PRIVILEGES_MESSAGE_BYTES]);

#endif
