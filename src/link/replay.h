/*
 * The replay set: the salt of every flight whose MACs and time were good, until its time + W (doc/protocol.md,
 * section 3.4). Exact. It lives in memory that the caller gives, which may be a file's that outlives the process, shared by the
 * threads of one process; check and insert are one step.
 */
#ifndef SOCKEYE_LINK_REPLAY_H
#define SOCKEYE_LINK_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define REPLAY_SALT_BYTES 16
#define REPLAY_USER_BYTES 8
#define REPLAY_BINDING_BYTES 32

struct replay_set;

enum replay_answer {
    REPLAY_NEW,
    REPLAY_SEEN,
    REPLAY_OLD,  /* so old that its salt may have been seen and forgotten */
    REPLAY_FULL, /* the set, or this user's quarter of it */
};

/* Bytes of memory for so many salts, at least one: 32 to 64 a salt. */
size_t replay_set_bytes(size_t n_salts);

/* Makes an empty set of the memory, or takes up the one that is there already and `binding` (the boot and the key) still
 * holds; *is_taken_up says which. Nobody else may use the memory meanwhile. It is borrowed as long as the set is used; there is nothing to
 * close. n_bytes is one that replay_set_bytes() gave, the memory aligned to 8. Flights dated at or below `low_water_ms` are refused. */
struct replay_set *replay_set_open(void *memory, size_t n_bytes,
                                   const uint8_t binding[static REPLAY_BINDING_BYTES],
                                   uint64_t low_water_ms, bool *is_taken_up);

/* Several threads may call it. The entry is kept until its time and `window_ms` have passed, by the server's wall clock; of several
 * windows the longest counts for all. `user` is the tag of whose it is, and has at most a quarter of the set; NULL: there is only one. */
enum replay_answer replay_set_insert(struct replay_set *set,
                                     const uint8_t salt[static REPLAY_SALT_BYTES],
                                     const uint8_t *user, uint64_t flight_ms, uint64_t window_ms,
                                     uint64_t now_ms);

/* The latest time of any flight that was taken: what is persisted as low-water mark. */
uint64_t replay_set_high_ms(const struct replay_set *set);

#endif
