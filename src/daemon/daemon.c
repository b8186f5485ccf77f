#include "daemon/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/collect.h"
#include "daemon/listening.h"
#include "daemon/logsink.h"
#include "daemon/privileges.h"
#include "daemon/rlimit.h"
#include "daemon/runtime.h"
#include "daemon/worker.h"
#include "io/netwatch.h"
#include "io/sys.h"

#define WORKERS_MAX 1024 /* as the configuration allows */

struct daemon {
    const struct daemon_options *options;
    uint64_t descriptors;
    struct flow_shared shared;
    struct runtime *runtime; /* in force; held */
    struct listening listening;
    struct logsink *sink;
    struct worker *workers[WORKERS_MAX];
    size_t n_workers;
    size_t n_running, n_drained; /* of the workers */
    enum { RUNNING, DRAINING, ENDING_AT_ONCE } ending;
    struct collector collector;
    struct admin *admin;
    struct watch signals;
    struct netwatch netwatch;
};

/* Gives an order to every worker that runs. */
static void order_all(struct daemon *daemon, void (*order)(struct worker *))
{
    for (size_t i = 0; i < daemon->n_running; i++)
        order(daemon->workers[i]);
}

static void on_network_changed(struct netwatch *netwatch)
{
    order_all(CONTAINER_OF(netwatch, struct daemon, netwatch), worker_order_refresh);
}

/* On the first worker's thread. Until the last has drained all run on, and answer `sockeye status`. */
static void on_drained_mail(struct mail *mail)
{
    struct daemon *daemon = CONTAINER_OF(mail, struct worker, drained)->owner;
    if (++daemon->n_drained == daemon->n_running)
        order_all(daemon, worker_order_stop);
}

static void on_worker_drained(struct worker *worker)
{
    struct daemon *daemon = worker->owner;
    mailbox_post(&daemon->workers[0]->mailbox, &worker->drained);
}

static void end(struct daemon *daemon)
{
    struct log *log = daemon->workers[0]->env.log;
    if (daemon->ending == RUNNING) {
        daemon->ending = DRAINING;
        log_say(log, LOG_LEVEL_INFO, "ending: %llu connections have %llu s",
                (unsigned long long)atomic_load(&daemon->shared.n_connections),
                (unsigned long long)daemon->runtime->config->limits.drain_s);
        order_all(daemon, worker_order_drain);
    } else if (daemon->ending == DRAINING) {
        daemon->ending = ENDING_AT_ONCE;
        log_say(log, LOG_LEVEL_INFO, "ending at once");
        order_all(daemon, worker_order_end);
    }
}

static void on_signal(struct watch *watch, unsigned events)
{
    (void)events;
    struct daemon *daemon = CONTAINER_OF(watch, struct daemon, signals);
    struct signalfd_siginfo info;
    ssize_t got;
    while ((got = sys_read(watch->fd, &info, sizeof info)) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            logsink_reopen(daemon->sink);
            log_say(daemon->workers[0]->env.log, LOG_LEVEL_INFO, "SIGHUP: the log is opened anew");
        } else {
            end(daemon);
        }
    }
    if (got < 0 && errno == EAGAIN)
        loop_used_up(watch, LOOP_READ);
}

/* Signals are read from a descriptor of the first worker's loop; all threads inherit the mask. */
static enum err watch_signals(struct daemon *daemon)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return ERR_SYSTEM;
    /* splice(2) raises it where send(2) can be told not to. */
    signal(SIGPIPE, SIG_IGN);
    int fd = sys_signalfd(&set);
    if (fd < 0)
        return sys_err(errno);
    enum err err = loop_add(daemon->workers[0]->loop, &daemon->signals, fd, LOOP_READ, on_signal);
    if (err != ERR_NONE)
        sys_close(fd);
    return err;
}

