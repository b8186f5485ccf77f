/*
 * First every address looks for a socket that is there already, then the others are opened:
 *
 *     the same address --> what was given at the start, or listened on before
 *     port 0           --> what port 0 was before, of the inbound of that name if it can be
 */
#include "daemon/listening.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* A port that is free in one family may be taken in the other; then another is drawn. */
#define PORT_DRAWS_MAX 16

static const char *const type_names[] = {[INBOUND_SOCKS] = "socks",
                                         [INBOUND_HTTP] = "http",
                                         [INBOUND_MIXED] = "mixed",
                                         [INBOUND_RELAY] = "relay",
                                         [INBOUND_TUNNEL] = "tunnel"};

/* ---- sockets that are opened ---- */

/* Whether one of our own, which this reload may be about to close, keeps others from the address. */
static bool is_in_our_way(const struct listening *before, const struct addr *addr)
{
    for (size_t i = 0; before != NULL && i < before->n; i++) {
        const struct addr *own = &before->items[i].addr;
        if (own->family == addr->family && own->port == addr->port &&
            (addr_equal(own, addr, false) || addr_is_unspecified(own) || addr_is_unspecified(addr)))
            return true;
    }
    return false;
}

static enum err open_socket(struct listening_on *on, const struct listening_wishes *wishes)
{
    const struct config_listen *listen = &on->listen;
    const struct listensock_options options = {
        .n_workers = wishes->n_workers,
        .shares_port = wishes->config->inbounds[on->inbound].reuse_port,
        .has_own = is_in_our_way(wishes->before, &on->addr),
    };
    struct listensock *made;
    enum err err = listen->path != NULL
                       ? listensock_open_unix(&made, listen->path, wishes->n_workers)
                       : listensock_open_tcp(&made, &listen->addr, &on->addr, &options);
    if (err != ERR_NONE)
        return err;
    on->socket = made;
    on->addr = made->addr;
    on->is_new = true;
    return ERR_NONE;
}

/* ---- sockets that are there already ---- */

static bool is_used(const struct listening *listening, const struct listensock *socket)
{
    for (size_t i = 0; i < listening->n; i++) {
        if (listening->items[i].socket == socket)
            return true;
    }
    return false;
}

static bool is_at(const struct listensock *socket, const struct config_listen *listen)
{
    if (listen->path != NULL)
        return socket->path != NULL && strcmp(socket->path, listen->path) == 0 &&
               (socket->is_given || listensock_is_at_path(socket));
    return socket->path == NULL && addr_equal(&socket->addr, &listen->addr, true);
}

static bool was_port_0(const struct listensock *socket, const struct config_listen *listen)
{
    return socket->path == NULL && listen->path == NULL && listen->addr.port == 0 &&
           addr_equal(&socket->asked, &listen->addr, true);
}

/* A port that was drawn for both families stays with one entry in both, or goes from it in both. */
static bool splits_pair(const struct listening *listening, const struct listening_on *on,
                        const struct listensock *socket)
{
    if (!on->listen.optional)
        return false;
    for (size_t i = 0; i < listening->n; i++) {
        const struct listening_on *other = &listening->items[i];
        bool is_pair = other->inbound == on->inbound && other->listen.group == on->listen.group;
        if (other->socket != NULL && other->listen.addr.port == 0 && other->listen.path == NULL &&
            is_pair != (other->addr.port == socket->addr.port))
            return true;
    }
    return false;
}

static struct listensock *
find_kept(const struct listening *listening, const struct listening *before,
          const struct listening_on *on, const char *name,
          bool (*fits)(const struct listensock *, const struct config_listen *))
{
    for (size_t i = 0; i < before->n; i++) {
        struct listening_on *old = &before->items[i];
        const char *old_name = before->config->inbounds[old->inbound].name;
        /* What all of them are looked at for comes last. */
        if (old->socket != NULL && fits(old->socket, &on->listen) &&
            (name == NULL || strcmp(name, old_name) == 0) && !is_used(listening, old->socket) &&
            (on->listen.addr.port != 0 || !splits_pair(listening, on, old->socket)))
            return old->socket;
    }
    return NULL;
}

