/*
 * sim [options]: runs seeds one after the other, prints the first that fails, shrunk, and how to replay it.
 *
 *     --seeds FROM-TO     which ones (1-1000)
 *     --seed N            one, twice: both traces are the same; --loud prints it
 *     --without A,B,...   these faults never happen (see scenario.c)
 *     --streams N, --bytes N   at most so many streams, bytes of one direction of one
 *     --quick             a seed that fails is not shrunk
 *     --state FILE        goes on where a run with this file was stopped; the file is gone when one is through
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    uint64_t from, to;
    bool allowed[N_KNOBS];
    unsigned max_streams;
    size_t max_bytes;
    const char *state;
    bool is_one, is_loud, is_quick;
};

struct result {
    bool passed;
    uint64_t trace, n_steps, n_bytes, n_datagrams, max_held;
    unsigned n_completed, n_reset, n_links;
    char failure[256];
};

static void run(uint64_t seed, const struct options *options, bool is_loud, struct result *result)
{
    static struct world world;
    struct scenario scenario;

    scenario_draw(&scenario, seed, options->allowed);
    if (options->max_streams > 0 && scenario.n_streams > options->max_streams)
        scenario.n_streams = options->max_streams;
    if (options->max_bytes > 0 && scenario.max_bytes > options->max_bytes)
        scenario.max_bytes = options->max_bytes;
    world_init(&world, &scenario);
    world.is_loud = is_loud;
    world_populate(&world);
    (void)world_run(&world);
    world_free(&world);
    *result = (struct result){
        .passed = world.failure[0] == 0,
        .trace = world.trace,
        .n_steps = world.n_steps,
        .n_bytes = world.n_bytes,
        .n_datagrams = world.n_datagrams,
        .max_held = world.max_held,
        .n_completed = world.n_completed,
        .n_reset = world.n_reset,
        .n_links = world.n_links,
    };
    memcpy(result->failure, world.failure, sizeof result->failure);
}

/* ---- shrinking ---- */

static bool still_fails(uint64_t seed, const struct options *options)
{
    struct result result;

    run(seed, options, false, &result);
    return !result.passed;
}

static void shrink(uint64_t seed, struct options *options)
{
    for (unsigned i = 0; i < N_KNOBS; i++) {
        struct options less = *options;
        less.allowed[i] = false;
        if (options->allowed[i] && still_fails(seed, &less))
            *options = less;
    }
    for (unsigned n = 1; n < 16; n++) {
        struct options less = *options;
        less.max_streams = n;
        if (still_fails(seed, &less)) {
            *options = less;
            break;
        }
    }
    for (size_t n = 16; n < 65536; n *= 4) {
        struct options less = *options;
        less.max_bytes = n;
        if (still_fails(seed, &less)) {
            *options = less;
            break;
        }
    }
}

static void report(uint64_t seed, const struct options *options, const struct result *result)
{
    struct options least = *options;
    struct scenario scenario;
    struct result shrunk;
    bool is_first = true;

    printf("seed %llu: %s\n", (unsigned long long)seed, result->failure);
    if (options->is_quick)
        return;
    shrink(seed, &least);
    run(seed, &least, false, &shrunk);
    printf("shrunk: %s\nreplay: sim --seed %llu --loud", shrunk.failure, (unsigned long long)seed);
    for (unsigned i = 0; i < N_KNOBS; i++) {
        if (least.allowed[i])
            continue;
        printf("%s%s", is_first ? " --without " : ",", knob_names[i]);
        is_first = false;
    }
    if (least.max_streams > 0)
        printf(" --streams %u", least.max_streams);
    if (least.max_bytes > 0)
        printf(" --bytes %zu", least.max_bytes);
    scenario_draw(&scenario, seed, least.allowed);
    printf("\nwith:");
    for (unsigned i = 0; i < N_KNOBS; i++)
        if (scenario.knobs[i])
            printf(" %s", knob_names[i]);
    printf("\n");
}

/* ---- many ---- */

static uint64_t read_state(const struct options *options)
{
    unsigned long long next = options->from;
    FILE *file = options->state == NULL ? NULL : fopen(options->state, "r");

    if (file == NULL)
        return options->from;
    if (fscanf(file, "%llu", &next) != 1)
        next = options->from;
    (void)fclose(file);
    return next;
}

