/*
 * The replay set: the salt of every flight whose MACs and time were good, until its time + W (doc/protocol.md,
 * section 3.4). Exact. It lives in memory that the caller gives, which may be a file's, shared by the
 * threads of a process; check and insert are one step.
 */
#ifndef SOCKEYE_LINK_REPLAY_H
#define SOCKEYE_LINK_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct replay_set;

enum replay_answer { REPLAY_NEW, REPLAY_SEEN, REPLAY_FULL };

/* Bytes of memory for so many salts. */
size_t replay_set_bytes(size_t n_salts);
/* Makes an empty set of memory that is zeroed, or takes up one that is there already and `binding` (the boot and the key)
 * still holds; *is_taken_up says which. Flights dated at or below `low_water_ms` are refused. */
struct replay_set *replay_set_open(void *memory, size_t n_bytes, const uint8_t binding[32],
                                   uint64_t low_water_ms, bool *is_taken_up);
/* Several threads may call it. The entry is kept until `until_ms`, by the server's wall clock. */
enum replay_answer replay_set_insert(struct replay_set *set, const uint8_t salt[16],
                                     uint64_t flight_ms, uint64_t until_ms, uint64_t now_ms);
/* The latest time of any flight that was taken: what is persisted as low-water mark. */
uint64_t replay_set_high_ms(const struct replay_set *set);

#endif
