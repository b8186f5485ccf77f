/*
 * What the bare relays of the bench have in common: one thread, one epoll, two descriptors and two
 * directions a connection, and nothing that a proxy needs besides. How bytes get from one
 * descriptor to the other is the program's (struct mover).
 *
 *   GREETING -> REQUEST -> DIALLING -> RELAYING -> CLOSED
 *        (canned answers)   ^-- blind: from here
 *
 * Both descriptors are registered once, edge-triggered, so a relayed byte costs no epoll_ctl. A
 * direction that can go on after its turn is over is put into a queue.
 */
#ifndef SOCKEYE_BENCH_RELAYING_H
#define SOCKEYE_BENCH_RELAYING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* From fd[i] of its connection to the other one, where i is its own place there. */
struct direction {
    struct conn *conn;
    void *own;    /* the mover's data for it */
    bool stuck;   /* the mover holds bytes that the far side has not taken */
    bool emptied; /* the last read has emptied the socket, so it need not be asked again */
    bool ended;   /* the fin has been passed on */
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

/* What one step of a direction came to. */
enum moved { MOVED, WAITS, ENDED, FAILED };

struct mover {
    size_t own_bytes; /* of a direction, zeroed when it begins */
    /* Reads once and passes on what it got. Says WAITS and `stuck` where the far side did not take all. */
    enum moved (*move)(struct direction *dir);
    /* Passes on what is stuck; MOVED once nothing is. */
    enum moved (*drain)(struct direction *dir);
    /* Frees what the direction holds. */
    void (*release)(struct direction *dir);
};

struct relaying {
    struct mover mover;
    struct sockaddr_in target;
    /* A SOCKS5 client's handshake is answered, with nothing parsed; otherwise there is none. */
    bool canned;
    /* Success is told before the target is dialled. */
    bool answers_at_once;
};

/* Which of its connection's two this is. */
int side_of(const struct direction *dir);
int from_fd(const struct direction *dir);
int to_fd(const struct direction *dir);

/* What the result of a read comes to. */
enum moved moved_of(ssize_t n);

/* Listens there and relays until the process is killed. */
_Noreturn void relay_on(const struct sockaddr_in *address, const struct relaying *relaying);

#endif
