#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 10
#define N_EARLY 5

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + at / 251);
}

static void judge(struct client *client, enum verdict verdict, const char *what)
{
    /* The first thing that went wrong is the one to know. */
    if (client->verdict >= verdict)
        return;
    client->verdict = verdict;
    client->what = what;
}

static int make_socket(void)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sa;
}

/* Listens, for the origin; a target that refuses is one that is bound and does not listen. */
static uint16_t make_origin(struct client *client)
{
    struct sockaddr_in sa = loopback(0);
    socklen_t n = sizeof sa;
    client->listening = make_socket();
    bind(client->listening, (struct sockaddr *)&sa, sizeof sa);
    if (client->scenario->expectation == EXPECT_OPEN)
        listen(client->listening, 4);
    getsockname(client->listening, (struct sockaddr *)&sa, &n);
    return ntohs(sa.sin_port);
}

static bool send_all(int fd, const void *bytes, size_t n)
{
    return send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool receive_all(int fd, void *bytes, size_t n)
{
    return recv(fd, bytes, n, MSG_WAITALL) == (ssize_t)n;
}

static size_t socks5_request(uint8_t *out, uint16_t port, const char *ip)
{
    static const uint8_t head[] = {5, 1, 0, 1};
    memcpy(out, head, sizeof head);
    inet_pton(AF_INET, ip, out + 4);
    out[8] = (uint8_t)(port >> 8);
    out[9] = (uint8_t)port;
    return 10;
}

/* Each returns the protocol's code, or -1 when there was no answer. */

static int ask_socks5(struct client *client, uint8_t *request, size_t n, bool logs_in)
{
    static const uint8_t greeting[] = {5, 1, 0}, greeting_login[] = {5, 1, 2};
    static const uint8_t login[] = {1, 3, 'a', 'n', 'n', 2, 'p', 'w'};
    uint8_t answer[10];
    if (!send_all(client->conn, logs_in ? greeting_login : greeting, 3) ||
        !receive_all(client->conn, answer, 2) || answer[1] == 0xff)
        return -1;
    if (logs_in && (!send_all(client->conn, login, sizeof login) ||
                    !receive_all(client->conn, answer, 2) || answer[1] != 0))
        return -1;
    if (!send_all(client->conn, request, n) || !receive_all(client->conn, answer, sizeof answer))
        return -1;
    return answer[1];
}

static int ask_socks4a(struct client *client, const uint8_t *early, size_t n_early, uint16_t port)
{
    uint8_t request[64] = {4, 1, (uint8_t)(port >> 8), (uint8_t)port, 0, 0, 0, 1, 0};
    uint8_t answer[8];
    memcpy(request + 9, "localhost", 10);
    memcpy(request + 19, early, n_early);
    if (!send_all(client->conn, request, 19 + n_early) ||
        !receive_all(client->conn, answer, sizeof answer))
        return -1;
    return answer[1] == 90 ? 0 : answer[1];
}

static int ask_http(struct client *client, const uint8_t *early, size_t n_early, uint16_t port)
{
    char request[256], answer[512];
    int n =
        snprintf(request, sizeof request, "CONNECT 127.0.0.1:%u HTTP/1.1\r\nHost: x\r\n\r\n", port);
    memcpy(request + n, early, n_early);
    if (!send_all(client->conn, request, (size_t)n + n_early))
        return -1;
    /* Byte by byte: what follows the head is the origin's. */
    for (size_t i = 0; i < sizeof answer; i++) {
        if (!receive_all(client->conn, answer + i, 1))
            return -1;
        if (i >= 12 && memcmp(answer + i - 3, "\r\n\r\n", 4) == 0)
            return memcmp(answer + 9, "200", 3) == 0 ? 0 : 5;
    }
    return -1;
}

static int ask(struct client *client, uint16_t port)
{
    const struct scenario *scenario = client->scenario;
    uint8_t early[N_EARLY], request[32];
    size_t n_early = scenario->sends_early ? N_EARLY : 0;
    for (size_t i = 0; i < n_early; i++)
        early[i] = pattern(i);
    switch (scenario->way) {
    case WAY_SOCKS4A:
        return ask_socks4a(client, early, n_early, port);
    case WAY_HTTP:
        return ask_http(client, early, n_early, port);
    case WAY_SOCKS5:
    case WAY_SOCKS5_LOGIN:
        break;
    }
    const char *ip = scenario->expectation == EXPECT_DENIED ? "127.0.0.2" : "127.0.0.1";
    size_t n = socks5_request(request, port, ip);
    memcpy(request + n, early, n_early);
    return ask_socks5(client, request, n + n_early, scenario->way == WAY_SOCKS5_LOGIN);
}

/* Sends what fits without waiting. False: reset. */
static bool push(int fd, size_t *n_sent, size_t n)
{
    uint8_t bytes[16384];
    size_t now = n - *n_sent < sizeof bytes ? n - *n_sent : sizeof bytes;
    for (size_t i = 0; i < now; i++)
        bytes[i] = pattern(*n_sent + i);
    ssize_t sent = send(fd, bytes, now, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN;
    *n_sent += (size_t)sent;
    return true;
}

/* Receives what is there. False: reset, or what must not be. */
static bool pull(struct client *client, int fd, size_t *n_received)
{
    uint8_t bytes[65536];
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN;
    if (got == 0) {
        judge(client, WRONG, "a stream that was cut looks as if it had ended");
        return false;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] != pattern(*n_received + (size_t)i)) {
            judge(client, WRONG, "a byte is not the one that was sent");
            return false;
        }
    }
    *n_received += (size_t)got;
    return true;
}

