/*
 * Room for one more session of a user who has as many as he may have: one of his that has no link ends for it, on whatever worker it
 * is. Those of other workers are ended by mail, so that it is the client's next attempt which finds room there.
 */
#ifndef SOCKEYE_TUNNEL_FAR_ROOM_H
#define SOCKEYE_TUNNEL_FAR_ROOM_H

#include <stdint.h>

struct far_host;

/* The session of this host wants to be one of at most so many. */
void far_room_ask_others(const struct far_host *host, uint64_t max_sessions);

#endif
