/*
 * Building log lines. Each field is written whole or taken back: a cursor runs ahead of line->n,
 * which moves only when the field fits. One byte is always left for the brace that ends JSON.
 */
#include "base/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Where the next byte goes; once full, nothing more is written. */
struct cursor {
    char *at;
    char *end;
    bool full;
};

static const char *const level_texts[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn",   [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_TRACE] = "trace",
};

static_assert(sizeof level_texts / sizeof level_texts[0] == N_LOG_LEVELS, "a level without a text");

static const char hex_digits[] = "0123456789abcdef";

const char *log_level_text(enum log_level level)
{
    return (unsigned)level < N_LOG_LEVELS ? level_texts[level] : "unknown";
}

static void put(struct cursor *c, const char *text, size_t n)
{
    if (c->full || n > (size_t)(c->end - c->at)) {
        c->full = true;
        return;
    }
    memcpy(c->at, text, n);
    c->at += n;
}

static void put_text(struct cursor *c, const char *text)
{
    put(c, text, strlen(text));
}

/* Writes a number in at least `width` digits. */
static void put_number(struct cursor *c, uint64_t value, size_t width)
{
    char digits[20];
    size_t at = sizeof digits;

    while (value > 0 || sizeof digits - at < width || at == sizeof digits) {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    }
    put(c, digits + at, sizeof digits - at);
}

/* Writes 2026-11-21T09:49:33.123Z. The days are counted in eras of 400 years that begin on the
 * first of March, so that the leap day is the last of its year. */
static void put_time(struct cursor *c, uint64_t ms)
{
    const uint64_t last_ms = UINT64_C(253402300799999); /* of the year 9999 */
    if (ms > last_ms)
        ms = last_ms;
    uint64_t days = ms / 86400000 + 719468; /* from 0000-03-01 */
    uint64_t in_day = ms % 86400000;
    uint64_t in_era = days % 146097;
    uint64_t year_in_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    uint64_t month_from_march = (5 * in_year + 2) / 153;
    uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint64_t year = days / 146097 * 400 + year_in_era + (month <= 2);

    put_number(c, year, 4);
    put(c, "-", 1);
    put_number(c, month, 2);
    put(c, "-", 1);
    put_number(c, in_year - (153 * month_from_march + 2) / 5 + 1, 2);
    put(c, "T", 1);
    put_number(c, in_day / 3600000, 2);
    put(c, ":", 1);
    put_number(c, in_day / 60000 % 60, 2);
    put(c, ":", 1);
    put_number(c, in_day / 1000 % 60, 2);
    put(c, ".", 1);
    put_number(c, in_day % 1000, 3);
    put(c, "Z", 1);
}

static void put_hex_escape(struct cursor *c, const char *prefix, unsigned char byte)
{
    char digits[2] = {hex_digits[byte >> 4], hex_digits[byte & 15]};
    char text[8];
    size_t n = strlen(prefix);

    /* In one piece: a message may be cut off between escapes, never inside one. */
    memcpy(text, prefix, n);
    memcpy(text + n, digits, sizeof digits);
    put(c, text, n + sizeof digits);
}

static bool is_printable(unsigned char byte)
{
    return byte >= ' ' && byte < 0x7f;
}

/* Writes bytes as text; those in `special` and those that do not print become \xNN. */
static void put_escaped(struct cursor *c, const char *bytes, size_t n, const char *special)
{
    for (size_t i = 0; i < n && !c->full; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (is_printable(byte) && strchr(special, byte) == NULL)
            put(c, bytes + i, 1);
        else
            put_hex_escape(c, "\\x", byte);
    }
}

static bool is_plain(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (!is_printable(byte) || strchr(" \"=\\", byte) != NULL)
            return false;
    }
    return n > 0;
}

static void put_text_value(struct cursor *c, const char *bytes, size_t n)
{
    if (is_plain(bytes, n)) {
        put(c, bytes, n);
        return;
    }
    put(c, "\"", 1);
    put_escaped(c, bytes, n, "\"\\");
    put(c, "\"", 1);
}

/* Returns the length of the UTF-8 character of two to four bytes at the start, or 0 where there
 * is none (RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF). */
