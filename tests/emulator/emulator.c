/*
 * A line between two network namespaces: what comes out of a TUN device in one goes into the one
 * in the other, later and perhaps not at all, as line.h says. Needs root.
 *
 *   emulator NEAR_NAMESPACE FAR_NAMESPACE [SEED]
 *
 * Namespaces are files such as /proc/PID/ns/net; the device is called `line` in both and gets its
 * address from whoever starts this. Then commands come on stdin, a line each, and each is answered
 * by a line on stdout. The end of stdin ends the program.
 *
 *   up|down|both KEY VALUE [KEY VALUE]...  from now on; up is from near to far. Answer: ok
 *   counts                                 the counters, as JSON
 *
 * KEY is delay_ms, rate_mbit (0: no bottleneck), queue_kb, loss, reorder (shares from 0 to 1),
 * reorder_ms or frozen (0 or 1).
 */
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "line"
#define MAX_PACKET_BYTES 65536
#define MAX_COMMAND_BYTES 512
#define TURN_PACKETS 64

enum { UP, DOWN, N_DIRECTIONS };

struct emulator {
    int tun[N_DIRECTIONS]; /* the device that packets of this direction come out of */
    struct line line[N_DIRECTIONS];
    char command[MAX_COMMAND_BYTES];
    size_t command_len;
};

static const char *const direction_names[N_DIRECTIONS] = {"up", "down"};

