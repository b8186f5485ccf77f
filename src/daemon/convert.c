#include "daemon/convert.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/convert_tunnel.h"
#include "daemon/instance.h"
#include "daemon/statefolder.h"
#include "flow/users.h"
#include "inbound/protocols.h"
#include "outbound/outbounds.h"
#include "route/route.h"
#include "tunnel/far.h"
#include "tunnel/far_roster.h"
#include "tunnel/outbound.h"

/* Long enough to make guessing slow, short enough for who has mistyped. */
#define PENALTY_MS 1000

static const struct inbound_protocol *const protocols[] = {
    [INBOUND_SOCKS] = &inbound_socks,   [INBOUND_HTTP] = &inbound_http,
    [INBOUND_MIXED] = &inbound_mixed,   [INBOUND_RELAY] = &inbound_relay,
    [INBOUND_TUNNEL] = &inbound_tunnel,
};

/* Passwords that are hashes want a verifier; it belongs to the process, as what it knows does. */
static enum err set_users(struct runtime *runtime, struct inbound *inbound,
                          const struct config_inbound *from)
{
    if (!from->has_users || from->type == INBOUND_TUNNEL)
        return ERR_NONE;
    struct user *list = calloc(from->n_users + 1, sizeof *list); /* never 0 bytes */
    if (list == NULL)
        return ERR_MEMORY;
    bool has_hashes = false;
    for (size_t i = 0; i < from->n_users; i++) {
        const struct config_user *user = &from->users[i];
        list[i] = (struct user){user->name, user->password, user->is_hash};
        has_hashes |= user->is_hash;
    }
    struct users *users = NULL;
    enum err err = users_new(&users, list, from->n_users);
    free(list);
    inbound->users = users;
    if (err == ERR_NONE && has_hashes && runtime->shared->verifier == NULL)
        err = verifier_new(&runtime->shared->verifier);
    return err;
}

/* The one that is there whatever the file says: it may say that the name stands for one of its own. */
static struct outbound *find_direct(const struct runtime *runtime)
{
    size_t i = 0;
    while (strcmp(runtime->config->outbounds[i].name, "direct") != 0)
        i++;
    return runtime->ruleset.outbounds[i];
}

static struct inbound_command command_of(const struct config_command *from)
{
    return (struct inbound_command){
        .is_enabled = from->enabled,
        .port_from = from->ports.from,
        .port_to = from->ports.to,
        .advertise = from->advertise,
    };
}

/* Without a folder for its state it works. Where that cannot be made the files in it cannot either, which is said of them
 * (runtime_warn_of_state()). */
static enum err set_far(struct runtime *runtime, struct inbound *inbound,
                        const struct config_inbound *from)
{
    char folder[PATHS_BYTES];
    enum err err = statefolder_make(folder, runtime->config);
    bool has_folder = err == ERR_NONE || folder[0] != '\0';
    return convert_tunnel_inbound(inbound, runtime->tunnels, has_folder ? folder : NULL,
                                  runtime->config, from);
}

/* What comes so goes direct, unless the inbound says otherwise: the rules are about who comes in here. */
static enum err set_far_listens(struct runtime *runtime, struct inbound *inbound,
                                const struct config_inbound *from)
{
    struct inbound_listen *listens = calloc(from->n_listens, sizeof *listens);
    if (listens == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < from->n_listens; i++)
        listens[i] = (struct inbound_listen){from->listens[i].addr, from->listens[i].optional};
    inbound->listens = listens;
    inbound->n_listens = from->n_listens;
    inbound->listen_via = runtime->ruleset.outbounds[from->listen_via];
    if (inbound->outbound == NULL)
        inbound->outbound = find_direct(runtime);
    return ERR_NONE;
}

