/*
 * What all tunnels of the process share: the workers, and the near ends' specifications, which outlive the reading of the
 * configuration that made them. An outbound of the next reading with the same name and the same settings is the same one, and keeps its sessions.
 */
#ifndef SOCKEYE_TUNNEL_TUNNELS_H
#define SOCKEYE_TUNNEL_TUNNELS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/list.h"
#include "base/rng.h"
#include "link/handshake.h"
#include "peer/near.h"
#include "tunnel/claims.h"
#include "tunnel/far_spec.h"
#include "tunnel/signer.h"

struct tunnel_env;

struct tunnels {
    pthread_mutex_t
        lock; /* over the specifications; taken where a reading of the configuration comes or goes */
    struct list specs;
    struct far_specs fars;       /* the far ends' specifications */
    struct claims claims;        /* and what their sessions have */
    struct signer *signer;       /* owned */
    struct tunnel_env **workers; /* in their order; set before they run */
    size_t n_workers;
    uint8_t instance[INSTANCE_BYTES]; /* of this installation; random as long as it is not known */
    bool has_instance;
    int instance_fd; /* what holds it for this process alone; -1: nothing does */
};

void tunnels_init(struct tunnels *tunnels, struct rng *rng);
/* The workers run no more, and are not freed yet: nothing is sent to them from here on. */
void tunnels_stop(struct tunnels *tunnels);
void tunnels_deinit(struct tunnels *tunnels); /* every specification was released */

#define TUNNEL_DIGEST_BYTES 32

/* From one to another, both included. */
struct tunnel_ports {
    uint16_t from, to;
};

#define TUNNEL_MAX_PORTS 64

/* The settings of one tunnel outbound. */
struct tunnel_settings {
    const char *name;
    struct link_key key, user;    /* without users they are the same */
    struct sign_key *identity;    /* NULL: none */
    struct verify_key *server;    /* NULL: any that has the key */
    const struct target *servers; /* the addresses of one server */
    size_t n_servers;
    uint64_t keep_s, keepalive_s, window_bytes, stream_window_bytes;
    size_t n_sessions;
    unsigned n_links;
    bool is_distributed;
    struct tunnel_ports ports[TUNNEL_MAX_PORTS]; /* where links may go, beside the servers' own */
    size_t n_ports;
    struct near_range every, after; /* as near_options has them */
    bool sends_early;
    uint8_t digest
        [TUNNEL_DIGEST_BYTES]; /* of all that stands in the configuration about it but its name */
};

struct tunnel_spec {
    struct tunnel_settings settings; /* name and servers are owned here, and so are the keys */
    struct tunnels *tunnels;
    struct list link;
    size_t n_holders;
    uint32_t home;             /* the first worker that has a session, modulo their number */
    _Atomic(uint32_t) n_asked; /* so that several sessions take turns */
};

/* The specification of that name and digest, made where there is none; to be released. Takes the settings' keys, whatever it
 * returns; copies the rest. ERR_MEMORY. */
NODISCARD enum err tunnel_spec_hold(struct tunnels *tunnels, struct tunnel_settings *settings,
                                    struct tunnel_spec **out);
/* Holds one that is held already. */
void tunnel_spec_hold_again(struct tunnel_spec *spec);
void tunnel_spec_release(struct tunnel_spec *spec); /* NULL is fine */

/* Which worker has the session of that number. */
struct tunnel_env *tunnel_spec_home(const struct tunnel_spec *spec, size_t session);

/* Returned owned; NULL: out of memory. */
char *tunnel_copy_text(const char *text);

#endif
