/* sockeye keygen: what opens a tunnel, a key that both ends share or a pair of one end. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/secret.h"
#include "cli/cli.h"
#include "cli/keytext.h"
#include "cli/newfile.h"

/* Nothing of it stays in a buffer. */
static int print_line(const char *line, size_t n)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (fwrite(line, 1, n, stdout) == n)
        return EX_OK;
    perror("sockeye: standard output");
    return EX_IOERR;
}

static int make_key(unsigned bits, const char *path)
{
    char line[KEYTEXT_BYTES + 1];
    int code = keytext_draw(line, bits);
    if (code != EX_OK)
        return code;
    size_t n = strlen(line);
    line[n++] = '\n';
    code = path != NULL ? newfile_make(path, 0600, line, n) : print_line(line, n);
    secret_wipe(line, sizeof line);
    return code;
}

static unsigned bits_of(const char *text)
{
    static const struct {
        const char *text;
        unsigned bits;
    } known[] = {{"128", 128}, {"192", 192}, {"256", 256}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(text, known[i].text) == 0)
            return known[i].bits;
    return 0;
}

enum { BITS = CLI_LONG_ONLY };

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *bits = "256", *path = NULL;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == BITS)
            bits = optarg;
        else
            path = optarg;
    }
    if (parser.is_over)
        return parser.code;
    if (bits_of(bits) == 0)
        return cli_usage_error(verb, "a key has 128, 192 or 256 bits, not %.64s", bits);
    return make_key(bits_of(bits), path);
}

static const struct cli_option options[] = {
    {BITS, .name = "bits", .arg = "N", .help = "128, 192 or 256, the default, bits"},
    {'o', CLI_FILE, "output", "FILE",
     "a file to make with it, for its owner alone; one that is there is left as it is"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_keygen = {
    .name = "keygen",
    .about = "Prints a fresh key for a tunnel, in base64. Both ends have the same, as key or in a\n"
             "key_file. AES takes it as long as it is; with 256 bits ChaCha20 may be chosen too.",
    .options = options,
    .run = run,
};