static size_t count_workers(const struct config *config)
{
    long n = config->workers;
    if (n == 0)
        n = sysconf(_SC_NPROCESSORS_ONLN);
    if (n < 1)
        return 1;
    return n > WORKERS_MAX ? WORKERS_MAX : (size_t)n;
}

/* For tests of the portable backend; ordinary users have no reason to choose. */
static enum loop_backend chosen_backend(void)
{
    const char *name = getenv("SOCKEYE_BACKEND");
    return name != NULL && strcmp(name, "poll") == 0 ? LOOP_POLL : LOOP_EPOLL;
}

static int complain(enum err err)
{
    fprintf(stderr, "sockeye: cannot start: %s\n", err_text(err));
    return err == ERR_MEMORY ? EX_OSERR : EX_UNAVAILABLE;
}

static int open_log(struct daemon *daemon)
{
    enum err err = logsink_new(&daemon->sink, &daemon->runtime->config->log);
    if (err == ERR_NONE)
        return EX_OK;
    if (err == ERR_MEMORY)
        return complain(err);
    fprintf(stderr, "sockeye: cannot open the log %s: %s\n", daemon->runtime->config->log.path,
            strerror(errno));
    return EX_CANTCREAT;
}

static enum err make_workers(struct daemon *daemon)
{
    enum loop_backend backend = chosen_backend();
    for (size_t i = 0; i < daemon->n_workers; i++) {
        struct worker *worker;
        enum err err =
            worker_new(&worker, daemon->runtime, &daemon->listening, i, daemon->sink, backend);
        if (err != ERR_NONE)
            return err;
        worker->owner = daemon;
        worker->on_drained = on_worker_drained;
        worker->drained.deliver = on_drained_mail;
        daemon->workers[i] = worker;
    }
    enum err err = watch_signals(daemon);
    if (err == ERR_NONE &&
        netwatch_init(&daemon->netwatch, daemon->workers[0]->loop, on_network_changed) != ERR_NONE)
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN,
                "cannot learn of network changes: names are kept for their time to live");
    return err;
}

static int start_admin(struct daemon *daemon)
{
    const char *socket = daemon->runtime->config->admin.socket;
    struct worker *first = daemon->workers[0];
    daemon->collector = (struct collector){
        .runtime = &daemon->runtime,
        .listening = &daemon->listening,
        .workers = daemon->workers,
        .n_workers = daemon->n_workers,
        .began_ms = sys_monotonic_ms(),
        .descriptors_limit = daemon->descriptors,
    };
    if (*socket == '\0')
        return EX_OK;
    enum err err = daemon->options->admin->start(&daemon->admin, first->loop, first->env.log,
                                                 socket, collect_status, &daemon->collector);
    if (err == ERR_NONE)
        return EX_OK;
    return err == ERR_PERMITTED ? EX_NOPERM : EX_UNAVAILABLE;
}

static int drop_privileges(const struct daemon *daemon)
{
    struct privileges_need need = {0};
    for (size_t i = 0; i < daemon->listening.n; i++) {
        uint16_t port = daemon->listening.addrs[i].port;
        need.low_ports |= port < 1024;
    }
    char message[PRIVILEGES_MESSAGE_BYTES];
    enum err err = privileges_drop(daemon->runtime->config->user, &need, message);
    if (err == ERR_NONE)
        return EX_OK;
    fprintf(stderr, "sockeye: %s\n", message);
    if (err == ERR_NOT_FOUND)
        return EX_CONFIG;
    return err == ERR_PERMITTED ? EX_NOPERM : EX_OSERR;
}

static void *run_worker(void *arg)
{
    struct worker *worker = arg;
    loop_run(worker->loop);
    return NULL;
}

