#include "daemon/logwriter.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "io/sys.h"

static int open_file(const char *path, int more_flags)
{
    /* Non-blocking, so that a named pipe without a reader is an error and not a wait for ever. */
    return sys_open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK | more_flags, 0640);
}

enum err logwriter_open(struct logwriter *writer, const struct config_log *config)
{
    *writer = (struct logwriter){.type = config->sink, .fd = -1};
    switch (writer->type) {
    case LOG_TO_STDERR:
        writer->fd = STDERR_FILENO;
        return ERR_NONE;
    case LOG_TO_SYSLOG:
        openlog("sockeye", LOG_PID, LOG_DAEMON);
        return ERR_NONE;
    case LOG_TO_FILE:
        break;
    }
    writer->path = strdup(config->path);
    if (writer->path == NULL)
        return ERR_MEMORY;
    writer->fd = open_file(writer->path, O_CREAT);
    if (writer->fd >= 0)
        return ERR_NONE;
    int saved_errno = errno;
    free(writer->path);
    writer->path = NULL;
    errno = saved_errno;
    return sys_err(errno);
}

void logwriter_close(struct logwriter *writer)
{
    if (writer->type == LOG_TO_FILE && writer->fd >= 0)
        sys_close(writer->fd);
    free(writer->path);
}

enum err logwriter_reopen(struct logwriter *writer)
{
    if (writer->type != LOG_TO_FILE)
        return ERR_NONE;
    int fd = open_file(writer->path, O_CREAT);
    if (fd < 0)
        return sys_err(errno);
    sys_close(writer->fd);
    writer->fd = fd;
    writer->is_mid_line = false;
    return ERR_NONE;
}

bool logwriter_can_reopen(const struct logwriter *writer)
{
    if (writer->type != LOG_TO_FILE)
        return true;
    int fd = open_file(writer->path, 0);
    if (fd < 0)
        return false;
    sys_close(fd);
    return true;
}

size_t logwriter_count_lines(const char *bytes, size_t n)
{
    size_t n_lines = 0;
    for (const char *at; (at = memchr(bytes, '\n', n)) != NULL; n_lines++) {
        n -= (size_t)(at + 1 - bytes);
        bytes = at + 1;
    }
    return n_lines;
}

static int syslog_priority(char level)
{
    static const int priorities[] = {
        [LOG_LEVEL_ERROR] = LOG_ERR,   [LOG_LEVEL_WARN] = LOG_WARNING, [LOG_LEVEL_INFO] = LOG_INFO,
        [LOG_LEVEL_DEBUG] = LOG_DEBUG, [LOG_LEVEL_TRACE] = LOG_DEBUG,
    };
    static_assert(sizeof priorities / sizeof priorities[0] == N_LOG_LEVELS,
                  "a level without a priority");
    return priorities[level - '0'];
}

/* syslog has its own time and level: in text form the line begins after those words. */
static const char *without_time_and_level(const char *line)
{
    const char *rest = line;
    for (int i = 0; i < 2 && *line != '{'; i++) {
        const char *space = strchr(rest, ' ');
        if (space == NULL)
            return line;
        rest = space + 1;
    }
    return rest;
}

static void write_syslog(char *bytes, size_t n)
{
    for (char *line = bytes, *end; line < bytes + n; line = end + 1) {
        end = memchr(line, '\n', n - (size_t)(line - bytes));
        *end = '\0';
        syslog(syslog_priority(line[0]), "%s", without_time_and_level(line + 1));
    }
}

/* Moves the lines together, without the bytes before them; returns how many bytes are left. */
static size_t without_levels(char *bytes, size_t n)
{
    size_t n_left = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(bytes + at, '\n', n - at);
        size_t n_line = (size_t)(end - (bytes + at)); /* newline for level */
        memmove(bytes + n_left, bytes + at + 1, n_line);
        n_left += n_line;
        at += n_line + 1;
    }
    return n_left;
}

/* Writes all n bytes, however long that takes; returns how many were written before an error. */
static size_t write_all(int fd, const char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t wrote = sys_write(fd, bytes + done, n - done);
        if (wrote > 0) {
            done += (size_t)wrote;
        } else if (wrote < 0 && errno == EAGAIN) {
            /* A named pipe is full; or somebody who shares stderr has made it non-blocking. */
            struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
            sys_poll(&pollfd, 1, -1);
        } else {
            break;
        }
    }
    return done;
}

static void write_stream(struct logwriter *writer, const char *bytes, size_t n)
{
    size_t done = 0;
    /* The torn line gets its end, so that the next stands alone. */
    if (!writer->is_mid_line || write_all(writer->fd, "\n", 1) == 1) {
        done = write_all(writer->fd, bytes, n);
        writer->is_mid_line = done > 0 && bytes[done - 1] != '\n';
    }
    writer->is_failing = done < n;
    if (writer->is_failing) {
        writer->lost_errno = errno;
        writer->n_lost += logwriter_count_lines(bytes + done, n - done);
    }
}

void logwriter_write(struct logwriter *writer, char *bytes, size_t n)
{
    if (n == 0)
        return;
    if (writer->type == LOG_TO_SYSLOG)
        write_syslog(bytes, n);
    else
        write_stream(writer, bytes, without_levels(bytes, n));
}

uint64_t logwriter_take_lost(struct logwriter *writer)
{
    if (writer->is_failing)
        return 0;
    uint64_t n_lost = writer->n_lost;
    writer->n_lost = 0;
    return n_lost;
}
