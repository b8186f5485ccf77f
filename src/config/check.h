/* What no single key can tell: how inbounds, outbounds and their names and addresses fit together. */
#ifndef SOCKEYE_CONFIG_CHECK_H
#define SOCKEYE_CONFIG_CHECK_H

#include "config/keys.h"

/* Completes a configuration that was read from `root`: adds the outbounds that always exist, names
 * what has no name, finds what names stand for; says what does not fit. */
void check_config(struct reading *reading, const struct node *root, struct config *config);

#endif
