/* sockeye passwd: a line for a users_file, with a hash in place of the password. */
#include <crypt.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/cli.h"

/* What SOCKS5 carries (RFC 1929), of a name and of a password. */
#define MAX_BYTES 255

struct password {
    char text[MAX_BYTES + 1]; /* zero terminated */
    size_t n;
};

static struct {
    char buffer[BUFSIZ]; /* of stdin, so that it can be wiped */
    struct password first, second;
    struct crypt_data crypt;
} secrets;

/* ---- reading ---- */

/* What the terminal is like when it is not silent. */
static struct termios loud;

/* Whoever is ended while the terminal is silent leaves it as it was. */
static void on_signal(int number)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &loud);
    raise(number);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

#define N_SIGNALS (sizeof signals / sizeof signals[0])

static void silence(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaction(signals[i], &action, NULL);
    /* Stopped here, the shell would show what is typed after the return. */
    signal(SIGTSTP, SIG_IGN);
    struct termios silent = loud;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ECHONL;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
}

static void restore(void)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &loud);
    for (size_t i = 0; i < N_SIGNALS; i++)
        signal(signals[i], SIG_DFL);
    signal(SIGTSTP, SIG_DFL);
}

/* A line without its newline. Returns what is wrong with it, or NULL. */
static const char *read_line(struct password *password)
{
    int byte;
    const char *wrong = NULL;
    while ((byte = getchar()) != EOF && byte != '\n') {
        if (byte == '\0')
            wrong = "a password cannot hold a zero byte";
        else if (password->n == MAX_BYTES)
            wrong = "a password has 255 bytes at most";
        else
            password->text[password->n++] = (char)byte;
    }
    if (ferror(stdin))
        return strerror(errno);
    if (wrong == NULL && password->n == 0)
        wrong = "an empty password is no password";
    return wrong;
}

static const char *ask(struct password *password, const char *prompt)
{
    fputs(prompt, stderr);
    return read_line(password);
}

static const char *read_password(void)
{
    if (tcgetattr(STDIN_FILENO, &loud) < 0)
        return read_line(&secrets.first);
    silence();
    const char *wrong = ask(&secrets.first, "Password: ");
    if (wrong == NULL)
        wrong = ask(&secrets.second, "Again: ");
    restore();
    if (wrong == NULL &&
        !secret_equal(secrets.first.text, secrets.first.n, secrets.second.text, secrets.second.n))
        wrong = "these were two different passwords";
    return wrong;
}

/* ---- the line ---- */

/* It stands before a colon, in a file whose comments begin with '#'. */
static const char *what_is_wrong_with(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > MAX_BYTES)
        return "a name has 1 to 255 bytes";
    if (name[strspn(name, " ")] == '#')
        return "a name cannot begin with #: in the file that is a comment";
    for (size_t i = 0; i < n; i++) {
        if (name[i] == ':' || (unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return "a name cannot hold a colon or a control character";
    }
    return NULL;
}

/* The strongest method that crypt(3) has here, with a salt of the system's randomness. */
static const char *make_hash(void)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting) == NULL)
        return NULL;
    const char *hash =
        crypt_rn(secrets.first.text, setting, &secrets.crypt, (int)sizeof secrets.crypt);
    return hash != NULL && hash[0] == '$' ? hash : NULL;
}

static int print_line(const char *name)
{
    const char *wrong = read_password();
    if (wrong != NULL) {
        fprintf(stderr, "sockeye: %s\n", wrong);
        return EX_DATAERR;
    }
    const char *hash = make_hash();
    if (hash == NULL) {
        fprintf(stderr, "sockeye: cannot make a hash: %s\n", strerror(errno));
        return EX_OSERR;
    }
    printf("%s:%s\n", name, hash);
    return EX_OK;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    while (cli_next(&parser) != -1)
        continue;
    if (parser.is_over)
        return parser.code;
    const char *wrong = what_is_wrong_with(parser.word);
    if (wrong != NULL)
        return cli_usage_error(verb, "%s", wrong);
    setvbuf(stdin, secrets.buffer, _IOFBF, sizeof secrets.buffer);
    int code = print_line(parser.word);
    secret_wipe(&secrets, sizeof secrets);
    return code;
}

static const struct cli_option options[] = {CLI_HELP_OPTION, {0}};

const struct cli_verb cli_passwd = {
    .name = "passwd",
    .about =
        "Asks for a password and prints a line for a users_file. At a terminal it asks twice,\n"
        "else it reads one line. The line holds a hash of crypt(5), from which the password\n"
        "cannot be read.",
    .options = options,
    .word = "NAME",
    .run = run,
};
