/*
 * The limit that a proxy is measured by: a bare relay with one thread, one epoll and splice(2),
 * and nothing that a proxy needs besides.
 *
 *   relay --blind  ADDRESS:PORT TARGET:PORT    accepts, dials, relays
 *   relay --canned ADDRESS:PORT TARGET:PORT    before that lets a SOCKS5 client have its
 *                                              handshake: canned answers, nothing parsed
 *
 * A connection is two descriptors and two directions. Both descriptors are registered once,
 * edge-triggered, so a relayed byte costs no epoll_ctl.
 *
 *                 small: recv, send                      pipe: only while
 *   from -----> scratch buffer of 16 KiB -----> to       bytes are stuck
 *         \                                     ^
 *          `--> pipe (splice, splice) ---------'         bulk: once a read fills the buffer
 *
 * The pipes come from a pool and go back as soon as they are empty, so an idle connection has
 * none. A direction that can go on after its turn is over is put into a queue.
 */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 256
#define SCRATCH_BYTES 16384
#define PIPE_BYTES (1 << 20)
#define TURN_ROUNDS 8
#define POOL_PIPES 64

struct pipe {
    int out, in;
};

/* From fd[i] of its connection to the other one, where i is its own place there. */
struct direction {
    struct conn *conn;
    struct pipe pipe; /* out is -1: none */
    size_t n_stuck;   /* bytes in the pipe */
    bool bulk;
    bool ended; /* the fin has been passed on */
    bool queued;
    struct direction *next_queued;
};

enum step { GREETING, REQUEST, DIALLING, RELAYING, CLOSED };

struct conn {
    int fd[2]; /* the client, the target */
    enum step step;
    bool early; /* the client has sent something, or gone, while we dial */
    struct direction dir[2];
    struct conn *next_closed;
};

static int epoll_fd;
static struct sockaddr_in target;
static bool canned;
static uint8_t scratch[SCRATCH_BYTES];
static struct pipe pool[POOL_PIPES];
static size_t n_pool;
static struct conn *closed;
static struct direction *queue;

static struct pipe pipe_take(void)
{
    struct pipe pipe;
    int fds[2];
    if (n_pool > 0)
        return pool[--n_pool];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        die_errno("pipe2");
    /* Refused beyond the user's share of pipe pages: then the pipe stays as it is. */
    fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    pipe.out = fds[0];
    pipe.in = fds[1];
    return pipe;
}

static void pipe_close(struct pipe pipe)
{
    if (pipe.out < 0)
        return;
    close(pipe.out);
    close(pipe.in);
}

static void pipe_give_back(struct direction *dir)
{
    if (n_pool < POOL_PIPES)
        pool[n_pool++] = dir->pipe;
    else
        pipe_close(dir->pipe);
    dir->pipe.out = -1;
}

/* Closes both sides and keeps the memory until the turn is over: events of the same batch may
 * still name it. */
static void conn_close(struct conn *conn, bool with_reset)
{
    if (conn->step == CLOSED)
        return;
    conn->step = CLOSED;
    for (int i = 0; i < 2; i++) {
        pipe_close(conn->dir[i].pipe);
        if (conn->fd[i] >= 0 && with_reset)
            close_with_reset(conn->fd[i]);
        else if (conn->fd[i] >= 0)
            close(conn->fd[i]);
    }
    conn->next_closed = closed;
    closed = conn;
}

static void conn_watch(struct conn *conn, int side)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = &conn->dir[side]};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd[side], &event) != 0)
        die_errno("epoll_ctl");
}

static void conn_dial(struct conn *conn)
{
    conn->step = DIALLING;
    conn->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd[1] < 0)
        die_errno("socket");
    if (connect(conn->fd[1], (struct sockaddr *)&target, sizeof target) != 0 &&
        errno != EINPROGRESS) {
        conn_close(conn, true);
        return;
    }
    conn_watch(conn, 1);
}

static int side_of(const struct direction *dir)
{
    return dir == &dir->conn->dir[1];
}

static void enqueue(struct direction *dir)
{
    if (dir->queued)
        return;
    dir->queued = true;
    dir->next_queued = queue;
    queue = dir;
}

/* What one step of a direction came to. */
enum moved { MOVED, WAITS, ENDED, FAILED };

static enum moved moved_of(ssize_t n)
{
    if (n > 0)
        return MOVED;
    if (n == 0)
        return ENDED;
    return errno == EAGAIN ? WAITS : FAILED;
}

