#include "io/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#ifdef SOCKEYE_FAULTS
#include "io/sys_fault.h"
#else
/* Without fault injection the questions below are constants, and nothing of them is left. */
#define FAULT_FAILS(call, typical) false
#define FAULT_LATE(call) false
#define FAULT_SIZE(n) (n)
#define FAULT_NAME(call) ((void)0)
#endif

/* Asks again when a signal interrupted the call. */
#define AGAIN_IF_INTERRUPTED(result, call) \
    do                                     \
        (result) = (call);                 \
    while ((result) < 0 && errno == EINTR)

int sys_socket(int domain, int type, int protocol)
{
    if (FAULT_FAILS("socket", EMFILE))
        return -1;
    return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

int sys_bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    if (FAULT_FAILS("bind", EADDRINUSE))
        return -1;
    return bind(fd, sa, n);
}

int sys_listen(int fd, int backlog)
{
    if (FAULT_FAILS("listen", EADDRINUSE))
        return -1;
    return listen(fd, backlog);
}

int sys_accept(int fd, struct sockaddr *sa, socklen_t *n)
{
    if (FAULT_FAILS("accept", EMFILE))
        return -1;
    int got;
    AGAIN_IF_INTERRUPTED(got, accept4(fd, sa, n, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return got;
}

int sys_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    if (FAULT_FAILS("connect", ENETUNREACH))
        return -1;
    /* Interrupted, a connect goes on in the background, as it does with EINPROGRESS. */
    int result = connect(fd, sa, n);
    if (result < 0 && errno == EINTR)
        errno = EINPROGRESS;
    return result;
}

int sys_getsockname(int fd, struct sockaddr *sa, socklen_t *n)
{
    if (FAULT_FAILS("getsockname", ENOBUFS))
        return -1;
    return getsockname(fd, sa, n);
}

int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    if (FAULT_FAILS("getsockopt", ENOBUFS))
        return -1;
    return getsockopt(fd, level, name, value, n);
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    if (FAULT_FAILS("setsockopt", ENOBUFS))
        return -1;
    return setsockopt(fd, level, name, value, n);
}

enum err sys_socket_error(int fd)
{
    int value = 0;
    socklen_t n = sizeof value;
    if (sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &n) < 0)
        return sys_err(errno);
    return sys_err(value);
}

int sys_shutdown(int fd, int how)
{
    if (FAULT_FAILS("shutdown", ENOTCONN))
        return -1;
    return shutdown(fd, how);
}

ssize_t sys_recv(int fd, void *buf, size_t n, int flags)
{
    if (FAULT_FAILS("recv", ECONNRESET) || FAULT_LATE("recv"))
        return -1;
    ssize_t got;
    AGAIN_IF_INTERRUPTED(got, recv(fd, buf, FAULT_SIZE(n), flags));
    return got;
}

ssize_t sys_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *sa_n)
{
    if (FAULT_FAILS("recvfrom", ENOMEM) || FAULT_LATE("recvfrom"))
        return -1;
    ssize_t got;
    AGAIN_IF_INTERRUPTED(got, recvfrom(fd, buf, n, flags, sa, sa_n)); /* never short: datagrams */
    return got;
}

ssize_t sys_send(int fd, const void *buf, size_t n, int flags)
{
    if (FAULT_FAILS("send", EPIPE) || FAULT_LATE("send"))
        return -1;
    ssize_t sent;
    AGAIN_IF_INTERRUPTED(sent, send(fd, buf, FAULT_SIZE(n), flags | MSG_NOSIGNAL));
    return sent;
}

ssize_t sys_writev(int fd, const struct iovec *iov, int n_iov)
{
    if (FAULT_FAILS("writev", EPIPE) || FAULT_LATE("writev"))
        return -1;
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n_iov};
    ssize_t sent;
    AGAIN_IF_INTERRUPTED(sent, sendmsg(fd, &msg, MSG_NOSIGNAL));
    return sent;
}

int sys_recvmmsg(int fd, struct mmsghdr *messages, unsigned n)
{
    if (FAULT_FAILS("recvmmsg", ENOMEM) || FAULT_LATE("recvmmsg"))
        return -1;
    int got;
    AGAIN_IF_INTERRUPTED(got, recvmmsg(fd, messages, (unsigned)FAULT_SIZE(n), MSG_DONTWAIT, NULL));
    return got;
}

