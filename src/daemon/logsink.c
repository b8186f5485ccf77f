/*
 * The queue is a pair of buffers: workers fill one while the thread writes the other, and they
 * change places when the thread is done. Once a line is dropped, all are until the change, so that
 * the gap is in one place: after what was queued.
 */
#include "daemon/logsink.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/list.h"
#include "daemon/logwriter.h"
#include "io/sys.h"

#define PORT_BYTES ((size_t)64 * 1024)
#define QUEUE_BYTES ((size_t)512 * 1024)

/* A buffer that was filled further than this gives its pages back. */
#define KEPT_BYTES ((size_t)64 * 1024)

/* After each batch the thread waits this long for more: a busy log costs a hundred wake-ups a
 * second and not one for each turn of each worker. */
#define GATHER_MS 10

/* How long logsink_free() waits for a log that blocks. */
#define LAST_WORDS_MS 1000

static_assert(PORT_BYTES > LOG_LINE_BYTES + 2, "a port holds the longest line");

/* Lines as logwriter_write() takes them. */
struct buffer {
    char *bytes; /* QUEUE_BYTES of them */
    size_t n;
};

struct logsink_port {
    struct log log;
    struct logsink *sink;
    size_t n, n_lines;
    char bytes[PORT_BYTES];
};

struct logsink {
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* of the next eight */
    pthread_cond_t work;  /* for the thread: something to do */
    pthread_cond_t ended; /* for logsink_free() */
    struct buffer filling;
    uint64_t n_dropped;
    bool must_reopen, is_stopping, has_ended;
    bool is_abandoned;     /* logsink_free() waits no longer: the thread frees the sink */
    struct log settings;   /* what every port's log begins as */
    struct logwriter next; /* what the thread shall turn to */
    size_t n_before_next;  /* bytes of `filling` that are older than that */
    bool has_next;

    struct logwriter prepared; /* of who prepares a change */
    bool is_prepared;

    /* The thread's own: */
    struct logwriter writer;
    struct buffer writing;
    struct logsink_port *own; /* for what the sink itself has to say */
};

static uint64_t wall_ms(struct log *log)
{
    (void)log;
    return sys_wall_ms();
}

static void emit(struct log *log, enum log_level level, const char *line, size_t n)
{
    struct logsink_port *port = CONTAINER_OF(log, struct logsink_port, log);
    if (n > LOG_LINE_BYTES)
        n = LOG_LINE_BYTES;
    if (n + 2 > sizeof port->bytes - port->n)
        logsink_flush(port);
    port->bytes[port->n++] = (char)('0' + level);
    memcpy(port->bytes + port->n, line, n);
    port->n += n;
    port->bytes[port->n++] = '\n';
    port->n_lines++;
}

/* Appends the lines that fit; counts the others. Called with the lock. */
static void enqueue(struct logsink *sink, const struct logsink_port *port)
{
    struct buffer *queue = &sink->filling;
    size_t room = sink->n_dropped > 0 ? 0 : QUEUE_BYTES - queue->n;
    size_t n = port->n, n_lines = port->n_lines;
    if (n > room) {
        const char *last = memrchr(port->bytes, '\n', room);
        n = last == NULL ? 0 : (size_t)(last + 1 - port->bytes);
        n_lines = logwriter_count_lines(port->bytes, n);
    }
    memcpy(queue->bytes + queue->n, port->bytes, n);
    queue->n += n;
    sink->n_dropped += port->n_lines - n_lines;
}

void logsink_flush(struct logsink_port *port)
{
    struct logsink *sink = port->sink;
    if (port->n == 0)
        return;
    pthread_mutex_lock(&sink->lock);
    enqueue(sink, port);
    pthread_mutex_unlock(&sink->lock);
    pthread_cond_signal(&sink->work);
    port->n = port->n_lines = 0;
}

/* Writes what the sink has said itself. */
static void write_own(struct logsink *sink)
{
    struct logsink_port *own = sink->own;
    logwriter_write(&sink->writer, own->bytes, own->n);
    own->n = own->n_lines = 0;
}

/* What the thread has to do in one round. */
struct round {
    uint64_t n_dropped;
    bool must_reopen, is_last;
    bool has_next;
    struct logwriter next;
    size_t n_before_next;
    enum log_format format;
};

