/*
 * Somebody between the two ends of a tunnel: takes connections in, passes bytes on, remembers what the client has sent, and cuts.
 * It is pumped once a turn of the loop (tap_pump). Include it once.
 */
#ifndef SOCKEYE_TESTS_TAP_H
#define SOCKEYE_TESTS_TAP_H

#include "tcp.h"

enum { TAP_MAX = 64, TAP_BYTES = 64 * 1024, TAP_SEEN_BYTES = 1 << 20 };

struct tap_way {
    uint8_t bytes[TAP_BYTES];
    size_t from, n; /* read and not passed on */
    bool is_ended;
    size_t n_passed;
};

struct tap_conn {
    int client, server; /* -1: closed */
    struct tap_way up, down;
};

static struct {
    int listening;
    struct addr addr, to;
    struct tap_conn conns[TAP_MAX];
    size_t n_conns; /* ever */
    uint8_t *seen;  /* of the first client's bytes, and of all that follow */
    size_t n_seen[TAP_MAX];
    bool is_frozen;  /* nothing is passed on */
    size_t n_held;   /* of the first connections: nothing comes back by them */
    size_t flips_at; /* this byte of what the first client sends is changed; 0: none */
} tap;

static inline void tap_begin(const struct addr *to)
{
    memset(&tap, 0, sizeof tap);
    tap.to = *to;
    tap.addr = tcp_addr("127.0.0.1", 0);
    tap.listening = tcp_listen(&tap.addr);
    tap.seen = calloc(TAP_MAX, TAP_SEEN_BYTES);
    assert_non_null(tap.seen);
}

static inline void tap_close(struct tap_conn *conn, bool by_reset)
{
    const int fds[] = {conn->client, conn->server};
    for (size_t i = 0; i < 2; i++) {
        if (fds[i] >= 0 && by_reset)
            tcp_reset(fds[i]);
        else if (fds[i] >= 0)
            close(fds[i]);
    }
    conn->client = conn->server = -1;
}

static inline void tap_cut_all(bool by_reset)
{
    for (size_t i = 0; i < tap.n_conns; i++)
        tap_close(&tap.conns[i], by_reset);
}

static inline void tap_end(void)
{
    tap_cut_all(false);
    close(tap.listening);
    free(tap.seen);
    tap.seen = NULL;
}

static inline uint8_t *tap_seen(size_t conn)
{
    return tap.seen + conn * TAP_SEEN_BYTES;
}

static inline void tap_remember(size_t conn, const uint8_t *bytes, size_t n)
{
    size_t room = TAP_SEEN_BYTES - tap.n_seen[conn];
    n = n < room ? n : room;
    memcpy(tap_seen(conn) + tap.n_seen[conn], bytes, n);
    tap.n_seen[conn] += n;
}

static inline void tap_flip(size_t conn, uint8_t *bytes, size_t n)
{
    size_t first = tap.n_seen[conn];
    if (conn == 0 && tap.flips_at > 0 && tap.flips_at >= first && tap.flips_at < first + n)
        bytes[tap.flips_at - first] ^= 1;
}

static inline void tap_accept(void)
{
    int fd = accept4(tap.listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    assert_true(tap.n_conns < TAP_MAX);
    struct tap_conn conn = {.client = fd, .server = tcp_connect(&tap.to)};
    tap.conns[tap.n_conns++] = conn;
}

/* One read and one write. False: one of the two is broken. */
static inline bool tap_move(struct tap_way *way, int from, int to, size_t conn, bool is_up)
{
    if (way->n == 0 && !way->is_ended) {
        ssize_t got = recv(from, way->bytes, sizeof way->bytes, 0);
        if (got < 0)
            return errno == EAGAIN || errno == ENOTCONN;
        way->is_ended = got == 0;
        way->from = 0;
        way->n = (size_t)got;
        if (is_up) {
            tap_flip(conn, way->bytes, way->n);
            tap_remember(conn, way->bytes, way->n);
        }
        if (got == 0)
            shutdown(to, SHUT_WR);
    }
    if (way->n == 0)
        return true;
    ssize_t sent = send(to, way->bytes + way->from, way->n, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == ENOTCONN;
    way->from += (size_t)sent;
    way->n -= (size_t)sent;
    way->n_passed += (size_t)sent;
    return true;
}

static inline void tap_pump(void)
{
    tap_accept();
    for (size_t i = 0; i < tap.n_conns && !tap.is_frozen; i++) {
        struct tap_conn *conn = &tap.conns[i];
        if (conn->client < 0)
            continue;
        bool is_fine = tap_move(&conn->up, conn->client, conn->server, i, true);
        if (is_fine && i >= tap.n_held)
            is_fine = tap_move(&conn->down, conn->server, conn->client, i, false);
        if (!is_fine)
            tap_close(conn, true);
        else if (conn->up.is_ended && conn->down.is_ended)
            tap_close(conn, false);
    }
}

#endif
