/*
 * The load generator for datagrams: a client and a target in one thread, which know what was sent
 * and so what is lost.
 *
 *   udp up|down|echo [--proxy ADDRESS:PORT | --direct ADDRESS:PORT] [--rate A_SECOND] [--bytes EACH]
 *       [--burst TOGETHER] [--ms MEASURED] [--warm-ms BEFORE] [--pid PROXY]
 *
 * up: from the client to the target; down: the other way; echo: both, the target answers each.
 * --proxy is asked by SOCKS5 for an association; with --direct the client sends to that address as
 * if it were the target (the bare relay, which sends on to TARGET_PORT); without either it sends to
 * the target. Datagrams leave at even times, `burst` of them together.
 */
#include "proc.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TARGET_PORT 2001
#define HEADER_BYTES 10 /* of SOCKS5, with an IPv4 address */
#define MAX_BYTES 65507
#define BATCH 64
#define BUFFER_BYTES (8 * 1024 * 1024)
#define SETTLE_NS ((int64_t)300 * 1000000) /* for what is still on its way */

enum mode { UP, DOWN, ECHO, N_MODES };

static const char *const mode_names[N_MODES] = {"up", "down", "echo"};

struct options {
    enum mode mode;
    struct sockaddr_in via; /* port 0: none */
    bool is_socks;
    uint64_t rate;
    size_t n_bytes, burst;
    int64_t measure_ns, warm_ns;
    pid_t pid;
};

/* One end: where it sends to, and what stands before what it sends and what it receives. */
struct end {
    int fd;
    struct sockaddr_in to;
    size_t header_bytes;
    uint8_t *out;
    uint64_t n_sent, n_received;
};

static struct {
    struct options options;
    struct end client, target;
    int control; /* the association's TCP connection; -1: none */
    uint8_t in[BATCH][MAX_BYTES + 1];
} bench = {.control = -1};

/* ---- the two ends ---- */

static void set_buffer(int fd, int name, int forced)
{
    int bytes = BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, name, &bytes, sizeof bytes);
}

static int open_udp(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        die_errno("UDP port %u", port);
    set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE);
    set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE);
    return fd;
}

static void expect(int fd, uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = recv(fd, bytes + at, n - at, 0);
        if (got <= 0)
            die("the proxy ends in its handshake");
        at += (size_t)got;
    }
}

/* Asks for an association; the client sends to what the answer names. */
static void associate(const struct sockaddr_in *proxy)
{
    static const uint8_t request[] = {5, 3, 0, 1, 0, 0, 0, 0, 0, 0};
    uint8_t answer[10];
    bench.control = connect_to(proxy);
    if (send(bench.control, "\5\1\0", 3, MSG_NOSIGNAL) != 3)
        die_errno("greeting");
    expect(bench.control, answer, 2);
    if (send(bench.control, request, sizeof request, MSG_NOSIGNAL) != sizeof request)
        die_errno("request");
    expect(bench.control, answer, sizeof answer);
    if (answer[1] != 0 || answer[3] != 1)
        die("the proxy refuses an association: %u", answer[1]);
    bench.client.to = (struct sockaddr_in){.sin_family = AF_INET};
    memcpy(&bench.client.to.sin_addr, answer + 4, 4);
    memcpy(&bench.client.to.sin_port, answer + 8, 2);
}

static void set_up(const struct options *options)
{
    struct end *client = &bench.client, *target = &bench.target;
    struct sockaddr_in at_target = {.sin_family = AF_INET, .sin_port = htons(TARGET_PORT)};
    at_target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = open_udp(0);
    target->fd = open_udp(TARGET_PORT);
    client->to = options->via.sin_port == 0 ? at_target : options->via;
    if (options->is_socks) {
        associate(&options->via);
        client->header_bytes = HEADER_BYTES;
    }
    client->out = calloc(1, HEADER_BYTES + options->n_bytes);
    target->out = calloc(1, options->n_bytes);
    if (client->out == NULL || target->out == NULL)
        die("out of memory");
    if (client->header_bytes > 0) {
        client->out[3] = 1;
        memcpy(client->out + 4, &at_target.sin_addr, 4);
        memcpy(client->out + 8, &at_target.sin_port, 2);
    }
}

/* ---- moving ---- */

static void send_from(struct end *end, size_t n)
{
    struct iovec iov = {end->out, end->header_bytes + bench.options.n_bytes};
    struct mmsghdr messages[BATCH];
    for (size_t i = 0; i < n; i++)
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &end->to,
                                                   .msg_namelen = sizeof end->to,
                                                   .msg_iov = &iov,
                                                   .msg_iovlen = 1}};
    for (size_t at = 0; at < n;) {
        int sent = sendmmsg(end->fd, messages + at, (unsigned)(n - at), 0);
        if (sent < 0 && errno != EAGAIN && errno != ECONNREFUSED)
            die_errno("send");
        at += sent > 0 ? (size_t)sent : 0;
    }
    end->n_sent += n;
}

/* Takes what is there; returns how many. Their source is where this end sends to, if it is to learn. */
static size_t receive_at(struct end *end, bool learns)
{
    struct iovec iovs[BATCH];
    struct mmsghdr messages[BATCH];
    struct sockaddr_in from = {0};
    for (size_t i = 0; i < BATCH; i++) {
        iovs[i] = (struct iovec){bench.in[i], sizeof bench.in[i]};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iovs[i], .msg_iovlen = 1}};
    }
    messages[0].msg_hdr.msg_name = &from;
    messages[0].msg_hdr.msg_namelen = sizeof from;
    int n = recvmmsg(end->fd, messages, BATCH, 0, NULL);
    if (n < 0)
        return 0;
    for (int i = 0; i < n; i++) {
        if (messages[i].msg_len != end->header_bytes + bench.options.n_bytes)
            die("a datagram of %u bytes came", messages[i].msg_len);
    }
    if (learns)
        end->to = from;
    end->n_received += (size_t)n;
    return (size_t)n;
}