/* Sleeps until there is something to do, and takes it: the full buffer for the empty one. */
static struct round await_round(struct logsink *sink)
{
    pthread_mutex_lock(&sink->lock);
    while (sink->filling.n == 0 && sink->n_dropped == 0 && !sink->must_reopen && !sink->has_next &&
           !sink->is_stopping)
        pthread_cond_wait(&sink->work, &sink->lock);
    struct round round = {
        .n_dropped = sink->n_dropped,
        .must_reopen = sink->must_reopen,
        .is_last = sink->is_stopping,
        .has_next = sink->has_next,
        .next = sink->next,
        .n_before_next = sink->n_before_next,
        .format = sink->settings.format,
    };
    struct buffer empty = sink->writing;
    sink->writing = sink->filling;
    sink->filling = empty;
    sink->n_dropped = 0;
    sink->must_reopen = sink->has_next = false;
    pthread_mutex_unlock(&sink->lock);
    return round;
}

/* Writes the batch, each line to where it belongs, and gives the pages of a large one back to the
 * system. */
static void write_batch(struct logsink *sink, const struct round *round)
{
    struct buffer *batch = &sink->writing;
    size_t n_before = round->has_next ? round->n_before_next : 0;
    if (round->has_next) {
        logwriter_write(&sink->writer, batch->bytes, n_before);
        logwriter_close(&sink->writer);
        sink->writer = round->next;
    }
    logwriter_write(&sink->writer, batch->bytes + n_before, batch->n - n_before);
    if (batch->n > KEPT_BYTES)
        madvise(batch->bytes, QUEUE_BYTES, MADV_DONTNEED);
    batch->n = 0;
}

static void do_round(struct logsink *sink, const struct round *round)
{
    struct log *log = &sink->own->log;
    log->format = round->format;
    write_batch(sink, round);
    uint64_t n_lost = logwriter_take_lost(&sink->writer);
    if (n_lost > 0)
        log_say(log, LOG_LEVEL_WARN, "%llu lines lost: the log could not be written: %s",
                (unsigned long long)n_lost, strerror(sink->writer.lost_errno));
    if (round->n_dropped > 0)
        log_say(log, LOG_LEVEL_WARN, "%llu lines dropped: the log could not keep up",
                (unsigned long long)round->n_dropped);
    /* After the lines that were logged before it was asked for. */
    if (round->must_reopen && logwriter_reopen(&sink->writer) != ERR_NONE)
        log_say(log, LOG_LEVEL_ERROR, "cannot open the log %s again: %s; going on with the old one",
                sink->writer.path, strerror(errno));
    write_own(sink);
}

static void release(struct logsink *sink)
{
    logwriter_close(&sink->writer);
    if (sink->has_next)
        logwriter_close(&sink->next);
    logsink_forget(sink);
    if (sink->filling.bytes != NULL)
        sys_unmap(sink->filling.bytes, QUEUE_BYTES);
    if (sink->writing.bytes != NULL)
        sys_unmap(sink->writing.bytes, QUEUE_BYTES);
    free(sink->own);
    pthread_cond_destroy(&sink->ended);
    pthread_cond_destroy(&sink->work);
    pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static void *run(void *arg)
{
    struct logsink *sink = arg;
    for (;;) {
        struct round round = await_round(sink);
        do_round(sink, &round);
        if (round.is_last)
            break;
        sys_poll(NULL, 0, GATHER_MS);
    }
    pthread_mutex_lock(&sink->lock);
    sink->has_ended = true;
    bool is_abandoned = sink->is_abandoned;
    pthread_cond_signal(&sink->ended);
    pthread_mutex_unlock(&sink->lock);
    if (is_abandoned)
        release(sink);
    return NULL;
}

/* Its time-outs shall not follow a clock that somebody sets. */
static int init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int failed = pthread_condattr_init(&attr);
    if (failed)
        return failed;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    failed = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return failed;
}

static enum err init(struct logsink *sink, const struct config_log *config)
{
    enum err err = logwriter_open(&sink->writer, config);
    if (err != ERR_NONE)
        return err;
    sink->settings = (struct log){
        .level = config->level,
        .format = config->format,
        .access = config->access,
        .wall_ms = wall_ms,
        .emit = emit,
    };
    sink->filling.bytes = sys_map(QUEUE_BYTES);
    sink->writing.bytes = sys_map(QUEUE_BYTES);
    sink->own = logsink_port_new(sink);
    if (sink->filling.bytes == NULL || sink->writing.bytes == NULL || sink->own == NULL)
        return ERR_MEMORY;
    /* What the sink has to say about itself is said at every level. */
    if (sink->own->log.level < LOG_LEVEL_WARN)
        sink->own->log.level = LOG_LEVEL_WARN;
    return ERR_NONE;
}

