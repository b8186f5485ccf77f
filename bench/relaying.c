#include "relaying.h"

#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 256
#define TURN_ROUNDS 8

static struct relaying config;
static int epoll_fd;
static struct conn *closed;
static struct direction *queue;

int side_of(const struct direction *dir)
{
    return dir == &dir->conn->dir[1];
}

int from_fd(const struct direction *dir)
{
    return dir->conn->fd[side_of(dir)];
}

int to_fd(const struct direction *dir)
{
    return dir->conn->fd[!side_of(dir)];
}

enum moved moved_of(ssize_t n)
{
    if (n > 0)
        return MOVED;
    if (n == 0)
        return ENDED;
    return errno == EAGAIN ? WAITS : FAILED;
}

/* Closes both sides and keeps the memory until the turn is over: events of the same batch may
 * still name it. */
static void conn_close(struct conn *conn, bool with_reset)
{
    if (conn->step == CLOSED)
        return;
    conn->step = CLOSED;
    for (int i = 0; i < 2; i++) {
        config.mover.release(&conn->dir[i]);
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
    if (connect(conn->fd[1], (struct sockaddr *)&config.target, sizeof config.target) != 0 &&
        errno != EINPROGRESS) {
        conn_close(conn, true);
        return;
    }
    conn_watch(conn, 1);
}

static void enqueue(struct direction *dir)
{
    if (dir->queued)
        return;
    dir->queued = true;
    dir->next_queued = queue;
    queue = dir;
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
    if (dir->ended)
        return;
    if (dir->stuck)
        moved = config.mover.drain(dir);
    dir->emptied = false;
    for (int i = 0; moved == MOVED && (more || !dir->emptied); i++) {
        if (i == TURN_ROUNDS) {
            enqueue(dir);
            return;
        }
        moved = config.mover.move(dir);
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

static void answer_request(struct conn *conn)
{
    static const uint8_t reply[] = {5, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    answer(conn, reply, sizeof reply);
}

static void handshake(struct conn *conn)
{
    static const uint8_t method[] = {5, 0};
    uint8_t request[512];
    ssize_t n = recv(conn->fd[0], request, sizeof request, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        conn_close(conn, true);
        return;
    }
    if (conn->step == GREETING) {
        conn->step = REQUEST;
        answer(conn, method, sizeof method);
        return;
    }
    conn_dial(conn);
    if (config.answers_at_once && conn->step == DIALLING)
        answer_request(conn);
}

static void dialled(struct conn *conn)
{
    conn->step = RELAYING;
    if (config.canned && !config.answers_at_once)
        answer_request(conn);
    if (conn->early && conn->step == RELAYING)
        pump(conn, 0, true);
}

static void relay(struct conn *conn, int side, uint32_t events)
{
    if (events & EPOLLIN)
        pump(conn, side, (events & EPOLLRDHUP) != 0);
    if (conn->step == RELAYING && (events & EPOLLOUT) && conn->dir[!side].stuck)
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

static struct conn *conn_new(int fd)
{
    struct conn *conn = calloc(1, sizeof *conn + 2 * config.mover.own_bytes);
    if (conn == NULL)
        die_errno("calloc");
    conn->fd[0] = fd;
    conn->fd[1] = -1;
    for (int side = 0; side < 2; side++) {
        conn->dir[side].conn = conn;
        conn->dir[side].own = (uint8_t *)(conn + 1) + (size_t)side * config.mover.own_bytes;
    }
    return conn;
}

static void accept_some(int listener)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
            return;
        if (fd < 0)
            die_errno("accept");
        struct conn *conn = conn_new(fd);
        conn_watch(conn, 0);
        if (!config.canned)
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

void relay_on(const struct sockaddr_in *address, const struct relaying *relaying)
{
    config = *relaying;
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    int listener = listen_on(address);
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
