#include "route/lines.h"

#include <string.h>

#include "base/addr.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The first c, or the end. */
static size_t until(struct slice text, char c)
{
    const char *at = text.n > 0 ? memchr(text.at, c, text.n) : NULL;
    return at != NULL ? (size_t)(at - text.at) : text.n;
}

static void drop_first(struct slice *text, size_t n)
{
    text->at += n;
    text->n -= n;
}

static struct slice domain_of(struct slice line)
{
    line.n = until(line, '#');
    while (line.n > 0 && is_blank(line.at[0]))
        drop_first(&line, 1);
    while (line.n > 0 && is_blank(line.at[line.n - 1]))
        line.n--;
    if (line.n >= 2 && (line.at[0] == '+' || line.at[0] == '*') && line.at[1] == '.')
        drop_first(&line, 2);
    else if (line.n >= 1 && line.at[0] == '.')
        drop_first(&line, 1);
    if (line.n > 0 && line.at[line.n - 1] == '.')
        line.n--;
    return line;
}

bool lines_next(struct slice *rest, struct slice *domain)
{
    while (rest->n > 0) {
        size_t n = until(*rest, '\n');
        *domain = domain_of((struct slice){rest->at, n});
        drop_first(rest, n < rest->n ? n + 1 : n);
        if (domain->n > 0 && domain->n <= HOST_NAME_MAX_BYTES)
            return true;
    }
    return false;
}
