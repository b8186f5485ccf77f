#include "config/sets.h"

#include <string.h>

#include "config/domain.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* What is between the spaces at both ends, without a comment. */
static void trim(char **text, size_t *n)
{
    const char *comment = memchr(*text, '#', *n);

    if (comment != NULL)
        *n = (size_t)(comment - *text);
    while (*n > 0 && is_space((*text)[*n - 1]))
        *n -= 1;
    while (*n > 0 && is_space(**text)) {
        *text += 1;
        *n -= 1;
    }
}

static void say_bad_line(struct reading *reading, struct mark at, struct file_line where,
                         const char *text, size_t n, const char *wrong)
{
    struct quoted q;

    /* "0.0.0.0 ads.example": the format of /etc/hosts is what people have at hand. */
    for (size_t i = 0; i < n; i++)
        if (is_space(text[i]))
            wrong = "is more than one word; expected one domain a line";
    report_file_error(reading->report, at, where, "%s %s", quote(&q, text, n), wrong);
}

void set_normalise(struct reading *reading, struct file *file, struct mark at)
{
    struct file_line where = {.file = file->path};

    file_skip_mark(file);
    char *next = file->text, *end = file->text + file->n, *out = file->text;
    while (next < end) {
        const char *newline = memchr(next, '\n', (size_t)(end - next));
        char *line = next;
        size_t n = (size_t)((newline != NULL ? newline : end) - line);

        where.line++;
        next += n + 1;
        trim(&line, &n);
        if (n == 0)
            continue;
        char *domain = line;
        size_t n_domain = n;
        domain_strip(&domain, &n_domain);
        const char *wrong = domain_lower(domain, n_domain);
        if (wrong != NULL) {
            say_bad_line(reading, at, where, line, n, wrong);
            continue;
        }
        /* The zero byte after the text has room for a last newline. */
        memmove(out, domain, n_domain);
        out += n_domain;
        *out++ = '\n';
    }
    file->n = (size_t)(out - file->text);
}
