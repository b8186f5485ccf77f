#include "daemon/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/state.h"
#include "io/sys.h"

/* How long the program's end waits for a reading. */
#define LAST_READING_MS 2000

/* Listeners that leave have as much for their backlogs before their ports count as taken. */
#define LEAVING_MS 1000

#define FIRST_ERROR_BYTES 200

enum step { READING, PREPARING, TURNING, FORGETTING };

struct reload {
    struct daemon *daemon;
    enum step step;
    bool is_followed; /* by another one */
    struct voice voice;
    struct config_messages messages;
    struct log *log; /* of who works on it now */
    char first_error[FIRST_ERROR_BYTES];

    /* The reading thread: */
    pthread_t thread;
    bool is_joined;
    struct logsink_port *port;
    struct mail read; /* to the first worker */

    /* What it has made: */
    bool is_read;
    uint64_t read_at_ms;
    struct runtime *next;
    struct listening listening;

    size_t n_missing; /* workers that have not answered */
    enum err err;     /* why one could not */
};

/* ---- what is said ---- */

/* A stderr that blocks must not keep anybody waiting. */
static bool has_room(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    return sys_poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLOUT) != 0;
}

/* Into the log, and to stderr too where that is not the log. */
static void say(struct voice *voice, enum log_level level, const char *text)
{
    struct reload *reload = CONTAINER_OF(voice, struct reload, voice);
    log_say(reload->log, level, "%s", text);
    if (level == LOG_LEVEL_ERROR && reload->first_error[0] == '\0')
        snprintf(reload->first_error, sizeof reload->first_error, "%s", text);
    if (reload->daemon->runtime->config->log.sink == LOG_TO_STDERR || !has_room(STDERR_FILENO))
        return;
    char line[VOICE_BYTES + 32];
    int n = snprintf(line, sizeof line, "sockeye: %s%s\n",
                     level == LOG_LEVEL_WARN ? "warning: " : "", text);
    if (sys_write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* the log has it */
}

static void say_message(struct config_messages *messages, const char *message)
{
    struct reload *reload = CONTAINER_OF(messages, struct reload, messages);
    bool is_warning = strstr(message, ": warning: ") != NULL;
    say(&reload->voice, is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, message);
}

/* ---- reading, in a thread of its own ---- */

static bool is_same_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static void warn_of_what_stays(struct reload *reload, const struct config *next)
{
    const struct daemon_fixed *now = &reload->daemon->fixed;
    const struct {
        const char *key;
        bool has_changed;
    } keys[] = {
        {"workers", now->workers != next->workers},
        {"user", !is_same_text(now->user, next->user)},
        {"state", !is_same_text(now->state, next->state)},
        {"admin.socket", !is_same_text(now->socket, next->admin.socket)},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].has_changed)
            voice_say(&reload->voice, LOG_LEVEL_WARN,
                      "`%s` has changed, which takes a restart, not a reload", keys[i].key);
    }
}

static bool is_same_log(const struct config_log *a, const struct config_log *b)
{
    return a->sink == b->sink && is_same_text(a->path, b->path);
}

static bool open_log(struct reload *reload, const struct config *next)
{
    struct daemon *daemon = reload->daemon;
    if (is_same_log(&daemon->runtime->config->log, &next->log) ||
        logsink_prepare(daemon->sink, &next->log) == ERR_NONE)
        return true;
    voice_say(&reload->voice, LOG_LEVEL_ERROR, "cannot open the log %s: %s", next->log.path,
              strerror(errno));
    return false;
}

/* An address that the reload before gave up may be wanted again, and is taken until those who
 * wait in its backlog are served. This thread keeps nobody waiting. */
static void await_leaving(const struct daemon *daemon)
{
    for (unsigned ms = 0; ms < LEAVING_MS && atomic_load(&daemon->shared.n_leaving) > 0; ms++)
        sys_pause(1);
}

