#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/utf8.h"

#define MAX_MESSAGE_BYTES 512
#define MAX_PATH_BYTES 4096 /* what is beyond is cut */
#define MAX_QUOTED_BYTES 72 /* of the text, escaped; quotes and dots come on top */

enum severity { IS_ERROR, IS_WARNING };

static void collect(struct report *report, enum severity severity, struct mark at,
                    struct file_line other, const char *format, va_list args)
    __attribute__((format(printf, 5, 0)));

static void collect(struct report *report, enum severity severity, struct mark at,
                    struct file_line other, const char *format, va_list args)
{
    const char *prefix = severity == IS_WARNING ? "warning: " : "";
    char text[MAX_MESSAGE_BYTES];

    if (severity == IS_ERROR)
        report->n_errors++;
    else
        report->n_warnings++;
    if (report_is_full(report))
        return;
    size_t n = strlen(prefix);
    memcpy(text, prefix, n);
    vsnprintf(text + n, sizeof text - n, format, args);
    const char *kept = arena_text(report->arena, text, strlen(text));
    if (kept == NULL) {
        report->no_memory = true;
        return;
    }
    report->shown[report->n_shown] =
        (struct report_message){.at = at, .other = other, .text = kept, .order = report->n_shown};
    report->n_shown++;
}

void report_error(struct report *report, struct mark at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    collect(report, IS_ERROR, at, (struct file_line){0}, format, args);
    va_end(args);
}

void report_warning(struct report *report, struct mark at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    collect(report, IS_WARNING, at, (struct file_line){0}, format, args);
    va_end(args);
}

void report_file_error(struct report *report, struct mark at, struct file_line other,
                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    collect(report, IS_ERROR, at, other, format, args);
    va_end(args);
}

void report_file_warning(struct report *report, struct mark at, struct file_line other,
                         const char *format, ...)
{
    va_list args;

    va_start(args, format);
    collect(report, IS_WARNING, at, other, format, args);
    va_end(args);
}

bool report_is_full(const struct report *report)
{
    return report->n_shown == REPORT_MAX_SHOWN;
}

int mark_compare(struct mark a, struct mark b)
{
    if (a.line != b.line)
        return a.line < b.line ? -1 : 1;
    return a.column < b.column ? -1 : a.column > b.column;
}

static int compare_messages(const void *left, const void *right)
{
    const struct report_message *a = left, *b = right;
    int order = mark_compare(a->at, b->at);

    return order != 0 ? order : a->order < b->order ? -1 : a->order > b->order;
}

static void say(const struct report *report, const struct report_message *message,
                struct config_messages *messages)
{
    char line[MAX_MESSAGE_BYTES + MAX_PATH_BYTES + 64];

    if (message->other.file != NULL)
        snprintf(line, sizeof line, "%s:%zu: %s", message->other.file, message->other.line,
                 message->text);
    else if (message->at.line == 0)
        snprintf(line, sizeof line, "%s: %s", report->file, message->text);
    else
        snprintf(line, sizeof line, "%s:%u:%u: %s", report->file, (unsigned)message->at.line,
                 (unsigned)message->at.column, message->text);
    messages->say(messages, line);
}

void report_flush(struct report *report, struct config_messages *messages)
{
    char line[MAX_PATH_BYTES + 64];

    qsort(report->shown, report->n_shown, sizeof report->shown[0], compare_messages);
    for (size_t i = 0; i < report->n_shown; i++)
        say(report, &report->shown[i], messages);
    size_t hidden = (size_t)report->n_errors + report->n_warnings - report->n_shown;
    if (hidden > 0) {
        snprintf(line, sizeof line, "%s: %zu more messages not shown", report->file, hidden);
        messages->say(messages, line);
    }
    messages->n_errors += report->n_errors;
    messages->n_warnings += report->n_warnings;
}

const char *quote(struct quoted *room, const char *text, size_t n)
{
    size_t used = 0, i = 0;

    room->text[used++] = '"';
    while (i < n && used < MAX_QUOTED_BYTES) {
        uint32_t c = 0;
        size_t length = utf8_decode(&c, text + i, n - i);
        if (length > 0 && c >= 0x20 && utf8_is_printable(c) && c != 0x85 && c != 0x2028 &&
            c != 0x2029) {
            memcpy(room->text + used, text + i, length);
            used += length;
            i += length;
        } else {
            used += (size_t)snprintf(room->text + used, sizeof room->text - used, "\\x%02x",
                                     (unsigned)(unsigned char)text[i]);
            i++;
        }
    }
    snprintf(room->text + used, sizeof room->text - used, "%s", i < n ? "...\"" : "\"");
    return room->text;
}
