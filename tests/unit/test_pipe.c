/* The pool of pipes: what is pooled, what never is, and what happens when there is none to be had. */
#include "loops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/pipe.h"
#include "io/sys.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void an_empty_pipe_is_pooled_and_given_again(void **state)
{
    (void)state;
    size_t n_fds = count_fds();
    struct pipe_pool pool;
    pipe_pool_init(&pool);
    assert_int_equal(count_fds(), n_fds);
    struct pipe *pipe = pipe_get(&pool, 1);
    assert_non_null(pipe);
    assert_int_equal(pool.n_held, 1);
    assert_true(fcntl(pipe->write_fd, F_GETPIPE_SZ) >= pool.pipe_bytes);
    assert_true(fcntl(pipe->read_fd, F_GETFL) & O_NONBLOCK);
    int fds[] = {pipe->read_fd, pipe->write_fd};
    pipe_put(&pool, pipe);
    assert_int_equal(pool.n_held, 0);
    assert_true(is_open(fds[0]) && is_open(fds[1]));
    assert_ptr_equal(pipe_get(&pool, 1), pipe);
    pipe_put(&pool, pipe);
    pipe_put(&pool, NULL);
    pipe_pool_deinit(&pool);
    assert_int_equal(count_fds(), n_fds);
}

static void acc_68_a_pipe_with_a_residue_is_closed_and_never_pooled(void **state)
{
    (void)state;
    struct pipe_pool pool;
    pipe_pool_init(&pool);
    struct pipe *pipe = pipe_get(&pool, 1);
    assert_int_equal(write(pipe->write_fd, "secret", 6), 6);
    pipe->n_bytes = 6;
    int fds[] = {pipe->read_fd, pipe->write_fd};
    pipe_put(&pool, pipe);
    assert_false(is_open(fds[0]) || is_open(fds[1]));
    assert_int_equal(pool.n_held, 0);
    assert_int_equal(pool.n_spare, 0);
    /* The next has nothing of it. */
    char byte;
    pipe = pipe_get(&pool, 1);
    assert_int_equal(read(pipe->read_fd, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    pipe_put(&pool, pipe);
    pipe_pool_deinit(&pool);
}

static void no_more_than_a_few_pipes_are_kept(void **state)
{
    (void)state;
    enum { N = 3 * PIPE_POOL_MAX };
    size_t n_fds = count_fds();
    struct pipe_pool pool;
    struct pipe *pipes[N];
    pipe_pool_init(&pool);
    pool.pipe_bytes = 4096;
    for (size_t i = 0; i < N; i++) {
        pipes[i] = pipe_get(&pool, 1);
        assert_non_null(pipes[i]);
    }
    for (size_t i = 0; i < N; i++)
        pipe_put(&pool, pipes[i]);
    assert_int_equal(count_fds(), n_fds + 2 * PIPE_POOL_MAX);
    pipe_pool_deinit(&pool);
    assert_int_equal(count_fds(), n_fds);
}

static void after_a_refusal_there_is_none_for_a_while_and_then_again(void **state)
{
    (void)state;
    static const char *const calls[] = {"pipe", "pipe_set_size"};
    for (size_t i = 0; i < N_ITEMS(calls); i++) {
        size_t n_fds = count_fds();
        struct pipe_pool pool;
        pipe_pool_init(&pool);
        sys_fault_set(SYS_FAULT_FAIL, i + 1);
        assert_null(pipe_get(&pool, 1000));
        assert_string_equal(sys_fault_hit(), calls[i]);
        /* Asking costs nothing until then. */
        sys_fault_set(SYS_FAULT_NONE, 0);
        assert_null(pipe_get(&pool, 1000));
        assert_null(pipe_get(&pool, 1099));
        assert_int_equal(sys_fault_count(), 0);
        assert_int_equal(pool.n_held, 0);
        assert_int_equal(count_fds(), n_fds);
        struct pipe *pipe = pipe_get(&pool, 1100);
        assert_non_null(pipe);
        /* One that is pooled is given in any case. */
        pipe_put(&pool, pipe);
        pool.retry_at_ms = 5000;
        assert_ptr_equal(pipe_get(&pool, 1200), pipe);
        pipe_put(&pool, pipe);
        pipe_pool_deinit(&pool);
        assert_int_equal(count_fds(), n_fds);
    }
}

/* In a process of its own, as nobody: whose pipes are its own, and limited. Returns its exit code. */
static int exhaust_pipe_pages(void)
{
    enum { N = 2000 };
    static struct pipe *pipes[N];
    struct pipe_pool pool;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 2;
    pipe_pool_init(&pool);
    size_t n = 0;
    while (n < N && (pipes[n] = pipe_get(&pool, 1)) != NULL)
        n++;
    if (n == N)
        return 3; /* no limit was met */
    size_t n_fds = count_fds();
    if (pipe_get(&pool, 1000) != NULL || pipe_get(&pool, 2000) != NULL || count_fds() != n_fds)
        return 4;
    if (n > 0)
        pipe_put(&pool, pipes[--n]);
    struct pipe *again = pipe_get(&pool, 2000);
    if (n > 0 && again == NULL)
        return 5;
    return 0;
}

static void acc_69_without_pipe_pages_there_is_no_pipe_and_no_harm(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(exhaust_pipe_pages());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_pipe_is_pooled_and_given_again),
        cmocka_unit_test(acc_68_a_pipe_with_a_residue_is_closed_and_never_pooled),
        cmocka_unit_test(no_more_than_a_few_pipes_are_kept),
        cmocka_unit_test(after_a_refusal_there_is_none_for_a_while_and_then_again),
        cmocka_unit_test(acc_69_without_pipe_pages_there_is_no_pipe_and_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
