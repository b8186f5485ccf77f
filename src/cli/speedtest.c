/*
 * sockeye speedtest: how fast a tunnel carries, down and then up. Its far end makes up what comes down and throws away
 * what goes up (doc/protocol.md, Speed), where its configuration allows that.
 *
 *     down: a stream is read until the time is over, then reset
 *     up:   a stream is written until the time is over; with the far end's fin all has arrived
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin/status_json.h"
#include "cli/amounts.h"
#include "cli/cli.h"
#include "daemon/errand.h"
#include "flow/outbound.h"
#include "io/sys.h"

#define DEFAULT_S 5
#define MAX_S 60
#define TICK_MS 100
#define DRAIN_MS 8000 /* for what is under way when the time is over */
#define TURN_BYTES ((size_t)1024 * 1024)
#define BAR_CELLS 24

struct phase {
    const char *name;
    bool is_up;
    uint64_t n_bytes;
    uint64_t took_us;
};

struct test {
    struct errand errand;
    struct outbound *outbound;
    struct opening opening;
    struct endpoint *endpoint; /* NULL: it is being opened, or over */
    bool is_opening;
    struct timer tick;
    uint64_t asked_us, began_us;
    uint64_t for_us;
    struct phase phases[2];
    size_t at;      /* which of them */
    bool is_ending; /* our fin is said */
    bool has_bar;
    int code;
};

static void open_next(struct test *test);

static uint64_t now_us(void)
{
    return sys_monotonic_us();
}

static double bits_per_s(const struct phase *phase)
{
    return phase->took_us == 0 ? 0 : (double)phase->n_bytes * 8e6 / (double)phase->took_us;
}

/* ---- how it ends ---- */

static void clean_up(struct test *test)
{
    if (test->is_opening)
        test->outbound->ops->cancel(test->outbound, &test->opening);
    endpoint_close(test->endpoint, true);
    test->is_opening = false;
    test->endpoint = NULL;
    if (test->has_bar)
        fputs("\r\033[K", stderr);
    timer_clear(loop_timers(test->errand.worker->loop), &test->tick);
}

static void stop(struct test *test, int code)
{
    clean_up(test);
    test->code = code;
    errand_stop(&test->errand);
}

static void fail(struct test *test, enum err err)
{
    const char *name = test->outbound->name;
    stop(test, EX_UNAVAILABLE);
    if (err == ERR_DENIED)
        fprintf(stderr,
                "sockeye: %s: its far end does not offer it; there the tunnel's inbound needs "
                "`speedtest: true`\n",
                name);
    else if (err == ERR_COMMAND)
        fprintf(stderr, "sockeye: %s: its far end is of a version without it\n", name);
    else if (err == ERR_TUNNEL || err == ERR_TIMEOUT)
        fprintf(stderr, "sockeye: %s: no way to its far end; `sockeye ping %s` says more\n", name,
                name);
    else if (err == ERR_LIMIT)
        fprintf(stderr, "sockeye: %s: its far end did not say that all has arrived\n", name);
    else
        fprintf(stderr, "sockeye: %s: the tunnel failed: %s\n", name, err_text(err));
}

static void end_phase(struct test *test)
{
    struct phase *phase = &test->phases[test->at];
    phase->took_us = now_us() - test->began_us;
    endpoint_close(test->endpoint, !test->is_ending);
    test->endpoint = NULL;
    if (++test->at == sizeof test->phases / sizeof test->phases[0])
        stop(test, EX_OK);
    else
        open_next(test);
}

/* ---- bytes ---- */

/* ERR_AGAIN: no more for now; or that there is more, but not in this turn. */
static enum err read_some(struct test *test)
{
    struct endpoint *ep = test->endpoint;
    for (size_t n_read = 0; n_read < TURN_BYTES;) {
        const uint8_t *bytes;
        size_t n;
        enum err err = ep->ops->peek(ep, &bytes, &n);
        if (err != ERR_NONE)
            return err;
        ep->ops->consume(ep, n);
        n_read += n;
        if (!test->phases[test->at].is_up)
            test->phases[test->at].n_bytes += n;
    }
    return ERR_AGAIN;
}

