#include "daemon/convert_tunnel.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "io/sys.h"
#include "tunnel/far_roster.h"
#include "tunnel/far_spec.h"
#include "tunnel/outbound.h"

/* ---- what tells whether the settings are those of before ---- */

#define DIGEST_PIECES 12

/* What is hashed, each with its length before it, so that no two readings run into one another. */
struct digest {
    struct piece pieces[2 * DIGEST_PIECES];
    uint64_t lengths[DIGEST_PIECES];
    size_t n;
};

static void add(struct digest *digest, const void *bytes, size_t n)
{
    digest->lengths[digest->n] = n;
    digest->pieces[2 * digest->n] =
        (struct piece){&digest->lengths[digest->n], sizeof digest->lengths[0]};
    digest->pieces[2 * digest->n + 1] = (struct piece){bytes, n};
    digest->n++;
}

static void finish(const struct digest *digest, uint8_t out[static SHA256_BYTES])
{
    sha256(out, digest->pieces, 2 * digest->n);
}

/* ---- keys ---- */

/* Of a process that is going to have keys. */
static enum err prepare(void)
{
    sys_hide_memory();
    return crypto_load();
}

static enum err read_private(struct sign_key **out, const struct config_pem *pem)
{
    const char *why;
    *out = NULL;
    return pem->path == NULL ? ERR_NONE : sign_key_read(out, pem->text, pem->n, &why);
}

static enum err read_public(struct verify_key **out, const struct config_pem *pem)
{
    const char *why;
    *out = NULL;
    return pem->path == NULL ? ERR_NONE : verify_key_read(out, pem->text, pem->n, &why);
}

static void make_key(struct link_key *out, const struct config_key *key,
                     const struct verify_key *public)
{
    size_t n;
    if (key->n_bytes > 0) {
        link_key_init(out, key->bytes, key->n_bytes);
    } else {
        const uint8_t *spki = verify_key_spki(public, &n);
        link_key_init_public(out, spki, n);
    }
}

/* ---- windows ---- */

#define LEAST_WINDOW_BYTES (UINT64_C(64) * 1024)
#define STREAM_WINDOWS 4 /* a session's window holds so many streams' */

/*
 * What a session may be sent is held until somebody takes it, and a stream for which there is no memory is lost. So half of memory_mb
 * is divided among the sessions that there may be, of a far end's one for each inbound. UINT64_MAX: no limit.
 */
static uint64_t window_share(const struct config *config)
{
    uint64_t n = 0;
    if (config->limits.memory_mb == 0)
        return UINT64_MAX;
    for (size_t i = 0; i < config->n_inbounds; i++)
        n += config->inbounds[i].type == INBOUND_TUNNEL;
    for (size_t i = 0; i < config->n_outbounds; i++)
        n += config->outbounds[i].type == OUTBOUND_TUNNEL ? config->outbounds[i].sessions : 0;
    uint64_t share = config->limits.memory_mb * 1024 * 1024 / 2 / (n == 0 ? 1 : n);
    return share < LEAST_WINDOW_BYTES ? LEAST_WINDOW_BYTES : share;
}

static uint64_t window_within(uint64_t window_bytes, uint64_t share)
{
    return window_bytes < share ? window_bytes : share;
}

static uint64_t stream_window_within(uint64_t window_bytes, uint64_t share)
{
    share /= STREAM_WINDOWS;
    return window_within(window_bytes, share < LEAST_WINDOW_BYTES ? LEAST_WINDOW_BYTES : share);
}

/* ---- outbounds ---- */

static_assert(CONFIG_MAX_PORTS == TUNNEL_MAX_PORTS, "ports that nobody has room for");

/* The lists of servers and numbers are without padding bytes but what calloc() and static zeros made of them. */
static void digest_outbound(uint8_t out[static SHA256_BYTES], const struct config_outbound *from)
{
    struct digest digest = {.n = 0};
    const uint64_t numbers[] = {
        (uint64_t)from->early_data,
        from->keep_s,
        from->keepalive_s,
        from->clock_skew_s,
        from->window,
        from->stream_window,
        from->sessions,
        from->links,
        (uint64_t)from->mode,
        from->handover.every.from,
        from->handover.every.to,
        from->handover.after.from,
        from->handover.after.to,
        from->has_via,
    };
    add(&digest, from->key.bytes, from->key.n_bytes);
    add(&digest, from->user_key.bytes, from->user_key.n_bytes);
    add(&digest, from->identity.text, from->identity.n);
    add(&digest, from->peer.text, from->peer.n);
    add(&digest, numbers, sizeof numbers);
    add(&digest, from->servers, from->n_servers * sizeof from->servers[0]);
    add(&digest, from->handover.ports, from->handover.n_ports * sizeof from->handover.ports[0]);
    finish(&digest, out);
}