static bool open_sockets(struct reload *reload)
{
    struct daemon *daemon = reload->daemon;
    await_leaving(daemon);
    const struct listening_wishes wishes = {
        .config = reload->next->config,
        .n_workers = daemon->n_workers,
        .before = &daemon->listening,
        .voice = &reload->voice,
    };
    struct listening *listening = &reload->listening;
    if (listening_open(listening, &wishes) != 0)
        return false;
    if (runtime_set_listening(reload->next, listening->addrs, listening->n_addrs) == ERR_NONE)
        return true;
    voice_say(&reload->voice, LOG_LEVEL_ERROR, "out of memory");
    return false;
}

/* Takes the configuration. */
static bool make(struct reload *reload, struct config *config)
{
    warn_of_what_stays(reload, config);
    struct daemon *daemon = reload->daemon;
    daemon_set_state_folder(daemon, config);
    enum err err = runtime_new(&reload->next, config, &daemon->shared, &daemon->tunnels);
    if (err != ERR_NONE) {
        reload->next = NULL;
        config_free(config);
        voice_say(&reload->voice, LOG_LEVEL_ERROR, "%s", runtime_complaint(err));
        return false;
    }
    return open_log(reload, config) && open_sockets(reload);
}

static void *run_reading(void *arg)
{
    struct reload *reload = arg;
    struct daemon *daemon = reload->daemon;
    struct config *config;
    reload->read_at_ms = sys_wall_ms();
    enum err err = daemon->options->load(daemon->options->load_arg, &config, &reload->messages);
    if (err == ERR_MEMORY)
        voice_say(&reload->voice, LOG_LEVEL_ERROR, "out of memory");
    reload->is_read = err == ERR_NONE && make(reload, config);
    logsink_flush(reload->port);
    mailbox_post(&daemon->workers[0]->mailbox, &reload->read);
    return NULL;
}

/* ---- on the first worker's thread ---- */

/* What was made for a configuration that does not come into force. */
static void throw_away(struct reload *reload)
{
    struct daemon *daemon = reload->daemon;
    logsink_forget(daemon->sink);
    if (reload->next != NULL)
        listening_close(&reload->listening, &daemon->listening);
    runtime_release(reload->next);
}

static void put_in_force(struct reload *reload)
{
    struct daemon *daemon = reload->daemon;
    struct runtime *before = daemon->runtime;
    struct listening listening = daemon->listening;
    daemon->runtime = reload->next;
    daemon->listening = reload->listening;
    listening_tell_closed(&listening, &daemon->listening, &reload->voice);
    listening_close(&listening, &daemon->listening);
    runtime_release(before);
    daemon->reloads = (struct reload_history){daemon->reloads.n + 1, reload->read_at_ms};
    daemon_count_descriptors(daemon);
    runtime_warn_of_state(daemon->runtime, reload->log);
}

static void finish(struct reload *reload, bool is_made)
{
    struct daemon *daemon = reload->daemon;
    bool is_followed = reload->is_followed && daemon->ending == RUNNING;
    if (is_made) {
        put_in_force(reload);
        voice_say(&reload->voice, LOG_LEVEL_INFO, "reloaded: the new configuration is in force");
    } else {
        throw_away(reload);
        if (daemon->ending == RUNNING)
            voice_say(&reload->voice, LOG_LEVEL_ERROR,
                      "reload refused: the configuration of before stays in force");
    }
    char words[FIRST_ERROR_BYTES + 32] = "Reloaded";
    if (!is_made)
        snprintf(words, sizeof words, "Reload refused: %s", reload->first_error);
    daemon->reload = NULL;
    free(reload);
    if (daemon->ending == RUNNING)
        daemon_notify_ready(daemon, words);
    else
        daemon_stop_if_drained(daemon);
    if (is_followed)
        reload_begin(daemon);
}

