/* Anything may be missing here where its error has been said. */
#include "config/check.h"

#include <string.h>

#include "config/conflicts.h"
#include "config/files.h"
#include "config/names.h"
#include "config/routes.h"
#include "config/suggest.h"
#include "config/tunnels.h"
#include "config/upstreams.h"
#include "config/users.h"

#define MAX_FAR_LISTENS 64 /* what a session may have */

const struct node *check_entries(const struct node *root, const char *key)
{
    const struct node *list = node_get(root, key);

    return list != NULL && list->kind == NODE_LIST ? list->first : NULL;
}

/* Whoever had it as his password would get in, and he whose it is would not. */
static void warn_of_hash(struct reading *reading, const struct node *user, const char *password)
{
    const struct config_sources *sources = reading->sources;

    if (password != NULL && password[0] == '$' && sources->knows_hash != NULL &&
        sources->knows_hash(password))
        report_warning(reading->report, node_get(user, "password")->at,
                       "password: this looks like a hash, but is taken for the password itself; "
                       "lines with a hash belong into a users_file");
}

static void check_users(struct reading *reading, const struct node *node,
                        const struct config_inbound *inbound)
{
    struct uses uses = uses_new(reading, inbound->n_users);
    const struct node *user = check_entries(node, "users");

    if (uses.items == NULL)
        return;
    for (size_t i = 0; i < inbound->n_users; i++, user = user->next) {
        const char *name = inbound->users[i].name;
        if (inbound->type != INBOUND_TUNNEL)
            warn_of_hash(reading, user, inbound->users[i].password);
        if (name == NULL)
            continue;
        const struct node *at = node_get(user, "name");
        if (strchr(name, ':') != NULL)
            report_error(reading->report, at->at, "a user's name cannot hold \":\", as %s it there",
                         inbound->type == INBOUND_TUNNEL ? "a users_file ends" : "HTTP ends");
        uses_add(&uses, name, at->at, false);
    }
    uses_check_unique(reading->report, &uses, "user");
}

/* Whether it listens beyond loopback, here or elsewhere. */
static bool is_reachable(const struct config_inbound *inbound)
{
    for (size_t i = 0; i < inbound->n_listens; i++)
        if (inbound->listens[i].path == NULL && !addr_is_loopback(&inbound->listens[i].addr))
            return true;
    return false;
}

/* What the far end of a tunnel is to listen on. */
static void check_far_listens(struct reading *reading, const struct node *node,
                              const struct config_inbound *inbound)
{
    const struct node *listen = node_get(node, "listen"), *reuse = node_get(node, "reuse_port");
    bool has_path = false, has_open_port = false;

    for (size_t i = 0; i < inbound->n_listens; i++) {
        has_path |= inbound->listens[i].path != NULL;
        has_open_port |= inbound->listens[i].path == NULL && inbound->listens[i].addr.port == 0;
    }
    if (has_path)
        report_error(reading->report, listen->at,
                     "listen: with listen_via it is an address of the far end's machine, not a "
                     "unix socket");
    if (has_open_port)
        report_error(reading->report, listen->at,
                     "listen: with listen_via the port cannot be 0: write the one that the far "
                     "end's allow_reverse names");
    if (inbound->reuse_port)
        report_error(reading->report, reuse->key->at,
                     "reuse_port: with listen_via the far end listens, which shares no port");
}

/* Clients send their datagrams to the far end; whom BIND waits for is among the targets, on this side. */
static void check_far_commands(struct reading *reading, const struct node *node,
                               const struct config_inbound *inbound)
{
    const struct node *udp = node_get(node, "udp"), *bind = node_get(node, "bind");
    const char *key = inbound->udp.ports.from > 0                  ? "ports"
                      : inbound->udp.advertise.family != ADDR_NONE ? "advertise"
                                                                   : NULL;

    if (key != NULL)
        report_error(reading->report, node_get(udp, key)->key->at,
                     "udp: with listen_via clients send to the far end: \"%s\" is for its tunnel "
                     "inbound to say",
                     key);
    if (inbound->bind.enabled && inbound->bind.advertise.family == ADDR_NONE)
        report_error(reading->report, bind->key->at,
                     "bind: with listen_via it needs advertise, the address of this machine that "
                     "peers are to connect to");
}

static void find_listen_via(struct reading *reading, const struct node *node,
                            const struct config *config, struct config_inbound *inbound)
{
    const struct node *via = node_get(node, "listen_via");

    if (via == NULL || inbound->type == INBOUND_TUNNEL || !value_stands_for_text(via))
        return;
    struct reference wanted = {via->text, via->at, via->from_env};
    inbound->has_listen_via = names_find_outbound(reading, config, &wanted, &inbound->listen_via);
    if (!inbound->has_listen_via)
        return;
    if (config->outbounds[inbound->listen_via].type != OUTBOUND_TUNNEL)
        report_error(reading->report, via->at,
                     "listen_via: it must name an outbound of type tunnel, by whose far end this "
                     "is listened for");
    check_far_listens(reading, node, inbound);
    check_far_commands(reading, node, inbound);
    /* Who comes may be anywhere. */
    inbound->is_exposed = true;
}

/* A relay has no users, but who connects to it gets no further than its target. A tunnel serves
 * nobody who has no key. */
