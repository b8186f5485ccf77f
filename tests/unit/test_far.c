/* The far end's door: who is answered, who is not, and how little the others learn. */
#include "ends.h"

#include <signal.h>

#include "crypto/sign.h"
#include "tunnel/far_host.h"

static void begin_flows(void **state)
{
    flows_begin(backend_of(state), &inbound_relay, (struct flow_limits){.connect_ms = 20000});
    assert_int_equal(target_parse(&flows.inbound.target, "example.test:80", 15), ERR_NONE);
}

static void begin(void **state)
{
    begin_flows(state);
    ends_begin();
}

static int open_one(void)
{
    int far = flows_client();
    FLOWS_UNTIL(flows.origin >= 0);
    far_send_all(far, "hello", 5);
    flows_expect(flows.origin, "hello", 5);
    return far;
}

static void finish(int far)
{
    far_close(far);
    if (flows.origin >= 0)
        far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

/* Connects to the far end as anybody may. */
static int visit(void)
{
    int fd = tcp_connect(&ends.addr);
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&pollfd, 1, 20000), 1);
    return fd;
}

static void send_slowly(int fd, const uint8_t *bytes, size_t n, size_t piece)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    for (size_t at = 0; at < n;) {
        size_t some = n - at < piece ? n - at : piece;
        ssize_t sent = send(fd, bytes + at, some, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            fail_msg("it is closed after %zu of %zu bytes: %s", at, n, strerror(errno));
        at += sent > 0 ? (size_t)sent : 0;
        turn_at_once(flows.env.loop, 1);
        assert_true(now_ms() < give_up);
    }
}

/* Not a byte comes back, it stays open until the visitor's fin, and then ends by a fin. */
static void expect_silence(const uint8_t *bytes, size_t n, size_t piece)
{
    int fd = visit();
    send_slowly(fd, bytes, n, piece);
    turn_at_once(flows.env.loop, 3);
    if (!flows_is_silent(fd))
        fail_msg("something came for %zu bytes", n);
    shutdown(fd, SHUT_WR);
    flows_expect_end(fd, 0);
    close(fd);
}

static void who_comes_where_memory_is_short_is_told_nothing(void **state)
{
    static const uint8_t bytes[2000];
    begin(state);
    flows.env.limits.max_held_bytes = 1;
    expect_silence(bytes, sizeof bytes, sizeof bytes);
    flows.env.limits.max_held_bytes = 0;
    ends_end();
}

static void who_has_no_key_is_told_nothing(void **state)
{
    static const size_t sizes[] = {0,    1,    5,    6,    16,   57,    86,    87,  102,
                                   103,  104,  118,  119,  200,  511,   512,   513, 1000,
                                   2000, 4095, 4096, 4097, 5000, 20000, 100000};
    static uint8_t bytes[100000];
    begin(state);
    for (size_t i = 0; i < N_ITEMS(sizes); i++) {
        rng_fill(&system_rng, bytes, sizeof bytes);
        expect_silence(bytes, sizes[i], SIZE_MAX);
    }
    expect_silence(bytes, 300, 1);
    FLOWS_UNTIL(ends.env.strangers.n == 0);
    /* Nor is anything said of each. */
    assert_null(strstr(flows.lines, "flight"));
    ends_end();
}

static void a_session_that_was_recorded_gets_no_answer_nor_one_with_any_byte_changed(void **state)
{
    begin(state);
    int far = open_one();
    size_t n = tap.n_seen[0];
    static uint8_t bytes[TAP_SEEN_BYTES];
    assert_in_range(n, 200, sizeof bytes);
    memcpy(bytes, tap_seen(0), n);
    expect_silence(bytes, n, SIZE_MAX);
    expect_silence(bytes, n, 13);
    for (size_t i = 0; i < n; i += i < 130 ? 1 : 29) {
        bytes[i] ^= (uint8_t)(1 + i % 255);
        expect_silence(bytes, n, SIZE_MAX);
        bytes[i] = tap_seen(0)[i];
    }
    for (size_t cut = 1; cut < n; cut += 37)
        expect_silence(bytes, cut, SIZE_MAX);
    assert_non_null(strstr(flows.lines, "warn flight in=far from=127.0.0.1:"));
    assert_non_null(strstr(flows.lines, "why=\"a flight that came before\""));
    /* Those who have the key are served on. */
    far_send_all(far, "more", 4);
    flows_expect(flows.origin, "more", 4);
    finish(far);
}

