/* The small local origin of `make run`: answers requests on 127.0.0.1, one connection at a time, with
 * 50 MB for /large and one page for all others. It prints its port on stdout and dies with the
 * script that started it. */
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES 4096
#define LARGE_BYTES 50000000

static const char large_head[] = "HTTP/1.1 200 OK\r\n"
                                 "Content-Type: application/octet-stream\r\n"
                                 "Content-Length: 50000000\r\n"
                                 "Connection: close\r\n"
                                 "\r\n";

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Content-Type: text/plain\r\n"
                             "Content-Length: 23\r\n"
                             "Connection: close\r\n"
                             "\r\n"
                             "a page, through a proxy";

/* Reads until the empty line that ends a request's head, up to a bound. */
static bool read_head(int fd, char head[static HEAD_BYTES])
{
    size_t len = 0;
    while (len < HEAD_BYTES - 1) {
        ssize_t n = recv(fd, head + len, HEAD_BYTES - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        head[len] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL)
            return true;
    }
    return false;
}

static bool send_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Bytes of which no part is like another (xorshift), and which are the same each time. */
static void send_large(int fd)
{
    uint64_t state = 88172645463325252U, words[8192];
    bool goes_on = send_all(fd, large_head, sizeof large_head - 1);
    for (size_t left = LARGE_BYTES, n = 0; goes_on && left > 0; left -= n) {
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            words[i] = state;
        }
        n = left < sizeof words ? left : sizeof words;
        goes_on = send_all(fd, words, n);
    }
}

static void serve(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    struct timeval patience = {.tv_sec = 5};
    char head[HEAD_BYTES];
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (read_head(fd, head)) {
        if (strncmp(head, "GET /large ", strlen("GET /large ")) == 0)
            send_large(fd);
        else
            send_all(fd, answer, sizeof answer - 1);
    }
    close(fd);
}

int main(void)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        perror("page");
        return 1;
    }
    printf("%d\n", ntohs(addr.sin_port));
    fflush(stdout);

    for (;;)
        serve(fd);
}
