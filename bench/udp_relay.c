/*
 * The limit for datagrams: one thread, epoll, recvfrom and sendto, and nothing that a proxy needs
 * besides.
 *
 *   udp-relay LISTEN TARGET
 *
 * What comes to LISTEN goes to TARGET from another socket; what comes back there goes to whoever
 * sent last.
 */
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MAX_BYTES 65535

static uint8_t bytes[MAX_BYTES];

static int open_udp(const struct sockaddr_in *at)
{
    int size = 1024 * 1024;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof *at) < 0)
        die_errno("bind");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
}

static void move(int from_fd, struct sockaddr_in *from, int to_fd, const struct sockaddr_in *to)
{
    for (;;) {
        socklen_t n_from = sizeof *from;
        ssize_t n = recvfrom(from_fd, bytes, sizeof bytes, 0, (struct sockaddr *)from, &n_from);
        if (n < 0)
            return;
        sendto(to_fd, bytes, (size_t)n, 0, (const struct sockaddr *)to, sizeof *to);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        die("usage: udp-relay LISTEN TARGET");
    struct sockaddr_in listen_at = parse_address(argv[1]), target = parse_address(argv[2]);
    struct sockaddr_in any = {.sin_family = AF_INET}, client = {0}, ignored;
    int inside = open_udp(&listen_at), outside = open_udp(&any);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int fds[] = {inside, outside};
    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fds[i]};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event) < 0)
            die_errno("epoll_ctl");
    }
    for (;;) {
        struct epoll_event events[2];
        int n = epoll_wait(epoll_fd, events, 2, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == inside)
                move(inside, &client, outside, &target);
            else
                move(outside, &ignored, inside, &client);
        }
    }
}
