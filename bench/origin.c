/*
 * The far end of every connection that the bench makes: `origin ADDRESS:PORT`. One thread, one
 * epoll. It must never be what limits a proxy, so bulk is sent from a memory file with
 * sendfile(2) and swallowed with MSG_TRUNC: neither is copied here. The requests that it
 * understands are in origin_conn.h.
 */
#include "origin_conn.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BATCH 256

/* Accepts what waits, up to a bound, so that a flood of connections starves no one. What its
 * client has sent by then is served at once. */
static void accept_some(struct origin *origin, int listener)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0 && errno != ECONNABORTED)
            die_errno("accept");
        if (fd >= 0)
            conn_serve(origin, conn_new(origin, fd));
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        die("usage: origin ADDRESS:PORT");
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    struct sockaddr_in address = parse_address(argv[1]);
    struct origin origin = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                            .pattern_fd = pattern_file(),
                            .outcome = "none\n"};
    int listener = listen_on(&address);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (origin.epoll_fd < 0 || epoll_ctl(origin.epoll_fd, EPOLL_CTL_ADD, listener, &event) != 0)
        die_errno("epoll");
    for (;;) {
        struct epoll_event events[BATCH];
        int n = epoll_wait(origin.epoll_fd, events, BATCH, -1);
        if (n < 0 && errno != EINTR)
            die_errno("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_some(&origin, listener);
            else
                conn_serve(&origin, events[i].data.ptr);
        }
    }
}
