#include "daemon/convert.h"

#include <limits.h>
#include <stdlib.h>

#include "inbound/protocols.h"
#include "outbound/outbounds.h"

static const struct inbound_protocol *const protocols[] = {
    [INBOUND_SOCKS] = &inbound_socks,
    [INBOUND_HTTP] = &inbound_http,
    [INBOUND_MIXED] = &inbound_mixed,
};

static const struct outbound_ops *const outbound_ops[] = {
    [OUTBOUND_DIRECT] = &outbound_direct,
    [OUTBOUND_BLOCK] = &outbound_block,
};

static enum err set_credentials(struct inbound *inbound, const struct config_inbound *from)
{
    if (from->n_users == 0)
        return ERR_NONE;
    struct credential *credentials = calloc(from->n_users, sizeof *credentials);
    if (credentials == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < from->n_users; i++)
        credentials[i] =
            (struct credential){.user = from->users[i].name, .password = from->users[i].password};
    inbound->credentials = credentials;
    inbound->n_credentials = from->n_users;
    return ERR_NONE;
}

static enum err set_inbound(struct inbound *inbound, const struct config_inbound *from,
                            struct outbound *outbounds)
{
    inbound->protocol = protocols[from->type];
    inbound->name = from->name;
    inbound->outbound = &outbounds[from->outbound];
    inbound->allow = (struct cidr_list){from->allow.items, from->allow.n};
    inbound->deny = (struct cidr_list){from->deny.items, from->deny.n};
    inbound->allow_targets =
        (struct target_rule_list){from->allow_targets.items, from->allow_targets.n};
    inbound->deny_targets =
        (struct target_rule_list){from->deny_targets.items, from->deny_targets.n};
    inbound->denies_loopback = from->is_exposed;
    inbound->max_connections = from->connections;
    inbound->max_per_client = from->per_client;
    return set_credentials(inbound, from);
}

static enum dial_prefer prefer_of(const struct config_dns *dns)
{
    if (dns->prefer == 4)
        return dns->only ? DIAL_V4_ONLY : DIAL_V4_FIRST;
    if (dns->prefer == 6)
        return dns->only ? DIAL_V6_ONLY : DIAL_V6_FIRST;
    return DIAL_AUTO;
}

static void set_limits(struct runtime *runtime)
{
    const struct config_limits *limits = &runtime->config->limits;
    runtime->limits = (struct flow_limits){
        .connect_ms = limits->connect_ms,
        .handshake_ms = limits->handshake_ms,
        .idle_ms = limits->idle_ms,
        .half_closed_ms = limits->half_closed_ms,
        .keepalive_s = limits->keepalive_s > INT_MAX ? INT_MAX : (unsigned)limits->keepalive_s,
    };
    runtime->shared.max_connections = limits->connections;
    runtime->shared.max_held_bytes = limits->memory_mb * 1024 * 1024;
}

/* In the order of the configuration's, since other parts name them by index. */
static enum err set_outbounds(struct runtime *runtime)
{
    const struct config *config = runtime->config;
    runtime->outbounds = calloc(config->n_outbounds, sizeof *runtime->outbounds);
    if (runtime->outbounds == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < config->n_outbounds; i++)
        runtime->outbounds[i] = (struct outbound){.ops = outbound_ops[config->outbounds[i].type],
                                                  .name = config->outbounds[i].name};
    return ERR_NONE;
}

static enum err set_inbounds(struct runtime *runtime)
{
    const struct config *config = runtime->config;
    runtime->inbounds = calloc(config->n_inbounds, sizeof *runtime->inbounds);
    if (runtime->inbounds == NULL)
        return ERR_MEMORY;
    enum err err = ERR_NONE;
    for (size_t i = 0; i < config->n_inbounds && err == ERR_NONE; i++)
        err = set_inbound(&runtime->inbounds[i], &config->inbounds[i], runtime->outbounds);
    return err;
}

enum err convert_config(struct runtime *runtime)
{
    runtime->prefer = prefer_of(&runtime->config->dns);
    set_limits(runtime);
    enum err err = set_outbounds(runtime);
    if (err == ERR_NONE)
        err = set_inbounds(runtime);
    return err;
}

void convert_free(struct runtime *runtime)
{
    for (size_t i = 0; runtime->inbounds != NULL && i < runtime->config->n_inbounds; i++)
        free((void *)(uintptr_t)runtime->inbounds[i].credentials);
    free(runtime->inbounds);
    free(runtime->outbounds);
}