static enum err write_some(struct test *test)
{
    static const uint8_t zeros[64 * 1024];
    for (size_t n_written = 0; n_written < TURN_BYTES;) {
        size_t n = 0;
        enum err err = endpoint_write(test->endpoint, zeros, sizeof zeros, &n);
        if (err != ERR_NONE)
            return err;
        n_written += n;
        test->phases[test->at].n_bytes += n;
    }
    return ERR_AGAIN;
}

static void on_ready(struct endpoint *ep, unsigned events)
{
    struct test *test = ep->owner;
    bool writes = test->phases[test->at].is_up && !test->is_ending;
    enum err err = ERR_AGAIN;
    if (events & LOOP_ERROR && endpoint_is_broken(ep))
        err = ERR_RESET;
    else if (events & (LOOP_READ | LOOP_WRITE))
        err = writes ? write_some(test) : read_some(test);
    if (err == ERR_EOF && test->is_ending)
        end_phase(test);
    else if (err != ERR_AGAIN)
        fail(test, err == ERR_EOF ? ERR_RESET : err);
}

/* ---- time ---- */

static void draw_bar(const struct test *test)
{
    const struct phase *phase = &test->phases[test->at];
    uint64_t elapsed_us = now_us() - test->began_us;
    struct phase so_far = *phase;
    so_far.took_us = elapsed_us;
    size_t n =
        elapsed_us >= test->for_us ? BAR_CELLS : (size_t)(elapsed_us * BAR_CELLS / test->for_us);
    char cells[BAR_CELLS + 1];
    memset(cells, ' ', BAR_CELLS);
    memset(cells, '#', n);
    cells[BAR_CELLS] = '\0';
    fprintf(stderr, "\r%-5s [%s] %s\033[K", phase->name, cells,
            amount_bit_rate(bits_per_s(&so_far)).text);
}

static void look_at_clock(struct test *test)
{
    uint64_t now = now_us();
    const struct phase *phase = &test->phases[test->at];
    if (test->endpoint == NULL) {
        uint64_t limit_us = test->errand.worker->env.limits.connect_ms * 1000;
        if (limit_us > 0 && now - test->asked_us >= limit_us)
            fail(test, ERR_TUNNEL);
        return;
    }
    if (now - test->began_us < test->for_us)
        return;
    if (!phase->is_up) {
        end_phase(test);
    } else if (!test->is_ending) {
        test->is_ending = true;
        if (endpoint_shutdown(test->endpoint) == ERR_NONE)
            endpoint_want(test->endpoint, LOOP_READ);
        else
            fail(test, ERR_RESET);
    } else if (now - test->began_us >= test->for_us + DRAIN_MS * 1000) {
        fail(test, ERR_LIMIT);
    }
}

static void set_tick(struct test *test)
{
    struct loop *loop = test->errand.worker->loop;
    if (timer_set(loop_timers(loop), &test->tick, loop_now_ms(loop) + TICK_MS) != ERR_NONE)
        fail(test, ERR_MEMORY);
}

static void on_tick(struct timer *timer)
{
    struct test *test = CONTAINER_OF(timer, struct test, tick);
    if (test->has_bar && test->endpoint != NULL)
        draw_bar(test);
    set_tick(test);
    look_at_clock(test);
}

/* ---- a stream for each phase ---- */

static void take(struct test *test, enum err err)
{
    test->is_opening = false;
    if (err != ERR_NONE) {
        fail(test, err);
        return;
    }
    test->endpoint = test->opening.endpoint;
    test->endpoint->owner = test;
    test->endpoint->on_ready = on_ready;
    test->began_us = now_us();
    test->is_ending = false;
    endpoint_want(test->endpoint, test->phases[test->at].is_up ? LOOP_WRITE : LOOP_READ);
}

static void on_opened(struct opening *opening, enum err err)
{
    take(CONTAINER_OF(opening, struct test, opening), err);
}

static void open_next(struct test *test)
{
    test->asked_us = now_us();
    test->opening = (struct opening){.env = &test->errand.worker->env,
                                     .inbound = errand_inbound(&test->errand),
                                     .is_speedtest = true,
                                     .done = on_opened};
    test->is_opening = true;
    enum err err = test->outbound->ops->open(test->outbound, &test->opening);
    if (err != ERR_AGAIN)
        take(test, err);
}

