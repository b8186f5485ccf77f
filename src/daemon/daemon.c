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

#include "daemon/privileges.h"
#include "daemon/rlimit.h"
#include "daemon/state.h"
#include "io/random.h"
#include "io/sys.h"
#include "tunnel/near.h"

/* How soon the service manager is told again that had no room. */
#define NOTIFY_AGAIN_MS 100

/* For the log's thread to write what it was given last. */
#define LAST_LINES_MS 100

static void on_network_changed(struct netwatch *netwatch)
{
    daemon_order_all(CONTAINER_OF(netwatch, struct daemon, netwatch), worker_order_refresh);
}

/* On the first worker's thread. Until the last has drained all run on, and answer `sockeye status`. */
static void on_drained_mail(struct mail *mail)
{
    struct daemon *daemon = CONTAINER_OF(mail, struct worker, drained)->owner;
    daemon->n_drained++;
    daemon_stop_if_drained(daemon);
}

static void on_worker_drained(struct worker *worker)
{
    struct daemon *daemon = worker->owner;
    mailbox_post(&daemon->workers[0]->mailbox, &worker->drained);
}

static void on_ping_mail(struct mail *mail)
{
    struct daemon *daemon = CONTAINER_OF(mail, struct worker, orders.ping)->owner;
    watchdog_take_answer(&daemon->watchdog);
}

static void on_worker_pinged(struct worker *worker)
{
    struct daemon *daemon = worker->owner;
    worker->orders.ping.deliver = on_ping_mail;
    mailbox_post(&daemon->workers[0]->mailbox, &worker->orders.ping);
}

static void say_that_it_ends(const struct daemon *daemon, struct log *log)
{
    uint64_t n = atomic_load(&daemon->shared.n_connections);
    if (n == 0)
        log_say(log, LOG_LEVEL_INFO, "ending");
    else
        log_say(log, LOG_LEVEL_INFO, "ending: %llu connection%s may go on for %llu s",
                (unsigned long long)n, n == 1 ? "" : "s",
                (unsigned long long)daemon->runtime->config->limits.drain_s);
}

static void end(struct daemon *daemon)
{
    struct log *log = daemon->workers[0]->env.log;
    if (daemon->ending == RUNNING) {
        daemon->ending = DRAINING;
        say_that_it_ends(daemon, log);
        timer_clear(loop_timers(daemon->workers[0]->loop), &daemon->notify_again);
        notify_stopping(&daemon->notify);
        daemon_order_all(daemon, worker_order_drain);
    } else if (daemon->ending == DRAINING) {
        daemon->ending = ENDING_AT_ONCE;
        log_say(log, LOG_LEVEL_INFO, "ending at once");
        daemon_order_all(daemon, worker_order_end);
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
            log_say(daemon->workers[0]->env.log, LOG_LEVEL_INFO,
                    "SIGHUP: the log is opened anew, the configuration read again");
            reload_begin(daemon);
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
    long n = (long)config->workers;
    if (n == 0)
        n = sysconf(_SC_NPROCESSORS_ONLN);
    if (n < 1)
        return 1;
    return n > WORKERS_MAX ? WORKERS_MAX : (size_t)n;
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
    enum loop_backend backend = worker_backend();
    daemon->tunnels.workers = daemon->tunnel_workers;
    daemon->tunnels.n_workers = daemon->n_workers;
    for (size_t i = 0; i < daemon->n_workers; i++) {
        struct worker *worker;
        enum err err =
            worker_new(&worker, daemon->runtime, &daemon->listening, i, daemon->sink, backend);
        if (err != ERR_NONE)
            return err;
        worker->owner = daemon;
        worker->on_drained = on_worker_drained;
        worker->drained.deliver = on_drained_mail;
        worker->on_turned = reload_on_turned;
        worker->on_pinged = on_worker_pinged;
        daemon->workers[i] = worker;
        daemon->tunnel_workers[i] = &worker->tunnels;
    }
    /* Sessions that listen by their far ends begin now. */
    for (size_t i = 0; i < daemon->n_workers; i++)
        near_turn_all(&daemon->workers[i]->tunnels, &daemon->runtime->ruleset);
    enum err err = watch_signals(daemon);
    if (err == ERR_NONE &&
        netwatch_init(&daemon->netwatch, daemon->workers[0]->loop, on_network_changed) != ERR_NONE)
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN,
                "cannot learn of network changes: names are kept for their time to live, tunnels "
                "try again when it is their time");
    return err;
}

