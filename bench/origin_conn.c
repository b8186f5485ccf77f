#include "origin_conn.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* How much one turn may move: enough to make the calls cheap, little enough to be fair. */
#define TURN_BYTES (1 << 20)

enum state {
    READ_LINE,
    SEND,       /* `left` bytes; then what `after` says */
    SWALLOW,    /* up */
    ECHO,       /* echo */
    AWAIT_FIN,  /* answer, before the client's fin */
    AWAIT_BYTE, /* reset, before the client's byte */
    CHECK,      /* receive and hold: what the client sends and how it ends */
    DRAIN,      /* our fin is sent: until the client's */
};

struct conn {
    int fd;
    enum state state;
    enum state after;
    bool fin_after;   /* a fin goes out before `after` */
    bool close_after; /* nothing comes after */
    bool endless;
    bool damaged;
    bool waits_to_send; /* registered for EPOLLOUT */
    uint64_t tag;
    uint64_t left;
    uint64_t n_sent;
    uint64_t n_received;
    size_t line_len;
    char line[64];
    const char *behind_line;
    size_t n_behind_line;
};

static uint8_t scratch[65536];

struct conn *conn_new(struct origin *origin, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        die("out of memory");
    conn->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(origin->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        die_errno("epoll_ctl");
    return conn;
}

static bool end(struct conn *conn)
{
    close(conn->fd);
    free(conn);
    return false;
}

static bool end_with_reset(struct conn *conn)
{
    close_with_reset(conn->fd);
    free(conn);
    return false;
}

static void wait_to_send(struct origin *origin, struct conn *conn, bool wait)
{
    if (conn->waits_to_send == wait)
        return;
    conn->waits_to_send = wait;
    struct epoll_event event = {.events = wait ? EPOLLOUT : EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(origin->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) != 0)
        die_errno("epoll_ctl");
}

/* Sends from the pattern until all is sent, a turn is over or the socket is full. */
static bool conn_send(struct origin *origin, struct conn *conn)
{
    uint64_t turn = TURN_BYTES;
    while (conn->left > 0 && turn > 0) {
        off_t offset = (off_t)(conn->n_sent % PATTERN_BYTES);
        uint64_t room = (uint64_t)(PATTERN_BYTES - offset);
        uint64_t want = conn->left < room ? conn->left : room;
        ssize_t n = sendfile(conn->fd, origin->pattern_fd, &offset, want < turn ? want : turn);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            return end(conn);
        conn->n_sent += (uint64_t)n;
        turn -= (uint64_t)n;
        if (!conn->endless)
            conn->left -= (uint64_t)n;
    }
    wait_to_send(origin, conn, conn->left > 0);
    if (conn->left > 0)
        return true;
    if (conn->close_after)
        return end(conn);
    if (conn->fin_after)
        shutdown(conn->fd, SHUT_WR);
    conn->state = conn->after;
    return true;
}

static bool start_sending(struct origin *origin, struct conn *conn, uint64_t n, enum state after)
{
    conn->state = SEND;
    conn->after = after;
    conn->left = n;
    return conn_send(origin, conn);
}

static bool answer_line(struct conn *conn, const char *text)
{
    size_t len = strlen(text);
    if (send(conn->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        return end(conn);
    shutdown(conn->fd, SHUT_WR);
    conn->state = DRAIN;
    return true;
}

static bool answer_count(struct conn *conn, uint64_t count)
{
    char text[32];
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)count);
    return answer_line(conn, text);
}

static bool answer_last(struct origin *origin, struct conn *conn)
{
    char text[sizeof origin->outcome];
    memcpy(text, origin->outcome, sizeof text);
    strcpy(origin->outcome, "none\n");
    return answer_line(conn, text);
}

static bool answer_short(struct conn *conn)
{
    uint8_t answer[SHORT_ANSWER_BYTES];
    pattern_fill(answer, sizeof answer, 0);
    send(conn->fd, answer, sizeof answer, MSG_NOSIGNAL);
    return end(conn);
}

static void count_up(struct origin *origin, struct conn *conn, size_t n)
{
    conn->n_received += n;
    if (conn->tag == origin->up_tag)
        origin->up_bytes += n;
}

static bool start_swallowing(struct origin *origin, struct conn *conn, uint64_t tag)
{
    conn->state = SWALLOW;
    conn->tag = tag;
    if (origin->up_tag != tag)
        origin->up_bytes = 0;
    origin->up_tag = tag;
    count_up(origin, conn, conn->n_behind_line);
    return true;
}

static bool start_echoing(struct conn *conn)
{
    size_t n = conn->n_behind_line;
    conn->state = ECHO;
    return n == 0 || send(conn->fd, conn->behind_line, n, MSG_NOSIGNAL) == (ssize_t)n || end(conn);
}

/* Acts on the line. An unknown one closes the connection, which the generator reports. */
static bool conn_obey(struct origin *origin, struct conn *conn)
{
    char verb[16] = "";
    unsigned long long n = 0;
    sscanf(conn->line, "%15s %llu", verb, &n);
    if (strcmp(verb, "short") == 0)
        return answer_short(conn);
    if (strcmp(verb, "echo") == 0)
        return start_echoing(conn);
    if (strcmp(verb, "up") == 0)
        return start_swallowing(origin, conn, n);
    if (strcmp(verb, "down") == 0) {
        conn->endless = n == 0;
        conn->fin_after = true;
        return start_sending(origin, conn, n == 0 ? UINT64_MAX : n, DRAIN);
    }
    if (strcmp(verb, "answer") == 0) {
        conn->left = n;
        conn->state = AWAIT_FIN;
        return true;
    }
    if (strcmp(verb, "receive") == 0) {
        conn->fin_after = true;
        return start_sending(origin, conn, n, CHECK);
    }
    if (strcmp(verb, "reset") == 0)
        return start_sending(origin, conn, n, AWAIT_BYTE);
    if (strcmp(verb, "hold") == 0)
        return start_sending(origin, conn, n, CHECK);
    if (strcmp(verb, "count") == 0)
        return answer_count(conn, origin->up_tag == n ? origin->up_bytes : 0);
    if (strcmp(verb, "last") == 0)
        return answer_last(origin, conn);
    return end(conn);
}

/* The line comes alone, as a client sends nothing more before it has got something; only of `up`
 * and `echo` may the first bytes stand behind it already. */
static bool read_line(struct origin *origin, struct conn *conn)
{
    size_t room = sizeof conn->line - 1 - conn->line_len;
    ssize_t n = recv(conn->fd, conn->line + conn->line_len, room, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return end(conn);
    conn->line_len += (size_t)n;
    conn->line[conn->line_len] = '\0';
    char *newline = strchr(conn->line, '\n');
    if (newline != NULL) {
        *newline = '\0';
        conn->behind_line = newline + 1;
        conn->n_behind_line = conn->line_len - (size_t)(newline + 1 - conn->line);
        return conn_obey(origin, conn);
    }
    return conn->line_len < sizeof conn->line - 1 || end(conn);
}

static bool swallow(struct origin *origin, struct conn *conn)
{
    ssize_t n = recv(conn->fd, NULL, 4 * TURN_BYTES, MSG_TRUNC);
    if (n > 0) {
        count_up(origin, conn, (size_t)n);
        return true;
    }
    if (n == 0)
        return answer_count(conn, conn->n_received);
    return errno == EAGAIN || end(conn);
}

static bool echo(struct conn *conn)
{
    ssize_t n = recv(conn->fd, scratch, sizeof scratch, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0 || send(conn->fd, scratch, (size_t)n, MSG_NOSIGNAL) != n)
        return end(conn);
    return true;
}

static bool await_fin(struct origin *origin, struct conn *conn)
{
    ssize_t n = recv(conn->fd, scratch, sizeof scratch, 0);
    if (n < 0)
        return errno == EAGAIN || end(conn);
    if (n > 0)
        return true;
    conn->fin_after = true;
    conn->close_after = true;
    return start_sending(origin, conn, conn->left, DRAIN);
}

static bool check(struct origin *origin, struct conn *conn)
{
    ssize_t n = recv(conn->fd, scratch, sizeof scratch, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n > 0) {
        if (!pattern_matches(scratch, (size_t)n, conn->n_received))
            conn->damaged = true;
        conn->n_received += (uint64_t)n;
        return true;
    }
    snprintf(origin->outcome, sizeof origin->outcome, "%llu %s %s\n",
             (unsigned long long)conn->n_received, n == 0 ? "fin" : "reset",
             conn->damaged ? "damaged" : "intact");
    return end(conn);
}

static bool await_byte(struct conn *conn)
{
    ssize_t n = recv(conn->fd, scratch, 1, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    return n <= 0 ? end(conn) : end_with_reset(conn);
}

static bool drain(struct conn *conn)
{
    ssize_t n = recv(conn->fd, scratch, sizeof scratch, 0);
    return n > 0 || (n < 0 && errno == EAGAIN) || end(conn);
}

bool conn_serve(struct origin *origin, struct conn *conn)
{
    switch (conn->state) {
    case READ_LINE:
        return read_line(origin, conn);
    case SEND:
        return conn_send(origin, conn);
    case SWALLOW:
        return swallow(origin, conn);
    case ECHO:
        return echo(conn);
    case AWAIT_FIN:
        return await_fin(origin, conn);
    case AWAIT_BYTE:
        return await_byte(conn);
    case CHECK:
        return check(origin, conn);
    case DRAIN:
        return drain(conn);
    }
    return end(conn);
}
