/*
 * What is wrong with a configuration: messages are collected while it is read, and said in the
 * order of the file when reading has ended, so that nothing is said if memory ran out.
 */
#ifndef SOCKEYE_CONFIG_REPORT_H
#define SOCKEYE_CONFIG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/config.h"

#define REPORT_MAX_SHOWN 100

/* A place in the file, both numbers from 1; line 0 is the file as a whole. */
struct mark {
    uint32_t line, column;
};

/* Whether a comes before b (below 0), after it (above 0), or is the same place. */
int mark_compare(struct mark a, struct mark b);

/* A line of another file that the configuration names. */
struct file_line {
    const char *file;
    size_t line;
};

struct report_message {
    struct mark at;         /* where it stands among the others */
    struct file_line other; /* where it is, if not there; file NULL: it is there */
    const char *text;
    size_t order;
};

/* Zeroed but for file and arena, both borrowed. */
struct report {
    const char *file;
    struct arena *arena;
    struct report_message shown[REPORT_MAX_SHOWN];
    size_t n_shown;
    unsigned n_errors, n_warnings;
    bool no_memory; /* set by whoever meets it: the configuration is given up silently */
};

void report_error(struct report *report, struct mark at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_warning(struct report *report, struct mark at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of a line of another file, which is borrowed as long as the report lives; `at` is where
 * the configuration names the file. */
void report_file_error(struct report *report, struct mark at, struct file_line other,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
void report_file_warning(struct report *report, struct mark at, struct file_line other,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Nothing more would be shown: work on the words of a message can be spared. */
bool report_is_full(const struct report *report);

/* Says everything collected and adds up the counts. */
void report_flush(struct report *report, struct config_messages *messages);

/* Room for a text as messages show it. */
struct quoted {
    char text[96];
};

/* Returns the text in quotes, cut where it is long and escaped where it is not printable, so that
 * nothing in a file can move a terminal's cursor. It is in `room`. */
const char *quote(struct quoted *room, const char *text, size_t n);

#endif
