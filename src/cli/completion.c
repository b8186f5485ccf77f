/*
 * sockeye completion: a script that teaches a shell what may follow, made from the table of verbs and
 * options that the parser uses. For each verb it offers options and, after an option, files or
 * addresses where the value is one.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/cli.h"

#define ADDRESSES "127.0.0.1 0.0.0.0"

/* The first sentence: up to a semicolon, a colon or a full stop. */
static int brief_bytes(const char *help)
{
    size_t n = strcspn(help, ";:.");
    while (help[n] == '.' && help[n + 1] != ' ' && help[n + 1] != '\n' && help[n + 1] != '\0')
        n += 1 + strcspn(help + n + 1, ";:.");
    return (int)n;
}

/* The first sentence, each of these characters after a backslash; all within single quotes. */
static void print_brief(const char *help, const char *escaped)
{
    int n = brief_bytes(help);
    for (int i = 0; i < n; i++) {
        if (help[i] == '\n')
            putchar(' ');
        else if (help[i] == '\'')
            fputs("'\\''", stdout);
        else
            printf(strchr(escaped, help[i]) != NULL ? "\\%c" : "%c", help[i]);
    }
}

static void print_option_words(const struct cli_option *options)
{
    for (const struct cli_option *option = options; option->letter != 0; option++) {
        if (option->letter < CLI_LONG_ONLY)
            printf(" -%c", option->letter);
        if (option->name != NULL)
            printf(" --%s", option->name);
    }
}

/* What a value may be, parted by spaces, where that is known; else nothing. */
static void print_values(const struct cli_option *option)
{
    if (option->kind == CLI_ADDRESS) {
        fputs(ADDRESSES, stdout);
    } else if (option->kind == CLI_CHOICE && option->arg != NULL) {
        for (const char *at = option->arg; *at != '\0'; at++)
            putchar(*at == '|' ? ' ' : *at);
    }
}

static bool has_values(const struct cli_option *option)
{
    return option->kind == CLI_ADDRESS || option->kind == CLI_CHOICE;
}

/* Each verb, osocks too, which is one by the program's name. */
static const struct cli_verb *verb_at(size_t i)
{
    size_t n = 0;
    while (cli_verbs[n] != NULL)
        n++;
    return i < n ? cli_verbs[i] : i == n ? &cli_osocks : NULL;
}

/* ---- bash ---- */

static void print_bash_values(const struct cli_verb *verb)
{
    for (const struct cli_option *option = verb->options; option->letter != 0; option++) {
        if (option->arg == NULL)
            continue;
        printf("    ");
        if (option->letter < CLI_LONG_ONLY)
            printf("%s,-%c%s", verb->name, option->letter, option->name != NULL ? " | " : "");
        if (option->name != NULL)
            printf("%s,--%s", verb->name, option->name);
        fputs(")\n", stdout);
        if (option->kind == CLI_FILE) {
            fputs("        compopt -o filenames\n"
                  "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n",
                  stdout);
        } else if (has_values(option)) {
            fputs("        mapfile -t COMPREPLY < <(compgen -W '", stdout);
            print_values(option);
            fputs("' -- \"$cur\")\n", stdout);
        }
        fputs("        return ;;\n", stdout);
    }
}

static void print_bash(void)
{
    fputs("# bash completion for sockeye and osocks\n"
          "_sockeye()\n"
          "{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local verb=${COMP_WORDS[1]} words=\n"
          "    # --name=value comes as three words\n"
          "    if [[ $cur == '=' ]]; then\n"
          "        cur=\n"
          "    elif [[ $prev == '=' ]]; then\n"
          "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    fi\n"
          "    COMPREPLY=()\n"
          "    if [[ ${COMP_WORDS[0]##*/} == osocks ]]; then\n"
          "        verb=osocks\n"
          "    elif ((COMP_CWORD == 1)); then\n"
          "        verb=\n"
          "    fi\n"
          "    case $verb,$prev in\n",
          stdout);
    const struct cli_verb *verb;
    for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
        print_bash_values(verb);
    fputs("    esac\n    case $verb in\n    '') words='", stdout);
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        printf("%s ", cli_verbs[i]->name);
    print_option_words(cli_options);
    fputs("' ;;\n", stdout);
    for (size_t i = 0; (verb = verb_at(i)) != NULL; i++) {
        printf("    %s) words='%s", verb->name, verb->choices != NULL ? verb->choices : "");
        print_option_words(verb->options);
        fputs("' ;;\n", stdout);
    }
    fputs("    esac\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
          "}\n"
          "complete -F _sockeye sockeye osocks\n",
          stdout);
}

/* ---- zsh ---- */

