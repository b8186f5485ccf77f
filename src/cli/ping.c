/*
 * sockeye ping: whether a tunnel's far end answers, and how fast. It makes a session of its own, by a handshake like any other.
 *
 *     connect --> handshake --> PING, PONG, a pause, and again --> the sum
 *
 * A server answers nobody whose flight it does not like, so of silence all that can be told is what it may mean. It likes none that is
 * dated before two seconds after its start, where it cannot know what came before: so silence is asked twice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "cli/amounts.h"
#include "cli/cli.h"
#include "daemon/errand.h"
#include "io/sys.h"
#include "tunnel/outbound.h"
#include "tunnel/probe.h"

#define DEFAULT_COUNT 4
#define MAX_COUNT 1000000
#define PAUSE_MS 500
#define ANSWER_MS 10000 /* as a near end waits for an address, and for an answer */
#define FIRST_MS 3000   /* for the first answer; then a near end begins another handshake */

enum stage { DIALLING, GREETING, AWAITING_PONG, PAUSING };

struct ping {
    struct errand errand;
    struct outbound *outbound;
    struct probe *probe;
    enum stage stage;
    bool is_second; /* nothing has answered the first handshake */
    struct timer timer;
    uint64_t n_wanted, n_pongs;
    uint64_t least_us, most_us, sum_us;
    int code;
};

static void print_server(FILE *out, const struct ping *ping)
{
    char text[TARGET_TEXT_BYTES];
    target_format(ping->probe->server, text);
    fprintf(out, "%s %s", ping->outbound->name, text);
}

/* ---- how it ends ---- */

static void stop(struct ping *ping, int code)
{
    ping->code = code;
    timer_clear(loop_timers(ping->errand.worker->loop), &ping->timer);
    errand_stop(&ping->errand);
}

static void explain_silence(struct ping *ping)
{
    char now[40] = "";
    time_t at = (time_t)(sys_wall_ms() / 1000);
    struct tm utc;
    if (gmtime_r(&at, &utc) != NULL)
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fputs("sockeye: ", stderr);
    print_server(stderr, ping);
    fprintf(stderr,
            " takes the connection, and does not answer. One of three:\n"
            "    the key (without one: the identity `peer`) is not the server's: its log has, with "
            "log: {level: debug} only, a line\n"
            "        flight ... why=\"not a flight of this key's\"\n"
            "    the clocks differ by too much (here it is %s): its log has a line\n"
            "        flight ... why=\"a good key and a wrong clock\"; where it names another "
            "reason it is that\n"
            "    it is no sockeye, or something between keeps us from it: its log has nothing of "
            "us\n",
            now);
    stop(ping, EX_UNAVAILABLE);
}

static void explain_loss(struct ping *ping)
{
    const struct probe *probe = ping->probe;
    bool is_silence = ping->stage == GREETING && probe->err == ERR_NONE && probe->why != NULL &&
                      strncmp(probe->why, "no answer", strlen("no answer")) == 0;
    if (is_silence) {
        explain_silence(ping);
        return;
    }
    fputs("sockeye: ", stderr);
    print_server(stderr, ping);
    fprintf(stderr, ": %s%s\n",
            ping->stage == GREETING ? "the handshake failed: " : "the connection was lost: ",
            probe->why);
    if (ping->stage == GREETING && (probe->err == ERR_EOF || probe->err == ERR_RESET))
        fputs("    A sockeye hangs up on nobody: another program listens there, or something "
              "between cuts connections\n",
              stderr);
    stop(ping, EX_UNAVAILABLE);
}

/* What to look at, where no address of the server's can be reached. */
static void explain_unreachable(enum err err)
{
    static const char *const hints[N_ERRS] = {
        [ERR_LOOKUP] = "Is the name in `server` right, and do others resolve here?",
        [ERR_REFUSED] = "Nothing listens on that port there: does the server run, and on that one?",
        [ERR_TIMEOUT] = "Nothing comes back: is the address right, and does a firewall stop us?",
    };
    if (hints[err] != NULL)
        fprintf(stderr, "    %s\n", hints[err]);
}