/* Gives the items that have none yet a socket from before. By name, only to the inbound that had it. */
static void keep(struct listening *listening, const struct listening *before, bool by_name,
                 bool (*fits)(const struct listensock *, const struct config_listen *))
{
    for (size_t i = 0; before != NULL && i < listening->n; i++) {
        struct listening_on *on = &listening->items[i];
        const char *name = by_name ? listening->config->inbounds[on->inbound].name : NULL;
        if (on->socket == NULL)
            on->socket = find_kept(listening, before, on, name, fits);
        if (on->socket != NULL)
            on->addr = on->socket->addr;
    }
}

static enum err adopt(struct listening_on *on, struct activation *given, size_t n_workers)
{
    struct activation_socket *found = activation_find(given, &on->listen.addr, on->listen.path);
    if (found == NULL)
        return ERR_NONE;
    struct listensock *made;
    enum err err = listensock_adopt(&made, found, n_workers);
    if (err != ERR_NONE)
        return err;
    on->socket = made;
    on->is_new = true;
    return ERR_NONE;
}

/* Whether the inbound has a socket that takes in connections to this IPv4 address. */
static bool is_served_by_dual(const struct listening *listening, const struct listening_on *on)
{
    if (on->addr.family != ADDR_V4 || !addr_is_unspecified(&on->addr))
        return false;
    for (size_t i = 0; i < listening->n; i++) {
        const struct listening_on *other = &listening->items[i];
        if (other->inbound == on->inbound && other->socket != NULL && other->socket->is_dual &&
            other->addr.port == on->addr.port)
            return true;
    }
    return false;
}

/* ---- what is wrong ---- */

static bool is_family_missing(enum err err)
{
    return err == ERR_NET_UNREACH || err == ERR_HOST_UNREACH;
}

static const char *why_not(enum err err, bool is_unix)
{
    switch (err) {
    case ERR_IN_USE:
        return is_unix ? "another process answers there, or it is no socket"
                       : "the port is taken; end whoever has it (ss -ltnp shows who), choose "
                         "another port, or 0 for a free one";
    case ERR_PERMITTED:
        return is_unix ? "not permitted; the user this runs as needs the right to make files in "
                         "that directory"
                       : "not permitted; a port below 1024 needs root or CAP_NET_BIND_SERVICE: "
                         "start it as root, or choose a higher port";
    case ERR_HOST_UNREACH:
        return "not an address of this machine (ip address shows those it has)";
    case ERR_NET_UNREACH:
        return "this machine does not have that address family";
    case ERR_NOT_FOUND:
        return is_unix ? "no such directory" : err_text(err);
    case ERR_TOO_LONG:
        return is_unix ? "longer than a socket's path may be (107 bytes)" : err_text(err);
    default:
        return err_text(err);
    }
}

static int complain(const struct listening_on *on, const struct listening_wishes *wishes,
                    enum err err)
{
    const struct config_inbound *inbound = &wishes->config->inbounds[on->inbound];
    char where[LISTENING_TEXT_BYTES];
    listening_format(on, where);
    voice_say(wishes->voice, LOG_LEVEL_ERROR, "cannot listen on %s (%s %s): %s", where,
              type_names[inbound->type], inbound->name, why_not(err, on->listen.path != NULL));
    if (err == ERR_PERMITTED)
        return EX_NOPERM;
    return err == ERR_MEMORY ? EX_OSERR : EX_UNAVAILABLE;
}

/* ---- opening ---- */

static void close_new(struct listening_on *on, size_t n_workers)
{
    if (!on->is_new)
        return;
    listensock_free(on->socket, n_workers);
    on->socket = NULL;
    on->is_new = false;
    on->addr = on->listen.addr;
}

/* The port that the items of a group share: of one that was kept, else as configured. */
static uint16_t port_of_group(const struct listening_on *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].socket != NULL)
            return items[i].addr.port;
    }
    return items[0].listen.addr.port;
}

