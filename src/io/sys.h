/*
 * Every system call the program makes on behalf of connections, each once. They have the
 * signatures and results of the calls they stand for, but for this: none returns EINTR (it is
 * asked again), descriptors are made non-blocking and close-on-exec, sends raise no SIGPIPE.
 *
 * Built with SOCKEYE_FAULTS, the nth call can be made to fail, to be short or to be late, which is
 * how the tests reach every error path (see sys_fault_*).
 */
#ifndef SOCKEYE_IO_SYS_H
#define SOCKEYE_IO_SYS_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/err.h"

int sys_socket(int domain, int type, int protocol);
int sys_bind(int fd, const struct sockaddr *sa, socklen_t n);
int sys_listen(int fd, int backlog);
int sys_accept(int fd, struct sockaddr *sa, socklen_t *n);
int sys_connect(int fd, const struct sockaddr *sa, socklen_t n);
int sys_getsockname(int fd, struct sockaddr *sa, socklen_t *n);
int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t n);
int sys_shutdown(int fd, int how);
enum err sys_socket_error(int fd); /* SO_ERROR: takes the pending error, ERR_NONE for none */
ssize_t sys_recv(int fd, void *buf, size_t n, int flags);
ssize_t sys_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *sa_n);
ssize_t sys_send(int fd, const void *buf, size_t n, int flags);
ssize_t sys_writev(int fd, const struct iovec *iov, int n_iov); /* sockets only */
struct mmsghdr;
int sys_recvmmsg(int fd, struct mmsghdr *messages, unsigned n);
int sys_sendmmsg(int fd, struct mmsghdr *messages, unsigned n);
ssize_t sys_read(int fd, void *buf, size_t n);
ssize_t sys_write(int fd, const void *buf, size_t n);
ssize_t sys_splice(int from, int to, size_t n);
int sys_pipe(int fds[2]);
int sys_pipe_set_size(int fd, int bytes);
int sys_close(int fd);
int sys_open(const char *path, int flags, mode_t mode);
int sys_stat(const char *path, struct stat *st);
int sys_fstat(int fd, struct stat *st);
int sys_unlink(const char *path);
int sys_dup(int fd);
int sys_set_flags(int fd); /* non-blocking and close-on-exec, of a descriptor made by others */
int sys_eventfd(void);
int sys_signalfd(const sigset_t *set);
int sys_epoll_create(void);
int sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int sys_epoll_wait(int epfd, struct epoll_event *events, int n,
                   int timeout_ms);                         /* EINTR: 0 events */
int sys_poll(struct pollfd *fds, nfds_t n, int timeout_ms); /* EINTR: 0 events */
int sys_poll_us(struct pollfd *fds, nfds_t n,
                int64_t timeout_us); /* likewise; -1: as long as it takes */
void *sys_map(size_t n);             /* anonymous memory; NULL on failure */
void sys_unmap(void *memory, size_t n);
/* The first n bytes of a file, which others that map it see change; NULL on failure. */
void *sys_map_file(int fd, size_t n);
int sys_allocate(
    int fd, size_t n); /* makes the file n bytes long, all of which have their place on the disk */
int sys_lock(int fd);  /* for ourselves alone; fails where another has it */
void sys_hide_memory(void);      /* core dumps are without this process's memory from now on */
uint64_t sys_memory_bytes(void); /* of the machine */
void sys_pause(unsigned ms);     /* the thread sleeps */
uint64_t sys_monotonic_ms(void);
uint64_t sys_monotonic_us(void);
uint64_t sys_boot_ms(void); /* only grows, also while the machine sleeps */
uint64_t sys_wall_ms(void);
NODISCARD enum err sys_random(void *bytes, size_t n);

/* The error behind an errno value, in our terms. */
enum err sys_err(int errno_value);

/* Our addresses to the system's and back. */
socklen_t sys_addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *sa);
NODISCARD enum err sys_addr_from_sockaddr(struct addr *addr, const struct sockaddr *sa,
                                          socklen_t n);

#ifdef SOCKEYE_FAULTS
enum sys_fault {
    SYS_FAULT_NONE,
    SYS_FAULT_FAIL, /* the call fails with the error that is typical of shortage or of a lost peer */
    SYS_FAULT_SHORT, /* a transfer moves one byte */
    SYS_FAULT_LATE,  /* a transfer says EAGAIN although it could go on: needs the poll backend */
};
/* From now on the nth call (1 is the next) suffers; n = 0: every call. Counting begins anew. */
void sys_fault_set(enum sys_fault fault, uint64_t n);
/* How many calls there were since sys_fault_set(). */
uint64_t sys_fault_count(void);
/* The name of the call that suffered last, or NULL. */
const char *sys_fault_hit(void);
#endif

#endif
