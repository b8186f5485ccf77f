#include "daemon/listening.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "io/listener.h"
#include "io/sys.h"

/* A port that is free in one family may be taken in the other; then another is drawn. */
#define PORT_DRAWS_MAX 16

static const char *const type_names[] = {[INBOUND_SOCKS] = "socks",
                                         [INBOUND_HTTP] = "http",
                                         [INBOUND_MIXED] = "mixed",
                                         [INBOUND_RELAY] = "relay"};

/* Opens an address once for each worker; the first decides about the port. */
static enum err open_for_workers(struct listening_on *on, const struct config *config,
                                 size_t n_workers)
{
    const struct config_inbound *inbound = &config->inbounds[on->inbound];
    struct listener_options options = {
        .shares_port = inbound->reuse_port,
        .for_workers = n_workers > 1,
    };
    for (size_t i = 0; i < n_workers; i++) {
        enum err err = listener_open(&on->fds[i], &on->addr, &options);
        if (err != ERR_NONE) {
            on->fds[i] = -1;
            for (size_t opened = 0; opened < i; opened++) {
                sys_close(on->fds[opened]);
                on->fds[opened] = -1;
            }
            return err;
        }
        options.shares_port = options.for_workers; /* with the first, which keeps others out */
    }
    return ERR_NONE;
}

static bool is_family_missing(enum err err)
{
    return err == ERR_NET_UNREACH || err == ERR_HOST_UNREACH;
}

static int complain(const struct listening_on *on, const struct config *config, enum err err)
{
    const struct config_inbound *inbound = &config->inbounds[on->inbound];
    char where[ADDR_TEXT_BYTES];
    addr_format(&on->addr, where);
    fprintf(stderr, "sockeye: cannot listen on %s (%s %s): ", where, type_names[inbound->type],
            inbound->name);
    switch (err) {
    case ERR_IN_USE:
        fprintf(stderr, "the port is taken; end whoever has it (ss -ltnp shows who), choose "
                        "another port, or 0 for a free one\n");
        return EX_UNAVAILABLE;
    case ERR_PERMITTED:
        fprintf(stderr, "not permitted; a port below 1024 needs root or CAP_NET_BIND_SERVICE: "
                        "start it as root, or choose a higher port\n");
        return EX_NOPERM;
    case ERR_HOST_UNREACH:
        fprintf(stderr, "not an address of this machine (ip address shows those it has)\n");
        return EX_UNAVAILABLE;
    case ERR_NET_UNREACH:
        fprintf(stderr, "this machine does not have that address family\n");
        return EX_UNAVAILABLE;
    default:
        fprintf(stderr, "%s\n", err_text(err));
        return EX_UNAVAILABLE;
    }
}

static void close_fds(struct listening_on *on, size_t n_workers)
{
    for (size_t i = 0; i < n_workers; i++) {
        if (on->fds[i] >= 0)
            sys_close(on->fds[i]);
        on->fds[i] = -1;
    }
}

/* Opens the addresses of one group, which share a port. Adds those that could be opened. ERR_NONE,
 * or why *wrong could not be. */
static enum err open_group(struct listening *listening, const struct config *config,
                           size_t inbound_index, size_t from, size_t to,
                           struct listening_on **wrong)
{
    const struct config_inbound *inbound = &config->inbounds[inbound_index];
    size_t n_before = listening->n;
    uint16_t port = 0;
    enum err missing = ERR_NONE;
    for (size_t i = from; i < to; i++) {
        struct listening_on *on = &listening->items[listening->n];
        on->inbound = inbound_index;
        on->addr = inbound->listens[i].addr;
        if (on->addr.port == 0)
            on->addr.port = port;
        enum err err = open_for_workers(on, config, listening->n_workers);
        *wrong = on;
        if (err == ERR_NONE) {
            port = on->addr.port;
            listening->n++;
        } else if (inbound->listens[i].optional && is_family_missing(err)) {
            missing = err;
            fprintf(stderr, "sockeye: warning: no IPv%d on this machine, %s listens without it\n",
                    on->addr.family, inbound->name);
        } else {
            while (listening->n > n_before)
                close_fds(&listening->items[--listening->n], listening->n_workers);
            return err;
        }
    }
    return listening->n > n_before ? ERR_NONE : missing;
}

static int open_inbound(struct listening *listening, const struct config *config, size_t index)
{
    const struct config_inbound *inbound = &config->inbounds[index];
    for (size_t from = 0, to; from < inbound->n_listens; from = to) {
        const struct config_listen *first = &inbound->listens[from];
        for (to = from + 1; to < inbound->n_listens; to++) {
            if (inbound->listens[to].group != first->group)
                break;
        }
        struct listening_on *wrong = NULL;
        enum err err = ERR_IN_USE;
        int n_draws = first->addr.port == 0 ? PORT_DRAWS_MAX : 1;
        for (int i = 0; i < n_draws && err == ERR_IN_USE; i++)
            err = open_group(listening, config, index, from, to, &wrong);
        if (err != ERR_NONE)
            return complain(wrong, config, err);
    }
    return EX_OK;
}

static int allocate(struct listening *listening, const struct config *config, size_t n_workers)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_inbounds; i++)
        n += config->inbounds[i].n_listens;
    *listening = (struct listening){.n_workers = n_workers};
    listening->items = calloc(n, sizeof *listening->items);
    listening->addrs = calloc(n, sizeof *listening->addrs);
    listening->fds = calloc(n * n_workers, sizeof *listening->fds);
    if (listening->items == NULL || listening->addrs == NULL || listening->fds == NULL) {
        free(listening->items);
        free(listening->addrs);
        free(listening->fds);
        *listening = (struct listening){0};
        fprintf(stderr, "sockeye: out of memory\n");
        return EX_OSERR;
    }
    for (size_t i = 0; i < n * n_workers; i++)
        listening->fds[i] = -1;
    for (size_t i = 0; i < n; i++)
        listening->items[i].fds = listening->fds + i * n_workers;
    return EX_OK;
}

int listening_open(struct listening *listening, const struct config *config, size_t n_workers)
{
    int code = allocate(listening, config, n_workers);
    if (code != EX_OK)
        return code;
    for (size_t i = 0; i < config->n_inbounds && code == EX_OK; i++)
        code = open_inbound(listening, config, i);
    if (code != EX_OK) {
        listening_close(listening);
        return code;
    }
    for (size_t i = 0; i < listening->n; i++) {
        const struct listening_on *on = &listening->items[i];
        const struct config_inbound *inbound = &config->inbounds[on->inbound];
        char where[ADDR_TEXT_BYTES];
        addr_format(&on->addr, where);
        fprintf(stderr, "sockeye: listening on %s (%s %s)\n", where, type_names[inbound->type],
                inbound->name);
        listening->addrs[i] = on->addr;
    }
    return EX_OK;
}

void listening_close(struct listening *listening)
{
    for (size_t i = 0; i < listening->n; i++)
        close_fds(&listening->items[i], listening->n_workers);
    free(listening->fds);
    free(listening->items);
    free(listening->addrs);
    *listening = (struct listening){0};
}