/* The first worker runs here, the others in threads of their own. */
static int run_workers(struct daemon *daemon)
{
    int code = EX_OK;
    for (daemon->n_running = 1; daemon->n_running < daemon->n_workers; daemon->n_running++) {
        struct worker *worker = daemon->workers[daemon->n_running];
        if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0) {
            fprintf(stderr, "sockeye: cannot start %zu workers: no thread to be had\n",
                    daemon->n_workers);
            code = EX_OSERR;
            break;
        }
    }
    if (code == EX_OK) {
        fprintf(stderr, "sockeye: ready\n");
    } else {
        daemon->ending = ENDING_AT_ONCE;
        order_all(daemon, worker_order_drain);
        order_all(daemon, worker_order_end);
    }
    loop_run(daemon->workers[0]->loop);
    for (size_t i = 1; i < daemon->n_running; i++)
        pthread_join(daemon->workers[i]->thread, NULL);
    return code;
}

/* What is open when all stands, and what comes and goes: look-ups, a few pipes, status questions. */
static uint64_t own_descriptors(const struct daemon *daemon)
{
    int next = sys_eventfd();
    if (next >= 0)
        sys_close(next);
    return (uint64_t)(next >= 0 ? next : 0) + 16 + 8 * daemon->n_workers;
}

static int set_up(struct daemon *daemon)
{
    struct listening *listening = &daemon->listening;
    int code = listening_open(listening, daemon->runtime->config, daemon->n_workers);
    if (code != EX_OK)
        return code;
    enum err err = runtime_set_listening(daemon->runtime, listening->addrs, listening->n);
    if (err == ERR_NONE)
        err = make_workers(daemon);
    if (err != ERR_NONE)
        return complain(err);
    code = start_admin(daemon);
    if (code == EX_OK)
        code = drop_privileges(daemon);
    if (code != EX_OK)
        return code;
    uint64_t own = own_descriptors(daemon);
    atomic_store(&daemon->shared.max_by_descriptors, rlimit_connections(daemon->descriptors, own));
    char warning[RLIMIT_WARNING_BYTES];
    if (rlimit_is_low(daemon->descriptors, own, daemon->runtime->config->limits.connections,
                      warning))
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN, "%s", warning);
    err = logsink_start(daemon->sink);
    return err == ERR_NONE ? EX_OK : complain(err);
}

static void take_down(struct daemon *daemon)
{
    if (daemon->admin != NULL)
        daemon->options->admin->stop(daemon->admin);
    netwatch_deinit(&daemon->netwatch);
    if (daemon->signals.loop != NULL) {
        loop_remove(&daemon->signals);
        sys_close(daemon->signals.fd);
    }
    /* It posts to the mailboxes of the workers. */
    verifier_free(daemon->shared.verifier);
    daemon->shared.verifier = NULL;
    /* The first has the mailbox that the others' last letters go to. */
    for (size_t i = daemon->n_workers; i-- > 0;)
        worker_free(daemon->workers[i]);
    listening_close(&daemon->listening);
}

/* With the configuration in force, from the log to the end. */
static int run_with_log(struct daemon *daemon)
{
    int code = open_log(daemon);
    if (code != EX_OK)
        return code;
    daemon->n_workers = count_workers(daemon->runtime->config);
    code = set_up(daemon);
    if (code == EX_OK)
        code = run_workers(daemon);
    take_down(daemon);
    logsink_free(daemon->sink);
    return code;
}

int daemon_run(struct config *config, const struct daemon_options *options)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL) {
        config_free(config);
        return complain(ERR_MEMORY);
    }
#ifdef M_ARENA_MAX
    /* What a burst leaves in an arena of each thread's own does not go back to the system. */
    mallopt(M_ARENA_MAX, 1);
#endif
    daemon->options = options;
    daemon->descriptors = rlimit_raise_descriptors();
    flow_shared_init(&daemon->shared);
    int code;
    enum err err = runtime_new(&daemon->runtime, config, &daemon->shared);
    if (err == ERR_NONE) {
        code = run_with_log(daemon);
        runtime_release(daemon->runtime);
    } else {
        code = complain(err);
        config_free(config);
    }
    flow_shared_deinit(&daemon->shared);
    free(daemon);
    return code;
}
