/* What no single key can tell: how inbounds, outbounds, rules and their names fit together. */
#ifndef SOCKEYE_CONFIG_CHECK_H
#define SOCKEYE_CONFIG_CHECK_H

#include "config/keys.h"

/* Completes a configuration that was read from `root`: adds the outbounds that always exist, names
 * what has no name, finds what names stand for, reads the files that it names; says what does not
 * fit. */
void check_config(struct reading *reading, const struct node *root, struct config *config);

/* The first entry of a list of `root`, or NULL. Lists of the configuration and of the tree run in
 * step: the nth inbound was read from the nth entry of `inbounds`, broken or not. */
const struct node *check_entries(const struct node *root, const char *key);

#endif
