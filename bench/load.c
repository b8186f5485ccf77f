/*
 * The load generator: one thread, one epoll, one mode a run.
 *
 *   load MODE --origin ADDRESS:PORT [--proxy ADDRESS:PORT | --direct ADDRESS:PORT]
 *        [-n CONNECTIONS] [--ms MEASURED] [--warm-ms BEFORE] [--pid PROXY]
 *
 * MODE is down, up, short, rtt, idle or closes. --proxy is asked for the origin by SOCKS5; with
 * --direct the generator connects there as if it were the origin (the blind relay); without
 * either it connects to the origin. The generator's own questions to the origin always go
 * straight.
 */
#include "load.h"

#include "util.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(const struct options *options);
} modes[] = {
    {"down", load_down}, {"up", load_up},     {"short", load_short},
    {"rtt", load_rtt},   {"idle", load_idle}, {"closes", load_closes},
};

static const struct option names[] = {
    {"origin", required_argument, NULL, 'o'},
    {"proxy", required_argument, NULL, 'p'},
    {"direct", required_argument, NULL, 'd'},
    {"ms", required_argument, NULL, 'm'},
    {"warm-ms", required_argument, NULL, 'w'},
    {"pid", required_argument, NULL, 'P'},
    {NULL, 0, NULL, 0},
};

static _Noreturn void usage(void)
{
    die("usage: load down|up|short|rtt|idle|closes --origin ADDRESS:PORT\n"
        "            [--proxy ADDRESS:PORT | --direct ADDRESS:PORT] [-n CONNECTIONS]\n"
        "            [--ms MEASURED] [--warm-ms BEFORE] [--pid PROXY]");
}

static int64_t parse_ms(const char *text)
{
    return (int64_t)parse_number(text, 3600000) * 1000000;
}

static struct options parse_options(int argc, char **argv)
{
    struct options options = {.n = 1, .measure_ns = 1000000000, .warm_ns = 200000000};
    bool has_first = false;
    for (int c; (c = getopt_long(argc, argv, "n:", names, NULL)) != -1;) {
        switch (c) {
        case 'o':
            options.path.origin = parse_address(optarg);
            break;
        case 'p':
        case 'd':
            options.path.socks = c == 'p';
            options.path.first = parse_address(optarg);
            has_first = true;
            break;
        case 'n':
            options.n = parse_number(optarg, 100000);
            break;
        case 'm':
            options.measure_ns = parse_ms(optarg);
            break;
        case 'w':
            options.warm_ns = parse_ms(optarg);
            break;
        case 'P':
            options.pid = (pid_t)parse_number(optarg, INT32_MAX);
            break;
        default:
            usage();
        }
    }
    if (options.path.origin.sin_port == 0 || options.n == 0 || optind != argc)
        usage();
    if (!has_first)
        options.path.first = options.path.origin;
    return options;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        usage();
    struct options options = parse_options(argc - 1, argv + 1);
    size_t n_fds = raise_descriptors();
    if (options.n + 16 > n_fds)
        die("%zu connections: the limit of descriptors is %zu", options.n, n_fds);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        modes[i].run(&options);
        return 0;
    }
    usage();
}