static void write_state(const struct options *options, uint64_t next)
{
    FILE *file = options->state == NULL ? NULL : fopen(options->state, "w");

    if (file == NULL)
        return;
    (void)fprintf(file, "%llu\n", (unsigned long long)next);
    (void)fclose(file);
}

static int run_many(const struct options *options)
{
    uint64_t seed = read_state(options), n = 0, n_steps = 0, n_bytes = 0, n_datagrams = 0,
             max_held = 0, trace = 0;
    uint64_t n_completed = 0, n_reset = 0, n_links = 0;
    clock_t begun = clock();

    for (; seed <= options->to; seed++, n++) {
        struct result result;
        run(seed, options, false, &result);
        if (!result.passed) {
            report(seed, options, &result);
            return 1;
        }
        n_steps += result.n_steps;
        n_bytes += result.n_bytes;
        n_datagrams += result.n_datagrams;
        n_completed += result.n_completed;
        n_reset += result.n_reset;
        n_links += result.n_links;
        trace = (trace ^ result.trace) * UINT64_C(0x9e3779b97f4a7c15);
        if (result.max_held > max_held)
            max_held = result.max_held;
        if (n % 100 == 99)
            write_state(options, seed + 1);
    }
    if (options->state != NULL)
        (void)remove(options->state);
    double ms = (double)(clock() - begun) * 1000 / CLOCKS_PER_SEC;
    printf("%llu seeds passed: %.2f ms of processor time each; %llu steps, %llu links, %llu bytes "
           "read, %llu datagrams, %llu streams whole, "
           "%llu reset, at most %llu bytes held; trace %016llx\n",
           (unsigned long long)n, n == 0 ? 0 : ms / (double)n, (unsigned long long)n_steps,
           (unsigned long long)n_links, (unsigned long long)n_bytes,
           (unsigned long long)n_datagrams, (unsigned long long)n_completed,
           (unsigned long long)n_reset, (unsigned long long)max_held, (unsigned long long)trace);
    return 0;
}

static int run_one(const struct options *options)
{
    struct result first, second;

    run(options->from, options, options->is_loud, &first);
    run(options->from, options, false, &second);
    printf("seed %llu: %s; trace %016llx\n", (unsigned long long)options->from,
           first.passed ? "passed" : first.failure, (unsigned long long)first.trace);
    if (first.trace != second.trace) {
        printf("run again it has another trace: %016llx\n", (unsigned long long)second.trace);
        return 1;
    }
    return first.passed ? 0 : 1;
}

/* ---- options ---- */

static void forbid(struct options *options, char *names)
{
    for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ","))
        for (unsigned i = 0; i < N_KNOBS; i++)
            if (strcmp(name, knob_names[i]) == 0)
                options->allowed[i] = false;
}

static bool parse(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--loud") == 0) {
            options->is_loud = true;
            continue;
        }
        if (strcmp(argv[i], "--quick") == 0) {
            options->is_quick = true;
            continue;
        }
        if (value == NULL)
            return false;
        i++;
        if (strcmp(argv[i - 1], "--seeds") == 0) {
            char *rest;
            options->from = strtoull(value, &rest, 10);
            options->to = *rest == '-' ? strtoull(rest + 1, NULL, 10) : options->from;
        } else if (strcmp(argv[i - 1], "--seed") == 0) {
            options->from = strtoull(value, NULL, 10);
            options->is_one = true;
        } else if (strcmp(argv[i - 1], "--without") == 0)
            forbid(options, value);
        else if (strcmp(argv[i - 1], "--streams") == 0)
            options->max_streams = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i - 1], "--bytes") == 0)
            options->max_bytes = strtoul(value, NULL, 10);
        else if (strcmp(argv[i - 1], "--state") == 0)
            options->state = value;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.from = 1, .to = 1000};

    memset(options.allowed, 1, sizeof options.allowed);
    if (!parse(&options, argc, argv)) {
        (void)fprintf(stderr, "usage: sim [--seeds FROM-TO | --seed N [--loud]] [--without A,B] "
                              "[--streams N] [--bytes N] [--state FILE]\n");
        return 64;
    }
    return options.is_one ? run_one(&options) : run_many(&options);
}
