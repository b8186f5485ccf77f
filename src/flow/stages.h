/* What the stages of a flow need of one another; private to flow/. */
#ifndef SOCKEYE_FLOW_STAGES_H
#define SOCKEYE_FLOW_STAGES_H

#include "flow/flow.h"

struct association_start;

/* An opening that knows its flow. */
struct flow_opening {
    struct opening opening;
    struct flow *flow;
    struct packets *packets; /* the client's, of an association by a tunnel; borrowed */
    bool by_name;            /* the request says by which outbound */
    struct routing *routing; /* owned, where rules ask for the name's addresses; else NULL */
};

/* The only one that changes a flow's state: traces it and asserts that it may. */
void flow_set_state(struct flow *flow, enum flow_state state);

/* How a flow ends that met this error. */
enum flow_end flow_end_of(enum err err);

/* Ends a flow. With `reset` both sides see a reset, so that nobody takes a cut stream for a whole
 * one. */
void flow_close(struct flow *flow, enum flow_end end, bool reset);

/* It counts no more among its inbound's. */
void flow_uncount(const struct flow *flow);

void flow_on_client_ready(struct endpoint *client, unsigned events);

/* By which of our addresses the client has reached us; family NONE where it has no socket. */
struct addr flow_own_addr(const struct flow *flow);

/* The target's text, owned; NULL: out of memory. */
char *flow_target_text(const struct target *target);

/* handshake.c */
void handshake_begin(struct flow *flow);
void handshake_on_ready(struct flow *flow, unsigned events);
void handshake_resume(struct flow *flow); /* after INBOUND_WAIT */

/* login.c */
void login_on_penalty_over(struct idle_wait *wait);
void login_drop(struct flow *flow); /* forgets a login that is being judged; harmless without one */

/* opening.c: from a request to an answer. */
void opening_begin(struct flow *flow, const struct request *request);
void opening_on_ready(struct flow *flow, unsigned events);
void opening_on_timeout(struct flow *flow);
void opening_cancel(struct flow *flow); /* harmless when none is under way */
void opening_drop(struct flow *flow);   /* the same for one that is over or was not begun */
/* Opens by the outbound that was chosen elsewhere: the flow has moved here. */
void opening_go_on(struct flow *flow, const struct request *request);

/* associating.c: on an error there is none, and the request is to be answered so. `way`: by flow->outbound, and open already,
 * which is taken when it succeeds; NULL: ways are opened when they are needed. `is_only`: all datagrams go by it. */
NODISCARD enum err associating_begin(struct flow *flow, struct association_start *start,
                                     struct packets *way, bool is_only);
void associating_on_ready(struct flow *flow);

/* exchanging.c */
void exchanging_begin(struct flow *flow); /* flow->target is set */
void exchanging_on_ready(struct flow *flow, struct endpoint *ep, unsigned events);
void exchanging_on_timeout(struct flow *flow);

/* relaying.c */
void relaying_begin(struct flow *flow); /* flow->target is set */
void relaying_on_ready(struct flow *flow, struct endpoint *ep, unsigned events);

/* lingering.c: an answer was given and nothing more will be done. */
void lingering_begin(struct flow *flow, enum flow_end end);
void lingering_on_ready(struct flow *flow);
/* Reads what the client sends, for nobody. ERR_NONE: there is more; ERR_AGAIN: not now. */
NODISCARD enum err lingering_discard(struct flow *flow);

#endif