/* ---- what the probe tells ---- */

static void set_timer(struct ping *ping, uint64_t ms)
{
    struct loop *loop = ping->errand.worker->loop;
    if (timer_set(loop_timers(loop), &ping->timer, loop_now_ms(loop) + ms) != ERR_NONE)
        stop(ping, cli_config_code(ERR_MEMORY));
}

static void ask(struct ping *ping)
{
    ping->stage = AWAITING_PONG;
    set_timer(ping, ANSWER_MS);
    probe_ping(ping->probe);
}

static void take_unreachable(struct ping *ping)
{
    const struct probe *probe = ping->probe;
    fputs("sockeye: ", stderr);
    print_server(stderr, ping);
    fprintf(stderr, ": %s\n", probe->why);
    if (probe->n_tried < probe->spec->settings.n_servers) {
        set_timer(ping, ANSWER_MS);
        return;
    }
    explain_unreachable(probe->err);
    stop(ping, EX_UNAVAILABLE);
}

static void take_up(struct ping *ping)
{
    int64_t ahead_ms = ping->probe->clock_ahead_ms;
    uint64_t off_ms = ahead_ms < 0 ? -(uint64_t)ahead_ms : (uint64_t)ahead_ms;
    printf("handshake in %s; the server's clock is %" PRIu64 " ms %s ours\n",
           amount_us((double)ping->probe->us).text, off_ms, ahead_ms < 0 ? "behind" : "ahead of");
    fflush(stdout);
    ask(ping);
}

static void take_pong(struct ping *ping)
{
    uint64_t us = ping->probe->us;
    if (ping->stage != AWAITING_PONG)
        return;
    ping->n_pongs++;
    ping->sum_us += us;
    ping->least_us = ping->n_pongs == 1 || us < ping->least_us ? us : ping->least_us;
    ping->most_us = us > ping->most_us ? us : ping->most_us;
    printf("round trip %" PRIu64 ": %s\n", ping->n_pongs, amount_us((double)us).text);
    fflush(stdout);
    ping->stage = PAUSING;
    if (ping->n_pongs == ping->n_wanted)
        stop(ping, EX_OK);
    else
        set_timer(ping, PAUSE_MS);
}

static void on_news(struct probe *probe, enum probe_news news)
{
    struct ping *ping = probe->owner;
    if (probe != ping->probe)
        return;
    switch (news) {
    case PROBE_UNREACHABLE:
        take_unreachable(ping);
        break;
    case PROBE_CONNECTED:
        ping->stage = GREETING;
        print_server(stdout, ping);
        printf(": connected in %s\n", amount_us((double)probe->us).text);
        fflush(stdout);
        /* Of the second the near end's own limit comes first, and knows why. */
        set_timer(ping, ping->is_second ? 2 * ANSWER_MS : FIRST_MS);
        break;
    case PROBE_UP:
        take_up(ping);
        break;
    case PROBE_PONG:
        take_pong(ping);
        break;
    case PROBE_LOST:
        explain_loss(ping);
        ping->probe = NULL; /* it may be over too, and is freed then */
        break;
    }
}

static enum err begin(struct ping *ping)
{
    struct errand *errand = &ping->errand;
    ping->stage = DIALLING;
    enum err err = probe_new(&ping->probe, &errand->worker->tunnels, ping->outbound,
                             errand_inbound(errand), on_news, ping);
    if (err == ERR_NONE)
        set_timer(ping, ANSWER_MS);
    return err;
}

static void begin_again(struct ping *ping)
{
    printf("no answer in %d s; once more, as a server that has just started takes nobody yet\n",
           FIRST_MS / 1000);
    fflush(stdout);
    ping->is_second = true;
    probe_end(ping->probe);
    ping->probe = NULL;
    enum err err = begin(ping);
    if (err != ERR_NONE)
        stop(ping, cli_config_code(err));
}

