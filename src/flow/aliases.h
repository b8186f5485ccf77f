/*
 * The names that an association's datagrams are sent to. Each is looked up once, and the address
 * is kept: what is sent to the name goes to the same address as long as the association lives, and
 * what comes from there carries the name, as the client knows no address. There are at most
 * ALIASES_MAX; the one not used for the longest makes room, but none that is being looked up.
 */
#ifndef SOCKEYE_FLOW_ALIASES_H
#define SOCKEYE_FLOW_ALIASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/list.h"
#include "flow/packets.h"

#define ALIASES_MAX 64

struct flow_env;

struct aliases {
    struct flow_env *env;
    struct list known; /* the longest unused first */
    unsigned n;
    struct packet_queue waiting; /* for names that are being looked up */
    /* Whether the rules let what is sent to the name go to this address of it. */
    bool (*allows)(struct aliases *, const struct target *to, const struct addr *addr);
    /* Sends a datagram whose name is known by now, and its address allowed. */
    void (*send)(struct aliases *, const struct addr *to, uint8_t *bytes, size_t n);
};

void aliases_init(struct aliases *aliases, struct flow_env *env,
                  bool (*allows)(struct aliases *, const struct target *, const struct addr *),
                  void (*send)(struct aliases *, const struct addr *, uint8_t *, size_t));
void aliases_deinit(struct aliases *aliases); /* what waits is dropped */

/* Sends to a target with a name: at once, or when the name is known. What cannot go, because the
 * name does not resolve, its address is denied or too much waits, is dropped and counted. */
void aliases_send(struct aliases *aliases, const struct target *to, uint8_t *bytes, size_t n);

/* The client has sent to the address itself: it is no name's now. */
void aliases_shadow(struct aliases *aliases, const struct addr *to);

/* Gives *from, an address, the name by which it was last sent to, where there is one. */
void aliases_restore(const struct aliases *aliases, struct target *from);

#endif
