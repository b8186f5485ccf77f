/*
 * The tunnel outbound: opens streams in a session of the near end (tunnel/near.h). One session for each outbound, or as many as
 * its settings say; each is owned by one worker, to which flows move that open by it (outbound_ops.home).
 */
#ifndef SOCKEYE_TUNNEL_OUTBOUND_H
#define SOCKEYE_TUNNEL_OUTBOUND_H

#include "flow/outbound.h"
#include "tunnel/tunnels.h"

struct ruleset;

/* Takes the settings' keys, whatever it returns. Returned owned; ERR_MEMORY. */
NODISCARD enum err tunnel_outbound_new(struct outbound **out, struct tunnels *tunnels,
                                       struct tunnel_settings *settings);

/* The worker that has this session of a tunnel whose server is reached by `via` (NULL: it is dialled): where its carriers are streams of
 * another session, it is where that one is. */
struct flow_env *tunnel_home(const struct tunnel_spec *spec, struct outbound *via, size_t session);
/* The worker that has its first session. */
struct flow_env *tunnel_outbound_home(struct outbound *outbound);

/* What a tunnel outbound is made by; borrowed. NULL: it is none. */
struct tunnel_spec *tunnel_outbound_spec(struct outbound *outbound);

/* The outbound of these rules that has this specification; NULL: none. */
struct outbound *tunnel_outbound_find(const struct ruleset *ruleset,
                                      const struct tunnel_spec *spec);

#endif
