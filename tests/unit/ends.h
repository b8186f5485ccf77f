/*
 * Both ends of a tunnel in one loop: what flows.inbound takes in goes by a tunnel outbound to the far end, which
 * listens on loopback and opens targets by the outbound of flows.h. The clock is the system's; by the linker's
 * --wrap=sys_monotonic_us each turn is a millisecond. Include it once.
 *
 *     flows_client() -> inbound -> near end ~~ tap ~~ far end -> flows.origin
 */
#ifndef SOCKEYE_TESTS_ENDS_H
#define SOCKEYE_TESTS_ENDS_H

#include "crypto/crypto.h"
#include "flows.h"
#include "folder.h"
#include "io/listener.h"
#include "io/mailbox.h"
#include "io/random.h"
#include "tap.h"
#include "tunnel/far.h"
#include "tunnel/far_roster.h"
#include "tunnel/near.h"
#include "tunnel/outbound.h"
#include "tunnel/replays.h"
#include "tunnel/tunnels.h"

#define PATIENCE_TURNS 60000 /* where each is a millisecond */

static const uint8_t ends_key[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static struct {
    struct tunnel_env env;
    struct tunnel_env *workers[2]; /* the second is a test's own */
    size_t n_workers;              /* 0: one */
    struct loop *also;             /* of the second, turned beside the first; NULL: none */
    struct tunnels tunnels;
    struct mailbox mailbox;
    struct inbound far;
    struct inbound_counts counts;
    struct listener listener;
    struct addr addr; /* of the far end */
    struct outbound *outbound;
    struct outbound *outbounds[1];
    uint8_t near_key[32];           /* ends_key, unless a test has changed it */
    struct sign_key *near_identity; /* taken by the near end */
    struct verify_key *near_server; /* likewise: whom it expects */
    bool near_sends_early;
    unsigned near_links;    /* 0: one */
    uint64_t near_every_us; /* its links are replaced; 0: not */
    char state[64];         /* the far end's directory */
    uint64_t clock_skew_ms; /* its */
} ends;

static inline void ends_settle(void *arg)
{
    flows.now_ms++;
    if (tap.seen != NULL)
        tap_pump();
    if (ends.also != NULL)
        assert_true(loop_turn(ends.also, 0));
    tunnel_env_settle(arg);
}

static inline bool ends_has_room(struct listener *listener)
{
    (void)listener;
    return true;
}

static inline void ends_on_shortage(struct listener *listener, enum err err)
{
    (void)listener;
    (void)err;
    (void)strangers_evict(&ends.env.strangers);
}

static inline void ends_on_accept(struct listener *listener, int fd, const struct addr *from)
{
    (void)listener;
    far_accept(&ends.env, &ends.far, fd, from);
}

static inline void ends_listen(void)
{
    static const struct listener_options plain = {0};
    int fd;
    ends.addr = tcp_addr("127.0.0.1", 0);
    assert_int_equal(listener_open(&fd, &ends.addr, &plain), ERR_NONE);
    ends.listener = (struct listener){
        .has_room = ends_has_room, .on_accept = ends_on_accept, .on_shortage = ends_on_shortage};
    assert_int_equal(listener_start(&ends.listener, flows.env.loop, fd), ERR_NONE);
}

static inline struct far_settings ends_far_settings(void)
{
    struct far_settings settings = {
        .name = "far", .keep_s = 600, .window_bytes = 64 << 20, .stream_window_bytes = 16 << 20};
    return settings;
}

/* Who may come: users of these names and keys of 32 bytes; without names whoever has ends_key. */
static inline struct far_roster *ends_make_roster(const char *const *names, const char *const *keys)
{
    struct far_roster_settings settings = {.state = ends.state,
                                           .n_keys = 1,
                                           .has_users = names != NULL,
                                           .clock_skew_ms = ends.clock_skew_ms};
    struct far_roster *roster;
    link_key_init(&settings.keys[0], ends_key, sizeof ends_key);
    for (; names != NULL && names[settings.n_users] != NULL; settings.n_users++)
        continue;
    assert_int_equal(far_roster_new(&roster, &ends.tunnels.fars, &settings), ERR_NONE);
    for (size_t i = 0; i < settings.n_users; i++)
        assert_int_equal(far_roster_add(roster, names[i], (const uint8_t *)keys[i], 32, NULL),
                         ERR_NONE);
    return roster;
}

static inline void ends_make_far(struct far_settings settings)
{
    ends.far = flows.inbound;
    ends.far.name = "far";
    ends.far.protocol = &inbound_tunnel;
    ends.far.counts = &ends.counts;
    assert_int_equal(far_spec_hold(&ends.tunnels.fars, &settings, &ends.far.far), ERR_NONE);
    ends.far.roster = ends_make_roster(NULL, NULL);
    flows.ruleset.inbounds = &ends.far;
    flows.ruleset.n_inbounds = 1;
    far_turn_all(&ends.env, &flows.ruleset);
}

static inline void ends_make_near(void)
{
    struct target server = {.addr = tap.addr};
    struct tunnel_settings settings = {.name = "client",
                                       .servers = &server,
                                       .n_servers = 1,
                                       .keep_s = 600,
                                       .window_bytes = 64 << 20,
                                       .stream_window_bytes = 16 << 20,
                                       .n_sessions = 1,
                                       .n_links = ends.near_links,
                                       .sends_early = ends.near_sends_early,
                                       .every = {ends.near_every_us, ends.near_every_us},
                                       .identity = ends.near_identity,
                                       .server = ends.near_server};
    link_key_init(&settings.key, ends.near_key, sizeof ends.near_key);
    settings.user = settings.key;
    assert_int_equal(tunnel_outbound_new(&ends.outbound, &ends.tunnels, &settings), ERR_NONE);
    ends.outbounds[0] = ends.outbound;
    flows.ruleset.outbounds = ends.outbounds;
    flows.ruleset.n_outbounds = 1;
    flows.inbound.outbound = ends.outbound;
}

/* After flows_begin(): an inbound whose flows go through the tunnel. */
static inline void ends_begin_with(struct far_settings settings)
{
    memset(&ends.far, 0, sizeof ends.far);
    memset(&ends.counts, 0, sizeof ends.counts);
    flows.shared.max_by_descriptors = 10000;
    assert_int_equal(mailbox_init(&ends.mailbox, flows.env.loop), ERR_NONE);
    flows.env.mailbox = &ends.mailbox;
    tunnels_init(&ends.tunnels, &system_rng);
    ends.tunnels.workers = ends.workers;
    ends.tunnels.n_workers = ends.n_workers == 0 ? 1 : ends.n_workers;
    ends.workers[0] = &ends.env;
    tunnel_env_init(&ends.env, &ends.tunnels, 0, &flows.env, &system_rng);
    loop_set_hook(flows.env.loop, ends_settle, &ends.env);
    ends_make_far(settings);
    ends_listen();
    tap_begin(&ends.addr);
    ends_make_near();
}

/* With the file that lets the far end take flights from the start. */
static inline void ends_make_state(void)
{
    folder_make(ends.state);
    assert_int_equal(replays_make(ends.state, ends_key, sizeof ends_key), ERR_NONE);
}

static inline void ends_remove_state(void)
{
    DIR *dir = opendir(ends.state);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    closedir(dir);
    assert_int_equal(rmdir(ends.state), 0);
}

/* For a test that begins with settings of its own. */
static inline void ends_prepare(void)
{
    assert_int_equal(crypto_load(), ERR_NONE);
    ends_make_state();
    ends.clock_skew_ms = 60000;
    ends.near_identity = NULL;
    ends.near_server = NULL;
    ends.near_sends_early = false;
    ends.near_links = 0;
    ends.near_every_us = 0;
    memcpy(ends.near_key, ends_key, sizeof ends_key);
}

static inline void ends_begin(void)
{
    ends_prepare();
    ends_begin_with(ends_far_settings());
}

/* Every flow has ended. */
static inline void ends_end(void)
{
    listener_stop(&ends.listener);
    tap.is_frozen = false;
    (void)tunnel_env_end(&ends.env, true);
    FLOWS_UNTIL(list_empty(&ends.env.hosts));
    tap_end();
    tunnels_stop(&ends.tunnels);
    far_free_all(&ends.env);
    turn_at_once(flows.env.loop, 2);
    assert_int_equal(ends.counts.n_connections, 0);
    assert_int_equal(flows.shared.n_carriers, 0);
    assert_int_equal(flows.shared.n_silent, 0);
    loop_set_hook(flows.env.loop, NULL, NULL);
    tunnel_env_deinit(&ends.env);
    ends.outbound->ops->free(ends.outbound);
    far_roster_free(ends.far.roster);
    far_spec_release(ends.far.far);
    mailbox_deinit(&ends.mailbox);
    tunnels_deinit(&ends.tunnels);
    ends_remove_state();
    flows_end();
}

#endif
