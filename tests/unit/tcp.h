/*
 * The other side of what is tested: plain, non-blocking TCP sockets on loopback. They use the
 * system's calls themselves, so that they are never what fault injection hits.
 */
#ifndef SOCKEYE_TESTS_TCP_H
#define SOCKEYE_TESTS_TCP_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "io/sys.h"

static inline struct addr tcp_addr(const char *ip, uint16_t port)
{
    struct addr addr;
    assert_int_equal(addr_parse_ip(&addr, ip, strlen(ip)), ERR_NONE);
    addr.port = port;
    return addr;
}

/* Or the end of what is said in two parts waits for an acknowledgement. What a listener accepts has it too. */
static inline void tcp_be_prompt(int fd)
{
    int on = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

static inline int tcp_socket(const struct addr *addr)
{
    int family = addr->family == ADDR_V4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    tcp_be_prompt(fd);
    return fd;
}

/* False: this machine has no such address. */
static inline bool tcp_try_listen(int *fd, struct addr *addr, int backlog)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    int on = 1;
    *fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return false;
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    tcp_be_prompt(*fd);
    if (bind(*fd, (struct sockaddr *)&sa, n) != 0 || listen(*fd, backlog) != 0) {
        close(*fd);
        return false;
    }
    n = sizeof sa;
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&sa, &n), 0);
    assert_int_equal(sys_addr_from_sockaddr(addr, (struct sockaddr *)&sa, n), ERR_NONE);
    return true;
}

/* Listens on a free port of 127.0.0.1, or on what *addr names; *addr gets the port. */
static inline int tcp_listen(struct addr *addr)
{
    int fd;
    assert_true(tcp_try_listen(&fd, addr, 128));
    return fd;
}

/* Begins to connect. */
static inline int tcp_connect(const struct addr *addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    int fd = tcp_socket(addr);
    if (connect(fd, (struct sockaddr *)&sa, n) != 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

/* Waits for a connection and takes it. */
static inline int tcp_accept(int listen_fd)
{
    struct pollfd pollfd = {.fd = listen_fd, .events = POLLIN};
    assert_int_equal(poll(&pollfd, 1, 20000), 1);
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Two ends of one connection. */
static inline void tcp_pair(int fds[2])
{
    struct addr addr = tcp_addr("127.0.0.1", 0);
    int listen_fd = tcp_listen(&addr);
    fds[0] = tcp_connect(&addr);
    fds[1] = tcp_accept(listen_fd);
    close(listen_fd);
    struct pollfd pollfd = {.fd = fds[0], .events = POLLOUT};
    assert_int_equal(poll(&pollfd, 1, 20000), 1);
}

static inline void tcp_reset(int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

/* Sends all of it: there is room. */
static inline void tcp_send(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

/* Sends as much as goes. */
static inline size_t tcp_fill(int fd)
{
    static const char bytes[16 * 1024];
    size_t n = 0;
    ssize_t sent;
    while ((sent = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL)) > 0)
        n += (size_t)sent;
    assert_int_equal(errno, EAGAIN);
    return n;
}

/* Takes what is there, up to the whole of `bytes`. */
static inline ssize_t tcp_receive(int fd, void *bytes, size_t n)
{
    return recv(fd, bytes, n, 0);
}

/* Waits until something can be read: data, a fin, a reset. */
static inline void tcp_await(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pollfd, 1, 20000), 1);
}

#endif