static void order_all(struct reload *reload, enum step step, void (*order)(struct worker *))
{
    reload->step = step;
    reload->n_missing = reload->daemon->n_running;
    daemon_order_all(reload->daemon, order);
}

static void prepare(struct worker *worker)
{
    struct reload *reload = ((struct daemon *)worker->owner)->reload;
    worker_order_prepare(worker, reload->next, &reload->listening);
}

static void on_read(struct mail *mail)
{
    struct reload *reload = CONTAINER_OF(mail, struct reload, read);
    struct daemon *daemon = reload->daemon;
    if (!reload->is_joined)
        pthread_join(reload->thread, NULL);
    logsink_port_free(reload->port);
    reload->log = daemon->workers[0]->env.log;
    if (reload->is_read && daemon->ending == RUNNING)
        order_all(reload, PREPARING, prepare);
    else
        finish(reload, false);
}

static void on_answer(struct mail *mail)
{
    struct worker *worker = CONTAINER_OF(mail, struct worker, turning.mail);
    struct daemon *daemon = worker->owner;
    struct reload *reload = daemon->reload;
    if (reload->step == PREPARING && worker->turning.err != ERR_NONE)
        reload->err = worker->turning.err;
    if (--reload->n_missing > 0)
        return;
    if (reload->step == PREPARING && (reload->err != ERR_NONE || daemon->ending != RUNNING)) {
        if (reload->err != ERR_NONE)
            voice_say(&reload->voice, LOG_LEVEL_ERROR, "%s", err_text(reload->err));
        order_all(reload, FORGETTING, worker_order_forget);
    } else if (reload->step == PREPARING) {
        logsink_turn(daemon->sink, &reload->next->config->log);
        order_all(reload, TURNING, worker_order_turn);
    } else {
        finish(reload, reload->step == TURNING);
    }
}

void reload_on_turned(struct worker *worker)
{
    struct daemon *daemon = worker->owner;
    worker->turning.mail.deliver = on_answer;
    mailbox_post(&daemon->workers[0]->mailbox, &worker->turning.mail);
}

bool reload_needs_workers(const struct reload *reload)
{
    return reload != NULL && reload->step != READING;
}

/* Signals are for the workers. */
static bool start_thread(struct reload *reload)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&reload->thread, NULL, run_reading, reload);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        pthread_setname_np(reload->thread, "sockeye-reload");
    return failed == 0;
}

static struct reload *start(struct daemon *daemon)
{
    struct reload *reload = calloc(1, sizeof *reload);
    if (reload == NULL)
        return NULL;
    *reload = (struct reload){.daemon = daemon,
                              .voice = {.say = say},
                              .messages = {.say = say_message},
                              .read = {.deliver = on_read},
                              .port = logsink_port_new(daemon->sink)};
    if (reload->port != NULL) {
        reload->log = logsink_log(reload->port);
        if (start_thread(reload))
            return reload;
    }
    logsink_port_free(reload->port);
    free(reload);
    return NULL;
}

void reload_begin(struct daemon *daemon)
{
    if (daemon->ending != RUNNING)
        return;
    if (daemon->reload != NULL) {
        daemon->reload->is_followed = true;
        return;
    }
    timer_clear(loop_timers(daemon->workers[0]->loop), &daemon->notify_again);
    notify_reloading(&daemon->notify);
    daemon->reload = start(daemon);
    if (daemon->reload == NULL) {
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_ERROR,
                "reload refused: no memory or no thread to be had");
        daemon_notify_ready(daemon, "Reload refused: no memory or no thread to be had");
    }
}

bool reload_end(struct daemon *daemon)
{
    struct reload *reload = daemon->reload;
    if (reload == NULL)
        return true;
    uint64_t until_ms = sys_wall_ms() + LAST_READING_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    /* Its letter is read when the mailbox is closed. */
    reload->is_joined = pthread_timedjoin_np(reload->thread, NULL, &until) == 0;
    return reload->is_joined;
}
