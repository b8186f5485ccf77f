/* Names of inbounds and outbounds: unique over both, some given by us, and what they stand for. */
#ifndef SOCKEYE_CONFIG_NAMES_H
#define SOCKEYE_CONFIG_NAMES_H

#include "config/keys.h"

/* A list of names with their places, for finding those that are there twice. */
struct use {
    const char *name;
    struct mark at;
    bool is_made_up; /* ours, for something without a name */
};

struct uses {
    struct use *items; /* NULL: out of memory, which the report knows */
    size_t n;
};

struct uses uses_new(struct reading *reading, size_t cap);
void uses_add(struct uses *uses, const char *name, struct mark at, bool is_made_up);

/* Says each name that is there a second time; `what` has it, such as "user". Sorts them. */
void uses_check_unique(struct report *report, struct uses *uses, const char *what);

/* Adds the outbounds that always exist, names the inbounds that have no name, and says which names
 * are wrong. `root` is the whole file. */
void names_complete(struct reading *reading, const struct node *root, struct config *config);

/* A text of the file that should be a name. */
struct reference {
    const char *text; /* zero terminated */
    struct mark at;
    bool is_secret; /* messages do not show it */
};

/* Finds what is meant, or says that there is none, with the nearest name. */
bool names_find_outbound(struct reading *reading, const struct config *config,
                         const struct reference *wanted, size_t *out);
bool names_check_inbound(struct reading *reading, const struct config *config,
                         const struct reference *wanted);

#endif