static void check_exposure(struct report *report, const struct node *node,
                           const struct config_inbound *inbound)
{
    if (!is_reachable(inbound) || inbound->has_users || inbound->type == INBOUND_TUNNEL ||
        node_get(node, "allow") != NULL)
        return;
    struct mark at = node_get(node, "listen")->at;
    if (inbound->type == INBOUND_RELAY)
        report_error(report, at,
                     "anybody who reaches this address would reach the target: add allow with the "
                     "addresses of its clients (allow: [\"*\"] if it is for everybody)");
    else
        report_error(report, at,
                     "anybody who reaches this address could use the proxy: add users, or allow "
                     "with the addresses of its clients (allow: [\"*\"] if it is for everybody)");
}

static void check_inbound(struct reading *reading, const struct node *node,
                          const struct config *config, struct config_inbound *inbound)
{
    const struct node *outbound = node_get(node, "outbound");

    inbound->line = (int)node->at.line;
    inbound->n_users = inbound->n_inline_users;
    inbound->has_users = inbound->type != INBOUND_RELAY &&
                         (node_get(node, "users") != NULL || node_get(node, "users_file") != NULL);
    find_listen_via(reading, node, config, inbound);
    check_exposure(reading->report, node, inbound);
    if (inbound->type == INBOUND_TUNNEL) {
        /* Who comes out of a tunnel may be anywhere. */
        inbound->is_exposed = true;
        tunnels_check_inbound(reading, node, inbound);
    }
    check_users(reading, node, inbound);
    if (inbound->users_file != NULL || inbound->type == INBOUND_TUNNEL)
        users_read_file(reading, node, inbound);
    if (outbound != NULL && value_stands_for_text(outbound)) {
        struct reference wanted = {outbound->text, outbound->at, outbound->from_env};
        inbound->has_outbound = names_find_outbound(reading, config, &wanted, &inbound->outbound);
    }
}

/* Whether one of the keys is likely `key`, mistyped: that has been said, so that nothing is missing. */
static bool has_misspelt(const struct node *node, const char *key)
{
    for (const struct node *value = node->first; value != NULL; value = value->next) {
        if (value->key->kind == NODE_BROKEN)
            continue;
        struct suggest suggest = suggest_for(value->key->text);
        suggest_offer(&suggest, key);
        if (suggest.best != NULL)
            return true;
    }
    return false;
}

/* A relay may leave its target to the far end of a tunnel, if it leads into one whatever the rules
 * say: they are about targets. */
static void check_relay_targets(struct reading *reading, const struct node *root,
                                const struct config *config)
{
    const struct node *node = check_entries(root, "inbounds");

    for (size_t i = 0; i < config->n_inbounds; i++, node = node->next) {
        const struct config_inbound *inbound = &config->inbounds[i];
        bool has_way =
            inbound->has_outbound || (node_get(node, "outbound") == NULL &&
                                      node_get(root, "routes") == NULL && !inbound->has_listen_via);
        if (inbound->type != INBOUND_RELAY || node_get(node, "target") != NULL ||
            has_misspelt(node, "target") ||
            (has_way && config->outbounds[inbound->outbound].type == OUTBOUND_TUNNEL))
            continue;
        report_error(reading->report, node->at,
                     "the key \"target\" is missing in an inbound; for example target: "
                     "\"192.0.2.5:22\"");
    }
}

/* A session has so many at most, and they are all of one. */
static void check_n_far_listens(struct reading *reading, const struct node *root,
                                const struct config *config)
{
    const struct node *node = check_entries(root, "inbounds");
    size_t *n = arena_alloc(reading->scratch, config->n_outbounds, sizeof *n);

    if (n == NULL) {
        reading->report->no_memory = true;
        return;
    }
    for (size_t i = 0; i < config->n_inbounds; i++, node = node->next) {
        const struct config_inbound *inbound = &config->inbounds[i];
        if (!inbound->has_listen_via)
            continue;
        size_t before = n[inbound->listen_via];
        n[inbound->listen_via] += inbound->n_listens;
        if (before <= MAX_FAR_LISTENS && n[inbound->listen_via] > MAX_FAR_LISTENS)
            report_error(reading->report, node_get(node, "listen")->at,
                         "listen: more than %d addresses by the tunnel %s", MAX_FAR_LISTENS,
                         config->outbounds[inbound->listen_via].name);
    }
}

static void find_state_folder(struct reading *reading, struct config *config)
{
    size_t n = config->state != NULL ? strlen(config->state) : 0;

    config->state_folder = n > 0 ? file_path_beside(reading, config->state, n) : config->state;
}

void check_config(struct reading *reading, const struct node *root, struct config *config)
{
    const struct node *node = check_entries(root, "inbounds");
    size_t n_outbounds = config->n_outbounds;

    names_complete(reading, root, config);
    if (reading->report->no_memory)
        return;
    upstreams_check(reading, root, config, n_outbounds);
    for (size_t i = 0; i < config->n_inbounds && !reading->report->no_memory;
         i++, node = node->next)
        check_inbound(reading, node, config, &config->inbounds[i]);
    check_relay_targets(reading, root, config);
    check_n_far_listens(reading, root, config);
    conflicts_check_listens(reading);
    routes_read(reading, root, config);
    conflicts_check_targets(reading, root, config);
    find_state_folder(reading, config);
}