static enum err set_inbound(struct runtime *runtime, struct inbound *inbound,
                            const struct config_inbound *from)
{
    inbound->ruleset = &runtime->ruleset;
    inbound->protocol = protocols[from->type];
    inbound->name = from->name;
    inbound->outbound = from->has_outbound ? runtime->ruleset.outbounds[from->outbound] : NULL;
    inbound->allow = (struct cidr_list){from->allow.items, from->allow.n};
    inbound->deny = (struct cidr_list){from->deny.items, from->deny.n};
    inbound->allow_targets =
        (struct target_rule_list){from->allow_targets.items, from->allow_targets.n};
    inbound->deny_targets =
        (struct target_rule_list){from->deny_targets.items, from->deny_targets.n};
    inbound->allow_reverse =
        (struct target_rule_list){from->allow_reverse.items, from->allow_reverse.n};
    inbound->target = from->target;
    inbound->speedtest = from->speedtest ? &outbound_speedtest : NULL;
    inbound->udp = command_of(&from->udp);
    inbound->bind = command_of(&from->bind);
    inbound->denies_loopback = from->is_exposed;
    inbound->max_connections = from->connections;
    inbound->max_per_client = from->per_client;
    enum err err = counts_hold(&runtime->shared->counts, from->name, &inbound->counts);
    if (err == ERR_NONE)
        err = set_users(runtime, inbound, from);
    if (err == ERR_NONE && from->has_listen_via)
        err = set_far_listens(runtime, inbound, from);
    if (err == ERR_NONE && from->type == INBOUND_TUNNEL)
        err = set_far(runtime, inbound, from);
    return err;
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
        .penalty_ms = PENALTY_MS,
        .udp_idle_ms = limits->udp_idle_ms,
        .max_connections = limits->connections,
        .max_held_bytes = limits->memory_mb * 1024 * 1024,
        .drain_s = limits->drain_s,
        .keepalive_s = limits->keepalive_s > INT_MAX ? INT_MAX : (unsigned)limits->keepalive_s,
    };
}

static struct outbound *new_direct(const struct config_outbound *from)
{
    struct outbound_direct *direct = malloc(sizeof *direct);
    if (direct == NULL)
        return NULL;
    *direct = (struct outbound_direct){
        .base = {.ops = &outbound_direct, .name = from->name},
        .options =
            {
                .bind4 = from->bind4,
                .bind6 = from->bind6,
                .interface = from->interface,
                .mark = from->fwmark,
                .fast_open = from->fast_open,
            },
    };
    return &direct->base;
}

static struct outbound *new_block(const struct config_outbound *from)
{
    struct outbound *outbound = malloc(sizeof *outbound);
    if (outbound != NULL)
        *outbound = (struct outbound){.ops = &outbound_block, .name = from->name};
    return outbound;
}

static struct upstream_server server_of(const struct config_outbound *from)
{
    return (struct upstream_server){&from->servers[0], from->username, from->password};
}

static struct outbound *new_socks(const struct config_outbound *from)
{
    struct upstream_server server = server_of(from);
    return outbound_socks_new(from->name, &server);
}

static struct outbound *new_http(const struct config_outbound *from)
{
    struct upstream_server server = server_of(from);
    return outbound_http_new(from->name, &server);
}

static struct outbound *(*const new_outbound[])(const struct config_outbound *from) = {
    [OUTBOUND_DIRECT] = new_direct,
    [OUTBOUND_BLOCK] = new_block,
    [OUTBOUND_SOCKS] = new_socks,
    [OUTBOUND_HTTP] = new_http,
};

/* Before the first tunnel is there that tells it. */
static void load_instance(struct runtime *runtime)
{
    char folder[PATHS_BYTES];
    if (!runtime->tunnels->has_instance && statefolder_make(folder, runtime->config) == ERR_NONE)
        runtime->tunnels->instance_fd = instance_load(runtime->tunnels->instance, folder);
    runtime->tunnels->has_instance = true;
}

static enum err make_outbound(struct outbound **out, struct runtime *runtime,
                              const struct config_outbound *from)
{
    if (from->type == OUTBOUND_TUNNEL) {
        load_instance(runtime);
        return convert_tunnel_outbound(out, runtime->tunnels, runtime->config, from);
    }
    *out = new_outbound[from->type](from);
    return *out == NULL ? ERR_MEMORY : ERR_NONE;
}

/* In the order of the configuration's, since other parts name them by index. */
static enum err set_outbounds(struct runtime *runtime)
{
    const struct config *config = runtime->config;
    struct ruleset *ruleset = &runtime->ruleset;
    assert(ruleset->n_outbounds == 0);
    ruleset->outbounds = calloc(config->n_outbounds, sizeof(struct outbound *));
    if (ruleset->outbounds == NULL)
        return ERR_MEMORY;
    for (; ruleset->n_outbounds < config->n_outbounds; ruleset->n_outbounds++) {
        size_t i = ruleset->n_outbounds;
        enum err err = make_outbound(&ruleset->outbounds[i], runtime, &config->outbounds[i]);
        if (err != ERR_NONE)
            return err;
    }
    for (size_t i = 0; i < config->n_outbounds; i++)
        if (config->outbounds[i].has_via)
            ruleset->outbounds[i]->via = ruleset->outbounds[config->outbounds[i].via];
    return ERR_NONE;
}

