/*
 * The limit that a proxy is measured by: a bare relay (relaying.h) with splice(2).
 *
 *   relay --blind  ADDRESS:PORT TARGET:PORT    accepts, dials, relays
 *   relay --canned ADDRESS:PORT TARGET:PORT    before that lets a SOCKS5 client have its
 *                                              handshake: canned answers, nothing parsed
 *
 *                 small: recv, send                      pipe: only while
 *   from -----> scratch buffer of 16 KiB -----> to       bytes are stuck
 *         \                                     ^
 *          `--> pipe (splice, splice) ---------'         bulk: once a read fills the buffer
 *
 * The pipes come from a pool and go back as soon as they are empty, so an idle connection has
 * none.
 */
#include "relaying.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRATCH_BYTES 16384
#define PIPE_BYTES (1 << 20)
#define POOL_PIPES 64

struct pipe {
    int out, in;
};

/* The direction's `stuck` says whether it has a pipe. */
struct splicing {
    struct pipe pipe;
    size_t n_stuck; /* bytes in the pipe */
    bool bulk;
};

static uint8_t scratch[SCRATCH_BYTES];
static struct pipe pool[POOL_PIPES];
static size_t n_pool;

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
    close(pipe.out);
    close(pipe.in);
}

static void pipe_give_back(struct direction *dir)
{
    const struct splicing *splicing = dir->own;
    dir->stuck = false;
    if (n_pool < POOL_PIPES)
        pool[n_pool++] = splicing->pipe;
    else
        pipe_close(splicing->pipe);
}

static void release(struct direction *dir)
{
    const struct splicing *splicing = dir->own;
    if (dir->stuck)
        pipe_close(splicing->pipe);
}

/* Empties the pipe as far as the far side takes it. */
static enum moved drain(struct direction *dir)
{
    struct splicing *splicing = dir->own;
    while (splicing->n_stuck > 0) {
        ssize_t n = splice(splicing->pipe.out, NULL, to_fd(dir), NULL, splicing->n_stuck,
                           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? WAITS : FAILED;
        splicing->n_stuck -= (size_t)n;
    }
    pipe_give_back(dir);
    return MOVED;
}

static enum moved move_bulk(struct direction *dir)
{
    struct splicing *splicing = dir->own;
    splicing->pipe = pipe_take();
    dir->stuck = true;
    ssize_t n = splice(from_fd(dir), NULL, splicing->pipe.in, NULL, PIPE_BYTES,
                       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n <= 0) {
        enum moved moved = moved_of(n);
        pipe_give_back(dir);
        return moved;
    }
    splicing->n_stuck = (size_t)n;
    return drain(dir);
}

/* A read that does not fill the buffer has emptied the socket. */
static enum moved move_small(struct direction *dir)
{
    struct splicing *splicing = dir->own;
    ssize_t n = recv(from_fd(dir), scratch, sizeof scratch, 0);
    if (n <= 0)
        return moved_of(n);
    splicing->bulk = n == sizeof scratch;
    dir->emptied = !splicing->bulk;
    ssize_t sent = send(to_fd(dir), scratch, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return FAILED;
    if (sent == n)
        return MOVED;
    sent = sent < 0 ? 0 : sent;
    splicing->pipe = pipe_take();
    dir->stuck = true;
    if (write(splicing->pipe.in, scratch + sent, (size_t)(n - sent)) != n - sent)
        return FAILED;
    splicing->n_stuck = (size_t)(n - sent);
    return WAITS;
}

static enum moved move(struct direction *dir)
{
    const struct splicing *splicing = dir->own;
    return splicing->bulk ? move_bulk(dir) : move_small(dir);
}

int main(int argc, char **argv)
{
    bool blind = argc == 4 && strcmp(argv[1], "--blind") == 0;
    bool canned = argc == 4 && strcmp(argv[1], "--canned") == 0;
    if (!blind && !canned)
        die("usage: relay --blind|--canned ADDRESS:PORT TARGET:PORT");
    struct sockaddr_in address = parse_address(argv[2]);
    struct relaying relaying = {.mover = {.own_bytes = sizeof(struct splicing),
                                          .move = move,
                                          .drain = drain,
                                          .release = release},
                                .target = parse_address(argv[3]),
                                .canned = canned};
    relay_on(&address, &relaying);
}
