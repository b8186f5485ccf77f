/*
 * A YAML file as a tree of nodes, each with its place in the file. This is the part of YAML that a
 * configuration needs: one document of mappings, lists and scalars. Aliases, anchors, tags beyond
 * YAML's own, and deep nesting are errors.
 */
#ifndef SOCKEYE_CONFIG_TREE_H
#define SOCKEYE_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/arena.h"
#include "config/config.h"
#include "config/report.h"

enum node_kind {
    NODE_BROKEN, /* its error has been said: look no further */
    NODE_PLAIN,  /* a scalar without quotes: text, number, true, false or nothing */
    NODE_TEXT,   /* a scalar that is text whatever it looks like */
    NODE_LIST,
    NODE_MAP,
};

struct node {
    enum node_kind kind;
    bool from_env; /* some of its text came from the environment: it may be secret */
    struct mark at;
    const char *text; /* of a scalar: zero terminated, no zero inside */
    size_t n_text;
    const struct node *key; /* in a mapping: a scalar, or broken */
    struct node *next;      /* the next one in the same list or mapping */
    struct node *first, *last;
    size_t n_children;
};

struct tree_input {
    struct report *report;
    struct arena *arena; /* the tree's */
    const struct config_sources *sources;
    const char *text;
    size_t n_text;
};

/* Returns the root, in the arena; NULL: the report says why, or has no_memory set. */
const struct node *tree_parse(const struct tree_input *input);

/* The value of a mapping's key, or NULL. */
const struct node *node_get(const struct node *map, const char *key);

#endif
