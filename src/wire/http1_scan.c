#include "wire/http1_scan.h"

#include <string.h>

enum { ALL = HTTP1_TOKEN | HTTP1_TARGET | HTTP1_VALUE, NO_TOKEN = HTTP1_TARGET | HTTP1_VALUE };

const uint8_t http1_classes[256] = {
    ['\t'] = HTTP1_VALUE,
    [' '] = HTTP1_VALUE,
    ['!'] = ALL,
    ['"'] = NO_TOKEN,
    ['#' ... '\''] = ALL,
    ['('] = NO_TOKEN,
    [')'] = NO_TOKEN,
    ['*'] = ALL,
    ['+'] = ALL,
    [','] = NO_TOKEN,
    ['-'] = ALL,
    ['.'] = ALL,
    ['/'] = NO_TOKEN,
    ['0' ... '9'] = ALL,
    [':' ... '@'] = NO_TOKEN,
    ['A' ... 'Z'] = ALL,
    ['[' ... ']'] = NO_TOKEN,
    ['^' ... 'z'] = ALL,
    ['{'] = NO_TOKEN,
    ['|'] = ALL,
    ['}'] = NO_TOKEN,
    ['~'] = ALL,
    [0x80 ... 0xff] = NO_TOKEN,
};

enum err scan_text(struct scan *scan, const char *text)
{
    enum err err = ERR_NONE;

    for (; *text != '\0' && err == ERR_NONE; text++)
        err = scan_byte(scan, (uint8_t)*text);
    return err;
}

enum err scan_digit(struct scan *scan, uint8_t *out)
{
    if (scan->at == scan->end)
        return ERR_MORE;
    *out = (uint8_t)(*scan->at - '0');
    if (*out > 9)
        return ERR_BAD;
    scan->at++;
    return ERR_NONE;
}

enum err scan_version(struct scan *scan, uint8_t *major, uint8_t *minor)
{
    enum err err = scan_text(scan, "HTTP/");

    if (err == ERR_NONE)
        err = scan_digit(scan, major);
    if (err == ERR_NONE)
        err = scan_byte(scan, '.');
    if (err == ERR_NONE)
        err = scan_digit(scan, minor);
    return err;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice http1_trim(struct slice text)
{
    while (text.n > 0 && is_blank(text.at[0])) {
        text.at++;
        text.n--;
    }
    while (text.n > 0 && is_blank(text.at[text.n - 1]))
        text.n--;
    return text;
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool http1_is_same(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (to_lower(a.at[i]) != to_lower(b.at[i]))
            return false;
    }
    return true;
}

bool http1_is_word(struct slice text, const char *word)
{
    return http1_is_same(text, (struct slice){.at = word, .n = strlen(word)});
}
