#include "flow/relay.h"

#include <errno.h>
#include <string.h>

#include "flow/stash.h"
#include "io/sys.h"

/* What one direction moves before the others of the loop have their turn. */
#define BUDGET_BYTES (1024 * 1024)

/* Splice that brings less than this costs more than copying it. */
#define SPLICE_WORTH_BYTES 4096

#define SPLICE_BYTES (1024 * 1024)

static void free_held(struct direction *direction, struct flow_env *env)
{
    stash_release(env, direction->held, direction->held_cap);
    direction->held = NULL;
    direction->held_from = direction->n_held = direction->held_cap = 0;
}

enum err direction_hold(struct direction *direction, struct flow_env *env, const void *bytes,
                        size_t n)
{
    if (n == 0)
        return ERR_NONE;
    size_t n_before = direction->n_held;
    uint8_t *grown = stash_allocate(env, n_before + n);
    if (grown == NULL)
        return ERR_MEMORY;
    if (n_before > 0)
        memcpy(grown, direction->held + direction->held_from, n_before);
    memcpy(grown + n_before, bytes, n);
    free_held(direction, env);
    direction->held = grown;
    direction->n_held = direction->held_cap = (uint32_t)(n_before + n);
    return ERR_NONE;
}

static void drop_held(struct direction *direction, struct flow_env *env, size_t n)
{
    direction->held_from += (uint32_t)n;
    direction->n_held -= (uint32_t)n;
    if (direction->n_held == 0)
        free_held(direction, env);
}

void direction_forget(struct direction *direction, struct flow_env *env, size_t n)
{
    if (n == 0)
        return;
    drop_held(direction, env, n);
    direction->n_bytes += n;
}

void direction_take_held(struct direction *direction, struct flow_env *env)
{
    if (direction->n_held == 0)
        return;
    memcpy(env->scratch, direction->held + direction->held_from, direction->n_held);
    drop_held(direction, env, direction->n_held);
}

/* Bytes that wait in a pipe are the kernel's memory, and held for the flow all the same. */
static void count_stuck(struct direction *direction, struct flow_env *env, size_t n)
{
    if (n == direction->n_stuck)
        return;
    /* What is less wraps in the counter's own width, which size_t may lack. */
    atomic_fetch_add(&env->shared->n_held_bytes, (uint64_t)n - direction->n_stuck);
    direction->n_stuck = (uint32_t)n;
}

/* Whether a pipe that gets stuck would be within the limit; copying holds far less. */
static bool may_splice(const struct flow_env *env)
{
    uint64_t max = env->limits.max_held_bytes;
    return max == 0 || atomic_load(&env->shared->n_held_bytes) + SPLICE_BYTES <= max;
}

void direction_deinit(struct direction *direction, struct flow_env *env)
{
    free_held(direction, env);
    count_stuck(direction, env, 0);
    pipe_put(&env->pipes, direction->pipe);
    direction->pipe = NULL;
    direction->is_sink_full = false;
}

/* An error that the sink has met. */
static enum err of_sink(struct direction *direction, enum err err)
{
    direction->is_sink_broken |= err != ERR_NONE && err != ERR_AGAIN;
    return err;
}

static enum err flush_held(struct direction *direction, struct flow_env *env, struct endpoint *sink)
{
    while (direction->n_held > 0) {
        size_t n = 0;
        enum err err =
            endpoint_write(sink, direction->held + direction->held_from, direction->n_held, &n);
        if (err != ERR_NONE)
            return of_sink(direction, err);
        drop_held(direction, env, n);
        size_t own = n < direction->n_own ? n : direction->n_own;
        direction->n_own -= (uint32_t)own;
        direction->n_bytes += n - own;
    }
    return ERR_NONE;
}

static enum err flush_pipe(struct direction *direction, struct flow_env *env, struct endpoint *sink)
{
    struct pipe *pipe = direction->pipe;
    while (pipe->n_bytes > 0) {
        ssize_t n = sys_splice(pipe->read_fd, sink->fd, pipe->n_bytes);
        if (n < 0) {
            enum err err = sys_err(errno);
            if (err == ERR_AGAIN)
                endpoint_used_up(sink, LOOP_WRITE);
            count_stuck(direction, env, pipe->n_bytes);
            return of_sink(direction, err);
        }
        pipe->n_bytes -= (size_t)n;
        direction->n_bytes += (size_t)n;
    }
    count_stuck(direction, env, 0);
    pipe_put(&env->pipes, pipe);
    direction->pipe = NULL;
    return ERR_NONE;
}

enum err direction_flush(struct direction *direction, struct flow_env *env, struct endpoint *sink)
{
    enum err err = flush_held(direction, env, sink);
    if (err == ERR_NONE && direction->pipe != NULL)
        err = flush_pipe(direction, env, sink);
    if (err == ERR_NONE)
        direction->is_sink_full = false;
    return err;
}

enum err direction_send(struct direction *direction, struct flow_env *env, struct endpoint *sink,
                        const uint8_t *bytes, size_t n)
{
    size_t n_written = 0;
    enum err err = ERR_NONE;
    if (n > 0 && !direction_wants_write(direction))
        err = of_sink(direction, endpoint_write(sink, bytes, n, &n_written));
    if (err != ERR_NONE && err != ERR_AGAIN)
        return err;
    direction->n_bytes += n_written;
    return direction_hold(direction, env, bytes + n_written, n - n_written);
}

