/*
 * How many associations there may be: a quarter as many as the descriptors allow connections, since each has
 * four; an inbound beside others may have half of that. Where another one is asked for, the
 * worker's longest unused makes room, or the asking client's own, where it has more than that one's.
 */
#ifndef SOCKEYE_FLOW_PLACES_H
#define SOCKEYE_FLOW_PLACES_H

#include <stdbool.h>

#include "base/err.h"

struct flow;
struct inbound_counts;

/* Finds a place for the flow's association, for which others may have to go. ERR_LIMIT, ERR_MEMORY. */
NODISCARD enum err places_enter(struct flow *flow);
void places_leave(struct flow *flow);

/* Closes the longest unused association, of this inbound's (NULL: of all). False: there is none. */
bool places_make_room(struct flow *asking, const struct inbound_counts *of_inbound);

#endif
