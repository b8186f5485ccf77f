#include "daemon/collect.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/flow.h"
#include "io/sys.h"

struct collecting;

struct letter {
    struct mail mail;
    struct collecting *collecting;
    struct worker *to;
    struct tunnel_session_report *sessions; /* owned */
    size_t n_sessions;
};

struct collecting {
    const struct collector *collector;
    struct status_request *request;
    struct counters *counters;
    size_t n_missing;
    struct letter letters[]; /* one for each worker */
};

static void fill_inbounds(struct status_inbound *inbounds, const struct collector *collector,
                          const struct runtime *runtime)
{
    for (size_t i = 0; i < runtime->ruleset.n_inbounds; i++) {
        const struct inbound *inbound = &runtime->ruleset.inbounds[i];
        struct status_inbound *status = &inbounds[i];
        *status = (struct status_inbound){
            .name = inbound->name,
            .type = inbound->protocol->name,
            .flows_now = atomic_load(&inbound->counts->n_connections),
            .connections = inbound->max_connections,
            .per_client = inbound->max_per_client,
        };
        /* The addresses of one inbound stand together. */
        for (size_t j = 0; j < collector->listening->n; j++) {
            if (collector->listening->items[j].inbound != i)
                continue;
            if (status->n_listens++ == 0)
                status->listens = &collector->listening->items[j];
        }
    }
}

static uint64_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    uint64_t n = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* the one that looks */
}

/* Those of all workers, owned; NULL: there are none, or no memory. */
static struct tunnel_session_report *join_sessions(struct collecting *collecting, size_t *n)
{
    size_t n_workers = collecting->collector->n_workers, n_all = 0;
    *n = 0;
    for (size_t i = 0; i < n_workers; i++)
        n_all += collecting->letters[i].n_sessions;
    struct tunnel_session_report *all = n_all == 0 ? NULL : calloc(n_all, sizeof *all);
    for (size_t i = 0; i < n_workers; i++) {
        struct letter *letter = &collecting->letters[i];
        if (all != NULL && letter->n_sessions > 0)
            memcpy(all + *n, letter->sessions, letter->n_sessions * sizeof *all);
        *n += all == NULL ? 0 : letter->n_sessions;
        free(letter->sessions);
    }
    return all;
}

/* By the configuration in force now, which need not be that of when it was asked. */
static void answer(struct collecting *collecting)
{
    const struct collector *collector = collecting->collector;
    const struct runtime *runtime = *collector->runtime;
    struct status_request *request = collecting->request;
    size_t n_inbounds = runtime->ruleset.n_inbounds;
    struct status_inbound *inbounds = calloc(n_inbounds, sizeof *inbounds);
    size_t n_sessions;
    struct tunnel_session_report *sessions = join_sessions(collecting, &n_sessions);
    request->status = (struct status){.version = SOCKEYE_VERSION};
    if (inbounds != NULL) {
        fill_inbounds(inbounds, collector, runtime);
        request->status = (struct status){
            .version = SOCKEYE_VERSION,
            .pid = getpid(),
            .uptime_ms = sys_monotonic_ms() - collector->began_ms,
            .n_reloads = collector->reloads->n,
            .config_read_ms = collector->reloads->read_at_ms,
            .workers = collecting->counters,
            .n_workers = collector->n_workers,
            .inbounds = inbounds,
            .n_inbounds = n_inbounds,
            .sessions = sessions,
            .n_sessions = n_sessions,
            .limits = &runtime->config->limits,
            .descriptors_limit = collector->descriptors_limit,
            .descriptors_in_use = count_descriptors(),
        };
    }
    request->done(request);
    free(inbounds);
    free(sessions);
    free(collecting->counters);
    free(collecting);
}

/* On the thread of the worker that asked. */
static void on_returned(struct mail *mail)
{
    struct collecting *collecting = CONTAINER_OF(mail, struct letter, mail)->collecting;
    if (--collecting->n_missing == 0)
        answer(collecting);
}

/* On the thread of the worker whose counters are wanted. */
static void on_asked(struct mail *mail)
{
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
    struct collecting *collecting = letter->collecting;
    struct counters *counters = &collecting->counters[letter - collecting->letters];
    *counters = letter->to->env.counters;
    flow_count_live(&letter->to->env, counters);
    /* Who lacks the memory for it tells of none. */
    if (tunnel_report(&letter->to->tunnels, &letter->sessions, &letter->n_sessions) != ERR_NONE)
        letter->n_sessions = 0;
    letter->mail.deliver = on_returned;
    mailbox_post(&collecting->collector->workers[0]->mailbox, &letter->mail);
}

void collect_status(void *arg, struct status_request *request)
{
    const struct collector *collector = arg;
    size_t n = collector->n_workers;
    struct collecting *collecting =
        calloc(1, sizeof *collecting + n * sizeof collecting->letters[0]);
    struct counters *counters = calloc(n, sizeof *counters);
    if (collecting == NULL || counters == NULL) {
        free(collecting);
        free(counters);
        request->status = (struct status){.version = SOCKEYE_VERSION};
        request->done(request);
        return;
    }
    collecting->collector = collector;
    collecting->request = request;
    collecting->counters = counters;
    collecting->n_missing = n;
    for (size_t i = 0; i < n; i++) {
        struct letter *letter = &collecting->letters[i];
        letter->collecting = collecting;
        letter->to = collector->workers[i];
        letter->mail.deliver = on_asked;
        mailbox_post(&letter->to->mailbox, &letter->mail);
    }
}