/* One read of at most `most` bytes and one write through the scratch buffer. */
static enum err copy_once(struct direction *direction, struct flow_env *env,
                          struct endpoint *source, struct endpoint *sink, size_t most,
                          size_t *n_moved)
{
    size_t n = 0;
    size_t room = most < FLOW_READ_BYTES ? most : FLOW_READ_BYTES;
    enum err err = endpoint_read(source, env->scratch, room, &n);
    if (err != ERR_NONE)
        return err;
    *n_moved = n;
    /* A read that fills the buffer has more behind it. */
    direction->is_bulk = n == FLOW_READ_BYTES && source->fd >= 0 && sink->fd >= 0;
    return direction_send(direction, env, sink, env->scratch, n);
}

/* One splice of at most `most` bytes from the source into a pipe and as many as it takes from there
 * into the sink. */
static enum err splice_once(struct direction *direction, struct flow_env *env,
                            struct endpoint *source, struct endpoint *sink, size_t most,
                            size_t *n_moved)
{
    struct pipe *pipe = NULL;
    if (may_splice(env))
        pipe = pipe_get(&env->pipes, loop_now_ms(env->loop));
    if (pipe == NULL)
        return copy_once(direction, env, source, sink, most, n_moved);
    ssize_t n = sys_splice(source->fd, pipe->write_fd, most < SPLICE_BYTES ? most : SPLICE_BYTES);
    if (n <= 0) {
        int why = errno;
        pipe_put(&env->pipes, pipe);
        if (n < 0 && sys_err(why) != ERR_AGAIN)
            return sys_err(why);
        /* Nothing there, the end, or an urgent byte at which splice stands still for ever:
         * reading knows which. */
        return copy_once(direction, env, source, sink, most, n_moved);
    }
    *n_moved = (size_t)n;
    pipe->n_bytes = (size_t)n;
    direction->pipe = pipe;
    direction->is_bulk = n >= SPLICE_WORTH_BYTES;
    enum err err = flush_pipe(direction, env, sink);
    return err == ERR_AGAIN ? ERR_NONE : err;
}

/* One write of at most `most` bytes from where they lie in the source; what the sink does not take stays
 * there. */
static enum err write_lent(struct direction *direction, struct endpoint *source,
                           struct endpoint *sink, size_t most, size_t *n_moved)
{
    const uint8_t *bytes;
    size_t n = 0, n_written = 0;
    enum err err = source->ops->peek(source, &bytes, &n);
    if (err != ERR_NONE)
        return err;
    n = n < most ? n : most;
    err = of_sink(direction, endpoint_write(sink, bytes, n, &n_written));
    source->ops->consume(source, n_written);
    direction->is_sink_full = n_written < n;
    direction->n_bytes += n_written;
    *n_moved = n_written;
    return err;
}

/* One read of at most `most` bytes into what the sink lends. */
static enum err read_into_lent(struct direction *direction, struct endpoint *source,
                               struct endpoint *sink, size_t most, size_t *n_moved)
{
    uint8_t *room;
    size_t cap = 0, n = 0;
    enum err err = of_sink(direction, sink->ops->reserve(sink, &room, &cap));
    direction->is_sink_full = err == ERR_AGAIN;
    if (err != ERR_NONE)
        return err;
    err = endpoint_read(source, room, cap < most ? cap : most, &n);
    sink->ops->commit(sink, n);
    direction->n_bytes += n;
    *n_moved = n;
    return err;
}

/* Moves at most `most` bytes in the way that the two allow; *n_moved, 0 before, says how many. */
static enum err move_once(struct direction *direction, struct flow_env *env,
                          struct endpoint *source, struct endpoint *sink, size_t most,
                          size_t *n_moved)
{
    if (direction->is_bulk)
        return splice_once(direction, env, source, sink, most, n_moved);
    if (endpoint_lends_bytes(source))
        return write_lent(direction, source, sink, most, n_moved);
    if (endpoint_lends_room(sink))
        return read_into_lent(direction, source, sink, most, n_moved);
    return copy_once(direction, env, source, sink, most, n_moved);
}

enum err direction_advance_within(struct direction *direction, struct flow_env *env,
                                  struct endpoint *source, struct endpoint *sink, uint64_t limit,
                                  uint64_t *n_taken)
{
    enum err err = direction_flush(direction, env, sink);
    uint64_t n_left = limit < BUDGET_BYTES ? limit : BUDGET_BYTES;
    *n_taken = 0;
    while (err == ERR_NONE && !direction->is_at_end && n_left > 0) {
        size_t n = 0;
        size_t most = limit - *n_taken < SIZE_MAX ? (size_t)(limit - *n_taken) : SIZE_MAX;
        err = move_once(direction, env, source, sink, most, &n);
        *n_taken += n;
        n_left -= n < n_left ? n : n_left;
        if (err == ERR_EOF) {
            direction->is_at_end = true;
            err = ERR_NONE;
        } else if (direction_wants_write(direction) || !endpoint_is_ready(source, LOOP_READ)) {
            return err;
        }
    }
    if (err == ERR_NONE && direction->is_at_end)
        return ERR_EOF;
    return err;
}

enum err direction_advance(struct direction *direction, struct flow_env *env,
                           struct endpoint *source, struct endpoint *sink)
{
    uint64_t n_taken;
    return direction_advance_within(direction, env, source, sink, UINT64_MAX, &n_taken);
}
