/*
 * What the parsers of HTTP/1 are made of: each byte is looked up once in a table of classes, and
 * each piece of the grammar is a loop over its class followed by the one byte that may end it.
 * Running out of bytes anywhere is ERR_MORE; only what has been seen can be wrong.
 */
#ifndef SOCKEYE_WIRE_HTTP1_SCAN_H
#define SOCKEYE_WIRE_HTTP1_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/slice.h"

/* Classes of bytes: tchar (RFC 9110 section 5.6.2), what a request target and what a field's
 * value may hold. */
enum { HTTP1_TOKEN = 1, HTTP1_TARGET = 2, HTTP1_VALUE = 4 };

extern const uint8_t http1_classes[256];

static inline bool http1_is_in(uint8_t byte, unsigned class)
{
    return (http1_classes[byte] & class) != 0;
}

/* What is left to parse. */
struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

/* Takes the longest run of a class. That it ended at the end of the bytes, where it could still
 * grow, is for scan_byte() to find. */
static inline struct slice scan_run(struct scan *scan, unsigned class)
{
    const uint8_t *at = scan->at;

    while (at < scan->end && http1_is_in(*at, class))
        at++;
    struct slice run = {.at = (const char *)scan->at, .n = (size_t)(at - scan->at)};
    scan->at = at;
    return run;
}

static inline enum err scan_byte(struct scan *scan, uint8_t byte)
{
    if (scan->at == scan->end)
        return ERR_MORE;
    if (*scan->at != byte)
        return ERR_BAD;
    scan->at++;
    return ERR_NONE;
}

static inline enum err scan_line_end(struct scan *scan)
{
    enum err err = scan_byte(scan, '\r');
    return err == ERR_NONE ? scan_byte(scan, '\n') : err;
}

/* Takes a run that is not empty and the byte behind it. */
static inline enum err scan_word(struct scan *scan, struct slice *out, unsigned class, uint8_t end)
{
    *out = scan_run(scan, class);
    if (out->n == 0 && scan->at < scan->end)
        return ERR_BAD;
    return scan_byte(scan, end);
}

NODISCARD enum err scan_text(struct scan *scan, const char *text);

NODISCARD enum err scan_digit(struct scan *scan, uint8_t *out);

/* Takes "HTTP/1.1", with any digits. */
NODISCARD enum err scan_version(struct scan *scan, uint8_t *major, uint8_t *minor);

/* The text without the blanks around it. */
struct slice http1_trim(struct slice text);

/* Whether the text is this word, or another text, in any case. */
bool http1_is_word(struct slice text, const char *word);
bool http1_is_same(struct slice a, struct slice b);

#endif