/* n bytes from one side to the other; n_sent of them are on their way. False: see the verdict. */
static bool transfer(struct client *client, int from, int to, size_t n_sent, size_t n)
{
    size_t n_received = 0;
    while (n_received < n) {
        struct pollfd fds[] = {{.fd = to, .events = POLLIN},
                               {.fd = from, .events = n_sent < n ? POLLOUT : 0}};
        if (poll(fds, 2, PATIENCE_S * 1000) <= 0) {
            judge(client, WRONG, "bytes that were sent do not arrive");
            return false;
        }
        bool is_whole = true;
        if (fds[1].revents != 0 && n_sent < n)
            is_whole = push(from, &n_sent, n);
        if (is_whole && fds[0].revents != 0)
            is_whole = pull(client, to, &n_received);
        else if (fds[1].revents & (POLLERR | POLLHUP))
            is_whole = false;
        if (!is_whole) {
            judge(client, SUFFERED, "reset in the middle");
            return false;
        }
    }
    return true;
}

/* A fin from one side reaches the other, alone. False: see the verdict. */
static bool pass_fin(struct client *client, int from, int to)
{
    char byte;
    shutdown(from, SHUT_WR);
    ssize_t got = recv(to, &byte, 1, 0);
    if (got == 0)
        return true;
    if (got > 0)
        judge(client, WRONG, "a byte that nobody sent");
    else if (errno == EAGAIN)
        judge(client, WRONG, "a fin does not arrive");
    else
        judge(client, SUFFERED, "reset at the end");
    return false;
}

/* After one side was reset: the other must not see a clean end, nor wait for ever. */
static void check_other_side(struct client *client, int fd)
{
    uint8_t bytes[65536];
    ssize_t got;
    do
        got = recv(fd, bytes, sizeof bytes, 0);
    while (got > 0);
    if (got < 0 && errno == EAGAIN)
        judge(client, WRONG, "one side was reset and the other is left waiting");
}

static void exchange(struct client *client)
{
    const struct scenario *scenario = client->scenario;
    int conn = client->conn, origin = client->origin;
    size_t n_early = scenario->sends_early ? N_EARLY : 0;
    bool is_whole = transfer(client, conn, origin, n_early, scenario->n_up) &&
                    transfer(client, origin, conn, 0, scenario->n_down);
    if (is_whole && scenario->origin_closes_first)
        is_whole = pass_fin(client, origin, conn) && pass_fin(client, conn, origin);
    else if (is_whole)
        is_whole = pass_fin(client, conn, origin) && pass_fin(client, origin, conn);
    if (is_whole)
        return;
    check_other_side(client, origin);
    check_other_side(client, conn);
}

static void live(struct client *client)
{
    const struct scenario *scenario = client->scenario;
    uint16_t port = make_origin(client);
    struct sockaddr_in sa = loopback(client->proxy_port);
    client->conn = make_socket();
    if (connect(client->conn, (struct sockaddr *)&sa, sizeof sa) != 0) {
        judge(client, WRONG, "the proxy cannot be reached");
        return;
    }
    int code = ask(client, port);
    if (code < 0 && errno == EAGAIN) {
        judge(client, WRONG, "no answer and no end");
    } else if (scenario->expectation == EXPECT_REFUSED || scenario->expectation == EXPECT_DENIED) {
        int expected = scenario->expectation == EXPECT_REFUSED ? 5 : 2;
        if (code == 0)
            judge(client, WRONG, "opened what must not be");
        else if (code != expected)
            judge(client, SUFFERED, "another reason than the true one");
    } else if (code != 0) {
        judge(client, SUFFERED, code < 0 ? "closed without an answer" : "refused with a reason");
    } else if ((client->origin = accept(client->listening, NULL, NULL)) < 0) {
        judge(client, WRONG, "said to be open, but the origin was not reached");
    } else {
        struct timeval patience = {.tv_sec = PATIENCE_S};
        setsockopt(client->origin, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        exchange(client);
    }
}

static void *run(void *arg)
{
    struct client *client = arg;
    errno = 0;
    live(client);
    const int fds[] = {client->conn, client->origin, client->listening};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    atomic_store(&client->is_done, true);
    return NULL;
}

void client_start(struct client *client, const struct scenario *scenario, uint16_t proxy_port)
{
    *client = (struct client){.scenario = scenario,
                              .proxy_port = proxy_port,
                              .verdict = FINE,
                              .what = "",
                              .conn = -1,
                              .origin = -1,
                              .listening = -1};
    if (pthread_create(&client->thread, NULL, run, client) != 0) {
        client->verdict = WRONG;
        client->what = "no thread for the test";
        client->is_done = true;
    }
}