enum err logsink_new(struct logsink **out, const struct config_log *config)
{
    struct logsink *sink = calloc(1, sizeof *sink);
    if (sink == NULL)
        return ERR_MEMORY;
    if (pthread_mutex_init(&sink->lock, NULL) != 0 || pthread_cond_init(&sink->work, NULL) != 0 ||
        init_monotonic(&sink->ended) != 0) {
        free(sink);
        return ERR_MEMORY;
    }
    enum err err = init(sink, config);
    if (err != ERR_NONE) {
        int saved_errno = errno;
        release(sink);
        errno = saved_errno;
        return err;
    }
    *out = sink;
    return ERR_NONE;
}

static enum err start_thread(struct logsink *sink)
{
    /* Signals are for the workers. A SIGPIPE stays pending here, and the write says EPIPE. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&sink->thread, NULL, run, sink);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return ERR_MEMORY;
    sink->has_thread = true;
    pthread_setname_np(sink->thread, "sockeye-log");
    return ERR_NONE;
}

enum err logsink_start(struct logsink *sink)
{
    /* Root has opened the file; whom we run as now may not be able to when it is rotated. */
    if (!logwriter_can_reopen(&sink->writer)) {
        log_say(
            &sink->own->log, LOG_LEVEL_WARN,
            "the user this runs as cannot open the log %s again (%s): let the file belong to that "
            "user, or rotate it by copying",
            sink->writer.path, strerror(errno));
        logsink_flush(sink->own);
    }
    return start_thread(sink);
}

void logsink_reopen(struct logsink *sink)
{
    pthread_mutex_lock(&sink->lock);
    sink->must_reopen = true;
    pthread_mutex_unlock(&sink->lock);
    pthread_cond_signal(&sink->work);
}

enum err logsink_prepare(struct logsink *sink, const struct config_log *config)
{
    logsink_forget(sink);
    enum err err = logwriter_open(&sink->prepared, config);
    sink->is_prepared = err == ERR_NONE;
    return err;
}

void logsink_forget(struct logsink *sink)
{
    if (sink->is_prepared)
        logwriter_close(&sink->prepared);
    sink->is_prepared = false;
}

static void set(struct log *log, const struct config_log *config)
{
    log->level = config->level;
    log->format = config->format;
    log->access = config->access;
}

void logsink_turn(struct logsink *sink, const struct config_log *config)
{
    pthread_mutex_lock(&sink->lock);
    set(&sink->settings, config);
    if (sink->is_prepared && sink->has_next)
        logwriter_close(&sink->next);
    if (sink->is_prepared) {
        sink->next = sink->prepared;
        sink->n_before_next = sink->filling.n;
        sink->has_next = true;
    }
    sink->is_prepared = false;
    pthread_mutex_unlock(&sink->lock);
    pthread_cond_signal(&sink->work);
}

void logsink_port_turn(struct logsink_port *port, const struct config_log *config)
{
    set(&port->log, config);
}

/* Whether the thread has come to its end in time; if not, it owns the sink from now on. */
static bool await_end(struct logsink *sink)
{
    uint64_t until_ms = sys_monotonic_ms() + LAST_WORDS_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&sink->lock);
    sink->is_stopping = true;
    pthread_cond_signal(&sink->work);
    int timed_out = 0;
    while (!sink->has_ended && !timed_out)
        timed_out = pthread_cond_timedwait(&sink->ended, &sink->lock, &until);
    bool has_ended = sink->has_ended;
    sink->is_abandoned = !has_ended;
    pthread_mutex_unlock(&sink->lock);
    return has_ended;
}

void logsink_free(struct logsink *sink)
{
    if (sink == NULL)
        return;
    /* What was said before a start that failed shall be read too; without a thread it cannot be. */
    if (!sink->has_thread && (sink->filling.n == 0 || start_thread(sink) != ERR_NONE)) {
        release(sink);
        return;
    }
    /* Copied, as an abandoned thread may free the sink at any time. */
    pthread_t thread = sink->thread;
    if (await_end(sink)) {
        pthread_join(thread, NULL);
        release(sink);
    } else {
        pthread_detach(thread);
    }
}

struct logsink_port *logsink_port_new(struct logsink *sink)
{
    struct logsink_port *port = malloc(sizeof *port);
    if (port == NULL)
        return NULL;
    pthread_mutex_lock(&sink->lock);
    port->log = sink->settings;
    pthread_mutex_unlock(&sink->lock);
    port->sink = sink;
    port->n = port->n_lines = 0;
    return port;
}

void logsink_port_free(struct logsink_port *port)
{
    if (port == NULL)
        return;
    logsink_flush(port);
    free(port);
}

struct log *logsink_log(struct logsink_port *port)
{
    return &port->log;
}