static enum err set_inbounds(struct runtime *runtime)
{
    const struct config *config = runtime->config;
    struct ruleset *ruleset = &runtime->ruleset;
    ruleset->inbounds = calloc(config->n_inbounds, sizeof *ruleset->inbounds);
    if (ruleset->inbounds == NULL)
        return ERR_MEMORY;
    ruleset->n_inbounds = config->n_inbounds;
    enum err err = ERR_NONE;
    for (size_t i = 0; i < config->n_inbounds && err == ERR_NONE; i++)
        err = set_inbound(runtime, &ruleset->inbounds[i], &config->inbounds[i]);
    return err;
}

static const enum route_kind route_kinds[] = {
    [RULE_DOMAIN] = ROUTE_DOMAIN,
    [RULE_DOMAIN_SUFFIX] = ROUTE_DOMAIN_SUFFIX,
    [RULE_DOMAIN_KEYWORD] = ROUTE_DOMAIN_KEYWORD,
    [RULE_DOMAIN_SET] = ROUTE_DOMAIN_SET,
    [RULE_IP_CIDR] = ROUTE_IP_CIDR,
    [RULE_SRC_IP_CIDR] = ROUTE_SRC_IP_CIDR,
    [RULE_DST_PORT] = ROUTE_DST_PORT,
    [RULE_IN_NAME] = ROUTE_IN_NAME,
    [RULE_IN_USER] = ROUTE_IN_USER,
    [RULE_MATCH] = ROUTE_MATCH,
};

static struct route_rule rule_of(const struct config_rule *from)
{
    bool is_set = from->kind == RULE_DOMAIN_SET;
    const char *text = is_set ? from->set : from->text;
    return (struct route_rule){
        .kind = route_kinds[from->kind],
        .text = text,
        .n_text = is_set         ? from->n_set
                  : text == NULL ? 0
                                 : strlen(text),
        .cidr = from->cidr,
        .port_from = from->port_from,
        .port_to = from->port_to,
        .outbound = (uint32_t)from->outbound,
        .resolve = from->resolve,
    };
}

static enum err set_routes(struct runtime *runtime)
{
    const struct config *config = runtime->config;
    if (config->n_rules == 0)
        return ERR_NONE;
    struct route_rule *rules = calloc(config->n_rules, sizeof *rules);
    if (rules == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < config->n_rules; i++)
        rules[i] = rule_of(&config->rules[i]);
    struct route_table *table = NULL;
    enum err err = route_table_new(&table, rules, config->n_rules, 0);
    runtime->ruleset.routes = table;
    free(rules);
    return err;
}

enum err convert_config(struct runtime *runtime)
{
    runtime->prefer = prefer_of(&runtime->config->dns);
    set_limits(runtime);
    enum err err = set_outbounds(runtime);
    if (err == ERR_NONE)
        err = set_inbounds(runtime);
    if (err == ERR_NONE)
        err = set_routes(runtime);
    return err;
}

static void free_outbound(struct outbound *outbound)
{
    if (outbound->ops->free != NULL)
        outbound->ops->free(outbound);
    else
        free(outbound);
}

void convert_free(struct runtime *runtime)
{
    struct ruleset *ruleset = &runtime->ruleset;
    for (size_t i = 0; i < ruleset->n_inbounds; i++) {
        users_free(ruleset->inbounds[i].users);
        far_roster_free(ruleset->inbounds[i].roster);
        free((void *)(uintptr_t)ruleset->inbounds[i].listens);
        far_spec_release(ruleset->inbounds[i].far);
        counts_release(&runtime->shared->counts, ruleset->inbounds[i].counts);
    }
    free(ruleset->inbounds);
    for (size_t i = 0; i < ruleset->n_outbounds; i++)
        free_outbound(ruleset->outbounds[i]);
    free(ruleset->outbounds);
    route_table_free(ruleset->routes);
}
