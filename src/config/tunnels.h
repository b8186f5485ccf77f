/* What tunnels need beside single keys: what opens them, out of the file and of files beside it. */
#ifndef SOCKEYE_CONFIG_TUNNELS_H
#define SOCKEYE_CONFIG_TUNNELS_H

#include "config/keys.h"

#define TUNNEL_MAX_PATH_BYTES 4095
#define TUNNEL_MAX_PEERS 4096

/* Parses a key's base64 text; says, as of the key `name` at this place, what is wrong with it. */
void tunnel_key_read(struct reading *reading, struct config_key *out, const char *name,
                     struct mark at, const char *text, size_t n);

/* Reads the files that a tunnel names; says what does not fit. `node` is what it was read from. */
void tunnels_check_inbound(struct reading *reading, const struct node *node,
                           struct config_inbound *inbound);
void tunnels_check_outbound(struct reading *reading, const struct node *node,
                            struct config_outbound *outbound);

#endif
