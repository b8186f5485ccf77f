/*
 * sockeye top: what moves in a running sockeye, drawn once a second. Where standard output is no terminal it prints one page and
 * ends.
 *
 *     ask --> draw --> wait for a key, a signal or the next second --> ...
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/asking.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/top_view.h"
#include "io/sys.h"

#define EVERY_MS 1000

struct top {
    char path[PATHS_SOCKET_BYTES];
    struct top_view view;
    struct terminal terminal;
    int signals; /* a descriptor that they are read from */
    struct status_lines now, before;
    bool has_now, has_before;
    uint64_t asked_us, before_us;
};

static const struct {
    char key;
    enum top_order order;
} keys[] = {
    {'n', TOP_BY_NAME},       {'s', TOP_BY_STREAMS}, {'b', TOP_BY_RATE},
    {'r', TOP_BY_ROUND_TRIP}, {'l', TOP_BY_LOSSES},
};

static const char keys_line[] =
    "n name, s streams, b rate, r round trip, l links lost, k links, q quit";

/* ---- answers ---- */

/* Asks; the answer of before is kept for rates. */
static enum err ask(struct top *top, char **answer)
{
    struct status_lines lines;
    size_t n;
    enum err err = asking_ask(top->path, "status lines\n", answer, &n);
    if (err != ERR_NONE)
        return err;
    err = status_lines_read(&lines, *answer, n);
    free(*answer);
    *answer = NULL;
    if (err != ERR_NONE)
        return err == ERR_BAD ? ERR_VERSION : err;
    /* Another process at the same place counts from nothing. */
    bool is_same = top->has_now && top->now.pid == lines.pid;
    if (top->has_before)
        status_lines_free(&top->before);
    if (top->has_now && !is_same)
        status_lines_free(&top->now);
    top->has_before = is_same;
    top->before = top->now;
    top->before_us = top->asked_us;
    top->now = lines;
    top->has_now = true;
    top->asked_us = sys_monotonic_us();
    return ERR_NONE;
}

static int say_failure(const struct top *top, enum err err, char *answer)
{
    int code = EX_UNAVAILABLE;
    if (err == ERR_VERSION)
        fprintf(stderr, "sockeye: %s: a sockeye of another version answers\n", top->path);
    else
        code = asking_say_failure(top->path, err, answer);
    free(answer);
    return code;
}

static enum err print_page(FILE *out, const struct top *top)
{
    return top_view_print(out, &top->view, &top->now, top->has_before ? &top->before : NULL,
                          top->has_before ? top->asked_us - top->before_us : 0);
}

/* ---- without a terminal ---- */

static int print_once(struct top *top)
{
    char *answer;
    enum err err = ask(top, &answer);
    if (err == ERR_NONE) {
        sys_pause(EVERY_MS); /* rates want two answers */
        err = ask(top, &answer);
    }
    if (err != ERR_NONE)
        return say_failure(top, err, answer);
    return cli_config_code(print_page(stdout, top));
}

/* ---- with one ---- */

static void draw(struct top *top)
{
    char *text = NULL;
    size_t n;
    terminal_size(&top->view.width, &top->view.height);
    /* The last line is for the keys. */
    unsigned height = top->view.height;
    top->view.height = height > 1 ? height - 1 : 1;
    FILE *page = open_memstream(&text, &n);
    if (page == NULL)
        return; /* the next time */
    enum err err = print_page(page, top);
    if (top->terminal.has_keys && height > 1)
        fprintf(page, "%.*s\n", (int)top->view.width, keys_line);
    if (fclose(page) == 0 && err == ERR_NONE)
        terminal_draw(text);
    free(text);
}

/* False: it is to end. */
static bool take_key(struct top *top, char key)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].key == key)
            top->view.order = keys[i].order;
    if (key == 'k')
        top->view.hides_links = !top->view.hides_links;
    return key != 'q' && key != 'Q';
}

static bool take_keys(struct top *top)
{
    char typed[16];
    ssize_t n = sys_read(STDIN_FILENO, typed, sizeof typed);
    if (n <= 0)
        top->terminal.has_keys = false; /* the terminal is gone; its signal follows */
    for (ssize_t i = 0; i < n; i++)
        if (!take_key(top, typed[i]))
            return false;
    return true;
}

static bool take_signal(struct top *top)
{
    struct signalfd_siginfo info;
    if (sys_read(top->signals, &info, sizeof info) != sizeof info || info.ssi_signo == SIGWINCH)
        return true;
    if (info.ssi_signo != SIGTSTP)
        return false;
    terminal_end(&top->terminal);
    raise(SIGSTOP);
    terminal_begin(&top->terminal);
    return true;
}

/* Waits for the next second, a key or a signal. False: it is to end. */
static bool await(struct top *top, uint64_t until_ms)
{
    struct pollfd fds[] = {{.fd = top->signals, .events = POLLIN},
                           {.fd = top->terminal.has_keys ? STDIN_FILENO : -1, .events = POLLIN}};
    uint64_t now_ms = sys_monotonic_ms();
    if (now_ms >= until_ms || sys_poll(fds, 2, (int)(until_ms - now_ms)) <= 0)
        return true;
    if (fds[0].revents != 0 && !take_signal(top))
        return false;
    return fds[1].revents == 0 || take_keys(top);
}

static void show(struct top *top)
{
    bool goes_on = true;
    uint64_t next_ms = sys_monotonic_ms() + EVERY_MS;
    draw(top);
    while (goes_on) {
        goes_on = await(top, next_ms);
        if (goes_on && sys_monotonic_ms() >= next_ms) {
            char *answer;
            enum err err = ask(top, &answer);
            free(answer);
            top->view.trouble = err == ERR_NONE ? NULL : "does not answer any more";
            next_ms = sys_monotonic_ms() + EVERY_MS;
        }
        draw(top);
    }
}

static int watch_signals(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        sigaddset(&set, wanted[i]);
    return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : sys_signalfd(&set);
}

static int run_screen(struct top *top)
{
    char *answer;
    enum err err = ask(top, &answer);
    if (err != ERR_NONE)
        return say_failure(top, err, answer);
    top->signals = watch_signals();
    if (top->signals < 0) {
        perror("sockeye: signals");
        return EX_OSERR;
    }
    terminal_begin(&top->terminal);
    show(top);
    terminal_end(&top->terminal);
    sys_close(top->signals);
    return EX_OK;
}

/* ---- the verb ---- */

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *socket_path = NULL, *config_path = NULL;
    struct top top = {.signals = -1};
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == 'c')
            config_path = optarg;
        else
            socket_path = optarg;
    }
    if (parser.is_over)
        return parser.code;
    int code = asking_find_socket(top.path, socket_path, config_path);
    if (code == EX_OK)
        code = terminal_is_there() ? run_screen(&top) : print_once(&top);
    if (top.has_before)
        status_lines_free(&top.before);
    if (top.has_now)
        status_lines_free(&top.now);
    return code;
}

static const struct cli_option options[] = {ASKING_OPTIONS, CLI_HELP_OPTION, {0}};

const struct cli_verb cli_top = {
    .name = "top",
    .about =
        "Shows what moves in a running sockeye, once a second: sessions and links of tunnels, "
        "their\n"
        "streams, rates, round trips and losses. The keys n, s, b, r and l sort by name, streams,\n"
        "rate, round trip and links lost, k hides links or shows them, q ends it. Where its "
        "output\n"
        "is no terminal it prints one page.",
    .options = options,
    .run = run,
};