enum err convert_tunnel_outbound(struct outbound **out, struct tunnels *tunnels,
                                 const struct config *config, const struct config_outbound *from)
{
    uint64_t share = window_share(config);
    struct tunnel_settings settings = {
        .name = from->name,
        .servers = from->servers,
        .n_servers = from->n_servers,
        .keep_s = from->keep_s,
        .keepalive_s = from->keepalive_s,
        .window_bytes = window_within(from->window, share),
        .stream_window_bytes = stream_window_within(from->stream_window, share),
        .n_sessions = (size_t)from->sessions,
        .n_links = (unsigned)from->links,
        .is_distributed = from->mode == TUNNEL_DISTRIBUTED,
        .every = {from->handover.every.from * 1000000, from->handover.every.to * 1000000},
        .after = {from->handover.after.from, from->handover.after.to},
        .sends_early = from->early_data != EARLY_NONE,
    };
    for (; settings.n_ports < from->handover.n_ports; settings.n_ports++) {
        const struct config_ports *ports = &from->handover.ports[settings.n_ports];
        settings.ports[settings.n_ports] =
            (struct tunnel_ports){.from = ports->from, .to = ports->to};
    }
    enum err err = prepare();
    if (err == ERR_NONE)
        err = read_private(&settings.identity, &from->identity);
    if (err == ERR_NONE)
        err = read_public(&settings.server, &from->peer);
    if (err != ERR_NONE) {
        sign_key_free(settings.identity);
        return err;
    }
    make_key(&settings.key, &from->key, settings.server);
    settings.user = settings.key;
    if (from->user_key.n_bytes > 0)
        link_key_init(&settings.user, from->user_key.bytes, from->user_key.n_bytes);
    digest_outbound(settings.digest, from);
    err = tunnel_outbound_new(out, tunnels, &settings);
    secret_wipe(&settings, sizeof settings);
    return err;
}

/* ---- inbounds ---- */

/* What a session's streams may have under way together, and one of them. */
#define FAR_WINDOW_BYTES (UINT64_C(64) * 1024 * 1024)
#define FAR_STREAM_WINDOW_BYTES (UINT64_C(16) * 1024 * 1024)

/* Of an inbound at one worker. Clients that sleep or travel have one each, for keep_s at most twice. */
#define FAR_MAX_UNLINKED 4096

/* Of a session. Each has a descriptor, and takes time with each record. A client asks for half as many. */
#define FAR_MAX_LINKS 1024

/* Not of its keys and users: who has one that is good still stays. But the public key is the identity's. */
static void digest_inbound(uint8_t out[static SHA256_BYTES], const struct config_inbound *from,
                           const struct far_settings *settings)
{
    struct digest digest = {.n = 0};
    uint8_t peers[SHA256_BYTES] = {0};
    for (size_t i = 0; i < settings->n_peers; i++) {
        struct digest next = {.n = 0};
        size_t n;
        const uint8_t *spki = verify_key_spki(settings->peers[i], &n);
        add(&next, peers, sizeof peers);
        add(&next, spki, n);
        finish(&next, peers);
    }
    const uint64_t numbers[] = {
        (uint64_t)from->early_data,
        from->keep_s,
        settings->n_peers,
        settings->is_key_public,
    };
    add(&digest, from->identity.text, from->identity.n);
    add(&digest, peers, sizeof peers);
    add(&digest, numbers, sizeof numbers);
    finish(&digest, out);
}

static void free_peers(struct far_settings *settings)
{
    for (size_t i = 0; i < settings->n_peers; i++)
        verify_key_free(settings->peers[i]);
    free(settings->peers);
}

static enum err read_peers(struct far_settings *settings, const struct config_inbound *from)
{
    if (from->n_peers == 0)
        return ERR_NONE;
    settings->peers = calloc(from->n_peers, sizeof(struct verify_key *));
    if (settings->peers == NULL)
        return ERR_MEMORY;
    enum err err = ERR_NONE;
    for (size_t i = 0; i < from->n_peers && err == ERR_NONE; i++) {
        err = read_public(&settings->peers[i], &from->peers[i]);
        settings->n_peers += err == ERR_NONE;
    }
    return err;
}