static int start_admin(struct daemon *daemon)
{
    const char *socket = daemon->runtime->config->admin.socket;
    struct worker *first = daemon->workers[0];
    daemon->collector = (struct collector){
        .runtime = &daemon->runtime,
        .reloads = &daemon->reloads,
        .listening = &daemon->listening,
        .workers = daemon->workers,
        .n_workers = daemon->n_workers,
        .began_ms = sys_monotonic_ms(),
        .descriptors_limit = daemon->n_descriptors,
    };
    if (*socket == '\0')
        return EX_OK;
    enum err err = daemon->options->admin->start(&daemon->admin, first->loop, first->env.log,
                                                 socket, collect_status, &daemon->collector);
    if (err == ERR_NONE)
        return EX_OK;
    return err == ERR_PERMITTED ? EX_NOPERM : EX_UNAVAILABLE;
}

static void *run_worker(void *arg)
{
    struct worker *worker = arg;
    loop_run(worker->loop);
    return NULL;
}

/* Once workers run, nobody waits for the manager. */
static void notify_again(struct timer *timer)
{
    struct daemon *daemon = CONTAINER_OF(timer, struct daemon, notify_again);
    struct loop *loop = daemon->workers[0]->loop;
    if (notify_ready(&daemon->notify, daemon->status))
        timer_clear(loop_timers(loop), timer);
    else if (timer_set(loop_timers(loop), timer, loop_now_ms(loop) + NOTIFY_AGAIN_MS) != ERR_NONE)
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN, "the service manager does not listen");
}

void daemon_notify_ready(struct daemon *daemon, const char *first_words)
{
    snprintf(daemon->status, sizeof daemon->status,
             "%s; %zu inbounds, %zu addresses listened on, %llu reloads", first_words,
             daemon->runtime->ruleset.n_inbounds, daemon->listening.n,
             (unsigned long long)daemon->reloads.n);
    notify_again(&daemon->notify_again);
}

static void begin_watchdog(struct daemon *daemon)
{
    if (watchdog_start(&daemon->watchdog, &daemon->notify, daemon->workers, daemon->n_workers) !=
        ERR_NONE)
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN,
                "no memory for the watchdog's timer: the service manager will miss its signs");
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
        daemon_notify_ready(daemon, "Running");
        begin_watchdog(daemon);
    } else {
        daemon->ending = ENDING_AT_ONCE;
        daemon_order_all(daemon, worker_order_drain);
        daemon_order_all(daemon, worker_order_end);
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
    uint64_t n_listeners = daemon->listening.n * daemon->n_workers;
    uint64_t n = (uint64_t)(next >= 0 ? next : 0) + 16 + 8 * daemon->n_workers;
    return n > n_listeners ? n - n_listeners : 0;
}

void daemon_count_descriptors(struct daemon *daemon)
{
    uint64_t own = daemon->n_own_descriptors + daemon->listening.n * daemon->n_workers;
    atomic_store(&daemon->shared.max_by_descriptors,
                 rlimit_connections(daemon->n_descriptors, own));
    char warning[RLIMIT_WARNING_BYTES];
    if (rlimit_is_low(daemon->n_descriptors, own, daemon->runtime->config->limits.connections,
                      warning))
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN, "%s", warning);
}

static int open_listening(struct daemon *daemon)
{
    const struct config *config = daemon->runtime->config;
    const struct listening_wishes wishes = {
        .config = config,
        .n_workers = daemon->n_workers,
        .given = &daemon->activation,
        .voice = &voice_stderr,
    };
    struct listening *listening = &daemon->listening;
    int code = listening_open(listening, &wishes);
    activation_close(&daemon->activation, &voice_stderr);
    if (code != EX_OK)
        return code;
    uid_t uid;
    gid_t gid;
    if (privileges_would_be(config->user, &uid, &gid))
        listening_give_to(listening, uid, gid);
    enum err err = runtime_set_listening(daemon->runtime, listening->addrs, listening->n_addrs);
    return err == ERR_NONE ? EX_OK : complain(err);
}