int sys_sendmmsg(int fd, struct mmsghdr *messages, unsigned n)
{
    if (FAULT_FAILS("sendmmsg", ENOBUFS) || FAULT_LATE("sendmmsg"))
        return -1;
    int sent;
    AGAIN_IF_INTERRUPTED(
        sent, sendmmsg(fd, messages, (unsigned)FAULT_SIZE(n), MSG_DONTWAIT | MSG_NOSIGNAL));
    return sent;
}

ssize_t sys_read(int fd, void *buf, size_t n)
{
    if (FAULT_FAILS("read", EIO))
        return -1;
    ssize_t got;
    AGAIN_IF_INTERRUPTED(got, read(fd, buf, n)); /* never short: what is not a stream */
    return got;
}

ssize_t sys_write(int fd, const void *buf, size_t n)
{
    if (FAULT_FAILS("write", EIO))
        return -1;
    ssize_t sent;
    AGAIN_IF_INTERRUPTED(sent, write(fd, buf, n));
    return sent;
}

ssize_t sys_splice(int from, int to, size_t n)
{
    if (FAULT_FAILS("splice", ECONNRESET) || FAULT_LATE("splice"))
        return -1;
    ssize_t moved;
    AGAIN_IF_INTERRUPTED(
        moved, splice(from, NULL, to, NULL, FAULT_SIZE(n), SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
    return moved;
}

int sys_pipe(int fds[2])
{
    if (FAULT_FAILS("pipe", ENFILE))
        return -1;
    return pipe2(fds, O_NONBLOCK | O_CLOEXEC);
}

int sys_pipe_set_size(int fd, int bytes)
{
    if (FAULT_FAILS("pipe_set_size", EPERM))
        return -1;
    return fcntl(fd, F_SETPIPE_SZ, bytes);
}

int sys_close(int fd)
{
    FAULT_NAME("close");
    /* On Linux the descriptor is gone even when close() says EINTR. */
    return close(fd);
}

int sys_open(const char *path, int flags, mode_t mode)
{
    if (FAULT_FAILS("open", EMFILE))
        return -1;
    int fd;
    AGAIN_IF_INTERRUPTED(fd, open(path, flags | O_CLOEXEC, mode));
    return fd;
}

int sys_stat(const char *path, struct stat *st)
{
    if (FAULT_FAILS("stat", ENOENT))
        return -1;
    return stat(path, st);
}

int sys_fstat(int fd, struct stat *st)
{
    if (FAULT_FAILS("fstat", EIO))
        return -1;
    return fstat(fd, st);
}

int sys_unlink(const char *path)
{
    if (FAULT_FAILS("unlink", EACCES))
        return -1;
    return unlink(path);
}

int sys_dup(int fd)
{
    if (FAULT_FAILS("dup", EMFILE))
        return -1;
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int sys_set_flags(int fd)
{
    if (FAULT_FAILS("set_flags", EBADF))
        return -1;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -1;
    return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int sys_eventfd(void)
{
    if (FAULT_FAILS("eventfd", EMFILE))
        return -1;
    return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

int sys_signalfd(const sigset_t *set)
{
    if (FAULT_FAILS("signalfd", EMFILE))
        return -1;
    return signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int sys_epoll_create(void)
{
    if (FAULT_FAILS("epoll_create", EMFILE))
        return -1;
    return epoll_create1(EPOLL_CLOEXEC);
}

int sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (FAULT_FAILS("epoll_ctl", ENOMEM))
        return -1;
    return epoll_ctl(epfd, op, fd, event);
}

int sys_epoll_wait(int epfd, struct epoll_event *events, int n, int timeout_ms)
{
    if (FAULT_FAILS("epoll_wait", ENOMEM))
        return -1;
    int got = epoll_wait(epfd, events, n, timeout_ms);
    return got < 0 && errno == EINTR ? 0 : got;
}

int sys_poll_us(struct pollfd *fds, nfds_t n, int64_t timeout_us)
{
    struct timespec timeout = {.tv_sec = timeout_us / 1000000,
                               .tv_nsec = timeout_us % 1000000 * 1000};
    if (FAULT_FAILS("poll", ENOMEM))
        return -1;
    int got = ppoll(fds, n, timeout_us < 0 ? NULL : &timeout, NULL);
    return got < 0 && errno == EINTR ? 0 : got;
}

int sys_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    return sys_poll_us(fds, n, timeout_ms < 0 ? -1 : (int64_t)timeout_ms * 1000);
}

void *sys_map(size_t n)
{
    if (FAULT_FAILS("map", ENOMEM))
        return NULL;
    void *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void *sys_map_file(int fd, size_t n)
{
    if (FAULT_FAILS("map_file", ENOMEM))
        return NULL;
    void *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int sys_allocate(int fd, size_t n)
{
    if (FAULT_FAILS("allocate", ENOSPC))
        return -1;
    if (ftruncate(fd, 0) < 0)
        return -1;
    int err;
    do
        err = n > 0 ? posix_fallocate(fd, 0, (off_t)n) : 0; /* 0 bytes would be EINVAL */
    while (err == EINTR);
    errno = err;
    return err == 0 ? 0 : -1;
}

int sys_lock(int fd)
{
    if (FAULT_FAILS("lock", EWOULDBLOCK))
        return -1;
    return flock(fd, LOCK_EX | LOCK_NB);
}

void sys_unmap(void *memory, size_t n)
{
    FAULT_NAME("unmap");
    munmap(memory, n);
}

uint64_t sys_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}

void sys_hide_memory(void)
{
    /* core(5): no kind of mapping is written. A process that may not be traced either would be harder to
     * find a fault in, and gains nothing against root. Where the kernel has no such filter the process
     * is as others are. */
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = write(fd, "0", 1);
    (void)n;
    close(fd);
}

void sys_pause(unsigned ms)
{
    poll(NULL, 0, (int)ms);
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t clock_ms(clockid_t clock)
{
    return clock_us(clock) / 1000;
}

uint64_t sys_monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

uint64_t sys_monotonic_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

uint64_t sys_boot_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

uint64_t sys_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

enum err sys_random(void *bytes, size_t n)
{
    uint8_t *at = bytes;
    while (n > 0) {
        ssize_t got;
        AGAIN_IF_INTERRUPTED(got, getrandom(at, n, 0));
        if (got < 0)
            return ERR_SYSTEM;
        at += got;
        n -= (size_t)got;
    }
    return ERR_NONE;
}

enum err sys_err(int errno_value)
{
    switch (errno_value) {
    case 0:
        return ERR_NONE;
    case EAGAIN:
    case EINPROGRESS:
        return ERR_AGAIN;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ENETUNREACH:
    case ENETDOWN:
    case EAFNOSUPPORT: /* this machine has no such network at all */
        return ERR_NET_UNREACH;
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case EADDRNOTAVAIL: /* no source address or port towards it */
        return ERR_HOST_UNREACH;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN: /* of a socket that was connected */
        return ERR_RESET;
    case EMFILE:
    case ENFILE:
        return ERR_DESCRIPTORS;
    case ENOMEM:
    case ENOBUFS:
        return ERR_MEMORY;
    case EADDRINUSE:
        return ERR_IN_USE;
    case EACCES:
    case EPERM:
        return ERR_PERMITTED;
    case ENOENT:
    case ENODEV:
        return ERR_NOT_FOUND;
    default:
        return ERR_SYSTEM;
    }
}

socklen_t sys_addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *sa)
{
    if (addr->family == ADDR_V4) {
        struct sockaddr_in *in = (struct sockaddr_in *)sa;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in->sin_addr, addr->ip, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
    *in6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope};
    memcpy(&in6->sin6_addr, addr->ip, 16);
    return sizeof *in6;
}

enum err sys_addr_from_sockaddr(struct addr *addr, const struct sockaddr *sa, socklen_t n)
{
    *addr = (struct addr){.family = ADDR_NONE};
    if (n >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        addr->family = ADDR_V4;
        addr->port = ntohs(in->sin_port);
        memcpy(addr->ip, &in->sin_addr, 4);
        return ERR_NONE;
    }
    if (n >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        addr->family = ADDR_V6;
        addr->port = ntohs(in6->sin6_port);
        addr->scope = in6->sin6_scope_id;
        memcpy(addr->ip, &in6->sin6_addr, 16);
        return ERR_NONE;
    }
    return ERR_ADDRESS_TYPE;
}
