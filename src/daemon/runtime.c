#include "daemon/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/convert.h"
#include "tunnel/far_roster.h"
#include "tunnel/replays.h"

static void free_runtime(struct ruleset *ruleset)
{
    struct runtime *runtime = CONTAINER_OF(ruleset, struct runtime, ruleset);
    convert_free(runtime);
    free((void *)(uintptr_t)ruleset->listening);
    config_free(runtime->config);
    free(runtime);
}

const char *runtime_complaint(enum err err)
{
    return err == ERR_NOT_FOUND ? "tunnels need OpenSSL's libcrypto, version 3, which is not there"
                                : err_text(err);
}

enum err runtime_new(struct runtime **out, struct config *config, struct flow_shared *shared,
                     struct tunnels *tunnels)
{
    struct runtime *runtime = calloc(1, sizeof *runtime);
    if (runtime == NULL)
        return ERR_MEMORY;
    ruleset_init(&runtime->ruleset, free_runtime);
    runtime->config = config;
    runtime->shared = shared;
    runtime->tunnels = tunnels;
    enum err err = convert_config(runtime);
    if (err != ERR_NONE) {
        convert_free(runtime);
        free(runtime);
        return err;
    }
    *out = runtime;
    return ERR_NONE;
}

enum err runtime_set_listening(struct runtime *runtime, const struct addr *addrs, size_t n)
{
    struct addr *copy = calloc(n, sizeof *copy);
    if (copy == NULL && n > 0)
        return ERR_MEMORY;
    if (n > 0)
        memcpy(copy, addrs, n * sizeof *copy);
    runtime->ruleset.listening = copy;
    runtime->ruleset.n_listening = n;
    return ERR_NONE;
}

static void warn_of_replays(const struct inbound *inbound, struct log *log)
{
    const struct replays *replays;
    for (size_t i = 0; (replays = far_roster_replays(inbound->roster, i)) != NULL; i++) {
        const char *path;
        enum err trouble = replays_trouble(replays, &path);
        if (trouble != ERR_NONE)
            log_say(
                log, LOG_LEVEL_WARN,
                "in=%s: which packets have come is remembered in memory only, so that after a "
                "restart nobody gets in for two seconds: %s: %s (`state` names a folder for it)",
                inbound->name, path == NULL ? "no folder" : path, err_text(trouble));
    }
}

void runtime_warn_of_state(const struct runtime *runtime, struct log *log)
{
    bool is_known_again = runtime->tunnels->instance_fd >= 0;
    for (size_t i = 0; i < runtime->ruleset.n_inbounds; i++) {
        const struct inbound *inbound = &runtime->ruleset.inbounds[i];
        if (inbound->roster != NULL)
            warn_of_replays(inbound, log);
        if (inbound->listen_via != NULL && !is_known_again)
            log_say(
                log, LOG_LEVEL_WARN,
                "in=%s: after a restart the far end may not give its addresses back at once, as "
                "no file says that we are the same: the folder of `state` cannot be written to, "
                "or another process has it",
                inbound->name);
    }
}

void runtime_hold(struct runtime *runtime)
{
    ruleset_hold(&runtime->ruleset);
}

void runtime_release(struct runtime *runtime)
{
    if (runtime != NULL)
        ruleset_release(&runtime->ruleset);
}
