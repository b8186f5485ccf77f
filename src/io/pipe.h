/*
 * Pipes for splice(2). A pipe is held only while bytes are in it; an empty one goes back to the
 * pool, one with a residue is closed, so that no flow can ever read another's bytes. Making one costs several system
 * calls and two descriptors, hence the pool; it keeps few.
 *
 * Where no pipe of a useful size is to be had (descriptors, or the pages an unprivileged user may
 * hold in pipes: pipe-user-pages-soft), pipe_get() says NULL and the caller copies instead.
 */
#ifndef SOCKEYE_IO_PIPE_H
#define SOCKEYE_IO_PIPE_H

#include <stddef.h>
#include <stdint.h>

#define PIPE_POOL_MAX 16

struct pipe {
    int read_fd, write_fd;
    size_t n_bytes; /* in it now; kept by whoever splices */
};

struct pipe_pool {
    int pipe_bytes; /* the size of each */
    struct pipe *spare[PIPE_POOL_MAX];
    size_t n_spare;
    size_t n_held;        /* taken and not given back */
    uint64_t retry_at_ms; /* after a failure: no new one before */
};

void pipe_pool_init(struct pipe_pool *pool);
void pipe_pool_deinit(struct pipe_pool *pool);
struct pipe *pipe_get(struct pipe_pool *pool, uint64_t now_ms); /* empty; NULL: copy instead */
void pipe_put(struct pipe_pool *pool, struct pipe *pipe);       /* NULL is fine */

#endif
