/*
 * Log records. A line is built in a buffer on the stack, field by field, as text or JSON after the
 * log's format, and handed to the log's emit function, which never blocks (daemon/ makes it).
 *
 *     2026-11-21T09:49:33.123Z info flow in=lan out=home user=ann from=192.0.2.7:4242 ...
 *     {"time":"2026-11-21T09:49:33.123Z","level":"info","event":"flow","in":"lan",...}
 *
 * A value that is not plain (spaces, quotes, '=' or controls) is quoted and escaped in text form, so that no
 * client can forge a field or a line. A line beyond LOG_LINE_BYTES loses whole fields, never its end.
 */
#ifndef SOCKEYE_BASE_LOG_H
#define SOCKEYE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE,
    N_LOG_LEVELS
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

#define LOG_LINE_BYTES 1280

struct log {
    enum log_level level; /* lines beyond it are not built */
    enum log_format format;
    bool access;                       /* whether each flow gets its line */
    uint64_t (*wall_ms)(struct log *); /* milliseconds since 1970 */
    /* Takes one line without its newline; must copy what it keeps. */
    void (*emit)(struct log *, enum log_level level, const char *line, size_t n);
};

struct log_line {
    struct log *log; /* NULL: this line is not wanted, and every call on it does nothing */
    enum log_level level;
    size_t n;
    char text[LOG_LINE_BYTES];
};

const char *log_level_text(enum log_level level);

static inline bool log_wants(const struct log *log, enum log_level level)
{
    return level <= log->level;
}

/* Begins a line: time, level, event (one word, or words without quotes). */
void log_begin(struct log_line *line, struct log *log, enum log_level level, const char *event);
/* Adds key=value; a NULL value adds nothing. */
void log_str(struct log_line *line, const char *key, const char *value);
void log_bytes(struct log_line *line, const char *key, const char *value, size_t n);
void log_u64(struct log_line *line, const char *key, uint64_t value);
void log_addr(struct log_line *line, const char *key, const struct addr *addr);
/* Hands the line to the log. */
void log_end(struct log_line *line);

/* A whole line of words for a person: level and a printf text as its message. */
void log_say(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
