/*
 * Which outbound takes a target: the inbound's own where it has one, else what the rules say, else
 * the first. Rules about addresses may want a name looked up before they can say.
 */
#ifndef SOCKEYE_FLOW_ROUTING_H
#define SOCKEYE_FLOW_ROUTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "io/resolver.h"

struct flow;
struct outbound;

/* NULL: that depends on the name's addresses, which routing_begin() finds out. */
struct outbound *routing_find(const struct flow *flow, const struct target *to);

/* Which one takes all targets; NULL: the rules decide for each. */
struct outbound *routing_only(const struct flow *flow);

/* Whether it is this one where the name has this address and no other. */
bool routing_leads_to(const struct outbound *outbound, const struct flow *flow,
                      const struct target *to, const struct addr *addr);

#define ROUTING_ADDRS_MAX 64

struct routing {
    struct flow *flow;
    const struct target *to;
    struct routing_question {
        struct lookup lookup;
        struct routing *routing;
    } questions[2]; /* A and AAAA */
    struct addr addrs[ROUTING_ADDRS_MAX];
    size_t n_addrs;
    void (*done)(struct routing *, struct outbound *);
};

/*
 * Looks the target's name up and then decides; borrows all until it is over. Returns the outbound,
 * or NULL: `done` will be called with it, once, from the loop.
 */
struct outbound *routing_begin(struct routing *routing, struct flow *flow, const struct target *to,
                               void (*done)(struct routing *, struct outbound *));
/* Which one takes another port of the name, when it has been looked up. */
struct outbound *routing_find_port(const struct routing *routing, const struct target *to);
void routing_cancel(struct routing *routing); /* harmless when it is over */

#endif
