#include "daemon/errand.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>

#include "flow/inbound.h"
#include "io/random.h"
#include "io/sys.h"
#include "tunnel/outbound.h"

/* An errand that is killed leaves a session behind, at its far end for twice this time. */
#define KEEP_S 10

static int complain(const char *why, enum err err)
{
    fprintf(stderr, "sockeye: %s\n", why);
    return err == ERR_MEMORY ? EX_OSERR : EX_UNAVAILABLE;
}

static void on_signal(struct watch *watch, unsigned events)
{
    (void)events;
    struct errand *errand = CONTAINER_OF(watch, struct errand, signals);
    struct signalfd_siginfo info;
    while (sys_read(watch->fd, &info, sizeof info) == sizeof info) {
        errand->was_interrupted = true;
        errand_stop(errand);
    }
    loop_used_up(watch, LOOP_READ);
}

static enum err watch_signals(struct errand *errand)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return ERR_SYSTEM;
    int fd = sys_signalfd(&set);
    if (fd < 0)
        return sys_err(errno);
    enum err err = loop_add(errand->worker->loop, &errand->signals, fd, LOOP_READ, on_signal);
    if (err != ERR_NONE)
        sys_close(fd);
    return err;
}

/* What is left of it is what connects. */
static void reduce(struct errand *errand, struct config *config, enum log_level level)
{
    static char name[] = "sockeye";
    errand->inbound = (struct config_inbound){.type = INBOUND_RELAY, .name = name};
    config->inbounds = &errand->inbound;
    config->n_inbounds = 1;
    config->n_rules = 0;
    config->log = (struct config_log){.level = level, .sink = LOG_TO_STDERR};
    for (size_t i = 0; i < config->n_outbounds; i++)
        config->outbounds[i].keep_s = KEEP_S;
}

static enum err set_up(struct errand *errand)
{
    enum err err = logsink_new(&errand->sink, &errand->runtime->config->log);
    if (err == ERR_NONE)
        err = worker_new(&errand->worker, errand->runtime, &errand->listening, 0, errand->sink,
                         worker_backend());
    if (err != ERR_NONE)
        return err;
    errand->worker->owner = errand;
    errand->tunnel_worker = &errand->worker->tunnels;
    errand->tunnels.workers = &errand->tunnel_worker;
    errand->tunnels.n_workers = 1;
    err = watch_signals(errand);
    return err == ERR_NONE ? logsink_start(errand->sink) : err;
}

static void take_down(struct errand *errand)
{
    if (errand->signals.loop != NULL) {
        loop_remove(&errand->signals);
        sys_close(errand->signals.fd);
    }
    tunnels_stop(&errand->tunnels);
    if (errand->worker != NULL)
        while (mailbox_deliver(&errand->worker->mailbox))
            continue;
    worker_free(errand->worker);
    runtime_release(errand->runtime);
    logsink_free(errand->sink);
    tunnels_deinit(&errand->tunnels);
    flow_shared_deinit(&errand->shared);
}

int errand_begin(struct errand *errand, struct config *config, enum log_level level)
{
    *errand = (struct errand){.worker = NULL};
    reduce(errand, config, level);
    flow_shared_init(&errand->shared);
    tunnels_init(&errand->tunnels, &system_rng);
    /* The one that was drawn, and not the installation's. */
    errand->tunnels.has_instance = true;
    enum err err = runtime_new(&errand->runtime, config, &errand->shared, &errand->tunnels);
    if (err != ERR_NONE) {
        int code = complain(runtime_complaint(err), err);
        config_free(config);
        take_down(errand);
        return code;
    }
    err = set_up(errand);
    if (err == ERR_NONE)
        return EX_OK;
    int code = complain(err_text(err), err);
    take_down(errand);
    return code;
}

struct outbound *errand_find_tunnel(const struct errand *errand, const char *name)
{
    const struct ruleset *ruleset = &errand->runtime->ruleset;
    const struct config *config = errand->runtime->config;
    for (size_t i = 0; i < ruleset->n_outbounds; i++)
        if (config->outbounds[i].type == OUTBOUND_TUNNEL &&
            (name == NULL || strcmp(name, ruleset->outbounds[i]->name) == 0))
            return ruleset->outbounds[i];
    return NULL;
}

const struct inbound *errand_inbound(const struct errand *errand)
{
    return &errand->runtime->ruleset.inbounds[0];
}

void errand_run(struct errand *errand)
{
    loop_run(errand->worker->loop);
}

void errand_stop(struct errand *errand)
{
    loop_stop(errand->worker->loop);
}

static void on_drained(struct worker *worker)
{
    loop_stop(worker->loop);
}

void errand_end(struct errand *errand)
{
    errand->runtime->config->limits.drain_s = 0;
    errand->worker->on_drained = on_drained;
    worker_order_drain(errand->worker);
    loop_run(errand->worker->loop);
    take_down(errand);
}
