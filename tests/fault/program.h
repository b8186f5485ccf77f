/*
 * The whole program in this process, to be run again and again while something fails, with
 * somebody beside it who asks for its status. Include it once.
 */
#ifndef SOCKEYE_TESTS_PROGRAM_H
#define SOCKEYE_TESTS_PROGRAM_H

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sysexits.h>

#include "../unit/tcp.h"
#include "admin/admin.h"
#include "config/config.h"
#include "daemon/daemon.h"
#include "daemon/paths.h"
#include "faults.h"

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);

FILE *__wrap_open_memstream(char **bytes, size_t *n);

/* In the library it would take memory that is freed by us, and so is not counted. */
struct memstream {
    char **bytes;
    size_t *n;
};

static ssize_t memstream_write(void *cookie, const char *bytes, size_t n)
{
    struct memstream *stream = cookie;
    char *grown = realloc(*stream->bytes, *stream->n + n + 1);
    if (grown == NULL)
        return 0;
    memcpy(grown + *stream->n, bytes, n);
    *stream->bytes = grown;
    *stream->n += n;
    grown[*stream->n] = '\0';
    return (ssize_t)n;
}

static int memstream_close(void *cookie)
{
    free(cookie);
    return 0;
}

FILE *__wrap_open_memstream(char **bytes, size_t *n)
{
    struct memstream *stream = malloc(sizeof *stream);
    if (stream == NULL)
        return NULL;
    *stream = (struct memstream){bytes, n};
    *bytes = NULL;
    *n = 0;
    return fopencookie(stream, "w",
                       (cookie_io_functions_t){.write = memstream_write, .close = memstream_close});
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return allocation_fails() ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static char dir[] = "/tmp/sockeye-test-XXXXXX";
static char said[8192]; /* on stderr by the last run */
static sigset_t ends;   /* SIGTERM, SIGHUP */
static unsigned n_workers;

static void complain(struct config_messages *messages, const char *message)
{
    (void)messages;
    fail_msg("%s", message);
}

static int connect_to_admin(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s/admin", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The program hangs: there is nobody to return to. */
static void on_alarm(int signal)
{
    static const char text[] = "The program does not end; the fault was: ";
    const char *hit = sys_fault_hit() == NULL ? "an allocation" : sys_fault_hit();
    (void)signal;
    ssize_t wrote = write(STDOUT_FILENO, text, sizeof text - 1);
    wrote += write(STDOUT_FILENO, hit, strlen(hit));
    _exit(wrote > 0 ? 1 : 2);
}

/* Runs the program with what it says on stderr kept; returns its exit code. */
static int run(struct config *config, const struct daemon_options *options)
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    assert_non_null(file);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    alarm(PATIENCE_MS / 1000);
    int code = daemon_run(config, options);
    alarm(0);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
    return code;
}

/* Several workers, or one. */
static void choose_backend(enum loop_backend backend)
{
    setenv("SOCKEYE_BACKEND", backend == LOOP_EPOLL ? "epoll" : "poll", 1);
    n_workers = backend == LOOP_EPOLL ? 2 : 1;
}

static int begin(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL || signal(SIGALRM, on_alarm) == SIG_ERR)
        return -1;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    return sigprocmask(SIG_BLOCK, &ends, NULL);
}

static int end(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/log", dir);
    unlink(path);
    return rmdir(dir);
}

#endif