static void another_key_is_no_key(void **state)
{
    begin_flows(state);
    flows.env.limits.connect_ms = 300;
    ends_prepare();
    ends.near_key[7] ^= 1;
    ends_begin_with(ends_far_settings());
    int far = flows_client();
    FLOWS_UNTIL(tap.n_seen[0] > 103);
    FLOWS_UNTIL(flows.env.counters.strangers_silenced == 1);
    turn_for(flows.env.loop, 50);
    assert_int_equal(tap.conns[0].down.n_passed, 0);
    assert_int_equal(flows.n_asked, 0);
    assert_null(strstr(flows.lines, "flight"));
    far_reset(far);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

static void a_flight_of_another_time_is_told_in_the_log_alone(void **state)
{
    begin_flows(state);
    ends_prepare();
    ends.clock_skew_ms = 1500;
    ends_begin_with(ends_far_settings());
    tap.is_frozen = true;
    int far = flows_client();
    FLOWS_UNTIL(tap.n_conns == 1);
    turn_for(flows.env.loop, 2000);
    tap.is_frozen = false;
    FLOWS_UNTIL(strstr(flows.lines, "why=\"a good key and a wrong clock\"") != NULL);
    assert_int_equal(tap.conns[0].down.n_passed, 0);
    /* The next attempt has the right one. */
    FLOWS_UNTIL(flows.origin >= 0);
    finish(far);
}

static void an_address_that_may_not_come_meets_the_same_silence(void **state)
{
    struct cidr loopback;
    begin(state);
    assert_int_equal(cidr_parse(&loopback, "127.0.0.0/8", 11), ERR_NONE);
    ends.far.deny = (struct cidr_list){&loopback, 1};
    int far = flows_client();
    FLOWS_UNTIL(flows.env.counters.strangers_silenced == 1);
    FLOWS_UNTIL(tap.n_seen[0] > 103);
    assert_int_equal(tap.conns[0].down.n_passed, 0);
    assert_non_null(strstr(flows.lines, "why=\"an address that may not come\""));
    ends.far.deny = (struct cidr_list){0};
    far_reset(far);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

static void strangers_keep_nobody_out(void **state)
{
    int fds[60];
    begin(state);
    flows.shared.max_by_descriptors = 40;
    for (size_t i = 0; i < N_ITEMS(fds); i++) {
        fds[i] = visit();
        send_slowly(fds[i], (const uint8_t *)"some bytes", 1 + i % 10, SIZE_MAX);
    }
    FLOWS_UNTIL(flows.env.counters.strangers_evicted >= 40);
    assert_int_equal(ends.env.strangers.n, 20);
    int far = open_one();
    for (size_t i = 0; i < N_ITEMS(fds); i++)
        close(fds[i]);
    finish(far);
}

static void a_link_with_a_bad_tag_falls_silent_and_its_streams_go_on(void **state)
{
    begin(state);
    int far = open_one();
    tap.flips_at = tap.n_seen[0] + 30;
    far_send_all(far, "changed on its way", 18);
    flows_expect(flows.origin, "changed on its way", 18);
    assert_in_range(tap.n_conns, 2, TAP_MAX);
    assert_non_null(strstr(flows.lines, "why=\"bad tag\""));
    finish(far);
}

/* ---- several workers ---- */

/* A second worker, which listens on a port of its own. */
static struct {
    struct flow_env flow;
    struct tunnel_env env;
    struct mailbox mailbox;
    struct listener listener;
    struct addr addr;
} second;

static void second_settle(void *arg)
{
    tunnel_env_settle(arg);
}

static void second_on_accept(struct listener *listener, int fd, const struct addr *from)
{
    (void)listener;
    far_accept(&second.env, &ends.far, fd, from);
}

static void begin_two(void **state)
{
    static const struct listener_options plain = {0};
    int fd;
    ends.n_workers = 2;
    begin(state);
    memset(&second, 0, sizeof second);
    second.flow = (struct flow_env){.shared = &flows.shared,
                                    .loop = loop_new(backend_of(state)),
                                    .log = &flows.log,
                                    .limits = flows.env.limits,
                                    .on_ended = flows.env.on_ended,
                                    .mailbox = &second.mailbox};
    assert_non_null(second.flow.loop);
    flow_env_init(&second.flow);
    assert_int_equal(mailbox_init(&second.mailbox, second.flow.loop), ERR_NONE);
    tunnel_env_init(&second.env, &ends.tunnels, 1, &second.flow, &system_rng);
    ends.workers[1] = &second.env;
    loop_set_hook(second.flow.loop, second_settle, &second.env);
    far_turn_all(&second.env, &flows.ruleset);
    second.addr = tcp_addr("127.0.0.1", 0);
    assert_int_equal(listener_open(&fd, &second.addr, &plain), ERR_NONE);
    second.listener = (struct listener){.has_room = ends_has_room, .on_accept = second_on_accept};
    assert_int_equal(listener_start(&second.listener, second.flow.loop, fd), ERR_NONE);
    ends.also = second.flow.loop;
}

static void finish_two(int far)
{
    listener_stop(&second.listener);
    far_free_all(&second.env);
    ends.also = NULL;
    mailbox_deinit(&second.mailbox);
    loop_run_deferred(second.flow.loop);
    tunnel_env_deinit(&second.env);
    flow_env_deinit(&second.flow);
    loop_free(second.flow.loop);
    ends.n_workers = 0;
    finish(far);
}

static void a_link_goes_to_the_worker_that_has_its_session(void **state)
{
    begin_two(state);
    int far = open_one();
    for (int i = 0; i < 5; i++) {
        tap.to = i % 2 == 0 ? second.addr : ends.addr;
        tap_cut_all(i < 3);
        far_send_all(far, "more", 4);
        flows_expect(flows.origin, "more", 4);
        far_send_all(flows.origin, "answer", 6);
        flows_expect(far, "answer", 6);
    }
    assert_int_equal(tap.n_conns, 6);
    assert_true(list_empty(&second.env.hosts));
    assert_int_equal(second.env.strangers.n, 0);
    finish_two(far);
}

/* The bytes behind its flight go with it, and who has none of its own sessions is told nothing here either. */
static void what_moves_is_judged_once(void **state)
{
    begin_two(state);
    int far = open_one();
    tap.to = second.addr;
    tap_cut_all(true);
    far_send_all(far, "more", 4);
    flows_expect(flows.origin, "more", 4);
    static uint8_t bytes[TAP_SEEN_BYTES];
    size_t n = tap.n_seen[1];
    memcpy(bytes, tap_seen(1), n);
    expect_silence(bytes, n, SIZE_MAX);
    assert_non_null(strstr(flows.lines, "why=\"a flight that came before\""));
    finish_two(far);
}

/* ---- a user's place ---- */

static void ignore_told(struct claimant *claimant, bool is_replaced)
{
    (void)claimant;
    (void)is_replaced;
}

static struct far_host *far_session(void)
{
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next)
        if (!CONTAINER_OF(at, struct host, link)->is_near)
            return CONTAINER_OF(at, struct far_host, host.link);
    return NULL;
}

/* The word of the one is on its way when its client's comes, that it drains: else it would go on, and count nowhere. */
static void a_session_that_drains_when_another_counts_in_its_place_ends(void **state)
{
    static const char *const users[] = {"ann", NULL}, *const keys[] = {(const char *)ends_key};
    uint8_t who[PEER_WHO_BYTES], user_id[USER_ID_BYTES];
    begin(state);
    far_roster_free(ends.far.roster);
    ends.far.roster = ends_make_roster(users, keys);
    int far = open_one();
    struct far_host *host = far_session();
    struct counted sessions = {.of = &ends.counts, .user = user_id};
    memcpy(user_id, host->user_id, sizeof user_id);
    FLOWS_UNTIL(host->claimant != NULL);
    struct claimant *next = claimant_new(&ends.tunnels.claims, &ends.mailbox, ignore_told, NULL);
    assert_non_null(next);
    peer_who(host->host.peer, who);
    assert_true(claimant_begin(next, who, &ends.counts));
    host->host.ops->on_drained(&host->host, 1000);
    flows_expect_end(far, ECONNRESET);
    FLOWS_UNTIL(far_session() == NULL);
    assert_int_equal(clients_count(&flows.shared.clients, &sessions), 1);
    clients_leave(&flows.shared.clients, &sessions);
    claimant_free(next);
    finish(far);
}

/* ---- restarts and reloads ---- */

static void after_a_restart_old_streams_are_reset_and_new_ones_are_opened(void **state)
{
    begin(state);
    int far = open_one();
    /* Its sockets are closed by the system. */
    far_free_all(&ends.env);
    flows_expect_end(far, ECONNRESET);
    far_close(far);
    far_close(flows.origin);
    flows.origin = -1;
    far = open_one();
    finish(far);
}

/* Where another has its name, as with another key, it has no right any more; else it is let end its connections. */
static void who_is_in_the_configuration_no_more_is_told_so(void **state)
{
    static const char *const whys[] = {"is=drained s=0",
                                       "why=\"the other end says that there is no right"};
    for (size_t is_replaced = 0; is_replaced < 2; is_replaced++) {
        struct inbound other = {.name = "far"};
        struct ruleset without;
        begin(state);
        int far = open_one();
        ruleset_init(&without, NULL);
        without.inbounds = &other;
        without.n_inbounds = is_replaced;
        far_turn_all(&ends.env, &without);
        flows_expect_end(far, ECONNRESET);
        FLOWS_UNTIL(list_empty(&ends.env.fars));
        FLOWS_UNTIL(strstr(flows.lines, whys[is_replaced]) != NULL);
        far_close(far);
        far_close(flows.origin);
        flows.origin = -1;
        FLOWS_UNTIL(list_empty(&flows.env.live));
        /* Whoever comes now meets silence. */
        expect_silence((const uint8_t *)"anything", 8, SIZE_MAX);
        assert_true(list_empty(&ends.env.fars));
        assert_int_equal(without.n_holders, 1);
        ends_end();
    }
}

static void who_stands_at_the_gate_of_what_is_configured_no_more_falls_silent(void **state)
{
    struct ruleset empty;
    begin(state);
    int far = open_one();
    static uint8_t bytes[TAP_SEEN_BYTES];
    memcpy(bytes, tap_seen(0), 50);
    int fd = visit();
    send_slowly(fd, bytes, 50, SIZE_MAX);
    FLOWS_UNTIL(ends.env.strangers.n == 1);
    assert_int_equal(flows.shared.n_silent, 0);
    ruleset_init(&empty, NULL);
    far_turn_all(&ends.env, &empty);
    assert_int_equal(flows.shared.n_silent, 1);
    FLOWS_UNTIL(list_empty(&ends.env.fars));
    send_slowly(fd, bytes + 50, 500, SIZE_MAX);
    assert_true(flows_is_silent(fd));
    shutdown(fd, SHUT_WR);
    flows_expect_end(fd, 0);
    close(fd);
    far_close(far);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

/* Nothing would end what it brings, and the program with it. */
static void who_stands_at_the_gate_when_every_flow_has_been_ended_gets_no_session(void **state)
{
    begin(state);
    flows.env.limits.drain_s = 1000;
    tap.is_frozen = true;
    int far = flows_client();
    FLOWS_UNTIL(tap.n_conns == 1);
    ends.env.is_draining = true;
    flows.env.is_over = true;
    tap.is_frozen = false;
    flows_expect_end(far, ECONNRESET);
    FLOWS_UNTIL(strstr(flows.lines, "is=ended streams=0") != NULL);
    assert_int_equal(flows.n_asked, 0);
    assert_null(strstr(flows.lines, "is=drained"));
    finish(far);
}

static void a_session_lives_over_a_reload_and_goes_by_the_new_rules(void **state)
{
    struct ruleset next;
    struct inbound inbound;
    begin(state);
    int before = open_one(), its_origin = flows.origin;
    flows.origin = -1;
    ruleset_init(&next, NULL);
    inbound = ends.far;
    inbound.ruleset = &next;
    inbound.name = "renamed";
    next.inbounds = &inbound;
    next.n_inbounds = 1;
    far_turn_all(&ends.env, &next);
    int after = open_one();
    assert_int_equal(tap.n_conns, 1);
    far_close(before);
    far_close(its_origin);
    far_close(after);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
    assert_non_null(strstr(flows.lines, "flow in=renamed "));
    far_turn_all(&ends.env, &flows.ruleset);
    assert_int_equal(next.n_holders, 1);
    ends_end();
}

/* ---- identities ---- */

static struct verify_key *public_of(const struct sign_key *key)
{
    char pem[SIGN_PEM_MAX_BYTES];
    size_t n;
    const char *why;
    struct verify_key *public;
    assert_int_equal(verify_key_write(sign_key_public(key), pem, &n), ERR_NONE);
    assert_int_equal(verify_key_read(&public, pem, n, &why), ERR_NONE);
    return public;
}

static struct sign_key *new_key(enum sign_kind kind)
{
    struct sign_key *key;
    assert_int_equal(sign_key_generate(&key, kind, SIGN_MIN_RSA_BITS, &system_rng), ERR_NONE);
    return key;
}

enum who { RIGHT, NOBODY, ANOTHER };

/* The server has an identity and a list of one peer. */
static void begin_identities(void **state, enum sign_kind kind, enum who server, enum who client)
{
    ends_prepare();
    /* Before there is a loop: its clock stands still meanwhile, and an RSA key can take longer than a flow's time to be made. */
    struct sign_key *ours = new_key(kind), *theirs = new_key(kind), *other = new_key(SIGN_ED25519);
    struct far_settings settings = ends_far_settings();
    settings.identity = ours;
    settings.peers = calloc(1, sizeof(struct verify_key *));
    settings.peers[0] = public_of(theirs);
    settings.n_peers = 1;
    ends.near_server = public_of(server == RIGHT ? ours : other);
    if (client == RIGHT)
        ends.near_identity = theirs;
    else
        sign_key_free(theirs);
    if (client == ANOTHER)
        ends.near_identity = other;
    else
        sign_key_free(other);
    begin_flows(state);
    ends_begin_with(settings);
}

static void both_ends_prove_who_they_are(void **state)
{
    static const enum sign_kind kinds[] = {SIGN_ED25519, SIGN_RSA};
    for (size_t i = 0; i < N_ITEMS(kinds); i++) {
        begin_identities(state, kinds[i], RIGHT, RIGHT);
        int far = open_one();
        finish(far);
    }
}

static void who_is_not_among_the_peers_is_met_with_silence(void **state)
{
    for (int is_known = 0; is_known < 2; is_known++) {
        begin_identities(state, SIGN_ED25519, RIGHT, is_known ? ANOTHER : NOBODY);
        int far = flows_client();
        FLOWS_UNTIL(strstr(flows.lines, "why=\"not one of the peers\"") != NULL);
        assert_int_equal(flows.n_asked, 0);
        far_reset(far);
        FLOWS_UNTIL(list_empty(&flows.env.live));
        ends_end();
    }
}

static void a_server_that_is_another_gets_nothing(void **state)
{
    begin_identities(state, SIGN_ED25519, ANOTHER, RIGHT);
    int far = flows_client();
    FLOWS_UNTIL(tap.n_conns >= 2);
    assert_int_equal(flows.n_asked, 0);
    far_reset(far);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

/* Another list of peers: who is in both goes on until drain_s is over, who is not has no right any more. */
static void turn_to_another(struct ruleset *next, struct inbound *inbound, uint8_t digest,
                            struct verify_key **peers, size_t n_peers)
{
    struct far_settings settings = ends_far_settings();
    settings.digest[0] = digest;
    settings.peers = calloc(n_peers, sizeof *peers);
    settings.n_peers = n_peers;
    memcpy(settings.peers, peers, n_peers * sizeof *peers);
    ruleset_init(next, NULL);
    *inbound = ends.far;
    inbound->ruleset = next;
    assert_int_equal(far_spec_hold(&ends.tunnels.fars, &settings, &inbound->far), ERR_NONE);
    next->inbounds = inbound;
    next->n_inbounds = 1;
    far_turn_all(&ends.env, next);
}

static void a_session_whose_peer_is_on_the_new_list_too_is_drained(void **state)
{
    static const char *const whys[] = {"why=\"the other end says that there is no right",
                                       "is=drained s=1000"};
    for (size_t is_listed = 0; is_listed < 2; is_listed++) {
        struct ruleset next, last;
        struct inbound inbound, last_inbound;
        struct sign_key *other = new_key(SIGN_ED25519);
        begin_identities(state, SIGN_ED25519, RIGHT, RIGHT);
        flows.env.limits.drain_s = 1000;
        int far = open_one();
        struct verify_key *peers[2] = {public_of(other)};
        if (is_listed)
            peers[1] = public_of(ends.near_identity);
        turn_to_another(&next, &inbound, 1, peers, 1 + is_listed);
        FLOWS_UNTIL(strstr(flows.lines, whys[is_listed]) != NULL);
        if (is_listed) {
            far_send_all(far, "more", 4);
            flows_expect(flows.origin, "more", 4);
            /* Whoever is taken off it meanwhile has no right any more. */
            peers[0] = public_of(other);
            turn_to_another(&last, &last_inbound, 2, peers, 1);
            FLOWS_UNTIL(strstr(flows.lines, whys[0]) != NULL);
        }
        flows_expect_end(far, ECONNRESET);
        far_close(far);
        far_close(flows.origin);
        flows.origin = -1;
        FLOWS_UNTIL(list_empty(&flows.env.live));
        FLOWS_UNTIL(list_empty(&ends.env.fars));
        assert_int_equal(next.n_holders, 1);
        far_spec_release(inbound.far);
        if (is_listed)
            far_spec_release(last_inbound.far);
        sign_key_free(other);
        ends_end();
    }
}

/* A connection of somebody who has the key: as far as the server's answer. */
static int visit_with_key(void)
{
    uint8_t flight[FLIGHT_MAX_BYTES];
    struct timespec wall;
    struct link_key key;
    struct handshake *handshake;
    size_t n;
    link_key_init(&key, ends_key, sizeof ends_key);
    struct handshake_offer offer = {.server = &key, .user = &key, .keep_s = 600, .has_aes = true};
    clock_gettime(CLOCK_REALTIME, &wall);
    assert_int_equal(handshake_start(&handshake, &offer, (uint64_t)wall.tv_sec * 1000, &system_rng),
                     ERR_NONE);
    assert_int_equal(handshake_write(handshake, 0, &system_rng, flight, &n), ERR_NONE);
    handshake_free(handshake);
    int fd = visit();
    send_slowly(fd, flight, n, SIZE_MAX);
    return fd;
}

/* They are strangers, like those without a key, until they have proved who they are: one of all goes for each that comes. */
static void who_has_the_key_alone_keeps_nobody_out(void **state)
{
    int fds[60];
    begin_identities(state, SIGN_ED25519, RIGHT, RIGHT);
    flows.shared.max_by_descriptors = 40;
    int first = open_one();
    flows.log.level = LOG_LEVEL_WARN; /* of links that come and go */
    for (size_t i = 0; i < N_ITEMS(fds); i++) {
        fds[i] = visit_with_key();
        turn_at_once(flows.env.loop, 3);
    }
    FLOWS_UNTIL(flows.env.counters.strangers_evicted >= 40);
    assert_int_equal(ends.env.strangers.n, 20);
    /* None of them has had the time after which such a one falls silent. */
    assert_int_equal(flows.env.counters.strangers_silenced, 0);
    far_send_all(first, "more", 4);
    flows_expect(flows.origin, "more", 4);
    /* Nor is it in the way of who comes now. */
    tap_cut_all(true);
    far_send_all(first, "and more", 8);
    flows_expect(flows.origin, "and more", 8);
    for (size_t i = 0; i < N_ITEMS(fds); i++)
        close(fds[i]);
    finish(first);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        ON_BOTH(who_has_no_key_is_told_nothing),
        ON_BOTH(who_comes_where_memory_is_short_is_told_nothing),
        ON_BOTH(a_session_that_was_recorded_gets_no_answer_nor_one_with_any_byte_changed),
        ON_BOTH(another_key_is_no_key),
        ON_BOTH(a_flight_of_another_time_is_told_in_the_log_alone),
        ON_BOTH(an_address_that_may_not_come_meets_the_same_silence),
        ON_BOTH(strangers_keep_nobody_out),
        ON_BOTH(a_link_with_a_bad_tag_falls_silent_and_its_streams_go_on),
        ON_BOTH(a_link_goes_to_the_worker_that_has_its_session),
        ON_BOTH(what_moves_is_judged_once),
        ON_BOTH(a_session_that_drains_when_another_counts_in_its_place_ends),
        ON_BOTH(after_a_restart_old_streams_are_reset_and_new_ones_are_opened),
        ON_BOTH(who_is_in_the_configuration_no_more_is_told_so),
        ON_BOTH(who_stands_at_the_gate_of_what_is_configured_no_more_falls_silent),
        ON_BOTH(who_stands_at_the_gate_when_every_flow_has_been_ended_gets_no_session),
        ON_BOTH(a_session_lives_over_a_reload_and_goes_by_the_new_rules),
        ON_BOTH(both_ends_prove_who_they_are),
        ON_BOTH(who_is_not_among_the_peers_is_met_with_silence),
        ON_BOTH(a_server_that_is_another_gets_nothing),
        ON_BOTH(a_session_whose_peer_is_on_the_new_list_too_is_drained),
        ON_BOTH(who_has_the_key_alone_keeps_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