static const enum gate_early earlies[] = {
    [EARLY_NONE] = GATE_EARLY_NONE,
    [EARLY_OPEN] = GATE_EARLY_OPEN,
    [EARLY_FULL] = GATE_EARLY_FULL,
};

static enum err make_spec(struct far_spec **out, struct tunnels *tunnels,
                          const struct config *config, const struct config_inbound *from)
{
    uint64_t share = window_share(config);
    struct far_settings settings = {
        .name = from->name,
        .is_key_public = from->n_keys == 0,
        .keep_s = from->keep_s,
        .window_bytes = window_within(FAR_WINDOW_BYTES, share),
        .stream_window_bytes = stream_window_within(FAR_STREAM_WINDOW_BYTES, share),
        .max_unlinked = FAR_MAX_UNLINKED,
        .max_links = FAR_MAX_LINKS,
        .early = earlies[from->early_data],
    };
    enum err err = read_private(&settings.identity, &from->identity);
    if (err == ERR_NONE)
        err = read_peers(&settings, from);
    if (err != ERR_NONE) {
        sign_key_free(settings.identity);
        free_peers(&settings);
        return err;
    }
    digest_inbound(settings.digest, from, &settings);
    return far_spec_hold(&tunnels->fars, &settings, out);
}

static struct cidr_list cidrs_of(const struct config_cidrs *from)
{
    return (struct cidr_list){from->items, from->n};
}

static struct target_rule_list rules_of(const struct config_target_rules *from)
{
    return (struct target_rule_list){from->items, from->n};
}

static enum err add_user(struct far_roster *roster, const struct config_inbound *from, size_t i)
{
    const struct config_user *user = &from->users[i];
    struct user_rights rights;
    uint8_t key[32];
    size_t n_key;
    bool has_rights = i < from->n_tunnel_users;
    if (base64_decode(key, sizeof key, &n_key, user->password, strlen(user->password)) != ERR_NONE)
        return ERR_BAD; /* which was checked */
    if (has_rights) {
        const struct config_tunnel_user *named = &from->tunnel_users[i];
        rights = (struct user_rights){
            .allow = cidrs_of(&named->allow),
            .allow_targets = rules_of(&named->allow_targets),
            .deny_targets = rules_of(&named->deny_targets),
            .allow_reverse = rules_of(&named->allow_reverse),
            .per_client = named->per_client,
            .sessions = named->sessions,
        };
    }
    enum err err = far_roster_add(roster, user->name, key, n_key, has_rights ? &rights : NULL);
    secret_wipe(key, sizeof key);
    return err;
}

static enum err make_roster(struct far_roster **out, struct tunnels *tunnels, const char *state,
                            const struct far_spec *spec, const struct config_inbound *from)
{
    static_assert(CONFIG_MAX_KEYS <= HANDSHAKE_MAX_SERVERS, "all keys have room");
    struct far_roster_settings settings = {
        .state = state,
        .n_keys = from->n_keys,
        .has_users = from->has_users,
        .n_users = from->n_users,
        .clock_skew_ms = from->clock_skew_s * 1000,
    };
    for (size_t i = 0; i < from->n_keys; i++)
        link_key_init(&settings.keys[i], from->keys[i].bytes, from->keys[i].n_bytes);
    if (from->n_keys == 0) {
        size_t n;
        const uint8_t *spki = verify_key_spki(sign_key_public(spec->settings.identity), &n);
        link_key_init_public(&settings.keys[settings.n_keys++], spki, n);
    }
    enum err err = far_roster_new(out, &tunnels->fars, &settings);
    secret_wipe(&settings, sizeof settings);
    for (size_t i = 0; i < from->n_users && err == ERR_NONE; i++)
        err = add_user(*out, from, i);
    return err;
}

enum err convert_tunnel_inbound(struct inbound *inbound, struct tunnels *tunnels, const char *state,
                                const struct config *config, const struct config_inbound *from)
{
    enum err err = prepare();
    if (err == ERR_NONE)
        err = make_spec(&inbound->far, tunnels, config, from);
    if (err == ERR_NONE)
        err = make_roster(&inbound->roster, tunnels, state, inbound->far, from);
    return err;
}