static void print_zsh_option(const struct cli_option *option)
{
    bool has_both = option->letter < CLI_LONG_ONLY && option->name != NULL;
    fputs(" \\\n            ", stdout);
    if (has_both)
        printf("'(-%c --%s)'{-%c,--%s}", option->letter, option->name, option->letter,
               option->name);
    else if (option->name == NULL)
        printf("-%c", option->letter);
    else
        printf("--%s", option->name);
    fputs("'[", stdout);
    print_brief(option->help, "[]:\\");
    fputs("]", stdout);
    if (option->arg != NULL) {
        printf(":%s:%s", option->arg,
               option->kind == CLI_FILE ? "_files"
               : has_values(option)     ? "("
                                        : "");
        print_values(option);
        fputs(has_values(option) ? ")" : "", stdout);
    }
    fputs("'", stdout);
}

static void print_zsh_verb(const struct cli_verb *verb)
{
    printf("        %s)\n            _arguments -s", verb->name);
    for (const struct cli_option *option = verb->options; option->letter != 0; option++)
        print_zsh_option(option);
    if (verb->word != NULL)
        printf(" \\\n            '1:%s:(%s)'", verb->word,
               verb->choices != NULL ? verb->choices : "");
    fputs(" ;;\n", stdout);
}

static void print_zsh(void)
{
    fputs("#compdef sockeye osocks\n"
          "_sockeye()\n"
          "{\n"
          "    local curcontext=$curcontext state line verb\n"
          "    local -a verbs\n"
          "    verbs=(\n",
          stdout);
    for (size_t i = 0; cli_verbs[i] != NULL; i++) {
        printf("        '%s:", cli_verbs[i]->name);
        print_brief(cli_verbs[i]->about, ":\\");
        fputs("'\n", stdout);
    }
    fputs("    )\n"
          "    if [[ $service == osocks ]]; then\n"
          "        verb=osocks\n"
          "    else\n"
          "        _arguments -C",
          stdout);
    for (const struct cli_option *option = cli_options; option->letter != 0; option++)
        print_zsh_option(option);
    fputs(" \\\n            '1: :->verb' '*:: :->words' && return\n"
          "        if [[ $state == verb ]]; then\n"
          "            _describe verb verbs\n"
          "            return\n"
          "        fi\n"
          "        verb=$words[1]\n"
          "    fi\n"
          "    case $verb in\n",
          stdout);
    const struct cli_verb *verb;
    for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
        print_zsh_verb(verb);
    fputs("    esac\n"
          "}\n"
          "if [[ $funcstack[1] == _sockeye ]]; then\n"
          "    _sockeye \"$@\"\n"
          "else\n"
          "    compdef _sockeye sockeye osocks\n"
          "fi\n",
          stdout);
}

/* ---- fish ---- */

static void print_fish_option(const struct cli_verb *verb, const struct cli_option *option)
{
    if (verb == NULL)
        fputs("complete -c sockeye -n __fish_use_subcommand", stdout);
    else if (verb == &cli_osocks)
        fputs("complete -c osocks", stdout);
    else
        printf("complete -c sockeye -n '__fish_seen_subcommand_from %s'", verb->name);
    if (option->letter < CLI_LONG_ONLY)
        printf(" -s %c", option->letter);
    if (option->name != NULL)
        printf(" -l %s", option->name);
    if (option->arg != NULL)
        fputs(option->kind == CLI_FILE ? " -r -F"
              : has_values(option)     ? " -x -a '"
                                       : " -x",
              stdout);
    print_values(option);
    fputs(has_values(option) ? "'" : "", stdout);
    fputs(" -d '", stdout);
    print_brief(option->help, "\\");
    fputs("'\n", stdout);
}

static void print_fish_verb(const struct cli_verb *verb)
{
    if (verb != &cli_osocks) {
        printf("complete -c sockeye -n __fish_use_subcommand -a %s -d '", verb->name);
        print_brief(verb->about, "\\");
        fputs("'\n", stdout);
    }
    if (verb->choices != NULL)
        printf("complete -c sockeye -n '__fish_seen_subcommand_from %s' -a '%s'\n", verb->name,
               verb->choices);
    for (const struct cli_option *option = verb->options; option->letter != 0; option++)
        print_fish_option(verb, option);
}

static void print_fish(void)
{
    fputs("# fish completion for sockeye and osocks\n"
          "complete -c sockeye -f\n"
          "complete -c osocks -f\n",
          stdout);
    for (const struct cli_option *option = cli_options; option->letter != 0; option++)
        print_fish_option(NULL, option);
    const struct cli_verb *verb;
    for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
        print_fish_verb(verb);
}

/* ---- the verb ---- */

static const struct shell {
    const char *name;
    void (*print)(void);
} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    while (cli_next(&parser) != -1)
        continue;
    if (parser.is_over)
        return parser.code;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(parser.word, shells[i].name) == 0) {
            shells[i].print();
            return EX_OK;
        }
    }
    return cli_usage_error(verb, "no such shell: %.64s (there are %s)", parser.word, verb->choices);
}

static const struct cli_option options[] = {CLI_HELP_OPTION, {0}};

const struct cli_verb cli_completion = {
    .name = "completion",
    .about = "Prints a script that completes words of sockeye and osocks in a shell: bash, zsh or\n"
             "fish. For now: . <(sockeye completion bash)",
    .options = options,
    .word = "SHELL",
    .choices = "bash zsh fish",
    .run = run,
};