/* Opens what a group lacks; ERR_NONE, or why *wrong could not be. Families that the machine lacks
 * are left without a socket, as long as one is there. */
static enum err open_group(struct listening_on *items, size_t n,
                           const struct listening_wishes *wishes, const struct listening_on **wrong)
{
    uint16_t port = port_of_group(items, n);
    enum err missing = ERR_NONE;
    size_t n_open = 0;
    for (size_t i = 0; i < n; i++) {
        struct listening_on *on = &items[i];
        enum err err = ERR_NONE;
        *wrong = on;
        if (on->socket == NULL && !on->is_served) {
            on->addr.port = port;
            err = open_socket(on, wishes);
        }
        if (err == ERR_NONE) {
            port = on->addr.port;
            n_open++;
        } else if (on->listen.optional && is_family_missing(err)) {
            missing = err;
        } else {
            for (size_t j = 0; j < i; j++)
                close_new(&items[j], wishes->n_workers);
            return err;
        }
    }
    return n_open > 0 ? ERR_NONE : missing;
}

static int open_missing(struct listening *listening, const struct listening_wishes *wishes)
{
    for (size_t from = 0, to; from < listening->n; from = to) {
        struct listening_on *items = &listening->items[from];
        for (to = from + 1; to < listening->n; to++) {
            const struct listening_on *next = &listening->items[to];
            if (next->inbound != items->inbound || next->listen.group != items->listen.group)
                break;
        }
        const struct listening_on *wrong = NULL;
        enum err err = ERR_IN_USE;
        int n_draws = port_of_group(items, to - from) == 0 ? PORT_DRAWS_MAX : 1;
        for (int i = 0; i < n_draws && err == ERR_IN_USE; i++)
            err = open_group(items, to - from, wishes, &wrong);
        if (err != ERR_NONE)
            return complain(wrong, wishes, err);
    }
    return EX_OK;
}

static int adopt_given(struct listening *listening, const struct listening_wishes *wishes)
{
    for (size_t i = 0; wishes->given != NULL && i < listening->n; i++) {
        enum err err = adopt(&listening->items[i], wishes->given, wishes->n_workers);
        if (err != ERR_NONE)
            return complain(&listening->items[i], wishes, err);
    }
    for (size_t i = 0; i < listening->n; i++) {
        struct listening_on *on = &listening->items[i];
        on->is_served = on->socket == NULL && is_served_by_dual(listening, on);
    }
    return EX_OK;
}

/* A given socket that takes in more than its inbound names. */
static void warn_of_dual(const struct listening *listening, const struct listening_on *on,
                         struct voice *voice)
{
    for (size_t i = 0; i < listening->n; i++) {
        const struct listening_on *other = &listening->items[i];
        if (other->is_served && other->inbound == on->inbound && other->addr.port == on->addr.port)
            return;
    }
    voice_say(voice, LOG_LEVEL_WARN,
              "the socket for [::]:%u that this was started with takes in IPv4 too, which %s does "
              "not name (BindIPv6Only=ipv6-only in its unit)",
              on->addr.port, listening->config->inbounds[on->inbound].name);
}

/* Takes out the families that the machine lacks, and lists the addresses. */
static void settle(struct listening *listening, const struct listening_wishes *wishes)
{
    size_t n = 0;
    for (size_t i = 0; i < listening->n; i++) {
        struct listening_on *on = &listening->items[i];
        const char *name = listening->config->inbounds[on->inbound].name;
        if (on->socket == NULL && !on->is_served) {
            voice_say(wishes->voice, LOG_LEVEL_WARN,
                      "no IPv%d on this machine, %s listens without it", on->addr.family, name);
            continue;
        }
        if (on->addr.family != ADDR_NONE)
            listening->addrs[listening->n_addrs++] = on->addr;
        listening->items[n++] = *on;
    }
    listening->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct listening_on *on = &listening->items[i];
        const struct config_inbound *inbound = &listening->config->inbounds[on->inbound];
        char where[LISTENING_TEXT_BYTES];
        listening_format(on, where);
        if (on->is_new && on->socket != NULL && on->socket->is_dual)
            warn_of_dual(listening, on, wishes->voice);
        if (on->is_new || (on->is_served && wishes->before == NULL))
            voice_say(wishes->voice, LOG_LEVEL_INFO, "listening on %s (%s %s)", where,
                      type_names[inbound->type], inbound->name);
    }
}

