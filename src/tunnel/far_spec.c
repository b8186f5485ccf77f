#include "tunnel/far_spec.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/sign.h"
#include "tunnel/far_listen.h"
#include "tunnel/tunnels.h"

void far_specs_init(struct far_specs *specs)
{
    pthread_mutex_init(&specs->lock, NULL);
    list_init(&specs->all);
    list_init(&specs->replays);
}

void far_specs_deinit(struct far_specs *specs)
{
    pthread_mutex_destroy(&specs->lock);
}

static void free_keys(struct far_settings *settings)
{
    sign_key_free(settings->identity);
    for (size_t i = 0; i < settings->n_peers; i++)
        verify_key_free(settings->peers[i]);
    free(settings->peers);
    settings->identity = NULL;
    settings->peers = NULL;
    settings->n_peers = 0;
}

static void free_spec(struct far_spec *spec)
{
    free_keys(&spec->settings);
    free((void *)(uintptr_t)spec->settings.name);
    free(spec);
}

/* Takes the keys. */
static struct far_spec *new_spec(struct far_specs *specs, struct far_settings *settings)
{
    struct far_spec *spec = calloc(1, sizeof *spec);
    if (spec == NULL) {
        free_keys(settings);
        return NULL;
    }
    spec->settings = *settings;
    spec->among = specs;
    spec->n_holders = 1;
    spec->settings.name = tunnel_copy_text(settings->name);
    if (spec->settings.name == NULL) {
        free_spec(spec);
        return NULL;
    }
    spec->reverse = (struct outbound){.ops = &far_listen_outbound, .name = spec->settings.name};
    list_append(&specs->all, &spec->link);
    return spec;
}

static struct far_spec *find(const struct far_specs *specs, const struct far_settings *settings)
{
    for (struct list *at = specs->all.next; at != &specs->all; at = at->next) {
        struct far_spec *spec = CONTAINER_OF(at, struct far_spec, link);
        if (strcmp(spec->settings.name, settings->name) == 0 &&
            memcmp(spec->settings.digest, settings->digest, FAR_DIGEST_BYTES) == 0)
            return spec;
    }
    return NULL;
}

enum err far_spec_hold(struct far_specs *specs, struct far_settings *settings,
                       struct far_spec **out)
{
    pthread_mutex_lock(&specs->lock);
    struct far_spec *spec = find(specs, settings);
    if (spec == NULL) {
        spec = new_spec(specs, settings);
    } else {
        spec->n_holders++;
        free_keys(settings);
    }
    pthread_mutex_unlock(&specs->lock);
    *out = spec;
    return spec == NULL ? ERR_MEMORY : ERR_NONE;
}

void far_spec_hold_again(struct far_spec *spec)
{
    pthread_mutex_lock(&spec->among->lock);
    spec->n_holders++;
    pthread_mutex_unlock(&spec->among->lock);
}

void far_spec_release(struct far_spec *spec)
{
    if (spec == NULL)
        return;
    struct far_specs *specs = spec->among;
    pthread_mutex_lock(&specs->lock);
    bool is_last = --spec->n_holders == 0;
    if (is_last)
        list_remove(&spec->link);
    pthread_mutex_unlock(&specs->lock);
    if (is_last)
        free_spec(spec);
}
