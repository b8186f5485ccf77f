/* Outbounds that lead through other proxies: what they ask for, and the chains they make. */
#ifndef SOCKEYE_CONFIG_UPSTREAMS_H
#define SOCKEYE_CONFIG_UPSTREAMS_H

#include "config/keys.h"

/* Completes the first n outbounds, those of the file: reads their passwords, finds what they go
 * through; says what does not fit. */
void upstreams_check(struct reading *reading, const struct node *root, struct config *config,
                     size_t n);

#endif
