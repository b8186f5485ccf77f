/*
 * The network between both ends of the tunnel of `make run`: forwards connections on 127.0.0.1 to
 * PORT. Once, when BYTES have come back, it resets all there are, as a network does that fails.
 *
 *     wire PORT BYTES      prints its own port on stdout, and on stderr what it has cut
 *
 * It dies with the script that started it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PAIRS 32
#define BUFFER_BYTES 65536

/* One direction of a connection: what was read from one socket and goes to the other. */
struct way {
    char bytes[BUFFER_BYTES];
    size_t start, end;
    size_t n_sent;  /* in all */
    bool has_ended; /* there is no more to read */
    bool is_done;   /* and the other side has been told so */
};

struct pair {
    int fds[2];         /* the client's and the server's; -1: the pair is free */
    struct way ways[2]; /* from that socket to the other */
};

static struct pair pairs[MAX_PAIRS];
static uint16_t server_port;
static size_t n_until_cut; /* 0: it has been cut, or never is */

static int to_local(uint16_t port, struct sockaddr_in *addr)
{
    *addr = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void close_pair(struct pair *pair, bool resets)
{
    for (size_t i = 0; i < 2; i++) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        if (resets)
            setsockopt(pair->fds[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(pair->fds[i]);
        pair->fds[i] = -1;
    }
}

static void cut(void)
{
    unsigned n = 0;
    for (struct pair *pair = pairs; pair < pairs + MAX_PAIRS; pair++) {
        if (pair->fds[0] < 0)
            continue;
        close_pair(pair, true);
        n++;
    }
    fprintf(stderr, "%u\n", n);
}

static void add_pair(int listener)
{
    struct sockaddr_in addr;
    struct pair *pair = pairs;
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int server = to_local(server_port, &addr);
    while (pair < pairs + MAX_PAIRS && pair->fds[0] >= 0)
        pair++;
    if (client < 0 || pair == pairs + MAX_PAIRS ||
        connect(server, (struct sockaddr *)&addr, sizeof addr) != 0) {
        close(client);
        close(server);
        return;
    }
    *pair = (struct pair){.fds = {client, server}};
    for (size_t i = 0; i < 2; i++) {
        fcntl(pair->fds[i], F_SETFL, O_NONBLOCK);
        setsockopt(pair->fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
}

/* Moves what can be moved; false: the connection is broken. */
static bool move(struct way *way, int from, int to)
{
    if (way->start == way->end && !way->has_ended) {
        ssize_t n = recv(from, way->bytes, sizeof way->bytes, 0);
        if (n < 0)
            return errno == EAGAIN;
        way->start = 0;
        way->end = (size_t)n;
        way->has_ended = n == 0;
    }
    if (way->start < way->end) {
        ssize_t n = send(to, way->bytes + way->start, way->end - way->start, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        way->start += (size_t)n;
        way->n_sent += (size_t)n;
    }
    if (way->has_ended && !way->is_done) {
        shutdown(to, SHUT_WR);
        way->is_done = true;
    }
    return true;
}

static void count(size_t n)
{
    if (n_until_cut == 0)
        return;
    n_until_cut -= n < n_until_cut ? n : n_until_cut;
    if (n_until_cut == 0)
        cut();
}

static void serve(struct pair *pair, bool is_broken)
{
    size_t before = pair->ways[1].n_sent;
    bool is_whole = !is_broken && move(&pair->ways[0], pair->fds[0], pair->fds[1]) &&
                    move(&pair->ways[1], pair->fds[1], pair->fds[0]);
    if (!is_whole || (pair->ways[0].is_done && pair->ways[1].is_done))
        close_pair(pair, !is_whole);
    count(pair->ways[1].n_sent - before);
}

static short interest(const struct pair *pair, size_t side)
{
    const struct way *in = &pair->ways[side], *out = &pair->ways[1 - side];
    short events = 0;
    if (in->start == in->end && !in->has_ended)
        events |= POLLIN;
    if (out->start < out->end)
        events |= POLLOUT;
    return events;
}

static void turn(int listener)
{
    struct pollfd polled[1 + 2 * MAX_PAIRS] = {{.fd = listener, .events = POLLIN}};
    for (size_t i = 0; i < MAX_PAIRS; i++)
        for (size_t side = 0; side < 2; side++)
            polled[1 + 2 * i + side] =
                (struct pollfd){.fd = pairs[i].fds[side], .events = interest(&pairs[i], side)};
    if (poll(polled, 1 + 2 * MAX_PAIRS, -1) < 0)
        return;
    for (size_t i = 0; i < MAX_PAIRS; i++) {
        int events = polled[1 + 2 * i].revents | polled[2 + 2 * i].revents;
        if (pairs[i].fds[0] >= 0 && events != 0)
            serve(&pairs[i], (events & POLLERR) != 0);
    }
    if (polled[0].revents != 0)
        add_pair(listener);
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc != 3)
        return 64;
    server_port = (uint16_t)strtoul(argv[1], NULL, 10);
    n_until_cut = strtoul(argv[2], NULL, 10);
    for (size_t i = 0; i < MAX_PAIRS; i++)
        pairs[i].fds[0] = pairs[i].fds[1] = -1;

    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    int listener = to_local(0, &addr);
    if (listener < 0 || bind(listener, (struct sockaddr *)&addr, len) != 0 ||
        listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&addr, &len) != 0) {
        perror("wire");
        return 1;
    }
    printf("%d\n", ntohs(addr.sin_port));
    fflush(stdout);

    for (;;)
        turn(listener);
}
