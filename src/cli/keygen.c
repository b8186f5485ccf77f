/* sockeye keygen: what opens a tunnel, a key that both ends share, or the pair of keys by which one end
 * proves who it is. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/secret.h"
#include "cli/cli.h"
#include "cli/freshkey.h"
#include "cli/keypair.h"
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
    struct fresh_key key;
    char line[sizeof key.text + 1];
    int code = fresh_key_draw(&key, bits);
    if (code != EX_OK)
        return code;
    int n = snprintf(line, sizeof line, "%s\n", key.text);
    code = path != NULL ? newfile_make(path, 0600, line, (size_t)n) : print_line(line, (size_t)n);
    secret_wipe(line, sizeof line);
    secret_wipe(&key, sizeof key);
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

struct wish {
    const char *bits, *identity, *path; /* NULL: not said */
};

static int make_identity(const struct cli_verb *verb, const struct wish *wish)
{
    bool is_rsa = strcmp(wish->identity, "rsa") == 0;
    if (!is_rsa && strcmp(wish->identity, "ed25519") != 0)
        return cli_usage_error(verb, "an identity is ed25519 or rsa, not %.64s", wish->identity);
    if (wish->bits != NULL)
        return cli_usage_error(verb, "--bits is not for an identity");
    if (wish->path == NULL)
        return cli_usage_error(verb, "--identity needs -o NAME, for NAME.key and NAME.pub");
    return keypair_make(is_rsa ? SIGN_RSA : SIGN_ED25519, wish->path);
}

enum { BITS = CLI_LONG_ONLY, IDENTITY };

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct wish wish = {0};
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;)
        *(got == BITS ? &wish.bits : got == IDENTITY ? &wish.identity : &wish.path) = optarg;
    if (parser.is_over)
        return parser.code;
    if (wish.path != NULL && wish.path[0] == '\0')
        return cli_usage_error(verb, "-o needs a name that is not empty");
    if (wish.identity != NULL)
        return make_identity(verb, &wish);
    unsigned bits = wish.bits != NULL ? bits_of(wish.bits) : FRESH_KEY_MAX_BITS;
    if (bits == 0)
        return cli_usage_error(verb, "a key has 128, 192 or 256 bits, not %.64s", wish.bits);
    return make_key(bits, wish.path);
}

static const struct cli_option options[] = {
    {BITS, CLI_CHOICE, "bits", "128|192|256", "how long it is; by default 256 bits"},
    {IDENTITY, CLI_CHOICE, "identity", "ed25519|rsa",
     "a pair of keys in its place, by which one end proves who it is;\n"
     "it needs -o NAME, and makes NAME.key, which is private, and NAME.pub"},
    {'o', CLI_FILE, "output", "FILE",
     "a file to make with it, for its owner alone; one that is there is left as it is"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_keygen = {
    .name = "keygen",
    .about = "Prints a fresh key for a tunnel, in base64. Both ends have the same, as key or in a\n"
             "key_file. AES takes it as long as it is; with 256 bits ChaCha20 may be chosen too.\n"
             "A user of a far end that has several (users: [{name: ann, key: USER}]) writes the\n"
             "server's key and his own: key: SERVER:USER.",
    .options = options,
    .run = run,
};
