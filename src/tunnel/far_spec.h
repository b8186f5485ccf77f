/*
 * What all workers share of one tunnel inbound, and what makes it the same one over reloads: its name and all settings but its rules,
 * keys and users. It outlives the reading of the configuration that made it: an inbound of the next one with the same name and the
 * same settings has the same one, and keeps its sessions, as far as their keys are good still (tunnel/far_roster.h).
 */
#ifndef SOCKEYE_TUNNEL_FAR_SPEC_H
#define SOCKEYE_TUNNEL_FAR_SPEC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "flow/outbound.h"
#include "link/handshake.h"
#include "peer/gate.h"

#define FAR_DIGEST_BYTES 32

struct far_settings {
    const char *name;
    bool
        is_key_public; /* its one key is made of the identity's public key, as there is no shared one */
    struct sign_key *identity; /* NULL: none */
    struct verify_key **peers; /* whom to accept; an array from malloc */
    size_t n_peers;            /* 0: anyone who has the key */
    uint64_t keep_s;
    uint64_t window_bytes, stream_window_bytes;
    size_t max_unlinked; /* sessions of one worker without a link; 0: no limit */
    size_t max_links;    /* of a session; 0: no limit */
    enum gate_early early;
    uint8_t digest[FAR_DIGEST_BYTES]; /* of all of this but its name */
};

struct far_specs {
    pthread_mutex_t lock; /* taken where a reading of the configuration comes or goes */
    struct list all;
    struct list replays; /* of all rosters' keys */
};

struct far_spec {
    struct far_settings settings; /* all owned */
    struct far_specs *among;
    struct list link;
    size_t n_holders;
    struct outbound reverse; /* tunnel/far_listen.h */
};

void far_specs_init(struct far_specs *specs);
void far_specs_deinit(struct far_specs *specs); /* every one was released */

/* That of the name and digest, made where there is none; to be released. Takes the settings' keys, whatever it returns; copies
 * the rest. ERR_MEMORY. */
NODISCARD enum err far_spec_hold(struct far_specs *specs, struct far_settings *settings,
                                 struct far_spec **out);
/* Holds one that is held already. */
void far_spec_hold_again(struct far_spec *spec);
void far_spec_release(struct far_spec *spec); /* NULL is fine */

#endif