/* Empties the pipe as far as the far side takes it. */
static enum moved drain(struct conn *conn, int side)
{
    struct direction *dir = &conn->dir[side];
    while (dir->n_stuck > 0) {
        ssize_t n = splice(dir->pipe.out, NULL, conn->fd[!side], NULL, dir->n_stuck,
                           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? WAITS : FAILED;
        dir->n_stuck -= (size_t)n;
    }
    pipe_give_back(dir);
    return MOVED;
}

static enum moved move_bulk(struct conn *conn, int side)
{
    struct direction *dir = &conn->dir[side];
    dir->pipe = pipe_take();
    ssize_t n = splice(conn->fd[side], NULL, dir->pipe.in, NULL, PIPE_BYTES,
                       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n <= 0) {
        enum moved moved = moved_of(n);
        pipe_give_back(dir);
        return moved;
    }
    dir->n_stuck = (size_t)n;
    return drain(conn, side);
}

/* A read that does not fill the buffer has emptied the socket, so it is not asked again. */
static enum moved move_small(struct conn *conn, int side, bool *emptied)
{
    struct direction *dir = &conn->dir[side];
    ssize_t n = recv(conn->fd[side], scratch, sizeof scratch, 0);
    if (n <= 0)
        return moved_of(n);
    dir->bulk = n == sizeof scratch;
    *emptied = !dir->bulk;
    ssize_t sent = send(conn->fd[!side], scratch, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return FAILED;
    if (sent == n)
        return MOVED;
    sent = sent < 0 ? 0 : sent;
    dir->pipe = pipe_take();
    if (write(dir->pipe.in, scratch + sent, (size_t)(n - sent)) != n - sent)
        return FAILED;
    dir->n_stuck = (size_t)(n - sent);
    return WAITS;
}

static void pass_fin(struct conn *conn, int side)
{
    conn->dir[side].ended = true;
    if (conn->dir[!side].ended)
        conn_close(conn, false);
    else
        shutdown(conn->fd[!side], SHUT_WR);
}

/* Moves what there is in one direction. `more`: the socket may hold a fin behind its bytes. */
static void pump(struct conn *conn, int side, bool more)
{
    struct direction *dir = &conn->dir[side];
    enum moved moved = MOVED;
    bool emptied = false;
    if (dir->ended)
        return;
    if (dir->n_stuck > 0)
        moved = drain(conn, side);
    for (int i = 0; moved == MOVED && (more || !emptied); i++) {
        if (i == TURN_ROUNDS) {
            enqueue(dir);
            return;
        }
        moved = dir->bulk ? move_bulk(conn, side) : move_small(conn, side, &emptied);
    }
    if (moved == ENDED)
        pass_fin(conn, side);
    else if (moved == FAILED)
        conn_close(conn, true);
}

static void answer(struct conn *conn, const void *bytes, size_t len)
{
    if (send(conn->fd[0], bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        conn_close(conn, true);
}

static void handshake(struct conn *conn)
{
    static const uint8_t method[] = {5, 0};
    ssize_t n = recv(conn->fd[0], scratch, sizeof scratch, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        conn_close(conn, true);
        return;
    }
    if (conn->step == REQUEST) {
        conn_dial(conn);
        return;
    }
    conn->step = REQUEST;
    answer(conn, method, sizeof method);
}

static void dialled(struct conn *conn)
{
    static const uint8_t reply[] = {5, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    conn->step = RELAYING;
    if (canned)
        answer(conn, reply, sizeof reply);
    if (conn->early && conn->step == RELAYING)
        pump(conn, 0, true);
}

static void relay(struct conn *conn, int side, uint32_t events)
{
    if (events & EPOLLIN)
        pump(conn, side, (events & EPOLLRDHUP) != 0);
    if (conn->step == RELAYING && (events & EPOLLOUT) && conn->dir[!side].n_stuck > 0)
        pump(conn, !side, true);
}

static void serve(struct conn *conn, int side, uint32_t events)
{
    if (conn->step == CLOSED)
        return;
    if (events & EPOLLERR) {
        conn_close(conn, true);
        return;
    }
    if (conn->step == DIALLING) {
        if (side == 0)
            conn->early |= (events & EPOLLIN) != 0;
        else if (events & EPOLLOUT)
            dialled(conn);
    }
    if (conn->step == RELAYING)
        relay(conn, side, events);
    else if (conn->step < DIALLING && (events & EPOLLIN))
        handshake(conn);
}

static void accept_some(int listener)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
            return;
        struct conn *conn = calloc(1, sizeof *conn);
        if (fd < 0 || conn == NULL)
            die_errno("accept");
        conn->fd[0] = fd;
        conn->fd[1] = -1;
        for (int side = 0; side < 2; side++) {
            conn->dir[side].conn = conn;
            conn->dir[side].pipe.out = -1;
        }
        conn_watch(conn, 0);
        if (!canned)
            conn_dial(conn);
    }
}

/* Those whose turn was over go on; who is put into the queue meanwhile waits for the next time. */
static void serve_queue(void)
{
    struct direction *dir = queue;
    queue = NULL;
    while (dir != NULL) {
        struct direction *next = dir->next_queued;
        dir->queued = false;
        if (dir->conn->step != CLOSED)
            pump(dir->conn, side_of(dir), true);
        dir = next;
    }
}

/* One that still stands in the queue has to wait for its turn there. */
static void free_closed(void)
{
    struct conn **link = &closed;
    while (*link != NULL) {
        struct conn *conn = *link;
        if (conn->dir[0].queued || conn->dir[1].queued) {
            link = &conn->next_closed;
            continue;
        }
        *link = conn->next_closed;
        free(conn);
    }
}

static void parse_arguments(int argc, char **argv, struct sockaddr_in *listen_address)
{
    bool blind = argc == 4 && strcmp(argv[1], "--blind") == 0;
    canned = argc == 4 && strcmp(argv[1], "--canned") == 0;
    if (!blind && !canned)
        die("usage: relay --blind|--canned ADDRESS:PORT TARGET:PORT");
    *listen_address = parse_address(argv[2]);
    target = parse_address(argv[3]);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    parse_arguments(argc, argv, &address);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    int listener = listen_on(&address);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) != 0)
        die_errno("epoll");
    for (;;) {
        struct epoll_event events[BATCH];
        int n = epoll_wait(epoll_fd, events, BATCH, queue != NULL ? 0 : -1);
        if (n < 0 && errno != EINTR)
            die_errno("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct direction *dir = events[i].data.ptr;
            if (dir == NULL)
                accept_some(listener);
            else
                serve(dir->conn, side_of(dir), events[i].events);
        }
        serve_queue();
        free_closed();
    }
}