static _Noreturn void die_errno(const char *what)
{
    fprintf(stderr, "emulator: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A device belongs to the namespace in which /dev/net/tun was opened. */
static int open_tun(const char *namespace)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open(namespace, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        die_errno(namespace);
    close(fd);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        die_errno("/dev/net/tun");
    memcpy(request.ifr_name, DEVICE, sizeof DEVICE);
    if (ioctl(fd, TUNSETIFF, &request) != 0)
        die_errno("TUNSETIFF");
    return fd;
}

static void take_packets(struct emulator *emulator, int direction)
{
    static uint8_t bytes[MAX_PACKET_BYTES];
    for (int i = 0; i < TURN_PACKETS; i++) {
        ssize_t n = read(emulator->tun[direction], bytes, sizeof bytes);
        if (n <= 0)
            return;
        if (!line_take(&emulator->line[direction], now_ns(), bytes, (size_t)n))
            die_errno("no memory for a packet");
    }
}

/* A device that is down or full takes nothing: then the packet is lost, like behind any line. */
static void give_packets(struct emulator *emulator, int direction)
{
    struct packet *packet;
    while ((packet = line_give(&emulator->line[direction], now_ns())) != NULL) {
        ssize_t n = write(emulator->tun[!direction], packet->bytes, packet->len);
        (void)n;
        free(packet);
    }
}

static bool set_option(struct line_options *options, const char *key, double value)
{
    bool is_share = value <= 1;
    if (strcmp(key, "delay_ms") == 0)
        options->delay_ns = (int64_t)(value * 1e6);
    else if (strcmp(key, "rate_mbit") == 0)
        options->bits_per_s = value * 1e6;
    else if (strcmp(key, "queue_kb") == 0)
        options->queue_bytes = value * 1e3;
    else if (strcmp(key, "reorder_ms") == 0)
        options->reorder_ns = (int64_t)(value * 1e6);
    else if (strcmp(key, "loss") == 0 && is_share)
        options->loss = value;
    else if (strcmp(key, "reorder") == 0 && is_share)
        options->reorder = value;
    else if (strcmp(key, "frozen") == 0 && is_share)
        options->frozen = value != 0;
    else
        return false;
    return true;
}

/* Either all of a command holds or nothing of it. */
static bool set_options(struct emulator *emulator, const char *direction, char *rest)
{
    bool found = false;
    char *saved = NULL;
    for (char *key = strtok_r(rest, " ", &saved); key != NULL; key = strtok_r(NULL, " ", &saved)) {
        const char *text = strtok_r(NULL, " ", &saved);
        char *end = NULL;
        double value = text != NULL ? strtod(text, &end) : -1;
        if (!(value >= 0) || *end != '\0')
            return false;
        for (int i = 0; i < N_DIRECTIONS; i++) {
            if (strcmp(direction, "both") != 0 && strcmp(direction, direction_names[i]) != 0)
                continue;
            if (!set_option(&emulator->line[i].options, key, value))
                return false;
            found = true;
        }
    }
    return found;
}

static void print_counts(const struct emulator *emulator)
{
    for (int i = 0; i < N_DIRECTIONS; i++) {
        const struct line_counts *c = &emulator->line[i].counts;
        printf("%s\"%s\": {\"received\": %llu, \"delivered\": %llu, \"bytes\": %llu, "
               "\"lost\": %llu, \"overflowed\": %llu, \"frozen\": %llu, \"reordered\": %llu}",
               i == 0 ? "{" : ", ", direction_names[i], (unsigned long long)c->received,
               (unsigned long long)c->delivered, (unsigned long long)c->bytes,
               (unsigned long long)c->lost, (unsigned long long)c->overflowed,
               (unsigned long long)c->frozen, (unsigned long long)c->reordered);
    }
    puts("}");
}

static void obey(struct emulator *emulator, char *command)
{
    if (strcmp(command, "counts") == 0) {
        print_counts(emulator);
    } else {
        char *rest = command + strcspn(command, " ");
        if (*rest != '\0')
            *rest++ = '\0';
        puts(set_options(emulator, command, rest) ? "ok" : "error");
    }
    fflush(stdout);
}

/* False at the end of stdin. */
static bool read_commands(struct emulator *emulator)
{
    size_t room = sizeof emulator->command - emulator->command_len;
    ssize_t n = read(STDIN_FILENO, emulator->command + emulator->command_len, room);
    if (n <= 0)
        return false;
    emulator->command_len += (size_t)n;
    char *newline;
    while ((newline = memchr(emulator->command, '\n', emulator->command_len)) != NULL) {
        *newline = '\0';
        size_t used = (size_t)(newline + 1 - emulator->command);
        obey(emulator, emulator->command);
        emulator->command_len -= used;
        memmove(emulator->command, emulator->command + used, emulator->command_len);
    }
    return emulator->command_len < sizeof emulator->command;
}

static void wait_for_work(struct emulator *emulator, struct pollfd *fds)
{
    int64_t up_ns = line_deadline(&emulator->line[UP]);
    int64_t down_ns = line_deadline(&emulator->line[DOWN]);
    int64_t deadline_ns = up_ns < down_ns ? up_ns : down_ns;
    int64_t left_ns = deadline_ns - now_ns();
    if (left_ns < 0)
        left_ns = 0;
    struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000),
                            .tv_nsec = (long)(left_ns % 1000000000)};
    if (ppoll(fds, N_DIRECTIONS + 1, deadline_ns == INT64_MAX ? NULL : &left, NULL) < 0 &&
        errno != EINTR)
        die_errno("ppoll");
}

int main(int argc, char **argv)
{
    static struct emulator emulator;
    if (argc != 3 && argc != 4) {
        fputs("usage: emulator NEAR_NAMESPACE FAR_NAMESPACE [SEED]\n", stderr);
        return 64;
    }
    uint64_t seed = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
    for (int i = 0; i < N_DIRECTIONS; i++) {
        emulator.tun[i] = open_tun(argv[1 + i]);
        line_init(&emulator.line[i], seed + (uint64_t)i);
    }
    /* Rounding of the waits, 50 us otherwise, would come on top of every delay. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    puts("ready");
    fflush(stdout);
    struct pollfd fds[N_DIRECTIONS + 1] = {{.fd = emulator.tun[UP], .events = POLLIN},
                                           {.fd = emulator.tun[DOWN], .events = POLLIN},
                                           {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        wait_for_work(&emulator, fds);
        for (int i = 0; i < N_DIRECTIONS; i++) {
            take_packets(&emulator, i);
            give_packets(&emulator, i);
        }
        if (fds[N_DIRECTIONS].revents != 0 && !read_commands(&emulator))
            return 0;
    }
}