static size_t utf8_length(const unsigned char *bytes, size_t n)
{
    unsigned char first = bytes[0];
    size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

    if (length == 0 || length > n)
        return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

/* Writes the inside of a JSON string (RFC 8259 section 7). */
static void put_json_escaped(struct cursor *c, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !c->full;) {
        unsigned char byte = (unsigned char)bytes[i];
        size_t length = 1;
        if (byte == '"' || byte == '\\') {
            char pair[2] = {'\\', bytes[i]};
            put(c, pair, sizeof pair);
        } else if (is_printable(byte)) {
            put(c, bytes + i, 1);
        } else if (byte < 0x80) {
            put_hex_escape(c, "\\u00", byte);
        } else {
            length = utf8_length((const unsigned char *)bytes + i, n - i);
            if (length > 0) {
                put(c, bytes + i, length);
            } else {
                put_text(c, "\xef\xbf\xbd"); /* U+FFFD */
                length = 1;
            }
        }
        i += length;
    }
}

static bool is_json(const struct log_line *line)
{
    return line->log->format == LOG_FORMAT_JSON;
}

/* The room for fields: one byte less than the line, for the brace at the end. */
static struct cursor cursor_of(struct log_line *line)
{
    return (struct cursor){
        .at = line->text + line->n,
        .end = line->text + sizeof line->text - 1,
    };
}

/* Keeps what was written, if all of it was. */
static void commit(struct log_line *line, const struct cursor *c)
{
    if (!c->full)
        line->n = (size_t)(c->at - line->text);
}

static void put_key(struct cursor *c, bool json, const char *key)
{
    put_text(c, json ? ",\"" : " ");
    put_text(c, key);
    put_text(c, json ? "\":" : "=");
}

/* Writes what every line begins with: time and level. */
static void begin(struct log_line *line, struct log *log, enum log_level level)
{
    line->log = log != NULL && log_wants(log, level) ? log : NULL;
    line->level = level;
    line->n = 0;
    if (line->log == NULL)
        return;
    struct cursor c = cursor_of(line);
    put_text(&c, is_json(line) ? "{\"time\":\"" : "");
    put_time(&c, log->wall_ms(log));
    put_text(&c, is_json(line) ? "\",\"level\":\"" : " ");
    put_text(&c, log_level_text(level));
    put_text(&c, is_json(line) ? "\"" : "");
    commit(line, &c);
}

void log_begin(struct log_line *line, struct log *log, enum log_level level, const char *event)
{
    begin(line, log, level);
    if (line->log == NULL)
        return;
    if (is_json(line)) {
        log_str(line, "event", event);
        return;
    }
    struct cursor c = cursor_of(line);
    put(&c, " ", 1);
    put_text(&c, event);
    commit(line, &c);
}

void log_bytes(struct log_line *line, const char *key, const char *value, size_t n)
{
    if (line->log == NULL || value == NULL)
        return;
    struct cursor c = cursor_of(line);
    put_key(&c, is_json(line), key);
    if (is_json(line)) {
        put(&c, "\"", 1);
        put_json_escaped(&c, value, n);
        put(&c, "\"", 1);
    } else {
        put_text_value(&c, value, n);
    }
    commit(line, &c);
}

void log_str(struct log_line *line, const char *key, const char *value)
{
    if (value != NULL)
        log_bytes(line, key, value, strlen(value));
}

void log_u64(struct log_line *line, const char *key, uint64_t value)
{
    if (line->log == NULL)
        return;
    struct cursor c = cursor_of(line);
    put_key(&c, is_json(line), key);
    put_number(&c, value, 1);
    commit(line, &c);
}

void log_addr(struct log_line *line, const char *key, const struct addr *addr)
{
    if (line->log == NULL || addr == NULL || addr->family == ADDR_NONE)
        return;
    char text[ADDR_TEXT_BYTES];
    size_t n = addr_format(addr, text);
    log_bytes(line, key, text, n);
}

void log_end(struct log_line *line)
{
    if (line->log == NULL)
        return;
    if (is_json(line))
        line->text[line->n++] = '}';
    line->log->emit(line->log, line->level, line->text, line->n);
    line->log = NULL;
}

void log_say(struct log *log, enum log_level level, const char *format, ...)
{
    struct log_line line;
    char message[LOG_LINE_BYTES];
    va_list args;

    begin(&line, log, level);
    if (line.log == NULL)
        return;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t n_message = n < 0 ? 0 : (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;

    /* Unlike a field, a message that is too long is worth its beginning. */
    struct cursor c = cursor_of(&line);
    c.end--; /* the quote that ends it in JSON */
    if (is_json(&line)) {
        put_text(&c, ",\"message\":\"");
        put_json_escaped(&c, message, n_message);
    } else {
        put(&c, " ", 1);
        put_escaped(&c, message, n_message, "");
    }
    c.full = false;
    c.end++;
    put_text(&c, is_json(&line) ? "\"" : "");
    commit(&line, &c);
    log_end(&line);
}