static void receive_all(void)
{
    size_t n;
    while ((n = receive_at(&bench.target, true)) > 0) {
        if (bench.options.mode == ECHO)
            send_from(&bench.target, n);
    }
    while (receive_at(&bench.client, false) > 0)
        ;
}

/* Sends at the rate for so long. */
static void run_for(int64_t ns)
{
    const struct options *options = &bench.options;
    struct end *source = options->mode == DOWN ? &bench.target : &bench.client;
    int64_t began = now_ns(), gap = (int64_t)(1000000000 * options->burst / options->rate);
    for (int64_t next = began; next < began + ns; next += gap) {
        do
            receive_all();
        while (now_ns() < next);
        send_from(source, options->burst);
    }
}

/* The target must learn where the client is behind the proxy. */
static void introduce(void)
{
    int64_t until = now_ns() + (int64_t)5 * 1000000000;
    while (bench.target.n_received == 0 && now_ns() < until) {
        send_from(&bench.client, 1);
        for (int64_t rest = now_ns() + 20 * 1000000; now_ns() < rest;)
            receive_all();
    }
    if (bench.target.n_received == 0)
        die("nothing comes through");
}

static void settle(void)
{
    for (int64_t until = now_ns() + SETTLE_NS; now_ns() < until;)
        receive_all();
}

static void forget_counts(void)
{
    bench.client.n_sent = bench.client.n_received = 0;
    bench.target.n_sent = bench.target.n_received = 0;
}

/* Of an echo each datagram passes the proxy twice. */
static void measure(void)
{
    const struct options *options = &bench.options;
    introduce();
    run_for(options->warm_ns);
    settle();
    forget_counts();
    int64_t cpu_before = options->pid > 0 ? proc_cpu_ns(options->pid) : 0;
    run_for(options->measure_ns);
    int64_t cpu_ns = options->pid > 0 ? proc_cpu_ns(options->pid) - cpu_before : 0;
    settle();
    uint64_t sent = bench.client.n_sent + bench.target.n_sent;
    uint64_t received = bench.client.n_received + bench.target.n_received;
    printf("{\"mode\":\"%s\",\"rate\":%lu,\"burst\":%zu,\"bytes\":%zu,\"sent\":%lu,"
           "\"received\":%lu,\"lost\":%ld,\"cpu_us_each\":%.3f}\n",
           mode_names[options->mode], (unsigned long)options->rate, options->burst,
           options->n_bytes, (unsigned long)sent, (unsigned long)received, (long)(sent - received),
           received > 0 ? (double)cpu_ns / 1e3 / (double)received : 0);
}

/* ---- options ---- */

static const struct option names[] = {
    {"proxy", required_argument, NULL, 'p'},
    {"direct", required_argument, NULL, 'd'},
    {"rate", required_argument, NULL, 'r'},
    {"bytes", required_argument, NULL, 'b'},
    {"burst", required_argument, NULL, 'B'},
    {"ms", required_argument, NULL, 'm'},
    {"warm-ms", required_argument, NULL, 'w'},
    {"pid", required_argument, NULL, 'P'},
    {NULL, 0, NULL, 0},
};

static _Noreturn void usage(void)
{
    die("usage: udp up|down|echo [--proxy ADDRESS:PORT | --direct ADDRESS:PORT]\n"
        "           [--rate A_SECOND] [--bytes EACH] [--burst TOGETHER] [--ms MEASURED]\n"
        "           [--warm-ms BEFORE] [--pid PROXY]");
}

static enum mode parse_mode(const char *text)
{
    for (int i = 0; i < N_MODES; i++) {
        if (strcmp(text, mode_names[i]) == 0)
            return (enum mode)i;
    }
    usage();
}

static void parse_options(struct options *options, int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'p':
        case 'd':
            options->is_socks = c == 'p';
            options->via = parse_address(optarg);
            break;
        case 'r':
            options->rate = parse_number(optarg, 10000000);
            break;
        case 'b':
            options->n_bytes = parse_number(optarg, MAX_BYTES - HEADER_BYTES);
            break;
        case 'B':
            options->burst = parse_number(optarg, BATCH);
            break;
        case 'm':
            options->measure_ns = (int64_t)parse_number(optarg, 3600000) * 1000000;
            break;
        case 'w':
            options->warm_ns = (int64_t)parse_number(optarg, 3600000) * 1000000;
            break;
        case 'P':
            options->pid = (pid_t)parse_number(optarg, INT32_MAX);
            break;
        default:
            usage();
        }
    }
    if (options->rate == 0 || options->burst == 0 || optind != argc)
        usage();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        usage();
    bench.options = (struct options){.mode = parse_mode(argv[1]),
                                     .rate = 20000,
                                     .n_bytes = 1200,
                                     .burst = 1,
                                     .measure_ns = 1000000000,
                                     .warm_ns = 200000000};
    parse_options(&bench.options, argc - 1, argv + 1);
    set_up(&bench.options);
    measure();
    return 0;
}
