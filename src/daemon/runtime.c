#include "daemon/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/convert.h"

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

void runtime_hold(struct runtime *runtime)
{
    ruleset_hold(&runtime->ruleset);
}

void runtime_release(struct runtime *runtime)
{
    if (runtime != NULL)
        ruleset_release(&runtime->ruleset);
}
