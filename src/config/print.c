#include "config/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/utf8.h"

void print_raw(struct printer *printer, const char *text)
{
    printer->write(printer->arg, text, strlen(text));
}

void print_number(struct printer *printer, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, number);
    print_raw(printer, text);
}

/* YAML would fold a line break, so those are escaped with all that is not printable. */
static bool is_plain(uint32_t c)
{
    return c >= 0x20 && utf8_is_printable(c) && c != '"' && c != '\\' && c != 0x85 && c != 0x2028 &&
           c != 0x2029;
}

static void print_escape(struct printer *printer, uint32_t c)
{
    char text[16];

    if (c > 0xff)
        snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    else
        snprintf(text, sizeof text, "\\x%02x", (unsigned)c);
    print_raw(printer, text);
}

void print_quoted(struct printer *printer, const char *text)
{
    size_t n = strlen(text), length;

    print_raw(printer, "\"");
    for (size_t i = 0; i < n; i += length) {
        uint32_t c = 0;
        length = utf8_decode(&c, text + i, n - i);
        if (length == 0) { /* the command line's bytes are not checked */
            print_raw(printer, "?");
            length = 1;
            continue;
        }
        if (c == '$' && text[i + 1] == '{')
            print_raw(printer, "$$");
        else if (is_plain(c))
            printer->write(printer->arg, text + i, length);
        else
            print_escape(printer, c);
    }
    print_raw(printer, "\"");
}

static void begin_line(struct printer *printer)
{
    unsigned indent = printer->begins_entry ? printer->indent - 2 : printer->indent;

    for (unsigned i = 0; i < indent; i++)
        print_raw(printer, " ");
    if (printer->begins_entry)
        print_raw(printer, "- ");
    printer->begins_entry = false;
}

void print_section(struct printer *printer, const char *key)
{
    begin_line(printer);
    print_raw(printer, key);
    print_raw(printer, ":\n");
}

void print_entry(struct printer *printer)
{
    printer->begins_entry = true;
    begin_line(printer);
}

void print_key(struct printer *printer, const char *key)
{
    begin_line(printer);
    print_raw(printer, key);
    print_raw(printer, ": ");
}