/* ---- the verb ---- */

static void print_json(const struct test *test)
{
    printf("{\"outbound\":");
    admin_print_json_string(stdout, test->outbound->name);
    for (size_t i = 0; i < sizeof test->phases / sizeof test->phases[0]; i++) {
        const struct phase *phase = &test->phases[i];
        printf(",\"%s\":{\"bytes\":%" PRIu64 ",\"seconds\":%.3f,\"bits_per_second\":%.0f}",
               phase->name, phase->n_bytes, (double)phase->took_us / 1e6, bits_per_s(phase));
    }
    puts("}");
}

static void print_text(const struct test *test)
{
    for (size_t i = 0; i < sizeof test->phases / sizeof test->phases[0]; i++) {
        const struct phase *phase = &test->phases[i];
        printf("%-5s %12s   %s in %.1f s\n", phase->name, amount_bit_rate(bits_per_s(phase)).text,
               amount_bytes((double)phase->n_bytes).text, (double)phase->took_us / 1e6);
    }
}

static int measure(struct test *test, const char *name, bool json)
{
    test->outbound = errand_find_tunnel(&test->errand, name);
    if (test->outbound == NULL)
        return cli_say_no_tunnel(name);
    timer_init(&test->tick, on_tick);
    set_tick(test);
    open_next(test);
    errand_run(&test->errand);
    if (test->errand.was_interrupted) {
        clean_up(test);
        fprintf(stderr, "sockeye: interrupted\n");
        return EX_UNAVAILABLE;
    }
    if (test->code != EX_OK)
        return test->code;
    if (json)
        print_json(test);
    else
        print_text(test);
    return EX_OK;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    const char *config_path = NULL;
    uint64_t for_s = DEFAULT_S;
    bool json = false, is_right = true;
    struct cli_parser parser;
    cli_parser_init(&parser, verb, argc, argv);
    for (int got; (got = cli_next(&parser)) != -1;) {
        if (got == 'c')
            config_path = optarg;
        else if (got == 't')
            is_right &= cli_read_number(optarg, 1, MAX_S, &for_s);
        else
            json = true;
    }
    if (parser.is_over)
        return parser.code;
    if (!is_right)
        return cli_usage_error(verb, "-t: expected seconds from 1 to %d", MAX_S);
    struct config *config;
    char used[PATHS_BYTES];
    int code = cli_load_config(&config, config_path, used);
    if (code != EX_OK)
        return code;
    struct test *test = calloc(1, sizeof *test);
    if (test == NULL) {
        config_free(config);
        return cli_config_code(ERR_MEMORY);
    }
    test->for_us = for_s * 1000000;
    test->has_bar = isatty(STDERR_FILENO) == 1;
    test->phases[0] = (struct phase){.name = "down"};
    test->phases[1] = (struct phase){.name = "up", .is_up = true};
    code = errand_begin(&test->errand, config, LOG_LEVEL_WARN);
    if (code == EX_OK) {
        code = measure(test, parser.word, json);
        errand_end(&test->errand);
    }
    free(test);
    return code;
}

enum { OPTION_JSON = CLI_LONG_ONLY };

static const struct cli_option options[] = {
    {'c', CLI_FILE, "config", "FILE", "the configuration that has the tunnel; found as for run"},
    {'t', CLI_NOTHING, "time", "SECONDS", "for how long each way, 1 to 60; 5 unless said"},
    {OPTION_JSON, .name = "json", .help = "as one JSON object"},
    CLI_HELP_OPTION,
    {0},
};

const struct cli_verb cli_speedtest = {
    .name = "speedtest",
    .about =
        "Measures how fast a tunnel carries, down and then up, through its far end, which must "
        "allow\n"
        "it (speedtest: true). OUTBOUND is the tunnel's name; without it, the first one of the\n"
        "configuration. It makes a session of its own.",
    .options = options,
    .word = "OUTBOUND",
    .is_word_optional = true,
    .run = run,
};
