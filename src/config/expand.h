/* ${NAME} in a scalar becomes the environment variable's text; $${ becomes ${. */
#ifndef SOCKEYE_CONFIG_EXPAND_H
#define SOCKEYE_CONFIG_EXPAND_H

#include <stddef.h>

#include "config/tree.h"

/* What all the variables of one file may bring in together. */
#define EXPAND_MAX_BYTES ((size_t)4 * 1024 * 1024)

/* As struct config_sources has it. */
typedef const char *expand_getenv(const char *name);

struct expansion {
    expand_getenv *env;
    struct report *report;
    struct arena *arena;
    size_t total_bytes; /* brought in so far */
};

/* Expands a scalar in place. A variable that is not set, or no text, breaks the node. */
void expand_node(struct expansion *expansion, struct node *node);

#endif
