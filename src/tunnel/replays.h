/*
 * The replay set of one key, for all workers and all inbounds of the process that have it (doc/protocol.md, section 3.4): in a
 * file of the state directory, so that a restart forgets nothing.
 *
 *     file:  head (what it is, the low-water mark) | the set, bound to this boot and to the key
 *
 * Where there is no valid one (the first start, another boot, no directory, a full disk) it begins empty, and
 * flights are refused that are dated before now + 2 s: whoever recorded one before may send it again. So they are where the file is
 * valid, but a process has run meanwhile that did not get it, as the one before still had it. The low-water mark outlives
 * the boot, against clocks that are set back.
 */
#ifndef SOCKEYE_TUNNEL_REPLAYS_H
#define SOCKEYE_TUNNEL_REPLAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "link/handshake.h"
#include "link/replay.h"

struct replays;

/* Those of the key, made where there are none among all of the process; to be released. Whoever calls has the lock over them.
 * `state` NULL: there is no directory. ERR_MEMORY. */
NODISCARD enum err replays_hold(struct list *among, const char *state, const struct link_key *key,
                                struct replays **out);
void replays_release(struct replays *replays); /* NULL is fine */

struct replay_set *replays_set(struct replays *replays);
/* A flight was taken: the low-water mark follows. Any thread. */
void replays_note(struct replays *replays);
/* Why they are in memory only, ERR_NONE where they are in a file; path is that of the file, NULL without a directory. */
enum err replays_trouble(const struct replays *replays, const char **path);

/*
 * Makes the file for a new key, so that the first start takes flights at once: there are none that could have been
 * recorded. Errors as those of mapfile_open().
 */
NODISCARD enum err replays_make(const char *state, const uint8_t *key, size_t n_key);

#endif