static void on_time(struct timer *timer)
{
    struct ping *ping = CONTAINER_OF(timer, struct ping, timer);
    if (ping->stage == DIALLING) {
        probe_skip(ping->probe);
    } else if (ping->stage == GREETING && !ping->is_second) {
        begin_again(ping);
    } else if (ping->stage == GREETING) {
        explain_silence(ping);
    } else if (ping->stage == PAUSING) {
        ask(ping);
    } else {
        fprintf(stderr, "sockeye: %s: no answer to this in %d s\n", ping->outbound->name,
                ANSWER_MS / 1000);
        if (ping->n_pongs == 0)
            fputs(
                "    Where the server names its `peers` ours may be none of their identities: its "
                "log has a line\n"
                "        flight ... why=\"not one of the peers\"\n",
                stderr);
        stop(ping, EX_UNAVAILABLE);
    }
}

/* ---- the verb ---- */

static void print_sum(const struct ping *ping)
{
    if (ping->n_pongs == 0)
        return;
    printf("%" PRIu64 " round trip%s: least %s, mean %s, most %s\n", ping->n_pongs,
           ping->n_pongs == 1 ? "" : "s", amount_us((double)ping->least_us).text,
           amount_us((double)ping->sum_us / (double)ping->n_pongs).text,
           amount_us((double)ping->most_us).text);
}

static int measure(struct ping *ping, const char *name)
{
    ping->outbound = errand_find_tunnel(&ping->errand, name);
    if (ping->outbound == NULL)
        return cli_say_no_tunnel(name);
    /* What goes wrong is told here; why a proxy between fails only the log knows. */
    if (ping->outbound->via == NULL)
        ping->errand.worker->env.log->level = LOG_LEVEL_ERROR;
    timer_init(&ping->timer, on_time);
    enum err err = begin(ping);
    if (err != ERR_NONE)
        return cli_config_code(err);
    errand_run(&ping->errand);
    timer_clear(loop_timers(ping->errand.worker->loop), &ping->timer);
    if (ping->probe != NULL)
        probe_end(ping->probe);
    print_sum(ping);
    return ping->errand.was_interrupted && ping->n_pongs == 0 ? EX_UNAVAILABLE : ping->code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *config_path = NULL;
    uint64_t n_wanted = DEFAULT_COUNT;
    bool is_right = true;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == 'c')
            config_path = optarg;
        else
            is_right &= cli_read_number(optarg, 1, MAX_COUNT, &n_wanted);
    }
    if (parser.is_over)
        return parser.code;
    if (!is_right)
        return cli_usage_error(verb, "-n: expected a number from 1 to %d", MAX_COUNT);
    struct config *config;
    char used[PATHS_BYTES];
    int code = cli_load_config(&config, config_path, used);
    if (code != EX_OK)
        return code;
    struct ping *ping = calloc(1, sizeof *ping);
    if (ping == NULL) {
        config_free(config);
        return cli_config_code(ERR_MEMORY);
    }
    ping->n_wanted = n_wanted;
    code = errand_begin(&ping->errand, config, LOG_LEVEL_WARN);
    if (code == EX_OK) {
        code = measure(ping, parser.word);
        errand_end(&ping->errand);
    }
    free(ping);
    return code;
}

static const struct cli_option options[] = {
    {'c', CLI_FILE, "config", "FILE", "the configuration that has the tunnel; found as for run"},
    {'n', CLI_NOTHING, "count", "COUNT", "so many round trips; 4 unless said"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_ping = {
    .name = "ping",
    .about = "Shakes hands with a tunnel's far end and measures round trips; says what may be "
             "wrong where\n"
             "it does not answer. OUTBOUND is the tunnel's name; without it, the first one of the\n"
             "configuration. It makes a session of its own.",
    .options = options,
    .word = "OUTBOUND",
    .is_word_optional = true,
    .run = run,
};
