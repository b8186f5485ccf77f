/*
 * The other side of what is tested: plain, non-blocking UDP sockets on loopback. They use the
 * system's calls themselves, so that they are never what fault injection hits.
 */
#ifndef SOCKEYE_TESTS_UDP_H
#define SOCKEYE_TESTS_UDP_H

#include "tcp.h"

/* Opens a socket at this address; *addr gets the port. False: this machine has no such address. */
static inline bool udp_try_open(int *fd, struct addr *addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    int bytes = 1024 * 1024;
    *fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return false;
    if (bind(*fd, (struct sockaddr *)&sa, n) != 0) {
        close(*fd);
        return false;
    }
    setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    n = sizeof sa;
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&sa, &n), 0);
    assert_int_equal(sys_addr_from_sockaddr(addr, (struct sockaddr *)&sa, n), ERR_NONE);
    return true;
}

static inline int udp_open(struct addr *addr)
{
    int fd;
    assert_true(udp_try_open(&fd, addr));
    return fd;
}

static inline void udp_send(int fd, const struct addr *to, const void *bytes, size_t n)
{
    struct sockaddr_storage sa;
    socklen_t sa_bytes = sys_addr_to_sockaddr(to, &sa);
    assert_int_equal(sendto(fd, bytes, n, 0, (struct sockaddr *)&sa, sa_bytes), n);
}

/* Takes a datagram; -1: none is there. */
static inline ssize_t udp_receive(int fd, void *bytes, size_t n, struct addr *from)
{
    struct sockaddr_storage sa;
    socklen_t sa_bytes = sizeof sa;
    ssize_t got = recvfrom(fd, bytes, n, 0, (struct sockaddr *)&sa, &sa_bytes);
    if (got >= 0)
        assert_int_equal(sys_addr_from_sockaddr(from, (struct sockaddr *)&sa, sa_bytes), ERR_NONE);
    return got;
}

#endif
