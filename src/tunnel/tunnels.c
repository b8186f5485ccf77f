#include "tunnel/tunnels.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/sign.h"
#include "io/sys.h"

void tunnels_init(struct tunnels *tunnels, struct rng *rng)
{
    *tunnels = (struct tunnels){.instance_fd = -1};
    pthread_mutex_init(&tunnels->lock, NULL);
    list_init(&tunnels->specs);
    far_specs_init(&tunnels->fars);
    claims_init(&tunnels->claims);
    tunnels->signer = signer_new(); /* without one no RSA key signs */
    rng_fill(rng, tunnels->instance, sizeof tunnels->instance);
}

void tunnels_stop(struct tunnels *tunnels)
{
    signer_free(tunnels->signer);
    tunnels->signer = NULL;
}

void tunnels_deinit(struct tunnels *tunnels)
{
    tunnels_stop(tunnels);
    if (tunnels->instance_fd >= 0)
        sys_close(tunnels->instance_fd);
    far_specs_deinit(&tunnels->fars);
    claims_deinit(&tunnels->claims);
    pthread_mutex_destroy(&tunnels->lock);
}

static void free_keys(struct tunnel_settings *settings)
{
    secret_wipe(&settings->key, sizeof settings->key);
    secret_wipe(&settings->user, sizeof settings->user);
    sign_key_free(settings->identity);
    verify_key_free(settings->server);
    settings->identity = NULL;
    settings->server = NULL;
}

static void free_spec(struct tunnel_spec *spec)
{
    free_keys(&spec->settings);
    free((void *)(uintptr_t)spec->settings.name);
    free((void *)(uintptr_t)spec->settings.servers);
    free(spec);
}

/* Several outbounds begin with different workers, and the same one always with the same. */
static uint32_t home_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

char *tunnel_copy_text(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = malloc(n);
    return copy == NULL ? NULL : memcpy(copy, text, n);
}

/* Takes the keys when it succeeds. */
static struct tunnel_spec *new_spec(struct tunnels *tunnels, const struct tunnel_settings *settings)
{
    struct tunnel_spec *spec = calloc(1, sizeof *spec);
    if (spec == NULL)
        return NULL;
    char *name = tunnel_copy_text(settings->name);
    struct target *servers = calloc(settings->n_servers, sizeof *servers);
    if (name == NULL || servers == NULL) {
        free(name);
        free(servers);
        free(spec);
        return NULL;
    }
    memcpy(servers, settings->servers, settings->n_servers * sizeof *servers);
    spec->settings = *settings;
    spec->settings.name = name;
    spec->settings.servers = servers;
    spec->tunnels = tunnels;
    spec->n_holders = 1;
    spec->home = home_of(name);
    list_append(&tunnels->specs, &spec->link);
    return spec;
}

static struct tunnel_spec *find(const struct tunnels *tunnels,
                                const struct tunnel_settings *settings)
{
    for (struct list *at = tunnels->specs.next; at != &tunnels->specs; at = at->next) {
        struct tunnel_spec *spec = CONTAINER_OF(at, struct tunnel_spec, link);
        if (strcmp(spec->settings.name, settings->name) == 0 &&
            memcmp(spec->settings.digest, settings->digest, TUNNEL_DIGEST_BYTES) == 0)
            return spec;
    }
    return NULL;
}

enum err tunnel_spec_hold(struct tunnels *tunnels, struct tunnel_settings *settings,
                          struct tunnel_spec **out)
{
    pthread_mutex_lock(&tunnels->lock);
    struct tunnel_spec *spec = find(tunnels, settings);
    bool is_new = spec == NULL;
    if (is_new)
        spec = new_spec(tunnels, settings);
    else
        spec->n_holders++;
    pthread_mutex_unlock(&tunnels->lock);
    if (!is_new || spec == NULL)
        free_keys(settings);
    *out = spec;
    return spec == NULL ? ERR_MEMORY : ERR_NONE;
}

void tunnel_spec_hold_again(struct tunnel_spec *spec)
{
    pthread_mutex_lock(&spec->tunnels->lock);
    spec->n_holders++;
    pthread_mutex_unlock(&spec->tunnels->lock);
}

void tunnel_spec_release(struct tunnel_spec *spec)
{
    if (spec == NULL)
        return;
    struct tunnels *tunnels = spec->tunnels;
    pthread_mutex_lock(&tunnels->lock);
    bool is_last = --spec->n_holders == 0;
    if (is_last)
        list_remove(&spec->link);
    pthread_mutex_unlock(&tunnels->lock);
    if (is_last)
        free_spec(spec);
}

struct tunnel_env *tunnel_spec_home(const struct tunnel_spec *spec, size_t session)
{
    const struct tunnels *tunnels = spec->tunnels;
    return tunnels->workers[(spec->home + session) % tunnels->n_workers];
}
