/* The near half: a peer that dials. */
#ifndef SOCKEYE_PEER_NEAR_H
#define SOCKEYE_PEER_NEAR_H

#include "link/handshake.h"
#include "peer/peer.h"

/* Both of them included. */
struct near_range {
    uint64_t min, max;
};

#define NEAR_MAX_LINKS 16
#define NEAR_MIN_AFTER_BYTES 8192 /* less leaves no room for anything */

struct near_options {
    const struct link_key *key, *user; /* S and U, which are the same without users */
    const struct sign_key *identity;   /* NULL: none */
    const struct verify_key *server;   /* NULL: any that has the key */
    uint8_t instance[INSTANCE_BYTES];
    uint64_t keep_s, keepalive_s;
    unsigned
        n_links; /* at once, at most NEAR_MAX_LINKS, one at least; if distributed, that are ready for a stream each */
    bool is_distributed;
    struct near_range every,
        after; /* a link is replaced after so many microseconds, so many bytes both ways, drawn for each; max 0: never */
    bool
        sends_early; /* also behind the flight that asks for a new session: without forward secrecy */
    bool
        signs_apart; /* PEER_SIGN is told where a signature is wanted; else it is made within the call */
    bool has_aes; /* AES is fast on this machine: offered first */
    uint64_t window_bytes, stream_window_bytes;
    struct chunk_source *chunks;
    struct rng *rng;
};

/* A session that does not stand yet; it wants a carrier when the first stream is opened, or at once
 * where `at_once` says so. Streams may be opened from the start. ERR_MEMORY. */
NODISCARD enum err peer_new_near(struct peer **out, const struct near_options *options,
                                 bool at_once, const struct peer_time *time);

#endif