static enum err allocate(struct listening *listening, const struct listening_wishes *wishes)
{
    const struct config *config = wishes->config;
    size_t n = 0;
    for (size_t i = 0; i < config->n_inbounds; i++)
        n += config->inbounds[i].has_listen_via ? 0 : config->inbounds[i].n_listens;
    *listening = (struct listening){.config = config, .n_workers = wishes->n_workers};
    listening->items = calloc(n, sizeof *listening->items);
    listening->addrs = calloc(n, sizeof *listening->addrs);
    if (listening->items == NULL || listening->addrs == NULL) {
        free(listening->items);
        free(listening->addrs);
        return ERR_MEMORY;
    }
    for (size_t i = 0; i < config->n_inbounds; i++) {
        const struct config_inbound *inbound = &config->inbounds[i];
        for (size_t j = 0; j < inbound->n_listens && !inbound->has_listen_via; j++)
            listening->items[listening->n++] = (struct listening_on){
                .inbound = i, .listen = inbound->listens[j], .addr = inbound->listens[j].addr};
    }
    return ERR_NONE;
}

int listening_open(struct listening *listening, const struct listening_wishes *wishes)
{
    if (allocate(listening, wishes) != ERR_NONE) {
        *listening = (struct listening){0};
        voice_say(wishes->voice, LOG_LEVEL_ERROR, "out of memory");
        return EX_OSERR;
    }
    keep(listening, wishes->before, false, is_at);
    keep(listening, wishes->before, true, was_port_0);
    keep(listening, wishes->before, false, was_port_0);
    int code = adopt_given(listening, wishes);
    if (code == EX_OK)
        code = open_missing(listening, wishes);
    if (code == EX_OK)
        settle(listening, wishes);
    else
        listening_close(listening, wishes->before);
    return code;
}

void listening_close(struct listening *listening, const struct listening *kept)
{
    for (size_t i = 0; i < listening->n; i++) {
        struct listensock *socket = listening->items[i].socket;
        if (socket != NULL && (kept == NULL || !is_used(kept, socket)))
            listensock_free(socket, listening->n_workers);
    }
    free(listening->items);
    free(listening->addrs);
    *listening = (struct listening){0};
}

void listening_remove_files(const struct listening *listening)
{
    for (size_t i = 0; i < listening->n; i++) {
        if (listening->items[i].socket != NULL)
            listensock_remove_file(listening->items[i].socket);
    }
}

void listening_tell_closed(const struct listening *listening, const struct listening *kept,
                           struct voice *voice)
{
    for (size_t i = 0; i < listening->n; i++) {
        const struct listening_on *on = &listening->items[i];
        char where[LISTENING_TEXT_BYTES];
        if (on->socket == NULL || is_used(kept, on->socket))
            continue;
        listening_format(on, where);
        voice_say(voice, LOG_LEVEL_INFO, "no longer listening on %s", where);
    }
}

void listening_give_to(const struct listening *listening, uid_t uid, gid_t gid)
{
    for (size_t i = 0; i < listening->n; i++) {
        const struct listensock *socket = listening->items[i].socket;
        for (size_t j = 0; socket != NULL && !socket->is_given && j < listening->n_workers; j++) {
            /* Where it does not work, a restart is needed where a reload would have done. */
            if (socket->fds[j] >= 0 && fchown(socket->fds[j], uid, gid) < 0)
                return;
        }
    }
}

void listening_format(const struct listening_on *on, char out[static LISTENING_TEXT_BYTES])
{
    static_assert(LISTENING_TEXT_BYTES >= ADDR_TEXT_BYTES, "room for an address");
    if (on->listen.path != NULL)
        snprintf(out, LISTENING_TEXT_BYTES, "unix:%s", on->listen.path);
    else
        addr_format(&on->addr, out);
}
