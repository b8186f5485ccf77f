/* Finds the verb; `osocks` is one by the program's name. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config/suggest.h"
#include "io/sys.h"

static const char help_head[] = "sockeye carries connections: a SOCKS4, SOCKS4a, SOCKS5 and HTTP "
                                "proxy, and an encrypted tunnel\n"
                                "between two of them.\n"
                                "\n";

static const char help_tail[] =
    "osocks ...\n"
    "    `sockeye socks` under the name of an older program: it "
    "listens on 0.0.0.0, and lets clients\n"
    "    reach this machine's loopback.\n"
    "\n"
    "sockeye --help, sockeye VERB --help\n"
    "sockeye --version\n"
    "\n"
    "SIGTERM and SIGINT let running connections end, for "
    "limits.drain_s at most; a second one ends\n"
    "at once. SIGHUP opens the log's file again and reloads the "
    "configuration, which is refused\n"
    "whole where something is wrong with it.\n"
    "\n"
    "Exit codes: 0 success, 64 wrong usage, 65 a password that cannot be used, 69 "
    "something is not\n"
    "available (a port is taken, nobody answers), 71 the system "
    "failed, 73 a file cannot be made,\n"
    "74 output failed, 77 not permitted, 78 the configuration is wrong "
    "or not found.\n";

static void print_usage(FILE *out)
{
    fputs("usage: sockeye", out);
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        fprintf(out, "%s %s", i == 0 ? "" : " |", cli_verbs[i]->name);
    fputs(" [OPTION...]\n       sockeye --help\n", out);
}

static int print_help(void)
{
    fputs(help_head, stdout);
    for (size_t i = 0; cli_verbs[i] != NULL; i++) {
        cli_print_verb(stdout, cli_verbs[i]);
        putchar('\n');
    }
    fputs(help_tail, stdout);
    return EX_OK;
}

static int say_unknown(const char *word)
{
    struct suggest suggest = suggest_for(word);
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        suggest_offer(&suggest, cli_verbs[i]->name);
    fprintf(stderr, "sockeye: no such verb: %.64s", word);
    if (suggest.best != NULL)
        fprintf(stderr, " (did you mean %s?)", suggest.best);
    fputc('\n', stderr);
    print_usage(stderr);
    return EX_USAGE;
}

/* The letter of `-h` or `--help` and the like; 0: it is none of them. */
static int own_option(const char *word)
{
    for (const struct cli_option *option = cli_options; option->letter != 0; option++) {
        const char letter[] = {'-', (char)option->letter, '\0'};
        if (strcmp(word, letter) == 0 ||
            (strncmp(word, "--", 2) == 0 && strcmp(word + 2, option->name) == 0))
            return option->letter;
    }
    return 0;
}

static int run(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *program = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "sockeye";
    if (strcmp(program, cli_osocks.name) == 0)
        return cli_osocks.run(&cli_osocks, argc, argv);
    if (argc < 2) {
        print_usage(stderr);
        return EX_USAGE;
    }
    const char *word = argv[1];
    switch (strcmp(word, "help") == 0 ? 'h' : own_option(word)) {
    case 'h':
        return print_help();
    case 'V':
        puts("sockeye " SOCKEYE_VERSION);
        return EX_OK;
    default:
        break;
    }
    for (const struct cli_verb *const *verb = cli_verbs; *verb != NULL; verb++) {
        if (strcmp(word, (*verb)->name) == 0)
            return (*verb)->run(*verb, argc - 1, argv + 1);
    }
    return say_unknown(word);
}

/* Were one of them closed, the first socket would take its number, and a client read our log. */
static void occupy_standard_descriptors(void)
{
    int fd;
    do
        fd = sys_open("/dev/null", O_RDWR, 0);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        sys_close(fd);
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    int code = run(argc, argv);
    /* What was lost before the last of it was written is not told by that. */
    bool is_lost = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (is_lost && code == EX_OK) {
        perror("sockeye: standard output");
        return EX_IOERR;
    }
    return code;
}
