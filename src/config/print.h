/* Writing a configuration as YAML, through a function that takes it in pieces. */
#ifndef SOCKEYE_CONFIG_PRINT_H
#define SOCKEYE_CONFIG_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct printer {
    void (*write)(void *arg, const char *text, size_t n);
    void *arg;
    const struct config *config;
    unsigned indent;
    bool begins_entry; /* the next key is the first of a list's entry: it follows "- " */
};

void print_raw(struct printer *printer, const char *text);
void print_number(struct printer *printer, uint64_t number);

/* A text in double quotes, such that reading it gives the same text again. */
void print_quoted(struct printer *printer, const char *text);

/* "key:" on a line of its own. */
void print_section(struct printer *printer, const char *key);

/* "- " at the right place of a new line, for an entry that is one value. */
void print_entry(struct printer *printer);

/* "key: " at the right place of a new line; whoever calls it ends the line. */
void print_key(struct printer *printer, const char *key);

#endif
