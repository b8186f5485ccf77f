#include "io/pipe.h"

#include <stdlib.h>

#include "io/sys.h"

/* What an unprivileged user may ask for, 64 times; on a machine with less than a gigabyte of
 * memory a thousandth of that, since slow readers leave their pipes full. */
#define PIPE_BYTES_MAX ((uint64_t)1024 * 1024)
#define PIPE_BYTES_MIN ((uint64_t)64 * 1024)

/* After a refusal the next question waits: each costs three system calls. */
#define RETRY_MS 100

void pipe_pool_init(struct pipe_pool *pool)
{
    uint64_t bytes = sys_memory_bytes() / 1024;
    bytes = bytes > PIPE_BYTES_MAX ? PIPE_BYTES_MAX : bytes;
    bytes = bytes < PIPE_BYTES_MIN ? PIPE_BYTES_MIN : bytes;
    *pool = (struct pipe_pool){.pipe_bytes = (int)bytes};
}

static void close_pipe(struct pipe *pipe)
{
    sys_close(pipe->read_fd);
    sys_close(pipe->write_fd);
    free(pipe);
}

void pipe_pool_deinit(struct pipe_pool *pool)
{
    while (pool->n_spare > 0)
        close_pipe(pool->spare[--pool->n_spare]);
}

static struct pipe *make_pipe(int bytes)
{
    struct pipe *pipe = malloc(sizeof *pipe);
    if (pipe == NULL)
        return NULL;
    int fds[2];
    if (sys_pipe(fds) < 0) {
        free(pipe);
        return NULL;
    }
    *pipe = (struct pipe){.read_fd = fds[0], .write_fd = fds[1]};
    if (sys_pipe_set_size(pipe->write_fd, bytes) < 0) {
        close_pipe(pipe);
        return NULL;
    }
    return pipe;
}

struct pipe *pipe_get(struct pipe_pool *pool, uint64_t now_ms)
{
    struct pipe *pipe = NULL;
    if (pool->n_spare > 0) {
        pipe = pool->spare[--pool->n_spare];
    } else if (now_ms >= pool->retry_at_ms) {
        pipe = make_pipe(pool->pipe_bytes);
        if (pipe == NULL)
            pool->retry_at_ms = now_ms + RETRY_MS;
    }
    if (pipe != NULL)
        pool->n_held++;
    return pipe;
}

void pipe_put(struct pipe_pool *pool, struct pipe *pipe)
{
    if (pipe == NULL)
        return;
    pool->n_held--;
    if (pipe->n_bytes == 0 && pool->n_spare < PIPE_POOL_MAX)
        pool->spare[pool->n_spare++] = pipe;
    else
        close_pipe(pipe);
}
