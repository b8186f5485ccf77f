/* What tunnels need beside single keys: what opens them, out of the file and of files beside it. */
#ifndef SOCKEYE_CONFIG_TUNNELS_H
#define SOCKEYE_CONFIG_TUNNELS_H

#include "config/keys.h"

#define TUNNEL_MAX_PATH_BYTES 4095
#define TUNNEL_MAX_PEERS 4096

/* A key's text where it is: as a value, or a line of a file. */
struct key_text {
    const char *name; /* of the key that has it, or that names the file */
    struct mark at;
    const char *text;
    size_t n;
};

#define KEY_WRONG_BYTES 128

/* One more of a server's keys; false: it is none. */
bool tunnel_key_add(struct reading *reading, struct config_inbound *inbound,
                    const struct key_text *text);
/* A client's: SERVER, or SERVER:USER. */
void tunnel_key_split(struct reading *reading, struct config_outbound *outbound,
                      const struct key_text *text);
/* What keeps a text from being the key of a user of this inbound, or NULL; some of it is put into `room`. */
const char *tunnel_key_judge_user(const struct config_inbound *inbound, const char *text,
                                  char room[static KEY_WRONG_BYTES]);

/* Reads the files that a tunnel names; says what does not fit. `node` is what it was read from. */
void tunnels_check_inbound(struct reading *reading, const struct node *node,
                           struct config_inbound *inbound);
void tunnels_check_outbound(struct reading *reading, const struct node *node,
                            struct config_outbound *outbound);

#endif