static int set_up(struct daemon *daemon)
{
    int code = open_listening(daemon);
    if (code != EX_OK)
        return code;
    enum err err = make_workers(daemon);
    if (err != ERR_NONE)
        return complain(err);
    code = start_admin(daemon);
    if (code == EX_OK)
        code = daemon_drop_privileges(daemon);
    if (code != EX_OK)
        return code;
    daemon->n_own_descriptors = own_descriptors(daemon);
    daemon_count_descriptors(daemon);
    runtime_warn_of_state(daemon->runtime, daemon->workers[0]->env.log);
    err = logsink_start(daemon->sink);
    return err == ERR_NONE ? EX_OK : complain(err);
}

/* Letters beget letters, and lie inside the workers: all are read before one of those is freed. */
static void read_last_letters(struct daemon *daemon)
{
    bool has_any;
    do {
        has_any = false;
        for (size_t i = 0; i < daemon->n_workers; i++)
            if (daemon->workers[i] != NULL)
                has_any |= mailbox_deliver(&daemon->workers[i]->mailbox);
    } while (has_any);
}

static void take_down(struct daemon *daemon)
{
    if (daemon->admin != NULL)
        daemon->options->admin->stop(daemon->admin);
    watchdog_stop(&daemon->watchdog);
    if (daemon->workers[0] != NULL)
        timer_clear(loop_timers(daemon->workers[0]->loop), &daemon->notify_again);
    netwatch_deinit(&daemon->netwatch);
    if (daemon->signals.loop != NULL) {
        loop_remove(&daemon->signals);
        sys_close(daemon->signals.fd);
    }
    /* It posts to the mailboxes of the workers. */
    verifier_free(daemon->shared.verifier);
    daemon->shared.verifier = NULL;
    tunnels_stop(&daemon->tunnels);
    read_last_letters(daemon);
    for (size_t i = 0; i < daemon->n_workers; i++)
        worker_free(daemon->workers[i]);
    listening_close(&daemon->listening, NULL);
}

/* A reading of the configuration that hangs still uses what there is, so nothing is freed. */
static void leave(struct daemon *daemon, int code)
{
    for (size_t i = 0; i < daemon->n_workers; i++)
        logsink_flush(daemon->workers[i]->port);
    if (daemon->admin != NULL)
        daemon->options->admin->stop(daemon->admin);
    listening_remove_files(&daemon->listening);
    sys_pause(LAST_LINES_MS);
    exit(code);
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
    if (!reload_end(daemon))
        leave(daemon, code);
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
    timer_init(&daemon->notify_again, notify_again);
    daemon->reloads.read_at_ms = sys_wall_ms();
    notify_init(&daemon->notify, &voice_stderr);
    activation_init(&daemon->activation, &voice_stderr);
    daemon->n_descriptors = rlimit_raise_descriptors();
    flow_shared_init(&daemon->shared);
    daemon->fixed = (struct daemon_fixed){.workers = config->workers,
                                          .user = strdup(config->user),
                                          .state = strdup(config->state),
                                          .socket = strdup(config->admin.socket)};
    if (statefolder_find(daemon->state_folder, config) == ERR_NONE)
        daemon_set_state_folder(daemon, config);
    int code;
    tunnels_init(&daemon->tunnels, &system_rng);
    enum err err = runtime_new(&daemon->runtime, config, &daemon->shared, &daemon->tunnels);
    if (err == ERR_NONE) {
        code = run_with_log(daemon);
        runtime_release(daemon->runtime);
    } else {
        fprintf(stderr, "sockeye: cannot start: %s\n", runtime_complaint(err));
        code = err == ERR_MEMORY ? EX_OSERR : EX_UNAVAILABLE;
        config_free(config);
    }
    tunnels_deinit(&daemon->tunnels);
    flow_shared_deinit(&daemon->shared);
    activation_close(&daemon->activation, &voice_stderr);
    notify_deinit(&daemon->notify);
    free(daemon->fixed.user);
    free(daemon->fixed.state);
    free(daemon->fixed.socket);
    free(daemon);
    return code;
}
