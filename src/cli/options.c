#include "cli/options.h"

#include <assert.h>
#include <string.h>

void cli_getopt_init(struct cli_getopt *getopt, const struct cli_option *options)
{
    size_t n_letters = 0, n_names = 0, n = 0;
    *getopt = (struct cli_getopt){0};
    getopt->letters[n_letters++] = ':';
    for (const struct cli_option *option = options; option->letter != 0; option++) {
        assert(++n <= CLI_MAX_OPTIONS);
        if (option->letter < CLI_LONG_ONLY) {
            getopt->letters[n_letters++] = (char)option->letter;
            if (option->arg != NULL)
                getopt->letters[n_letters++] = ':';
        }
        if (option->name != NULL)
            getopt->names[n_names++] =
                (struct option){option->name, option->arg != NULL ? required_argument : no_argument,
                                NULL, option->letter};
    }
    optind = 0; /* begin anew, whatever was parsed before */
}

/* How it is written where there is room for one way only. */
static void print_short(FILE *out, const struct cli_option *option)
{
    if (option->letter < CLI_LONG_ONLY)
        fprintf(out, "-%c", option->letter);
    else
        fprintf(out, "--%s", option->name);
}

void cli_print_synopsis(FILE *out, const struct cli_option *options)
{
    char letters[CLI_MAX_OPTIONS + 1] = "";
    size_t n = 0;
    for (const struct cli_option *option = options; option->letter != 0; option++) {
        if (option->arg == NULL && option->letter < CLI_LONG_ONLY) {
            letters[n++] = (char)option->letter;
            continue;
        }
        fputs(" [", out);
        print_short(out, option);
        fprintf(out, option->arg != NULL ? " %s]" : "]", option->arg);
    }
    if (n > 0)
        fprintf(out, " [-%s]", letters);
}

/* Returns how wide it is; `out` may be NULL. */
static int print_names(FILE *out, const struct cli_option *option)
{
    char text[80];
    int n = 0;
    if (option->letter < CLI_LONG_ONLY)
        n += snprintf(text, sizeof text, "-%c", option->letter);
    if (option->name != NULL)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s--%s", n > 0 ? ", " : "", option->name);
    if (option->arg != NULL)
        n += snprintf(text + n, sizeof text - (size_t)n, " %s", option->arg);
    if (out != NULL)
        fputs(text, out);
    return n;
}

void cli_print_options(FILE *out, const struct cli_option *options)
{
    int widest = 0;
    for (const struct cli_option *option = options; option->letter != 0; option++) {
        int n = print_names(NULL, option);
        widest = n > widest ? n : widest;
    }
    for (const struct cli_option *option = options; option->letter != 0; option++) {
        fputs("    ", out);
        int indent = widest - print_names(out, option) + 3;
        for (const char *line = option->help; line != NULL;) {
            const char *end = strchr(line, '\n');
            size_t n = end != NULL ? (size_t)(end - line) : strlen(line);
            fprintf(out, "%*s%.*s\n", indent, "", (int)n, line);
            indent = 4 + widest + 3;
            line = end != NULL ? end + 1 : NULL;
        }
    }
}
