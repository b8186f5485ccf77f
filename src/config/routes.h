/* The rules of `routes`: "KIND,value,outbound" texts. */
#ifndef SOCKEYE_CONFIG_ROUTES_H
#define SOCKEYE_CONFIG_ROUTES_H

#include "config/keys.h"

/* Reads the rules, whose outbounds and inbounds are known by now. `root` is the whole file. */
void routes_read(struct reading *reading, const struct node *root, struct config *config);

#endif
