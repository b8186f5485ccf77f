/*
 * A near end's way to its server. Its addresses are tried one after the other, beginning with the one that was of use last, or
 * where there are several links with the next in turn; what goes beside an attempt that is under way goes to the next. A name has
 * its addresses tried by flow/dial.h, or by the outbound that leads there, and is looked up anew each time.
 */
#ifndef SOCKEYE_TUNNEL_NEAR_DIAL_H
#define SOCKEYE_TUNNEL_NEAR_DIAL_H

#include <stdbool.h>

struct carrier;
struct near;

/* Begins to dial, beside what is under way. The peer is told what comes of it. */
void near_dial(struct near *near);
/* The link of one that was dialled stands: where it is the only one, no other is needed. */
void near_dial_stands(struct near *near, const struct carrier *carrier);
/* Whether all that are under way stand still. */
bool near_dials_stand_still(const struct near *near);
/* The time of each stands still with it, and goes on when it moves again. */
void near_dials_review(struct near *near);
void near_dial_cancel_all(struct near *near);

#endif
