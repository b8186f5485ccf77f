/*
 * libyaml says what its scanner met ("found character that cannot start any token"); people need to
 * be told what to write instead. The few mistakes that everybody makes are recognised by the
 * character at which the scanner stopped.
 */
#include "config/syntax.h"

#include <string.h>

#include "config/utf8.h"

bool syntax_check_characters(struct report *report, const char *text, size_t n)
{
    struct mark at = {1, 1};
    size_t length;

    for (size_t i = 0; i < n; i += length) {
        uint32_t c = 0;
        length = utf8_decode(&c, text + i, n - i);
        if (length == 0) {
            report_error(report, at, "byte 0x%02x: this is not UTF-8 text",
                         (unsigned)(unsigned char)text[i]);
            return false;
        }
        bool is_bom = c == 0xfeff && i == 0;
        if (!is_bom && !utf8_is_printable(c)) {
            report_error(report, at, "character U+%04X cannot stand in YAML as it is%s",
                         (unsigned)c, c == 0 ? "; is this a text file in UTF-8?" : "");
            return false;
        }
        if (c == '\n') {
            at.line++;
            at.column = 1;
        } else if (!is_bom) {
            at.column++;
        }
    }
    return true;
}

/* Which place helps most: where it failed, or where what failed had begun. */
enum place { AT_PROBLEM, AT_CONTEXT, AT_BOTH };

struct problem {
    const char *yaml; /* libyaml's words */
    const char *text;
    enum place place;
};

static const struct problem problems[] = {
    {"found a tab character that violates indentation", "a tab cannot indent YAML: use spaces",
     AT_PROBLEM},
    {"found a tab character where an indentation space is expected",
     "a tab cannot indent YAML: use spaces", AT_PROBLEM},
    {"found character that cannot start any token",
     "a text cannot begin with this character: put it in quotes", AT_PROBLEM},
    {"mapping values are not allowed in this context",
     "unexpected \":\": is a line indented wrongly, or does a text with \": \" need quotes?",
     AT_PROBLEM},
    {"could not find expected ':'", "expected \"key: value\", with a space after the colon",
     AT_CONTEXT},
    {"did not find expected key", "expected a key here: is it indented like the keys beside it?",
     AT_PROBLEM},
    {"did not find expected '-' indicator",
     "expected \"- \" here: is it indented like the entries above it?", AT_PROBLEM},
    {"did not find expected node content", "expected a value here", AT_PROBLEM},
    {"did not find expected <document start>",
     "expected nothing more: the configuration has ended before this", AT_PROBLEM},
    {"did not find expected ',' or ']'", "expected \",\" or \"]\"", AT_BOTH},
    {"did not find expected ',' or '}'", "expected \",\" or \"}\"", AT_BOTH},
    {"found unexpected end of stream", "a quote opened here is never closed", AT_CONTEXT},
    {"found unexpected document indicator", "a quote opened here is never closed", AT_CONTEXT},
    {"found unknown escape character",
     "unknown escape: write \\\\ for a backslash, or use single quotes", AT_PROBLEM},
    {"found invalid Unicode character escape code",
     "this escape is no character: one beyond \\uFFFF is written as it is, or as \\U and eight "
     "digits",
     AT_PROBLEM},
};

static const struct problem *find_problem(const char *yaml)
{
    static const struct problem other = {"", NULL, AT_PROBLEM};

    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
        if (strcmp(problems[i].yaml, yaml) == 0)
            return &problems[i];
    return &other;
}

/* Returns the byte offset of a character counted from 0, which may be the end. */
static size_t offset_of(const char *text, size_t n, size_t index)
{
    size_t i = 0;
    uint32_t c;

    /* libyaml does not count a byte order mark. */
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        i = 3;
    for (; index > 0 && i < n; index--)
        i += utf8_decode(&c, text + i, n - i);
    return i;
}

/* Recognises a mistake by the characters before and at the place where the scanner stopped. */
static const char *guess(char before, char here)
{
    if (here == '\t')
        return "a tab cannot indent YAML: use spaces";
    if (before == '*')
        return "a text that begins with * must be in quotes, as \"*\"";
    if (before == '$' && here == '{')
        return "within [ ] and { }, a text with ${ must be in quotes";
    if (here == ':' && (before == '[' || before == ' ' || before == ']' || before == ','))
        return "an address with [ ] or with : at its start must be in quotes, as \"[::1]:1080\"";
    return NULL;
}

static struct mark mark_of(const yaml_mark_t *mark)
{
    return (struct mark){(uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

void syntax_report(struct report *report, const yaml_parser_t *yaml, const char *text, size_t n)
{
    const struct problem *problem = find_problem(yaml->problem);
    size_t at = offset_of(text, n, yaml->problem_mark.index);
    const char *words = guess(at > 0 ? text[at - 1] : '\0', at < n ? text[at] : '\0');

    if (words != NULL) {
        report_error(report, mark_of(&yaml->problem_mark), "%s", words);
        return;
    }
    words = problem->text != NULL ? problem->text : yaml->problem;
    if (problem->place == AT_BOTH)
        report_error(report, mark_of(&yaml->problem_mark), "%s for what began in line %u", words,
                     (unsigned)mark_of(&yaml->context_mark).line);
    else
        report_error(
            report,
            mark_of(problem->place == AT_CONTEXT ? &yaml->context_mark : &yaml->problem_mark), "%s",
            words);
}
