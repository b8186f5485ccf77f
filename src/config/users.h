/*
 * Files of users: "name:password" a line, where a password that begins with "$" is a crypt(5) hash, for a tunnel
 * "name:key"; blank lines, and lines that begin with "#", are comments. The names and passwords stay where they
 * were read, as there may be a million of them.
 */
#ifndef SOCKEYE_CONFIG_USERS_H
#define SOCKEYE_CONFIG_USERS_H

#include "config/keys.h"

#define MAX_USERS 1000000

/* Reads the inbound's users_file and adds its users to those that the inbound has. `node` is the
 * inbound in the file. Says what is wrong, a user who is there twice too, and of a tunnel two with one key. */
void users_read_file(struct reading *reading, const struct node *node,
                     struct config_inbound *inbound);

#endif
