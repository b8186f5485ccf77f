/*
 * Whom a tunnel inbound lets in by one reading of the configuration: the server's keys, and its users, found by the tags of their
 * keys in a time that does not grow with their number. It never changes once users were added: a reload makes another one apart, and
 * each worker's gate turns to that (gate_turn()), which ends the sessions of those who are not in it.
 *
 * A user takes 64 bytes, and 8 to 16 of the table; rights of his own come on top where he has some.
 */
#ifndef SOCKEYE_TUNNEL_FAR_ROSTER_H
#define SOCKEYE_TUNNEL_FAR_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/inbound.h"
#include "link/handshake.h"

struct far_roster;
struct far_specs;
struct replays;

/* A user of an inbound, as the gate tells of him. */
struct link_user {
    struct link_key key;
    struct flow_user flow;
};

struct far_roster_settings {
    const char *state; /* a directory; NULL: there is none */
    struct link_key keys[HANDSHAKE_MAX_SERVERS];
    size_t n_keys;
    bool has_users;
    size_t n_users; /* that will be added */
    uint64_t clock_skew_ms;
};

/* Copies the keys. ERR_MEMORY. */
NODISCARD enum err far_roster_new(struct far_roster **out, struct far_specs *specs,
                                  const struct far_roster_settings *settings);
/* Adds a user, one of as many as were announced. The name is borrowed, and so are the lists in `rights`, which are copied but for
 * those; NULL: none of his own. Of two with the same key the first counts. ERR_MEMORY. */
NODISCARD enum err far_roster_add(struct far_roster *roster, const char *name, const uint8_t *key,
                                  size_t n_key, const struct user_rights *rights);
/* Wipes. No gate stands on it any more, no session has one of its users; NULL is fine. */
void far_roster_free(struct far_roster *roster);

/* What the gate stands on; borrowed. */
const struct handshake_ground *far_roster_ground(const struct far_roster *roster);
/* A flight was taken: the sets' low-water marks follow. Any thread. */
void far_roster_note(const struct far_roster *roster);
/* Those of the i-th key; NULL: there are no more. */
const struct replays *far_roster_replays(const struct far_roster *roster, size_t i);

#endif
